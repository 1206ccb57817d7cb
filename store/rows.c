/*
 * Field tables of stored rows. Tags are on disk for ever.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rows.h"

static const struct codec_field cluster_fields[] = {
    CODEC_FIELD(struct cluster_view, 1, cluster_id, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct cluster_view, 2, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct cluster_view, 3, ca_certificate, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_FIELD(struct cluster_view, 4, sealed_ca_key, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct cluster_view, 5, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct cluster_view, 6, formed_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct cluster_view, 7, standing, CODEC_U64, STORE_ENUM_MAX),
    CODEC_OPTIONAL(struct cluster_view, 8, voters, CODEC_U64, STORE_VOTERS_MAX),
    CODEC_OPTIONAL(struct cluster_view, 9, lineage, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct cluster_view, 10, recovered_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct cluster_view, 11, recovered_by, CODEC_TEXT, STORE_ACTOR_SIZE_MAX),
    CODEC_OPTIONAL(struct cluster_view, 12, recovered_on, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct cluster_view, 13, recovered_from, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct cluster_view, 14, recovered_from_index, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct cluster_view, 15, level, CODEC_U64, STORE_LEVEL_MAX),
    CODEC_OPTIONAL(struct cluster_view, 16, key_due, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct cluster_view, 17, recovery_key_epoch, CODEC_U64, UINT32_MAX),
};
static const struct codec cluster_codec = CODEC(struct cluster_view, "cluster", cluster_fields);

static const struct codec_field key_rotation_fields[] = {
    CODEC_FIELD(struct key_rotation_view, 1, epoch, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct key_rotation_view, 2, check, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_OPTIONAL(struct key_rotation_view, 3, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct key_rotation_view, 4, began_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct key_rotation_view, 5, holders, CODEC_LIST, STORE_MEMBERS_MAX,
                          &key_holder_codec),
};
static const struct codec key_rotation_codec =
    CODEC(struct key_rotation_view, "key_rotation", key_rotation_fields);

static const struct codec_field registration_fields[] = {
    CODEC_FIELD(struct registration_view, 1, state, CODEC_U64, STORE_ENUM_MAX),
    CODEC_OPTIONAL(struct registration_view, 2, region, CODEC_TEXT, STORE_REGION_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 3, mode, CODEC_TEXT, STORE_MODE_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 4, node_id, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 5, serial, CODEC_TEXT, STORE_SERIAL_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 6, epoch, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 7, since_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 8, attempt, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 9, next_try_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 10, error_code, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 11, error, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 12, registration_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 13, device_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 14, tenant, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 15, certificate, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 16, not_after_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 17, csr, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 18, sealed_token, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 19, sealed_key, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 20, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct registration_view, 21, renewed_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct registration_view, 22, renewal_csr, CODEC_TEXT, STORE_PEM_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 23, sealed_renewal_key, CODEC_BYTES,
                   STORE_SEALED_SIZE_MAX),
    CODEC_OPTIONAL(struct registration_view, 24, former_device_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
};
static const struct codec registration_codec =
    CODEC(struct registration_view, "registration", registration_fields);

static const struct codec_field export_fields[] = {
    CODEC_OPTIONAL(struct export_row, 1, paused, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct export_row, 2, pause_reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct export_row, 3, cloud_pause_until_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_row, 4, cloud_pause_reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
static const struct codec export_codec = CODEC(struct export_row, "export", export_fields);

static const struct codec_field calls_minute_fields[] = {
    CODEC_FIELD(struct calls_minute, 1, minute, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct calls_minute, 2, count, CODEC_U64, UINT64_MAX),
};
static const struct codec calls_minute_codec =
    CODEC(struct calls_minute, "calls_minute", calls_minute_fields);

static const struct codec_field calls_fields[] = {
    CODEC_OPTIONAL(struct calls_row, 1, limit, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct calls_row, 2, counts, CODEC_LIST, 2 * CALLS_HOUR,
                          &calls_minute_codec),
};
static const struct codec calls_codec = CODEC(struct calls_row, "calls", calls_fields);

static const struct codec_field join_token_fields[] = {
    CODEC_FIELD(struct join_token_view, 1, token_id, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct join_token_view, 2, secret_hash, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_OPTIONAL(struct join_token_view, 3, created_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct join_token_view, 4, expires_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct join_token_view, 5, used_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct join_token_view, 6, used_by, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct join_token_view, 7, revoked_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct join_token_view, 8, for_name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct join_token_view, 9, created_by, CODEC_TEXT, STORE_ACTOR_SIZE_MAX),
};
const struct codec join_token_row_codec =
    CODEC(struct join_token_view, "join_token", join_token_fields);

static const struct codec_field credential_fields[] = {
    CODEC_FIELD(struct credential_view, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct credential_view, 2, client_id, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_FIELD(struct credential_view, 3, sealed_password, CODEC_BYTES, STORE_SEALED_SIZE_MAX),
    CODEC_FIELD(struct credential_view, 4, region, CODEC_TEXT, STORE_REGION_SIZE_MAX),
    CODEC_FIELD(struct credential_view, 5, generation, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct credential_view, 6, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct credential_view, 7, selected, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct credential_view, 8, verified, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct credential_view, 9, verified_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct credential_view, 10, scopes, CODEC_TEXT, STORE_SCOPES_SIZE_MAX),
    CODEC_OPTIONAL(struct credential_view, 11, error, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct credential_view, 12, put_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct credential_view, 13, exposed_to, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_OPTIONAL(struct credential_view, 14, exposed_at_ms, CODEC_U64, UINT64_MAX),
};
const struct codec credential_row_codec =
    CODEC(struct credential_view, "credential", credential_fields);

static const struct codec_field operator_fields[] = {
    CODEC_FIELD(struct operator_view, 1, name, CODEC_TEXT, STORE_NAME_SIZE_MAX),
    CODEC_FIELD(struct operator_view, 2, role, CODEC_U64, STORE_ENUM_MAX),
    CODEC_FIELD(struct operator_view, 3, fingerprint, CODEC_BYTES, STORE_HASH_SIZE),
    CODEC_OPTIONAL(struct operator_view, 4, not_after_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct operator_view, 5, put_at_ms, CODEC_U64, UINT64_MAX),
};
const struct codec operator_row_codec = CODEC(struct operator_view, "operator", operator_fields);

static const struct codec_field dead_letter_fields[] = {
    CODEC_OPTIONAL(struct dead_letter_row, 1, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
    CODEC_OPTIONAL(struct dead_letter_row, 2, at_ms, CODEC_U64, UINT64_MAX),
};
const struct codec dead_letter_row_codec =
    CODEC(struct dead_letter_row, "dead_letter", dead_letter_fields);

bool cluster_row_get(struct txn *txn, struct cluster_view *out)
{
    return row_get(txn, TABLE_META, slice_of("cluster"), &cluster_codec, out);
}

void cluster_row_put(struct txn *txn, const struct cluster_view *row)
{
    row_put(txn, TABLE_META, slice_of("cluster"), &cluster_codec, row);
}

bool key_rotation_row_get(struct txn *txn, struct key_rotation_view *out)
{
    return row_get(txn, TABLE_META, slice_of("key_rotation"), &key_rotation_codec, out);
}

void key_rotation_row_put(struct txn *txn, const struct key_rotation_view *row)
{
    row_put(txn, TABLE_META, slice_of("key_rotation"), &key_rotation_codec, row);
}

void key_rotation_row_delete(struct txn *txn)
{
    txn_delete(txn, TABLE_META, slice_of("key_rotation"));
}

void registration_row_get(struct txn *txn, struct registration_view *out)
{
    if (!row_get(txn, TABLE_META, slice_of("registration"), &registration_codec, out)) {
        *out = (struct registration_view){.state = REGISTRATION_DISABLED};
    }
}

void registration_row_put(struct txn *txn, const struct registration_view *row)
{
    row_put(txn, TABLE_META, slice_of("registration"), &registration_codec, row);
}

bool registration_exists(const struct registration_view *registration)
{
    return registration->state == REGISTRATION_REGISTERING ||
           registration->state == REGISTRATION_REGISTERED ||
           registration->state == REGISTRATION_DEREGISTERING;
}

void export_row_get(struct txn *txn, struct export_row *out)
{
    if (!row_get(txn, TABLE_META, slice_of("export"), &export_codec, out)) {
        *out = (struct export_row){0};
    }
}

void export_row_put(struct txn *txn, const struct export_row *row)
{
    row_put(txn, TABLE_META, slice_of("export"), &export_codec, row);
}

void calls_row_get(struct txn *txn, struct calls_row *out)
{
    if (!row_get(txn, TABLE_META, slice_of("calls"), &calls_codec, out)) {
        *out = (struct calls_row){0};
    }
}

void calls_row_put(struct txn *txn, const struct calls_row *row)
{
    row_put(txn, TABLE_META, slice_of("calls"), &calls_codec, row);
}

bool calls_minute_counts(uint64_t minute, uint64_t now_minute)
{
    return minute > now_minute ? minute - now_minute < CALLS_HOUR
                               : now_minute - minute < CALLS_HOUR;
}

bool member_row_get(struct txn *txn, uint64_t node_id, struct member *out)
{
    uint64_t key;
    return row_get(txn, TABLE_MEMBER, u64_key(node_id, &key), &member_codec, out);
}

void member_row_put(struct txn *txn, const struct member *row)
{
    uint64_t key;
    row_put(txn, TABLE_MEMBER, u64_key(row->node_id, &key), &member_codec, row);
}

static size_t count_rows(struct txn *txn, enum table table)
{
    size_t count = 0;
    struct scan scan;
    scan_open(&scan, txn, table);
    for (bool more = scan_first(&scan); more; more = scan_next(&scan)) {
        count++;
    }
    scan_close(&scan);
    return count;
}

struct codec_list rows_all(struct txn *txn, enum table table, const struct codec *codec)
{
    struct codec_list list = {.count = count_rows(txn, table)};
    list.items = arena_alloc(txn->arena, list.count, codec->size);
    if (list.items == NULL) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "read all of %s", codec->name));
        return (struct codec_list){0};
    }
    size_t i = 0;
    struct scan scan;
    scan_open(&scan, txn, table);
    for (bool more = scan_first(&scan); more; more = scan_next(&scan)) {
        row_decode(txn, scan.value, codec, (char *)list.items + i++ * codec->size);
    }
    scan_close(&scan);
    return failed(txn->status) ? (struct codec_list){0} : list;
}
