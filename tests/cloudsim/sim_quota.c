/*
 * The rolling window.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_quota.h"

#include <assert.h>
#include <stdlib.h>

#include "sim_map.h"

void sim_quota_set(struct sim_quota *quota, size_t limit, uint64_t window_ms)
{
    assert(limit > 0 && limit <= SIM_QUOTA_LIMIT_MAX);
    sim_quota_release(quota);
    *quota = (struct sim_quota){
        .taken_ms = sim_alloc(limit * sizeof quota->taken_ms[0]),
        .limit = limit,
        .window_ms = window_ms,
    };
}

bool sim_quota_take(struct sim_quota *quota, uint64_t now_ms, uint64_t *retry_after_s)
{
    while (quota->used > 0 && quota->taken_ms[quota->oldest] + quota->window_ms <= now_ms) {
        quota->oldest = (quota->oldest + 1) % quota->limit;
        quota->used--;
    }
    if (quota->used == quota->limit) {
        uint64_t left_ms = quota->taken_ms[quota->oldest] + quota->window_ms - now_ms;
        *retry_after_s = (left_ms + 999) / 1000;
        return false;
    }
    quota->taken_ms[(quota->oldest + quota->used) % quota->limit] = now_ms;
    quota->used++;
    return true;
}

size_t sim_quota_remaining(const struct sim_quota *quota)
{
    return quota->limit - quota->used;
}

void sim_quota_release(struct sim_quota *quota)
{
    free(quota->taken_ms);
    *quota = (struct sim_quota){0};
}
