/*
 * Handlers for the day when most members are lost: cluster.position, cluster.recover,
 * cluster.recovery_key and snapshot.*.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "client/recovery.h"
#include "daemon.h"
#include "handlers.h"
#include "position.h"
#include "recoverer.h"
#include "restorer.h"
#include "sealed_snapshot.h"
#include "snapshotter.h"

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

static void on_key_taken(struct call *call, struct apply_outcome outcome)
{
    const struct identity *identity = &call->daemon->identity;
    struct secret key = {0};
    struct buffer text = {0};
    (void)outcome;
    struct status status = snapshot_recovery_key(secret_slice(&identity->keys.key), &key);
    if (!failed(status)) {
        status = recovery_key_format(secret_slice(&key), &text);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else {
        const struct rpc_recovery_key answer = {
            .key = buffer_slice(&text),
            .key_epoch = identity->keys.epoch,
        };
        call_reply(call, &answer);
    }
    secret_wipe_buffer(&text);
    secret_release(&key);
}

/* That it was taken is known before it is given. */
void handle_recovery_key(struct call *call)
{
    struct rpc_empty params;
    struct command command = {
        .type = COMMAND_RECOVERY_KEY_TAKE,
        .body.recovery_key_take = {.key_epoch = call->daemon->identity.keys.epoch},
    };
    if (call_params(call, &params)) {
        call_propose(call, &command, on_key_taken);
    }
}

void handle_snapshot_begin(struct call *call)
{
    struct rpc_empty params;
    if (call_params(call, &params)) {
        snapshotter_begin(call->daemon->snapshotter, call);
    }
}

void handle_snapshot_read(struct call *call)
{
    snapshotter_read(call->daemon->snapshotter, call);
}

void handle_snapshot_upload(struct call *call)
{
    restorer_upload(call->daemon->restorer, call);
}

void handle_snapshot_restore(struct call *call)
{
    restorer_begin(call->daemon->restorer, call);
}
