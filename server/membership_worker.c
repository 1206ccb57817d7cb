/*
 * The membership worker: looks, decides (membership_decide.h), does one thing at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_worker.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon.h"

#define SILENT_AFTER_TIMEOUTS 2 /* Election time-outs until a node counts for no quorum. */
#define DEAD_AFTER_TIMEOUTS 20  /* The same, until a voter is replaced. */
#define RETRY_MS 250
#define LOOK_EVERY_MS 50   /* Fifty members are read at each look, which is not free. */
#define GIVING_WAY_MS 2000 /* So long after it was asked for, a voter that can lead is kept. */

struct membership {
    struct daemon *daemon;
    struct membership_change change;
    struct membership_action action; /* Under way, unless MEMBERSHIP_NOTHING. */
    uint64_t not_before_ms;          /* Monotonic: of the next look. */
    uint64_t changed_at_ms;          /* Monotonic; or when this node began to lead. */
    uint64_t term;                   /* In which it leads, as far as the worker has seen. */
    uint64_t giving_way_until_ms;    /* Monotonic. */
};

static struct membership_action action_of(enum membership_step step, uint64_t node_id)
{
    return (struct membership_action){.step = step, .node_id = node_id};
}

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
    case MEMBERSHIP_OUT: return "let out for a rebuild";
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
        membership->not_before_ms = 0; /* There may be more to do. */
        membership->changed_at_ms = clock_monotonic_ms();
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

/* Proposed after the change of the configuration was committed, and after it in the log: whoever sees
 * it applied knows that no leader can come that counts on the member any more. */
static struct status propose_out(struct membership *membership, uint64_t node_id)
{
    struct arena arena = {0};
    struct member member;
    struct status status = store_member(membership->daemon->store, &arena, node_id, &member);
    if (!failed(status)) {
        const struct command command = {
            .type = COMMAND_MEMBER_QUARANTINE,
            .body.member_quarantine = {.node_id = node_id,
                                       .step = QUARANTINE_OUT,
                                       .life = member.quarantine_life},
        };
        status = daemon_propose(membership->daemon, &command, on_proposed, membership);
    }
    arena_release(&arena);
    return status;
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
    case MEMBERSHIP_HAND_OVER: return consensus_transfer(consensus, 0, 0, change, on_changed);
    case MEMBERSHIP_CONFIRM: return propose_standing(membership, action.node_id, true);
    case MEMBERSHIP_ROLL_BACK: return propose_standing(membership, action.node_id, false);
    case MEMBERSHIP_OUT: return propose_out(membership, action.node_id);
    }
    return OK;
}

/* What there is to be seen now, in the arena; false if it cannot be told. */
static bool look(struct membership *membership, struct arena *arena, struct membership_view *out)
{
    struct daemon *daemon = membership->daemon;
    const struct config *config = &daemon->config;
    uint64_t now_ms = clock_monotonic_ms();
    struct cluster_view cluster;
    struct codec_list members;
    struct consensus_status *raft = arena_alloc(arena, 1, sizeof *raft);
    if (raft == NULL || failed(store_cluster(daemon->store, arena, &cluster)) ||
        failed(store_members(daemon->store, arena, &members)) || members.count == 0) {
        return false;
    }
    consensus_status(daemon->consensus, raft);
    *out = (struct membership_view){
        .members = members.items,
        .member_count = members.count,
        .raft = raft,
        .self_id = daemon->identity.node_id,
        .voters_wanted = daemon_voters(daemon, &cluster),
        .now_ms = clock_now_ms(),
        .join_timeout_ms = config->join_timeout_s * 1000,
        .quiet_ms = now_ms - membership->changed_at_ms,
        .silent_after_ms = SILENT_AFTER_TIMEOUTS * config->election_timeout_ms,
        .dead_after_ms = DEAD_AFTER_TIMEOUTS * config->election_timeout_ms,
        .giving_way = now_ms < membership->giving_way_until_ms,
    };
    return true;
}

static void note_term(struct membership *membership)
{
    if (membership->term != membership->daemon->event.term) {
        membership->term = membership->daemon->event.term;
        membership->changed_at_ms = clock_monotonic_ms();
    }
}

void membership_step(struct membership *membership)
{
    struct daemon *daemon = membership->daemon;
    if (!daemon_leads(daemon) || daemon->stopping ||
        membership->action.step != MEMBERSHIP_NOTHING ||
        clock_monotonic_ms() < membership->not_before_ms) {
        return;
    }
    note_term(membership);
    membership->not_before_ms = clock_monotonic_ms() + LOOK_EVERY_MS;
    struct arena arena = {0};
    struct membership_view view;
    struct membership_action action = action_of(MEMBERSHIP_NOTHING, 0);
    if (look(membership, &arena, &view)) {
        action = membership_decide(&view);
    }
    arena_release(&arena);
    if (action.step == MEMBERSHIP_NOTHING) {
        return;
    }
    membership->action = action;
    struct status status = start(membership, action);
    if (failed(status)) {
        finish(membership, status);
    }
}

bool membership_make_heir(struct membership *membership)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool first = now_ms > membership->giving_way_until_ms;
    membership->giving_way_until_ms = now_ms + GIVING_WAY_MS;
    if (now_ms < membership->not_before_ms) {
        return true; /* It will look in a moment. */
    }
    membership_step(membership);
    return first || membership->action.step != MEMBERSHIP_NOTHING;
}

bool membership_lets_go(struct membership *membership, uint64_t node_id)
{
    struct arena arena = {0};
    struct membership_view view;
    bool may = !look(membership, &arena, &view) || membership_may_go(&view, node_id);
    arena_release(&arena);
    return may;
}

struct slice membership_why_not_out(struct membership *membership, uint64_t node_id)
{
    return membership_lets_go(membership, node_id)
               ? (struct slice){0}
               : slice_of("the other voters that answer are too few to go on without this node: "
                          "bring them back first");
}

struct status membership_create(struct daemon *daemon, struct membership **out)
{
    struct membership *membership = alloc_zeroed(1, sizeof *membership);
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
