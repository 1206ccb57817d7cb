/*
 * Handlers of cluster.*: status, members, forming, settings, leaving, removing, handing over. Tokens
 * and admission stand in handle_admit.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fault.h"
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "join.h"
#include "leave.h"
#include "membership_worker.h"
#include "names.h"
#include "neighbours.h"
#include "resetter.h"
#include "views.h"

void handle_cluster_status(struct call *call)
{
    struct rpc_cluster_status view;
    struct status status = view_cluster(call->daemon, &call->arena, call->options.stale, &view);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &view);
    }
}

void handle_cluster_members(struct call *call)
{
    struct consensus_status *raft = arena_alloc(&call->arena, 1, sizeof *raft);
    struct rpc_members view = {.freshness = daemon_freshness(call->daemon, call->options.stale)};
    struct status status = fail(STATUS_NO_MEMORY, "list members");
    if (raft != NULL) {
        consensus_status(call->daemon->consensus, raft);
        status = view_members(call->daemon, &call->arena, raft, &view.members);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &view);
    }
}

void handle_cluster_standing(struct call *call)
{
    struct rpc_node_id question;
    struct member member;
    if (!call_params(call, &question)) {
        return;
    }
    struct status status =
        store_member(call->daemon->store, &call->arena, question.node_id, &member);
    if (failed(status) && status.code != STATUS_NOT_FOUND) {
        call_fail(call, status);
        return;
    }
    struct rpc_standing answer = {
        .standing = slice_of(failed(status) ? "none" : standing_name(member.standing)),
    };
    struct cluster_view cluster = {0};
    if (!failed(store_cluster(call->daemon->store, &call->arena, &cluster))) {
        answer.lineage = cluster.lineage;
    }
    /* By the recovery itself, or of a side that the recovery cut off. */
    bool gone = failed(status) ||
                (member.standing == STANDING_REMOVED && member.since_ms == cluster.recovered_at_ms);
    if (gone && cluster.lineage > 1) {
        answer.reason = view_recovery(&cluster, &call->arena);
    }
    call_reply(call, &answer);
}

static void on_formed(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "the cluster is formed; `muster cluster token create` lets others join");
}

void handle_cluster_init(struct call *call)
{
    struct rpc_cluster_init params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_CLUSTER_FORM,
        .body.cluster_form = {.name = params.name, .voters = call->daemon->config.voters},
    };
    call_propose(call, &command, on_formed);
}

void handle_cluster_join(struct call *call)
{
    joiner_begin(call->daemon->joiner, call);
}

void handle_cluster_leave(struct call *call)
{
    leaver_begin(call->daemon->leaver, call);
}

void handle_cluster_reset(struct call *call)
{
    if (daemon_is_suspended(call->daemon)) {
        resetter_begin(call->daemon->resetter, call);
    } else {
        leaver_reset(call->daemon->leaver, call);
    }
}

/* ---- Settings ---- */

void handle_cluster_settings(struct call *call)
{
    struct cluster_view cluster;
    struct status status = store_cluster(call->daemon->store, &call->arena, &cluster);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    const struct rpc_settings view = {
        .voters = daemon_voters(call->daemon, &cluster),
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}

static void on_set(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "set; the members follow step by step, `muster cluster status` shows how far");
}

void handle_cluster_set(struct call *call)
{
    struct rpc_settings_set params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_SETTINGS_SET,
        .body.settings_set = {.voters = params.voters},
    };
    call_propose(call, &command, on_set);
}

/* ---- Removing ---- */

static void on_removed(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    struct codec_list credentials = {0};
    fault_step(FAULT_REMOVE_APPLIED);
    if (failed(store_credentials(call->daemon->store, &call->arena, &credentials)) ||
        credentials.count == 0) {
        call_done(call, "removed; the cluster key is being rotated");
        return;
    }
    call_done(call, "removed; the cluster key is being rotated. The node knew the passwords of the "
                    "API clients: renew them in the cloud's portal, then `muster credentials add "
                    "NAME --replace`");
}

struct removal {
    uint64_t node_id;
    bool force;
};

static void propose_removal(struct call *call, uint64_t node_id, bool force)
{
    struct command command = {
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = node_id, .force = force},
    };
    call_propose(call, &command, on_removed);
}

static void on_demoted(struct membership_change *change, struct status status)
{
    struct call *call = change->context;
    const struct removal *removal = call->state;
    if (failed(status)) {
        call_fail(call, wrap(status, "take its vote"));
    } else {
        call->part_done = true;
        propose_removal(call, removal->node_id, removal->force);
    }
    call_release(call);
}

/* Who may not go keeps its vote: the state refuses. */
static bool is_kept(struct call *call, uint64_t node_id, bool force)
{
    struct registration_view view;
    return failed(store_registration(call->daemon->store, &call->arena, &view)) ||
           (!force && view.node_id == node_id && view.state != REGISTRATION_DISABLED &&
            view.state != REGISTRATION_ENABLED && view.state != REGISTRATION_FAILED);
}

static bool is_voter(const struct call *call, uint64_t node_id)
{
    struct consensus_status raft;
    consensus_status(call->daemon->consensus, &raft);
    for (size_t i = 0; i < raft.member_count; i++) {
        if (raft.members[i].node_id == node_id) {
            return raft.members[i].role == MEMBER_VOTER;
        }
    }
    return false;
}

/* A voter loses its vote first: who leaves is gone as soon as the state says so, and must not be
 * missed by then. */
static void remove_other(struct call *call, uint64_t node_id, bool force)
{
    struct daemon *daemon = call->daemon;
    if (!is_voter(call, node_id) || is_kept(call, node_id, force)) {
        propose_removal(call, node_id, force);
        return;
    }
    if (!membership_lets_go(daemon->membership, node_id)) {
        call_refuse(call, REFUSAL_QUORUM_AT_RISK);
        return;
    }
    struct removal *removal = arena_alloc(&call->arena, 1, sizeof *removal);
    struct status status = fail(STATUS_NO_MEMORY, "remove a node");
    if (removal != NULL) {
        *removal = (struct removal){.node_id = node_id, .force = force};
        call->state = removal;
        call->change.context = call;
        status =
            consensus_assign(daemon->consensus, node_id, MEMBER_STANDBY, &call->change, on_demoted);
    }
    if (failed(status)) {
        call_fail_unchanged(call, status);
        return;
    }
    call->changing = true;
    call_hold(call);
}

/* A leader does not remove itself: it lets another lead, who is then asked. */
static void on_handed_over(struct membership_change *change, struct status status)
{
    struct call *call = change->context;
    if (failed(status)) {
        call_fail(call, wrap(status, "let another node lead first"));
    } else {
        call_fail(call, fail(STATUS_UNREACHABLE,
                             "this node led, and another leads now; nothing else was changed, ask "
                             "again"));
    }
    call_release(call);
}

static bool has_other_members(struct call *call, uint64_t node_id)
{
    struct codec_list members;
    if (failed(store_members(call->daemon->store, &call->arena, &members))) {
        return false;
    }
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count; i++) {
        if (all[i].node_id != node_id && all[i].standing == STANDING_MEMBER) {
            return true;
        }
    }
    return false;
}

static void give_way(struct call *call)
{
    struct daemon *daemon = call->daemon;
    call->change.context = call;
    struct status status = consensus_transfer(daemon->consensus, 0, call_patience_ms(call),
                                              &call->change, on_handed_over);
    if (status.code == STATUS_NOT_FOUND && membership_make_heir(daemon->membership)) {
        status = fail(STATUS_BUSY, "this node leads, and another is being made ready to; nothing "
                                   "else was changed, ask again");
    }
    if (failed(status)) {
        call_fail(call, wrap(status, "let another node lead first"));
        return;
    }
    call_hold(call);
}

void handle_cluster_remove(struct call *call)
{
    struct rpc_remove params;
    struct member member;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = view_member_named(call->daemon, &call->arena, params.name, &member);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    if (member.node_id != call->daemon->identity.node_id) {
        remove_other(call, member.node_id, params.force);
    } else if (!has_other_members(call, member.node_id)) {
        propose_removal(call, member.node_id, params.force);
    } else {
        give_way(call);
    }
}

/* ---- Handing over ---- */

static void on_transferred(struct membership_change *change, struct status status)
{
    struct call *call = change->context;
    if (failed(status)) {
        call_fail_unchanged(call, wrap(status, "hand over"));
    } else {
        call_done(call, "another node leads now");
    }
    call_release(call);
}

static bool is_heard(const struct call *call, uint64_t node_id)
{
    struct consensus_status raft;
    consensus_status(call->daemon->consensus, &raft);
    for (size_t i = 0; i < raft.member_count; i++) {
        if (raft.members[i].node_id == node_id) {
            return raft.members[i].heard_ms_ago < call->daemon->config.election_timeout_ms;
        }
    }
    return false;
}

/* Waiting for it would be in vain. One that is only behind, or has just restarted, is waited for. */
static struct status may_lead(const struct call *call, const struct member *member)
{
    const struct neighbour *told = neighbours_find(call->daemon->neighbours, member->node_id);
    if (!is_voter(call, member->node_id)) {
        return fail(STATUS_REFUSED,
                    "%.*s has no vote, and only voters lead\n`muster cluster members` shows who "
                    "votes.",
                    SLICE_ARG(member->name));
    }
    if (member->quarantine != QUARANTINE_NONE) {
        return fail(STATUS_REFUSED,
                    "the data of %.*s is damaged\n`muster cluster status` says how it is mended.",
                    SLICE_ARG(member->name));
    }
    if (told != NULL && told->suspended && !is_heard(call, member->node_id)) {
        return fail(STATUS_REFUSED, "%.*s takes no part for now: %s\n%s", SLICE_ARG(member->name),
                    told->reason, told->remedy);
    }
    return OK;
}

void handle_cluster_transfer(struct call *call)
{
    struct rpc_name params;
    struct member member = {0};
    if (!call_params(call, &params)) {
        return;
    }
    struct status status =
        params.name.size == 0 ? OK
                              : view_member_named(call->daemon, &call->arena, params.name, &member);
    if (!failed(status) && member.node_id == call->daemon->identity.node_id) {
        call_done(call, "%s leads already", call->daemon->config.name);
        return;
    }
    if (!failed(status) && member.node_id != 0) {
        status = may_lead(call, &member);
    }
    if (!failed(status)) {
        call->change.context = call;
        status = consensus_transfer(call->daemon->consensus, member.node_id, call_patience_ms(call),
                                    &call->change, on_transferred);
    }
    if (failed(status)) {
        call_fail_unchanged(call, status);
        return;
    }
    call->changing = true;
    call_hold(call);
}
