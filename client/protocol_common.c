/*
 * The admin RPC's tables that every subject shares: options of a request, empty messages, the
 * freshness of a read, and the description of the protocol itself.
 *
 * How the tables of protocol_*.c are written: in params a field is optional if leaving it out means
 * something (the header says what). In results every number, flag and text is always there, so that
 * a reader in another language needs no defaults; lists are optional because an empty one is left
 * out. A field that is added later is optional, for an older node does not send it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/protocol.h"

static const struct codec_field options_fields[] = {
    CODEC_OPTIONAL(struct rpc_options, 1, deadline_ms, CODEC_U64, RPC_DEADLINE_MAX_MS),
    CODEC_OPTIONAL(struct rpc_options, 2, stale, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct rpc_options, 3, comment, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_options_codec = CODEC(struct rpc_options, "options", options_fields);

static const struct codec_field empty_fields[] = {
    CODEC_OPTIONAL(struct rpc_empty, 1, reserved, CODEC_U64, 0),
};
const struct codec rpc_empty_codec = CODEC(struct rpc_empty, "empty", empty_fields);

static const struct codec_field done_fields[] = {
    CODEC_FIELD(struct rpc_done, 1, message, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_done_codec = CODEC(struct rpc_done, "done", done_fields);

static const struct codec_field freshness_fields[] = {
    CODEC_FIELD(struct rpc_freshness, 1, index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_freshness, 2, stale, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_freshness, 3, age_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_freshness_codec = CODEC(struct rpc_freshness, "freshness", freshness_fields);

static const struct codec_field problem_fields[] = {
    CODEC_FIELD(struct rpc_problem, 1, what, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_problem, 2, remedy, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_problem, 3, about, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_problem, 4, severe, CODEC_BOOL, 1),
};
const struct codec rpc_problem_codec = CODEC(struct rpc_problem, "problem", problem_fields);

static const struct codec_field name_fields[] = {
    CODEC_OPTIONAL(struct rpc_name, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_name_codec = CODEC(struct rpc_name, "name", name_fields);

static const struct codec_field page_fields[] = {
    CODEC_OPTIONAL(struct rpc_page, 1, after, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_page, 2, limit, CODEC_U64, RPC_LIST_MAX),
};
const struct codec rpc_page_codec = CODEC(struct rpc_page, "page", page_fields);

/* ---- inspection ---- */

static const struct codec_field method_view_fields[] = {
    CODEC_FIELD(struct rpc_method_view, 1, method, CODEC_TEXT, RPC_METHOD_SIZE_MAX),
    CODEC_FIELD(struct rpc_method_view, 2, role, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_method_view, 3, routing, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_method_view, 4, summary, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_method_view, 5, params, CODEC_TEXTS, CODEC_FIELDS_MAX),
    CODEC_OPTIONAL(struct rpc_method_view, 6, results, CODEC_TEXTS, CODEC_FIELDS_MAX),
};
const struct codec rpc_method_view_codec =
    CODEC(struct rpc_method_view, "method_view", method_view_fields);

static const struct codec_field description_fields[] = {
    CODEC_FIELD(struct rpc_description, 1, protocol, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct rpc_description, 2, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_NESTED(struct rpc_description, 3, methods, CODEC_LIST, RPC_LIST_MAX,
                 &rpc_method_view_codec),
};
const struct codec rpc_description_codec =
    CODEC(struct rpc_description, "description", description_fields);

static const struct codec_field version_fields[] = {
    CODEC_FIELD(struct rpc_version, 1, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_version, 2, library, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_version, 3, protocol, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct rpc_version, 4, pid, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct rpc_version, 5, uptime_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_version_codec = CODEC(struct rpc_version, "version", version_fields);

static const struct codec_field node_status_fields[] = {
    CODEC_FIELD(struct rpc_node_status, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_node_status, 2, suspended, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_node_status, 3, kind, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_node_status, 4, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_node_status, 5, remedy, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_node_status, 6, since_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_node_status, 7, next_try_in_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_node_status, 8, attempts, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_node_status, 9, last_try, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_node_status, 10, readable, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_node_status, 11, disk_free, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_node_status, 12, disk_size, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_node_status, 13, disk, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_node_status, 14, aside, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_node_status, 15, connections, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_node_status, 16, connections_refused, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_node_status, 17, connections_cut, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_node_status, 18, requests_refused, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_node_status_codec =
    CODEC(struct rpc_node_status, "node_status", node_status_fields);

static const struct codec_field digest_fields[] = {
    CODEC_OPTIONAL(struct rpc_digest, 1, index, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_digest, 2, deep, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct rpc_digest, 3, digest, CODEC_TEXT, RPC_DIGEST_SIZE_MAX),
};
const struct codec rpc_digest_codec = CODEC(struct rpc_digest, "digest", digest_fields);

static const struct codec_field check_fields[] = {
    CODEC_OPTIONAL(struct rpc_check, 1, region, CODEC_TEXT, RPC_WORD_SIZE_MAX),
};
const struct codec rpc_check_codec = CODEC(struct rpc_check, "check", check_fields);

static const struct codec_field finding_fields[] = {
    CODEC_FIELD(struct rpc_finding, 1, group, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_finding, 2, subject, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_finding, 3, verdict, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_finding, 4, code, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_finding, 5, what, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_finding, 6, remedy, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_finding_codec = CODEC(struct rpc_finding, "finding", finding_fields);

static const struct codec_field findings_fields[] = {
    CODEC_FIELD(struct rpc_findings, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_findings, 2, findings, CODEC_LIST, RPC_FINDINGS_MAX,
                          &rpc_finding_codec),
    CODEC_FIELD(struct rpc_findings, 3, took_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_findings_codec = CODEC(struct rpc_findings, "findings", findings_fields);

static const struct codec_field digest_view_fields[] = {
    CODEC_FIELD(struct rpc_digest_view, 1, index, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_digest_view, 2, digest, CODEC_TEXT, RPC_DIGEST_SIZE_MAX),
};
const struct codec rpc_digest_view_codec =
    CODEC(struct rpc_digest_view, "digest_view", digest_view_fields);

static const struct codec_field address_news_fields[] = {
    CODEC_FIELD(struct rpc_address_news, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_address_news, 2, peer_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_address_news, 3, rpc_address, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_address_news, 4, said_at_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_address_news_codec =
    CODEC(struct rpc_address_news, "address_news", address_news_fields);

static const struct codec_field announce_fields[] = {
    CODEC_FIELD(struct rpc_announce, 1, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_announce, 2, index, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_announce, 3, news, CODEC_LIST, RPC_MEMBERS_MAX,
                          &rpc_address_news_codec),
    CODEC_OPTIONAL(struct rpc_announce, 4, level, CODEC_U64, RPC_LEVEL_MAX),
    CODEC_OPTIONAL(struct rpc_announce, 5, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct rpc_announce, 6, key_check, CODEC_BYTES, 32),
};
const struct codec rpc_announce_codec = CODEC(struct rpc_announce, "announce", announce_fields);

static const struct codec_field forward_fields[] = {
    CODEC_FIELD(struct rpc_forward, 1, method, CODEC_TEXT, RPC_METHOD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_forward, 2, params, CODEC_BYTES, RPC_FORWARD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_forward, 3, actor, CODEC_TEXT, RPC_ACTOR_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_forward, 4, origin, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_forward, 5, role, CODEC_U64, RPC_ROLE_ADMIN),
    CODEC_FIELD(struct rpc_forward, 6, node_id, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_forward, 7, deadline_ms, CODEC_U64, RPC_DEADLINE_MAX_MS),
};
const struct codec rpc_forward_codec = CODEC(struct rpc_forward, "forward", forward_fields);
