/*
 * How many calls were made to the cloud within the last hour, which is the window of the organisation's
 * quota: counted by minutes, so that it forgets a minute at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_QUOTA_WINDOW_H
#define SERVER_QUOTA_WINDOW_H

#include <stdint.h>

#define QUOTA_WINDOW_MINUTES 60U

/* Zero-initialised is empty. Times are monotonic. */
struct quota_window {
    uint64_t minute; /* Of the newest count. */
    uint64_t counts[QUOTA_WINDOW_MINUTES];
};

void quota_window_add(struct quota_window *window, uint64_t now_ms);
uint64_t quota_window_sum(const struct quota_window *window, uint64_t now_ms);

#endif
