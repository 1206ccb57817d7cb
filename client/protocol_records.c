/*
 * The admin RPC's tables about records, operators and the audit. How they are written: see
 * protocol_common.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/protocol.h"

/* ---- records ---- */

static const struct codec_field submit_fields[] = {
    CODEC_OPTIONAL(struct rpc_submit, 1, feed, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_NESTED(struct rpc_submit, 2, records, CODEC_LIST, RPC_RECORDS_MAX, &message_record_codec),
};
const struct codec rpc_submit_codec = CODEC(struct rpc_submit, "submit", submit_fields);

static const struct codec_field submitted_fields[] = {
    CODEC_FIELD(struct rpc_submitted, 1, accepted, CODEC_U64, RPC_RECORDS_MAX),
    CODEC_FIELD(struct rpc_submitted, 2, duplicates, CODEC_U64, RPC_RECORDS_MAX),
};
const struct codec rpc_submitted_codec = CODEC(struct rpc_submitted, "submitted", submitted_fields);

static const struct codec_field search_fields[] = {
    CODEC_OPTIONAL(struct rpc_search, 1, key, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_search, 2, value, CODEC_TEXT, RECORD_KEY_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_search, 3, since_ms, CODEC_U64, RECORD_TIME_MAX_MS),
    CODEC_OPTIONAL(struct rpc_search, 4, until_ms, CODEC_U64, RECORD_TIME_MAX_MS),
    CODEC_OPTIONAL(struct rpc_search, 5, before_sequence, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_search, 6, limit, CODEC_U64, RPC_LIST_MAX),
};
const struct codec rpc_search_codec = CODEC(struct rpc_search, "search", search_fields);

static const struct codec_field record_fields[] = {
    CODEC_FIELD(struct rpc_record, 1, sequence, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_record, 2, fate, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_record, 3, external_id, CODEC_TEXT, RPC_EXTERNAL_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_record, 4, stored_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_NESTED(struct rpc_record, 5, record, CODEC_MESSAGE, 0, &message_record_codec),
};
const struct codec rpc_record_codec = CODEC(struct rpc_record, "record", record_fields);

static const struct codec_field records_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_records, 1, records, CODEC_LIST, RPC_LIST_MAX,
                          &rpc_record_codec),
    CODEC_FIELD(struct rpc_records, 2, more, CODEC_BOOL, 1),
    CODEC_NESTED(struct rpc_records, 3, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
};
const struct codec rpc_records_codec = CODEC(struct rpc_records, "records", records_fields);

/* ---- saved lives ---- */

static const struct codec_field saved_life_fields[] = {
    CODEC_FIELD(struct rpc_saved_life, 1, lineage, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_saved_life, 2, folder, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_saved_life, 3, state, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_saved_life, 4, saved_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_saved_life, 5, undelivered, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_saved_life, 6, given, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_saved_life, 7, error, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_saved_life_codec =
    CODEC(struct rpc_saved_life, "saved_life", saved_life_fields);

static const struct codec_field saved_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_saved, 1, lives, CODEC_LIST, RPC_LIST_MAX,
                          &rpc_saved_life_codec),
};
const struct codec rpc_saved_codec = CODEC(struct rpc_saved, "saved", saved_fields);

static const struct codec_field lineage_fields[] = {
    CODEC_OPTIONAL(struct rpc_lineage, 1, lineage, CODEC_TEXT, RPC_WORD_SIZE_MAX),
};
const struct codec rpc_lineage_codec = CODEC(struct rpc_lineage, "lineage", lineage_fields);

/* ---- operators ---- */

static const struct codec_field operator_add_fields[] = {
    CODEC_FIELD(struct rpc_operator_add, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_operator_add, 2, role, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_operator_add, 3, days, CODEC_U64, RPC_OPERATOR_DAYS_MAX),
};
const struct codec rpc_operator_add_codec =
    CODEC(struct rpc_operator_add, "operator_add", operator_add_fields);

static const struct codec_field operator_added_fields[] = {
    CODEC_FIELD(struct rpc_operator_added, 1, certificate, CODEC_TEXT, RPC_PEM_SIZE_MAX),
    CODEC_FIELD(struct rpc_operator_added, 2, key, CODEC_TEXT, RPC_PEM_SIZE_MAX),
    CODEC_FIELD(struct rpc_operator_added, 3, not_after_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_operator_added_codec =
    CODEC(struct rpc_operator_added, "operator_added", operator_added_fields);

static const struct codec_field operator_fields[] = {
    CODEC_FIELD(struct rpc_operator, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_operator, 2, role, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_operator, 3, fingerprint, CODEC_TEXT, RPC_FINGERPRINT_SIZE_MAX),
    CODEC_FIELD(struct rpc_operator, 4, not_after_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_operator_codec = CODEC(struct rpc_operator, "operator", operator_fields);

static const struct codec_field operators_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_operators, 1, operators, CODEC_LIST, RPC_LIST_MAX,
                          &rpc_operator_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_operators, 2, freshness, CODEC_MESSAGE, 0,
                          &rpc_freshness_codec),
};
const struct codec rpc_operators_codec = CODEC(struct rpc_operators, "operators", operators_fields);

static const struct codec_field certificate_fields[] = {
    CODEC_FIELD(struct rpc_certificate, 1, kind, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_certificate, 2, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_certificate, 3, state, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_certificate, 4, not_before_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_certificate, 5, not_after_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_certificate, 6, days_left, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_certificate, 7, fingerprint, CODEC_TEXT, RPC_FINGERPRINT_SIZE_MAX),
};
const struct codec rpc_certificate_codec =
    CODEC(struct rpc_certificate, "certificate", certificate_fields);

static const struct codec_field certificates_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_certificates, 1, certificates, CODEC_LIST, RPC_LIST_MAX,
                          &rpc_certificate_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_certificates, 2, freshness, CODEC_MESSAGE, 0,
                          &rpc_freshness_codec),
};
const struct codec rpc_certificates_codec =
    CODEC(struct rpc_certificates, "certificates", certificates_fields);

/* ---- audit ---- */

static const struct codec_field audit_query_fields[] = {
    CODEC_OPTIONAL(struct rpc_audit_query, 1, after, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_audit_query, 2, limit, CODEC_U64, RPC_LIST_MAX),
    CODEC_OPTIONAL(struct rpc_audit_query, 3, since_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_audit_query, 4, until_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_audit_query, 5, actor, CODEC_TEXT, RPC_ACTOR_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_audit_query, 6, method, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_audit_query_codec =
    CODEC(struct rpc_audit_query, "audit_query", audit_query_fields);

static const struct codec_field audit_line_fields[] = {
    CODEC_FIELD(struct rpc_audit_line, 1, sequence, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_audit_line, 2, at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_audit_line, 3, actor, CODEC_TEXT, RPC_ACTOR_SIZE_MAX),
    CODEC_FIELD(struct rpc_audit_line, 4, origin, CODEC_TEXT, RPC_ADDRESS_SIZE_MAX),
    CODEC_FIELD(struct rpc_audit_line, 5, command, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_audit_line, 6, target, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_audit_line, 7, outcome, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_audit_line, 8, comment, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_audit_line, 9, hash, CODEC_TEXT, RPC_FINGERPRINT_SIZE_MAX),
};
const struct codec rpc_audit_line_codec =
    CODEC(struct rpc_audit_line, "audit_line", audit_line_fields);

static const struct codec_field audit_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_audit, 1, lines, CODEC_LIST, RPC_LIST_MAX,
                          &rpc_audit_line_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_audit, 2, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
    CODEC_OPTIONAL(struct rpc_audit, 3, next, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_audit_codec = CODEC(struct rpc_audit, "audit", audit_fields);

static const struct codec_field audit_verified_fields[] = {
    CODEC_FIELD(struct rpc_audit_verified, 1, lines, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_audit_verified, 2, good, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_audit_verified, 3, error, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_audit_verified, 4, freshness, CODEC_MESSAGE, 0,
                          &rpc_freshness_codec),
    CODEC_OPTIONAL(struct rpc_audit_verified, 5, trimmed, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_audit_verified, 6, anchor, CODEC_TEXT, RPC_FINGERPRINT_SIZE_MAX),
};
const struct codec rpc_audit_verified_codec =
    CODEC(struct rpc_audit_verified, "audit_verified", audit_verified_fields);
