/*
 * The cluster itself: its beginning as a standalone node, its forming, the lock before a join, and
 * join tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"
#include "rows.h"

#define CLUSTER_ID_SIZE 32 /* Hex digits. */
#define TOKEN_ID_SIZE 16   /* Hex digits. */

static bool is_hex(struct slice text, size_t size)
{
    const char *at = text.data;
    if (text.size != size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (!(at[i] >= '0' && at[i] <= '9') && !(at[i] >= 'a' && at[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

enum refusal apply_cluster_init(struct apply *apply, const struct cluster_init *init)
{
    struct cluster_view cluster;
    if (cluster_row_get(apply->txn, &cluster)) {
        return REFUSAL_ALREADY_INITIALISED;
    }
    if (!is_hex(init->cluster_id, CLUSTER_ID_SIZE) || init->key_epoch == 0 ||
        init->member.node_id == 0 || init->member.name.size == 0) {
        return REFUSAL_FIELD;
    }
    cluster = (struct cluster_view){
        .cluster_id = init->cluster_id,
        .ca_certificate = init->ca_certificate,
        .sealed_ca_key = init->sealed_ca_key,
        .key_epoch = init->key_epoch,
        .standing = STANDING_STANDALONE,
        .level = init->member.level == 0 ? 1 : init->member.level,
    };
    struct member member = init->member;
    member.standing = STANDING_STANDALONE;
    member.since_ms = apply->stamp->at_ms;
    cluster_row_put(apply->txn, &cluster);
    member_row_put(apply->txn, &member);
    return REFUSAL_NONE;
}

/* While standalone there is one member, this node, and its standing is the cluster's. */
static void set_standing(struct apply *apply, struct cluster_view *cluster, uint64_t standing)
{
    struct codec_list members = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    struct member *member = members.items;
    cluster->standing = standing;
    cluster_row_put(apply->txn, cluster);
    for (size_t i = 0; i < members.count; i++) {
        member[i].standing = standing;
        member[i].since_ms = apply->stamp->at_ms;
        member_row_put(apply->txn, &member[i]);
    }
}

static bool are_voters(uint64_t voters)
{
    return voters % 2 == 1 && voters <= STORE_VOTERS_MAX;
}

enum refusal apply_settings_set(struct apply *apply, const struct settings_set *set)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    if (cluster.formed_at_ms == 0) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    if (set->voters == 0) {
        return REFUSAL_NONE;
    }
    if (!are_voters(set->voters)) {
        return REFUSAL_VOTERS;
    }
    cluster.voters = set->voters;
    cluster_row_put(apply->txn, &cluster);
    return REFUSAL_NONE;
}

enum refusal apply_level_raise(struct apply *apply, const struct level_raise *raise)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    if (raise->level <= cluster.level) {
        return REFUSAL_FIELD;
    }
    struct codec_list members = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    const struct member *member = members.items;
    bool any = false;
    for (size_t i = 0; i < members.count; i++) {
        if (member[i].standing == STANDING_REMOVED) {
            continue;
        }
        if (member[i].level < raise->level) {
            return REFUSAL_LEVEL;
        }
        any = true;
    }
    if (!any) {
        return REFUSAL_LEVEL;
    }
    cluster.level = raise->level;
    cluster_row_put(apply->txn, &cluster);
    return REFUSAL_NONE;
}

enum refusal apply_cluster_form(struct apply *apply, const struct cluster_form *form)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    if (form->name.size == 0) {
        return REFUSAL_FIELD;
    }
    if (form->voters != 0 && !are_voters(form->voters)) {
        return REFUSAL_VOTERS;
    }
    if (cluster.formed_at_ms != 0) {
        return REFUSAL_ALREADY_MEMBER;
    }
    if (cluster.standing == STANDING_JOINING) {
        return REFUSAL_STANDING_JOINING;
    }
    cluster.name = form->name;
    cluster.voters = form->voters;
    /* A clock that stands at 0 must not leave the cluster looking standalone. */
    cluster.formed_at_ms = apply->stamp->at_ms == 0 ? 1 : apply->stamp->at_ms;
    set_standing(apply, &cluster, STANDING_MEMBER);
    return REFUSAL_NONE;
}

/* R7, on the joiner: nothing may exist in the cloud, or be in doubt there, while it joins. */
static enum refusal check_unregistered(const struct registration_view *registration)
{
    if (registration->state == REGISTRATION_REGISTERED) {
        return REFUSAL_REGISTERED;
    }
    return registration_exists(registration) ? REFUSAL_REGISTRATION_IN_DOUBT : REFUSAL_NONE;
}

static enum refusal lock_for_join(struct apply *apply, struct cluster_view *cluster)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    enum refusal refusal = check_unregistered(&registration);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    if (cluster->standing == STANDING_JOINING) {
        return REFUSAL_STANDING_JOINING;
    }
    /* A failure means that nothing exists in the cloud: the state the joiner may be admitted in. */
    if (registration.state == REGISTRATION_FAILED) {
        registration.state = REGISTRATION_ENABLED;
        registration.since_ms = apply->stamp->at_ms;
        registration.error_code = (struct slice){0};
        registration.error = (struct slice){0};
        registration_row_put(apply->txn, &registration);
    }
    set_standing(apply, cluster, STANDING_JOINING);
    return REFUSAL_NONE;
}

enum refusal apply_standing_set(struct apply *apply, const struct standing_set *set)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    if (cluster.formed_at_ms != 0) {
        return REFUSAL_NOT_STANDALONE;
    }
    if (set->standing == STANDING_JOINING) {
        return lock_for_join(apply, &cluster);
    }
    if (set->standing != STANDING_STANDALONE) {
        return REFUSAL_FIELD;
    }
    set_standing(apply, &cluster, STANDING_STANDALONE);
    return REFUSAL_NONE;
}

static bool token_is_open(const struct join_token_view *token, uint64_t at_ms)
{
    return token->used_at_ms == 0 && token->revoked_at_ms == 0 && at_ms < token->expires_at_ms;
}

/* The oldest token that can no longer be used, or NULL. */
static const struct join_token_view *oldest_spent(const struct codec_list *tokens, uint64_t at_ms)
{
    const struct join_token_view *token = tokens->items;
    const struct join_token_view *oldest = NULL;
    for (size_t i = 0; i < tokens->count; i++) {
        if (!token_is_open(&token[i], at_ms) &&
            (oldest == NULL || token[i].created_at_ms < oldest->created_at_ms)) {
            oldest = &token[i];
        }
    }
    return oldest;
}

enum refusal apply_join_token_create(struct apply *apply, const struct join_token_create *create)
{
    struct cluster_view cluster = {0};
    struct join_token_view token;
    (void)cluster_row_get(apply->txn, &cluster);
    if (cluster.formed_at_ms == 0) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    if (!is_hex(create->token_id, TOKEN_ID_SIZE) || create->secret_hash.size != STORE_HASH_SIZE ||
        create->expires_at_ms <= apply->stamp->at_ms) {
        return REFUSAL_FIELD;
    }
    if (row_get(apply->txn, TABLE_JOIN_TOKEN, create->token_id, &join_token_row_codec, &token)) {
        return REFUSAL_NAME_EXISTS;
    }
    struct codec_list tokens = rows_all(apply->txn, TABLE_JOIN_TOKEN, &join_token_row_codec);
    if (tokens.count >= STORE_TOKENS_MAX) {
        const struct join_token_view *spent = oldest_spent(&tokens, apply->stamp->at_ms);
        if (spent == NULL) {
            return REFUSAL_TOKENS_FULL;
        }
        txn_delete(apply->txn, TABLE_JOIN_TOKEN, spent->token_id);
    }
    token = (struct join_token_view){
        .token_id = create->token_id,
        .secret_hash = create->secret_hash,
        .created_at_ms = apply->stamp->at_ms,
        .expires_at_ms = create->expires_at_ms,
        .for_name = create->for_name,
        .created_by = apply->stamp->actor,
    };
    row_put(apply->txn, TABLE_JOIN_TOKEN, create->token_id, &join_token_row_codec, &token);
    return REFUSAL_NONE;
}

enum refusal apply_join_token_revoke(struct apply *apply, const struct join_token_revoke *revoke)
{
    struct join_token_view token;
    if (!row_get(apply->txn, TABLE_JOIN_TOKEN, revoke->token_id, &join_token_row_codec, &token)) {
        return REFUSAL_TOKEN_UNKNOWN;
    }
    if (token.used_at_ms != 0) {
        return REFUSAL_TOKEN_USED;
    }
    if (token.revoked_at_ms != 0) {
        return REFUSAL_TOKEN_REVOKED;
    }
    token.revoked_at_ms = apply->stamp->at_ms == 0 ? 1 : apply->stamp->at_ms;
    row_put(apply->txn, TABLE_JOIN_TOKEN, revoke->token_id, &join_token_row_codec, &token);
    return REFUSAL_NONE;
}
