/*
 * Handlers for the day when most members are lost: cluster.position and cluster.recover.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "client/recovery.h"
#include "daemon.h"
#include "handlers.h"
#include "position.h"
#include "recoverer.h"

void handle_cluster_position(struct call *call)
{
    struct rpc_empty params;
    struct rpc_position position;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = position_of(call->daemon, &call->arena, &position);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &position);
    }
}

void handle_cluster_recover(struct call *call)
{
    recoverer_begin(call->daemon->recoverer, call);
}
