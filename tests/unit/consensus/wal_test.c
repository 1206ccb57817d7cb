/*
 * The write-ahead log by its promises: what was answered is there again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wal_harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

static char directory[SCRATCH_PATH_SIZE];

static int make_directory(void **state)
{
    (void)state;
    check_row("");
    scratch_make(directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    scratch_remove(directory);
    return 0;
}

static struct wal *open_log(void)
{
    struct wal *wal = NULL;
    CHECK_OK(harness_open(directory, NULL, &wal));
    return wal;
}

static void reopen_expect(uint64_t term, uint64_t vote, uint64_t start, uint64_t last)
{
    struct wal *wal = open_log();
    harness_expect(wal, term, vote, start, last);
    harness_close(wal);
}

static void test_empty(void **state)
{
    (void)state;
    reopen_expect(0, 0, 1, 0);
    reopen_expect(0, 0, 1, 0);
}

static void test_entries(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned appends;
        unsigned count;
        size_t size;
    } rows[] = {
        {"one of nothing", 1, 1, 0},        {"one", 1, 1, 8},
        {"many in one request", 1, 60, 16}, {"not a multiple of 8", 5, 3, 13},
        {"several segments", 100, 10, 400}, {"the largest", 9, 1, 7144},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        scratch_remove(directory);
        scratch_make(directory);
        struct wal *wal = open_log();
        uint64_t next = 1;
        CHECK_OK(wal_set_term(wal, 3));
        for (unsigned k = 0; k < rows[i].appends; k++) {
            CHECK_OK(harness_append_now(wal, next, 3, rows[i].count, rows[i].size));
            next += rows[i].count;
        }
        CHECK_OK(wal_set_vote(wal, 9));
        harness_close(wal);
        reopen_expect(3, 9, 1, next - 1);
        reopen_expect(3, 9, 1, next - 1);
    }
}

static void test_group_commit(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    struct harness_append appends[40];
    struct wal_stats before;
    struct wal_stats after;
    wal_stats(wal, &before);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_OK(harness_append(wal, &appends[i], i + 1, 1, 1, 64));
    }
    CHECK_U64(appends[0].answers, 0);
    CHECK_U64(wal_pump(wal), 40);
    wal_stats(wal, &after);
    CHECK_U64(after.syncs - before.syncs, 1);
    CHECK_U64(after.records - before.records, 40);
    CHECK_U64(after.last_index, 40);
    CHECK_U64(after.queue_size, 0);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_OK(appends[i].status);
        harness_release(&appends[i]);
    }
    harness_close(wal);
    reopen_expect(0, 0, 1, 40);
}

static void test_truncate(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    struct harness_append first;
    struct harness_append second;
    CHECK_OK(wal_set_term(wal, 1));
    /* Queued together: the order of the calls counts. */
    CHECK_OK(harness_append(wal, &first, 1, 1, 50, 100));
    CHECK_OK(wal_truncate(wal, 21));
    CHECK_OK(harness_append(wal, &second, 21, 2, 5, 100));
    CHECK_U64(wal_pump(wal), 2);
    harness_release(&first);
    harness_release(&second);
    CHECK_CODE(wal_truncate(wal, 27), STATUS_INVALID);
    CHECK_CODE(wal_truncate(wal, 0), STATUS_INVALID);
    harness_close(wal);
    wal = open_log();
    struct wal_loaded loaded;
    wal_load(wal, &loaded);
    CHECK_U64(loaded.entry_count, 25);
    CHECK(harness_matches(&loaded.entries[19], 20, 1));
    CHECK(harness_matches(&loaded.entries[20], 21, 2));
    wal_loaded_release(&loaded);
    harness_close(wal);
}

static void test_snapshot(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    struct wal_stats stats;
    CHECK_OK(wal_set_term(wal, 2));
    for (uint64_t next = 1; next <= 600; next += 10) {
        CHECK_OK(harness_append_now(wal, next, 2, 10, 400));
    }
    CHECK_CODE(harness_snapshot(wal, 601, 2, 100), STATUS_INVALID);
    CHECK_OK(harness_snapshot(wal, 500, 2, 100));
    wal_stats(wal, &stats);
    CHECK(stats.first_index > 300 && stats.first_index <= 401);
    CHECK_U64(stats.snapshot_index, 500);
    CHECK_CODE(harness_snapshot(wal, 499, 2, 100), STATUS_INVALID);
    struct raft_snapshot *snapshot = NULL;
    CHECK_OK(wal_snapshot_get(wal, &snapshot));
    CHECK_U64(snapshot->index, 500);
    CHECK_U64(snapshot->configuration.n, 1);
    raft_configuration_close(&snapshot->configuration);
    raft_free(snapshot->bufs[0].base);
    raft_free(snapshot->bufs);
    raft_free(snapshot);
    harness_close(wal);
    reopen_expect(2, 0, stats.first_index, 600);
}

static void test_install(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 2));
    CHECK_OK(harness_append_now(wal, 1, 2, 60, 400));
    CHECK_OK(harness_append_now(wal, 61, 2, 60, 400));
    CHECK_OK(harness_snapshot(wal, 1000, 2, 0));
    CHECK_OK(harness_append_now(wal, 1001, 2, 5, 400));
    struct wal_stats stats;
    wal_stats(wal, &stats);
    CHECK_U64(stats.first_index, 1001);
    harness_close(wal);
    reopen_expect(2, 0, 1001, 1005);
    /* One below the log's end replaces the log as well. */
    wal = open_log();
    CHECK_OK(harness_snapshot(wal, 1003, 2, 0));
    harness_close(wal);
    reopen_expect(2, 0, 1004, 1003);
}

static void test_bootstrap(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    CHECK(raft_configuration_add(&configuration, 5, "[::1]:2", RAFT_VOTER) == 0);
    struct wal *wal = open_log();
    CHECK_OK(wal_bootstrap(wal, &configuration));
    CHECK_CODE(wal_bootstrap(wal, &configuration), STATUS_REFUSED);
    for (int i = 0; i < 2; i++) {
        struct wal_loaded loaded;
        wal_load(wal, &loaded);
        CHECK_U64(loaded.term, 1);
        CHECK_U64(loaded.start_index, 1);
        CHECK_U64(loaded.entry_count, 1);
        CHECK_U64(loaded.entries[0].type, RAFT_CHANGE);
        wal_loaded_release(&loaded);
        harness_close(wal);
        wal = open_log();
    }
    CHECK_CODE(wal_bootstrap(wal, &configuration), STATUS_REFUSED);
    harness_close(wal);
    raft_configuration_close(&configuration);
}

static void test_two_openers(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    struct wal *other = NULL;
    struct status status = harness_open(directory, NULL, &other);
    CHECK_CODE(status, STATUS_BUSY);
    CHECK(strstr(status.message, "in use by another process") != NULL);
    harness_close(wal);
    reopen_expect(0, 0, 1, 0);
}

static void test_limits(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    struct harness_append append;
    CHECK_CODE(harness_append(wal, &append, 1, 1, 1, wal_entry_size_max(wal) + 8), STATUS_INVALID);
    harness_release(&append);
    CHECK_CODE(harness_append(wal, &append, 1, 0, 1, 8), STATUS_INVALID);
    harness_release(&append);
    CHECK_CODE(harness_append(wal, &append, 1, 1, 0, 8), STATUS_INVALID);
    CHECK_OK(wal_set_term(wal, 4));
    CHECK_CODE(wal_set_term(wal, 3), STATUS_INVALID);
    harness_close(wal);

    static const struct wal_options rows[] = {
        {.segment_size = 4096},
        {.segment_size = WAL_SEGMENT_SIZE_MIN + 1},
        {.segment_size = (size_t)WAL_SEGMENT_SIZE_MAX + 4096},
        {.reserve_count = 1},
        {.reserve_count = 65},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wal_options options = rows[i];
        options.directory = directory;
        CHECK_CODE(wal_open(&options, &wal), STATUS_INVALID);
    }

    struct wal_options small = {
        .directory = directory, .segment_size = HARNESS_SEGMENT_SIZE, .queue_size_max = 1000};
    CHECK_OK(wal_open(&small, &wal));
    struct harness_append more;
    CHECK_OK(harness_append(wal, &append, 1, 4, 2, 400));
    CHECK_CODE(wal_can_append(wal, 400, 1), STATUS_BUSY);
    CHECK_CODE(harness_append(wal, &more, 3, 4, 1, 400), STATUS_BUSY);
    CHECK_U64(wal_pump(wal), 1);
    CHECK_OK(wal_can_append(wal, 400, 1));
    harness_release(&append);
    harness_release(&more);
    harness_close(wal);
}

/* ---- With the thread and a loop ---- */

struct looped {
    struct harness_append appends[64];
    unsigned answered;
    bool closed;
};

static void looped_done(struct wal_request *request, struct status status)
{
    struct looped *looped = request->context;
    CHECK_OK(status);
    looped->answered++;
}

static void looped_closed(void *context, struct status status)
{
    CHECK_OK(status);
    ((struct looped *)context)->closed = true;
}

static void test_thread(void **state)
{
    (void)state;
    static struct looped looped;
    uv_loop_t loop;
    CHECK(uv_loop_init(&loop) == 0);
    struct wal_options options = {
        .directory = directory, .loop = &loop, .segment_size = HARNESS_SEGMENT_SIZE};
    struct wal *wal = NULL;
    CHECK_OK(wal_open(&options, &wal));
    CHECK_OK(wal_set_term(wal, 1));
    for (unsigned round = 0; round < 20; round++) {
        looped.answered = 0;
        for (unsigned i = 0; i < 64; i++) {
            struct harness_append *append = &looped.appends[i];
            CHECK_OK(harness_append(wal, append, (uint64_t)round * 64 + i + 1, 1, 1, 200));
            append->request.done = looped_done;
            append->request.context = &looped;
        }
        CHECK_OK(wal_set_vote(wal, round));
        CHECK_U64(looped.answered, 0);
        while (looped.answered < 64) {
            CHECK(uv_run(&loop, UV_RUN_ONCE) != 0);
        }
        for (unsigned i = 0; i < 64; i++) {
            harness_release(&looped.appends[i]);
        }
    }
    /* What is queued is still written and answered by a close. */
    looped.answered = 0;
    CHECK_OK(harness_append(wal, &looped.appends[0], 1281, 1, 1, 200));
    looped.appends[0].request.done = looped_done;
    looped.appends[0].request.context = &looped;
    wal_close(wal, looped_closed, &looped);
    CHECK(!looped.closed);
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) == 0);
    CHECK(looped.closed);
    CHECK_U64(looped.answered, 1);
    harness_release(&looped.appends[0]);
    CHECK(uv_loop_close(&loop) == 0);
    reopen_expect(1, 19, 1, 1281);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_empty, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_entries, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_group_commit, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_truncate, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_snapshot, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_install, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_bootstrap, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_two_openers, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_limits, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_thread, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
