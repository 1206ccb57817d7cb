/*
 * The admin RPC's tables about the cloud service: registration, credentials, export and dead
 * letters. How they are written: see protocol_common.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/protocol.h"

/* ---- registration ---- */

static const struct codec_field registration_fields[] = {
    CODEC_FIELD(struct rpc_registration, 1, state, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 2, region, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 3, mode, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 4, machine, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 5, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 6, device_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 7, tenant, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 8, epoch, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_registration, 9, since_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_registration, 10, attempt, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_registration, 11, next_try_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_registration, 12, error_code, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 13, error, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_registration, 14, not_after_ms, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_registration, 15, freshness, CODEC_MESSAGE, 0,
                          &rpc_freshness_codec),
};
const struct codec rpc_registration_codec =
    CODEC(struct rpc_registration, "registration", registration_fields);

static const struct codec_field enable_fields[] = {
    CODEC_FIELD(struct rpc_enable, 1, region, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_enable, 2, mode, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_enable, 3, machine, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_enable_codec = CODEC(struct rpc_enable, "enable", enable_fields);

static const struct codec_field disable_fields[] = {
    CODEC_OPTIONAL(struct rpc_disable, 1, mode, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_disable, 2, machine, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_disable_codec = CODEC(struct rpc_disable, "disable", disable_fields);

static const struct codec_field register_fields[] = {
    CODEC_FIELD(struct rpc_register, 1, token, CODEC_TEXT, RPC_REGISTRATION_TOKEN_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_register, 2, mode, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_register, 3, machine, CODEC_TEXT, RPC_NAME_SIZE_MAX),
};
const struct codec rpc_register_codec = CODEC(struct rpc_register, "register", register_fields);

static const struct codec_field deregister_fields[] = {
    CODEC_OPTIONAL(struct rpc_deregister, 1, mode, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_deregister, 2, machine, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_deregister, 3, forget, CODEC_BOOL, 1),
};
const struct codec rpc_deregister_codec =
    CODEC(struct rpc_deregister, "deregister", deregister_fields);

/* ---- credentials ---- */

static const struct codec_field credential_add_fields[] = {
    CODEC_FIELD(struct rpc_credential_add, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential_add, 2, client_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential_add, 3, password, CODEC_TEXT, RPC_PASSWORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_credential_add, 4, region, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_OPTIONAL(struct rpc_credential_add, 5, replace, CODEC_BOOL, 1),
};
const struct codec rpc_credential_add_codec =
    CODEC(struct rpc_credential_add, "credential_add", credential_add_fields);

static const struct codec_field feature_fields[] = {
    CODEC_FIELD(struct rpc_feature, 1, feature, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_feature, 2, available, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_feature, 3, missing, CODEC_TEXT, RPC_SCOPES_SIZE_MAX),
};
const struct codec rpc_feature_codec = CODEC(struct rpc_feature, "feature", feature_fields);

static const struct codec_field credential_fields[] = {
    CODEC_FIELD(struct rpc_credential, 1, name, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential, 2, client_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential, 3, region, CODEC_TEXT, RPC_WORD_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential, 4, selected, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_credential, 5, verified, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_credential, 6, verified_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_credential, 7, scopes, CODEC_TEXT, RPC_SCOPES_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential, 8, error, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_credential, 9, put_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct rpc_credential, 10, features, CODEC_LIST, RPC_FEATURES_MAX,
                          &rpc_feature_codec),
};
const struct codec rpc_credential_codec =
    CODEC(struct rpc_credential, "credential", credential_fields);

static const struct codec_field credentials_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_credentials, 1, credentials, CODEC_LIST, RPC_CREDENTIALS_MAX,
                          &rpc_credential_codec),
    CODEC_NESTED(struct rpc_credentials, 2, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
};
const struct codec rpc_credentials_codec =
    CODEC(struct rpc_credentials, "credentials", credentials_fields);

/* ---- export ---- */

static const struct codec_field export_fields[] = {
    CODEC_FIELD(struct rpc_export, 1, produced, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 2, delivered, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 3, pending, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 4, dead_lettered, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 5, discarded, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 6, duplicates, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 7, paused, CODEC_BOOL, 1),
    CODEC_FIELD(struct rpc_export, 8, pause_reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_export, 9, delivered_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 10, cloud_pause_until_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 11, cloud_pause_reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_export, 12, outbox_max, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 13, exporter, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_export, 14, state, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct rpc_export, 15, last_error, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_export, 16, bundles_sent, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_export, 17, quota_remaining, CODEC_U64, UINT64_MAX),
    CODEC_NESTED(struct rpc_export, 18, freshness, CODEC_MESSAGE, 0, &rpc_freshness_codec),
    CODEC_OPTIONAL(struct rpc_export, 19, quota_limit, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct rpc_export, 20, calls_last_hour, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_export_codec = CODEC(struct rpc_export, "export", export_fields);

static const struct codec_field pause_fields[] = {
    CODEC_OPTIONAL(struct rpc_pause, 1, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
};
const struct codec rpc_pause_codec = CODEC(struct rpc_pause, "pause", pause_fields);

static const struct codec_field dead_letter_fields[] = {
    CODEC_FIELD(struct rpc_dead_letter, 1, sequence, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct rpc_dead_letter, 2, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    CODEC_FIELD(struct rpc_dead_letter, 3, id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_FIELD(struct rpc_dead_letter, 4, reason, CODEC_TEXT, RPC_TEXT_SIZE_MAX),
    CODEC_FIELD(struct rpc_dead_letter, 5, at_ms, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_dead_letter_codec =
    CODEC(struct rpc_dead_letter, "dead_letter", dead_letter_fields);

static const struct codec_field dead_letters_fields[] = {
    CODEC_NESTED_OPTIONAL(struct rpc_dead_letters, 1, dead_letters, CODEC_LIST, RPC_LIST_MAX,
                          &rpc_dead_letter_codec),
    CODEC_NESTED_OPTIONAL(struct rpc_dead_letters, 2, freshness, CODEC_MESSAGE, 0,
                          &rpc_freshness_codec),
};
const struct codec rpc_dead_letters_codec =
    CODEC(struct rpc_dead_letters, "dead_letters", dead_letters_fields);

static const struct codec_field sequence_fields[] = {
    CODEC_OPTIONAL(struct rpc_sequence, 1, sequence, CODEC_U64, UINT64_MAX),
};
const struct codec rpc_sequence_codec = CODEC(struct rpc_sequence, "sequence", sequence_fields);
