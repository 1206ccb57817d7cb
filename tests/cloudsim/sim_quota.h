/*
 * The quota of an organisation: at most `limit` requests in any window, rolling. KNOWN: 8,000 per
 * 60 minutes, shared by all its clients.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_QUOTA_H
#define SIM_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_QUOTA_LIMIT 8000
#define SIM_QUOTA_WINDOW_S 3600
#define SIM_QUOTA_LIMIT_MAX 1000000

struct sim_quota {
    uint64_t *taken_ms; /* A ring of `limit` times. */
    size_t limit;
    size_t oldest;
    size_t used;
    uint64_t window_ms;
};

/* `limit` is 1 to SIM_QUOTA_LIMIT_MAX. Forgets what was used before. */
void sim_quota_set(struct sim_quota *quota, size_t limit, uint64_t window_ms);

/* Take one. False when none is left; `*retry_after_s` then says when there is one again. */
bool sim_quota_take(struct sim_quota *quota, uint64_t now_ms, uint64_t *retry_after_s);

size_t sim_quota_remaining(const struct sim_quota *quota);

void sim_quota_release(struct sim_quota *quota);

#endif
