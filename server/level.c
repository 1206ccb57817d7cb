/*
 * Raising the cluster's level.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "level.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon.h"

#define LEVEL_EVERY_MS 1000

static void on_raised(void *argument, struct status status, struct apply_outcome outcome)
{
    struct daemon *daemon = argument;
    daemon->level.proposing = false;
    if (failed(status) || outcome.refusal != REFUSAL_NONE) {
        log_event(LOG_LEVEL_NOTICE, "the level was not raised, will be tried again",
                  log_text("error", failed(status)
                                        ? status.message
                                        : refusal_reason((enum refusal)outcome.refusal)));
    }
}

/* The highest level that all members know; 0 without any. */
static uint64_t known_to_all(const struct codec_list *members)
{
    const struct member *member = members->items;
    uint64_t lowest = 0;
    bool any = false;
    for (size_t i = 0; i < members->count; i++) {
        if (member[i].standing != STANDING_REMOVED) {
            lowest = !any || member[i].level < lowest ? member[i].level : lowest;
            any = true;
        }
    }
    return lowest;
}

void level_step(struct level_worker *worker, struct daemon *daemon)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct arena arena = {0};
    struct cluster_view cluster;
    struct codec_list members;
    if (!daemon_leads(daemon) || worker->proposing || now_ms < worker->next_at_ms) {
        return;
    }
    worker->next_at_ms = now_ms + LEVEL_EVERY_MS;
    struct status status = store_cluster(daemon->store, &arena, &cluster);
    if (!failed(status)) {
        status = store_members(daemon->store, &arena, &members);
    }
    if (!failed(status) && known_to_all(&members) > cluster.level) {
        const struct command command = {
            .type = COMMAND_LEVEL_RAISE,
            .body.level_raise = {.level = known_to_all(&members)},
        };
        worker->proposing = !failed(daemon_propose(daemon, &command, on_raised, daemon));
    }
    arena_release(&arena);
}
