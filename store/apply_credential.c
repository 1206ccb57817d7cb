/*
 * Shared API credentials, and operators: small tables by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"
#include "rows.h"

static bool find_credential(struct apply *apply, struct slice name, struct credential_view *out)
{
    return row_get(apply->txn, TABLE_CREDENTIAL, name, &credential_row_codec, out);
}

static void put_credential(struct apply *apply, const struct credential_view *credential)
{
    row_put(apply->txn, TABLE_CREDENTIAL, credential->name, &credential_row_codec, credential);
}

enum refusal apply_credential_put(struct apply *apply, const struct credential_put *put)
{
    struct credential_view old = {0};
    if (put->name.size == 0 || put->client_id.size == 0 || put->sealed_password.size == 0) {
        return REFUSAL_FIELD;
    }
    if (!key_is_present(apply, put->key_epoch)) {
        return REFUSAL_KEY_CHANGED;
    }
    bool known = find_credential(apply, put->name, &old);
    if (put->generation != old.generation + 1) {
        return REFUSAL_CREDENTIAL_CHANGED;
    }
    struct codec_list all = rows_all(apply->txn, TABLE_CREDENTIAL, &credential_row_codec);
    if (!known && all.count >= STORE_CREDENTIALS_MAX) {
        return REFUSAL_CREDENTIALS_FULL;
    }
    const struct credential_view credential = {
        .name = put->name,
        .client_id = put->client_id,
        .sealed_password = put->sealed_password,
        .region = put->region,
        .generation = put->generation,
        .key_epoch = put->key_epoch,
        .selected = old.selected || all.count == 0,
        .put_at_ms = apply->stamp->at_ms,
    };
    put_credential(apply, &credential);
    return REFUSAL_NONE;
}

enum refusal apply_credential_verified(struct apply *apply,
                                       const struct credential_verified *verified)
{
    struct credential_view credential;
    if (!find_credential(apply, verified->name, &credential)) {
        return REFUSAL_CREDENTIAL_UNKNOWN;
    }
    if (credential.generation != verified->generation) {
        return REFUSAL_CREDENTIAL_CHANGED;
    }
    credential.verified = verified->valid;
    credential.verified_at_ms = apply->stamp->at_ms;
    credential.scopes = verified->scopes;
    credential.error = verified->error;
    put_credential(apply, &credential);
    return REFUSAL_NONE;
}

enum refusal apply_credential_select(struct apply *apply, const struct credential_select *select)
{
    struct credential_view chosen;
    if (!find_credential(apply, select->name, &chosen)) {
        return REFUSAL_CREDENTIAL_UNKNOWN;
    }
    struct codec_list all = rows_all(apply->txn, TABLE_CREDENTIAL, &credential_row_codec);
    struct credential_view *credential = all.items;
    for (size_t i = 0; i < all.count; i++) {
        bool selected = slice_equal(credential[i].name, select->name);
        if (credential[i].selected != selected) {
            credential[i].selected = selected;
            put_credential(apply, &credential[i]);
        }
    }
    return REFUSAL_NONE;
}

enum refusal apply_credential_remove(struct apply *apply, const struct credential_remove *remove)
{
    struct credential_view credential;
    if (!find_credential(apply, remove->name, &credential)) {
        return REFUSAL_CREDENTIAL_UNKNOWN;
    }
    struct codec_list all = rows_all(apply->txn, TABLE_CREDENTIAL, &credential_row_codec);
    if (credential.selected && all.count > 1) {
        return REFUSAL_CREDENTIAL_SELECTED;
    }
    txn_delete(apply->txn, TABLE_CREDENTIAL, remove->name);
    return REFUSAL_NONE;
}

/* A certificate names one operator, and no more than one. */
static enum refusal check_operator(const struct codec_list *all, const struct operator_put *put)
{
    const struct operator_view *row = all->items;
    bool known = false;
    for (size_t i = 0; i < all->count; i++) {
        bool same = slice_equal(row[i].name, put->name);
        known = known || same;
        if (!same && slice_equal(row[i].fingerprint, put->fingerprint)) {
            return REFUSAL_NAME_EXISTS;
        }
    }
    return !known && all->count >= STORE_OPERATORS_MAX ? REFUSAL_OPERATORS_FULL : REFUSAL_NONE;
}

enum refusal apply_operator_put(struct apply *apply, const struct operator_put *put)
{
    if (put->name.size == 0 || put->role < ROLE_VIEWER || put->role > ROLE_ADMIN ||
        put->fingerprint.size != STORE_HASH_SIZE) {
        return REFUSAL_FIELD;
    }
    struct codec_list all = rows_all(apply->txn, TABLE_OPERATOR, &operator_row_codec);
    enum refusal refusal = check_operator(&all, put);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    const struct operator_view row = {
        .name = put->name,
        .role = put->role,
        .fingerprint = put->fingerprint,
        .not_after_ms = put->not_after_ms,
        .put_at_ms = apply->stamp->at_ms,
    };
    row_put(apply->txn, TABLE_OPERATOR, put->name, &operator_row_codec, &row);
    return REFUSAL_NONE;
}

enum refusal apply_operator_remove(struct apply *apply, const struct operator_remove *remove)
{
    struct operator_view row;
    if (!row_get(apply->txn, TABLE_OPERATOR, remove->name, &operator_row_codec, &row)) {
        return REFUSAL_OPERATOR_UNKNOWN;
    }
    txn_delete(apply->txn, TABLE_OPERATOR, remove->name);
    return REFUSAL_NONE;
}
