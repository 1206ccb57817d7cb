/*
 * The admin RPC's tables about the cluster: its members, join tokens, joining and leaving; and the
 * statement that a joining node signs. How they are written: see protocol_common.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/protocol.h"

static const struct codec_field member_fields[] = {
    CODEC_FIELD(struct rpc_member, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_member, 2, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 3, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 4, standing, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 5, role, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 6, leader, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_member, 7, self, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_member, 8, connected, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_member, 9, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 10, peer_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 11, rpc_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_member, 12, lag, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_member, 13, heard_ms_ago, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_member, 14, certificate_not_after_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_member, 15, catching_up, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct rpc_member, 16, image_done, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_member, 17, image_size, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_member, 18, image_rate, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_member, 19, level, CODEC_U64, RPC_LEVEL_MAX),
    CODEC_OPTIONAL(struct rpc_member, 20, quarantine, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_member, 21, damage, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_member_codec = CODEC(struct rpc_member, "member", member_fields);

static const struct codec_field cluster_status_fields[] = {
    CODEC_FIELD(struct rpc_cluster_status, 1, cluster_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 2, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 3, standing, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 4, node_name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 5, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 6, leader, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 7, term, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 8, quorum, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_cluster_status, 9, can_lose, CODEC_U64, RPC_MEMBERS_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 10, commit_index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 11, applied_index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 12, last_index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 13, library, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 14, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 15, digest, CODEC_TEXT, RPC_DIGEST_SIZE_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_cluster_status, 16, members, CODEC_LIST, RPC_MEMBERS_MAX,
                          &rpc_member_codec),
    CODEC_NESTED(struct rpc_cluster_status, 17, registration, CODEC_MESSAGE, 0,
                 &rpc_registration_codec),
    CODEC_NESTED(struct rpc_cluster_status, 18, export, CODEC_MESSAGE, 0, &rpc_export_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_cluster_status, 19, problems, CODEC_LIST, RPC_PROBLEMS_MAX,
                          &rpc_problem_codec),
    CODEC_FIELD(struct rpc_cluster_status, 20, store_used, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 21, store_max, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_cluster_status, 22, log_size, CODEC_U64, UINT64_MAX),
    CODEC_NESTED(struct rpc_cluster_status, 23, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
    CODEC_OPTIONAL(struct rpc_cluster_status, 24, voters, CODEC_U64, RPC_MEMBERS_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_status, 25, lineage, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_status, 26, recovered_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_cluster_status, 27, level, CODEC_U64, RPC_LEVEL_MAX),
};
const struct codec rpc_cluster_status_codec =
    CODEC(struct rpc_cluster_status, "cluster_status", cluster_status_fields);

static const struct codec_field members_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_members, 1, members, CODEC_LIST, RPC_MEMBERS_MAX,
                          &rpc_member_codec),
    CODEC_NESTED(struct rpc_members, 2, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
};
const struct codec rpc_members_codec = CODEC(struct rpc_members, "members", members_fields);

static const struct codec_field cluster_init_fields[] = {
    CODEC_FIELD(struct rpc_cluster_init, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_cluster_init_codec =
    CODEC(struct rpc_cluster_init, "cluster_init", cluster_init_fields);

static const struct codec_field settings_fields[] = {
    CODEC_FIELD(struct rpc_settings, 1, voters, CODEC_U64, RPC_MEMBERS_MAX),
    CODEC_NESTED(struct rpc_settings, 2, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
};
const struct codec rpc_settings_codec = CODEC(struct rpc_settings, "settings", settings_fields);

static const struct codec_field settings_set_fields[] = {
    CODEC_OPTIONAL(struct rpc_settings_set, 1, voters, CODEC_U64, RPC_MEMBERS_MAX),
};
const struct codec rpc_settings_set_codec =
    CODEC(struct rpc_settings_set, "settings_set", settings_set_fields);

/* ---- join tokens ---- */

static const struct codec_field token_create_fields[] = {
    CODEC_OPTIONAL(struct rpc_token_create, 1, ttl_s, CODEC_U64, RPC_TOKEN_TTL_MAX_S),
    CODEC_OPTIONAL(struct rpc_token_create, 2, for_name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_token_create_codec =
    CODEC(struct rpc_token_create, "token_create", token_create_fields);

static const struct codec_field token_created_fields[] = {
    CODEC_FIELD(struct rpc_token_created, 1, token, CODEC_TEXT, RPC_JOIN_TOKEN_SIZE_MAX),
    CODEC_FIELD(struct rpc_token_created, 2, token_id, CODEC_TEXT, RPC_TOKEN_ID_SIZE),
    CODEC_FIELD(struct rpc_token_created, 3, expires_at_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_token_created_codec =
    CODEC(struct rpc_token_created, "token_created", token_created_fields);

static const struct codec_field token_id_fields[] = {
    CODEC_FIELD(struct rpc_token_id, 1, token_id, CODEC_TEXT, RPC_TOKEN_ID_SIZE),
};
const struct codec rpc_token_id_codec = CODEC(struct rpc_token_id, "token_id", token_id_fields);

static const struct codec_field token_fields[] = {
    CODEC_FIELD(struct rpc_token, 1, token_id, CODEC_TEXT, RPC_TOKEN_ID_SIZE),
    CODEC_FIELD(struct rpc_token, 2, state, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_token, 3, created_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_token, 4, expires_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_token, 5, used_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_token, 6, used_by, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_token, 7, for_name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_token, 8, created_by, CODEC_TEXT, RPC_ACTOR_SIZE_MAX),
};
const struct codec rpc_token_codec = CODEC(struct rpc_token, "token", token_fields);

static const struct codec_field tokens_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_tokens, 1, tokens, CODEC_LIST, RPC_LIST_MAX, &rpc_token_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_tokens, 2, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
};
const struct codec rpc_tokens_codec = CODEC(struct rpc_tokens, "tokens", tokens_fields);

/* ---- joining and leaving ---- */

static const struct codec_field join_fields[] = {
    CODEC_FIELD(struct rpc_join, 1, token, CODEC_TEXT, RPC_JOIN_TOKEN_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_join, 2, check, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct rpc_join, 3, keep_records, CODEC_BOOL, 1),
};
const struct codec rpc_join_codec = CODEC(struct rpc_join, "join", join_fields);

static const struct codec_field joined_fields[] = {
    CODEC_FIELD(struct rpc_joined, 1, check, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_joined, 2, cluster, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_joined, 3, problems, CODEC_LIST, RPC_PROBLEMS_MAX,
                          &rpc_problem_codec),
    CODEC_FIELD(struct rpc_joined, 4, message, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_joined, 5, cloud_check, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_joined, 6, saved, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_joined, 7, undelivered, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_joined_codec = CODEC(struct rpc_joined, "joined", joined_fields);

static const struct codec_field admit_fields[] = {
    CODEC_FIELD(struct rpc_admit, 1, token_id, CODEC_TEXT, RPC_TOKEN_ID_SIZE),
    CODEC_FIELD(struct rpc_admit, 2, secret, CODEC_BYTES, RPC_SECRET_SIZE),
    CODEC_OPTIONAL(struct rpc_admit, 3, check, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_admit, 4, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 5, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_admit, 6, model, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 7, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 8, peer_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 9, rpc_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 10, request, CODEC_TEXT, RPC_PEM_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 11, registration, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 12, stated_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_admit, 13, signature, CODEC_BYTES, RPC_SIGNATURE_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_admit, 14, level, CODEC_U64, RPC_LEVEL_MAX),
};
const struct codec rpc_admit_codec = CODEC(struct rpc_admit, "admit", admit_fields);

static const struct codec_field admitted_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_admitted, 1, problems, CODEC_LIST, RPC_PROBLEMS_MAX,
                          &rpc_problem_codec),
    CODEC_OPTIONAL(struct rpc_admitted, 2, cluster_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_admitted, 3, cluster_name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_admitted, 4, ca_certificate, CODEC_TEXT, RPC_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_admitted, 5, certificate, CODEC_TEXT, RPC_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_admitted, 6, cluster_key, CODEC_BYTES, RPC_SECRET_SIZE),
    CODEC_OPTIONAL(struct rpc_admitted, 7, key_epoch, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_admitted, 8, cloud_check, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_admitted, 9, members, CODEC_LIST, RPC_MEMBERS_MAX,
                          &rpc_member_codec),
};
const struct codec rpc_admitted_codec = CODEC(struct rpc_admitted, "admitted", admitted_fields);

static const struct codec_field remove_fields[] = {
    CODEC_FIELD(struct rpc_remove, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_remove, 2, force, CODEC_BOOL, 1),
};
const struct codec rpc_remove_codec = CODEC(struct rpc_remove, "remove", remove_fields);

static const struct codec_field node_id_fields[] = {
    CODEC_FIELD(struct rpc_node_id, 1, node_id, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_node_id_codec = CODEC(struct rpc_node_id, "node_id", node_id_fields);

static const struct codec_field standing_fields[] = {
    CODEC_FIELD(struct rpc_standing, 1, standing, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_standing, 2, lineage, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct rpc_standing, 3, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_standing_codec = CODEC(struct rpc_standing, "standing", standing_fields);

static const struct codec_field rebuild_fields[] = {
    CODEC_OPTIONAL(struct rpc_rebuild, 1, check, CODEC_BOOL, 1),
};
const struct codec rpc_rebuild_codec = CODEC(struct rpc_rebuild, "rebuild", rebuild_fields);

static const struct codec_field reset_fields[] = {
    CODEC_OPTIONAL(struct rpc_reset, 1, check, CODEC_BOOL, 1),
};
const struct codec rpc_reset_codec = CODEC(struct rpc_reset, "reset", reset_fields);

static const struct codec_field discarded_fields[] = {
    CODEC_FIELD(struct rpc_discarded, 1, cluster, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_discarded, 2, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_discarded, 3, items, CODEC_TEXTS, RPC_DISCARDED_MAX),
    CODEC_FIELD(struct rpc_discarded, 4, message, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_discarded_codec = CODEC(struct rpc_discarded, "discarded", discarded_fields);

static const struct codec_field quarantine_fields[] = {
    CODEC_FIELD(struct rpc_quarantine, 1, step, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_quarantine, 2, life, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_quarantine, 3, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_quarantine_codec =
    CODEC(struct rpc_quarantine, "quarantine", quarantine_fields);

static const struct codec_field quarantined_fields[] = {
    CODEC_FIELD(struct rpc_quarantined, 1, step, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_quarantined, 2, why, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_quarantined_codec =
    CODEC(struct rpc_quarantined, "quarantined", quarantined_fields);

/* What of struct rpc_admit is signed: all but the token's secret, the question whether it is only
 * a question, and the signature itself. The same tags, so that one table can be read beside the
 * other. */
static const struct codec_field statement_fields[] = {
    CODEC_FIELD(struct rpc_admit, 1, token_id, CODEC_TEXT, RPC_TOKEN_ID_SIZE),
    CODEC_FIELD(struct rpc_admit, 4, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 5, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 6, model, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 7, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 8, peer_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 9, rpc_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 10, request, CODEC_TEXT, RPC_PEM_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 11, registration, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_admit, 12, stated_at_ms, CODEC_U64, UINT64_MAX),
};
static const struct codec statement_codec =
    CODEC(struct rpc_admit, "admit_statement", statement_fields);

/* A signature by a node key over anything else can never be taken for one over a statement. */
static const char statement_context[] = "muster admit statement 1";

struct status rpc_admit_statement(const struct rpc_admit *admit, struct buffer *out)
{
    size_t size_before = out->size;
    if (!buffer_append(out, statement_context, sizeof(statement_context))) {
        return fail(STATUS_NO_MEMORY, "state who joins");
    }
    struct status status = codec_encode(&statement_codec, CODEC_TAGS, admit, out);
    if (failed(status)) {
        out->size = size_before;
        return wrap(status, "state who joins");
    }
    return OK;
}
