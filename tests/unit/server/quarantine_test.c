/*
 * The mark of damaged data, the contacts and the files that are moved aside; and who is wrong when
 * replicas differ.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comparer.h"
#include "damage.h"
#include "file.h"
#include "identity.h"
#include "scratch.h"
#include "sealed_file.h"

#define PATH_SIZE 256
#define NOW_MS UINT64_C(1800000000000)

static char folder[SCRATCH_PATH_SIZE];

static int make_folder(void **state)
{
    (void)state;
    scratch_make(folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    scratch_remove(folder);
    return 0;
}

static void path_in(const char *name, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%.63s/%.180s", folder, name);
}

static void put(const char *name, const char *content)
{
    char path[PATH_SIZE];
    path_in(name, path);
    CHECK_OK(file_write(path, slice_of(content)));
}

static bool exists(const char *name)
{
    char path[PATH_SIZE];
    path_in(name, path);
    return access(path, F_OK) == 0;
}

static void test_mark(void **state)
{
    struct damage damage;
    struct damage loaded;
    (void)state;
    CHECK_OK(damage_load(folder, &loaded));
    CHECK_U64(loaded.state, DAMAGE_NONE);
    damage_begin(&damage, folder, "row 7", 9, false, NOW_MS);
    CHECK_U64(damage.state, DAMAGE_WAITING);
    CHECK(damage.life != 0);
    damage.state = DAMAGE_MOVING;
    CHECK_OK(damage_save(folder, &damage));
    CHECK_OK(damage_load(folder, &loaded));
    CHECK_U64(loaded.state, DAMAGE_MOVING);
    CHECK_U64(loaded.life, damage.life);
    CHECK_U64(loaded.index, 9);
    assert_string_equal(loaded.reason, "row 7");
    assert_string_equal(loaded.folder, damage.folder);
    CHECK_OK(damage_remove(folder));
    CHECK_OK(damage_remove(folder));
    CHECK_OK(damage_load(folder, &loaded));
    CHECK_U64(loaded.state, DAMAGE_NONE);
}

/* A mark that says nothing, or names what is not a folder of its own: damaged, too. */
static void test_senseless_mark(void **state)
{
    static const struct {
        enum damage_state state;
        const char *folder;
    } rows[] = {
        {DAMAGE_NONE, "damaged-7"},
        {DAMAGE_MOVING, "../elsewhere"},
        {DAMAGE_MOVING, "damaged-/../x"},
        {DAMAGE_MOVING, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct damage damage;
        struct damage loaded;
        check_row(rows[i].folder);
        damage_begin(&damage, folder, "row 7", 9, false, NOW_MS);
        damage.state = rows[i].state;
        (void)snprintf(damage.folder, sizeof damage.folder, "%s", rows[i].folder);
        CHECK_OK(damage_save(folder, &damage));
        CHECK_OK(damage_load(folder, &loaded));
        CHECK_U64(loaded.state, DAMAGE_WAITING);
        CHECK(loaded.life != damage.life);
    }
    CHECK_OK(damage_remove(folder));
}

/* Whatever bit of the mark is changed: the node still holds its data for damaged. */
static void test_flipped_mark(void **state)
{
    struct damage damage;
    struct damage loaded;
    struct buffer bytes = {0};
    char path[PATH_SIZE];
    (void)state;
    damage_begin(&damage, folder, "row 7", 9, false, NOW_MS);
    damage.state = DAMAGE_FILLING;
    CHECK_OK(damage_save(folder, &damage));
    path_in("damaged", path);
    CHECK_OK(file_read(path, 4096, &bytes));
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ (1 << bit % 8));
        CHECK_OK(file_write(path, buffer_slice(&bytes)));
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ (1 << bit % 8));
        CHECK_OK(damage_load(folder, &loaded));
        CHECK_U64(loaded.state, DAMAGE_WAITING);
        CHECK(loaded.life != damage.life);
    }
    buffer_release(&bytes);
    CHECK_OK(damage_remove(folder));
}

/* By itself once; a disk that goes on spoiling is for its operator. */
static void test_again(void **state)
{
    struct damage damage;
    (void)state;
    damage_begin(&damage, folder, "row", 0, true, NOW_MS);
    CHECK_U64(damage.state, DAMAGE_LEAVING);
    CHECK_OK(damage_move_aside(folder, &damage));
    struct damage next;
    damage_begin(&next, folder, "row", 0, true, NOW_MS + DAMAGE_AGAIN_MS - 1);
    CHECK_U64(next.state, DAMAGE_WAITING);
    damage_begin(&next, folder, "row", 0, true, NOW_MS + DAMAGE_AGAIN_MS);
    CHECK_U64(next.state, DAMAGE_LEAVING);
}

/* A crash after any of the moves, and once more; the older damaged files go. */
static void test_move_aside(void **state)
{
    struct damage damage;
    char old[PATH_SIZE];
    char path[PATH_SIZE];
    (void)state;
    damage_begin(&damage, folder, "row", 0, true, NOW_MS + DAMAGE_AGAIN_MS);
    for (int crash_after = 0; crash_after < 3; crash_after++) {
        static const char *const folders[] = {"log", "store"};
        for (size_t i = 0; i < 2; i++) {
            path_in(folders[i], path);
            (void)mkdir(path, 0700);
        }
        put("log/0000000000000001.wal", "damaged log");
        put("store/data.mdb", "damaged store");
        CHECK(damage_has_log(folder));
        if (crash_after > 0) { /* As the moves before the crash left it. */
            (void)snprintf(old, sizeof old, "%s/%s", folder, damage.folder);
            CHECK(mkdir(old, 0700) == 0);
            for (int i = 0; i < crash_after; i++) {
                char to[2 * PATH_SIZE];
                path_in(folders[i], path);
                (void)snprintf(to, sizeof to, "%s/%s", old, folders[i]);
                CHECK(rename(path, to) == 0);
            }
        }
        CHECK_OK(damage_move_aside(folder, &damage));
        CHECK_OK(damage_move_aside(folder, &damage));
        CHECK(!damage_has_log(folder));
        CHECK(exists("store") && !exists("store/data.mdb") && !exists("log"));
        (void)snprintf(path, sizeof path, "%s/log/0000000000000001.wal", damage.folder);
        CHECK(exists(path));
        (void)snprintf(path, sizeof path, "%s/store/data.mdb", damage.folder);
        CHECK(exists(path));
        struct damage next;
        damage_begin(&next, folder, "row", 0, true,
                     NOW_MS + (uint64_t)(crash_after + 2) * DAMAGE_AGAIN_MS);
        CHECK(strcmp(next.folder, damage.folder) != 0);
        (void)snprintf(path, sizeof path, "%s", damage.folder);
        damage = next;
        CHECK(exists(path));
    }
}

static void test_contacts(void **state)
{
    struct member members[] = {
        {.node_id = 1, .rpc_address = {"a:1", 3}, .standing = STANDING_MEMBER},
        {.node_id = 2, .rpc_address = {"b:2", 3}, .standing = STANDING_MEMBER},
        {.node_id = 3, .rpc_address = {"c:3", 3}, .standing = STANDING_REMOVED},
    };
    struct codec_list list = {.items = members, .count = 3};
    struct identity identity = {.node_id = 1, .contacts = {.count = 1, .texts = {"old:9"}}};
    uint32_t written = 0;
    char path[PATH_SIZE];
    (void)state;
    CHECK(!damage_has_begun(folder));
    CHECK_OK(damage_save_contacts(folder, &list, 1, &written));
    CHECK(damage_has_begun(folder));
    path_in("contacts", path);
    CHECK(unlink(path) == 0); /* What was written is not written again. */
    CHECK_OK(damage_save_contacts(folder, &list, 1, &written));
    CHECK(!damage_has_begun(folder));
    written = 0;
    CHECK_OK(damage_save_contacts(folder, &list, 1, &written));
    for (int i = 0; i < 2; i++) {
        damage_load_contacts(folder, &identity);
        CHECK_U64(identity.contacts.count, 2);
        assert_string_equal(identity.contacts.texts[0], "b:2");
        assert_string_equal(identity.contacts.texts[1], "old:9");
        CHECK(identity.member_count >= 1 && identity.members[0] == 2);
    }
    put("contacts", "nothing of ours");
    damage_load_contacts(folder, &identity);
    CHECK_U64(identity.contacts.count, 2);
}

static void test_sealed_file(void **state)
{
    struct buffer bytes = {0};
    char path[PATH_SIZE];
    (void)state;
    path_in("sealed", path);
    CHECK_CODE(sealed_file_read(path, 100, &bytes), STATUS_NOT_FOUND);
    CHECK_OK(sealed_file_write(path, slice_of("content")));
    CHECK_OK(sealed_file_read(path, 100, &bytes));
    CHECK(slice_equal(buffer_slice(&bytes), slice_of("content")));
    buffer_release(&bytes);
    put("sealed", "con");
    CHECK_CODE(sealed_file_read(path, 100, &bytes), STATUS_CORRUPT);
    CHECK_U64(bytes.size, 0);
    buffer_release(&bytes);
}

/* Ours is 'a'; the others' are letters, '-' for one that did not answer. */
static void test_judge(void **state)
{
    static const struct {
        const char *name;
        const char *others;
        enum verdict verdict;
    } rows[] = {
        {"all agree", "aa", VERDICT_RIGHT},
        {"one differs, the other agrees", "ab", VERDICT_RIGHT},
        {"both others agree with each other", "bb", VERDICT_WRONG},
        {"all differ", "bc", VERDICT_OPEN},
        {"one differs, the other is away", "b-", VERDICT_OPEN},
        {"one agrees, the other is away", "a-", VERDICT_RIGHT},
        {"two members", "b", VERDICT_OPEN},
        {"two members that agree", "a", VERDICT_RIGHT},
        {"nobody answers", "--", VERDICT_OPEN},
        {"two against two", "abb", VERDICT_OPEN},
        {"three against one", "bbb", VERDICT_WRONG},
        {"two against one, one away", "bb-", VERDICT_OPEN},
        {"of five, three differ, not alike", "abbc", VERDICT_OPEN},
        {"of five, three alike", "abbb", VERDICT_WRONG},
        {"of five, two with us", "aabb", VERDICT_RIGHT},
    };
    uint8_t ours[STORE_DIGEST_SIZE];
    memset(ours, 'a', sizeof ours);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct opinion opinions[8] = {0};
        size_t count = strlen(rows[i].others);
        for (size_t j = 0; j < count; j++) {
            opinions[j].known = rows[i].others[j] != '-';
            memset(opinions[j].digest, rows[i].others[j], sizeof opinions[j].digest);
        }
        check_row(rows[i].name);
        CHECK_U64(comparer_judge(ours, opinions, count, count + 1), rows[i].verdict);
    }
}

/* Only a life that cannot have acknowledged anything is begun anew. */
static void test_unborn(void **state)
{
    static const struct {
        const char *name;
        const char *files[2];
        bool filling;
        bool unborn;
    } rows[] = {
        {"nothing but a state", {"store/data.mdb"}, false, true},
        {"a spare of the log", {"store/data.mdb", "log/0000000000000001.spare"}, false, true},
        {"a log", {"store/data.mdb", "log/0000000000000001.wal"}, false, false},
        {"a snapshot's manifest",
         {"store/data.mdb", "log/0000000000000001.snapshot"},
         false,
         false},
        {"a log that was, by the contacts", {"store/data.mdb", "contacts"}, false, false},
        {"the same, moved aside", {"store/data.mdb", "contacts"}, true, true},
        {"a log that cannot be looked at", {"store/data.mdb", "log"}, false, false},
        {"filling, with its log", {"contacts", "log/0000000000000001.wal"}, true, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char life[PATH_SIZE];
        char name[64];
        char path[PATH_SIZE];
        check_row(rows[i].name);
        (void)snprintf(name, sizeof name, "unborn-%zu", i);
        path_in(name, life);
        CHECK_OK(file_make_folder(life));
        (void)snprintf(path, sizeof path, "%.200s/store", life);
        CHECK_OK(file_make_folder(path));
        (void)snprintf(path, sizeof path, "%.200s/log", life);
        if (rows[i].files[1] == NULL || strcmp(rows[i].files[1], "log") != 0) {
            CHECK_OK(file_make_folder(path));
        }
        for (size_t j = 0; j < 2 && rows[i].files[j] != NULL; j++) {
            (void)snprintf(path, sizeof path, "%.100s/%.100s", life, rows[i].files[j]);
            CHECK_OK(file_write(path, slice_of("anything")));
        }
        CHECK(damage_is_unborn(life, rows[i].filling) == rows[i].unborn);
        CHECK_OK(damage_begin_anew(life));
        (void)snprintf(path, sizeof path, "%.100s/store/data.mdb", life);
        CHECK(access(path, F_OK) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mark),           cmocka_unit_test(test_flipped_mark),
        cmocka_unit_test(test_senseless_mark), cmocka_unit_test(test_again),
        cmocka_unit_test(test_move_aside),     cmocka_unit_test(test_contacts),
        cmocka_unit_test(test_sealed_file),    cmocka_unit_test(test_judge),
        cmocka_unit_test(test_unborn),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
