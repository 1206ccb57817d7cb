/*
 * Scrubbing, step by step. A step that is under way when the daemon closes ends first: the loop waits
 * for it, and the store is closed after the loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scrubber.h"

#include "base/log.h"
#include "daemon.h"
#include "daemon_parts.h"

#define STEP_EVERY_MS 1000U
#define MIB ((size_t)1 << 20U)

static void run(uv_work_t *work)
{
    struct scrubber *scrubber = work->data;
    scrubber->status = store_scrub(scrubber->store, &scrubber->scrub, scrubber->size);
}

static void on_done(uv_work_t *work, int status)
{
    struct scrubber *scrubber = work->data;
    struct daemon *daemon = scrubber->daemon;
    (void)status;
    scrubber->working = false;
    if (daemon->phase == DAEMON_RUNNING && scrubber->status.code == STATUS_CORRUPT) {
        daemon_fail(daemon, wrap(scrubber->status, "scrub"));
    }
}

void scrubber_step(struct scrubber *scrubber, struct daemon *daemon, uint64_t now_ms)
{
    if (scrubber->working || now_ms < scrubber->next_ms || daemon->config.scrub_mib_per_s == 0) {
        return;
    }
    scrubber->next_ms = now_ms + STEP_EVERY_MS;
    scrubber->work.data = scrubber;
    scrubber->daemon = daemon;
    scrubber->store = daemon->store;
    scrubber->size = daemon->config.scrub_mib_per_s * MIB;
    scrubber->working = uv_queue_work(daemon->loop, &scrubber->work, run, on_done) == 0;
}
