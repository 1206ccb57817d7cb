/*
 * Positions of nodes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "position.h"

#include "daemon.h"
#include "names.h"
#include "views.h"

struct status position_of(struct daemon *daemon, struct arena *arena, struct rpc_position *out)
{
    struct consensus_status *raft = arena_alloc(arena, 1, sizeof *raft);
    struct cluster_view cluster = {.lineage = 1};
    struct member self = {.standing = STANDING_JOINING};
    if (raft == NULL) {
        return fail(STATUS_NO_MEMORY, "tell the position");
    }
    consensus_status(daemon->consensus, raft);
    struct status status = store_cluster(daemon->store, arena, &cluster);
    if (!failed(status)) {
        status = store_member(daemon->store, arena, daemon->identity.node_id, &self);
    }
    if (failed(status) && status.code != STATUS_NOT_FOUND) {
        return status;
    }
    *out = (struct rpc_position){
        .node_id = daemon->identity.node_id,
        .name = slice_of(daemon->config.name),
        .cluster_id = slice_of(daemon->identity.cluster_id),
        .standing =
            slice_of(standing_name(daemon->removed ? (uint64_t)STANDING_REMOVED : self.standing)),
        .lineage = cluster.lineage,
        .last_index = raft->last_index,
        .last_term = raft->last_term,
        .commit_index = raft->commit_index,
        .leader =
            raft->quorum ? daemon_name_of(daemon, arena, daemon->event.leader_id) : slice_of(""),
        .leader_heard_ms_ago = raft->leader_heard_ms_ago,
    };
    return OK;
}

bool position_is_ahead(const struct rpc_position *left, const struct rpc_position *right)
{
    return left->last_term > right->last_term ||
           (left->last_term == right->last_term && left->last_index > right->last_index);
}

struct slice position_words(const struct rpc_position *position, struct arena *arena)
{
    return view_text(
        arena, "%.*s, log up to entry %llu of term %llu, %s%.*s", SLICE_ARG(position->standing),
        (unsigned long long)position->last_index, (unsigned long long)position->last_term,
        position->leader.size == 0 ? "no leader" : "led by ", SLICE_ARG(position->leader));
}
