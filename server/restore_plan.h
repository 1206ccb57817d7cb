/*
 * The plan of a restoration: whether this node may go on with a snapshot, every reason against it,
 * and what may be lost. It changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RESTORE_PLAN_H
#define SERVER_RESTORE_PLAN_H

#include "client/recovery.h"
#include "client/snapshot.h"

struct daemon;

#define RESTORE_LOSSES_MAX 8

/* Everything it points to lives in the arena of the call. */
struct restore_plan {
    struct daemon *daemon;
    struct arena *arena;
    struct slice lead; /* Magic, size and header, as they were given. */
    struct snapshot_header header;
    struct slice source;
    struct rpc_problem problems[RPC_PROBLEMS_MAX];
    size_t problem_count;
    struct slice losses[RESTORE_LOSSES_MAX];
    size_t loss_count;
};

/*
 * Judge. The cluster key is opened into `cluster_key`, which must be empty, if a recovery key was
 * given and is the right one. STATUS_INVALID and STATUS_CORRUPT: the header is none.
 */
MUST_USE struct status restore_plan_make(struct restore_plan *plan, struct daemon *daemon,
                                         struct arena *arena, const struct rpc_restore *params,
                                         struct secret *cluster_key);

void restore_plan_view(const struct restore_plan *plan, struct rpc_recovery *out);

/* STATUS_REFUSED unless this node is in no cluster. */
MUST_USE struct status restore_plan_fresh(struct daemon *daemon);

#endif
