/*
 * Forwarding. One connection, to whoever leads; when the leader changes, the next call opens a new
 * one and the old one ends when its calls are answered or time out.
 *
 *     NONE ──forward──► OPENING ──verified──► OPEN
 *      ▲                   │                   │
 *      └──── on_close ─────┴───────────────────┘   every waiting call is answered
 *
 * Frames wait until the handshake is done and the node at the other end is the one that raft says
 * leads: a call may carry a secret.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forward.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/skim.h"
#include "base/stream.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"

#define FORWARD_CALLS_MAX 8192  /* Waiting for the leader. */
#define FORWARD_SILENCE_MS 5000 /* Past a call's deadline. */
#define FORWARD_UNSENT_MAX (16U << 20U)

struct forwarder {
    struct daemon *daemon;
    struct tls_context *tls;
    struct stream *stream; /* NULL: NONE. */
    bool open;
    uint64_t leader_id; /* Whom the stream is meant for. */
    uint32_t last_id;
    struct buffer unsent; /* Frames that wait for the handshake. */
    struct buffer input;
    struct call *waiting[FORWARD_CALLS_MAX]; /* By forward_id modulo the size. */
    size_t waiting_count;
    void (*closed)(void *context);
    void *closed_context;
};

struct status forwarder_create(struct daemon *daemon, struct tls_context *tls,
                               struct forwarder **out)
{
    struct forwarder *forwarder = calloc(1, sizeof *forwarder);
    if (forwarder == NULL) {
        return fail(STATUS_NO_MEMORY, "start the forwarder");
    }
    forwarder->daemon = daemon;
    forwarder->tls = tls;
    *out = forwarder;
    return OK;
}

static void destroy(struct forwarder *forwarder)
{
    void (*closed)(void *context) = forwarder->closed;
    void *context = forwarder->closed_context;
    buffer_release(&forwarder->unsent);
    buffer_release(&forwarder->input);
    free(forwarder);
    closed(context);
}

void forwarder_close(struct forwarder *forwarder, void (*closed)(void *context), void *context)
{
    forwarder->closed = closed;
    forwarder->closed_context = context;
    if (forwarder->stream != NULL) {
        stream_close(forwarder->stream);
    } else {
        destroy(forwarder);
    }
}

/* The call's slot is free again; it may be gone after this. */
static void take_back(struct forwarder *forwarder, struct call *call)
{
    forwarder->waiting[call->forward_id % FORWARD_CALLS_MAX] = NULL;
    forwarder->waiting_count--;
    call_release(call);
}

static void answer_lost(struct call *call, bool was_open)
{
    if (was_open && call->row->routing == RPC_LEADER) {
        call_fail(call,
                  fail(STATUS_UNKNOWN,
                       "%s: the leader was lost on the way and the outcome is not known; look "
                       "at the state before you repeat it",
                       call->row->name));
    } else {
        call_fail(call, fail(STATUS_UNREACHABLE,
                             "%s: the leader could not be reached; nothing was changed",
                             call->row->name));
    }
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct forwarder *forwarder = context;
    bool was_open = forwarder->open;
    (void)stream;
    forwarder->stream = NULL;
    forwarder->open = false;
    buffer_clear(&forwarder->unsent);
    buffer_clear(&forwarder->input);
    if (failed(reason)) {
        log_event(LOG_LEVEL_NOTICE, "connection to the leader ended",
                  log_text("reason", reason.message));
    }
    for (size_t i = 0; i < FORWARD_CALLS_MAX; i++) {
        struct call *call = forwarder->waiting[i];
        if (call != NULL) {
            answer_lost(call, was_open);
            take_back(forwarder, call);
        }
    }
    if (forwarder->closed != NULL) {
        destroy(forwarder);
    }
}

static void on_open(struct stream *stream, void *context)
{
    struct forwarder *forwarder = context;
    struct buffer pem = {0};
    uint64_t node_id = 0;
    struct status status = stream_peer_certificate(stream, &pem);
    if (!failed(status)) {
        status = node_id_of_certificate(buffer_slice(&pem), &node_id);
    }
    buffer_release(&pem);
    if (failed(status) || node_id != forwarder->leader_id) {
        stream_close_because(stream, fail(STATUS_UNAUTHORIZED,
                                          "the node at the leader's address is not the leader"));
        return;
    }
    forwarder->open = true;
    struct slice frames = buffer_slice(&forwarder->unsent);
    status = stream_write(stream, &frames, 1);
    if (forwarder->unsent.data != NULL) {
        secret_wipe(forwarder->unsent.data, forwarder->unsent.size);
    }
    buffer_clear(&forwarder->unsent);
    if (failed(status)) {
        stream_close_because(stream, status);
    }
}

static void take_answer(struct forwarder *forwarder, const struct rpc_frame *frame)
{
    struct call *call = forwarder->waiting[frame->id % FORWARD_CALLS_MAX];
    if (call == NULL || call->forward_id != frame->id) {
        return; /* Answered by its deadline. */
    }
    if (frame->error != 0) {
        call_error(call, frame->error, frame->message);
    } else {
        call_relay(call, frame->result);
    }
    take_back(forwarder, call);
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX,
        .depth_max = RPC_DEPTH_MAX,
        .values_max = RPC_VALUES_MAX,
    };
    struct forwarder *forwarder = context;
    if (!buffer_append(&forwarder->input, bytes.data, bytes.size)) {
        stream_close_because(stream, fail(STATUS_NO_MEMORY, "read from the leader"));
        return;
    }
    size_t used = 0;
    for (;;) {
        struct slice rest = {.data = forwarder->input.data + used,
                             .size = forwarder->input.size - used};
        struct rpc_frame frame;
        size_t size = 0;
        bool id_known;
        enum skim_result skimmed = skim_value(rest, &limits, &size);
        if (skimmed == SKIM_PARTIAL) {
            break;
        }
        rest.size = size;
        if (skimmed != SKIM_COMPLETE || failed(rpc_frame_parse(rest, &frame, &id_known)) ||
            !frame.response) {
            stream_close_because(stream, fail(STATUS_INVALID, "the leader's answer is not RPC"));
            return;
        }
        take_answer(forwarder, &frame);
        used += size;
    }
    buffer_consume(&forwarder->input, used);
}

static const struct stream_handlers forward_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

static struct status connect_to_leader(struct forwarder *forwarder, uint64_t leader_id)
{
    struct daemon *daemon = forwarder->daemon;
    struct arena arena = {0};
    struct member member;
    char address[STORE_ADDRESS_SIZE_MAX + 1];
    struct status status = store_member(daemon->store, &arena, leader_id, &member);
    if (!failed(status) && !slice_to_text(member.rpc_address, address, sizeof address)) {
        status = fail(STATUS_UNREACHABLE, "the leader's address is not known");
    }
    arena_release(&arena);
    if (failed(status)) {
        return fail(STATUS_UNREACHABLE, "the leader's address is not known here yet; ask again");
    }
    const struct stream_options options = {
        .loop = daemon->loop,
        .handlers = &forward_handlers,
        .context = forwarder,
        .user_timeout_ms = 10000,
        .unsent_size_max = FORWARD_UNSENT_MAX,
    };
    forwarder->leader_id = leader_id;
    return stream_connect_tls(address, NULL, forwarder->tls, &options, &forwarder->stream);
}

/* The request that the leader gets, with who really asked. */
static struct status wrap_call(struct forwarder *forwarder, const struct call *call,
                               struct buffer *out)
{
    const struct rpc_forward forward = {
        .method = slice_of(call->row->name),
        .params = buffer_slice(&call->params),
        .actor = slice_of(call->caller.actor),
        .origin = slice_of(call->caller.origin),
        .role = call->caller.role,
        .node_id = forwarder->daemon->identity.node_id,
        .deadline_ms = RPC_DEADLINE_DEFAULT_MS,
    };
    if (!rpc_frame_begin_request(out, call->forward_id, rpc_methods[RPC_PEER_FORWARD].name)) {
        return fail(STATUS_NO_MEMORY, "forward %s", call->row->name);
    }
    struct status status = codec_encode(&rpc_forward_codec, CODEC_NAMES, &forward, out);
    if (!failed(status) && out->size > RPC_FRAME_SIZE_MAX) {
        return fail(STATUS_INVALID, "the request is too large to be passed on to the leader: send "
                                    "fewer rows at once");
    }
    return status;
}

static struct status send_call(struct forwarder *forwarder, const struct call *call)
{
    struct buffer frame = {0};
    struct status status = wrap_call(forwarder, call, &frame);
    if (!failed(status) && forwarder->open) {
        struct slice bytes = buffer_slice(&frame);
        status = stream_write(forwarder->stream, &bytes, 1);
    } else if (!failed(status) && forwarder->unsent.size + frame.size > FORWARD_UNSENT_MAX) {
        status = fail(STATUS_BUSY, "too much waits for the connection to the leader; ask again");
    } else if (!failed(status) && !buffer_append(&forwarder->unsent, frame.data, frame.size)) {
        status = fail(STATUS_NO_MEMORY, "forward %s", call->row->name);
    }
    if (frame.data != NULL && call->row->secret_params) {
        secret_wipe(frame.data, frame.capacity);
    }
    buffer_release(&frame);
    return status;
}

void forward_call(struct forwarder *forwarder, struct call *call)
{
    uint64_t leader_id = forwarder->daemon->event.leader_id;
    if (leader_id == 0 || leader_id == forwarder->daemon->identity.node_id) {
        call_fail(call, daemon_no_leader(forwarder->daemon));
        return;
    }
    if (forwarder->stream != NULL && forwarder->leader_id != leader_id) {
        /* Its calls are answered by on_close; who leads now gets this one at the next try. */
        stream_close(forwarder->stream);
        call_fail(call,
                  fail(STATUS_UNREACHABLE, "the leader has just changed; nothing was changed, "
                                           "ask again"));
        return;
    }
    struct status status = OK;
    if (forwarder->stream == NULL) {
        status = connect_to_leader(forwarder, leader_id);
    }
    if (!failed(status) &&
        forwarder->waiting[(forwarder->last_id + 1) % FORWARD_CALLS_MAX] != NULL) {
        status =
            fail(STATUS_BUSY, "%d calls wait for the leader already; ask again", FORWARD_CALLS_MAX);
    }
    if (!failed(status)) {
        call->forward_id = ++forwarder->last_id;
        status = send_call(forwarder, call);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    forwarder->waiting[call->forward_id % FORWARD_CALLS_MAX] = call;
    forwarder->waiting_count++;
    call->changing = call->row->routing == RPC_LEADER;
    call_hold(call);
}

void forwarder_sweep(struct forwarder *forwarder, uint64_t now_ms)
{
    for (size_t i = 0; forwarder->waiting_count > 0 && i < FORWARD_CALLS_MAX; i++) {
        const struct call *call = forwarder->waiting[i];
        if (call != NULL && now_ms > call->deadline_at_ms + FORWARD_SILENCE_MS) {
            stream_close_because(forwarder->stream,
                                 fail(STATUS_TIMEOUT, "the leader does not answer"));
            return;
        }
    }
}
