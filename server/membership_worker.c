/*
 * The membership worker.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_worker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon.h"

#define CAUGHT_UP_ENTRIES 64   /* A node within so many entries of the log's end has caught up. */
#define DEAD_AFTER_TIMEOUTS 20 /* Election time-outs of silence until a voter is replaced. */
#define RETRY_MS 250

struct membership {
    struct daemon *daemon;
    struct membership_change change;
    struct membership_action action; /* Under way, unless MEMBERSHIP_NOTHING. */
    uint64_t not_before_ms;          /* Monotonic; after a failure. */
};

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
           (node->connected && node->heard_ms_ago < view->dead_after_ms && node->match_index > 0 &&
            node->match_index + CAUGHT_UP_ENTRIES >= view->raft->last_index);
}

static struct membership_action action_of(enum membership_step step, uint64_t node_id)
{
    return (struct membership_action){.step = step, .node_id = node_id};
}

/* Who is in raft and not in the state goes. This node itself goes last: another must lead first. */
static struct membership_action decide_removal(const struct membership_view *view)
{
    for (size_t i = 0; i < view->raft->member_count; i++) {
        uint64_t node_id = view->raft->members[i].node_id;
        if (node_id != view->self_id && in_state(view, node_id) == NULL) {
            return action_of(MEMBERSHIP_DROP, node_id);
        }
    }
    if (in_state(view, view->self_id) == NULL) {
        return action_of(MEMBERSHIP_HAND_OVER, view->self_id);
    }
    return action_of(MEMBERSHIP_NOTHING, 0);
}

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
    if (member->standing != STANDING_JOINING) {
        return action_of(MEMBERSHIP_NOTHING, 0);
    }
    if (caught_up(view, node)) {
        return action_of(MEMBERSHIP_CONFIRM, member->node_id);
    }
    return action_of(MEMBERSHIP_NOTHING, 0);
}

/* Admitted, and not heard in all the time it had. One that is still fetching the state is not lost. */
static bool never_came(const struct membership_view *view, const struct member *member)
{
    const struct consensus_member *node = in_raft(view, member->node_id);
    return member->standing == STANDING_JOINING &&
           view->now_ms > member->since_ms + view->join_timeout_ms &&
           (node == NULL || !node->connected || !is_alive(view, node));
}

static struct membership_action decide_arrivals(const struct membership_view *view)
{
    for (size_t i = 0; i < view->member_count; i++) {
        const struct member *member = &view->members[i];
        struct membership_action action = action_of(MEMBERSHIP_NOTHING, 0);
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
    return action_of(MEMBERSHIP_NOTHING, 0);
}

/* The dead voter longest silent, or with `any` some other voter than this node. */
static const struct consensus_member *voter_to_demote(const struct membership_view *view, bool any)
{
    const struct consensus_member *chosen = NULL;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        if (node->role != MEMBER_VOTER || node->node_id == view->self_id ||
            (!any && is_alive(view, node))) {
            continue;
        }
        if (chosen == NULL || node->heard_ms_ago > chosen->heard_ms_ago) {
            chosen = node;
        }
    }
    return chosen;
}

static const struct consensus_member *standby_to_promote(const struct membership_view *view)
{
    const struct consensus_member *chosen = NULL;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        const struct consensus_member *node = &view->raft->members[i];
        const struct member *member = in_state(view, node->node_id);
        if (node->role != MEMBER_STANDBY || member == NULL || member->standing != STANDING_MEMBER ||
            !caught_up(view, node)) {
            continue;
        }
        if (chosen == NULL || node->match_index > chosen->match_index) {
            chosen = node;
        }
    }
    return chosen;
}

static struct membership_action decide_voters(const struct membership_view *view)
{
    uint64_t voters = 0;
    uint64_t settled = 0;
    for (size_t i = 0; i < view->raft->member_count; i++) {
        voters += view->raft->members[i].role == MEMBER_VOTER;
    }
    for (size_t i = 0; i < view->member_count; i++) {
        settled += view->members[i].standing == STANDING_MEMBER;
    }
    uint64_t wanted = membership_voters(settled, view->voters_wanted);
    const struct consensus_member *standby = standby_to_promote(view);
    if (voters < wanted) {
        return standby == NULL ? action_of(MEMBERSHIP_NOTHING, 0)
                               : action_of(MEMBERSHIP_VOTER, standby->node_id);
    }
    const struct consensus_member *dead = voter_to_demote(view, false);
    if (dead != NULL && standby != NULL) {
        return action_of(MEMBERSHIP_STANDBY,
                         dead->node_id); /* Next time the standby is promoted. */
    }
    const struct consensus_member *surplus = voters > wanted ? voter_to_demote(view, true) : NULL;
    if (surplus != NULL) {
        return action_of(MEMBERSHIP_STANDBY, surplus->node_id);
    }
    return action_of(MEMBERSHIP_NOTHING, 0);
}

struct membership_action membership_decide(const struct membership_view *view)
{
    struct membership_action action = decide_removal(view);
    if (action.step == MEMBERSHIP_NOTHING) {
        action = decide_arrivals(view);
    }
    if (action.step == MEMBERSHIP_NOTHING) {
        action = decide_voters(view);
    }
    return action;
}

/* ---- Doing it ---- */

static const char *step_name(enum membership_step step)
{
    switch (step) {
    case MEMBERSHIP_NOTHING: return "nothing";
    case MEMBERSHIP_ADD: return "add";
    case MEMBERSHIP_STANDBY: return "make standby";
    case MEMBERSHIP_VOTER: return "make voter";
    case MEMBERSHIP_DROP: return "drop";
    case MEMBERSHIP_HAND_OVER: return "hand over";
    case MEMBERSHIP_CONFIRM: return "confirm";
    case MEMBERSHIP_ROLL_BACK: return "roll back";
    }
    return "nothing";
}

static void finish(struct membership *membership, struct status status)
{
    struct arena arena = {0};
    fault_step(FAULT_MEMBERSHIP_DONE);
    struct slice name = daemon_name_of(membership->daemon, &arena, membership->action.node_id);
    if (failed(status)) {
        membership->not_before_ms = clock_monotonic_ms() + RETRY_MS;
        log_event(LOG_LEVEL_NOTICE, "membership change failed, will be tried again",
                  log_text("step", step_name(membership->action.step)), log_slice("node", name),
                  log_text("error", status.message));
    } else {
        log_event(LOG_LEVEL_INFO, "membership changed",
                  log_text("step", step_name(membership->action.step)), log_slice("node", name));
    }
    arena_release(&arena);
    membership->action = action_of(MEMBERSHIP_NOTHING, 0);
}

static void on_changed(struct membership_change *change, struct status status)
{
    finish(change->context, status);
}

static void on_proposed(void *context, struct status status, struct apply_outcome outcome)
{
    if (!failed(status) && outcome.refusal != REFUSAL_NONE) {
        status = fail(STATUS_REFUSED, "%s", refusal_reason((enum refusal)outcome.refusal));
    }
    finish(context, status);
}

static struct status propose_standing(struct membership *membership, uint64_t node_id, bool member)
{
    struct command command = {
        .type = member ? COMMAND_MEMBER_SET : COMMAND_MEMBER_REMOVE,
    };
    if (member) {
        command.body.member_set =
            (struct member_set){.node_id = node_id, .standing = STANDING_MEMBER};
    } else {
        command.body.member_remove = (struct member_remove){.node_id = node_id, .rollback = true};
    }
    return daemon_propose(membership->daemon, &command, on_proposed, membership);
}

static struct status add_to_raft(struct membership *membership, uint64_t node_id)
{
    char address[CONSENSUS_ADDRESS_SIZE];
    struct arena arena = {0};
    struct member member;
    struct status status = store_member(membership->daemon->store, &arena, node_id, &member);
    if (!failed(status) && !slice_to_text(member.peer_address, address, sizeof address)) {
        status = fail(STATUS_INVALID, "the member's address is too long");
    }
    arena_release(&arena);
    if (failed(status)) {
        return status;
    }
    return consensus_add(membership->daemon->consensus, node_id, address, &membership->change,
                         on_changed);
}

static struct status start(struct membership *membership, struct membership_action action)
{
    struct consensus *consensus = membership->daemon->consensus;
    struct membership_change *change = &membership->change;
    change->context = membership;
    if (fault_fires(FAULT_MEMBERSHIP_START)) {
        return fail(STATUS_NO_MEMORY, "start a change of the members");
    }
    switch (action.step) {
    case MEMBERSHIP_NOTHING: return OK;
    case MEMBERSHIP_ADD: return add_to_raft(membership, action.node_id);
    case MEMBERSHIP_STANDBY:
        return consensus_assign(consensus, action.node_id, MEMBER_STANDBY, change, on_changed);
    case MEMBERSHIP_VOTER:
        return consensus_assign(consensus, action.node_id, MEMBER_VOTER, change, on_changed);
    case MEMBERSHIP_DROP: return consensus_remove(consensus, action.node_id, change, on_changed);
    case MEMBERSHIP_HAND_OVER: return consensus_transfer(consensus, 0, change, on_changed);
    case MEMBERSHIP_CONFIRM: return propose_standing(membership, action.node_id, true);
    case MEMBERSHIP_ROLL_BACK: return propose_standing(membership, action.node_id, false);
    }
    return OK;
}

static struct membership_action look(struct membership *membership)
{
    struct daemon *daemon = membership->daemon;
    struct arena arena = {0};
    struct codec_list members;
    struct consensus_status *raft = arena_alloc(&arena, 1, sizeof *raft);
    struct membership_action action = action_of(MEMBERSHIP_NOTHING, 0);
    if (raft != NULL && !failed(store_members(daemon->store, &arena, &members)) &&
        members.count > 0) {
        consensus_status(daemon->consensus, raft);
        const struct membership_view view = {
            .members = members.items,
            .member_count = members.count,
            .raft = raft,
            .self_id = daemon->identity.node_id,
            .voters_wanted = daemon->config.voters,
            .now_ms = clock_now_ms(),
            .join_timeout_ms = daemon->config.join_timeout_s * 1000,
            .dead_after_ms = DEAD_AFTER_TIMEOUTS * daemon->config.election_timeout_ms,
        };
        action = membership_decide(&view);
    }
    arena_release(&arena);
    return action;
}

void membership_step(struct membership *membership)
{
    struct daemon *daemon = membership->daemon;
    if (!daemon_leads(daemon) || daemon->stopping ||
        membership->action.step != MEMBERSHIP_NOTHING ||
        clock_monotonic_ms() < membership->not_before_ms) {
        return;
    }
    struct membership_action action = look(membership);
    if (action.step == MEMBERSHIP_NOTHING) {
        return;
    }
    membership->action = action;
    struct status status = start(membership, action);
    if (failed(status)) {
        finish(membership, status);
    }
}

struct status membership_create(struct daemon *daemon, struct membership **out)
{
    struct membership *membership = calloc(1, sizeof *membership);
    if (membership == NULL) {
        return fail(STATUS_NO_MEMORY, "start the membership worker");
    }
    membership->daemon = daemon;
    *out = membership;
    return OK;
}

void membership_destroy(struct membership *membership)
{
    free(membership);
}
