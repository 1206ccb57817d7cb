/*
 * The skim, by rows: sound values of every kind, and each way to be refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/skim.h"

#include "scratch.h"

static const struct skim_limits limits = {.size_max = 64, .depth_max = 3, .values_max = 8};

#define BYTES(text)                                                                                \
    {                                                                                              \
        .data = (text), .size = sizeof(text) - 1                                                   \
    }

static void test_rows(void **state)
{
    static const struct {
        const char *name;
        struct slice bytes;
        enum skim_result result;
        size_t size;
    } rows[] = {
        {"nothing", BYTES(""), SKIM_PARTIAL, 0},
        {"small number", BYTES("\x07"), SKIM_COMPLETE, 1},
        {"negative number", BYTES("\xff"), SKIM_COMPLETE, 1},
        {"nil and more", BYTES("\xc0\xc0"), SKIM_COMPLETE, 1},
        {"uint 64", BYTES("\xcf\0\0\0\0\0\0\0\1"), SKIM_COMPLETE, 9},
        {"uint 64, cut", BYTES("\xcf\0\0\0"), SKIM_PARTIAL, 0},
        {"text",
         BYTES("\xa3"
               "abc"),
         SKIM_COMPLETE, 4},
        {"text, length only", BYTES("\xd9"), SKIM_PARTIAL, 0},
        {"empty array", BYTES("\x90"), SKIM_COMPLETE, 1},
        {"empty array within", BYTES("\x92\x90\x01"), SKIM_COMPLETE, 3},
        {"map", BYTES("\x81\x01\x92\x02\x03"), SKIM_COMPLETE, 5},
        {"map, cut", BYTES("\x81\x01"), SKIM_PARTIAL, 0},
        {"depth at its limit", BYTES("\x91\x91\x91\x01"), SKIM_COMPLETE, 4},
        {"too deep", BYTES("\x91\x91\x91\x91\x01"), SKIM_TOO_DEEP, 0},
        {"count at its limit", BYTES("\x97\1\1\1\1\1\1\1"), SKIM_COMPLETE, 8},
        {"too many", BYTES("\x98"), SKIM_TOO_MANY, 0},
        {"five bytes that ask for gigabytes", BYTES("\xdd\xff\xff\xff\xff"), SKIM_TOO_MANY, 0},
        {"map of gigabytes", BYTES("\xdf\xff\xff\xff\xff"), SKIM_TOO_MANY, 0},
        {"text of gigabytes", BYTES("\xdb\xff\xff\xff\xff"), SKIM_TOO_LARGE, 0},
        {"bytes at the size limit", BYTES("\xc4\x3e"), SKIM_PARTIAL, 0},
        {"bytes over the size limit", BYTES("\xc4\x3f"), SKIM_TOO_LARGE, 0},
        {"never used", BYTES("\xc1"), SKIM_INVALID, 0},
        {"extension", BYTES("\xd4\x01\x01"), SKIM_INVALID, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t size = 0;
        check_row(rows[i].name);
        CHECK_U64(skim_value(rows[i].bytes, &limits, &size), rows[i].result);
        CHECK_U64(size, rows[i].size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
