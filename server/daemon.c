/*
 * The daemon's life:
 *
 *     open identity, store, consensus, cloud, doors
 *          │
 *     RUNNING ──signal, leave, join, fatal──► DRAINING ──► HANDING OVER ──► CLOSING ──► gone
 *                                             cloud and     a leader lets    everything
 *                                             calls         another lead     is closed
 *
 * A fatal failure goes to CLOSING at once, and the daemon begins anew SUSPENDED (daemon_suspended.c):
 * without consensus, behind the same doors. Stopping again changes nothing, except that a stop for
 * good (a signal) wins over a restart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "daemon_parts.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "announce.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/tls.h"
#include "call.h"
#include "checkup.h"
#include "comparer.h"
#include "doubt.h"
#include "forward.h"
#include "join.h"
#include "leave.h"
#include "membership_worker.h"
#include "neighbours.h"
#include "rebuild.h"
#include "recoverer.h"
#include "renewal.h"
#include "resetter.h"
#include "restorer.h"
#include "retention.h"
#include "rpc_server.h"
#include "saved.h"
#include "snapshotter.h"

#define DRAIN_MS 2000 /* For calls under way when the daemon stops. */
#define HAND_OVER_AFTER_MS                                                                         \
    500 /* A leader lets go by then, whatever the cloud still answers: its late
                                  calls bear keys that make them harmless (rule 4). */

void daemon_on_fatal(void *context, struct status reason)
{
    daemon_fail(context, reason);
}

/* ---- The loop's regular work ---- */

void daemon_on_flush_timer(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    struct status status = store_flush(daemon->store);
    if (failed(status) && !daemon->fatal) {
        daemon_on_fatal(daemon, wrap(status, "commit"));
    }
}

/* Who was removed is cut off at once, at every door. */
static void review_callers(struct daemon *daemon)
{
    uint64_t version = store_callers_version(daemon->store);
    if (version != daemon->callers_version) {
        daemon->callers_version = version;
        rpc_server_review(daemon->rpc_server);
        consensus_review(daemon->consensus);
    }
}

/* Once per turn of the loop, after everything that arrived in it was handled. */
static void on_check(uv_check_t *check)
{
    struct daemon *daemon = check->data;
    if (!daemon->applied || daemon->phase != DAEMON_RUNNING) {
        return;
    }
    daemon->applied = false;
    key_step(&daemon->key, clock_monotonic_ms());
    cloud_on_applied(daemon->cloud);
    membership_step(daemon->membership);
    joiner_on_applied(daemon->joiner);
    review_callers(daemon);
}

static void close_parts(struct daemon *daemon);
static void on_drained(void *context);

/* A read came upon it, whoever asked. */
static void look_for_damage(struct daemon *daemon)
{
    struct status damage = store_damage(daemon->store);
    if (failed(damage) && daemon->phase == DAEMON_RUNNING) {
        daemon_fail(daemon, damage);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    call_sweep(daemon, now_ms);
    rpc_server_sweep(daemon->rpc_server, now_ms);
    if (daemon->forwarder != NULL) {
        forwarder_sweep(daemon->forwarder, now_ms);
    }
    if (daemon->phase == DAEMON_RUNNING) {
        if (daemon->initialise && daemon_leads(daemon)) {
            daemon_initialise(daemon);
        }
        membership_step(daemon->membership);
        retention_step(&daemon->retention, daemon);
        audit_journal_step(&daemon->audit_journal, daemon);
        renewal_step(&daemon->renewal, daemon);
        level_step(&daemon->level, daemon);
        key_step(&daemon->key, now_ms);
        doubt_on_tick(daemon->doubt);
        announcer_on_tick(daemon->announcer);
        neighbours_on_tick(daemon->neighbours, now_ms);
        daemon_disk_tick(daemon, now_ms);
        leaver_on_tick(daemon->leaver);
        saved_on_tick(daemon->saved, now_ms);
        snapshotter_sweep(daemon->snapshotter, now_ms);
        rebuild_on_tick(daemon->rebuild, now_ms);
        comparer_on_tick(daemon->comparer, now_ms);
        scrubber_step(&daemon->scrubber, daemon, now_ms);
        look_for_damage(daemon);
    } else if (daemon->phase == DAEMON_SUSPENDED) {
        daemon_suspended_tick(daemon, now_ms);
    } else if (daemon->phase == DAEMON_DRAINING &&
               now_ms > daemon->stopped_at_ms + HAND_OVER_AFTER_MS) {
        on_drained(daemon);
    } else if (daemon->phase == DAEMON_HANDED_OVER &&
               (daemon->call_count == 0 || now_ms > daemon->stopped_at_ms + DRAIN_MS)) {
        close_parts(daemon);
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    if (number == SIGHUP) {
        daemon_retry(signal->data);
        return;
    }
    daemon_stop(signal->data, false, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* ---- Stopping ---- */

static void on_part_closed(void *context)
{
    struct daemon *daemon = context;
    daemon->parts_open--;
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void close_handles(struct daemon *daemon)
{
    uv_handle_t *const handles[] = {
        (uv_handle_t *)&daemon->flush_timer,   (uv_handle_t *)&daemon->tick_timer,
        (uv_handle_t *)&daemon->applied_check, (uv_handle_t *)&daemon->signals[0],
        (uv_handle_t *)&daemon->signals[1],    (uv_handle_t *)&daemon->signals[2],
    };
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        daemon->parts_open++;
        uv_close(handles[i], on_handle_closed);
    }
}

static void on_worker_closed(void *context)
{
    struct daemon *daemon = context;
    daemon->workers_open--;
    if (daemon->workers_open == 0 && daemon->rpc_server != NULL) {
        daemon->parts_open++;
        rpc_server_close(daemon->rpc_server, on_part_closed, daemon);
        daemon->rpc_server = NULL;
    }
}

/*
 * First what answers calls, all at once, for they wait for each other: consensus answers the
 * proposals of the cloud, the joiner and the leaver, whose memory stays until the loop has ended.
 * When all is answered the doors are closed, so that the answers still go out.
 */
static void close_parts(struct daemon *daemon)
{
    daemon->phase = DAEMON_CLOSING;
    close_handles(daemon);
    joiner_stop(daemon->joiner);
    leaver_stop(daemon->leaver);
    saved_stop(daemon->saved);
    recoverer_stop(daemon->recoverer);
    restorer_stop(daemon->restorer);
    doubt_destroy(daemon->doubt);
    announcer_stop(daemon->announcer);
    rebuild_destroy(daemon->rebuild);
    resetter_destroy(daemon->resetter);
    comparer_destroy(daemon->comparer);
    daemon->rebuild = NULL;
    daemon->resetter = NULL;
    daemon->comparer = NULL;
    checkup_stop(daemon->checkup);
    audit_journal_end(&daemon->audit_journal, daemon);
    neighbours_destroy(daemon->neighbours);
    daemon->neighbours = NULL;
    daemon->workers_open++; /* Until all have been asked to close. */
    if (daemon->cloud != NULL) {
        daemon->workers_open++;
        cloud_destroy(daemon->cloud, on_worker_closed, daemon);
    }
    if (daemon->forwarder != NULL) {
        daemon->workers_open++;
        forwarder_close(daemon->forwarder, on_worker_closed, daemon);
    }
    if (daemon->consensus != NULL) {
        daemon->workers_open++;
        consensus_close(daemon->consensus, on_worker_closed, daemon);
    }
    on_worker_closed(daemon);
}

static void on_handed_over(struct membership_change *change, struct status status)
{
    struct daemon *daemon = change->context;
    (void)status; /* It was an offer; the others elect one anyway. */
    daemon->phase = DAEMON_HANDED_OVER;
}

static void on_drained(void *context)
{
    struct daemon *daemon = context;
    if (daemon->phase != DAEMON_DRAINING) {
        return;
    }
    daemon->phase = DAEMON_HANDING_OVER;
    daemon->hand_over.context = daemon;
    if (daemon->event.role != CONSENSUS_LEADER ||
        failed(consensus_transfer(daemon->consensus, 0, 0, &daemon->hand_over, on_handed_over))) {
        daemon->phase = DAEMON_HANDED_OVER;
    }
}

void daemon_stop(struct daemon *daemon, bool restart, const char *reason)
{
    if (daemon->phase > DAEMON_RUNNING) {
        daemon->restart = daemon->restart && restart; /* Who wants it to end for good prevails. */
        return;
    }
    daemon->restart = restart;
    if (daemon->phase == DAEMON_STARTING) {
        daemon->stop_early = true;
        return;
    }
    log_event(LOG_LEVEL_NOTICE, restart ? "restarting" : "stopping", log_text("reason", reason));
    fault_step(FAULT_DAEMON_STOPPING);
    daemon->stopping = true;
    daemon->stopped_at_ms = clock_monotonic_ms();
    rpc_server_drain(daemon->rpc_server);
    if (daemon->fatal || daemon->consensus == NULL) {
        daemon->phase = DAEMON_HANDED_OVER;
        return;
    }
    daemon->phase = DAEMON_DRAINING;
    cloud_drain(daemon->cloud, on_drained, daemon);
}

/* ---- Starting ---- */

static void open_handles(struct daemon *daemon)
{
    (void)uv_timer_init(daemon->loop, &daemon->flush_timer);
    (void)uv_timer_init(daemon->loop, &daemon->tick_timer);
    (void)uv_check_init(daemon->loop, &daemon->applied_check);
    (void)uv_signal_init(daemon->loop, &daemon->signals[0]);
    (void)uv_signal_init(daemon->loop, &daemon->signals[1]);
    (void)uv_signal_init(daemon->loop, &daemon->signals[2]);
    daemon->flush_timer.data = daemon;
    daemon->tick_timer.data = daemon;
    daemon->applied_check.data = daemon;
    daemon->signals[0].data = daemon;
    daemon->signals[1].data = daemon;
    daemon->signals[2].data = daemon;
    (void)uv_signal_start(&daemon->signals[0], on_signal, SIGTERM);
    (void)uv_signal_start(&daemon->signals[1], on_signal, SIGINT);
    (void)uv_signal_start(&daemon->signals[2], on_signal, SIGHUP);
}

static void release(struct daemon *daemon)
{
    fault_step(FAULT_DAEMON_CLOSED);
    if (daemon->store != NULL && daemon->consensus != NULL) {
        struct status status = store_sync(daemon->store);
        if (failed(status)) {
            log_event(LOG_LEVEL_WARNING, "the store was not synced; the log will be replayed",
                      log_text("error", status.message));
        }
    }
    membership_destroy(daemon->membership);
    joiner_destroy(daemon->joiner);
    announcer_destroy(daemon->announcer);
    leaver_destroy(daemon->leaver);
    saved_destroy(daemon->saved);
    recoverer_destroy(daemon->recoverer);
    snapshotter_destroy(daemon->snapshotter);
    restorer_destroy(daemon->restorer);
    store_close(daemon->store);
    tls_context_destroy(daemon->tls_server);
    tls_context_destroy(daemon->tls_client);
    identity_release(&daemon->identity);
    secret_wipe_buffer(&daemon->scratch);
}

static void start(struct daemon *daemon)
{
    bool suspended = daemon->suspension->active && !daemon->suspension->trying;
    struct status status = suspended ? daemon_open_suspended(daemon) : daemon_open(daemon);
    if (failed(status) && !suspended && daemon->unusable) {
        daemon_fail(daemon, status);
        close_parts(daemon);
        return;
    }
    if (failed(status)) {
        log_event(LOG_LEVEL_ERROR, "cannot start", log_text("reason", status.message),
                  log_text("code", status_name(status.code)));
        daemon->exit_code = status.code == STATUS_INVALID ? 78 : 1;
        close_parts(daemon);
        return;
    }
    daemon->phase = suspended ? DAEMON_SUSPENDED : DAEMON_RUNNING;
    (void)uv_timer_start(&daemon->tick_timer, on_tick, DAEMON_TICK_MS, DAEMON_TICK_MS);
    (void)uv_check_start(&daemon->applied_check, on_check);
    log_event(LOG_LEVEL_NOTICE, suspended ? "suspended, only its doors are open" : "started",
              log_text("name", daemon->config.name), log_text("version", MUSTER_VERSION),
              log_text("lineage", daemon->identity.lineage),
              log_text("cluster", daemon->identity.cluster_id));
    if (!suspended && daemon->suspension->active) {
        suspension_end(daemon->suspension, clock_monotonic_ms());
        log_event(LOG_LEVEL_NOTICE, "this node takes part again",
                  log_u64("tries", daemon->suspension->attempts));
    }
    if (daemon->stop_early) {
        daemon_stop(daemon, daemon->restart, "asked while starting");
    }
}

/* Opening takes its time, and if it fails the handles are closed before the loop has looked: a signal that
 * came meanwhile is waited for here, or it would be lost, and the node start again suspended. */
static void start_signalled(struct daemon *daemon)
{
    sigset_t ends;
    sigset_t before;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, &before);
    open_handles(daemon);
    start(daemon);
    if (sigtimedwait(&ends, NULL, &(const struct timespec){0}) > 0) {
        daemon_stop(daemon, false, "a signal");
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Everything is closed: now, if ever. */
static void succeed(struct daemon *daemon, struct daemon_next *next)
{
    next->restart = daemon->restart && daemon->exit_code == 0;
    next->setback[0] = '\0';
    if (next->restart && daemon->succession.kind != SUCCESSION_NONE) {
        struct status status = succession_carry_out(&daemon->config, &daemon->succession);
        if (failed(status)) {
            (void)snprintf(next->setback, sizeof next->setback, "%s", status.message);
        }
    }
    secret_release(&daemon->succession.cluster_key);
}

int daemon_run(const struct config *config, struct daemon_next *next)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) {
        return 1;
    }
    struct daemon *daemon = alloc_zeroed(1, sizeof *daemon);
    if (daemon == NULL) {
        (void)uv_loop_close(&loop);
        return 1;
    }
    daemon->loop = &loop;
    daemon->config = *config;
    daemon->suspension = &next->suspension;
    (void)snprintf(daemon->setback, sizeof daemon->setback, "%s", next->setback);
    next->restart = false;
    daemon->started_at_ms = clock_monotonic_ms();
    daemon->leaderless_since_ms = daemon->started_at_ms;
    disk_watch_init(&daemon->disk, config->disk_reserve_mib << 20U, config->disk_alarm_percent);
    daemon_look_at_disk(daemon);
    start_signalled(daemon);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert(daemon->calls == NULL && daemon->parts_open + daemon->workers_open == 0);
    release(daemon);
    int busy = uv_loop_close(&loop);
    assert(busy == 0); /* A handle left open would be one more at every restart. */
    (void)busy;
    int exit_code = daemon->exit_code;
    succeed(daemon, next);
    free(daemon);
    return exit_code;
}
