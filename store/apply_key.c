/*
 * Rotating the cluster key:
 *
 *            key_rotate              key_hold of every member          key_reseal
 *   (epoch g) ---------> UNDER WAY ---------------------------> HELD ------------> (epoch g + 1)
 *                         key_give to those admitted meanwhile
 *
 * Until key_reseal nothing is sealed by the new key, after it nothing by the old one: it replaces all
 * in one step, so no state ever needs two keys. Every step can be proposed again by any leader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"
#include "rows.h"
#include "sealed_rows.h"
#include "store/seal.h"

bool key_holder_find(const struct codec_list *holders, uint64_t node_id, struct key_holder *out)
{
    const struct key_holder *holder = holders->items;
    for (size_t i = 0; i < holders->count; i++) {
        if (holder[i].node_id == node_id) {
            *out = holder[i];
            return true;
        }
    }
    return false;
}

/* The members that are to hold the key: all that were not removed. */
static struct codec_list present_members(struct apply *apply)
{
    struct codec_list list = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    struct member *member = list.items;
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (member[i].standing != STANDING_REMOVED) {
            member[count++] = member[i];
        }
    }
    list.count = count;
    return list;
}

static bool is_given_to(const struct codec_list *members, const struct codec_list *holders)
{
    const struct member *member = members->items;
    const struct key_holder *given = holders->items;
    struct key_holder holder;
    for (size_t i = 0; i < members->count; i++) {
        if (!key_holder_find(holders, member[i].node_id, &holder)) {
            return false;
        }
    }
    for (size_t i = 0; i < holders->count; i++) {
        if (given[i].wrapped.size == 0 || given[i].held) {
            return false;
        }
    }
    return members->count == holders->count;
}

enum refusal apply_key_rotate(struct apply *apply, const struct key_rotate *rotate)
{
    struct cluster_view cluster = {0};
    struct key_rotation_view rotation;
    (void)cluster_row_get(apply->txn, &cluster);
    if (key_rotation_row_get(apply->txn, &rotation)) {
        return REFUSAL_ROTATION_UNDER_WAY;
    }
    if (rotate->check.size != STORE_HASH_SIZE) {
        return REFUSAL_FIELD;
    }
    struct codec_list members = present_members(apply);
    if (rotate->epoch != cluster.key_epoch + 1 || !is_given_to(&members, &rotate->holders)) {
        return REFUSAL_KEY_CHANGED;
    }
    rotation = (struct key_rotation_view){
        .epoch = rotate->epoch,
        .check = rotate->check,
        .reason = rotate->reason,
        .began_at_ms = apply->stamp->at_ms,
        .holders = rotate->holders,
    };
    key_rotation_row_put(apply->txn, &rotation);
    cluster.key_due = (struct slice){0};
    cluster_row_put(apply->txn, &cluster);
    return REFUSAL_NONE;
}

/* Is it this rotation that is under way? */
static bool find_rotation(struct apply *apply, uint64_t epoch, struct slice check,
                          struct key_rotation_view *out)
{
    return key_rotation_row_get(apply->txn, out) && out->epoch == epoch &&
           slice_equal(out->check, check);
}

static bool is_present(struct apply *apply, uint64_t node_id)
{
    struct member member;
    return member_row_get(apply->txn, node_id, &member) && member.standing != STANDING_REMOVED;
}

enum refusal apply_key_give(struct apply *apply, const struct key_give *give)
{
    struct key_rotation_view rotation;
    struct key_holder holder;
    if (!find_rotation(apply, give->epoch, give->check, &rotation)) {
        return REFUSAL_KEY_CHANGED;
    }
    if (give->wrapped.size == 0) {
        return REFUSAL_FIELD;
    }
    if (!is_present(apply, give->node_id)) {
        return REFUSAL_MEMBER_UNKNOWN;
    }
    if (key_holder_find(&rotation.holders, give->node_id, &holder)) {
        return REFUSAL_NONE;
    }
    size_t count = rotation.holders.count;
    struct key_holder *all = arena_alloc(apply->txn->arena, count + 1, sizeof *all);
    if (all == NULL) {
        txn_fail(apply->txn, fail(STATUS_NO_MEMORY, "give the key"));
        return REFUSAL_NONE;
    }
    const struct key_holder *given = rotation.holders.items;
    for (size_t i = 0; i < count; i++) {
        all[i] = given[i];
    }
    all[count] = (struct key_holder){.node_id = give->node_id, .wrapped = give->wrapped};
    rotation.holders = (struct codec_list){.items = all, .count = count + 1};
    key_rotation_row_put(apply->txn, &rotation);
    return REFUSAL_NONE;
}

enum refusal apply_key_hold(struct apply *apply, const struct key_hold *hold)
{
    struct key_rotation_view rotation;
    if (!find_rotation(apply, hold->epoch, hold->check, &rotation)) {
        return REFUSAL_KEY_CHANGED;
    }
    struct key_holder *holders = rotation.holders.items;
    for (size_t i = 0; i < rotation.holders.count; i++) {
        if (holders[i].node_id == hold->node_id) {
            if (!holders[i].held) {
                holders[i].held = true;
                key_rotation_row_put(apply->txn, &rotation);
            }
            return REFUSAL_NONE;
        }
    }
    return REFUSAL_MEMBER_UNKNOWN;
}

static bool is_held_by_all(struct apply *apply, const struct key_rotation_view *rotation)
{
    struct codec_list members = present_members(apply);
    const struct member *member = members.items;
    struct key_holder holder;
    for (size_t i = 0; i < members.count; i++) {
        if (!key_holder_find(&rotation->holders, member[i].node_id, &holder) || !holder.held) {
            return false;
        }
    }
    return members.count > 0;
}

static bool are_sealed_by(const struct codec_list *values, uint64_t epoch)
{
    const struct resealed *value = values->items;
    for (size_t i = 0; i < values->count; i++) {
        if (seal_key_epoch(value[i].sealed) != epoch) {
            return false;
        }
    }
    return true;
}

enum refusal apply_key_reseal(struct apply *apply, const struct key_reseal *reseal)
{
    struct key_rotation_view rotation;
    uint8_t hash[STORE_HASH_SIZE] = {0};
    if (!find_rotation(apply, reseal->epoch, reseal->check, &rotation)) {
        return REFUSAL_KEY_CHANGED;
    }
    if (!is_held_by_all(apply, &rotation)) {
        return REFUSAL_KEY_NOT_HELD;
    }
    struct codec_list sealed = sealed_rows_all(apply->txn);
    sealed_rows_hash(apply->txn, &sealed, hash);
    if (reseal->values.count != sealed.count ||
        !slice_equal(reseal->before, (struct slice){.data = hash, .size = sizeof hash})) {
        return REFUSAL_KEY_CHANGED;
    }
    if (!are_sealed_by(&reseal->values, reseal->epoch)) {
        return REFUSAL_FIELD;
    }
    sealed_rows_replace(apply->txn, &reseal->values, reseal->epoch);
    key_rotation_row_delete(apply->txn);
    return REFUSAL_NONE;
}

/* ---- What other commands ask ---- */

bool key_is_present(struct apply *apply, uint64_t key_epoch)
{
    struct cluster_view cluster = {0};
    return cluster_row_get(apply->txn, &cluster) && key_epoch == cluster.key_epoch;
}

/* Should the node come back, it is another life of it, and has to be given the key anew. */
static void forget_holder(struct apply *apply, uint64_t node_id)
{
    struct key_rotation_view rotation;
    if (!key_rotation_row_get(apply->txn, &rotation)) {
        return;
    }
    struct key_holder *holders = rotation.holders.items;
    size_t count = 0;
    for (size_t i = 0; i < rotation.holders.count; i++) {
        if (holders[i].node_id != node_id) {
            holders[count++] = holders[i];
        }
    }
    if (count < rotation.holders.count) {
        rotation.holders.count = count;
        key_rotation_row_put(apply->txn, &rotation);
    }
}

void key_was_exposed(struct apply *apply, const struct member *member)
{
    struct cluster_view cluster = {0};
    if (!cluster_row_get(apply->txn, &cluster)) {
        return;
    }
    forget_holder(apply, member->node_id);
    cluster.key_due = member->name;
    cluster_row_put(apply->txn, &cluster);
    struct codec_list all = rows_all(apply->txn, TABLE_CREDENTIAL, &credential_row_codec);
    struct credential_view *credentials = all.items;
    for (size_t i = 0; i < all.count; i++) {
        credentials[i].exposed_to = member->name;
        credentials[i].exposed_at_ms = apply->stamp->at_ms;
        row_put(apply->txn, TABLE_CREDENTIAL, credentials[i].name, &credential_row_codec,
                &credentials[i]);
    }
}

void key_rotation_drop(struct apply *apply)
{
    struct key_rotation_view rotation;
    if (key_rotation_row_get(apply->txn, &rotation)) {
        key_rotation_row_delete(apply->txn);
    }
}
