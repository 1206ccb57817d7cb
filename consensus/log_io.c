/*
 * The disk's part of raft_io: requests of libraft become requests of the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log_io.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "node.h"

int log_io_code(struct raft_io *io, struct status status)
{
    if (failed(status)) {
        (void)snprintf(io->errmsg, sizeof io->errmsg, "%s", status.message);
    }
    return node_code_of(status);
}

/* libraft's signature. NOLINTNEXTLINE(readability-function-size) */
int log_io_load(const struct wal_loaded *loaded, raft_term *term, raft_id *voted_for,
                struct raft_snapshot **snapshot, raft_index *start_index,
                struct raft_entry *entries[], size_t *count)
{
    *term = loaded->term;
    *voted_for = loaded->voted_for;
    *snapshot = loaded->snapshot;
    *start_index = loaded->start_index;
    *entries = loaded->entries;
    *count = loaded->entry_count;
    return 0;
}

int log_io_set_term(struct wal *wal, struct raft_io *io, raft_term term)
{
    return log_io_code(io, wal_set_term(wal, term));
}

int log_io_set_vote(struct wal *wal, struct raft_io *io, raft_id id)
{
    return log_io_code(io, wal_set_vote(wal, id));
}

struct append {
    struct wal_request request;
    struct raft_io_append *original;
    raft_io_append_cb callback;
};

static void append_on_done(struct wal_request *request, struct status status)
{
    struct append *append = request->context;
    struct raft_io_append *original = append->original;
    raft_io_append_cb callback = append->callback;
    free(append);
    callback(original, node_code_of(status));
}

int log_io_append(struct wal *wal, struct raft_io *io, const struct log_io_append *append)
{
    struct append *own = fault_fires(FAULT_NODE_APPEND) ? NULL : alloc_zeroed(1, sizeof *own);
    if (own == NULL) {
        return RAFT_NOMEM;
    }
    own->request.context = own;
    own->original = append->request;
    own->callback = append->callback;
    int code = log_io_code(
        io, wal_append(wal, &own->request, append->entries, append->count, append_on_done));
    if (code != 0) {
        free(own);
    }
    return code;
}

int log_io_truncate(struct wal *wal, struct raft_io *io, raft_index index)
{
    return log_io_code(io, wal_truncate(wal, index));
}

struct put {
    struct wal_request request;
    struct raft_io_snapshot_put *original;
    raft_io_snapshot_put_cb callback;
};

static void put_on_done(struct wal_request *request, struct status status)
{
    struct put *put = request->context;
    struct raft_io_snapshot_put *original = put->original;
    raft_io_snapshot_put_cb callback = put->callback;
    free(put);
    callback(original, node_code_of(status));
}

int log_io_snapshot_put(struct wal *wal, struct raft_io *io, const struct log_io_put *put)
{
    struct put *own = fault_fires(FAULT_NODE_SNAPSHOT_PUT) ? NULL : alloc_zeroed(1, sizeof *own);
    if (own == NULL) {
        return RAFT_NOMEM;
    }
    own->request.context = own;
    own->original = put->request;
    own->callback = put->callback;
    int code = log_io_code(
        io, wal_snapshot_put(wal, &own->request, put->snapshot, put->trailing, put_on_done));
    if (code != 0) {
        free(own);
    }
    return code;
}

void log_io_snapshot_get(struct wal *wal, struct raft_io_snapshot_get *request,
                         raft_io_snapshot_get_cb callback)
{
    struct raft_snapshot *snapshot = NULL;
    int code = node_code_of(wal_snapshot_get(wal, &snapshot));
    callback(request, snapshot, code);
}

bool log_io_is_small(const struct raft_append_entries *message)
{
    unsigned barriers = 0;
    while (barriers < message->n_entries && message->entries[barriers].type == RAFT_BARRIER) {
        barriers++;
    }
    return barriers == message->n_entries;
}

bool log_io_has_room(struct wal *wal, const struct raft_append_entries *message)
{
    size_t size = 0;
    for (unsigned i = 0; i < message->n_entries; i++) {
        size += message->entries[i].buf.len;
    }
    return log_io_is_small(message) || !failed(wal_can_append(wal, size, message->n_entries));
}

void log_io_leave_out(struct raft_append_entries *message)
{
    if (message->n_entries > 0) {
        raft_free(message->entries[0].batch);
        raft_free(message->entries);
    }
    message->entries = NULL;
    message->n_entries = 0;
}
