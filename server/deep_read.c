/*
 * Deep reads: one job each on libuv's worker threads. The daemon's loop ends only when all are back,
 * and the store is closed after it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deep_read.h"

#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"
#include "call.h"
#include "daemon.h"
#include "daemon_parts.h"

struct job {
    uv_work_t work;
    struct call *call;
    struct store *store;
    enum deep_read_kind kind;
    deep_read_done done;
    struct deep_read read;
};

static void run(uv_work_t *work)
{
    struct job *job = work->data;
    switch (job->kind) {
    case DEEP_READ_DIGEST:
        job->read.status = store_digest_flushed(job->store, &job->read.digest);
        break;
    case DEEP_READ_AUDIT:
        job->read.status = store_audit_verify_flushed(job->store, &job->read.audit);
        break;
    }
}

static void on_done(uv_work_t *work, int code)
{
    struct job *job = work->data;
    struct call *call = job->call;
    struct daemon *daemon = call->daemon;
    if (code != 0) {
        job->read.status = fail(STATUS_IO, "read everything: %s", uv_strerror(code));
    }
    struct status status = job->read.status;
    bool digest = job->kind == DEEP_READ_DIGEST;
    if (!call->answered) {
        job->done(call, &job->read);
    }
    call_release(call);
    free(job);
    if (digest && status.code == STATUS_CORRUPT && daemon->phase == DAEMON_RUNNING) {
        daemon_fail(daemon, status); /* A row that does not match its checksum. */
    }
}

void deep_read_begin(struct call *call, enum deep_read_kind kind, deep_read_done done)
{
    struct daemon *daemon = call->daemon;
    struct status status = store_flush(daemon->store);
    struct job *job = failed(status) ? NULL : alloc_zeroed(1, sizeof *job);
    if (job == NULL) {
        call_fail(call, failed(status) ? status : fail(STATUS_NO_MEMORY, "read everything"));
        return;
    }
    job->work.data = job;
    job->call = call;
    job->store = daemon->store;
    job->kind = kind;
    job->done = done;
    int rv = uv_queue_work(daemon->loop, &job->work, run, on_done);
    if (rv != 0) {
        free(job);
        call_fail(call, fail(STATUS_IO, "read everything: %s", uv_strerror(rv)));
        return;
    }
    call_hold(call);
}
