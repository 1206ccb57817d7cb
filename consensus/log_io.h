/*
 * libraft's raft_io, the part of the disk: what libraft asks, asked of the write-ahead log.
 *
 * The node (node_io.c) and the simulation (tests/sim) run these same lines. `io` is libraft's, for
 * the text of an error; the codes returned are libraft's. Answers come when the log gives them, which
 * is never from within the call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LOG_IO_H
#define LOG_IO_H

#include <raft.h>
#include <stdbool.h>

#include "wal.h"

struct log_io_append {
    struct raft_io_append *request;
    const struct raft_entry *entries;
    unsigned count;
    raft_io_append_cb callback;
};

struct log_io_put {
    struct raft_io_snapshot_put *request;
    const struct raft_snapshot *snapshot;
    unsigned trailing;
    raft_io_snapshot_put_cb callback;
};

/* A failure as libraft's code; its text goes where libraft looks for it. */
int log_io_code(struct raft_io *io, struct status status);

/* Hand over what wal_load() gave: it is libraft's then. Returns 0. */
int log_io_load(const struct wal_loaded *loaded, raft_term *term, raft_id *voted_for,
                struct raft_snapshot **snapshot, raft_index *start_index,
                struct raft_entry *entries[], size_t *count);

int log_io_set_term(struct wal *wal, struct raft_io *io, raft_term term);
int log_io_set_vote(struct wal *wal, struct raft_io *io, raft_id id);
int log_io_append(struct wal *wal, struct raft_io *io, const struct log_io_append *append);
int log_io_truncate(struct wal *wal, struct raft_io *io, raft_index index);
int log_io_snapshot_put(struct wal *wal, struct raft_io *io, const struct log_io_put *put);

/* Answer libraft with the last stored snapshot; from the loop, not from within its call. */
void log_io_snapshot_get(struct wal *wal, struct raft_io_snapshot_get *request,
                         raft_io_snapshot_get_cb callback);

/* Would the log take these entries? libraft takes a refused append for a broken disk, so that it must
 * not see them: without room a message is passed on without its entries. */
bool log_io_has_room(struct wal *wal, const struct raft_append_entries *message);

/* No entries, or those that may use the log's reserve: barriers. */
bool log_io_is_small(const struct raft_append_entries *message);

/* Take a message's entries out and free them; it is a heartbeat then. They must be of one batch, as
 * they come from the wire. */
void log_io_leave_out(struct raft_append_entries *message);

#endif
