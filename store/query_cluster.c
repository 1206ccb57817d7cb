/*
 * Queries on the cluster, members, tokens, registration, credentials and operators.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rows.h"
#include "sealed_rows.h"
#include "store/store.h"
#include "store_state.h"

struct status store_cluster(struct store *store, struct arena *arena, struct cluster_view *out)
{
    struct txn txn;
    reader_begin(&txn, store, arena);
    bool found = cluster_row_get(&txn, out);
    if (found && out->lineage == 0) {
        out->lineage = 1; /* Never recovered. */
    }
    return reader_end(&txn, store, found, "cluster");
}

struct status store_key_rotation(struct store *store, struct arena *arena,
                                 struct key_rotation_view *out)
{
    struct txn txn;
    reader_begin(&txn, store, arena);
    bool found = key_rotation_row_get(&txn, out);
    return reader_end(&txn, store, found, "key rotation");
}

struct status store_sealed(struct store *store, struct arena *arena, struct codec_list *out,
                           uint8_t hash[STORE_HASH_SIZE])
{
    struct txn txn;
    reader_begin(&txn, store, arena);
    *out = sealed_rows_all(&txn);
    sealed_rows_hash(&txn, out, hash);
    return reader_end(&txn, store, true, "sealed secrets");
}

bool store_takes(struct store *store, enum command_type type)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    uint64_t level = command_level(type);
    bool takes =
        level == 1 || (!failed(store_cluster(store, &arena, &cluster)) && level <= cluster.level);
    arena_release(&arena);
    return takes;
}

struct status store_check_level(struct store *store)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct status status = store_cluster(store, &arena, &cluster);
    if (status.code == STATUS_NOT_FOUND) {
        status = OK;
    } else if (!failed(status) && cluster.level > STORE_LEVEL) {
        status = fail(STATUS_INVALID,
                      "the cluster uses commands of level %llu, this muster knows up to %d: "
                      "install a newer one",
                      (unsigned long long)cluster.level, STORE_LEVEL);
    }
    arena_release(&arena);
    return status;
}

static struct status read_all(struct store *store, struct arena *arena, enum table table,
                              const struct codec *codec, struct codec_list *out)
{
    struct txn txn;
    reader_begin(&txn, store, arena);
    *out = rows_all(&txn, table, codec);
    return reader_end(&txn, store, true, codec->name);
}

static struct status read_one(struct store *store, struct arena *arena, enum table table,
                              struct slice key, const struct codec *codec, void *out)
{
    struct txn txn;
    reader_begin(&txn, store, arena);
    bool found = row_get(&txn, table, key, codec, out);
    return reader_end(&txn, store, found, codec->name);
}

struct status store_members(struct store *store, struct arena *arena, struct codec_list *out)
{
    return read_all(store, arena, TABLE_MEMBER, &member_codec, out);
}

struct status store_member(struct store *store, struct arena *arena, uint64_t node_id,
                           struct member *out)
{
    uint64_t key;
    return read_one(store, arena, TABLE_MEMBER, u64_key(node_id, &key), &member_codec, out);
}

struct status store_join_tokens(struct store *store, struct arena *arena, struct codec_list *out)
{
    return read_all(store, arena, TABLE_JOIN_TOKEN, &join_token_row_codec, out);
}

struct status store_join_token(struct store *store, struct arena *arena, struct slice token_id,
                               struct join_token_view *out)
{
    return read_one(store, arena, TABLE_JOIN_TOKEN, token_id, &join_token_row_codec, out);
}

struct status store_registration(struct store *store, struct arena *arena,
                                 struct registration_view *out)
{
    struct txn txn;
    reader_begin(&txn, store, arena);
    registration_row_get(&txn, out);
    return reader_end(&txn, store, true, "registration");
}

struct status store_credentials(struct store *store, struct arena *arena, struct codec_list *out)
{
    return read_all(store, arena, TABLE_CREDENTIAL, &credential_row_codec, out);
}

struct status store_credential(struct store *store, struct arena *arena, struct slice name,
                               struct credential_view *out)
{
    if (name.size > 0) {
        return read_one(store, arena, TABLE_CREDENTIAL, name, &credential_row_codec, out);
    }
    struct codec_list all;
    struct status status = store_credentials(store, arena, &all);
    const struct credential_view *credential = all.items;
    for (size_t i = 0; !failed(status) && i < all.count; i++) {
        if (credential[i].selected) {
            *out = credential[i];
            return OK;
        }
    }
    return failed(status) ? status : fail(STATUS_NOT_FOUND, "no credentials are selected");
}

struct status store_operators(struct store *store, struct arena *arena, struct codec_list *out)
{
    return read_all(store, arena, TABLE_OPERATOR, &operator_row_codec, out);
}

struct status store_operator_by_fingerprint(struct store *store, struct arena *arena,
                                            struct slice fingerprint, struct operator_view *out)
{
    struct codec_list all;
    struct status status = store_operators(store, arena, &all);
    const struct operator_view *found = all.items;
    for (size_t i = 0; !failed(status) && i < all.count; i++) {
        if (slice_equal(found[i].fingerprint, fingerprint)) {
            *out = found[i];
            return OK;
        }
    }
    return failed(status) ? status : fail(STATUS_NOT_FOUND, "no operator has this certificate");
}

uint64_t store_callers_version(const struct store *store)
{
    return store->writer.callers_version;
}
