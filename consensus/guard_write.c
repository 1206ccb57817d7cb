/*
 * The guard's side of the disk: appends, truncation, term, vote and snapshots.
 *
 * Rule FAILSTOP lives here. A failed write is not reported to libraft: as a leader it would cut its
 * log in memory at that write and corrupt it at the next one, as a candidate it would free a wild
 * pointer. Instead the request waits until libraft is closed, where it completes as if written,
 * which libraft then only takes as leave to drop its references.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guard_parts.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "raft_view.h"

struct guard_append {
    struct raft_io_append request; /* Given to the io below. */
    struct guard *guard;
    struct raft_io_append *original;
    raft_io_append_cb callback;
    unsigned long long sequence;
    struct guard_append *next;
};

struct guard_put {
    struct raft_io_snapshot_put request;
    struct guard *guard;
    struct raft_io_snapshot_put *original;
    raft_io_snapshot_put_cb callback;
    struct raft_snapshot snapshot; /* What is written, if it differs from libraft's. */
    bool owns_configuration;
    bool installing;
    raft_index index;
};

static void append_on_done(struct raft_io_append *request, int status)
{
    struct guard_append *append = request->data;
    struct guard *guard = append->guard;
    guard->append_count--;
    if (guard_has(guard, GUARD_FAILSTOP) && (status != 0 || guard->failed)) {
        append->next = guard->unreported;
        guard->unreported = append;
        if (!guard->closing) {
            guard_fail(guard, "write entries", status);
        }
        return;
    }
    if (guard->truncating && append->sequence > guard->truncated_at) {
        guard->truncating = false;
    }
    struct raft_io_append *original = append->original;
    raft_io_append_cb callback = append->callback;
    free(append);
    callback(original, status);
    if (!guard->closing) {
        guard_held_release(guard);
        guard_handover_release(guard);
        guard_poll(guard);
    }
}

int guard_io_append(struct raft_io *io, struct raft_io_append *request,
                    const struct raft_entry *entries, unsigned count, raft_io_append_cb callback)
{
    struct guard *guard = guard_of(io);
    struct guard_append *append = alloc_zeroed(1, sizeof *append);
    if (append == NULL) {
        return RAFT_NOMEM;
    }
    *append = (struct guard_append){
        .guard = guard, .original = request, .callback = callback, .sequence = ++guard->sequence};
    append->request.data = append;
    guard->append_count++;
    if (guard->failed) {
        guard->append_count--;
        append->next = guard->unreported;
        guard->unreported = append;
        return 0;
    }
    int code = guard->below->append(guard->below, &append->request, entries, count, append_on_done);
    if (code == 0) {
        return 0;
    }
    if (guard_has(guard, GUARD_FAILSTOP)) {
        append_on_done(&append->request, code);
        return 0;
    }
    guard->append_count--;
    free(append);
    return code;
}

/* The result of a synchronous write, as libraft may hear it. */
static int written(struct guard *guard, const char *action, int code)
{
    if (code == 0 || !guard_has(guard, GUARD_FAILSTOP)) {
        return code;
    }
    guard_fail(guard, action, code);
    return 0;
}

int guard_io_truncate(struct raft_io *io, raft_index index)
{
    struct guard *guard = guard_of(io);
    if (guard->failed) {
        return 0;
    }
    guard->truncating = true;
    guard->truncated_at = guard->sequence;
    return written(guard, "truncate the log", guard->below->truncate(guard->below, index));
}

int guard_io_set_term(struct raft_io *io, raft_term term)
{
    struct guard *guard = guard_of(io);
    if (guard->failed) {
        return 0;
    }
    return written(guard, "write the term", guard->below->set_term(guard->below, term));
}

int guard_io_set_vote(struct raft_io *io, raft_id id)
{
    struct guard *guard = guard_of(io);
    if (guard->failed) {
        return 0;
    }
    return written(guard, "write the vote", guard->below->set_vote(guard->below, id));
}

/* libraft has already dropped its log in memory: it would stop itself, without the reason. */
static void refuse_install(struct guard *guard, int code)
{
    guard_fail(guard, "write an installed snapshot", code);
}

static void put_on_done(struct raft_io_snapshot_put *request, int status)
{
    struct guard_put *put = request->data;
    struct guard *guard = put->guard;
    struct raft_io_snapshot_put *original = put->original;
    raft_io_snapshot_put_cb callback = put->callback;
    bool installing = put->installing;
    raft_index index = put->index;
    if (put->owns_configuration) {
        raft_configuration_close(&put->snapshot.configuration);
    }
    free(put);
    guard->putting = false;
    if (installing && status == 0) {
        guard_match_note(guard, index);
    }
    if (installing && status != 0 && !guard->closing && guard_has(guard, GUARD_FAILSTOP)) {
        refuse_install(guard, status);
    }
    callback(original, status);
    if (installing) {
        guard->installing = false;
        if (status == 0 && guard_has(guard, GUARD_INSTALL)) {
            guard->raft->configuration_uncommitted_index = 0;
        }
    }
    if (!guard->closing) {
        guard_poll(guard);
    }
}

int guard_io_snapshot_put(struct raft_io *io, unsigned trailing,
                          struct raft_io_snapshot_put *request,
                          const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback)
{
    struct guard *guard = guard_of(io);
    struct raft *raft = guard->raft;
    struct guard_put *put = guard->failed ? NULL : alloc_zeroed(1, sizeof *put);
    if (put == NULL) {
        return guard->failed ? RAFT_IOERR : RAFT_NOMEM;
    }
    *put = (struct guard_put){.guard = guard,
                              .original = request,
                              .callback = callback,
                              .snapshot = *snapshot,
                              .installing = snapshot != &raft->snapshot.pending,
                              .index = snapshot->index};
    put->request.data = put;
    int code = 0;
    if (!put->installing && raft->configuration_uncommitted_index != 0 &&
        guard->committed.base != NULL && guard_has(guard, GUARD_CONF)) {
        /* libraft put its present configuration in, which is not committed. */
        code = raft_view_decode(guard->committed.base, guard->committed.len,
                                &put->snapshot.configuration);
        put->snapshot.configuration_index = guard->committed_index;
        put->owns_configuration = code == 0;
        guard_note(guard, GUARD_CONF);
    }
    guard->putting = true;
    guard->installing = guard->installing || put->installing;
    if (code == 0) {
        code = guard->below->snapshot_put(guard->below, trailing, &put->request, &put->snapshot,
                                          put_on_done);
    }
    if (code != 0) {
        if (put->installing && guard_has(guard, GUARD_FAILSTOP)) {
            refuse_install(guard, code);
        }
        guard->putting = false;
        guard->installing = guard->installing && !put->installing;
        if (put->owns_configuration) {
            raft_configuration_close(&put->snapshot.configuration);
        }
        free(put);
    }
    return code;
}

void guard_write_closed(struct guard *guard)
{
    while (guard->unreported != NULL) {
        struct guard_append *append = guard->unreported;
        guard->unreported = append->next;
        append->callback(append->original, 0);
        free(append);
    }
}
