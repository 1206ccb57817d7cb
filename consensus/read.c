/*
 * Linearizable reads of a node: read_rounds.h, over its peers and its clock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "node.h"

struct heartbeat {
    struct peer_send send;
};

static void heartbeat_on_sent(struct peer_send *send, struct status status)
{
    (void)status; /* A lost one is made up for by libraft's own, which carry the round as well. */
    free(send->context);
}

/* libraft has no call for an extra heartbeat: this one goes past it. */
static void send_round(void *context, const struct raft_server *server, uint64_t round)
{
    struct consensus *node = context;
    struct heartbeat *heartbeat = alloc_zeroed(1, sizeof *heartbeat);
    if (heartbeat == NULL) {
        return;
    }
    struct raft_wire_message message = {
        .raft = {.type = RAFT_IO_APPEND_ENTRIES,
                 .server_id = server->id,
                 .server_address = server->address,
                 .append_entries = {.term = node->raft.current_term}},
        .round = round,
    };
    heartbeat->send.context = heartbeat;
    if (failed(peers_send(node->peers, &heartbeat->send, &message, heartbeat_on_sent))) {
        free(heartbeat);
    }
}

static uint64_t echoed(void *context, raft_id id)
{
    const struct node_peer *peer = node_peer_find(context, id);
    return peer != NULL ? peer->round : 0;
}

struct status consensus_read(struct consensus *consensus, struct read_barrier *barrier,
                             read_barrier_done done)
{
    if (!node_is_leader(consensus)) {
        return fail(STATUS_NOT_LEADER, "this node is not the leader");
    }
    reads_add(&consensus->reads, barrier,
              node_now_ms(consensus) + consensus->options.election_timeout_ms, done);
    return OK;
}

void read_abandon(struct consensus *node)
{
    reads_abandon(&node->reads);
}

void read_turn(struct consensus *node)
{
    const struct reads_world world = {
        .raft = &node->raft,
        .leads = node_is_leader(node),
        .ready = node_is_ready(node),
        .now_ms = node_now_ms(node),
        .echoed = echoed,
        .send = send_round,
        .context = node,
    };
    reads_turn(&node->reads, &world);
}

void read_open(struct consensus *node)
{
    reads_open(&node->reads);
}
