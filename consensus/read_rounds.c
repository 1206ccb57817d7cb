/*
 * Linearizable reads: the algorithm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "read_rounds.h"

#include <stddef.h>

#include "raft_view.h"

static void begin_round(struct reads *reads, const struct reads_world *world)
{
    const struct raft *raft = world->raft;
    reads->round++;
    for (struct read_barrier *read = reads->first; read != NULL; read = read->next) {
        if (read->round == 0) {
            read->round = reads->round;
            read->index = raft->commit_index;
        }
    }
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        if (server->id != raft->id && server->role == RAFT_VOTER) {
            world->send(world->context, server, reads->round);
        }
    }
}

static bool is_echoed_by_quorum(const struct reads_world *world, uint64_t round)
{
    const struct raft *raft = world->raft;
    unsigned count = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        count += server->role == RAFT_VOTER &&
                 (server->id == raft->id || world->echoed(world->context, server->id) >= round);
    }
    return count > raft_view_voters(raft) / 2;
}

void reads_open(struct reads *reads)
{
    reads->last = &reads->first;
}

void reads_add(struct reads *reads, struct read_barrier *barrier, uint64_t deadline_ms,
               read_barrier_done done)
{
    barrier->done = done;
    barrier->next = NULL;
    barrier->round = 0;
    barrier->index = 0;
    barrier->deadline_ms = deadline_ms;
    *reads->last = barrier;
    reads->last = &barrier->next;
}

/* Take the first read off the list and answer it. */
static void answer(struct reads *reads, struct status status)
{
    struct read_barrier *read = reads->first;
    reads->first = read->next;
    reads->last = reads->first == NULL ? &reads->first : reads->last;
    read->done(read, status);
}

void reads_abandon(struct reads *reads)
{
    while (reads->first != NULL) {
        answer(reads, fail(STATUS_UNKNOWN, "this node is no longer the leader"));
    }
}

/* Answer those at the front that are ready or late. Rounds, indexes and deadlines rise along the
 * list, so the first one that must wait ends it. */
static void answer_ready(struct reads *reads, const struct reads_world *world)
{
    while (reads->first != NULL) {
        const struct read_barrier *read = reads->first;
        bool confirmed = read->round != 0 && read->round <= reads->confirmed;
        /* Its round begins in this turn, however late that is: the turn before may have been long. */
        bool begins = read->round == 0 && reads->confirmed == reads->round && world->ready;
        if (confirmed && read->index <= world->raft->last_applied) {
            answer(reads, OK);
        } else if (!begins && world->now_ms >= read->deadline_ms) {
            answer(reads, confirmed ? fail(STATUS_UNKNOWN, "entry %llu is not applied in time",
                                           (unsigned long long)read->index)
                                    : fail(STATUS_NO_QUORUM, "no quorum confirmed this leader"));
        } else {
            return;
        }
    }
}

void reads_turn(struct reads *reads, const struct reads_world *world)
{
    if (reads->term != world->raft->current_term || !world->leads) {
        reads_abandon(reads);
        reads->term = world->raft->current_term;
        reads->confirmed = reads->round;
        return;
    }
    if (reads->first == NULL) {
        return;
    }
    if (reads->confirmed < reads->round && is_echoed_by_quorum(world, reads->round)) {
        reads->confirmed = reads->round;
    }
    answer_ready(reads, world);
    bool waits = false;
    for (const struct read_barrier *read = reads->first; read != NULL && !waits;
         read = read->next) {
        waits = read->round == 0;
    }
    if (waits && reads->confirmed == reads->round && world->ready) {
        begin_round(reads, world);
        if (is_echoed_by_quorum(world, reads->round)) { /* The only voter. */
            reads->confirmed = reads->round;
            answer_ready(reads, world);
        }
    }
}

void read_echo_note(struct read_echo *echo, raft_term term, uint64_t round)
{
    if (term != echo->term) {
        echo->term = term;
        echo->round = 0;
    }
    echo->round = round > echo->round ? round : echo->round;
}

uint64_t read_echo_round(const struct read_echo *echo, raft_term term)
{
    return term == echo->term ? echo->round : 0;
}
