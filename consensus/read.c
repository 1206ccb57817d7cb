/*
 * Linearizable reads, without a write to disk (Raft, 6.4).
 *
 * Every AppendEntries carries a round, a number of this leader's own, and every result echoes the
 * highest round of that term that its sender has received. A read waits for a round that begins
 * after it arrived; when a quorum of voters has echoed it in this leader's term, nobody else can
 * have been leader when the round began, so the commit index of that moment covers every write that
 * was answered before. The read is answered when that index is applied here.
 *
 *     arrives -> (end of the turn: round n + 1 begins) -> quorum echoes -> applied -> answered
 *
 * One round is under way at a time, and all reads that arrive meanwhile share the next one. libraft
 * has no call for an extra heartbeat, so the round goes out as an AppendEntries of our own that
 * claims nothing: no entries, previous index 0, commit index 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "node.h"
#include "raft_view.h"

struct heartbeat {
    struct peer_send send;
};

static void heartbeat_on_sent(struct peer_send *send, struct status status)
{
    (void)status; /* A lost one is made up for by libraft's own, which carry the round as well. */
    free(send->context);
}

static void send_heartbeat(struct consensus *node, const struct raft_server *server)
{
    struct heartbeat *heartbeat = calloc(1, sizeof *heartbeat);
    if (heartbeat == NULL) {
        return;
    }
    struct raft_wire_message message = {
        .raft = {.type = RAFT_IO_APPEND_ENTRIES,
                 .server_id = server->id,
                 .server_address = server->address,
                 .append_entries = {.term = node->raft.current_term}},
        .round = node->reads.round,
    };
    heartbeat->send.context = heartbeat;
    if (failed(peers_send(node->peers, &heartbeat->send, &message, heartbeat_on_sent))) {
        free(heartbeat);
    }
}

static void begin_round(struct consensus *node)
{
    struct reads *reads = &node->reads;
    const struct raft *raft = &node->raft;
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
            send_heartbeat(node, server);
        }
    }
}

static bool is_echoed_by_quorum(const struct consensus *node, uint64_t round)
{
    const struct raft *raft = &node->raft;
    unsigned count = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        const struct node_peer *peer = node_peer_find(node, server->id);
        count += server->role == RAFT_VOTER &&
                 (server->id == raft->id || (peer != NULL && peer->round >= round));
    }
    return count > raft_view_voters(raft) / 2;
}

struct status consensus_read(struct consensus *consensus, struct read_barrier *barrier,
                             read_barrier_done done)
{
    struct reads *reads = &consensus->reads;
    if (!node_is_leader(consensus)) {
        return fail(STATUS_NOT_LEADER, "this node is not the leader");
    }
    barrier->done = done;
    barrier->next = NULL;
    barrier->round = 0;
    barrier->index = 0;
    barrier->deadline_ms = node_now_ms(consensus) + consensus->options.election_timeout_ms;
    *reads->last = barrier;
    reads->last = &barrier->next;
    return OK;
}

/* Take the first read off the list and answer it. */
static void answer(struct consensus *node, struct status status)
{
    struct reads *reads = &node->reads;
    struct read_barrier *read = reads->first;
    reads->first = read->next;
    reads->last = reads->first == NULL ? &reads->first : reads->last;
    read->done(read, status);
}

void read_abandon(struct consensus *node)
{
    while (node->reads.first != NULL) {
        answer(node, fail(STATUS_UNKNOWN, "this node is no longer the leader"));
    }
}

/* Answer those at the front that are ready or late. Rounds, indexes and deadlines rise along the
 * list, so the first one that must wait ends it. */
static void answer_ready(struct consensus *node)
{
    struct reads *reads = &node->reads;
    while (reads->first != NULL) {
        const struct read_barrier *read = reads->first;
        bool confirmed = read->round != 0 && read->round <= reads->confirmed;
        /* Its round begins in this turn, however late that is: the turn before may have been long. */
        bool begins = read->round == 0 && reads->confirmed == reads->round && node_is_ready(node);
        if (confirmed && read->index <= raft_last_applied(&node->raft)) {
            answer(node, OK);
        } else if (!begins && node_now_ms(node) >= read->deadline_ms) {
            answer(node, confirmed ? fail(STATUS_UNKNOWN, "entry %llu is not applied in time",
                                          (unsigned long long)read->index)
                                   : fail(STATUS_NO_QUORUM, "no quorum confirmed this leader"));
        } else {
            return;
        }
    }
}

void read_turn(struct consensus *node)
{
    struct reads *reads = &node->reads;
    if (reads->term != node->raft.current_term || !node_is_leader(node)) {
        read_abandon(node);
        reads->term = node->raft.current_term;
        reads->confirmed = reads->round;
        return;
    }
    if (reads->first == NULL) {
        return;
    }
    if (reads->confirmed < reads->round && is_echoed_by_quorum(node, reads->round)) {
        reads->confirmed = reads->round;
    }
    answer_ready(node);
    bool waits = false;
    for (const struct read_barrier *read = reads->first; read != NULL && !waits;
         read = read->next) {
        waits = read->round == 0;
    }
    if (waits && reads->confirmed == reads->round && node_is_ready(node)) {
        begin_round(node);
        if (is_echoed_by_quorum(node, reads->round)) { /* The only voter. */
            reads->confirmed = reads->round;
            answer_ready(node);
        }
    }
}

void read_open(struct consensus *node)
{
    node->reads.last = &node->reads.first;
}
