/*
 * Faults: the first visit to a fault point fails, then the second, ... until a run meets none.
 * After each failure the store opens again at what was flushed, and takes the rest of the log to
 * the same state as a store that never failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "store_fixture.h"
#include "store_script.h"

#define LOG_COUNT 60

struct log {
    struct arena arena;
    struct slice commands[LOG_COUNT];
    struct store_digest digest; /* Of a store that applied it all. */
};

static void log_write(struct log *log)
{
    struct fixture fixture;
    struct script script = {.state = 4711};
    *log = (struct log){0};
    fixture_open(&fixture);
    for (size_t i = 0; i < LOG_COUNT; i++) {
        struct slice bytes = fixture_encode(&fixture, script_next(&script, &fixture));
        log->commands[i] = arena_copy(&log->arena, bytes);
        CHECK_OK(store_apply(fixture.store, i + 1, &bytes, 1, &fixture.outcome));
    }
    CHECK_OK(store_digest_deep(fixture.store, &log->digest));
    fixture_close(&fixture);
}

/* Apply the log from where the store stands, with a flush or sync now and then. */
static struct status play(const struct log *log, struct store *store)
{
    for (uint64_t i = store_applied_index(store); i < LOG_COUNT; i++) {
        struct apply_outcome outcome;
        struct status status = store_apply(store, i + 1, &log->commands[i], 1, &outcome);
        if (!failed(status) && i % 16 == 0) {
            status = store_flush(store);
        }
        if (!failed(status) && i % 32 == 0) {
            status = store_sync(store);
        }
        if (failed(status)) {
            return status;
        }
    }
    return store_sync(store);
}

static void torture(enum fault_point point, enum status_code code)
{
    struct log log;
    log_write(&log);
    for (int after = 0;; after++) {
        struct fixture fixture;
        struct store_digest digest;
        fixture_open(&fixture);
        fault_arm(point, after, 1);
        struct status status = play(&log, fixture.store);
        int fired = fault_reset();
        CHECK(fired == 0 || failed(status)); /* No failure is swallowed. */
        if (failed(status)) {
            CHECK_CODE(status, code);
            struct apply_outcome outcome;
            uint64_t next = store_applied_index(fixture.store) + 1;
            CHECK_CODE(store_apply(fixture.store, next, NULL, 0, &outcome), code);
            CHECK_CODE(store_flush(fixture.store), code);
            CHECK_CODE(store_sync(fixture.store), code);
            struct store_size size;
            store_size(fixture.store, &size);
            CHECK(size.full == (code == STATUS_FULL)); /* The map, and no disk. */
            uint64_t flushed = store_flushed_index(fixture.store);
            fixture_reopen(&fixture);
            CHECK(store_applied_index(fixture.store) >= flushed);
            CHECK_OK(play(&log, fixture.store));
        }
        CHECK_OK(store_digest_deep(fixture.store, &digest));
        assert_memory_equal(digest.bytes, log.digest.bytes, sizeof digest.bytes);
        fixture_close(&fixture);
        if (fired == 0) {
            break;
        }
    }
    arena_release(&log.arena);
}

static void test_put(void **state)
{
    (void)state;
    torture(FAULT_STORE_PUT, STATUS_FULL);
}

static void test_commit(void **state)
{
    (void)state;
    torture(FAULT_STORE_COMMIT, STATUS_IO);
}

static void test_sync(void **state)
{
    (void)state;
    torture(FAULT_STORE_SYNC, STATUS_IO);
}

static void test_alloc(void **state)
{
    (void)state;
    torture(FAULT_ALLOC, STATUS_NO_MEMORY);
}

static void test_open(void **state)
{
    static const enum fault_point points[] = {FAULT_ALLOC, FAULT_STORE_COMMIT};
    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        char directory[SCRATCH_PATH_SIZE];
        scratch_make(directory);
        const struct store_options options = {
            .directory = directory, .map_size_max = (size_t)16 << 20U, .outbox_max = 10};
        for (int after = 0;; after++) {
            struct store *store = NULL;
            fault_arm(points[i], after, 1);
            struct status status = store_open(&options, &store);
            if (fault_reset() == 0) {
                CHECK_OK(status);
                store_close(store);
                break;
            }
            CHECK(failed(status));
            CHECK(store == NULL);
        }
        scratch_remove(directory);
    }
}

/* Every query, under failing allocation: a status, never a crash or half an answer taken for whole. */
static void test_queries(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, credential_command("prod", 1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, record_command(1)), REFUSAL_NONE);
    for (int query = 0; query < 8; query++) {
        for (int after = 0;; after++) {
            struct arena arena = {0};
            struct codec_list list = {0};
            struct record_search search = {.count_max = 10};
            bool more;
            struct status status;
            union {
                struct cluster_view cluster;
                struct registration_view registration;
                struct credential_view credential;
                struct export_view export;
            } view;
            fault_arm(FAULT_ALLOC, after, 1);
            switch (query) {
            case 0: status = store_cluster(fixture.store, &arena, &view.cluster); break;
            case 1: status = store_members(fixture.store, &arena, &list); break;
            case 2: status = store_join_tokens(fixture.store, &arena, &list); break;
            case 3: status = store_registration(fixture.store, &arena, &view.registration); break;
            case 4:
                status = store_credential(fixture.store, &arena, slice_of(""), &view.credential);
                break;
            case 5: status = store_outbox(fixture.store, &arena, 0, 10, 1000, &list); break;
            case 6: status = store_search(fixture.store, &arena, &search, &list, &more); break;
            default: status = store_audit(fixture.store, &arena, 0, 100, &list); break;
            }
            arena_release(&arena);
            if (fault_reset() == 0) {
                CHECK_OK(status);
                break;
            }
            CHECK_CODE(status, STATUS_NO_MEMORY);
        }
    }
    check_row("and the store is none the worse for it");
    CHECK_U64(fixture_apply(&fixture, record_command(2)), REFUSAL_NONE);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),   cmocka_unit_test(test_commit), cmocka_unit_test(test_sync),
        cmocka_unit_test(test_alloc), cmocka_unit_test(test_open),   cmocka_unit_test(test_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
