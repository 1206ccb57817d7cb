/*
 * The store as a whole: one life from the first command to an image of it, and what queries say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store_fixture.h"

static void test_life(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct cluster_view cluster;
    struct codec_list list;
    (void)state;
    fixture_open(&fixture);
    CHECK_CODE(store_cluster(fixture.store, &arena, &cluster), STATUS_NOT_FOUND);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, credential_command("prod", 1)), REFUSAL_NONE);
    for (uint64_t i = 1; i <= 20; i++) {
        CHECK_U64(fixture_apply(&fixture, record_command(i)), REFUSAL_NONE);
        CHECK_U64(fixture.outcome.value, 1);
    }
    CHECK_U64(fixture_apply(&fixture, record_command(3)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 0);

    CHECK_OK(store_cluster(fixture.store, &arena, &cluster));
    CHECK_SLICE(cluster.name, slice_of("mail"));
    CHECK_OK(store_members(fixture.store, &arena, &list));
    CHECK_U64(list.count, 3);
    struct registration_view registration;
    CHECK_OK(store_registration(fixture.store, &arena, &registration));
    CHECK_U64(registration.state, REGISTRATION_REGISTERED);
    CHECK_U64(registration.sealed_token.size, 0);
    struct credential_view credential;
    CHECK_OK(store_credential(fixture.store, &arena, slice_of(""), &credential));
    CHECK_SLICE(credential.name, slice_of("prod"));
    CHECK_OK(store_outbox(fixture.store, &arena, 0, 100, 1000000, &list));
    CHECK_U64(list.count, 20);
    CHECK_SLICE(((struct record_view *)list.items)[19].body, slice_of("body of 20"));
    uint64_t lines = 0;
    CHECK_OK(store_audit_verify(fixture.store, &lines));
    CHECK_OK(store_audit(fixture.store, &arena, 0, 1000, &list));
    CHECK_U64(list.count, lines);
    CHECK_U64(lines, 12);

    /* Closed without a flush, everything is gone; with one, all is there. */
    uint64_t index = store_applied_index(fixture.store);
    struct store_digest digest;
    struct store_digest again;
    CHECK_OK(store_sync(fixture.store));
    CHECK_U64(store_flushed_index(fixture.store), index);
    store_digest(fixture.store, &digest);
    CHECK_U64(fixture_apply(&fixture, record_command(99)), REFUSAL_NONE);
    fixture_reopen(&fixture);
    CHECK_U64(store_applied_index(fixture.store), index);
    store_digest(fixture.store, &again);
    assert_memory_equal(digest.bytes, again.bytes, sizeof digest.bytes);
    arena_release(&arena);
    fixture_close(&fixture);
}

static void write_image(struct fixture *fixture, const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_OK(store_image_write(fixture->store, fd));
    CHECK(close(fd) == 0);
}

static void test_image(void **state)
{
    struct fixture leader;
    struct fixture joiner;
    char path[SCRATCH_PATH_SIZE + 16];
    struct store_digest ours;
    struct store_digest theirs;
    (void)state;
    fixture_open(&leader);
    fixture_open(&joiner);
    fixture_form(&leader);
    for (uint64_t i = 1; i <= 100; i++) {
        CHECK_U64(fixture_apply(&leader, record_command(i)), REFUSAL_NONE);
    }
    CHECK_OK(store_sync(leader.store));
    (void)snprintf(path, sizeof path, "%s/image", joiner.directory);
    write_image(&leader, path);
    uint64_t index = store_applied_index(leader.store);
    CHECK_CODE(store_image_install(joiner.store, path, index + 1), STATUS_INVALID);
    CHECK_OK(store_image_install(joiner.store, path, index));
    CHECK_OK(store_digest_deep(leader.store, &ours));
    CHECK_OK(store_digest_deep(joiner.store, &theirs));
    assert_memory_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
    CHECK_U64(fixture_apply(&joiner, record_command(200)), REFUSAL_NONE);
    fixture_close(&leader);
    fixture_close(&joiner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
