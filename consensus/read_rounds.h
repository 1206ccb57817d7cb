/*
 * Linearizable reads, without a write to disk (Raft, 6.4): the algorithm, which knows neither loop
 * nor network. read.c has the node's side of it; the simulation runs it too.
 *
 * Every AppendEntries carries a round, a number of this leader's own, and every result echoes the
 * highest round of that term that its sender has received. A read waits for a round that begins
 * after it arrived; when a quorum of voters has echoed it in this leader's term, nobody else can
 * have been leader when the round began, so the commit index of that moment covers every write that
 * was answered before. The read is answered when that index is applied here.
 *
 *     arrives -> (end of the turn: round n + 1 begins) -> quorum echoes -> applied -> answered
 *
 * One round is under way at a time, and all reads that arrive meanwhile share the next one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef READ_ROUNDS_H
#define READ_ROUNDS_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "consensus/consensus.h"

/* On the leader. Zeroed, then reads_open(). */
struct reads {
    struct read_barrier *first; /* By arrival. */
    struct read_barrier **last;
    uint64_t round;     /* The number that goes out with messages now. */
    uint64_t confirmed; /* The highest that a quorum echoed. */
    raft_term term;     /* Of both. */
};

/* What a turn sees, and may do. */
struct reads_world {
    const struct raft *raft;
    bool leads;
    bool ready; /* Leads, and its barrier is applied. */
    uint64_t now_ms;
    /* The highest round of the present term that this node echoed; 0: none. */
    uint64_t (*echoed)(void *context, raft_id id);
    /* Carry the round to this voter now, by an AppendEntries that claims nothing: no entries,
     * previous index 0, commit index 0. One that is lost is made up for by libraft's own. */
    void (*send)(void *context, const struct raft_server *server, uint64_t round);
    void *context;
};

void reads_open(struct reads *reads);

/* `done` comes from a later reads_turn() or reads_abandon(). */
void reads_add(struct reads *reads, struct read_barrier *barrier, uint64_t deadline_ms,
               read_barrier_done done);
void reads_turn(struct reads *reads, const struct reads_world *world);
void reads_abandon(struct reads *reads); /* Not the leader any more: all are STATUS_UNKNOWN. */

/* On a follower: the leader's last round, and its term. */
struct read_echo {
    raft_term term;
    uint64_t round;
};

/* A leader of this term, which is not a past one, spoke; 0: without a round. */
void read_echo_note(struct read_echo *echo, raft_term term, uint64_t round);
/* What a result of this term carries. */
uint64_t read_echo_round(const struct read_echo *echo, raft_term term);

#endif
