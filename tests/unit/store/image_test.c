/*
 * Images and the data file: what is installed, what is refused, and what a failure at any step
 * leaves behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "store_fixture.h"
#include "store_state.h"

#define PATH_SIZE (SCRATCH_PATH_SIZE + 32)

static void path_in(const struct fixture *fixture, const char *name, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", fixture->directory, name);
}

static struct status write_image(struct fixture *fixture, const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    struct status status = store_image_write(fixture->store, fd);
    CHECK(close(fd) == 0);
    return status;
}

static void put_records(struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        CHECK_U64(fixture_apply(fixture, record_command(i)), REFUSAL_NONE);
    }
}

/* A cluster of another id. */
static struct command other_init(void)
{
    struct command command = cluster_init_command();
    command.body.cluster_init.cluster_id = slice_of("ffffffffffffffffffffffffffffffff");
    return command;
}

static void check_same(struct fixture *left, struct fixture *right)
{
    struct store_digest ours;
    struct store_digest theirs;
    CHECK_OK(store_digest_deep(left->store, &ours));
    CHECK_OK(store_digest_deep(right->store, &theirs));
    assert_memory_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
}

struct pair {
    struct fixture leader;
    struct fixture follower;
    char image[PATH_SIZE];
};

/* A leader at index 22 with an image of it in the follower's folder; a follower of the same
 * cluster at index 9. */
static void pair_open(struct pair *pair)
{
    fixture_open(&pair->leader);
    fixture_open(&pair->follower);
    fixture_form(&pair->leader);
    fixture_form(&pair->follower);
    put_records(&pair->leader, 1, 14);
    put_records(&pair->follower, 1, 1);
    CHECK_OK(store_sync(pair->leader.store));
    path_in(&pair->follower, "image", pair->image);
    CHECK_OK(write_image(&pair->leader, pair->image));
}

static void pair_close(struct pair *pair)
{
    fixture_close(&pair->leader);
    fixture_close(&pair->follower);
}

static void test_install(void **state)
{
    struct pair pair;
    char old[PATH_SIZE];
    struct stat info;
    (void)state;
    pair_open(&pair);
    CHECK_OK(store_image_install(pair.follower.store, pair.image, 22));
    check_same(&pair.leader, &pair.follower);
    CHECK_U64(store_flushed_index(pair.follower.store), 22);
    path_in(&pair.follower, "data.mdb.old", old);
    CHECK(stat(old, &info) != 0);
    CHECK(stat(pair.image, &info) != 0);
    put_records(&pair.leader, 20, 22);
    put_records(&pair.follower, 20, 22);
    CHECK_OK(store_sync(pair.follower.store));
    fixture_reopen(&pair.follower);
    pair_close(&pair);
}

static void spoil(const char *path, off_t size, off_t at)
{
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0);
    if (size >= 0) {
        CHECK(ftruncate(fd, size) == 0);
    }
    if (at >= 0) {
        CHECK(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, at) == 8);
    }
    CHECK(close(fd) == 0);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        char what; /* Letters of the switch below. */
        enum status_code code;
    } rows[] = {
        {"too old", 'i', STATUS_INVALID},
        {"of another cluster", 'c', STATUS_INVALID},
        {"of a newer format", 'f', STATUS_INVALID},
        {"not there", 'n', STATUS_NOT_FOUND},
        {"empty", 'e', STATUS_CORRUPT},
        {"cut short", 't', STATUS_CORRUPT},
        {"not an image", 'g', STATUS_CORRUPT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pair pair;
        struct store_digest before;
        struct store_digest after;
        uint64_t index_min = 22;
        uint64_t storage;
        check_row(rows[i].name);
        pair_open(&pair);
        switch (rows[i].what) {
        case 'i': index_min = 23; break;
        case 'c': {
            struct fixture other;
            fixture_open(&other);
            CHECK_U64(fixture_apply(&other, other_init()), REFUSAL_NONE);
            put_records(&other, 1, 30);
            CHECK_OK(store_sync(other.store));
            CHECK_OK(write_image(&other, pair.image));
            fixture_close(&other);
            break;
        }
        case 'f':
            CHECK_U64(fixture_apply(&pair.leader, record_command(40)), REFUSAL_NONE);
            txn_put(&pair.leader.store->writer, TABLE_META, slice_of("format"),
                    u64_key(STORE_FORMAT + 1, &storage));
            CHECK_OK(txn_commit(&pair.leader.store->writer));
            CHECK_OK(write_image(&pair.leader, pair.image));
            break;
        case 'n': CHECK(unlink(pair.image) == 0); break;
        case 'e': spoil(pair.image, 0, -1); break;
        case 't': spoil(pair.image, (off_t)3 * 4096, -1); break;
        default:
            spoil(pair.image, -1, 16);
            spoil(pair.image, -1, 4096 + 16);
            break;
        }
        CHECK_OK(store_digest_deep(pair.follower.store, &before));
        CHECK_CODE(store_image_install(pair.follower.store, pair.image, index_min), rows[i].code);
        CHECK_OK(store_digest_deep(pair.follower.store, &after));
        assert_memory_equal(before.bytes, after.bytes, sizeof before.bytes);
        put_records(&pair.follower, 2, 3);
        pair_close(&pair);
    }
}

static void test_install_faults(void **state)
{
    static const enum fault_point points[] = {FAULT_ALLOC,
                                              FAULT_STORE_COMMIT,
                                              FAULT_STORE_SYNC,
                                              FAULT_STORE_IMAGE_LINK,
                                              FAULT_STORE_IMAGE_RENAME,
                                              FAULT_STORE_IMAGE_OPEN};
    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        for (int after = 0;; after++) {
            struct pair pair;
            struct store_digest before;
            struct store_digest now;
            pair_open(&pair);
            CHECK_OK(store_flush(pair.follower.store));
            CHECK_OK(store_digest_deep(pair.follower.store, &before));
            fault_arm(points[i], after, 1);
            struct status status = store_image_install(pair.follower.store, pair.image, 22);
            bool fired = fault_reset() != 0;
            if (failed(status)) {
                CHECK(fired);
                CHECK_OK(store_digest_deep(pair.follower.store, &now));
                assert_memory_equal(before.bytes, now.bytes, sizeof before.bytes);
                put_records(&pair.follower, 2, 3);
                fixture_reopen(&pair.follower);
            } else {
                CHECK(!fired);
                check_same(&pair.leader, &pair.follower);
            }
            pair_close(&pair);
            if (!fired) {
                break;
            }
        }
    }
}

/* A crash between the steps leaves one of the two files whole, and a link that opening removes. */
static void test_leftovers(void **state)
{
    struct fixture fixture;
    char data[PATH_SIZE];
    char old[PATH_SIZE];
    struct stat info;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK_OK(store_flush(fixture.store));
    path_in(&fixture, "data.mdb", data);
    path_in(&fixture, "data.mdb.old", old);
    CHECK(link(data, old) == 0);
    fixture_reopen(&fixture);
    CHECK(stat(old, &info) != 0);
    CHECK_U64(store_applied_index(fixture.store), 8);
    fixture_close(&fixture);
}

static void test_damaged_data(void **state)
{
    static const struct {
        const char *name;
        off_t size;
        off_t at;
    } rows[] = {
        {"cut short", (off_t)3 * 4096, -1},
        {"emptied but for its head", 4096, -1},
        {"both heads damaged", -1, 16},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture fixture;
        char data[PATH_SIZE];
        check_row(rows[i].name);
        fixture_open(&fixture);
        fixture_form(&fixture);
        put_records(&fixture, 1, 50);
        CHECK_OK(store_sync(fixture.store));
        store_close(fixture.store);
        fixture.store = NULL;
        path_in(&fixture, "data.mdb", data);
        spoil(data, rows[i].size, rows[i].at);
        struct status status = store_open(&fixture.options, &fixture.store);
        CHECK_CODE(status, STATUS_CORRUPT);
        CHECK(strstr(status.message, data) != NULL);
        CHECK(fixture.store == NULL);
        fixture_close(&fixture);
    }
}

static void test_newer_format(void **state)
{
    struct fixture fixture;
    uint64_t storage;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    txn_put(&fixture.store->writer, TABLE_META, slice_of("format"),
            u64_key(STORE_FORMAT + 1, &storage));
    CHECK_OK(txn_commit(&fixture.store->writer));
    store_close(fixture.store);
    fixture.store = NULL;
    struct status status = store_open(&fixture.options, &fixture.store);
    CHECK_CODE(status, STATUS_INVALID);
    CHECK(strstr(status.message, "upgrade muster") != NULL);
    fixture_close(&fixture);
}

struct writing {
    struct fixture *fixture;
    struct status status;
    char path[PATH_SIZE];
};

static void *write_in_thread(void *context)
{
    struct writing *writing = context;
    int fd = open(writing->path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    writing->status = store_image_write(writing->fixture->store, fd);
    (void)close(fd);
    return NULL;
}

static void test_write_while_applying(void **state)
{
    struct pair pair;
    struct writing writing = {.fixture = &pair.leader};
    pthread_t thread;
    (void)state;
    pair_open(&pair);
    path_in(&pair.follower, "second", writing.path);
    CHECK_U64(fixture_apply(&pair.leader, record_command(50)), REFUSAL_NONE);
    CHECK(pthread_create(&thread, NULL, write_in_thread, &writing) == 0);
    for (uint64_t i = 100; i < 200; i++) {
        CHECK_U64(fixture_apply(&pair.leader, record_command(i)), REFUSAL_NONE);
        CHECK_OK(store_flush(pair.leader.store));
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(writing.status);
    CHECK_OK(store_image_install(pair.follower.store, writing.path, 22));
    fault_arm(FAULT_STORE_IMAGE_WRITE, 0, 1);
    CHECK_CODE(write_image(&pair.leader, pair.image), STATUS_IO);
    CHECK_U64((uint64_t)fault_reset(), 1);
    pair_close(&pair);
}

static void test_map_full(void **state)
{
    static char body[STORE_RECORD_SIZE_MAX];
    struct fixture fixture;
    struct status status = OK;
    struct store_size size;
    (void)state;
    fixture_open(&fixture);
    fixture.options.map_size_max = (size_t)1 << 20U;
    scratch_remove(fixture.directory);
    CHECK(mkdir(fixture.directory, 0700) == 0);
    fixture_reopen(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    for (uint64_t i = 1; i < 100 && !failed(status); i++) {
        struct command command = record_command(i);
        ((struct record_put *)command.body.records_put.records.items)->body =
            (struct slice){.data = body, .size = sizeof body};
        status = fixture_try(&fixture, command);
        if (!failed(status)) {
            status = store_flush(fixture.store);
        }
    }
    CHECK_CODE(status, STATUS_FULL);
    uint64_t flushed = store_flushed_index(fixture.store);
    check_row("with a larger map the log goes on");
    fixture.options.map_size_max = (size_t)16 << 20U;
    fixture_reopen(&fixture);
    CHECK_U64(store_applied_index(fixture.store), flushed);
    put_records(&fixture, 200, 210);
    store_size(fixture.store, &size);
    CHECK(size.used > 0 && size.used <= size.on_disk + 65536 && size.max == (size_t)16 << 20U);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_install),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_install_faults),
        cmocka_unit_test(test_leftovers),
        cmocka_unit_test(test_damaged_data),
        cmocka_unit_test(test_newer_format),
        cmocka_unit_test(test_write_while_applying),
        cmocka_unit_test(test_map_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
