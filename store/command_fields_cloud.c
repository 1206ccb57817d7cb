/*
 * Fields of the commands on the registration and the shared credentials.
 *
 * Tags are on disk and on the wire for ever: never renumbered, never reused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command_fields.h"

static const struct codec_field registration_enable_fields[] = {
    CODEC_FIELD(struct registration_enable, 1, region, CODEC_TEXT, STORE_REGION_SIZE_MAX),
};
const struct codec registration_enable_codec =
    CODEC(struct registration_enable, "registration_enable", registration_enable_fields);

static const struct codec_field registration_disable_fields[] = {
    CODEC_OPTIONAL(struct registration_disable, 1, reserved, CODEC_U64, 0),
};
const struct codec registration_disable_codec =
    CODEC(struct registration_disable, "registration_disable", registration_disable_fields);

static const struct codec_field registration_begin_fields[] = {
    CODEC_FIELD(struct registration_begin, 1, mode, CODEC_TEXT, STORE_MODE_SIZE_MAX),
    CODEC_FIELD(struct registration_begin, 2, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_begin, 3, serial, CODEC_TEXT, STORE_SERIAL_SIZE_MAX),
    CODEC_FIELD(struct registration_begin, 4, sealed_token, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct registration_begin, 5, sealed_key, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct registration_begin, 6, csr, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_FIELD(struct registration_begin, 7, epoch, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_begin, 8, key_epoch, CODEC_U64, UINT32_MAX),
};
const struct codec registration_begin_codec =
    CODEC(struct registration_begin, "registration_begin", registration_begin_fields);

static const struct codec_field registration_note_fields[] = {
    CODEC_FIELD(struct registration_note, 1, epoch, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_note, 2, registration_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_note, 3, attempt, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_note, 4, error, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_note, 5, next_try_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_note, 6, code, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec registration_note_codec =
    CODEC(struct registration_note, "registration_note", registration_note_fields);

static const struct codec_field registration_complete_fields[] = {
    CODEC_FIELD(struct registration_complete, 1, epoch, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_complete, 2, device_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_complete, 3, tenant, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_FIELD(struct registration_complete, 4, certificate, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_complete, 5, not_after_ms, CODEC_U64, UINT64_MAX),
};
const struct codec registration_complete_codec =
    CODEC(struct registration_complete, "registration_complete", registration_complete_fields);

static const struct codec_field registration_fail_fields[] = {
    CODEC_FIELD(struct registration_fail, 1, epoch, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_fail, 2, code, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_fail, 3, error, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec registration_fail_codec =
    CODEC(struct registration_fail, "registration_fail", registration_fail_fields);

static const struct codec_field registration_hand_over_fields[] = {
    CODEC_FIELD(struct registration_hand_over, 1, epoch, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_hand_over, 2, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_hand_over, 3, serial, CODEC_TEXT, STORE_SERIAL_SIZE_MAX),
};
const struct codec registration_hand_over_codec =
    CODEC(struct registration_hand_over, "registration_hand_over", registration_hand_over_fields);

static const struct codec_field deregistration_begin_fields[] = {
    CODEC_FIELD(struct deregistration_begin, 1, epoch, CODEC_U64, UINT64_MAX),
};
const struct codec deregistration_begin_codec =
    CODEC(struct deregistration_begin, "deregistration_begin", deregistration_begin_fields);

static const struct codec_field deregistration_complete_fields[] = {
    CODEC_FIELD(struct deregistration_complete, 1, epoch, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct deregistration_complete, 2, forgotten, CODEC_BOOL, 1),
};
const struct codec deregistration_complete_codec = CODEC(
    struct deregistration_complete, "deregistration_complete", deregistration_complete_fields);

static const struct codec_field registration_renew_fields[] = {
    CODEC_FIELD(struct registration_renew, 1, epoch, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct registration_renew, 2, sealed_key, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct registration_renew, 3, csr, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_FIELD(struct registration_renew, 4, key_epoch, CODEC_U64, UINT32_MAX),
};
const struct codec registration_renew_codec =
    CODEC(struct registration_renew, "registration_renew", registration_renew_fields);

static const struct codec_field registration_forget_fields[] = {
    CODEC_FIELD(struct registration_forget, 1, epoch, CODEC_U64, UINT64_MAX),
};
const struct codec registration_forget_codec =
    CODEC(struct registration_forget, "registration_forget", registration_forget_fields);

static const struct codec_field credential_put_fields[] = {
    CODEC_FIELD(struct credential_put, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct credential_put, 2, client_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_FIELD(struct credential_put, 3, sealed_password, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct credential_put, 4, region, CODEC_TEXT, STORE_REGION_SIZE_MAX),
    CODEC_FIELD(struct credential_put, 5, generation, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct credential_put, 6, key_epoch, CODEC_U64, UINT32_MAX),
};
const struct codec credential_put_codec =
    CODEC(struct credential_put, "credential_put", credential_put_fields);

static const struct codec_field credential_verified_fields[] = {
    CODEC_FIELD(struct credential_verified, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct credential_verified, 2, generation, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct credential_verified, 3, valid, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct credential_verified, 4, scopes, CODEC_TEXT, STORE_SCOPES_SIZE_MAX),
    CODEC_OPTIONAL(struct credential_verified, 5, error, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec credential_verified_codec =
    CODEC(struct credential_verified, "credential_verified", credential_verified_fields);

static const struct codec_field credential_select_fields[] = {
    CODEC_FIELD(struct credential_select, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec credential_select_codec =
    CODEC(struct credential_select, "credential_select", credential_select_fields);

static const struct codec_field credential_remove_fields[] = {
    CODEC_FIELD(struct credential_remove, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec credential_remove_codec =
    CODEC(struct credential_remove, "credential_remove", credential_remove_fields);
