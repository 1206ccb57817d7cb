/*
 * Retention.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "retention.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon.h"

#define RETENTION_EVERY_MS 1000
#define RETENTION_BATCH 2000 /* Records a command lets go: a few ms of apply. */

static void on_trimmed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct daemon *daemon = argument;
    (void)outcome;
    daemon->retention.proposing = false;
    if (failed(status)) {
        log_event(LOG_LEVEL_NOTICE, "records were not trimmed, will be tried again",
                  log_text("error", status.message));
    }
}

void retention_step(struct retention *retention, struct daemon *daemon)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct arena arena = {0};
    struct export_view view;
    if (!daemon_leads(daemon) || retention->proposing || now_ms < retention->next_at_ms) {
        return;
    }
    retention->next_at_ms = now_ms + RETENTION_EVERY_MS;
    struct status status = store_export(daemon->store, &arena, &view);
    if (!failed(status) && view.retained > daemon->config.records_max) {
        uint64_t surplus = view.retained - daemon->config.records_max;
        uint64_t batch = surplus < RETENTION_BATCH ? surplus : RETENTION_BATCH;
        const struct command command = {
            .type = COMMAND_RECORDS_TRIM,
            .body.records_trim = {.sequence = view.oldest_sequence + batch},
        };
        status = daemon_propose(daemon, &command, on_trimmed, daemon);
        retention->proposing = !failed(status);
        retention->next_at_ms = surplus > batch ? now_ms : retention->next_at_ms;
    }
    arena_release(&arena);
}
