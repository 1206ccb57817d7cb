/*
 * Damaged data: a flipped bit anywhere in the data file is found, or is nowhere in the state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_fixture.h"
#include "store_state.h"

#define PATH_SIZE (SCRATCH_PATH_SIZE + 32)
#define RECORDS 400
#define FLIPS 300

static char *read_file(const char *path, size_t *size)
{
    struct stat info;
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &info) == 0);
    char *bytes = malloc((size_t)info.st_size);
    CHECK(bytes != NULL && read(fd, bytes, (size_t)info.st_size) == info.st_size);
    CHECK(close(fd) == 0);
    *size = (size_t)info.st_size;
    return bytes;
}

static void write_file(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    CHECK(close(fd) == 0);
}

/* A store as an orderly stop leaves it, and its file's bytes. */
struct sample {
    struct fixture fixture;
    char path[PATH_SIZE];
    char *bytes;
    size_t size;
    struct store_digest digest;
};

static void sample_open(struct sample *sample)
{
    struct fixture *fixture = &sample->fixture;
    fixture_open(fixture);
    fixture_form(fixture);
    for (uint64_t i = 1; i <= RECORDS; i++) {
        CHECK_U64(fixture_apply(fixture, record_command(i)), REFUSAL_NONE);
        if (i % 16 == 0) {
            CHECK_OK(store_flush(fixture->store));
        }
    }
    CHECK_OK(store_digest_deep(fixture->store, &sample->digest));
    CHECK_OK(store_sync(fixture->store));
    store_close(fixture->store);
    fixture->store = NULL;
    (void)snprintf(sample->path, sizeof sample->path, "%s/data.mdb", fixture->directory);
    sample->bytes = read_file(sample->path, &sample->size);
}

static void sample_close(struct sample *sample)
{
    free(sample->bytes);
    write_file(sample->path, "", 0);
    (void)unlink(sample->path);
    CHECK_OK(store_open(&sample->fixture.options, &sample->fixture.store));
    fixture_close(&sample->fixture);
}

static struct status verify(struct sample *sample)
{
    struct store_report report;
    return store_verify(&sample->fixture.options, &report);
}

static void test_whole(void **state)
{
    struct sample sample;
    struct store_report report;
    (void)state;
    sample_open(&sample);
    CHECK_OK(store_verify(&sample.fixture.options, &report));
    CHECK(report.rows > (uint64_t)2 * RECORDS && report.bytes > report.rows);
    CHECK_U64(report.applied_index, sample.digest.index);
    sample_close(&sample);
}

/* What a verified file holds is the state as it was, or, when the flip made the newer of LMDB's two
 * roots invalid, the state of the commit before, which the log makes up for. And it can be written
 * to: what comes after is whole, too. */
static bool is_harmless(struct sample *sample)
{
    struct fixture *fixture = &sample->fixture;
    struct store_digest now;
    CHECK_OK(store_open(&fixture->options, &fixture->store));
    CHECK_OK(store_digest_deep(fixture->store, &now));
    for (uint64_t i = RECORDS + 1; i <= RECORDS + 8; i++) {
        CHECK_U64(fixture_apply(fixture, record_command(i)), REFUSAL_NONE);
        CHECK_OK(store_flush(fixture->store));
    }
    store_close(fixture->store);
    fixture->store = NULL;
    CHECK_OK(verify(sample));
    return now.index < sample->digest.index ||
           (now.index == sample->digest.index &&
            memcmp(now.bytes, sample->digest.bytes, sizeof now.bytes) == 0);
}

static void test_flipped_bits(void **state)
{
    struct sample sample;
    uint64_t random = 7;
    size_t found = 0;
    (void)state;
    sample_open(&sample);
    for (int i = 0; i < FLIPS; i++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t at = (size_t)(random >> 16U) % sample.size;
        if (i < 64) {
            at = (size_t)(random >> 16U) % 8192; /* LMDB's two roots. */
        }
        char row[64];
        (void)snprintf(row, sizeof row, "bit %u of byte %zu", (unsigned)(random >> 13U & 7U), at);
        check_row(row);
        sample.bytes[at] ^= (char)(1U << (random >> 13U & 7U));
        write_file(sample.path, sample.bytes, sample.size);
        sample.bytes[at] ^= (char)(1U << (random >> 13U & 7U));
        if (failed(verify(&sample))) {
            found++;
        } else {
            CHECK(is_harmless(&sample));
        }
    }
    print_message("%zu of %d flips were found, the others are in no state\n", found, FLIPS);
    CHECK(found > FLIPS / 4);
    sample_close(&sample);
}

static void test_cut_and_gone(void **state)
{
    struct sample sample;
    (void)state;
    sample_open(&sample);
    static const size_t parts[] = {0, 1, 4095, 4096, 12288};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        write_file(sample.path, sample.bytes, parts[i]);
        CHECK(failed(verify(&sample)));
    }
    write_file(sample.path, sample.bytes, sample.size / 2);
    CHECK_CODE(verify(&sample), STATUS_CORRUPT);
    CHECK(unlink(sample.path) == 0);
    CHECK_CODE(verify(&sample), STATUS_NOT_FOUND);
    sample_close(&sample);
}

/* Find a record's body in the file, and change a byte of it. */
static size_t spoil_record(struct sample *sample, const char *needle)
{
    char *at = memmem(sample->bytes, sample->size, needle, strlen(needle));
    CHECK(at != NULL);
    while (at != NULL) { /* Every copy: older ones lie in free pages. */
        *at ^= 1;
        at = memmem(sample->bytes, sample->size, needle, strlen(needle));
    }
    write_file(sample->path, sample->bytes, sample->size);
    return 0;
}

/* Never answered, never applied, remembered; and the scrub comes by it. */
static void test_read(void **state)
{
    struct sample sample;
    struct fixture *fixture = &sample.fixture;
    struct store_scrub scrub = {0};
    struct codec_list pending;
    (void)state;
    sample_open(&sample);
    struct command command = record_command(RECORDS);
    const struct record_put *record = command.body.records_put.records.items;
    char needle[128];
    CHECK(slice_to_text(record->body, needle, sizeof needle));
    (void)spoil_record(&sample, needle);
    CHECK_CODE(verify(&sample), STATUS_CORRUPT);

    CHECK_OK(store_open(&fixture->options, &fixture->store));
    CHECK_OK(store_damage(fixture->store));
    CHECK_CODE(store_outbox(fixture->store, &fixture->arena, 0, RECORDS, 1U << 20U, &pending),
               STATUS_CORRUPT);
    CHECK(store_damage(fixture->store).code == STATUS_CORRUPT);
    struct status status = OK;
    for (int i = 0; i < 10000 && !failed(status) && scrub.rounds == 0; i++) {
        status = store_scrub(fixture->store, &scrub, 1000);
    }
    CHECK_CODE(status, STATUS_CORRUPT);
    store_close(fixture->store);
    fixture->store = NULL;
    sample_close(&sample);
}

static void test_scrub_whole(void **state)
{
    struct fixture fixture;
    struct store_scrub scrub = {0};
    uint64_t rows = 0;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    for (uint64_t i = 1; i <= RECORDS; i++) {
        CHECK_U64(fixture_apply(&fixture, record_command(i)), REFUSAL_NONE);
    }
    CHECK_OK(store_flush(fixture.store));
    struct store_report report;
    CHECK_OK(store_verify(&fixture.options, &report));
    for (int i = 0; i < 10000 && scrub.rounds < 2; i++) {
        CHECK_OK(store_scrub(fixture.store, &scrub, 777));
        rows = scrub.rounds == 1 && rows == 0 ? scrub.rows : rows;
    }
    CHECK_U64(scrub.rounds, 2);
    CHECK_U64(rows, report.rows);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_cut_and_gone), cmocka_unit_test(test_read),
        cmocka_unit_test(test_scrub_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
