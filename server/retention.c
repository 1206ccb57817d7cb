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
        daemon->retention.next_at_ms = clock_monotonic_ms() + RETENTION_EVERY_MS;
        log_event(LOG_LEVEL_NOTICE, "nothing was trimmed, will be tried again",
                  log_text("error", status.message));
    }
}

/* False if no more records are kept than may be; otherwise `command` is the next step. */
static bool surplus_of_records(struct daemon *daemon, struct arena *arena, struct command *command)
{
    struct export_view view;
    if (failed(store_export(daemon->store, arena, &view)) ||
        view.retained <= daemon->config.records_max) {
        return false;
    }
    uint64_t surplus = view.retained - daemon->config.records_max;
    *command = (struct command){
        .type = COMMAND_RECORDS_TRIM,
        .body.records_trim.sequence =
            view.oldest_sequence + (surplus < RETENTION_BATCH ? surplus : RETENTION_BATCH),
    };
    return true;
}

/* The same of the audit. As each trimming adds a line, a tenth goes at a time. */
static bool surplus_of_audit(struct daemon *daemon, struct command *command)
{
    struct audit_extent extent;
    uint64_t most = daemon->config.audit_max;
    store_audit_extent(daemon->store, &extent);
    daemon->retention.trimming_audit =
        extent.line_count > most ||
        (daemon->retention.trimming_audit && extent.line_count > most - most / 10);
    if (!daemon->retention.trimming_audit) {
        return false;
    }
    *command = (struct command){
        .type = COMMAND_AUDIT_TRIM,
        .body.audit_trim.sequence = extent.trimmed + extent.line_count - (most - most / 10),
    };
    return true;
}

void retention_step(struct retention *retention, struct daemon *daemon)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct arena arena = {0};
    struct command command;
    if (!daemon_leads(daemon) || retention->proposing || now_ms < retention->next_at_ms) {
        return;
    }
    if (surplus_of_records(daemon, &arena, &command) || surplus_of_audit(daemon, &command)) {
        retention->proposing = !failed(daemon_propose(daemon, &command, on_trimmed, daemon));
    }
    /* While there is more to let go, at once when this has gone. */
    retention->next_at_ms = retention->proposing ? now_ms : now_ms + RETENTION_EVERY_MS;
    arena_release(&arena);
}
