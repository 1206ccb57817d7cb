/*
 * The identity on disk: made once, found again, sealed, switched by one rename, and swept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "identity.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "scratch.h"

#define NOW_MS UINT64_C(1800000000000)

static bool exists(const char *folder, const char *name)
{
    char path[2 * IDENTITY_PATH_SIZE];
    struct stat info;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &info) == 0;
}

static void test_found_again(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    struct identity first = {0};
    struct identity second = {0};
    scratch_make(folder);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &first));
    CHECK(first.bootstrap);
    CHECK(first.node_id != 0);
    CHECK_U64(strlen(first.cluster_id), 32);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS + 1, &second));
    CHECK_U64(second.node_id, first.node_id);
    assert_string_equal(second.cluster_id, first.cluster_id);
    CHECK_SLICE(secret_slice(&second.keys.key), secret_slice(&first.keys.key));
    CHECK_SLICE(buffer_slice(&second.certificate), buffer_slice(&first.certificate));
    identity_release(&first);
    identity_release(&second);
    scratch_remove(folder);
}

/* Neither the node's key nor the cluster's stands in any file but in sealed form. */
static void test_sealed(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    char path[2 * IDENTITY_PATH_SIZE];
    struct identity identity = {0};
    struct buffer bytes = {0};
    scratch_make(folder);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &identity));
    (void)snprintf(path, sizeof path, "%s/identity", identity.path);
    CHECK_OK(file_read(path, 1U << 20U, &bytes));
    CHECK(memmem(bytes.data, bytes.size, "PRIVATE KEY", 11) == NULL);
    struct slice key = secret_slice(&identity.keys.key);
    CHECK(memmem(bytes.data, bytes.size, key.data, key.size) == NULL);
    buffer_release(&bytes);
    identity_release(&identity);
    scratch_remove(folder);
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    unsigned char byte = 0;
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 0x10U;
    assert_true(pwrite(fd, &byte, 1, at) == 1);
    (void)close(fd);
}

static void test_damage(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    char path[2 * IDENTITY_PATH_SIZE];
    struct identity identity = {0};
    scratch_make(folder);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &identity));
    identity_release(&identity);

    check_row("another root secret");
    (void)snprintf(path, sizeof path, "%s/root.secret", folder);
    flip(path, 3);
    CHECK_CODE(identity_open(folder, "", "mx1", NOW_MS, &identity), STATUS_INVALID);
    flip(path, 3);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &identity));
    (void)snprintf(path, sizeof path, "%s/identity", identity.path);
    identity_release(&identity);

    check_row("the identity's first byte");
    flip(path, 0);
    CHECK_CODE(identity_open(folder, "", "mx1", NOW_MS, &identity), STATUS_CORRUPT);
    flip(path, 0);

    check_row("another lineage is a name, and no path");
    struct identity strange = {0};
    CHECK_OK(identity_make_standalone((struct slice){0}, "mx1", NOW_MS, &strange));
    (void)snprintf(strange.left, sizeof strange.left, "../elsewhere");
    CHECK_OK(identity_stage(folder, "", &strange));
    CHECK_OK(identity_switch(folder, strange.lineage));
    CHECK_CODE(identity_open(folder, "", "mx1", NOW_MS, &identity), STATUS_CORRUPT);
    identity_release(&strange);

    check_row("CURRENT names nothing");
    (void)snprintf(path, sizeof path, "%s/CURRENT", folder);
    CHECK_OK(file_write(path, slice_of("../../etc")));
    CHECK_CODE(identity_open(folder, "", "mx1", NOW_MS, &identity), STATUS_CORRUPT);
    CHECK_OK(file_write(path, slice_of("lin")));
    CHECK_CODE(identity_open(folder, "", "mx1", NOW_MS, &identity), STATUS_CORRUPT);
    scratch_remove(folder);
}

static void make_joined(const struct identity *own, struct identity *staged)
{
    CHECK_OK(identity_make_standalone(secret_slice(&own->node_key), "mx1", NOW_MS, staged));
    staged->bootstrap = false; /* As if another cluster had issued it. */
    (void)snprintf(staged->previous, sizeof staged->previous, "%s", own->lineage);
    staged->contacts.count = 1;
    (void)snprintf(staged->contacts.texts[0], ASK_ADDRESS_SIZE, "192.0.2.1:7670");
}

static void test_switch_and_sweep(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    struct identity own = {0};
    struct identity joined = {0};
    struct identity abandoned = {0};
    struct identity found = {0};
    scratch_make(folder);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &own));
    make_joined(&own, &joined);
    make_joined(&own, &abandoned);
    CHECK_U64(joined.node_id, own.node_id); /* The key is the node. */
    CHECK_OK(identity_stage(folder, "", &joined));
    CHECK_OK(identity_stage(folder, "", &abandoned));

    check_row("staged is not in use");
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &found));
    assert_string_equal(found.lineage, own.lineage);
    identity_release(&found);

    check_row("switched");
    CHECK_OK(identity_switch(folder, joined.lineage));
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &found));
    assert_string_equal(found.lineage, joined.lineage);
    assert_string_equal(found.previous, own.lineage);
    CHECK_U64(found.contacts.count, 1);
    assert_string_equal(found.contacts.texts[0], "192.0.2.1:7670");

    check_row("swept");
    CHECK_OK(identity_sweep(folder, &found));
    CHECK(exists(folder, joined.lineage));
    CHECK(exists(folder, own.lineage)); /* Standalone: it may hold records. */
    CHECK(!exists(folder, abandoned.lineage));

    check_row("a fresh standalone life, staged when a crash came, is none");
    struct identity fresh = {0};
    struct identity older = {0};
    char log[IDENTITY_PATH_SIZE + 8];
    CHECK_OK(identity_make_standalone((struct slice){0}, "mx1", NOW_MS, &fresh));
    CHECK_OK(identity_make_standalone((struct slice){0}, "mx1", NOW_MS, &older));
    CHECK_OK(identity_stage(folder, "", &fresh));
    CHECK_OK(identity_stage(folder, "", &older));
    (void)snprintf(log, sizeof log, "%s/log", older.path);
    CHECK(mkdir(log, 0700) == 0);
    CHECK_OK(identity_sweep(folder, &found));
    CHECK(!exists(folder, fresh.lineage));
    CHECK(exists(folder, older.lineage)); /* It was lived in. */
    CHECK(exists(folder, own.lineage));
    identity_release(&fresh);
    identity_release(&older);
    identity_release(&own);
    identity_release(&joined);
    identity_release(&abandoned);
    identity_release(&found);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_switch_and_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
