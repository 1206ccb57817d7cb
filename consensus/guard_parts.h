/*
 * What the guard's files share: its state, and the hooks each of them hangs into raft_io.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef GUARD_PARTS_H
#define GUARD_PARTS_H

#include "consensus/consensus.h"
#include "guard.h"

struct guard_append;

/* An acknowledgement that waits for rule BARRIER; the newest of its server. */
struct guard_held {
    bool used;
    raft_id id;
    char address[CONSENSUS_ADDRESS_SIZE];
    struct raft_append_entries_result result;
};

/* An AppendEntries that was cut (rules LOGBYTES and CHANGE): libraft believes that all was sent. */
struct guard_cut {
    raft_id id; /* 0: free. */
    raft_term term;
    raft_index end; /* The last index that was sent. */
};

struct guard {
    struct raft_io io; /* What libraft is given; io.impl is this guard. */
    struct raft_io *below;
    struct guard_options options;
    struct raft *raft;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    raft_io_close_cb closed;
    bool started; /* libraft has left RAFT_UNAVAILABLE once. */
    bool closing;
    bool failed; /* Rule FAILSTOP: nothing leaves any more. */
    bool polling;

    /* Writes. */
    unsigned append_count;           /* In flight. */
    unsigned long long sequence;     /* Of the last append. */
    bool truncating;                 /* A truncation may not be on disk yet ... */
    unsigned long long truncated_at; /* ... which an append after this one will tell. */
    bool putting;                    /* A snapshot, own or installed. */
    bool installing;                 /* An installed one. */
    struct guard_append *unreported; /* Failed writes that libraft must not hear of. */

    /* Rule ACKCLAMP. */
    raft_term match_term;
    raft_index match;                            /* Covered by messages of match_term. */
    const struct raft_append_entries *receiving; /* Copy of what is being received, or NULL. */

    /* Rule BARRIER. */
    raft_term barrier_term; /* The term whose barrier was appended ... */
    raft_term ready_term;   /* ... and applied. */
    struct guard_held held[CONSENSUS_NODES_MAX];

    struct raft_io_send *swallowed; /* Never sent; chained by `data`. */
    unsigned entry_sends;           /* Sends that hold references to entries. */
    struct guard_cut cuts[CONSENSUS_NODES_MAX];
    raft_index nudged; /* Rule FLOW: a barrier was appended because of this index. */

    raft_time leader_heard_ms; /* Rule SILENCE. */

    /* Rule ELECTION: a TimeoutNow that came while entries were being written; term 0: none. */
    struct raft_timeout_now handover;
    raft_id handover_from;

    /* Rule CONF: the last configuration that is known to be committed. */
    struct raft_buffer committed; /* In libraft's format; base NULL if none. */
    raft_index committed_index;

    unsigned long long counts[GUARD_RULE_COUNT];
};

static inline struct guard *guard_of(struct raft_io *io)
{
    return io->impl;
}

static inline bool guard_has(const struct guard *guard, enum guard_rule rule)
{
    return ((unsigned)rule & ~guard->options.disabled) != 0;
}

/* Count that `rule` stepped in. */
void guard_note(struct guard *guard, enum guard_rule rule);

/* Tell the owner, once, that this node must stop. */
void guard_fail(struct guard *guard, const char *action, int code);

/* What may not be disturbed by an election. */
bool guard_is_writing(const struct guard *guard);

/* guard_write.c */
int guard_io_append(struct raft_io *io, struct raft_io_append *request,
                    const struct raft_entry *entries, unsigned count, raft_io_append_cb callback);
int guard_io_truncate(struct raft_io *io, raft_index index);
int guard_io_set_term(struct raft_io *io, raft_term term);
int guard_io_set_vote(struct raft_io *io, raft_id id);
int guard_io_snapshot_put(struct raft_io *io, unsigned trailing,
                          struct raft_io_snapshot_put *request,
                          const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback);
void guard_write_closed(struct guard *guard);

/* guard_send.c */
int guard_io_send(struct raft_io *io, struct raft_io_send *request,
                  const struct raft_message *message, raft_io_send_cb callback);
void guard_send_closed(struct guard *guard);
void guard_match_note(struct guard *guard, raft_index index);
void guard_cuts_mend(struct guard *guard);

/* guard_recv.c */
void guard_io_recv(struct raft_io *below, struct raft_message *message);
void guard_held_release(struct guard *guard);
void guard_handover_release(struct guard *guard);

/* guard_conf.c */
int guard_conf_load(struct guard *guard, const struct raft_snapshot *snapshot);
void guard_conf_started(struct guard *guard);
void guard_conf_track(struct guard *guard);
void guard_conf_before_truncate(struct guard *guard, raft_index from);
void guard_conf_release(struct guard *guard);

#endif
