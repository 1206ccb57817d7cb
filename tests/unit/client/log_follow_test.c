/*
 * Following files: growth, rotation, truncation, restarts, damaged checkpoints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log_follow.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "scratch.h"

struct place {
    char folder[SCRATCH_PATH_SIZE];
    char log[PATH_MAX];
    char old[PATH_MAX];
    char older[PATH_MAX];
    char checkpoint[PATH_MAX];
};

static void place_make(struct place *place)
{
    scratch_make(place->folder);
    snprintf(place->log, sizeof(place->log), "%s/mail.log", place->folder);
    snprintf(place->old, sizeof(place->old), "%s/mail.log.1", place->folder);
    snprintf(place->older, sizeof(place->older), "%s/mail.log.2", place->folder);
    snprintf(place->checkpoint, sizeof(place->checkpoint), "%s/mail.log.0-state", place->folder);
}

/* Times are set, not taken: files made within one tick of the clock still have an order. */
static void write_file(const char *path, const char *text, int flags, time_t at_s)
{
    int file = open(path, O_WRONLY | O_CREAT | flags, 0600);
    CHECK(file >= 0);
    CHECK(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    struct timespec times[2] = {{.tv_sec = at_s}, {.tv_sec = at_s}};
    CHECK(futimens(file, times) == 0);
    close(file);
}

static struct log_follow *open_follow(const struct place *place, const char *expected_context)
{
    struct log_follow *follow = NULL;
    struct buffer context = {0};
    CHECK_OK(log_follow_open(place->log, place->checkpoint, &context, &follow));
    CHECK_SLICE(buffer_slice(&context), slice_of(expected_context));
    buffer_release(&context);
    return follow;
}

/* Everything there is now, as one text. */
static void check_reads(struct log_follow *follow, const char *expected)
{
    struct buffer all = {0};
    struct slice chunk;
    do {
        uint64_t before = log_follow_position(follow);
        CHECK_OK(log_follow_read(follow, &chunk));
        CHECK_U64(log_follow_position(follow), before + chunk.size);
        CHECK(chunk.size == 0 || buffer_append(&all, chunk.data, chunk.size));
    } while (chunk.size > 0);
    CHECK_SLICE(buffer_slice(&all), slice_of(expected));
    buffer_release(&all);
}

static void test_growth_and_rotation(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    write_file(place.log, "one\n", 0, 100);
    struct log_follow *follow = open_follow(&place, NULL);
    check_reads(follow, "one\n");
    check_reads(follow, "");
    write_file(place.log, "two\n", O_APPEND, 110);
    check_reads(follow, "two\n");

    /* Written after our last read, before the new file: not lost. The open line is ended. */
    write_file(place.log, "three", O_APPEND, 120);
    CHECK(rename(place.log, place.old) == 0);
    check_reads(follow, "three");
    write_file(place.log, "", O_EXCL, 125);
    check_reads(follow, "");
    write_file(place.log, "four\n", O_APPEND, 130);
    check_reads(follow, "\nfour\n");
    CHECK_U64(log_follow_counts(follow)->rotations, 1);
    CHECK_U64(log_follow_counts(follow)->gaps, 0);
    log_follow_close(follow);
    scratch_remove(place.folder);
}

static void test_truncation(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    write_file(place.log, "one\ntwo\n", 0, 100);
    struct log_follow *follow = open_follow(&place, NULL);
    check_reads(follow, "one\ntwo\n");
    write_file(place.log, "uno\n", O_TRUNC, 110);
    check_reads(follow, ""); /* Begun again; the next read has it. */
    check_reads(follow, "uno\n");
    /* Longer than before at once: only its first bytes tell. */
    write_file(place.log, "a longer text than what stood there\n", O_TRUNC, 120);
    check_reads(follow, "");
    check_reads(follow, "a longer text than what stood there\n");
    CHECK_U64(log_follow_counts(follow)->truncations, 2);
    log_follow_close(follow);
    scratch_remove(place.folder);
}

static void test_restart(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    write_file(place.log, "one\ntwo\n", 0, 100);
    struct log_follow *follow = open_follow(&place, NULL);
    check_reads(follow, "one\ntwo\n");
    CHECK_OK(log_follow_save(follow, 4, slice_of("context")));
    log_follow_close(follow);

    follow = open_follow(&place, "context");
    CHECK_U64(log_follow_position(follow), 4);
    check_reads(follow, "two\n");
    log_follow_close(follow);

    /* Rotated twice while we were away, and a compressed neighbour that is not read. */
    char compressed[PATH_MAX];
    snprintf(compressed, sizeof(compressed), "%.4000s/mail.log.3.gz", place.folder);
    write_file(compressed, "\x1f\x8b", 0, 105);
    CHECK(rename(place.log, place.older) == 0);
    write_file(place.old, "three\n", 0, 110);
    write_file(place.log, "four\n", 0, 120);
    follow = open_follow(&place, "context");
    check_reads(follow, "two\nthree\nfour\n");
    CHECK_U64(log_follow_counts(follow)->gaps, 0);

    /* A checkpoint in the middle file, whose successor is known by then. */
    CHECK_OK(log_follow_save(follow, 8 + 2, slice_of("more")));
    log_follow_close(follow);
    follow = open_follow(&place, "more");
    check_reads(follow, "ree\nfour\n");
    log_follow_close(follow);

    /* Its file is gone: on with the next, and say so. */
    CHECK(unlink(place.old) == 0);
    follow = open_follow(&place, "more");
    check_reads(follow, "four\n");
    CHECK_U64(log_follow_counts(follow)->gaps, 1);
    log_follow_close(follow);
    scratch_remove(place.folder);
}

static void test_reused_inode_is_another_file(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    write_file(place.log, "one\ntwo\n", 0, 100);
    struct log_follow *follow = open_follow(&place, NULL);
    check_reads(follow, "one\ntwo\n");
    CHECK_OK(log_follow_save(follow, 8, slice_of("context")));
    log_follow_close(follow);
    write_file(place.log, "other bytes\n", O_TRUNC, 110);
    follow = open_follow(&place, "context");
    check_reads(follow, "other bytes\n");
    CHECK_U64(log_follow_counts(follow)->gaps, 1);
    log_follow_close(follow);
    scratch_remove(place.folder);
}

static void check_open_fails(const struct place *place, const char *log, enum status_code code)
{
    struct log_follow *follow = NULL;
    struct buffer context = {0};
    CHECK_CODE(log_follow_open(log, place->checkpoint, &context, &follow), code);
    CHECK(follow == NULL);
    buffer_release(&context);
}

static void test_refusals(void **state)
{
    (void)state;
    struct place place;
    place_make(&place);
    check_row("no file");
    check_open_fails(&place, place.log, STATUS_NOT_FOUND);
    check_row("a folder");
    check_open_fails(&place, place.folder, STATUS_INVALID);
    check_row("compressed");
    write_file(place.old, "\x1f\x8b\x08", 0, 100);
    check_open_fails(&place, place.old, STATUS_INVALID);
    check_row("in use");
    write_file(place.log, "one\n", 0, 100);
    struct log_follow *follow = open_follow(&place, NULL);
    check_open_fails(&place, place.log, STATUS_BUSY);
    CHECK_OK(log_follow_save(follow, 0, slice_of("context")));
    log_follow_close(follow);
    scratch_remove(place.folder);
}

/* Any byte of a checkpoint that changes, or is missing, is noticed: never a silent fresh start. */
static void test_damaged_checkpoint(void **state)
{
    (void)state;
    struct place place;
    char bytes[512];
    place_make(&place);
    write_file(place.log, "one\n", 0, 100);
    struct log_follow *follow = open_follow(&place, NULL);
    CHECK_OK(log_follow_save(follow, 0, slice_of("context")));
    log_follow_close(follow);
    int file = open(place.checkpoint, O_RDWR);
    ssize_t size = pread(file, bytes, sizeof(bytes), 0);
    CHECK(size > 0 && size < (ssize_t)sizeof(bytes));
    for (ssize_t i = 0; i < size; i++) {
        char spoilt = (char)(bytes[i] ^ 1);
        CHECK(pwrite(file, &spoilt, 1, i) == 1);
        check_open_fails(&place, place.log, STATUS_CORRUPT);
        CHECK(pwrite(file, &bytes[i], 1, i) == 1);
    }
    for (ssize_t i = size - 1; i >= 0; i--) {
        CHECK(ftruncate(file, i) == 0);
        check_open_fails(&place, place.log, STATUS_CORRUPT);
    }
    /* Whole, by its checksum, and not of this kind. */
    int other = snprintf(bytes, sizeof(bytes), "muster-feed checkpoint 1\n%08xother",
                         crc32c(0, slice_of("other")));
    CHECK(pwrite(file, bytes, (size_t)other, 0) == other);
    check_open_fails(&place, place.log, STATUS_CORRUPT);
    close(file);
    scratch_remove(place.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth_and_rotation),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_reused_inode_is_another_file),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
