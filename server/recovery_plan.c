/*
 * Judging whether a node may go on without the others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "recovery_plan.h"

#include <sys/statvfs.h>

#include "base/clock.h"
#include "daemon.h"
#include "names.h"
#include "position.h"
#include "views.h"

#define LOG_ROOM ((uint64_t)64 << 20U) /* Bytes: the first files of a new log. */

static void add_problem(struct plan *plan, struct slice what, const char *remedy)
{
    if (plan->problem_count < RPC_PROBLEMS_MAX) {
        plan->problems[plan->problem_count++] =
            (struct rpc_problem){.what = what, .remedy = slice_of(remedy)};
    }
}

static void add_loss(struct plan *plan, struct slice what)
{
    if (plan->loss_count < PLAN_LOSSES_MAX) {
        plan->losses[plan->loss_count++] = what;
    }
}

/* ---- What is known here ---- */

static void note_role(struct plan *plan, struct plan_member *member)
{
    member->role = "none";
    for (size_t i = 0; i < plan->raft->member_count; i++) {
        if (plan->raft->members[i].node_id == member->node_id) {
            member->role = member_role_name(plan->raft->members[i].role);
            member->voter = plan->raft->members[i].role == MEMBER_VOTER;
        }
    }
}

static struct status list_members(struct plan *plan)
{
    struct codec_list members;
    struct status status = store_members(plan->daemon->store, plan->arena, &members);
    const struct member *all = members.items;
    for (size_t i = 0; !failed(status) && i < members.count && plan->count < PLAN_MEMBERS_MAX;
         i++) {
        if (all[i].standing == STANDING_REMOVED) {
            continue;
        }
        struct plan_member *member = &plan->members[plan->count++];
        *member = (struct plan_member){
            .node_id = all[i].node_id,
            .name = all[i].name,
            .rpc_address = all[i].rpc_address,
            .self = all[i].node_id == plan->daemon->identity.node_id,
            .answered = all[i].node_id == plan->daemon->identity.node_id,
            .position = plan->own,
        };
        note_role(plan, member);
    }
    return status;
}

struct status plan_begin(struct plan *plan, struct daemon *daemon, struct arena *arena)
{
    *plan = (struct plan){
        .daemon = daemon,
        .arena = arena,
        .raft = arena_alloc(arena, 1, sizeof *plan->raft),
    };
    if (plan->raft == NULL) {
        return fail(STATUS_NO_MEMORY, "plan a recovery");
    }
    consensus_status(daemon->consensus, plan->raft);
    struct status status = store_cluster(daemon->store, arena, &plan->cluster);
    if (status.code == STATUS_NOT_FOUND) {
        status = OK; /* Admitted, and nothing arrived yet: a problem, and said as one. */
    }
    if (!failed(status)) {
        status = store_export(daemon->store, arena, &plan->export);
    }
    if (!failed(status)) {
        status = position_of(daemon, arena, &plan->own);
    }
    return failed(status) ? status : list_members(plan);
}

/* ---- Problems ---- */

static void judge_own_standing(struct plan *plan)
{
    if (plan->cluster.name.size == 0) {
        add_problem(plan, slice_of("this node is in no cluster, or has received nothing of it yet"),
                    "Only a full member can go on with the cluster's state.");
    } else if (!slice_equal(plan->own.standing, slice_of("member"))) {
        add_problem(plan,
                    view_text(plan->arena, "this node is %.*s, not a member",
                              SLICE_ARG(plan->own.standing)),
                    "Recover on a member; this one may join again afterwards.");
    }
}

static void judge_quorum(struct plan *plan)
{
    size_t voters = 0;
    size_t present = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_member *member = &plan->members[i];
        bool of_us = member->self || (member->answered &&
                                      slice_equal(member->position.standing, slice_of("member")));
        voters += member->voter;
        present += member->voter && of_us;
    }
    if (plan->own.leader.size > 0) {
        add_problem(
            plan,
            view_text(plan->arena, "there is a quorum: %.*s leads", SLICE_ARG(plan->own.leader)),
            "Nothing is lost. Dead members are removed with `muster cluster remove NODE "
            "--force`.");
    } else if (voters > 0 && present > voters / 2) {
        add_problem(
            plan,
            view_text(plan->arena, "%zu of %zu voters answer: they are a quorum", present, voters),
            "Wait for their election, or mend the network between their peer addresses; "
            "nothing is lost.");
    }
}

static void judge_survivor(struct plan *plan, const struct plan_member *member)
{
    const struct rpc_position *position = &member->position;
    if (position->lineage > plan->own.lineage) {
        add_problem(plan,
                    view_text(plan->arena,
                              "%.*s is of lineage %llu: the cluster was recovered "
                              "already, without this node",
                              SLICE_ARG(member->name), (unsigned long long)position->lineage),
                    "`muster cluster reset` here, then join that one.");
    } else if (position->leader.size > 0 && plan->own.leader.size == 0) {
        add_problem(plan,
                    view_text(plan->arena, "%.*s has a quorum: %.*s leads", SLICE_ARG(member->name),
                              SLICE_ARG(position->leader)),
                    "Mend the network of this node; nothing is lost.");
    } else if (position_is_ahead(position, &plan->own)) {
        add_problem(plan,
                    view_text(plan->arena,
                              "%.*s has more: entry %llu of term %llu, this node %llu of term %llu",
                              SLICE_ARG(member->name), (unsigned long long)position->last_index,
                              (unsigned long long)position->last_term,
                              (unsigned long long)plan->own.last_index,
                              (unsigned long long)plan->own.last_term),
                    "Recover on that node; this one joins it afterwards.");
    }
}

static void judge_space(struct plan *plan)
{
    struct statvfs disk;
    struct store_size size;
    store_size(plan->daemon->store, &size);
    uint64_t needed = size.used + LOG_ROOM;
    if (statvfs(plan->daemon->config.data_directory, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < needed) {
        add_problem(plan,
                    view_text(plan->arena,
                              "the data folder's disk has %llu MiB free, the copy of "
                              "the state needs %llu",
                              (unsigned long long)((uint64_t)disk.f_bavail * disk.f_frsize >> 20U),
                              (unsigned long long)(needed >> 20U)),
                    "Free space on it. The present lineage is kept aside, so nothing is replaced.");
    }
}

/* ---- Losses ---- */

static struct slice heard_words(const struct plan *plan)
{
    uint64_t heard_ms = plan->own.leader_heard_ms_ago;
    if (heard_ms == UINT64_MAX) {
        return view_text(plan->arena, "it has heard no leader since it was started");
    }
    char at[CLOCK_TEXT_SIZE];
    return view_text(plan->arena, "it heard its last leader at %s",
                     clock_format(clock_now_ms() - heard_ms, at));
}

static void judge_losses(struct plan *plan)
{
    const struct rpc_position *own = &plan->own;
    add_loss(plan,
             view_text(plan->arena,
                       "what the lost majority acknowledged after entry %llu of term %llu and "
                       "this node never received is lost; how much cannot be known here; %.*s",
                       (unsigned long long)own->last_index, (unsigned long long)own->last_term,
                       SLICE_ARG(heard_words(plan))));
    if (own->last_index > own->commit_index) {
        add_loss(plan, view_text(plan->arena,
                                 "entries %llu to %llu, which this node holds and never heard the "
                                 "outcome of, are kept and count",
                                 (unsigned long long)own->commit_index + 1,
                                 (unsigned long long)own->last_index));
    }
    add_loss(plan, slice_of("records that the feeds submitted and this node never received are "
                            "exported only if the feeds submit them again"));
    add_loss(plan, slice_of("records whose delivery this node never heard of are sent again; their "
                            "names are the same, so the cloud keeps one of each"));
    add_loss(plan,
             slice_of("all other members are removed and told so when they come back: `muster "
                      "cluster reset` there, then join again"));
    add_loss(plan, slice_of("if the lost members are only cut off, two clusters act as one device: "
                            "make sure that they are down and stay down"));
    add_loss(plan, slice_of("open join tokens are revoked"));
}

void plan_judge(struct plan *plan)
{
    judge_own_standing(plan);
    judge_quorum(plan);
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->members[i].answered && !plan->members[i].self) {
            judge_survivor(plan, &plan->members[i]);
        }
    }
    judge_space(plan);
    judge_losses(plan);
}

void plan_check_name(struct plan *plan, struct slice name)
{
    if (!slice_equal(name, plan->cluster.name)) {
        add_problem(plan,
                    view_text(plan->arena, "the order is for %.*s, and this node is of %.*s",
                              SLICE_ARG(name), SLICE_ARG(plan->cluster.name)),
                    "Ask the node of the cluster that is meant.");
    }
}

/* ---- The view ---- */

static struct rpc_survivor view_member(const struct plan *plan, const struct plan_member *member)
{
    return (struct rpc_survivor){
        .name = member->name,
        .node_id = member->node_id,
        .role = slice_of(member->role),
        .self = member->self,
        .answered = member->answered,
        .last_index = member->answered ? member->position.last_index : 0,
        .last_term = member->answered ? member->position.last_term : 0,
        .says = member->answered
                    ? position_words(&member->position, plan->arena)
                    : view_text(plan->arena, "does not answer: %s", member->silence.message),
    };
}

void plan_view(const struct plan *plan, struct rpc_recovery *out)
{
    struct rpc_survivor *rows = arena_alloc(plan->arena, plan->count, sizeof *rows);
    for (size_t i = 0; rows != NULL && i < plan->count; i++) {
        rows[i] = view_member(plan, &plan->members[i]);
    }
    bool good = plan->problem_count == 0;
    *out = (struct rpc_recovery){
        .cluster = plan->cluster.name,
        .cluster_id = slice_of(plan->daemon->identity.cluster_id),
        .node = plan->own.name,
        .lineage = plan->own.lineage + 1,
        .source = slice_of("this node's own state and log"),
        .index = plan->own.last_index,
        .term = plan->own.last_term,
        .produced = plan->export.produced,
        .pending = plan->export.pending,
        .members = {.items = rows, .count = rows == NULL ? 0 : plan->count},
        .problems = {.items = (void *)(uintptr_t)plan->problems, .count = plan->problem_count},
        .losses = {.items = (void *)(uintptr_t)plan->losses, .count = plan->loss_count},
        .message = slice_of(good ? "this node can go on as the only member; nothing was changed"
                                 : "this node must not go on alone; nothing was changed"),
    };
}
