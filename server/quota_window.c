/*
 * Calls by minutes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "quota_window.h"

#define MINUTE_MS 60000U

void quota_window_add(struct quota_window *window, uint64_t now_ms)
{
    uint64_t minute = now_ms / MINUTE_MS;
    uint64_t passed = minute - window->minute;
    for (uint64_t i = 1; i <= passed && i <= QUOTA_WINDOW_MINUTES; i++) {
        window->counts[(window->minute + i) % QUOTA_WINDOW_MINUTES] = 0;
    }
    window->minute = minute;
    window->counts[minute % QUOTA_WINDOW_MINUTES]++;
}

uint64_t quota_window_sum(const struct quota_window *window, uint64_t now_ms)
{
    uint64_t passed = now_ms / MINUTE_MS - window->minute;
    uint64_t sum = 0;
    for (uint64_t back = 0; back + passed < QUOTA_WINDOW_MINUTES && back <= window->minute;
         back++) {
        sum += window->counts[(window->minute - back) % QUOTA_WINDOW_MINUTES];
    }
    return sum;
}
