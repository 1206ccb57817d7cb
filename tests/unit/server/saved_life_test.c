/*
 * Saved lives on disk: their notes, which lineages are saved ones and in which order, and that what
 * was acknowledged is found in one though the process died before its state was flushed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "saved_life.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon_harness.h"
#include "scratch.h"
#include "sealed_file.h"

#define NOW_MS UINT64_C(1800000000000)
#define RECORD_COUNT 7

static void test_notes(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 16];
    struct saved_note found;
    const struct saved_note note = {.submit = true,
                                    .looked = true,
                                    .saved_at_ms = 4,
                                    .undelivered = 5,
                                    .phase = SAVED_DEAD_LETTERS,
                                    .sequence = 6,
                                    .given = 3};
    (void)state;
    scratch_make(folder);
    CHECK_OK(saved_note_read(folder, &found));
    CHECK(!found.looked && !found.submit);
    CHECK_OK(saved_note_write(folder, &note));
    CHECK_OK(saved_note_read(folder, &found));
    CHECK(found.submit && found.looked && found.saved_at_ms == 4 && found.undelivered == 5 &&
          found.phase == SAVED_DEAD_LETTERS && found.sequence == 6 && found.given == 3);
    (void)snprintf(path, sizeof path, "%s/saved", folder);
    CHECK(truncate(path, 10) == 0);
    CHECK_CODE(saved_note_read(folder, &found), STATUS_CORRUPT);
    CHECK_OK(sealed_file_write(path, slice_of("no note")));
    CHECK_CODE(saved_note_read(folder, &found), STATUS_CORRUPT);
    saved_note_remove(folder);
    CHECK_OK(saved_note_read(folder, &found));
    scratch_remove(folder);
}

static void test_has_records(void **state)
{
    static const struct {
        const char *name;
        struct saved_note note;
        bool has;
    } rows[] = {
        {"not looked at", {.looked = false}, true},
        {"none", {.looked = true}, false},
        {"some", {.looked = true, .undelivered = 1}, true},
        {"some are given", {.looked = true, .undelivered = 2, .given = 1, .submit = true}, true},
        {"all are given", {.looked = true, .undelivered = 2, .phase = SAVED_DONE}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct saved_life life = {.note = rows[i].note};
        check_row(rows[i].name);
        CHECK_U64(saved_life_has_records(&life), rows[i].has);
    }
}

/* Stage a life; `begun`: it was lived in. */
static void stage(const char *folder, bool bootstrap, bool begun, struct identity *out)
{
    char log[IDENTITY_PATH_SIZE + 8];
    *out = (struct identity){0};
    CHECK_OK(identity_make_standalone((struct slice){0}, "mx1", NOW_MS, out));
    out->bootstrap = bootstrap;
    CHECK_OK(identity_stage(folder, "", out));
    (void)snprintf(log, sizeof log, "%s/log", out->path);
    CHECK(!begun || mkdir(log, 0700) == 0);
}

static void set_begun(const struct identity *identity, time_t seconds)
{
    char path[IDENTITY_PATH_SIZE + 16];
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    (void)snprintf(path, sizeof path, "%s/identity", identity->path);
    CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

/* Not the life in use, nor one of a cluster, one that is left for good, one that never began. */
static void test_list(void **state)
{
    enum { OLD, NEW, JOINED, NEVER, LEFT, COUNT };
    char folder[SCRATCH_PATH_SIZE];
    struct identity current = {0};
    struct identity others[COUNT];
    struct saved_life lives[SAVED_LIVES_MAX];
    size_t count = 0;
    (void)state;
    scratch_make(folder);
    CHECK_OK(identity_open(folder, "", "mx1", NOW_MS, &current));
    for (int i = 0; i < COUNT; i++) {
        stage(folder, i != JOINED, i != NEVER, &others[i]);
    }
    set_begun(&others[OLD], 1000);
    set_begun(&others[NEW], 2000);
    (void)snprintf(current.left, sizeof current.left, "%s", others[LEFT].lineage);
    const struct saved_note note = {.looked = true, .undelivered = 9};
    CHECK_OK(saved_note_write(others[NEW].path, &note));
    CHECK_OK(saved_life_list(folder, &current, lives, &count));
    CHECK_U64(count, 2);
    assert_string_equal(lives[0].lineage, others[OLD].lineage);
    assert_string_equal(lives[1].lineage, others[NEW].lineage);
    CHECK(!lives[0].note.looked);
    CHECK_U64(lives[1].note.undelivered, 9);
    for (int i = 0; i < COUNT; i++) {
        identity_release(&others[i]);
    }
    identity_release(&current);
    scratch_remove(folder);
}

static void submit(const struct daemon_harness *node)
{
    struct message_record records[RECORD_COUNT];
    struct arena arena = {0};
    struct rpc_submitted submitted = {0};
    struct connection_error error = {0};
    for (size_t i = 0; i < RECORD_COUNT; i++) {
        records[i] = (struct message_record){
            .serial = slice_of("SERIAL-s"),
            .mid = i + 1,
            .revision = 1,
            .start_ms = NOW_MS,
            .last_ms = NOW_MS,
            .disposition = slice_of("delivered"),
        };
    }
    const struct rpc_submit params = {.feed = slice_of("test"),
                                      .records = {.items = records, .count = RECORD_COUNT}};
    const struct connection_request request = {.method = RPC_RECORDS_SUBMIT, .params = &params};
    CHECK_U64(daemon_harness_ask(node, &request, &arena, &submitted, &error), 0);
    CHECK_U64(submitted.accepted, RECORD_COUNT);
    arena_release(&arena);
}

static uint64_t pending_in(struct store *store)
{
    struct arena arena = {0};
    struct export_view export;
    CHECK_OK(store_export(store, &arena, &export));
    arena_release(&arena);
    return export.pending;
}

/* What LMDB alone has: the control, without which the test of the log would prove nothing. */
static uint64_t pending_flushed(const struct saved_life *life)
{
    char path[IDENTITY_PATH_SIZE + 8];
    struct store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/store", life->path);
    const struct store_options options = {
        .directory = path, .map_size_max = 256U << 20U, .outbox_max = 1000};
    CHECK_OK(store_open(&options, &store));
    uint64_t pending = pending_in(store);
    store_close(store);
    return pending;
}

static void test_killed_before_it_was_flushed(void **state)
{
    struct daemon_harness node;
    struct identity none = {0};
    struct saved_life lives[SAVED_LIVES_MAX];
    struct store *store = NULL;
    size_t count = 0;
    (void)state;
    daemon_harness_make(&node, "s");
    CHECK_OK(config_set(&node.config, "flush_delay_ms", "1000"));
    daemon_harness_start(&node);
    submit(&node);
    daemon_harness_kill(&node);
    CHECK_OK(saved_life_list(node.config.data_directory, &none, lives, &count));
    CHECK_U64(count, 1);
    CHECK(pending_flushed(&lives[0]) < RECORD_COUNT);
    for (int again = 0; again < 2; again++) {
        CHECK_OK(saved_life_open(&lives[0], &node.config, &store));
        CHECK_U64(pending_in(store), RECORD_COUNT);
        store_close(store);
    }
    CHECK_U64(pending_flushed(&lives[0]), RECORD_COUNT);
    daemon_harness_release(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_has_records),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_killed_before_it_was_flushed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
