/*
 * The admin RPC's tables about recovering a cluster. How they are written: see protocol_common.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/recovery.h"

#define LOSSES_MAX 16

static const struct codec_field position_fields[] = {
    CODEC_FIELD(struct rpc_position, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_position, 2, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_position, 3, cluster_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_position, 4, standing, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_position, 5, lineage, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct rpc_position, 6, last_index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_position, 7, last_term, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_position, 8, commit_index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_position, 9, leader, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_position, 10, leader_heard_ms_ago, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_position_codec = CODEC(struct rpc_position, "position", position_fields);

static const struct codec_field recover_fields[] = {
    CODEC_OPTIONAL(struct rpc_recover, 1, proceed, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct rpc_recover, 2, cluster, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_recover_codec = CODEC(struct rpc_recover, "recover", recover_fields);

static const struct codec_field survivor_fields[] = {
    CODEC_FIELD(struct rpc_survivor, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_survivor, 2, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_survivor, 3, role, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_survivor, 4, self, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_survivor, 5, answered, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_survivor, 6, last_index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_survivor, 7, last_term, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_survivor, 8, says, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_survivor_codec = CODEC(struct rpc_survivor, "survivor", survivor_fields);

static const struct codec_field recovery_fields[] = {
    CODEC_FIELD(struct rpc_recovery, 1, begun, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_recovery, 2, cluster, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_recovery, 3, cluster_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_recovery, 4, node, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_recovery, 5, lineage, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct rpc_recovery, 6, source, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_recovery, 7, index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_recovery, 8, term, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_recovery, 9, taken_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_recovery, 10, produced, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_recovery, 11, pending, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_recovery, 12, members, CODEC_LIST, RPC_MEMBERS_MAX,
                          &rpc_survivor_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_recovery, 13, problems, CODEC_LIST, RPC_PROBLEMS_MAX,
                          &rpc_problem_codec),
    CODEC_OPTIONAL(struct rpc_recovery, 14, losses, CODEC_TEXTS, LOSSES_MAX),
    CODEC_FIELD(struct rpc_recovery, 15, message, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_recovery_codec = CODEC(struct rpc_recovery, "recovery", recovery_fields);
