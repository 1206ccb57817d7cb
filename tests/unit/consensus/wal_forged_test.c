/*
 * Logs whose checksums fit and whose content makes no sense: refused, and not believed. And the snapshot
 * that is the last good one. Found by tests/fuzz/wal_fuzz.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wal_format.h"
#include "wal_harness.h"

static char directory[SCRATCH_PATH_SIZE];
static uint8_t bytes[HARNESS_SEGMENT_SIZE];

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

static void check_corrupt(void)
{
    struct wal *wal = NULL;
    CHECK_CODE(harness_open(directory, NULL, &wal), STATUS_CORRUPT);
}

/* The file as a whole: read into `bytes`, or written from them. */
static void whole(const char *name, bool written)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_RDWR | O_CREAT, 0600);
    ssize_t size =
        written ? pwrite(file, bytes, sizeof bytes, 0) : pread(file, bytes, sizeof bytes, 0);
    CHECK(file >= 0 && size == (ssize_t)sizeof bytes);
    (void)close(file);
}

/* Change a record of the segment in `bytes`, from `*at` on the first of this type. */
static void find(struct wal_header *header, enum wal_record_type type, struct wal_record *out,
                 size_t *at)
{
    struct slice all = {.data = bytes, .size = sizeof bytes};
    CHECK_OK(wal_header_decode(bytes, header));
    *at = WAL_HEADER_SIZE;
    while (wal_record_decode(header, all, *at, out) && out->type != type) {
        *at += wal_record_size(out->payload.size);
    }
    CHECK_U64(out->type, type);
}

static void test_entry_type(void **state)
{
    static const uint16_t types[] = {0, RAFT_CHANGE + 1, UINT16_MAX};
    (void)state;
    struct wal_header header;
    struct wal_record record;
    size_t at = 0;
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 2));
    CHECK_OK(harness_append_now(wal, 1, 2, 1, 8));
    harness_close(wal);
    whole("0000000000000002.wal", false);
    find(&header, WAL_RECORD_ENTRY, &record, &at);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        record.entry_type = types[i];
        wal_record_encode(&header, (uint32_t)at, &record, bytes + at);
        whole("0000000000000002.wal", true);
        check_corrupt();
    }
}

/* A segment that says it follows another, and not where that one ended. */
static void test_begin_without_end(void **state)
{
    (void)state;
    struct wal_header header;
    struct wal_record record;
    struct wal_begin begin;
    uint8_t payload[WAL_BEGIN_PAYLOAD_SIZE];
    char name[DISK_NAME_SIZE] = "";
    size_t at = 0;
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 2));
    CHECK_OK(harness_append_now(wal, 1, 2, 12, 4000));
    harness_close(wal);
    /* The second segment: of the few files there may be, the one whose BEGIN names another. */
    for (unsigned number = 1; number < 16 && name[0] == '\0'; number++) {
        char path[128];
        char tried[DISK_NAME_SIZE];
        (void)snprintf(tried, sizeof tried, "%016x.wal", number);
        (void)snprintf(path, sizeof path, "%s/%s", directory, tried);
        if (access(path, F_OK) == 0) {
            whole(tried, false);
            find(&header, WAL_RECORD_BEGIN, &record, &at);
            CHECK(wal_begin_decode(record.payload, &begin));
            memcpy(name, begin.previous_sequence != 0 ? tried : name, sizeof name);
        }
    }
    CHECK(name[0] != '\0');
    begin.previous_end = 0;
    wal_begin_encode(&begin, payload);
    record.payload = (struct slice){.data = payload, .size = sizeof payload};
    wal_record_encode(&header, (uint32_t)at, &record, bytes + at);
    memcpy(bytes + at + WAL_RECORD_SIZE, payload, sizeof payload);
    whole(name, true);
    check_corrupt();
}

/* The two newest do not verify, and the one before them does: it is not removed. */
static void test_third_snapshot(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 1));
    CHECK_OK(harness_append_now(wal, 1, 1, 20, 8));
    CHECK_OK(harness_snapshot(wal, 10, 1, 0));
    harness_close(wal);
    memset(bytes, 7, sizeof bytes);
    whole("000000000000000b.snapshot", true);
    whole("000000000000000c.snapshot", true);
    for (int i = 0; i < 3; i++) {
        struct wal_loaded loaded;
        wal = open_log();
        wal_load(wal, &loaded);
        CHECK(loaded.snapshot_damaged && loaded.snapshot != NULL);
        CHECK_U64(loaded.snapshot->index, 10);
        wal_loaded_release(&loaded);
        harness_close(wal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entry_type, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_begin_without_end, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_third_snapshot, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
