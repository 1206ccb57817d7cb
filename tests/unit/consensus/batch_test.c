/*
 * Batches: what is written is read again, and nothing else is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "batch.h"

static struct slice commands[BATCH_COUNT_MAX];

static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t count;
        size_t size;
    } rows[] = {
        {"one byte", 1, 1},
        {"fills its last word", 1, 4},
        {"several", 7, 13},
        {"as many as there can be", BATCH_COUNT_MAX, 3},
    };
    static const char text[] = "abcdefghijklmnop";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        for (size_t k = 0; k < rows[i].count; k++) {
            commands[k] = (struct slice){.data = text + k % 3, .size = rows[i].size};
        }
        size_t size = batch_size(rows[i].count, rows[i].count * rows[i].size);
        CHECK_U64(size % 8, 0);
        char *bytes = malloc(size);
        CHECK(bytes != NULL);
        batch_encode(commands, rows[i].count, bytes);
        size_t count = 0;
        CHECK_OK(batch_decode((struct slice){.data = bytes, .size = size}, commands, &count));
        CHECK_U64(count, rows[i].count);
        for (size_t k = 0; k < count; k++) {
            CHECK_SLICE(commands[k], ((struct slice){.data = text + k % 3, .size = rows[i].size}));
        }
        free(bytes);
    }
}

/* For ever: entries lie in logs. */
static void test_golden(void **state)
{
    (void)state;
    static const char expected[] = "\x01\0\0\0\x02\0\0\0\x03\0\0\0\x02\0\0\0abcde\0\0\0";
    char bytes[24];
    commands[0] = slice_of("abc");
    commands[1] = slice_of("de");
    CHECK_U64(batch_size(2, 5), sizeof bytes);
    batch_encode(commands, 2, bytes);
    CHECK_SLICE(((struct slice){.data = bytes, .size = sizeof bytes}),
                ((struct slice){.data = expected, .size = sizeof bytes}));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        unsigned char bytes[24];
    } rows[] = {
        {"empty", 0, {0}},
        {"no header", 4, {1}},
        {"not a multiple of 8", 20, {1, 0, 0, 0, 1, 0, 0, 0, 8}},
        {"another version", 16, {2, 0, 0, 0, 1, 0, 0, 0, 4}},
        {"a byte that must be zero", 16, {1, 1, 0, 0, 1, 0, 0, 0, 4}},
        {"no commands", 16, {1}},
        {"more commands than bytes", 16, {1, 0, 0, 0, 9, 0, 0, 0, 4}},
        {"more commands than there can be", 16, {1, 0, 0, 0, 255, 255, 255, 255, 4}},
        {"an empty command", 16, {1, 0, 0, 0, 1, 0, 0, 0, 0}},
        {"a command beyond the end", 16, {1, 0, 0, 0, 1, 0, 0, 0, 5}},
        {"a command far beyond the end", 16, {1, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255}},
        {"padding that is not zero", 16, {1, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c', 1}},
        {"a word left over", 24, {1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 'a', 'b', 'c', 'd'}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t count = 0;
        check_row(rows[i].name);
        CHECK_CODE(batch_decode((struct slice){.data = rows[i].bytes, .size = rows[i].size},
                                commands, &count),
                   STATUS_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
