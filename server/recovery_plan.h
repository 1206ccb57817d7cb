/*
 * The plan of a recovery: who is left and how far each got, every reason against it, and what may be
 * lost. It changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RECOVERY_PLAN_H
#define SERVER_RECOVERY_PLAN_H

#include <stdbool.h>

#include "client/recovery.h"
#include "consensus/consensus.h"
#include "store/store.h"

struct daemon;

#define PLAN_MEMBERS_MAX STORE_MEMBERS_MAX
#define PLAN_LOSSES_MAX 8

struct plan_member {
    uint64_t node_id;
    struct slice name;
    struct slice rpc_address;
    bool self;
    bool voter;
    const char *role;
    bool answered;
    struct rpc_position position; /* If it answered. */
    struct status silence;        /* If not: why. */
};

/* Everything it points to lives in the arena. */
struct plan {
    struct daemon *daemon;
    struct arena *arena;
    struct cluster_view cluster;
    struct export_view export;
    struct consensus_status *raft;
    struct rpc_position own;
    struct plan_member members[PLAN_MEMBERS_MAX]; /* All that were not removed. */
    size_t count;
    struct rpc_problem problems[RPC_PROBLEMS_MAX];
    size_t problem_count;
    struct slice losses[PLAN_LOSSES_MAX];
    size_t loss_count;
};

/* What this node knows by itself. STATUS_NO_MEMORY, or the store's. */
MUST_USE struct status plan_begin(struct plan *plan, struct daemon *daemon, struct arena *arena);

/* With the members' answers in: every problem, and the losses. */
void plan_judge(struct plan *plan);

/* The order names the cluster it is meant for. */
void plan_check_name(struct plan *plan, struct slice name);

void plan_view(const struct plan *plan, struct rpc_recovery *out);

#endif
