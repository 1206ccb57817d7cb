/*
 * The write-ahead log against damaged files, failing calls and a full disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/fault.h"
#include "base/hex.h"
#include "sim_disk.h"
#include "wal_format.h"
#include "wal_harness.h"

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
    (void)fault_reset();
    scratch_remove(directory);
    return 0;
}

/* ---- Files ---- */

static size_t file_read(const char *name, uint8_t *out, size_t size)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_RDONLY);
    ssize_t got = file < 0 ? -1 : read(file, out, size);
    CHECK(got >= 0);
    (void)close(file);
    return (size_t)got;
}

static void file_write(const char *name, const uint8_t *bytes, size_t size)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    (void)close(file);
}

/* The file with this ending whose name sorts last, or first. */
static void file_find(const char *ending, bool last, char out[DISK_NAME_SIZE])
{
    out[0] = '\0';
    DIR *opened = opendir(directory);
    for (struct dirent *entry = opened == NULL ? NULL : readdir(opened); entry != NULL;
         entry = readdir(opened)) {
        const char *dot = strchr(entry->d_name, '.');
        bool fits = dot != NULL && strcmp(dot, ending) == 0;
        if (fits && (out[0] == '\0' || (strcmp(entry->d_name, out) > 0) == last)) {
            (void)snprintf(out, DISK_NAME_SIZE, "%.*s", DISK_NAME_SIZE - 1, entry->d_name);
        }
    }
    if (opened != NULL) {
        (void)closedir(opened);
    }
    CHECK(out[0] != '\0');
}

static struct wal *open_log(void)
{
    struct wal *wal = NULL;
    CHECK_OK(harness_open(directory, NULL, &wal));
    return wal;
}

/* ---- The format is for ever ---- */

/* A log of term 2, vote 3 and the entries "format", "number1" as wal_format.h has it: salt 7 ^ 2. */
static void test_golden(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *hex;
    } rows[] = {
        {0, "6d7573747257414c0100000000800000020000000000000005000000000000000000000000000000"},
        {4092, "e26a1d6a"},
        {4096, "11b5d23ddfcce6861800000001000000001000000000000001000000000000000000000000000000"},
        {4136, "000000000000000000000000000000000000000000000000"},
        {4160, "7577d608b1c100e40000000003000000401000000000000000000000000000000200000000000000"},
        {4200, "51a94ce0b1c100e40000000003000000681000000000000003000000000000000200000000000000"},
        {4240, "958d6b5d645e55170800000002000100901000000000000001000000000000000200000000000000dd7"
               "bc9b30a45e97b"},
        {4288, "ef737758f1d1ee2d0800000002000100901000000000000002000000000000000200000000000000956"
               "ab61b3959e55a"},
        {4336, "04eb1f3cb1c100e40000000006000000f01000000000000000000000000000000000000000000000"},
        {4376, "00000000000000000000000000000000000000000000000000000000000000000000000000000000"},
    };
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 2));
    CHECK_OK(wal_set_vote(wal, 3));
    CHECK_OK(harness_append_now(wal, 1, 2, 2, 8));
    harness_close(wal);
    static uint8_t bytes[HARNESS_SEGMENT_SIZE];
    CHECK_U64(file_read("0000000000000002.wal", bytes, sizeof bytes), HARNESS_SEGMENT_SIZE);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char hex[160] = "";
        for (size_t k = 0; k < strlen(rows[i].hex) / 2; k++) {
            (void)snprintf(hex + 2 * k, 3, "%02x", bytes[rows[i].at + k]);
        }
        CHECK_SLICE(slice_of(hex), slice_of(rows[i].hex));
    }
}

/* Of a snapshot: 64 bytes of header, a configuration of one voter, 16 bytes of manifest. */
static void test_golden_snapshot(void **state)
{
    (void)state;
    static const char expected[] =
        "6d75737472534e500100000001000000020000000000000002000000000000000100000000000000"
        "0f000000100000000000000000000000000000004f35385d070000000000000001000300683a3177"
        "686174207761732073796e6365642e";
    static uint8_t bytes[65536];
    char manifest[] = "what was synced.";
    struct raft_buffer buffer = {.base = manifest, .len = sizeof manifest - 1};
    struct raft_snapshot snapshot = {
        .index = 2, .term = 2, .configuration_index = 1, .bufs = &buffer, .n_bufs = 1};
    raft_configuration_init(&snapshot.configuration);
    CHECK(raft_configuration_add(&snapshot.configuration, 7, "h:1", RAFT_VOTER) == 0);
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 2));
    CHECK_OK(harness_append_now(wal, 1, 2, 2, 8));
    CHECK_OK(harness_put(wal, &snapshot, 100));
    raft_configuration_close(&snapshot.configuration);
    harness_close(wal);
    (void)file_read("0000000000000002.snapshot", bytes, sizeof bytes);
    char hex[sizeof expected] = "";
    hex_encode((struct slice){.data = bytes, .size = sizeof expected / 2}, hex);
    CHECK_SLICE(slice_of(hex), slice_of(expected));
}

static void test_other_version(void **state)
{
    (void)state;
    harness_close(open_log());
    static uint8_t bytes[HARNESS_SEGMENT_SIZE];
    char name[DISK_NAME_SIZE];
    file_find(".wal", true, name);
    (void)file_read(name, bytes, sizeof bytes);
    struct wal_header header;
    CHECK_OK(wal_header_decode(bytes, &header));
    bytes[8]++;
    wal_put_u32(bytes + 4092, crc32c(0, (struct slice){.data = bytes, .size = 4092}));
    file_write(name, bytes, sizeof bytes);
    struct wal *wal = NULL;
    struct status status = harness_open(directory, NULL, &wal);
    CHECK_CODE(status, STATUS_INVALID);
    CHECK(strstr(status.message, "format version 2") != NULL);
}

/* ---- Damage ---- */

/* Several segments, a snapshot, and an orderly close. */
static void make_log(bool snapshot)
{
    struct wal *wal = open_log();
    CHECK_OK(wal_set_term(wal, 1));
    CHECK_OK(harness_append_now(wal, 1, 1, 60, 400));
    CHECK_OK(harness_append_now(wal, 61, 1, 60, 400));
    CHECK_OK(harness_append_now(wal, 121, 1, 3, 400));
    if (snapshot) {
        CHECK_OK(harness_snapshot(wal, 20, 1, 1000));
        CHECK_OK(harness_snapshot(wal, 100, 1, 1000));
    }
    CHECK_OK(wal_set_vote(wal, 2));
    harness_close(wal);
}

/* Open; true if everything is there. A failure must be STATUS_CORRUPT and name the file. */
static bool opens_whole(const char *name)
{
    struct wal *wal = NULL;
    struct status status = harness_open(directory, NULL, &wal);
    if (failed(status)) {
        CHECK_CODE(status, STATUS_CORRUPT);
        CHECK(name == NULL || strstr(status.message, name) != NULL);
        return false;
    }
    harness_expect(wal, 1, 2, 1, 123);
    harness_close(wal);
    return true;
}

/* Where acknowledged bytes of a segment end: the offset after its last record. */
static size_t segment_end(const uint8_t *bytes, size_t size)
{
    struct wal_header header;
    struct wal_record record;
    CHECK_OK(wal_header_decode(bytes, &header));
    size_t at = WAL_HEADER_SIZE;
    while (wal_record_decode(&header, (struct slice){.data = bytes, .size = size}, at, &record)) {
        at += wal_record_size(record.payload.size);
    }
    return at;
}

static void test_flipped_bits(void **state)
{
    (void)state;
    static uint8_t bytes[HARNESS_SEGMENT_SIZE];
    for (int last = 0; last < 2; last++) {
        scratch_remove(directory);
        scratch_make(directory);
        make_log(false);
        char name[DISK_NAME_SIZE];
        file_find(".wal", last == 1, name);
        size_t size = file_read(name, bytes, sizeof bytes);
        size_t end = segment_end(bytes, size);
        /* The CLOSE of the newest segment vouches for all but itself. */
        size_t vouched = last == 1 ? end - WAL_RECORD_SIZE : end;
        for (size_t at = 0; at < size; at += at < 4400 ? 37 : 211) {
            check_row(last == 1 ? "newest segment" : "oldest segment");
            bytes[at] ^= 0x10;
            file_write(name, bytes, size);
            bytes[at] ^= 0x10;
            CHECK(opens_whole(name) == (at >= vouched));
            /* An open that succeeded wrote on; bring the file back. */
            file_write(name, bytes, size);
        }
    }
}

/* The segment of a disk that has one. */
static struct sim_file *segment_of(struct sim_disk *sim)
{
    size_t at = 0;
    while (sim->live[at].file < 0 || strstr(sim->live[at].name, ".wal") == NULL) {
        at++;
        CHECK(at < SIM_DISK_FILES_MAX);
    }
    return &sim->files[sim->live[at].file];
}

/* How many entries the log on a copy of this disk holds with one bit of this byte changed; 0 if it
 * refuses. */
static uint64_t count_flipped(const struct sim_disk *sim, size_t at)
{
    static struct sim_disk copy;
    struct wal *wal = NULL;
    struct wal_stats stats = {0};
    sim_disk_copy(sim, &copy);
    segment_of(&copy)->live[at] ^= (uint8_t)(1U << at % 8);
    struct status status = harness_open(NULL, &copy.disk, &wal);
    if (failed(status)) {
        CHECK_CODE(status, STATUS_CORRUPT);
    } else {
        wal_stats(wal, &stats);
        harness_close(wal);
    }
    sim_disk_release(&copy);
    return stats.last_index;
}

/* The last write of a log that was closed in order is many entries, whose records vouch for nothing
 * but what was before that write. The mark behind them does: without it, as after kill -9, damage to
 * them looks like a torn write, and is cut. */
static void test_flipped_last_write(void **state)
{
    (void)state;
    static struct sim_disk closed;
    static struct sim_disk killed;
    struct wal *wal = NULL;
    sim_disk_init(&closed, 1);
    CHECK_OK(harness_open(NULL, &closed.disk, &wal));
    CHECK_OK(harness_append_now(wal, 1, 1, 1, 24));
    size_t write_at = segment_end(segment_of(&closed)->live, HARNESS_SEGMENT_SIZE);
    CHECK_OK(harness_append_now(wal, 2, 1, 20, 24));
    sim_disk_copy(&closed, &killed);
    harness_close(wal);
    size_t end = segment_end(segment_of(&killed)->live, HARNESS_SEGMENT_SIZE);
    CHECK_U64(segment_end(segment_of(&closed)->live, HARNESS_SEGMENT_SIZE), end + WAL_RECORD_SIZE);
    for (size_t at = WAL_HEADER_SIZE; at < end + WAL_RECORD_SIZE; at++) {
        CHECK_U64(count_flipped(&closed, at), at < end ? 0 : 21);
        uint64_t left = count_flipped(&killed, at);
        CHECK(at < write_at ? left == 0 : at < end ? left > 0 && left < 21 : left == 21);
    }
    sim_disk_release(&killed);
    sim_disk_release(&closed);
}

/* A disk that refuses the mark takes nothing else away, and it is said. */
static void test_close_fails(void **state)
{
    (void)state;
    static const enum fault_point points[] = {FAULT_WAL_WRITE, FAULT_WAL_SYNC};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct wal *wal = open_log();
        CHECK_OK(harness_append_now(wal, 1 + 5 * i, 1, 5, 200));
        fault_arm(points[i], 0, 1);
        struct status status = harness_try_close(wal);
        CHECK(failed(status) && strstr(status.message, "orderly end") != NULL);
        CHECK(fault_reset() == 1);
        wal = open_log();
        harness_expect(wal, 0, 0, 1, 5 + 5 * i);
        CHECK_OK(harness_try_close(wal));
    }
}

static void test_truncated_files(void **state)
{
    (void)state;
    static uint8_t bytes[HARNESS_SEGMENT_SIZE];
    make_log(false);
    char name[DISK_NAME_SIZE];
    for (int last = 0; last < 2; last++) {
        file_find(".wal", last == 1, name);
        size_t size = file_read(name, bytes, sizeof bytes);
        static const size_t sizes[] = {0, 100, 4096, 5000, HARNESS_SEGMENT_SIZE - 1};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            file_write(name, bytes, sizes[i]);
            CHECK(!opens_whole(name));
        }
        file_write(name, bytes, size);
        CHECK(opens_whole(NULL));
    }
    char path[128];
    file_find(".wal", false, name);
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    CHECK(unlink(path) == 0);
    CHECK(!opens_whole(NULL));
}

static void test_damaged_snapshot(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    make_log(true);
    char name[DISK_NAME_SIZE];
    file_find(".snapshot", true, name);
    size_t size = file_read(name, bytes, sizeof bytes);
    for (size_t at = 0; at < 64 + 23 + 120; at += 7) {
        bytes[at] ^= 1;
        file_write(name, bytes, size);
        bytes[at] ^= 1;
        struct wal *wal = open_log();
        struct wal_loaded loaded;
        wal_load(wal, &loaded);
        CHECK(loaded.snapshot_damaged);
        CHECK_U64(loaded.snapshot->index, 20);
        CHECK_U64(loaded.entry_count, 123);
        wal_loaded_release(&loaded);
        harness_close(wal);
    }
    /* With the log cut behind it there is nothing to fall back to. */
    file_write(name, bytes, size);
    struct wal *wal = open_log();
    CHECK_OK(harness_snapshot(wal, 200, 1, 0));
    harness_close(wal);
    file_find(".snapshot", true, name);
    size = file_read(name, bytes, sizeof bytes);
    bytes[80] ^= 1;
    file_write(name, bytes, size);
    CHECK(!opens_whole(name));
}

/* A torn write: records that were never synced are cut, whichever of their sectors are there. */
static void test_torn_tail(void **state)
{
    (void)state;
    static uint8_t bytes[HARNESS_SEGMENT_SIZE];
    static uint8_t torn[HARNESS_SEGMENT_SIZE];
    char name[DISK_NAME_SIZE];
    struct wal *wal = open_log();
    CHECK_OK(harness_append_now(wal, 1, 1, 5, 200));
    file_find(".wal", true, name);
    (void)file_read(name, bytes, sizeof bytes);
    size_t end = segment_end(bytes, sizeof bytes);
    CHECK_OK(harness_append_now(wal, 6, 1, 20, 200));
    (void)file_read(name, torn, sizeof torn);
    size_t torn_end = segment_end(torn, sizeof torn);
    harness_close(wal);
    for (size_t lost = end / 512; lost * 512 < torn_end; lost++) {
        /* One sector of the last write is missing. */
        memcpy(bytes, torn, sizeof bytes);
        size_t from = lost * 512 < end ? end : lost * 512;
        memset(bytes + from, 0, (lost + 1) * 512 - from);
        file_write(name, bytes, sizeof bytes);
        struct wal_loaded loaded;
        wal = open_log();
        wal_load(wal, &loaded);
        CHECK(loaded.entry_count >= 5 && loaded.entry_count < 25);
        uint64_t next = loaded.entry_count + 1;
        wal_loaded_release(&loaded);
        /* What is written now is not mixed up with what lay behind the gap. */
        CHECK_OK(harness_append_now(wal, next, 2, 1, 200));
        harness_close(wal);
        wal = open_log();
        harness_expect(wal, 0, 0, 1, next);
        harness_close(wal);
        scratch_remove(directory);
        CHECK(mkdir(directory, 0700) == 0);
    }
}

/* Files that lived before: their old records are there, and are nobody's. */
static void test_recycled(void **state)
{
    (void)state;
    struct wal *wal = open_log();
    uint64_t next = 1;
    for (int round = 0; round < 40; round++) {
        CHECK_OK(harness_append_now(wal, next, 1, 30, 400));
        next += 30;
        CHECK_OK(harness_snapshot(wal, next - 5, 1, 10));
        if (round % 7 == 3) {
            harness_close(wal);
            wal = open_log();
        }
    }
    struct wal_stats stats;
    wal_stats(wal, &stats);
    CHECK(stats.disk_size <= 12 * (uint64_t)HARNESS_SEGMENT_SIZE);
    uint64_t first = stats.first_index;
    harness_close(wal);
    wal = open_log();
    harness_expect(wal, 0, 0, first, next - 1);
    harness_close(wal);
}

/* ---- Failing calls ---- */

struct tally {
    uint64_t term;     /* Answered. */
    uint64_t last;     /* Answered. */
    uint64_t term_max; /* Asked for. */
    uint64_t last_max; /* Asked for. */
    uint64_t snapshot; /* Asked for. */
};

static struct status run_script(struct wal *wal, struct tally *tally)
{
    for (uint64_t round = 1; round <= 6; round++) {
        tally->term_max = round;
        struct status status = wal_set_term(wal, round);
        if (failed(status)) {
            return status;
        }
        tally->term = round;
        tally->last_max = tally->last + 25;
        status = harness_append_now(wal, tally->last + 1, round, 25, 500);
        if (failed(status)) {
            return status;
        }
        tally->last += 25;
        tally->snapshot = tally->last - 3;
        status = harness_snapshot(wal, tally->snapshot, round, 20);
        if (failed(status)) {
            return status;
        }
    }
    return OK;
}

/* Every later call fails with the first reason. */
static void check_poisoned(struct wal *wal)
{
    struct status failure = wal_failure(wal);
    if (!failed(failure)) {
        return;
    }
    struct harness_append append;
    CHECK_CODE(wal_set_vote(wal, 1), failure.code);
    CHECK_CODE(wal_truncate(wal, 1000), STATUS_INVALID);
    CHECK_CODE(wal_can_append(wal, 8, 1), failure.code);
    struct status status = harness_append(wal, &append, 1, 1, 1, 8);
    CHECK_CODE(status, failure.code);
    CHECK(strstr(status.message, failure.message) != NULL);
    harness_release(&append);
}

/* After a run that failed somewhere: what was answered is there, and nothing that was not asked. */
static void check_survived(const struct tally *tally)
{
    struct wal *wal = open_log();
    struct wal_loaded loaded;
    wal_load(wal, &loaded);
    uint64_t last = loaded.start_index + loaded.entry_count - 1;
    CHECK(loaded.term >= tally->term && loaded.term <= tally->term_max);
    CHECK(last >= tally->last && last <= tally->last_max);
    for (size_t k = 0; k < loaded.entry_count; k++) {
        uint64_t index = loaded.start_index + k;
        CHECK(harness_matches(&loaded.entries[k], index, (index + 24) / 25));
    }
    wal_loaded_release(&loaded);
    harness_close(wal);
}

/* One run in which the given visit fails; false if it met no fault. */
static bool torture_once(enum fault_point point, int visit)
{
    scratch_remove(directory);
    CHECK(mkdir(directory, 0700) == 0);
    struct tally tally = {0};
    struct wal *wal = NULL;
    fault_arm(point, visit, 1);
    struct status status = harness_open(directory, NULL, &wal);
    if (!failed(status)) {
        status = run_script(wal, &tally);
    }
    bool met = fault_reset() > 0;
    CHECK(met || !failed(status));
    if (wal != NULL) {
        check_poisoned(wal);
        harness_close(wal);
    }
    check_survived(&tally);
    return met;
}

static void test_torture(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum fault_point point;
    } rows[] = {
        {"write", FAULT_WAL_WRITE},
        {"sync", FAULT_WAL_SYNC},
        {"allocate", FAULT_WAL_ALLOCATE},
        {"rename", FAULT_WAL_RENAME},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        int visits = 0;
        while (torture_once(rows[i].point, visits)) {
            visits++;
        }
        print_message("%s: %d visits\n", rows[i].name, visits);
        CHECK(visits > 5);
    }
}

/* ---- A full disk ---- */

static void test_full(void **state)
{
    (void)state;
    static struct sim_disk sim;
    sim_disk_init(&sim, 1);
    sim.capacity = 6 * HARNESS_SEGMENT_SIZE + 3 * 65536;
    struct wal *wal = NULL;
    CHECK_OK(harness_open(NULL, &sim.disk, &wal));
    CHECK_OK(wal_set_term(wal, 1));
    uint64_t next = 1;
    struct status status = OK;
    while (!failed(status)) {
        status = harness_append_now(wal, next, 1, 1, 1000);
        next += !failed(status);
        CHECK(next < 1000);
    }
    CHECK_CODE(status, STATUS_FULL);
    CHECK_CODE(wal_can_append(wal, 1000, 1), STATUS_FULL);
    CHECK_OK(wal_failure(wal));
    struct wal_stats stats;
    wal_stats(wal, &stats);
    CHECK(stats.low);
    CHECK_U64(stats.reserve_count, 1);
    /* Term, vote and truncation have the reserve. */
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_OK(wal_set_vote(wal, i));
    }
    CHECK_OK(wal_truncate(wal, next - 1));
    CHECK_OK(harness_snapshot(wal, next - 2, 1, 4));
    next--;
    /* The snapshot gave space back. */
    CHECK_OK(harness_append_now(wal, next, 1, 1, 1000));
    wal_stats(wal, &stats);
    CHECK(!stats.low);
    harness_close(wal);
    CHECK_OK(harness_open(NULL, &sim.disk, &wal));
    harness_expect(wal, 1, 99, stats.first_index, next);
    harness_close(wal);
    sim_disk_release(&sim);
}

/* A leader elected on a full disk writes its barrier into the reserve; others find no room there. */
static void test_full_takes_barrier(void **state)
{
    (void)state;
    static struct sim_disk sim;
    sim_disk_init(&sim, 1);
    sim.capacity = 6 * HARNESS_SEGMENT_SIZE + 3 * 65536;
    struct wal *wal = NULL;
    CHECK_OK(harness_open(NULL, &sim.disk, &wal));
    uint64_t next = 1;
    while (!failed(harness_append_now(wal, next, 1, 1, 1000))) {
        next++;
    }
    uint64_t nothing = 0;
    for (int i = 0; i < 50; i++) { /* More than the last segment has room for besides. */
        const struct raft_entry barrier = {
            .term = 1, .type = RAFT_BARRIER, .buf = {.base = &nothing, .len = sizeof nothing}};
        struct harness_append append = {.request = {.context = &append}};
        CHECK_OK(harness_append_entry(wal, &append, &barrier));
        next++;
    }
    CHECK_CODE(harness_append_now(wal, next, 1, 1, 1000), STATUS_FULL);
    CHECK_OK(wal_failure(wal));
    harness_close(wal);
    struct wal_stats stats;
    CHECK_OK(harness_open(NULL, &sim.disk, &wal));
    wal_stats(wal, &stats);
    CHECK_U64(stats.last_index, next - 1);
    harness_close(wal);
    sim_disk_release(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_golden, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_golden_snapshot, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_other_version, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_flipped_bits, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_flipped_last_write, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_close_fails, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_truncated_files, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_damaged_snapshot, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_torn_tail, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_recycled, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_torture, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_full, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_full_takes_barrier, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
