/*
 * Sealed secrets: the CA's key, the token and the device keys of the registration, the client
 * passwords, in this order; credentials by name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sealed_rows.h"

#include <assert.h>
#include <endian.h>
#include <openssl/evp.h>

#include "rows.h"

/* The fields of all rows that hold them. */
struct sealed_rows {
    struct cluster_view cluster;
    struct registration_view registration;
    struct codec_list credentials; /* struct credential_view */
};

static bool read_rows(struct txn *txn, struct sealed_rows *rows)
{
    bool found = cluster_row_get(txn, &rows->cluster);
    registration_row_get(txn, &rows->registration);
    rows->credentials = rows_all(txn, TABLE_CREDENTIAL, &credential_row_codec);
    return found && !failed(txn->status);
}

/* The fields in order; empty ones are none. */
static size_t list_fields(struct sealed_rows *rows, struct slice *out[STORE_SEALED_MAX])
{
    struct slice *const fixed[] = {
        &rows->cluster.sealed_ca_key,
        &rows->registration.sealed_token,
        &rows->registration.sealed_key,
        &rows->registration.sealed_renewal_key,
    };
    struct credential_view *credentials = rows->credentials.items;
    size_t count = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (fixed[i]->size > 0) {
            out[count++] = fixed[i];
        }
    }
    for (size_t i = 0; i < rows->credentials.count && count < STORE_SEALED_MAX; i++) {
        out[count++] = &credentials[i].sealed_password;
    }
    return count;
}

static struct seal_purpose purpose_of(const struct sealed_rows *rows, const struct slice *field)
{
    const struct credential_view *credentials = rows->credentials.items;
    if (field == &rows->cluster.sealed_ca_key) {
        return seal_purpose_of(slice_of("ca_key"), 0);
    }
    if (field == &rows->registration.sealed_token) {
        return seal_purpose_of(slice_of("registration_token"), rows->registration.epoch);
    }
    if (field == &rows->registration.sealed_key ||
        field == &rows->registration.sealed_renewal_key) {
        return seal_purpose_of(slice_of("device_key"), rows->registration.epoch);
    }
    size_t i = 0;
    while (field != &credentials[i].sealed_password) {
        i++;
    }
    return seal_purpose_of_credential(credentials[i].name, credentials[i].generation);
}

struct codec_list sealed_rows_all(struct txn *txn)
{
    struct sealed_rows rows = {0};
    struct slice *fields[STORE_SEALED_MAX];
    if (!read_rows(txn, &rows)) {
        return (struct codec_list){0};
    }
    size_t count = list_fields(&rows, fields);
    struct sealed_view *all = arena_alloc(txn->arena, count, sizeof *all);
    if (all == NULL) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "list the sealed secrets"));
        return (struct codec_list){0};
    }
    for (size_t i = 0; i < count; i++) {
        all[i] =
            (struct sealed_view){.purpose = purpose_of(&rows, fields[i]), .sealed = *fields[i]};
    }
    return (struct codec_list){.items = all, .count = count};
}

void sealed_rows_hash(struct txn *txn, const struct codec_list *all, uint8_t out[STORE_HASH_SIZE])
{
    const struct sealed_view *views = all->items;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < all->count && good; i++) {
        uint64_t size = htobe64(views[i].sealed.size);
        good =
            EVP_DigestUpdate(context, views[i].purpose.text, sizeof views[i].purpose.text) == 1 &&
            EVP_DigestUpdate(context, &size, sizeof size) == 1 &&
            EVP_DigestUpdate(context, views[i].sealed.data, views[i].sealed.size) == 1;
    }
    if (!good || EVP_DigestFinal_ex(context, out, NULL) != 1) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "hash the sealed secrets"));
    }
    EVP_MD_CTX_free(context);
}

void sealed_rows_replace(struct txn *txn, const struct codec_list *values, uint64_t key_epoch)
{
    struct sealed_rows rows = {0};
    struct slice *fields[STORE_SEALED_MAX];
    const struct resealed *items = values->items;
    if (!read_rows(txn, &rows)) {
        return;
    }
    size_t count = list_fields(&rows, fields);
    assert(count == values->count);
    for (size_t i = 0; i < count; i++) {
        *fields[i] = items[i].sealed;
    }
    struct credential_view *credentials = rows.credentials.items;
    for (size_t i = 0; i < rows.credentials.count; i++) {
        credentials[i].key_epoch = key_epoch;
        row_put(txn, TABLE_CREDENTIAL, credentials[i].name, &credential_row_codec, &credentials[i]);
    }
    if (rows.registration.sealed_key.size > 0) {
        rows.registration.key_epoch = key_epoch;
        registration_row_put(txn, &rows.registration);
    }
    rows.cluster.key_epoch = key_epoch;
    cluster_row_put(txn, &rows.cluster);
}
