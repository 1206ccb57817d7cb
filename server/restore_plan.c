/*
 * Judging whether a node may go on with a snapshot.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "restore_plan.h"

#include "base/clock.h"
#include "daemon.h"
#include "names.h"
#include "sealed_snapshot.h"
#include "suspension.h"
#include "views.h"

#define LOG_ROOM ((uint64_t)64 << 20U) /* Bytes: the first files of a new log. */

static void add_problem(struct restore_plan *plan, struct slice what, const char *remedy)
{
    if (plan->problem_count < RPC_PROBLEMS_MAX) {
        plan->problems[plan->problem_count++] =
            (struct rpc_problem){.what = what, .remedy = slice_of(remedy)};
    }
}

static void add_loss(struct restore_plan *plan, struct slice what)
{
    if (plan->loss_count < RESTORE_LOSSES_MAX) {
        plan->losses[plan->loss_count++] = what;
    }
}

static struct slice name_or_alone(struct slice name)
{
    return name.size > 0 ? name : slice_of("a standalone node");
}

/* ---- Problems ---- */

static void judge_cluster(struct restore_plan *plan, const struct cluster_view *cluster)
{
    const struct snapshot_header *header = &plan->header;
    const struct identity *identity = &plan->daemon->identity;
    bool same = slice_equal(header->cluster_id, slice_of(identity->cluster_id));
    bool member = cluster->name.size > 0 || identity->previous[0] != '\0';
    if (member && same) {
        add_problem(plan,
                    view_text(plan->arena,
                              "this node is a member of the snapshot's own cluster, %.*s",
                              SLICE_ARG(cluster->name)),
                    "What it has is at least as new. If the quorum is lost: `muster cluster "
                    "recover`.");
    } else if (member) {
        add_problem(
            plan,
            view_text(plan->arena, "the snapshot is of %.*s (%.*s), this node is in %.*s (%s)",
                      SLICE_ARG(name_or_alone(header->cluster)), SLICE_ARG(header->cluster_id),
                      SLICE_ARG(cluster->name), identity->cluster_id),
            "Restore it on a fresh node; or take this one out of its cluster: `muster "
            "cluster leave`.");
    }
    if (cluster->standing == STANDING_JOINING) {
        add_problem(plan, slice_of("this node is joining a cluster"), "Wait until that has ended.");
    }
}

static struct status judge_own(struct restore_plan *plan)
{
    struct store *store = plan->daemon->store;
    struct cluster_view cluster = {0};
    struct registration_view registration;
    struct export_view export;
    struct status status = store_cluster(store, plan->arena, &cluster);
    if (status.code == STATUS_NOT_FOUND) {
        status = OK;
    }
    if (!failed(status)) {
        status = store_registration(store, plan->arena, &registration);
    }
    if (!failed(status)) {
        status = store_export(store, plan->arena, &export);
    }
    if (failed(status)) {
        return status;
    }
    judge_cluster(plan, &cluster);
    if (registration.state == REGISTRATION_REGISTERED ||
        registration.state == REGISTRATION_REGISTERING ||
        registration.state == REGISTRATION_DEREGISTERING) {
        add_problem(plan,
                    view_text(plan->arena, "this node is %s on its own",
                              registration_state_name(registration.state)),
                    "Deregister it first: `muster registration deregister`.");
    }
    if (export.produced > 0) {
        add_problem(plan,
                    view_text(plan->arena,
                              "this node has taken %llu records of its own, %llu of "
                              "them are not delivered",
                              (unsigned long long)export.produced,
                              (unsigned long long)export.pending),
                    "Restore it on a fresh node: what a node has taken is not mixed with another "
                    "state.");
    }
    return OK;
}

static void judge_key(struct restore_plan *plan, struct slice text, struct secret *cluster_key)
{
    struct secret recovery_key = {0};
    struct status status = text.size == 0 ? fail(STATUS_INVALID, "no recovery key was given")
                                          : recovery_key_parse(text, &recovery_key);
    if (!failed(status)) {
        status = snapshot_open_key(&plan->header, secret_slice(&recovery_key), cluster_key);
    }
    if (failed(status)) {
        add_problem(
            plan,
            view_text(plan->arena, "%s; it is of %.*s (%.*s), under cluster key %llu",
                      status.message, SLICE_ARG(name_or_alone(plan->header.cluster)),
                      SLICE_ARG(plan->header.cluster_id),
                      (unsigned long long)plan->header.key_epoch),
            "The one needed was written by `muster cluster recovery-key` on a member of that "
            "cluster, after the rotation that brought this cluster key and before the next.");
    }
    secret_release(&recovery_key);
}

static void judge_room(struct restore_plan *plan)
{
    const struct config *config = &plan->daemon->config;
    uint64_t image_size = plan->header.image_size;
    struct disk_space space;
    if (image_size > config->store_size_max_mib << 20U) {
        add_problem(plan,
                    view_text(plan->arena,
                              "the state has %llu MiB, this node's store may have %llu",
                              (unsigned long long)(image_size >> 20U),
                              (unsigned long long)config->store_size_max_mib),
                    "Raise store_size_max_mib.");
    }
    uint64_t needed = 2 * image_size + LOG_ROOM;
    if (!failed(disk_space_of(config->data_directory, &space)) && space.free < needed) {
        add_problem(plan,
                    view_text(plan->arena,
                              "the data folder's disk has %llu MiB free, %llu are "
                              "needed",
                              (unsigned long long)(space.free >> 20U),
                              (unsigned long long)(needed >> 20U)),
                    "Free space on it.");
    }
}

/* ---- Losses ---- */

static void judge_losses(struct restore_plan *plan)
{
    char at[CLOCK_TEXT_SIZE];
    const struct snapshot_header *header = &plan->header;
    add_loss(plan,
             view_text(plan->arena,
                       "everything after entry %llu, taken at %s, is lost: changes, members, "
                       "credentials, operators, records",
                       (unsigned long long)header->index, clock_format(header->taken_at_ms, at)));
    add_loss(plan, slice_of("records that were delivered since are sent again; their names are the "
                            "same, so the cloud keeps one of each"));
    add_loss(plan,
             slice_of("records that were submitted since are exported only if the feeds submit "
                      "them again"));
    add_loss(plan,
             view_text(plan->arena,
                       "its %llu members are removed and refused: make sure that they are "
                       "down and stay down, for with a quorum they would go on beside this node",
                       (unsigned long long)header->members));
    add_loss(plan,
             slice_of("the registration is the snapshot's: its device key and certificate are "
                      "used from here; if the cluster was registered anew since, register again"));
    add_loss(plan,
             slice_of("open join tokens are revoked; this node's own settings and credentials "
                      "stay behind in its standalone lineage"));
}

struct status restore_plan_make(struct restore_plan *plan, struct daemon *daemon,
                                struct arena *arena, const struct rpc_restore *params,
                                struct secret *cluster_key)
{
    char at[CLOCK_TEXT_SIZE];
    *plan = (struct restore_plan){.daemon = daemon, .arena = arena};
    struct status status =
        snapshot_header_decode(params->header, arena, &plan->header, &plan->lead.size);
    if (failed(status)) {
        return status;
    }
    plan->lead.data = params->header.data;
    plan->source = view_text(arena, "the snapshot of %.*s at %s", SLICE_ARG(plan->header.node),
                             clock_format(plan->header.taken_at_ms, at));
    status = judge_own(plan);
    if (failed(status)) {
        return status;
    }
    judge_key(plan, params->recovery_key, cluster_key);
    judge_room(plan);
    if (params->proceed && !slice_equal(params->cluster, plan->header.cluster)) {
        add_problem(plan,
                    view_text(arena, "the order is for %.*s, the snapshot is of %.*s",
                              SLICE_ARG(name_or_alone(params->cluster)),
                              SLICE_ARG(name_or_alone(plan->header.cluster))),
                    "Take the snapshot of the cluster that is meant.");
    }
    judge_losses(plan);
    return OK;
}

void restore_plan_view(const struct restore_plan *plan, struct rpc_recovery *out)
{
    bool good = plan->problem_count == 0;
    *out = (struct rpc_recovery){
        .cluster = plan->header.cluster,
        .cluster_id = plan->header.cluster_id,
        .node = slice_of(plan->daemon->config.name),
        .lineage = plan->header.lineage + 1,
        .source = plan->source,
        .index = plan->header.index,
        .term = plan->header.term,
        .taken_at_ms = plan->header.taken_at_ms,
        .produced = plan->header.produced,
        .pending = plan->header.pending,
        .problems = {.items = (void *)(uintptr_t)plan->problems, .count = plan->problem_count},
        .losses = {.items = (void *)(uintptr_t)plan->losses, .count = plan->loss_count},
        .message = slice_of(good ? "this node can go on with the snapshot; nothing was changed"
                                 : "this node must not go on with the snapshot; nothing was "
                                   "changed"),
    };
}

struct status restore_plan_fresh(struct daemon *daemon)
{
    struct arena arena = {0};
    struct cluster_view cluster = {0};
    struct status status = store_cluster(daemon->store, &arena, &cluster);
    bool in_cluster = cluster.name.size > 0 || daemon->identity.previous[0] != '\0';
    arena_release(&arena);
    if (failed(status) && status.code != STATUS_NOT_FOUND) {
        return status;
    }
    return in_cluster ? fail(STATUS_REFUSED, "[not_standalone] this node is in a cluster") : OK;
}
