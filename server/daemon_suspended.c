/*
 * The daemon while it is suspended: how it comes to be, the probes of the data folder, and the way
 * back. Times and words are suspension.c's.
 *
 *     running ──daemon_fail──► everything closes ──► a suspended run ──probe succeeds──► it closes ──► running
 *                                                      │        ▲                                 (or suspended
 *                                                      └─probe──┘                                  once more)
 *
 * Each arrow between runs closes the doors for the moment that it takes to open them again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon_parts.h"
#include "rebuild.h"

struct probe {
    uv_work_t work;
    struct daemon *daemon;
    char folder[CONFIG_TEXT_SIZE];
    char log[IDENTITY_PATH_SIZE + 16]; /* The log's folder; empty: not known. */
    uint64_t margin;                   /* Bytes, besides what the log needs. */
    struct status status;
    enum suspension_kind kind;
};

/* ---- Becoming suspended ---- */

void daemon_suspend(struct daemon *daemon, enum suspension_kind kind, struct status reason)
{
    struct suspension *suspension = daemon->suspension;
    suspension_begin(suspension, kind, reason, clock_now_ms(), clock_monotonic_ms());
    log_event(LOG_LEVEL_ERROR, "this node takes no part for now",
              log_text("kind", suspension_kind_name(kind)), log_text("reason", reason.message),
              log_text("remedy", suspension_remedy(kind)),
              log_u64("next_try_s", suspension->next_try_ms == 0 ? 0 : suspension->wait_ms / 1000));
    if (daemon->phase == DAEMON_SUSPENDED) {
        return; /* For another reason, behind the same doors. */
    }
    daemon->fatal = true;
    if (daemon->phase == DAEMON_STARTING) {
        daemon->restart = true;
    }
    daemon_stop(daemon, true, "suspended");
}

static enum suspension_kind kind_of(struct daemon *daemon, struct status reason)
{
    struct store_size size = {0};
    if (reason.code == STATUS_FULL && daemon->store != NULL) {
        store_size(daemon->store, &size);
    }
    return size.full ? SUSPENSION_STORE_FULL
                     : suspension_kind_of(reason, daemon->config.data_directory);
}

void daemon_fail(struct daemon *daemon, struct status reason)
{
    if (daemon->fatal) {
        return; /* The first reason is the one that matters. */
    }
    if (suspension_suits(reason)) {
        enum suspension_kind kind = kind_of(daemon, reason);
        if (kind == SUSPENSION_DAMAGED) {
            rebuild_mark(daemon, reason, 0);
        }
        daemon_suspend(daemon, kind, reason);
        return;
    }
    log_event(LOG_LEVEL_ERROR, "this node can no longer take part and stops",
              log_text("reason", reason.message), log_text("code", status_name(reason.code)));
    daemon->exit_code = 1;
    daemon->fatal = true;
    daemon_stop(daemon, false, "fatal");
}

/* ---- The way back ---- */

static void probe_run(uv_work_t *work)
{
    struct probe *probe = work->data;
    uint64_t needed = consensus_space_needed(probe->log[0] == '\0' ? NULL : probe->log);
    probe->status = suspension_probe(probe->folder, needed + probe->margin, &probe->kind);
}

static void probe_on_done(uv_work_t *work, int status)
{
    struct probe *probe = work->data;
    struct daemon *daemon = probe->daemon;
    struct suspension *suspension = daemon->suspension;
    daemon->probe = NULL;
    if (daemon->phase != DAEMON_SUSPENDED || status != 0) {
        free(probe);
        return;
    }
    if (failed(probe->status)) {
        suspension_put_off(suspension, probe->status, probe->kind, clock_monotonic_ms());
        log_event(LOG_LEVEL_WARNING, "still suspended",
                  log_text("kind", suspension_kind_name(suspension->kind)),
                  log_text("reason", probe->status.message));
    } else {
        suspension_try(suspension);
        daemon_stop(daemon, true, "the data folder can be used again");
    }
    free(probe);
}

void daemon_retry(struct daemon *daemon)
{
    if (daemon->phase != DAEMON_SUSPENDED || daemon->probe != NULL) {
        return;
    }
    struct probe *probe = alloc_zeroed(1, sizeof *probe);
    if (probe == NULL) {
        return; /* Tried again in time. */
    }
    probe->daemon = daemon;
    probe->work.data = probe;
    probe->margin = daemon->disk.reserve / 2; /* Else it could take nothing from a leader. */
    memcpy(probe->folder, daemon->config.data_directory, sizeof probe->folder);
    if (daemon->identity.path[0] != '\0') {
        (void)snprintf(probe->log, sizeof probe->log, "%s/log", daemon->identity.path);
    }
    if (uv_queue_work(daemon->loop, &probe->work, probe_run, probe_on_done) != 0) {
        free(probe);
        return;
    }
    daemon->probe = probe;
}

void daemon_suspended_tick(struct daemon *daemon, uint64_t now_ms)
{
    const struct suspension *suspension = daemon->suspension;
    if (daemon->rebuild != NULL) {
        rebuild_on_tick(daemon->rebuild, now_ms);
    }
    daemon_look_at_disk(daemon);
    if (suspension->next_try_ms != 0 && now_ms >= suspension->next_try_ms) {
        daemon_retry(daemon);
    }
}
