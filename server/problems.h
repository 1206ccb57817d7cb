/*
 * What is wrong, and what to do about it: the last part of `cluster status`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_PROBLEMS_H
#define SERVER_PROBLEMS_H

#include "client/protocol.h"
#include "daemon.h"

/* Fill out->problems from everything else in `out`. */
MUST_USE struct status problems_list(struct daemon *daemon, struct arena *arena,
                                     const struct consensus_status *raft,
                                     struct rpc_cluster_status *out);

#endif
