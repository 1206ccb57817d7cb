/*
 * What the leader does next about the members.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_decide.h"

#define CAUGHT_UP_ENTRIES 64 /* A node within so many entries of the log's end has caught up. */

uint64_t membership_voters(uint64_t member_count, uint64_t wanted)
{
    uint64_t count = member_count < wanted ? member_count : wanted;
    return count == 0 || count % 2 == 1 ? count : count - 1;
}

static const struct consensus_member *in_raft(const struct membership_view *view, uint64_t node_id)
{
    for (size_t i = 0; i < view->raft->member_count; i++) {
        if (view->raft->members[i].node_id == node_id) {
            return &view->raft->members[i];
        }
    }
    return NULL;
}

static const struct member *in_state(const struct membership_view *view, uint64_t node_id)
{
    for (size_t i = 0; i < view->member_count; i++) {
        if (view->members[i].node_id == node_id && view->members[i].standing != STANDING_REMOVED) {
            return &view->members[i];
        }
    }
    return NULL;
}

static bool is_alive(const struct membership_view *view, const struct consensus_member *node)
{
    return node->node_id == view->self_id || node->heard_ms_ago < view->dead_after_ms;
}

static bool caught_up(const struct membership_view *view, const struct consensus_member *node)
{
    return node->node_id == view->self_id ||
           (node->connected && node->heard_ms_ago < view->silent_after_ms &&
            node->match_index > 0 &&
            node->match_index + CAUGHT_UP_ENTRIES >= view->raft->last_index);
}

/* Its log and votes are not to be relied on: it is to leave raft's configuration, or has left it. */
static bool is_quarantined(const struct member *member)
{
    return member->quarantine == QUARANTINE_ASKED || member->quarantine == QUARANTINE_OUT;
}

/* Does it vote, and is it there to do so? Who is removed from the state may be gone already. */
static bool counts(const struct membership_view *view, const struct consensus_member *node)
{
    const struct member *member = in_state(view, node->node_id);
    return node->node_id == view->self_id ||
           (node->connected && node->heard_ms_ago < view->silent_after_ms && member != NULL &&
            !is_quarantined(member));
}

/* With this node a voter or none: is a quorum of the voters heard of? */
static bool keeps_quorum(const struct membership_view *view, uint64_t node_id, bool votes)
{
    uint64_t voters = 0;
    uint64_t heard = 0;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        bool voter = node->node_id == node_id ? votes : node->role == MEMBER_VOTER;
        voters += voter;
        heard += voter && counts(view, node);
    }
    return heard > voters / 2;
}

bool membership_may_go(const struct membership_view *view, uint64_t node_id)
{
    const struct consensus_member *node = in_raft(view, node_id);
    return node == NULL || node->role != MEMBER_VOTER || keeps_quorum(view, node_id, false);
}

static struct membership_action action_of(enum membership_step step, uint64_t node_id)
{
    return (struct membership_action){.step = step, .node_id = node_id};
}

static const struct membership_action nothing = {.step = MEMBERSHIP_NOTHING};

/* ---- Choosing among nodes ---- */

/* The dead voter longest silent, or with `any` some other voter than this node: the one longest
 * silent or, as all that are heard are heard all the time, the one that has least of the log. */
static const struct consensus_member *voter_to_demote(const struct membership_view *view, bool any)
{
    const struct consensus_member *chosen = NULL;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        if (node->role != MEMBER_VOTER || node->node_id == view->self_id ||
            (!any && is_alive(view, node)) || !keeps_quorum(view, node->node_id, false)) {
            continue;
        }
        bool both_heard = chosen != NULL && counts(view, chosen) && counts(view, node);
        if (chosen == NULL || (both_heard ? node->match_index < chosen->match_index
                                          : node->heard_ms_ago > chosen->heard_ms_ago)) {
            chosen = node;
        }
    }
    return chosen;
}

static bool may_be_promoted(const struct membership_view *view, const struct consensus_member *node)
{
    const struct member *member = in_state(view, node->node_id);
    return node->role == MEMBER_STANDBY && member != NULL && member->standing == STANDING_MEMBER &&
           member->quarantine == QUARANTINE_NONE && caught_up(view, node) &&
           keeps_quorum(view, node->node_id, true);
}

/* The standby that has most of the log; `*count` of them could vote. */
static const struct consensus_member *standby_to_promote(const struct membership_view *view,
                                                         size_t *count)
{
    const struct consensus_member *chosen = NULL;
    *count = 0;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        if (!may_be_promoted(view, node)) {
            continue;
        }
        *count += 1;
        if (chosen == NULL || node->match_index > chosen->match_index) {
            chosen = node;
        }
    }
    return chosen;
}

/* ---- Going ---- */

static bool has_heir(const struct membership_view *view)
{
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        if (node->role == MEMBER_VOTER && node->node_id != view->self_id && counts(view, node)) {
            return true;
        }
    }
    return false;
}

/* The only voter cannot hand over: a standby has to vote first. */
static struct membership_action decide_heir(const struct membership_view *view)
{
    size_t count;
    const struct consensus_member *standby = standby_to_promote(view, &count);
    return has_heir(view) || standby == NULL ? nothing
                                             : action_of(MEMBERSHIP_VOTER, standby->node_id);
}

/* Who is in raft and not in the state goes. This node itself goes last: another must lead first. */
static struct membership_action decide_removal(const struct membership_view *view)
{
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        if (node->node_id != view->self_id && in_state(view, node->node_id) == NULL &&
            (node->role != MEMBER_VOTER || keeps_quorum(view, node->node_id, false))) {
            return action_of(MEMBERSHIP_DROP, node->node_id);
        }
    }
    if (in_state(view, view->self_id) != NULL) {
        return nothing;
    }
    return has_heir(view) ? action_of(MEMBERSHIP_HAND_OVER, view->self_id) : decide_heir(view);
}

/* Members whose data is damaged leave raft's configuration; when that is committed the state says so. */
static struct membership_action decide_quarantine(const struct membership_view *view)
{
    for (size_t i = 0; i < view->member_count; i++) {
        const struct member *member = &view->members[i];
        if (member->standing == STANDING_REMOVED || !is_quarantined(member)) {
            continue;
        }
        if (in_raft(view, member->node_id) == NULL) {
            if (member->quarantine == QUARANTINE_ASKED) {
                return action_of(MEMBERSHIP_OUT, member->node_id);
            }
        } else if (member->node_id == view->self_id) {
            return has_heir(view) ? action_of(MEMBERSHIP_HAND_OVER, member->node_id)
                                  : decide_heir(view);
        } else if (membership_may_go(view, member->node_id)) {
            return action_of(MEMBERSHIP_DROP, member->node_id);
        }
    }
    return nothing;
}

/* ---- Coming ---- */

static struct membership_action decide_joining(const struct membership_view *view,
                                               const struct member *member)
{
    const struct consensus_member *node = in_raft(view, member->node_id);
    if (node == NULL) {
        return action_of(MEMBERSHIP_ADD, member->node_id);
    }
    if (node->role == MEMBER_SPARE) {
        return action_of(MEMBERSHIP_STANDBY, member->node_id);
    }
    if (member->standing == STANDING_JOINING && caught_up(view, node)) {
        return action_of(MEMBERSHIP_CONFIRM, member->node_id);
    }
    return nothing;
}

/* Admitted, and not heard in all the time it had. One that is still fetching the state is not lost,
 * nor one that waits for its turn among many: its time begins when there is nothing else to do. */
static bool never_came(const struct membership_view *view, const struct member *member)
{
    const struct consensus_member *node = in_raft(view, member->node_id);
    return member->standing == STANDING_JOINING && node != NULL &&
           view->now_ms > member->since_ms + view->join_timeout_ms &&
           view->quiet_ms > view->join_timeout_ms && (!node->connected || !is_alive(view, node));
}

static struct membership_action decide_arrivals(const struct membership_view *view)
{
    for (size_t i = 0; i < view->member_count; i++) {
        const struct member *member = &view->members[i];
        struct membership_action action = nothing;
        /* A node that locked itself to join elsewhere is joining, too: nothing of that is for it to
         * decide as its own leader. */
        bool locked = member->node_id == view->self_id && member->standing == STANDING_JOINING;
        if (locked || is_quarantined(member)) {
            continue;
        }
        if (never_came(view, member)) {
            return action_of(MEMBERSHIP_ROLL_BACK, member->node_id);
        }
        if (member->standing == STANDING_JOINING || member->standing == STANDING_MEMBER) {
            action = decide_joining(view, member);
        }
        if (action.step != MEMBERSHIP_NOTHING) {
            return action;
        }
    }
    return nothing;
}

/* ---- Voting ---- */

/* Too few, and nobody to make them odd again: four with one away bear less than three. Two stay two,
 * for one alone would be the only one to have what was acknowledged. */
static bool is_stuck_even(uint64_t voters)
{
    return voters % 2 == 0 && voters >= 4;
}

static struct membership_action decide_voters(const struct membership_view *view)
{
    uint64_t voters = 0;
    uint64_t settled = 0;
    size_t standbys = 0;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        voters += view->raft->members[i].role == MEMBER_VOTER;
    }
    for (size_t i = 0; i < view->member_count; i++) {
        settled += view->members[i].standing == STANDING_MEMBER;
    }
    uint64_t wanted = membership_voters(settled, view->voters_wanted);
    const struct consensus_member *standby = standby_to_promote(view, &standbys);
    const struct consensus_member *dead = voter_to_demote(view, false);
    const struct consensus_member *any = voter_to_demote(view, true);
    /* Two at a time, so that they are odd again after them. */
    if (voters < wanted && standby != NULL && (voters % 2 == 0 || standbys >= 2)) {
        return action_of(MEMBERSHIP_VOTER, standby->node_id);
    }
    if (dead != NULL && standby != NULL) {
        return action_of(MEMBERSHIP_STANDBY, dead->node_id); /* Then the standby is promoted. */
    }
    if (any != NULL && (voters > wanted || is_stuck_even(voters))) {
        return action_of(MEMBERSHIP_STANDBY, any->node_id);
    }
    return nothing;
}

struct membership_action membership_decide(const struct membership_view *view)
{
    struct membership_action action = decide_removal(view);
    if (action.step == MEMBERSHIP_NOTHING) {
        action = decide_quarantine(view);
    }
    if (action.step == MEMBERSHIP_NOTHING) {
        action = decide_arrivals(view);
    }
    if (action.step == MEMBERSHIP_NOTHING) {
        action = view->giving_way ? decide_heir(view) : decide_voters(view);
    }
    return action;
}
