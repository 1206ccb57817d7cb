/*
 * What an operator sees of a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node.h"
#include "raft_view.h"

static enum member_role member_role_of(int role)
{
    if (role == RAFT_VOTER) {
        return MEMBER_VOTER;
    }
    return role == RAFT_STANDBY ? MEMBER_STANDBY : MEMBER_SPARE;
}

static uint64_t ago(const struct consensus *node, bool ever, uint64_t at_ms)
{
    return ever ? node_now_ms(node) - at_ms : UINT64_MAX;
}

static void fill_member(const struct consensus *node, unsigned at, struct consensus_member *out)
{
    const struct raft *raft = &node->raft;
    const struct raft_server *server = &raft->configuration.servers[at];
    const struct node_peer *peer = node_peer_find(node, server->id);
    bool leads = node_is_leader(node);
    bool is_self = server->id == raft->id;
    *out = (struct consensus_member){.node_id = server->id, .role = member_role_of(server->role)};
    (void)snprintf(out->address, sizeof out->address, "%s", server->address);
    out->match_index = leads ? raft->leader_state.progress[at].match_index : 0;
    out->heard_ms_ago = UINT64_MAX;
    if (is_self) {
        out->heard_ms_ago = 0;
        out->match_index = leads ? raft->last_stored : 0;
    } else if (leads && peer != NULL) {
        out->heard_ms_ago = ago(node, peer->heard, peer->heard_ms);
    }
    out->connected = is_self || (node->peers_open && peers_connected(node->peers, server->id));
}

static void fill_log(const struct consensus *node, struct consensus_status *out)
{
    struct wal_stats log = {0};
    if (!node->wal_open || node->raft_closing) {
        return;
    }
    wal_stats(node->wal, &log);
    out->first_index = log.first_index;
    out->snapshot_index = log.snapshot_index;
    out->log_size = log.disk_size;
    out->log_low = log.low;
    out->log_syncs = log.syncs;
    out->log_sync_time_us = log.sync_time_us;
}

static void fill_peers(const struct consensus *node, struct consensus_status *out)
{
    struct peers_statistics peers = {0};
    if (!node->peers_open || node->raft_closing) {
        return;
    }
    peers_statistics(node->peers, &peers);
    out->peer_bytes_sent = peers.bytes_sent;
    out->peer_bytes_received = peers.bytes_received;
    out->images_resumed = peers.images_resumed;
    _Static_assert(CONSENSUS_TRANSFERS_MAX == PEER_TRANSFERS_MAX, "all of them are shown");
    struct peer_transfer transfers[PEER_TRANSFERS_MAX];
    out->transfer_count = peers_transfers(node->peers, transfers);
    for (size_t i = 0; i < out->transfer_count; i++) {
        out->transfers[i] = (struct consensus_transfer){.node_id = transfers[i].node_id,
                                                        .sending = transfers[i].sending,
                                                        .done_size = transfers[i].done_size,
                                                        .total_size = transfers[i].total_size,
                                                        .rate = transfers[i].rate};
    }
}

uint64_t consensus_space_needed(const char *directory)
{
    return wal_space_needed(directory);
}

void consensus_status(const struct consensus *consensus, struct consensus_status *out)
{
    *out = (struct consensus_status){.event.role = CONSENSUS_STOPPED,
                                     .library = "raft library " RAFT_LIBRARY_VERSION ", guarded",
                                     .leader_heard_ms_ago = UINT64_MAX};
    if (consensus == NULL) {
        return;
    }
    const struct raft *raft = &consensus->raft;
    *out = (struct consensus_status){.event = consensus->event,
                                     .library = out->library,
                                     .proposals = consensus->proposal_count,
                                     .entries = consensus->entry_count,
                                     .snapshots_taken = consensus->snapshots_taken,
                                     .snapshots_installed = consensus->snapshots_installed,
                                     .snapshot_time_us_max = consensus->snapshot_time_us_max,
                                     .install_time_us_max = consensus->install_time_us_max,
                                     .leader_heard_ms_ago = UINT64_MAX};
    if (consensus->raft_closed) {
        return;
    }
    bool leads = node_is_leader(consensus);
    out->commit_index = raft->commit_index;
    out->applied_index = raft->last_applied;
    out->last_index = raft_view_last(raft);
    out->last_term = raft_view_term(raft, out->last_index);
    if (!leads) {
        out->leader_heard_ms_ago =
            ago(consensus, consensus->leader_heard, consensus->leader_heard_ms);
    }
    out->quorum = leads ? node_has_quorum(consensus)
                        : out->leader_heard_ms_ago < consensus->options.election_timeout_ms;
    fill_log(consensus, out);
    fill_peers(consensus, out);
    for (unsigned i = 0; i < raft->configuration.n && i < CONSENSUS_NODES_MAX; i++) {
        fill_member(consensus, i, &out->members[out->member_count++]);
    }
}
