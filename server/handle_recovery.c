/*
 * Handlers for the day when most members are lost: cluster.position, cluster.recover,
 * cluster.recovery_key and snapshot.*.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"
#include "call.h"
#include "client/recovery.h"
#include "client/rpc_frame.h"
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

/* ---- Snapshots ---- */

static void on_noted(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "it is written down");
}

void handle_snapshot_note(struct call *call)
{
    struct rpc_name params;
    if (call_params(call, &params)) {
        struct command command = {.type = COMMAND_SNAPSHOT_TAKE,
                                  .body.snapshot_take.node = params.name};
        call_propose(call, &command, on_noted);
    }
}

/* The note was answered. Without a quorum nothing can be written down, and a snapshot is what is needed
 * then: it is given, and the log of this node says to whom. */
static void begin_noted(struct call *note, struct slice bytes)
{
    struct call *call = note->connection;
    struct rpc_frame frame = {.error = RPC_INTERNAL};
    bool id_known;
    struct status status = rpc_frame_parse(bytes, &frame, &id_known);
    if (call->answered) {
        /* Its deadline passed. */
    } else if (failed(status)) {
        call_fail(call, status);
    } else if (frame.error == 0 || frame.error == RPC_NO_QUORUM || frame.error == RPC_UNREACHABLE) {
        if (frame.error != 0) {
            log_event(LOG_LEVEL_WARNING, "a snapshot is taken that the audit does not know of",
                      log_text("actor", call->caller.actor),
                      log_text("origin", call->caller.origin), log_slice("why", frame.message));
        }
        snapshotter_begin(call->daemon->snapshotter, call);
    } else {
        call_error(call, frame.error, frame.message);
    }
    call_release(call);
}

/* First the audit, wherever the leader is, in the caller's name; then the snapshot. */
void handle_snapshot_begin(struct call *call)
{
    const struct rpc_name name = {.name = slice_of(call->daemon->config.name)};
    struct rpc_frame note = {.id = 1, .method = slice_of(rpc_methods[RPC_SNAPSHOT_NOTE].name)};
    struct buffer params = {0};
    struct rpc_empty empty;
    if (!call_params(call, &empty)) {
        return;
    }
    struct status status = codec_encode(&rpc_name_codec, CODEC_NAMES, &name, &params);
    note.params = buffer_slice(&params);
    call_hold(call);
    if (failed(status) || !call_begin(call->daemon, &note, &call->caller, call, begin_noted)) {
        call_fail(call, fail(STATUS_NO_MEMORY, "begin a snapshot"));
        call_release(call);
    }
    buffer_release(&params);
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
