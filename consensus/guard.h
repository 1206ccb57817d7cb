/*
 * The guard: stands between libraft 0.15.0 and the disk and network, and keeps it safe.
 *
 * libraft's algorithm has defects that lose or diverge state (docs/adr/0001-libraft-and-guard.md).
 * Each of them passes through `struct raft_io`, so that is where they are repaired: libraft is
 * given the guard's raft_io, the guard calls the one below it. One guard per raft, no globals.
 *
 *     libraft  --append, truncate, set_term, send-->  guard  -->  log and peers (node_io.c)
 *     libraft  <--tick, recv, completions-----------  guard  <--
 *
 * A rule is one bit, so that the soak can switch it off and show what it is worth
 * (docs/verification.md). In service all are on. The rules, and the defect each repairs:
 *
 * ACKCLAMP     A follower acknowledges its last stored entry, compared with this leader or not: a
 *              false quorum. What it acknowledges is clamped to what a message of the present term
 *              has covered.
 * COMMITCLAMP  A follower's commit index may pass what was compared. The leader's commit index is
 *              clamped, on receipt, to the end of the message that carries it.
 * BARRIER      A leader commits entries of earlier terms by counting replicas (Raft, 5.4.2) and
 *              appends nothing when elected. It appends a barrier in the turn it is elected in, and
 *              acknowledgements wait until its own log on disk ends in its own term.
 * ELECTION     A candidate advertises entries that are in memory only, and may stand, or vote, in
 *              the middle of installing a snapshot. Neither happens while writes are in flight.
 * FAILSTOP     A leader goes on when its own disk write fails, and reporting the failure corrupts
 *              its memory if a second write is under way. After a failed write nothing leaves this
 *              node and nothing completes; the owner is told once.
 * FLOW         Commitment is tested at the last stored index only, so under load it starves. The
 *              quorum's index is computed on each acknowledgement, for entries of this term only,
 *              and a quorum that shrank is noticed.
 * COMPACT      Entries below the start of the log in memory are taken as missing: they are appended
 *              again, or the message is refused if the entry before it is gone, even when that was
 *              acknowledged. A leader whose snapshot ends there then sends a snapshot that is of no
 *              use, for ever. What lies at or below the commit index is trimmed from the message.
 * TRUNCATE     Truncation while writes, a snapshot or references of sends are in flight breaks their
 *              order. Such a message is dropped; the leader sends it again.
 * NULLADDR     A result for an unknown leader carries a null address. It is dropped.
 * XFER         The request of TimeoutNow is freed by its owner before it completes. The guard owns
 *              one of its own.
 * INSTALL      InstallSnapshot while writes or an own snapshot are in flight. Dropped; the leader
 *              sends it again. A configuration that is left pending after it is cleared.
 * LOGBYTES     One AppendEntries carries everything the follower lacks. It is cut to a size the
 *              network takes, and the leader's notion of what was sent is corrected.
 * CONF         After a restart, and in a snapshot, a configuration that is not committed is taken
 *              as committed, and one that is rolled back may be gone. The last committed one is
 *              kept here and put in place.
 * VOTE         While leadership is handed over, the old leader grants its transferee a vote even
 *              if it has already voted in that term: two leaders in one term. Dropped.
 * PREVOTE      A refused pre-vote carries the asker's own term back, so a node with the better log and
 *              the lower term never learns the higher one, and nobody is elected. The answer is
 *              given the true term.
 * VOTER        A node that has not heard yet that it was made a voter refuses its vote, for ever if
 *              nobody can be elected without it (a cluster that grows from one voter to two). It
 *              votes as Raft has it, whatever its own configuration says.
 * SILENCE      A voter keeps to its leader until its own randomised time-out has passed, any other
 *              node for ever; so the first to miss a leader is refused, and waits for a whole time-out
 *              again. Who is asked for a vote forgets a leader that was silent for the least
 *              time-out (Raft, 4.2.3), or whose process is known to be gone.
 * BATCH        Entries read from disk at the start share memory that is freed when none of them is
 *              in the log any more, even if a send still refers to one. Each gets its own.
 * ALONE        The only voter makes itself leader without a new term, after a restart too: two
 *              leaders, or two lives of one, fill the same index in the same term with different
 *              entries. It is given a new term first.
 * CHANGE       A leader sends a change of the members before it is on its own disk. If it crashes
 *              then, a node that holds the change does not stand any more and refuses the old
 *              leader, whose log is shorter: nobody is ever elected. Messages are cut before such
 *              an entry.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef GUARD_H
#define GUARD_H

#include <raft.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum guard_rule {
    GUARD_ACKCLAMP = 1U << 0U,
    GUARD_COMMITCLAMP = 1U << 1U,
    GUARD_BARRIER = 1U << 2U,
    GUARD_ELECTION = 1U << 3U,
    GUARD_FAILSTOP = 1U << 4U,
    GUARD_FLOW = 1U << 5U,
    GUARD_COMPACT = 1U << 6U,
    GUARD_TRUNCATE = 1U << 7U,
    GUARD_NULLADDR = 1U << 8U,
    GUARD_XFER = 1U << 9U,
    GUARD_INSTALL = 1U << 10U,
    GUARD_LOGBYTES = 1U << 11U,
    GUARD_CONF = 1U << 12U,
    GUARD_VOTE = 1U << 13U,
    GUARD_PREVOTE = 1U << 14U,
    GUARD_VOTER = 1U << 15U,
    GUARD_BATCH = 1U << 16U,
    GUARD_ALONE = 1U << 17U,
    GUARD_CHANGE = 1U << 18U,
    GUARD_SILENCE = 1U << 19U,
    GUARD_ALL = (1U << 20U) - 1,
};

#define GUARD_RULE_COUNT 20U

#define GUARD_MESSAGE_ENTRIES_MAX 4096U /* In one AppendEntries. */

/* "ACKCLAMP" of 0, and so on; NULL from GUARD_RULE_COUNT on. */
const char *guard_rule_name(unsigned bit);

#define GUARD_MESSAGE_SIZE_MAX ((size_t)4 << 20U) /* Bytes of entries in one AppendEntries. */

struct guard;

struct guard_options {
    struct raft *raft;       /* Not yet initialised: raft_init() is given guard_io(). */
    struct raft_io *below;   /* Its `data` becomes the guard's. */
    unsigned disabled;       /* Bits of enum guard_rule. Tests only. */
    size_t message_size_max; /* 0: GUARD_MESSAGE_SIZE_MAX. */

    /* Called after libraft has run: something may have changed. Must not call into libraft. */
    void (*on_turn)(void *context);
    /* Called at most once, when a write has failed or libraft gave up (rule FAILSTOP); raft_close()
     * must follow, later. `action` is static text, `code` libraft's. */
    void (*on_fatal)(void *context, const char *action, int code);
    void *context;
};

/* `options` is copied. STATUS_NO_MEMORY. */
MUST_USE struct status guard_create(const struct guard_options *options, struct guard **out);

/* After raft_close() has completed, or if raft_init() was never called. NULL is fine. */
void guard_destroy(struct guard *guard);

struct raft_io *guard_io(struct guard *guard);

/* To be called after raft_start() and after each call of a raft_* function that changes anything:
 * libraft has no callback for a change of state. */
void guard_poll(struct guard *guard);

/* The node `id` does not run any more, as far as can be known. If it led, this node, if it is a
 * voter, stands for election within some tenths of the time-out, the voters one after the other so
 * that they do not split the votes. Said wrongly it costs at most a pre-vote that is refused. */
void guard_leader_gone(struct guard *guard, raft_id id);

/* Leader, and an entry of its own term is applied here. */
bool guard_is_ready(const struct guard *guard);

/* Writes of entries that libraft waits for. */
unsigned guard_writes_in_flight(const struct guard *guard);

/* How often each rule stepped in, by bit. */
unsigned long long guard_count(const struct guard *guard, unsigned bit);

#endif
