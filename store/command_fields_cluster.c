/*
 * Fields of the commands on the cluster, its members, join tokens and operators.
 *
 * Tags are on disk and on the wire for ever: never renumbered, never reused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command_fields.h"

static const struct codec_field stamp_fields[] = {
    CODEC_FIELD(struct stamp, 1, at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct stamp, 2, actor, CODEC_TEXT, STORE_ACTOR_SIZE_MAX),
    CODEC_OPTIONAL(struct stamp, 3, origin, CODEC_TEXT, STORE_ACTOR_SIZE_MAX),
    CODEC_OPTIONAL(struct stamp, 4, comment, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec stamp_codec = CODEC(struct stamp, "stamp", stamp_fields);

static const struct codec_field member_fields[] = {
    CODEC_FIELD(struct member, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct member, 2, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct member, 3, serial, CODEC_TEXT, STORE_SERIAL_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 4, model, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 5, version, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 6, peer_address, CODEC_TEXT, STORE_ADDRESS_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 7, rpc_address, CODEC_TEXT, STORE_ADDRESS_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 8, certificate, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 9, standing, CODEC_U64, STORE_ENUM_MAX),
    CODEC_OPTIONAL(struct member, 10, since_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member, 11, quarantine, CODEC_U64, STORE_ENUM_MAX),
    CODEC_OPTIONAL(struct member, 12, quarantine_life, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member, 13, quarantine_reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct member, 14, quarantine_since_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member, 15, level, CODEC_U64, STORE_LEVEL_MAX),
};
const struct codec member_codec = CODEC(struct member, "member", member_fields);

static const struct codec_field cluster_init_fields[] = {
    CODEC_FIELD(struct cluster_init, 1, cluster_id, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct cluster_init, 2, ca_certificate, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_FIELD(struct cluster_init, 3, sealed_ca_key, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct cluster_init, 4, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_NESTED(struct cluster_init, 5, member, CODEC_MESSAGE, 0, &member_codec),
};
const struct codec cluster_init_codec =
    CODEC(struct cluster_init, "cluster_init", cluster_init_fields);

static const struct codec_field cluster_form_fields[] = {
    CODEC_FIELD(struct cluster_form, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct cluster_form, 2, voters, CODEC_U64, STORE_ENUM_MAX),
};
const struct codec cluster_form_codec =
    CODEC(struct cluster_form, "cluster_form", cluster_form_fields);

static const struct codec_field settings_set_fields[] = {
    CODEC_OPTIONAL(struct settings_set, 1, voters, CODEC_U64, STORE_ENUM_MAX),
};
const struct codec settings_set_codec =
    CODEC(struct settings_set, "settings_set", settings_set_fields);

static const struct codec_field standing_set_fields[] = {
    CODEC_FIELD(struct standing_set, 1, standing, CODEC_U64, STORE_ENUM_MAX),
};
const struct codec standing_set_codec =
    CODEC(struct standing_set, "standing_set", standing_set_fields);

static const struct codec_field join_token_create_fields[] = {
    CODEC_FIELD(struct join_token_create, 1, token_id, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct join_token_create, 2, secret_hash, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_FIELD(struct join_token_create, 3, expires_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct join_token_create, 4, for_name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec join_token_create_codec =
    CODEC(struct join_token_create, "join_token_create", join_token_create_fields);

static const struct codec_field join_token_revoke_fields[] = {
    CODEC_FIELD(struct join_token_revoke, 1, token_id, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec join_token_revoke_codec =
    CODEC(struct join_token_revoke, "join_token_revoke", join_token_revoke_fields);

static const struct codec_field member_admit_fields[] = {
    CODEC_FIELD(struct member_admit, 1, token_id, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_NESTED(struct member_admit, 2, member, CODEC_MESSAGE, 0, &member_codec),
    CODEC_FIELD(struct member_admit, 3, registration_state, CODEC_U64, STORE_ENUM_MAX),
    CODEC_OPTIONAL(struct member_admit, 4, statement, CODEC_BYTES, STORE_PEM_SIZE_MAX),
    CODEC_FIELD(struct member_admit, 5, cloud_check, CODEC_U64, STORE_ENUM_MAX),
};
const struct codec member_admit_codec =
    CODEC(struct member_admit, "member_admit", member_admit_fields);

static const struct codec_field member_set_fields[] = {
    CODEC_FIELD(struct member_set, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member_set, 2, standing, CODEC_U64, STORE_ENUM_MAX),
    CODEC_OPTIONAL(struct member_set, 3, version, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct member_set, 4, peer_address, CODEC_TEXT, STORE_ADDRESS_SIZE_MAX),
    CODEC_OPTIONAL(struct member_set, 5, rpc_address, CODEC_TEXT, STORE_ADDRESS_SIZE_MAX),
    CODEC_OPTIONAL(struct member_set, 6, level, CODEC_U64, STORE_LEVEL_MAX),
    CODEC_OPTIONAL(struct member_set, 7, certificate, CODEC_TEXT, STORE_PEM_SIZE_MAX),
};
const struct codec member_set_codec = CODEC(struct member_set, "member_set", member_set_fields);

static const struct codec_field level_raise_fields[] = {
    CODEC_FIELD(struct level_raise, 1, level, CODEC_U64, STORE_LEVEL_MAX),
};
const struct codec level_raise_codec = CODEC(struct level_raise, "level_raise", level_raise_fields);

#ifdef MUSTER_NEXT
static const struct codec_field next_probe_fields[] = {
    CODEC_FIELD(struct next_probe, 1, text, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec next_probe_codec = CODEC(struct next_probe, "next_probe", next_probe_fields);
#endif

static const struct codec_field member_remove_fields[] = {
    CODEC_FIELD(struct member_remove, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member_remove, 2, force, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct member_remove, 3, rollback, CODEC_BOOL, 1),
};
const struct codec member_remove_codec =
    CODEC(struct member_remove, "member_remove", member_remove_fields);

static const struct codec_field member_quarantine_fields[] = {
    CODEC_FIELD(struct member_quarantine, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member_quarantine, 2, step, CODEC_U64, STORE_ENUM_MAX),
    CODEC_FIELD(struct member_quarantine, 3, life, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct member_quarantine, 4, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec member_quarantine_codec =
    CODEC(struct member_quarantine, "member_quarantine", member_quarantine_fields);

static const struct codec_field checkpoint_fields[] = {
    CODEC_OPTIONAL(struct checkpoint, 1, index, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct checkpoint, 2, digest, CODEC_BYTES, STORE_DIGEST_SIZE),
};
const struct codec checkpoint_codec = CODEC(struct checkpoint, "checkpoint", checkpoint_fields);
static const struct codec_field cluster_recover_fields[] = {
    CODEC_FIELD(struct cluster_recover, 1, lineage, CODEC_U64, UINT32_MAX),
    CODEC_NESTED(struct cluster_recover, 2, member, CODEC_MESSAGE, 0, &member_codec),
    CODEC_FIELD(struct cluster_recover, 3, source, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_FIELD(struct cluster_recover, 4, from_index, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct cluster_recover, 5, from_taken_ms, CODEC_U64, UINT64_MAX),
};
const struct codec cluster_recover_codec =
    CODEC(struct cluster_recover, "cluster_recover", cluster_recover_fields);

static const struct codec_field recovery_key_take_fields[] = {
    CODEC_FIELD(struct recovery_key_take, 1, key_epoch, CODEC_U64, UINT32_MAX),
};
const struct codec recovery_key_take_codec =
    CODEC(struct recovery_key_take, "recovery_key_take", recovery_key_take_fields);

static const struct codec_field key_holder_fields[] = {
    CODEC_FIELD(struct key_holder, 1, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct key_holder, 2, wrapped, CODEC_BYTES, STORE_WRAPPED_SIZE_MAX),
    CODEC_OPTIONAL(struct key_holder, 3, held, CODEC_BOOL, 1),
};
const struct codec key_holder_codec = CODEC(struct key_holder, "key_holder", key_holder_fields);

static const struct codec_field key_rotate_fields[] = {
    CODEC_FIELD(struct key_rotate, 1, epoch, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct key_rotate, 2, check, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_OPTIONAL(struct key_rotate, 3, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_NESTED(struct key_rotate, 4, holders, CODEC_LIST, STORE_MEMBERS_MAX, &key_holder_codec),
};
const struct codec key_rotate_codec = CODEC(struct key_rotate, "key_rotate", key_rotate_fields);

static const struct codec_field key_give_fields[] = {
    CODEC_FIELD(struct key_give, 1, epoch, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct key_give, 2, check, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_FIELD(struct key_give, 3, node_id, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct key_give, 4, wrapped, CODEC_BYTES, STORE_WRAPPED_SIZE_MAX),
};
const struct codec key_give_codec = CODEC(struct key_give, "key_give", key_give_fields);

static const struct codec_field key_hold_fields[] = {
    CODEC_FIELD(struct key_hold, 1, epoch, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct key_hold, 2, check, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_FIELD(struct key_hold, 3, node_id, CODEC_U64, UINT64_MAX),
};
const struct codec key_hold_codec = CODEC(struct key_hold, "key_hold", key_hold_fields);

static const struct codec_field resealed_fields[] = {
    CODEC_FIELD(struct resealed, 1, sealed, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
};
static const struct codec resealed_codec = CODEC(struct resealed, "resealed", resealed_fields);

static const struct codec_field key_reseal_fields[] = {
    CODEC_FIELD(struct key_reseal, 1, epoch, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct key_reseal, 2, check, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_FIELD(struct key_reseal, 3, before, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_NESTED(struct key_reseal, 4, values, CODEC_LIST, STORE_SEALED_MAX, &resealed_codec),
};
const struct codec key_reseal_codec = CODEC(struct key_reseal, "key_reseal", key_reseal_fields);

static const struct codec_field audit_trim_fields[] = {
    CODEC_FIELD(struct audit_trim, 1, sequence, CODEC_U64, UINT64_MAX),
};
const struct codec audit_trim_codec = CODEC(struct audit_trim, "audit_trim", audit_trim_fields);

static const struct codec_field snapshot_take_fields[] = {
    CODEC_FIELD(struct snapshot_take, 1, node, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec snapshot_take_codec =
    CODEC(struct snapshot_take, "snapshot_take", snapshot_take_fields);

static const struct codec_field operator_put_fields[] = {
    CODEC_FIELD(struct operator_put, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct operator_put, 2, role, CODEC_U64, STORE_ENUM_MAX),
    CODEC_FIELD(struct operator_put, 3, fingerprint, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_OPTIONAL(struct operator_put, 4, not_after_ms, CODEC_U64, UINT64_MAX),
};
const struct codec operator_put_codec =
    CODEC(struct operator_put, "operator_put", operator_put_fields);

static const struct codec_field operator_remove_fields[] = {
    CODEC_FIELD(struct operator_remove, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
};
const struct codec operator_remove_codec =
    CODEC(struct operator_remove, "operator_remove", operator_remove_fields);
