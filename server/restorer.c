/*
 * Restoring a snapshot on a fresh node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "restorer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "call.h"
#include "daemon.h"
#include "restore_plan.h"
#include "sealed_snapshot.h"

#define CHECK_DEADLINE_MS 600000U /* A large file is read on a slow disk. */
#define PATH_SIZE (IDENTITY_PATH_SIZE + 16)

struct restorer {
    struct daemon *daemon;
    char path[PATH_SIZE];
    int file; /* What was uploaded so far; -1. */
    uint64_t size;
    struct restore_plan plan;

    struct call *call; /* Held while the worker checks; its arena holds the plan. */
    uv_work_t work;
    bool checking;
    struct secret cluster_key;
    struct status result;
};

struct status restorer_create(struct daemon *daemon, struct restorer **out)
{
    struct restorer *restorer = alloc_zeroed(1, sizeof *restorer);
    if (restorer == NULL) {
        return fail(STATUS_NO_MEMORY, "start the restorer");
    }
    restorer->daemon = daemon;
    restorer->file = -1;
    (void)snprintf(restorer->path, sizeof restorer->path, "%.400s/" RESTORER_FILE_NAME,
                   daemon->config.data_directory);
    (void)unlink(restorer->path); /* Of an upload that came to nothing, or was restored. */
    *out = restorer;
    return OK;
}

void restorer_stop(struct restorer *restorer)
{
    if (restorer != NULL && restorer->call != NULL) {
        struct call *call = restorer->call;
        restorer->call = NULL;
        call_fail(call, fail(STATUS_UNREACHABLE, "musterd stops; nothing was changed"));
        call_release(call);
    }
}

void restorer_destroy(struct restorer *restorer)
{
    if (restorer != NULL) {
        if (restorer->file >= 0) {
            (void)close(restorer->file);
        }
        secret_release(&restorer->cluster_key);
        free(restorer);
    }
}

/* ---- Uploading ---- */

static struct status begin_upload(struct restorer *restorer)
{
    if (restorer->file >= 0) {
        (void)close(restorer->file);
    }
    restorer->size = 0;
    restorer->file = open(restorer->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return restorer->file < 0 ? fail_errno(errno, "make %s", restorer->path) : OK;
}

static struct status store_part(struct restorer *restorer, const struct rpc_snapshot_upload *part)
{
    uint64_t most = (restorer->daemon->config.store_size_max_mib << 20U) * 2;
    if (part->offset != restorer->size || restorer->file < 0) {
        return fail(STATUS_INVALID, "%llu bytes are there, this part begins at %llu",
                    (unsigned long long)restorer->size, (unsigned long long)part->offset);
    }
    if (restorer->size + part->bytes.size > most) {
        return fail(STATUS_FULL, "the snapshot is larger than this node's store may become");
    }
    for (size_t done = 0; done < part->bytes.size;) {
        ssize_t count = pwrite(restorer->file, (const char *)part->bytes.data + done,
                               part->bytes.size - done, (off_t)(restorer->size + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "write %s", restorer->path);
        }
        done += (size_t)count;
    }
    restorer->size += part->bytes.size;
    return OK;
}

void restorer_upload(struct restorer *restorer, struct call *call)
{
    struct rpc_snapshot_upload part;
    if (!call_params(call, &part)) {
        return;
    }
    struct status status =
        restorer->checking ? fail(STATUS_BUSY, "a snapshot is being restored already") : OK;
    if (!failed(status)) { /* Only where it could be of use: nobody fills a member's disk. */
        status = restore_plan_fresh(restorer->daemon);
    }
    if (!failed(status) && part.offset == 0) {
        status = begin_upload(restorer);
    }
    if (!failed(status)) {
        status = store_part(restorer, &part);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    const struct rpc_snapshot_stored stored = {.size = restorer->size};
    call_reply(call, &stored);
}

/* ---- Checking, on the worker ---- */

static struct status check_header(int file, struct slice lead)
{
    uint8_t bytes[SNAPSHOT_LEAD_SIZE + SNAPSHOT_HEADER_SIZE_MAX];
    if (lead.size > sizeof bytes || pread(file, bytes, lead.size, 0) != (ssize_t)lead.size ||
        memcmp(bytes, lead.data, lead.size) != 0) {
        return fail(STATUS_INVALID, "what was uploaded is another snapshot than was looked at");
    }
    return OK;
}

static void check(uv_work_t *work)
{
    struct restorer *restorer = work->data;
    struct status status = check_header(restorer->file, restorer->plan.lead);
    if (!failed(status)) {
        status = snapshot_unpack(restorer->file, secret_slice(&restorer->cluster_key), -1);
    }
    if (!failed(status) && fsync(restorer->file) != 0) {
        status = fail_errno(errno, "sync %s", restorer->path);
    }
    restorer->result = status;
}

/* ---- Proceeding ---- */

static struct status order(struct restorer *restorer, const struct call *call)
{
    struct daemon *daemon = restorer->daemon;
    struct succession *succession = &daemon->succession;
    *succession = (struct succession){
        .kind = SUCCESSION_RESTORE,
        .at_ms = clock_now_ms(),
        .by = call->caller,
    };
    (void)slice_to_text(call->options.comment, succession->comment, sizeof succession->comment);
    (void)snprintf(succession->file, sizeof succession->file, "%s", restorer->path);
    log_event(LOG_LEVEL_WARNING, "this node is to go on with a snapshot",
              log_slice("cluster", restorer->plan.header.cluster_id),
              log_text("actor", call->caller.actor), log_text("origin", call->caller.origin));
    return secret_copy(&succession->cluster_key, secret_slice(&restorer->cluster_key));
}

static void answer_checked(struct restorer *restorer, struct call *call)
{
    struct rpc_recovery view;
    struct status status = restorer->result;
    if (!failed(status) && !call->answered) {
        status = order(restorer, call);
    }
    bool begins = !failed(status) && !call->answered;
    if (begins) {
        restore_plan_view(&restorer->plan, &view);
        view.begun = true;
        view.message = slice_of("this node starts again as the cluster's only member");
        call_reply(call, &view);
    } else if (!call->answered) {
        restorer->daemon->succession.kind = SUCCESSION_NONE;
        call_fail(call, status);
    }
    call_release(call);
    if (begins) {
        daemon_stop(restorer->daemon, true, "it goes on with a snapshot");
    }
}

static void on_checked(uv_work_t *work, int code)
{
    struct restorer *restorer = work->data;
    struct call *call = restorer->call;
    restorer->call = NULL;
    restorer->checking = false;
    if (code != 0) {
        restorer->result = fail(STATUS_UNREACHABLE, "musterd stops; nothing was changed");
    }
    if (call != NULL) {
        answer_checked(restorer, call);
    }
    secret_release(&restorer->cluster_key);
}

static struct status start_check(struct restorer *restorer, struct call *call)
{
    if (restorer->file < 0 ||
        restorer->size != snapshot_file_size(&restorer->plan.header, restorer->plan.lead.size)) {
        return fail(STATUS_INVALID, "%llu bytes were uploaded, the snapshot has %llu",
                    (unsigned long long)restorer->size,
                    (unsigned long long)snapshot_file_size(&restorer->plan.header,
                                                           restorer->plan.lead.size));
    }
    restorer->work.data = restorer;
    if (uv_queue_work(restorer->daemon->loop, &restorer->work, check, on_checked) != 0) {
        return fail(STATUS_NO_MEMORY, "check the snapshot");
    }
    restorer->checking = true;
    restorer->call = call;
    call_hold(call);
    call->deadline_at_ms = clock_monotonic_ms() + CHECK_DEADLINE_MS;
    return OK;
}

void restorer_begin(struct restorer *restorer, struct call *call)
{
    struct rpc_restore params;
    struct rpc_recovery view;
    if (!call_params(call, &params)) {
        return;
    }
    if (restorer->checking) {
        call_fail(call, fail(STATUS_BUSY, "a snapshot is being restored already"));
        return;
    }
    struct status status = restore_plan_make(&restorer->plan, restorer->daemon, &call->arena,
                                             &params, &restorer->cluster_key);
    restore_plan_view(&restorer->plan, &view);
    bool proceeds = !failed(status) && params.proceed && view.problems.count == 0;
    if (proceeds) {
        status = start_check(restorer, call);
    } else {
        secret_release(&restorer->cluster_key);
    }
    if (failed(status)) {
        secret_release(&restorer->cluster_key);
        call_fail(call, status);
    } else if (!proceeds) {
        call_reply(call, &view);
    }
}
