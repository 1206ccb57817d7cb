/*
 * The count of an hour's calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "quota_window.h"

#include "scratch.h"

#define MINUTE UINT64_C(60000)

static void test_window(void **state)
{
    static const struct {
        const char *name;
        uint64_t at_ms;
        unsigned added;
        uint64_t sum;
    } rows[] = {
        {"nothing yet", 1000 * MINUTE, 0, 0},
        {"three", 1000 * MINUTE, 3, 3},
        {"two more in the same minute", 1000 * MINUTE + 59999, 2, 5},
        {"one some minutes later", 1010 * MINUTE, 1, 6},
        {"the hour is not over", 1059 * MINUTE, 0, 6},
        {"the first minute is forgotten", 1060 * MINUTE, 0, 1},
        {"one, as it is added", 1060 * MINUTE, 1, 2},
        {"all are forgotten", 1200 * MINUTE, 0, 0},
        {"and it begins anew", 1200 * MINUTE, 4, 4},
    };
    struct quota_window window = {0};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        for (unsigned n = 0; n < rows[i].added; n++) {
            quota_window_add(&window, rows[i].at_ms);
        }
        CHECK_U64(quota_window_sum(&window, rows[i].at_ms), rows[i].sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_window)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
