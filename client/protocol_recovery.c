/*
 * The admin RPC's tables about recovering a cluster. How they are written: see protocol_common.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/cluster_key.h"
#include "client/recovery.h"
#include "client/snapshot.h"

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

static const struct codec_field recovery_key_fields[] = {
    CODEC_FIELD(struct rpc_recovery_key, 1, key, CODEC_TEXT, RECOVERY_KEY_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_recovery_key, 2, key_epoch, CODEC_U64, UINT32_MAX),
};
const struct codec rpc_recovery_key_codec =
    CODEC(struct rpc_recovery_key, "recovery_key", recovery_key_fields);

/* ---- snapshots ---- */

static const struct codec_field snapshot_begun_fields[] = {
    CODEC_FIELD(struct rpc_snapshot_begun, 1, id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_snapshot_begun, 2, quorum, CODEC_BOOL, 1),
};
const struct codec rpc_snapshot_begun_codec =
    CODEC(struct rpc_snapshot_begun, "snapshot_begun", snapshot_begun_fields);

static const struct codec_field snapshot_read_fields[] = {
    CODEC_FIELD(struct rpc_snapshot_read, 1, id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_snapshot_read, 2, offset, CODEC_U64, INT64_MAX),
};
const struct codec rpc_snapshot_read_codec =
    CODEC(struct rpc_snapshot_read, "snapshot_read", snapshot_read_fields);

static const struct codec_field snapshot_part_fields[] = {
    CODEC_FIELD(struct rpc_snapshot_part, 1, ready, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_snapshot_part, 2, size, CODEC_U64, INT64_MAX),
    CODEC_FIELD(struct rpc_snapshot_part, 3, bytes, CODEC_BYTES, RPC_SNAPSHOT_PART_MAX),
};
const struct codec rpc_snapshot_part_codec =
    CODEC(struct rpc_snapshot_part, "snapshot_part", snapshot_part_fields);

static const struct codec_field snapshot_upload_fields[] = {
    CODEC_FIELD(struct rpc_snapshot_upload, 1, offset, CODEC_U64, INT64_MAX),
    CODEC_FIELD(struct rpc_snapshot_upload, 2, bytes, CODEC_BYTES, RPC_SNAPSHOT_PART_MAX),
};
const struct codec rpc_snapshot_upload_codec =
    CODEC(struct rpc_snapshot_upload, "snapshot_upload", snapshot_upload_fields);

static const struct codec_field snapshot_stored_fields[] = {
    CODEC_FIELD(struct rpc_snapshot_stored, 1, size, CODEC_U64, INT64_MAX),
};
const struct codec rpc_snapshot_stored_codec =
    CODEC(struct rpc_snapshot_stored, "snapshot_stored", snapshot_stored_fields);

static const struct codec_field restore_fields[] = {
    CODEC_FIELD(struct rpc_restore, 1, header, CODEC_BYTES,
                SNAPSHOT_LEAD_SIZE + SNAPSHOT_HEADER_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_restore, 2, recovery_key, CODEC_TEXT, RECOVERY_KEY_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_restore, 3, proceed, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct rpc_restore, 4, cluster, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_restore_codec = CODEC(struct rpc_restore, "restore", restore_fields);

/* ---- the cluster key ---- */

static const struct codec_field rotate_key_fields[] = {
    CODEC_OPTIONAL(struct rpc_rotate_key, 1, check, CODEC_BOOL, 1),
};
const struct codec rpc_rotate_key_codec =
    CODEC(struct rpc_rotate_key, "rotate_key", rotate_key_fields);

static const struct codec_field key_holder_fields[] = {
    CODEC_FIELD(struct rpc_key_holder, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_key_holder, 2, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_key_holder, 3, given, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_key_holder, 4, held, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_key_holder, 5, silent, CODEC_BOOL, 1),
};
const struct codec rpc_key_holder_codec =
    CODEC(struct rpc_key_holder, "key_holder", key_holder_fields);

static const struct codec_field cluster_key_fields[] = {
    CODEC_FIELD(struct rpc_cluster_key, 1, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_key, 2, next_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_key, 3, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_key, 4, began_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_key, 5, sealed, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_key, 6, recovery_key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_cluster_key, 7, holders, CODEC_LIST, RPC_MEMBERS_MAX,
                          &rpc_key_holder_codec),
    CODEC_FIELD(struct rpc_cluster_key, 8, message, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_NESTED(struct rpc_cluster_key, 9, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
};
const struct codec rpc_cluster_key_codec =
    CODEC(struct rpc_cluster_key, "cluster_key", cluster_key_fields);
