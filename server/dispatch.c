/*
 * Dispatch. The way of a call:
 *
 *     name ─► row ─► role enough? ─► options ─► suspended ─► about itself, stale ─► handler
 *                                             │           └ otherwise ──────────► RPC_SUSPENDED
 *                                             ├ HERE ──────────────────────────► handler
 *                                             ├ READ, stale asked ─────────────► handler
 *                                             ├ READ, leading ─► read barrier ─► handler
 *                                             ├ LEADER, leading ───────────────► handler
 *                                             └ otherwise ─► the leader, as peer.forward
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "announce.h"
#include "base/clock.h"
#include "base/log.h"
#include "call.h"
#include "daemon.h"
#include "forward.h"
#include "handlers.h"

#define DENIED_EVERY_MS 1000U

typedef void (*handler)(struct call *call);

static const handler handlers[RPC_METHOD_COUNT] = {
    [RPC_CLUSTER_STATUS] = handle_cluster_status,
    [RPC_CLUSTER_MEMBERS] = handle_cluster_members,
    [RPC_CLUSTER_INIT] = handle_cluster_init,
    [RPC_CLUSTER_TOKEN_CREATE] = handle_token_create,
    [RPC_CLUSTER_TOKEN_LIST] = handle_token_list,
    [RPC_CLUSTER_TOKEN_REVOKE] = handle_token_revoke,
    [RPC_CLUSTER_JOIN] = handle_cluster_join,
    [RPC_CLUSTER_ADMIT] = handle_cluster_admit,
    [RPC_CLUSTER_STANDING] = handle_cluster_standing,
    [RPC_CLUSTER_LEAVE] = handle_cluster_leave,
    [RPC_CLUSTER_RESET] = handle_cluster_reset,
    [RPC_CLUSTER_REMOVE] = handle_cluster_remove,
    [RPC_CLUSTER_TRANSFER] = handle_cluster_transfer,
    [RPC_CLUSTER_SETTINGS] = handle_cluster_settings,
    [RPC_CLUSTER_SET] = handle_cluster_set,
    [RPC_CLUSTER_POSITION] = handle_cluster_position,
    [RPC_CLUSTER_CERTIFICATES] = handle_cluster_certificates,
    [RPC_CLUSTER_RECOVER] = handle_cluster_recover,
    [RPC_CLUSTER_RECOVERY_KEY] = handle_recovery_key,
    [RPC_SNAPSHOT_BEGIN] = handle_snapshot_begin,
    [RPC_SNAPSHOT_NOTE] = handle_snapshot_note,
    [RPC_SNAPSHOT_READ] = handle_snapshot_read,
    [RPC_SNAPSHOT_UPLOAD] = handle_snapshot_upload,
    [RPC_CLUSTER_KEY] = handle_cluster_key,
    [RPC_CLUSTER_ROTATE_KEY] = handle_rotate_key,
    [RPC_SNAPSHOT_RESTORE] = handle_snapshot_restore,
    [RPC_CLUSTER_REBUILD] = handle_cluster_rebuild,
    [RPC_PEER_QUARANTINE] = handle_peer_quarantine,
    [RPC_REGISTRATION_STATUS] = handle_registration_status,
    [RPC_REGISTRATION_ENABLE] = handle_registration_enable,
    [RPC_REGISTRATION_DISABLE] = handle_registration_disable,
    [RPC_REGISTRATION_REGISTER] = handle_registration_register,
    [RPC_REGISTRATION_DEREGISTER] = handle_registration_deregister,
    [RPC_REGISTRATION_HAND_OVER] = handle_registration_hand_over,
    [RPC_CREDENTIALS_LIST] = handle_credentials_list,
    [RPC_CREDENTIALS_ADD] = handle_credentials_add,
    [RPC_CREDENTIALS_VERIFY] = handle_credentials_verify,
    [RPC_CREDENTIALS_SELECT] = handle_credentials_select,
    [RPC_CREDENTIALS_REMOVE] = handle_credentials_remove,
    [RPC_RECORDS_SUBMIT] = handle_records_submit,
    [RPC_RECORDS_SEARCH] = handle_records_search,
    [RPC_EXPORT_STATUS] = handle_export_status,
    [RPC_EXPORT_PAUSE] = handle_export_pause,
    [RPC_EXPORT_RESUME] = handle_export_resume,
    [RPC_EXPORT_DEAD_LETTERS] = handle_dead_letters,
    [RPC_EXPORT_RETRY] = handle_dead_letter_retry,
    [RPC_EXPORT_DISCARD] = handle_dead_letter_discard,
    [RPC_OPERATOR_ADD] = handle_operator_add,
    [RPC_OPERATOR_LIST] = handle_operator_list,
    [RPC_OPERATOR_REMOVE] = handle_operator_remove,
    [RPC_AUDIT_LIST] = handle_audit_list,
    [RPC_AUDIT_VERIFY] = handle_audit_verify,
    [RPC_NODE_VERSION] = handle_node_version,
    [RPC_NODE_STATUS] = handle_node_status,
    [RPC_NODE_RETRY] = handle_node_retry,
    [RPC_NODE_SAVED_LIST] = handle_saved_list,
    [RPC_NODE_SAVED_SUBMIT] = handle_saved_submit,
    [RPC_NODE_SAVED_DISCARD] = handle_saved_discard,
    [RPC_NODE_DIGEST] = handle_node_digest,
    [RPC_NODE_CHECK] = handle_node_check,
    [RPC_DESCRIBE] = handle_describe,
#ifdef MUSTER_NEXT
    [RPC_NEXT_PROBE] = handle_next_probe,
#endif
    [RPC_PEER_FORWARD] = NULL, /* Dispatch's own. */
    [RPC_PEER_ANNOUNCE] = handle_announce,
};

static void run_handler(struct call *call)
{
    handler handle = handlers[call->row - rpc_methods];
    assert(handle != NULL); /* peer.forward never comes as far as this. */
    handle(call);
}

static void on_barrier(struct read_barrier *barrier, struct status status)
{
    struct call *call = barrier->context;
    if (call->answered) {
        /* Its deadline passed meanwhile. */
    } else if (failed(status)) {
        call_fail(call, daemon_no_leader(call->daemon));
    } else {
        run_handler(call);
    }
    call_release(call);
}

static void read_then_run(struct call *call)
{
    call->barrier.context = call;
    struct status status = consensus_read(call->daemon->consensus, &call->barrier, on_barrier);
    if (failed(status)) {
        call_fail(call, daemon_no_leader(call->daemon));
        return;
    }
    call_hold(call);
}

static void route(struct call *call)
{
    switch (call->row->routing) {
    case RPC_HERE: run_handler(call); return;
    case RPC_READ:
        if (call->options.stale) {
            run_handler(call);
        } else if (daemon_leads(call->daemon)) {
            read_then_run(call);
        } else {
            forward_call(call->daemon->forwarder, call);
        }
        return;
    case RPC_LEADER:
        if (daemon_leads(call->daemon)) {
            run_handler(call);
        } else if (call->row != &rpc_methods[RPC_REGISTRATION_REGISTER] ||
                   check_registration_register(call)) {
            forward_call(call->daemon->forwarder, call);
        }
        return;
    }
}

/* What a suspended node still answers: about itself, and, of its state, what may be stale. */
static bool answers_suspended(const struct call *call)
{
    bool stale = call->row->routing == RPC_READ && call->options.stale;
    enum rpc_method method = (enum rpc_method)(call->row - rpc_methods);
    return method == RPC_CLUSTER_STATUS || method == RPC_NODE_STATUS || method == RPC_NODE_RETRY ||
           method == RPC_NODE_CHECK || method == RPC_CLUSTER_REBUILD ||
           method == RPC_NODE_VERSION || method == RPC_DESCRIBE ||
           (method == RPC_CLUSTER_RESET && call->daemon->resetter != NULL &&
            call->daemon->suspension->kind == SUSPENSION_DAMAGED) ||
           (call->daemon->store != NULL && method != RPC_CLUSTER_STANDING &&
            (stale || method == RPC_NODE_DIGEST));
}

/* Who wants this node out of its cluster need not mend it first. */
static const char *way_out(const struct call *call)
{
    if (call->row == &rpc_methods[RPC_CLUSTER_LEAVE]) {
        return " To have it leave as it is: `muster cluster remove NODE` on another member, then "
               "`muster cluster reset` on this one.";
    }
    return call->row == &rpc_methods[RPC_CLUSTER_RESET] ? " Then reset it." : "";
}

static void route_suspended(struct call *call)
{
    char words[SUSPENSION_WORDS_SIZE];
    char all[RPC_ERROR_SIZE_MAX];
    if (answers_suspended(call)) {
        run_handler(call);
        return;
    }
    suspension_explain(call->daemon->suspension, clock_monotonic_ms(), words);
    (void)snprintf(all, sizeof all, "%s%s", words, way_out(call));
    call_error(call, RPC_SUSPENDED, slice_of(all));
}

/* Options stand in the same map as the params; false when they were answered with an error. */
static bool read_options(struct call *call)
{
    uint64_t deadline_ms = RPC_DEADLINE_DEFAULT_MS;
    if (call->params.size > 0) {
        struct status status =
            codec_decode(&rpc_options_codec, CODEC_NAMES, buffer_slice(&call->params), &call->arena,
                         &call->options);
        if (failed(status)) {
            call_fail(call, status);
            return false;
        }
        if (call->options.deadline_ms > 0) {
            deadline_ms = call->options.deadline_ms;
        }
    }
    /* A call that was passed on has its caller's deadline already; it can only come nearer. */
    uint64_t deadline_at_ms = clock_monotonic_ms() + deadline_ms;
    if (call->deadline_at_ms == 0 || deadline_at_ms < call->deadline_at_ms) {
        call->deadline_at_ms = deadline_at_ms;
    }
    return true;
}

/* Who tries what he may not is told of in the log, and not in the audit: whoever reaches the door could
 * fill that. A second says no more than one. */
static void tell_denied(struct call *call)
{
    struct daemon *daemon = call->daemon;
    uint64_t now_ms = clock_monotonic_ms();
    daemon->denied++;
    if (now_ms < daemon->denied_next_ms) {
        return;
    }
    log_event(LOG_LEVEL_WARNING, "a call was not authorised", log_text("method", call->row->name),
              log_text("actor", call->caller.actor), log_text("origin", call->caller.origin),
              log_text("role", rpc_role_name(call->caller.role)), log_u64("calls", daemon->denied));
    daemon->denied = 0;
    daemon->denied_next_ms = now_ms + DENIED_EVERY_MS;
}

static void refuse_role(struct call *call)
{
    if (call->caller.reason[0] != '\0') {
        call_fail(call, fail(STATUS_UNAUTHORIZED, "%s", call->caller.reason));
    } else {
        call_fail(call, fail(STATUS_UNAUTHORIZED, "%s needs the role %s, and %s has %s",
                             call->row->name, rpc_role_name(call->row->role),
                             call->caller.actor[0] == '\0' ? "the caller" : call->caller.actor,
                             rpc_role_name(call->caller.role)));
    }
}

static void check_and_route(struct call *call)
{
    if (!rpc_role_allows(call->caller.role, (enum rpc_method)(call->row - rpc_methods))) {
        tell_denied(call);
        refuse_role(call);
        return;
    }
    if (!read_options(call)) {
        return;
    }
    if (daemon_is_suspended(call->daemon)) {
        route_suspended(call);
    } else {
        route(call);
    }
}

/* A member passes on what somebody asked it: the call becomes that somebody's. */
static void unwrap_forward(struct call *call)
{
    struct rpc_forward forward;
    if (!call_params(call, &forward)) {
        return;
    }
    enum rpc_method method = rpc_method_find(forward.method);
    if (method == RPC_METHOD_COUNT || rpc_methods[method].routing == RPC_HERE ||
        forward.role >= RPC_ROLE_PEER) {
        call_fail(call, fail(STATUS_INVALID, "a member cannot pass this on"));
        return;
    }
    if (forward.node_id != call->caller.peer_id || forward.actor.size == 0) {
        call_fail(call, fail(STATUS_INVALID, "a member passes on only what it was asked itself, "
                                             "and says by whom"));
        return;
    }
    if (forward.deadline_ms > 0) {
        call->deadline_at_ms = clock_monotonic_ms() + forward.deadline_ms;
    }
    if (!daemon_leads(call->daemon)) {
        call_fail_unchanged(
            call, fail(STATUS_UNREACHABLE, "the node asked is no longer the leader\nAsk again."));
        return;
    }
    struct buffer params = {0};
    if (!slice_to_text(forward.actor, call->caller.actor, sizeof call->caller.actor) ||
        !slice_to_text(forward.origin, call->caller.origin, sizeof call->caller.origin) ||
        !buffer_append(&params, forward.params.data, forward.params.size)) {
        buffer_release(&params);
        call_fail(call, fail(STATUS_INVALID, "the caller's name or origin is too long"));
        return;
    }
    call->caller.role = (enum rpc_role)forward.role;
    call->caller.node_id = forward.node_id;
    call->caller.peer_id = 0;
    call->row = &rpc_methods[method];
    secret_wipe_buffer(&call->params);
    call->params = params;
    check_and_route(call);
}

void dispatch(struct call *call, struct slice name)
{
    enum rpc_method method = rpc_method_find(name);
    if (method == RPC_METHOD_COUNT) {
        char message[STATUS_MESSAGE_SIZE];
        (void)snprintf(
            message, sizeof message, "there is no method %.*s; rpc.describe lists them",
            SLICE_ARG(name.size > RPC_METHOD_SIZE_MAX ? slice_of("of so long a name") : name));
        call_error(call, RPC_UNKNOWN_METHOD, slice_of(message));
    } else if (method == RPC_PEER_FORWARD && call->caller.role == RPC_ROLE_PEER) {
        call->row = &rpc_methods[method];
        call->deadline_at_ms = clock_monotonic_ms() + RPC_DEADLINE_MAX_MS;
        unwrap_forward(call);
    } else {
        call->row = &rpc_methods[method];
        check_and_route(call);
    }
    call_release(call);
}
