/*
 * Roles: in place of random changes of the members, those that the membership worker decides
 * (membership_decide.h), carried out on the guarded rafts. What the state would say stands in the
 * world: who is a member, and how many shall vote; the weather lets nodes leave and come back, and
 * changes the number. Whole nodes have a state that says it: each leader goes by its own, the operator
 * changes the number, and nobody leaves.
 *
 * A leader sees of the others what has come from them of late, and decides by that alone. Held: no
 * decision is one that libraft or the guard could not take, voters are never more than were wanted
 * or are there already, and a healed cluster comes to have the members it should have, and as many
 * voters as wanted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_decide.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "raft_view.h"

#define SILENT_AFTER_MS 1000U
#define DEAD_AFTER_MS 3000U
#define LEAVING_PERCENT 2 /* Of all acts. */
#define VOTERS_PERCENT 1
#define GONE_MAX 8 /* At once. */

void roles_open(struct world *world)
{
    struct roles *roles = &world->roles;
    roles->voters = 3;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        roles->members[i] = (struct member){
            .node_id = world->nodes[i].id,
            .standing = STANDING_MEMBER,
        };
    }
}

static void look(const struct sim_node *leader, struct consensus_status *out)
{
    struct world *world = leader->world;
    const struct raft *raft = leader->raft;
    *out = (struct consensus_status){
        .member_count = raft->configuration.n,
        .last_index = raft->last_stored,
    };
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        const struct raft_progress *progress = &raft->leader_state.progress[i];
        uint64_t heard_ms = world->delivered_ms[server->id - 1][leader->number];
        uint64_t ago_ms = heard_ms == 0              ? UINT64_MAX
                          : heard_ms > world->now_ms ? 0 /* On its way. */
                                                     : world->now_ms - heard_ms;
        out->members[i] = (struct consensus_member){
            .node_id = server->id,
            .role = server->role == RAFT_VOTER     ? MEMBER_VOTER
                    : server->role == RAFT_STANDBY ? MEMBER_STANDBY
                                                   : MEMBER_SPARE,
            .match_index = progress->match_index,
            .heard_ms_ago = ago_ms,
            .connected = ago_ms < SILENT_AFTER_MS,
        };
    }
}

/* What this node's state says; false as long as not all are admitted, which are in raft from the beginning. */
static bool read_state(const struct sim_node *node, struct roles *out)
{
    const struct world *world = node->world;
    struct arena arena = {0};
    struct cluster_view cluster;
    struct member member;
    *out = world->roles;
    if (world->whole == NULL) {
        return true;
    }
    bool good = !failed(store_cluster(node->store, &arena, &cluster));
    out->voters = good && cluster.voters != 0 ? cluster.voters : out->voters;
    for (unsigned i = 0; good && i < world->options.node_count; i++) {
        good = !failed(store_member(node->store, &arena, world->nodes[i].id, &member)) &&
               member.standing == STANDING_MEMBER;
    }
    arena_release(&arena);
    return good;
}

static struct membership_view view_of(const struct sim_node *leader, const struct roles *state,
                                      const struct consensus_status *seen)
{
    const struct world *world = leader->world;
    bool is_sabotaged = world->options.sabotage == SABOTAGE_VOTERS;
    return (struct membership_view){
        .members = state->members,
        .member_count = world->options.node_count,
        .raft = seen,
        .self_id = leader->id,
        .voters_wanted = state->voters + (is_sabotaged ? 2 : 0),
        .silent_after_ms = SILENT_AFTER_MS,
        .dead_after_ms = DEAD_AFTER_MS,
    };
}

static struct membership_action decide(const struct sim_node *leader, const struct roles *state)
{
    struct consensus_status seen;
    look(leader, &seen);
    const struct membership_view view = view_of(leader, state, &seen);
    struct membership_action action = membership_decide(&view);
    bool is_kept = leader->world->options.sabotage == SABOTAGE_LEAVERS;
    return action.step == MEMBERSHIP_DROP && is_kept ? (struct membership_action){0} : action;
}

static void on_changed(struct raft_change *request, int status)
{
    (void)status;
    free(request);
}

static void on_handed_over(struct raft_transfer *request)
{
    free(request);
}

static int hand_over(struct sim_node *leader)
{
    struct raft_transfer *request = calloc(1, sizeof *request);
    if (request == NULL) {
        abort();
    }
    int code = raft_transfer(leader->raft, request, 0, on_handed_over);
    if (code != 0) {
        free(request);
    }
    return code;
}

static int carry_out(struct sim_node *leader, struct membership_action action,
                     struct raft_change *request)
{
    struct raft *raft = leader->raft;
    const struct sim_node *node = &leader->world->nodes[action.node_id - 1];
    switch (action.step) {
    case MEMBERSHIP_ADD: return raft_add(raft, request, node->id, node->address, on_changed);
    case MEMBERSHIP_STANDBY: return raft_assign(raft, request, node->id, RAFT_STANDBY, on_changed);
    case MEMBERSHIP_VOTER: return raft_assign(raft, request, node->id, RAFT_VOTER, on_changed);
    case MEMBERSHIP_DROP: return raft_remove(raft, request, node->id, on_changed);
    case MEMBERSHIP_NOTHING:
    case MEMBERSHIP_HAND_OVER:
    case MEMBERSHIP_CONFIRM:
    case MEMBERSHIP_OUT:
    case MEMBERSHIP_ROLL_BACK: return RAFT_CANTCHANGE;
    }
    return RAFT_CANTCHANGE;
}

static void check_count(struct world *world, const struct roles *state, const struct raft *raft,
                        unsigned before)
{
    unsigned now = raft_view_voters(raft);
    if (now > before && now > state->voters && now > 2) {
        check_fail(world, VERDICT_RULE, "rule 10: %u voters, and %u are wanted", now,
                   (unsigned)state->voters);
    }
}

static bool may_change(const struct sim_node *node)
{
    const struct raft *raft = node->raft;
    return node_leads(node) && node->guard != NULL && guard_is_ready(node->guard) &&
           raft->configuration_uncommitted_index == 0 && raft->transfer == NULL &&
           raft->leader_state.promotee_id == 0 && raft->leader_state.change == NULL;
}

/* The next step of this leader; false if it has none to take. */
static bool step(struct sim_node *leader)
{
    struct world *world = leader->world;
    struct roles state;
    if (!read_state(leader, &state)) {
        return false;
    }
    struct membership_action action = decide(leader, &state);
    if (action.step == MEMBERSHIP_NOTHING) {
        return false;
    }
    unsigned before = raft_view_voters(leader->raft);
    struct raft_change *request = calloc(1, sizeof *request);
    if (request == NULL) {
        abort();
    }
    int code = action.step == MEMBERSHIP_HAND_OVER ? hand_over(leader)
                                                   : carry_out(leader, action, request);
    if (code != 0 || action.step == MEMBERSHIP_HAND_OVER) {
        free(request);
    } else {
        world->troubles[TROUBLE_CHANGE]++;
        world_say(world, "node %u decides %d of %llu", leader->number, (int)action.step,
                  (unsigned long long)(action.node_id - 1));
        check_count(world, &state, leader->raft, before);
    }
    guard_poll(leader->guard);
    return true;
}

/* The leader of the highest term: another one may not know yet that it is deposed. */
static struct sim_node *find_leader(struct world *world)
{
    struct sim_node *leader = NULL;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        if (node_leads(node) &&
            (leader == NULL || node->raft->current_term > leader->raft->current_term)) {
            leader = node;
        }
    }
    return leader;
}

bool roles_step(struct world *world)
{
    struct sim_node *newest = find_leader(world);
    bool quiet = newest != NULL && may_change(newest);
    for (unsigned i = 0; i < world->options.node_count; i++) {
        if (may_change(&world->nodes[i])) {
            quiet = !step(&world->nodes[i]) && quiet;
        }
    }
    return quiet;
}

static unsigned count_gone(const struct world *world)
{
    unsigned count = 0;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        count += world->roles.members[i].standing == STANDING_REMOVED;
    }
    return count;
}

static void on_vote_lost(struct raft_change *request, int status)
{
    struct member *member = request->data;
    member->standing = status == 0 ? STANDING_REMOVED : member->standing;
    free(request);
}

/* As cluster.remove does: a voter that the others can spare loses its vote first, then leaves. */
static void leave(struct sim_node *leader, struct member *member)
{
    struct consensus_status seen;
    look(leader, &seen);
    const struct membership_view view = view_of(leader, &leader->world->roles, &seen);
    unsigned at = raft_view_server(leader->raft, member->node_id);
    if (at == leader->raft->configuration.n ||
        leader->raft->configuration.servers[at].role != RAFT_VOTER) {
        member->standing = STANDING_REMOVED;
        return;
    }
    if (member->node_id == leader->id) {
        (void)hand_over(leader);
    } else if (membership_may_go(&view, member->node_id)) {
        struct raft_change *request = calloc(1, sizeof *request);
        if (request == NULL) {
            abort();
        }
        request->data = member;
        if (raft_assign(leader->raft, request, member->node_id, RAFT_STANDBY, on_vote_lost) != 0) {
            free(request);
        }
    }
    guard_poll(leader->guard);
}

static void leave_or_return(struct world *world)
{
    unsigned at = world_between(world, 0, world->options.node_count - 1);
    struct member *member = &world->roles.members[at];
    struct sim_node *leader = find_leader(world);
    if (member->standing == STANDING_REMOVED) {
        member->standing = STANDING_MEMBER;
        world_say(world, "node %u is to be a member again", at);
    } else if (count_gone(world) < GONE_MAX && count_gone(world) + 4 < world->options.node_count &&
               leader != NULL && may_change(leader)) {
        world_say(world, "node %u is to leave", at);
        leave(leader, member);
    }
}

void roles_act(struct world *world)
{
    static const uint64_t counts[] = {1, 3, 5, 7};
    bool is_whole = world->whole != NULL;
    if (!is_whole && world_chance(world, LEAVING_PERCENT)) {
        leave_or_return(world);
    }
    if (!is_whole && world_chance(world, VOTERS_PERCENT)) {
        world->roles.voters = counts[world_between(world, 0, 3)];
        world_say(world, "%u are to vote", (unsigned)world->roles.voters);
    }
    (void)roles_step(world);
}

void roles_check_end(struct world *world)
{
    unsigned members = world->options.node_count - count_gone(world);
    const struct sim_node *leader = find_leader(world);
    struct roles state;
    if (leader == NULL || !read_state(leader, &state)) {
        return; /* For a moment: it was settled under one. */
    }
    unsigned count = leader->raft->configuration.n;
    unsigned voters = raft_view_voters(leader->raft);
    if (count != members || voters != membership_voters(members, state.voters)) {
        check_fail(world, VERDICT_RULE, "rule 10: %u of %u vote, %u of %u are wanted", voters,
                   count, (unsigned)state.voters, members);
    }
}
