/*
 * Linearizable reads on a simulated node: what consensus/read.c and node_io.c are in musterd, around
 * the same algorithm.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "whole.h"

#define READ_TIMEOUT_MS 1000U /* An election time-out. */

struct status site_read(struct site *site, struct read_barrier *barrier, read_barrier_done done)
{
    if (raft_state(site->node->raft) != RAFT_LEADER) {
        return fail(STATUS_NOT_LEADER, "this node is not the leader");
    }
    reads_add(&site->reads, barrier, site->node->world->now_ms + READ_TIMEOUT_MS, done);
    return OK;
}

static uint64_t echoed(void *context, raft_id id)
{
    const struct site *site = context;
    return read_echo_round(&site->heard[id - 1], site->node->raft->current_term);
}

static void send_round(void *context, const struct raft_server *server, uint64_t round)
{
    const struct site *site = context;
    const struct raft_message message = {
        .type = RAFT_IO_APPEND_ENTRIES,
        .append_entries = {.term = site->node->raft->current_term},
    };
    (void)round; /* Every message carries it. */
    world_post(site->node, (unsigned)server->id - 1, &message);
}

void site_turn_reads(struct site *site)
{
    const struct raft *raft = site->node->raft;
    const struct reads_world world = {
        .raft = raft,
        .leads = raft_state(site->node->raft) == RAFT_LEADER,
        .ready = guard_is_ready(site->node->guard),
        .now_ms = site->node->world->now_ms,
        .echoed = echoed,
        .send = send_round,
        .context = site,
    };
    reads_turn(&site->reads, &world);
}

uint64_t site_round(struct sim_node *from, const struct raft_message *message)
{
    const struct site *site = &from->world->whole->sites[from->number];
    if (message->type == RAFT_IO_APPEND_ENTRIES) {
        return site->reads.round;
    }
    return message->type == RAFT_IO_APPEND_ENTRIES_RESULT
               ? read_echo_round(&site->echo, message->append_entries_result.term)
               : 0;
}

void site_heard(struct sim_node *to, const struct flight *flight)
{
    struct site *site = &to->world->whole->sites[to->number];
    const struct raft_message *message = &flight->message;
    if (message->type == RAFT_IO_APPEND_ENTRIES &&
        message->append_entries.term >= to->raft->current_term) {
        read_echo_note(&site->echo, message->append_entries.term, flight->round);
    } else if (message->type == RAFT_IO_APPEND_ENTRIES_RESULT &&
               raft_state(to->raft) == RAFT_LEADER &&
               message->append_entries_result.term == to->raft->current_term) {
        read_echo_note(&site->heard[flight->from], to->raft->current_term, flight->round);
    }
}
