/*
 * A cluster that goes on without its quorum, and the key that opens its snapshots.
 *
 * A recovery turns the state over to one node: whoever else was a member is removed, and told so
 * when it comes back (cluster.standing); nobody can join with a token of before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"
#include "rows.h"

static uint64_t now_ms(const struct apply *apply)
{
    return apply->stamp->at_ms == 0 ? 1 : apply->stamp->at_ms; /* 0 means never. */
}

static void remove_others(struct apply *apply, uint64_t node_id)
{
    struct codec_list members = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    struct member *member = members.items;
    for (size_t i = 0; i < members.count; i++) {
        if (member[i].node_id != node_id && member[i].standing != STANDING_REMOVED) {
            member[i].standing = STANDING_REMOVED;
            member[i].since_ms = now_ms(apply);
            member_row_put(apply->txn, &member[i]);
            key_was_exposed(apply, &member[i]);
        }
    }
}

static void revoke_tokens(struct apply *apply)
{
    struct codec_list tokens = rows_all(apply->txn, TABLE_JOIN_TOKEN, &join_token_row_codec);
    struct join_token_view *token = tokens.items;
    for (size_t i = 0; i < tokens.count; i++) {
        if (token[i].used_at_ms == 0 && token[i].revoked_at_ms == 0) {
            token[i].revoked_at_ms = now_ms(apply);
            row_put(apply->txn, TABLE_JOIN_TOKEN, token[i].token_id, &join_token_row_codec,
                    &token[i]);
        }
    }
}

/* The device in the cloud stays; who speaks as it is the node that is left (rule 5). What is under
 * way is found in the cloud by what it was begun with, and stays. */
static void take_registration(struct apply *apply, const struct member *member)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (registration.state == REGISTRATION_REGISTERED && registration.node_id != member->node_id) {
        registration.node_id = member->node_id; /* The serial is the one the cloud knows. */
        registration_row_put(apply->txn, &registration);
    }
}

enum refusal apply_cluster_recover(struct apply *apply, const struct cluster_recover *recover)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    uint64_t present = cluster.lineage == 0 ? 1 : cluster.lineage;
    if (recover->lineage != present + 1 || recover->member.node_id == 0 ||
        recover->member.name.size == 0 || recover->member.serial.size == 0) {
        return REFUSAL_FIELD;
    }
    bool formed = cluster.formed_at_ms != 0;
    struct member member = recover->member;
    member.standing = formed ? STANDING_MEMBER : STANDING_STANDALONE;
    member.since_ms = now_ms(apply);
    key_rotation_drop(apply);
    remove_others(apply, member.node_id);
    (void)cluster_row_get(apply->txn, &cluster);
    revoke_tokens(apply);
    take_registration(apply, &member);
    member_row_put(apply->txn, &member);
    cluster.standing = member.standing;
    cluster.lineage = recover->lineage;
    cluster.recovered_at_ms = now_ms(apply);
    cluster.recovered_by = apply->stamp->actor;
    cluster.recovered_on = member.name;
    cluster.recovered_from = recover->source;
    cluster.recovered_from_index = recover->from_index;
    cluster_row_put(apply->txn, &cluster);
    return REFUSAL_NONE;
}

enum refusal apply_recovery_key_take(struct apply *apply, const struct recovery_key_take *take)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    if (take->key_epoch != cluster.key_epoch) {
        return REFUSAL_KEY_CHANGED;
    }
    cluster.recovery_key_epoch = take->key_epoch;
    cluster_row_put(apply->txn, &cluster);
    return REFUSAL_NONE;
}
