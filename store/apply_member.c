/*
 * Members: admission by token, what is known of them, removal.
 *
 * The rules that have no exception stand here once more, whatever was asked before: no node that
 * is registered on its own is admitted (rule 7), and the registered machine does not go without
 * force, nor the last node at all, while a registration exists (rule 9).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "apply.h"
#include "rows.h"

/* Removed members are remembered, so that they can be told; beyond so many rows the one removed
 * first is forgotten. */
#define MEMBER_ROWS_MAX ((size_t)4 * STORE_MEMBERS_MAX)

static uint64_t now_ms(const struct apply *apply)
{
    return apply->stamp->at_ms == 0 ? 1 : apply->stamp->at_ms; /* 0 means never. */
}

/* A program that does not know what the cluster uses could not apply it. */
static bool is_too_old(struct apply *apply, uint64_t level)
{
    struct cluster_view cluster = {0};
    (void)cluster_row_get(apply->txn, &cluster);
    return cluster.level > 1 && level < cluster.level;
}

static bool in_cluster(struct apply *apply)
{
    struct cluster_view cluster = {0};
    return cluster_row_get(apply->txn, &cluster) && cluster.formed_at_ms != 0;
}

/* R7, in the cluster: by what the joiner signed, and by what the cloud says of its serial. */
static enum refusal check_joiner_unregistered(const struct member_admit *admit)
{
    switch ((enum registration_state)admit->registration_state) {
    case REGISTRATION_DISABLED:
    case REGISTRATION_ENABLED: break;
    case REGISTRATION_REGISTERED: return REFUSAL_REGISTERED;
    case REGISTRATION_REGISTERING:
    case REGISTRATION_DEREGISTERING:
    case REGISTRATION_FAILED: return REFUSAL_REGISTRATION_IN_DOUBT;
    }
    if (admit->registration_state < REGISTRATION_DISABLED ||
        admit->registration_state > REGISTRATION_FAILED) {
        return REFUSAL_FIELD;
    }
    switch ((enum cloud_check)admit->cloud_check) {
    case CLOUD_CHECK_UNREGISTERED:
    case CLOUD_CHECK_UNREACHABLE: return REFUSAL_NONE;
    case CLOUD_CHECK_REGISTERED: return REFUSAL_CLOUD_LISTS_SERIAL;
    }
    return REFUSAL_FIELD;
}

static enum refusal check_token(const struct apply *apply, const struct join_token_view *token,
                                struct slice name)
{
    if (token->revoked_at_ms != 0) {
        return REFUSAL_TOKEN_REVOKED;
    }
    if (token->used_at_ms != 0) {
        return REFUSAL_TOKEN_USED;
    }
    if (apply->stamp->at_ms >= token->expires_at_ms) {
        return REFUSAL_TOKEN_EXPIRED;
    }
    if (token->for_name.size > 0 && !slice_equal(token->for_name, name)) {
        return REFUSAL_TOKEN_FOR_OTHER;
    }
    return REFUSAL_NONE;
}

static enum refusal check_unique(const struct codec_list *members, const struct member *joiner)
{
    const struct member *member = members->items;
    size_t present = 0;
    for (size_t i = 0; i < members->count; i++) {
        if (member[i].standing == STANDING_REMOVED) {
            continue;
        }
        present++;
        if (member[i].node_id == joiner->node_id) {
            return REFUSAL_NODE_EXISTS;
        }
        if (slice_equal(member[i].name, joiner->name)) {
            return REFUSAL_NAME_EXISTS;
        }
        if (slice_equal(member[i].serial, joiner->serial)) {
            return REFUSAL_SERIAL_EXISTS;
        }
    }
    return present >= STORE_MEMBERS_MAX ? REFUSAL_MEMBERS_FULL : REFUSAL_NONE;
}

static void forget_first_removed(struct apply *apply, const struct codec_list *members)
{
    const struct member *member = members->items;
    const struct member *first = NULL;
    for (size_t i = 0; i < members->count; i++) {
        if (member[i].standing == STANDING_REMOVED &&
            (first == NULL || member[i].since_ms < first->since_ms)) {
            first = &member[i];
        }
    }
    uint64_t key;
    if (first != NULL) {
        txn_delete(apply->txn, TABLE_MEMBER, u64_key(first->node_id, &key));
    }
}

enum refusal apply_member_admit(struct apply *apply, const struct member_admit *admit)
{
    struct join_token_view token;
    if (!in_cluster(apply)) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    enum refusal refusal = check_joiner_unregistered(admit);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    if (admit->member.node_id == 0 || admit->member.name.size == 0 ||
        admit->member.serial.size == 0) {
        return REFUSAL_FIELD;
    }
    if (is_too_old(apply, admit->member.level)) {
        return REFUSAL_OLD_VERSION;
    }
    if (!row_get(apply->txn, TABLE_JOIN_TOKEN, admit->token_id, &join_token_row_codec, &token)) {
        return REFUSAL_TOKEN_UNKNOWN;
    }
    refusal = check_token(apply, &token, admit->member.name);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    struct codec_list members = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    refusal = check_unique(&members, &admit->member);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }

    if (members.count >= MEMBER_ROWS_MAX) {
        forget_first_removed(apply, &members);
    }
    token.used_at_ms = now_ms(apply);
    token.used_by = admit->member.node_id;
    row_put(apply->txn, TABLE_JOIN_TOKEN, token.token_id, &join_token_row_codec, &token);
    struct member member = admit->member;
    member.standing = STANDING_JOINING;
    member.since_ms = apply->stamp->at_ms;
    member.quarantine = QUARANTINE_NONE;
    member.quarantine_life = 0;
    member.quarantine_reason = (struct slice){0};
    member.quarantine_since_ms = 0;
    member_row_put(apply->txn, &member);
    return REFUSAL_NONE;
}

static size_t count_present(struct apply *apply)
{
    struct codec_list members = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    const struct member *member = members.items;
    size_t present = 0;
    for (size_t i = 0; i < members.count; i++) {
        present += member[i].standing != STANDING_REMOVED;
    }
    return present;
}

/* Rule 9: may this node go? */
static enum refusal check_departure(struct apply *apply, uint64_t node_id, bool force)
{
    struct registration_view registration;
    registration_row_get(apply->txn, &registration);
    if (!registration_exists(&registration)) {
        return REFUSAL_NONE;
    }
    if (count_present(apply) == 1) {
        return REFUSAL_LAST_MEMBER_REGISTERED;
    }
    if (registration.node_id == node_id && !force) {
        return REFUSAL_REGISTERED_MACHINE;
    }
    return REFUSAL_NONE;
}

static enum refusal check_standing_change(struct apply *apply, const struct member *member,
                                          uint64_t standing)
{
    if (standing == 0 || standing == member->standing) {
        return REFUSAL_NONE;
    }
    if (!in_cluster(apply)) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    if (standing == STANDING_MEMBER) { /* Caught up, or a leave that was given up. */
        return REFUSAL_NONE;
    }
    if (standing == STANDING_LEAVING && member->standing == STANDING_MEMBER) {
        return check_departure(apply, member->node_id, false);
    }
    return REFUSAL_FIELD;
}

static void take_if_given(struct slice *kept, struct slice given)
{
    if (given.size > 0) {
        *kept = given;
    }
}

enum refusal apply_member_set(struct apply *apply, const struct member_set *set)
{
    struct member member;
    if (!member_row_get(apply->txn, set->node_id, &member) || member.standing == STANDING_REMOVED) {
        return REFUSAL_MEMBER_UNKNOWN;
    }
    if (set->level != 0 && is_too_old(apply, set->level)) {
        return REFUSAL_OLD_VERSION;
    }
    enum refusal refusal = check_standing_change(apply, &member, set->standing);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    if (set->standing != 0 && set->standing != member.standing) {
        member.standing = set->standing;
        member.since_ms = apply->stamp->at_ms;
    }
    member.level = set->level != 0 ? set->level : member.level;
    take_if_given(&member.version, set->version);
    take_if_given(&member.peer_address, set->peer_address);
    take_if_given(&member.rpc_address, set->rpc_address);
    take_if_given(&member.certificate, set->certificate);
    member_row_put(apply->txn, &member);
    return REFUSAL_NONE;
}

enum refusal apply_member_remove(struct apply *apply, const struct member_remove *remove)
{
    struct member member;
    if (!in_cluster(apply)) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    if (!member_row_get(apply->txn, remove->node_id, &member) ||
        member.standing == STANDING_REMOVED) {
        return REFUSAL_MEMBER_UNKNOWN;
    }
    if (remove->rollback && member.standing != STANDING_JOINING) {
        return REFUSAL_ALREADY_MEMBER;
    }
    enum refusal refusal = check_departure(apply, remove->node_id, remove->force);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    /* By an admission that is rolled back, too: its answer held the key, and may have arrived. */
    key_was_exposed(apply, &member);
    if (remove->rollback) {
        uint64_t key;
        txn_delete(apply->txn, TABLE_MEMBER, u64_key(remove->node_id, &key));
        return REFUSAL_NONE;
    }
    member.standing = STANDING_REMOVED;
    member.since_ms = apply->stamp->at_ms;
    member_row_put(apply->txn, &member);
    return REFUSAL_NONE;
}

/* Is there a member besides this one whose data nothing is said against? */
static bool has_good_replica(struct apply *apply, uint64_t node_id)
{
    struct codec_list members = rows_all(apply->txn, TABLE_MEMBER, &member_codec);
    const struct member *member = members.items;
    for (size_t i = 0; i < members.count; i++) {
        if (member[i].node_id != node_id && member[i].standing == STANDING_MEMBER &&
            member[i].quarantine == QUARANTINE_NONE) {
            return true;
        }
    }
    return false;
}

static enum refusal check_quarantine(struct apply *apply, const struct member *member,
                                     const struct member_quarantine *quarantine)
{
    if (!in_cluster(apply)) {
        return REFUSAL_NOT_IN_CLUSTER;
    }
    if (quarantine->step > QUARANTINE_TOLD || quarantine->life == 0) {
        return REFUSAL_FIELD;
    }
    bool same = member->quarantine_life == quarantine->life;
    switch ((enum quarantine)quarantine->step) {
    case QUARANTINE_TOLD: return REFUSAL_NONE;
    case QUARANTINE_ASKED:
        return has_good_replica(apply, member->node_id) ? REFUSAL_NONE : REFUSAL_LAST_REPLICA;
    case QUARANTINE_OUT:
        return same && (member->quarantine == QUARANTINE_ASKED ||
                        member->quarantine == QUARANTINE_OUT)
                   ? REFUSAL_NONE
                   : REFUSAL_OTHER_REBUILD;
    case QUARANTINE_NONE:
        return same && member->quarantine != QUARANTINE_ASKED ? REFUSAL_NONE
                                                              : REFUSAL_OTHER_REBUILD;
    }
    return REFUSAL_FIELD;
}

/* Was the step taken before, so that it is asked again only because an answer was lost? */
static bool is_taken(const struct member *member, const struct member_quarantine *quarantine)
{
    bool same = member->quarantine_life == quarantine->life;
    switch ((enum quarantine)quarantine->step) {
    case QUARANTINE_TOLD:
        return same || member->quarantine == QUARANTINE_ASKED ||
               member->quarantine == QUARANTINE_OUT;
    case QUARANTINE_ASKED: /* A life does not begin twice. */
        return same && member->quarantine != QUARANTINE_TOLD;
    case QUARANTINE_OUT:
    case QUARANTINE_NONE: return member->quarantine == quarantine->step;
    }
    return true;
}

enum refusal apply_member_quarantine(struct apply *apply,
                                     const struct member_quarantine *quarantine)
{
    struct member member;
    if (!member_row_get(apply->txn, quarantine->node_id, &member) ||
        member.standing == STANDING_REMOVED) {
        return REFUSAL_MEMBER_UNKNOWN;
    }
    enum refusal refusal = check_quarantine(apply, &member, quarantine);
    if (refusal != REFUSAL_NONE) {
        return refusal;
    }
    if (is_taken(&member, quarantine)) {
        return REFUSAL_NONE;
    }
    member.quarantine = quarantine->step;
    member.quarantine_life = quarantine->life;
    if (quarantine->step == QUARANTINE_ASKED || quarantine->step == QUARANTINE_TOLD) {
        member.quarantine_reason = quarantine->reason;
        member.quarantine_since_ms = apply->stamp->at_ms;
    } else if (quarantine->step == QUARANTINE_NONE) {
        member.quarantine_reason = (struct slice){0};
    }
    member_row_put(apply->txn, &member);
    return REFUSAL_NONE;
}
