/*
 * Forwarding. One connection, to whoever leads:
 *
 *     NONE ──forward──► OPENING ──verified──► OPEN
 *      ▲                   │                   │   ended, silent, or another leads
 *      │                   └───────► ENDING ◄──┘
 *      └── on_close: calls that went out on it are answered; reads are passed on once more, with
 *          those that came while it ended
 *
 * Frames wait until the handshake is done and the node at the other end is the one that raft says
 * leads: a call may carry a secret. What was never sent was not carried out, and neither was what
 * was sent to a node that refused our certificate.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "forward.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/secret.h"
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
    struct stream *stream; /* NULL: NONE. */
    bool open;
    bool ending;        /* Calls wait for the next stream. */
    uint64_t leader_id; /* Whom the stream is meant for. */
    uint32_t ended_id;  /* The last call that this stream was meant for; ENDING only. */
    uint32_t last_id;
    struct buffer unsent; /* Frames that wait for the handshake. */
    struct buffer input;
    struct call *waiting[FORWARD_CALLS_MAX]; /* By forward_id modulo the size. */
    size_t waiting_count;
    void (*closed)(void *context);
    void *closed_context;
};

struct status forwarder_create(struct daemon *daemon, struct forwarder **out)
{
    struct forwarder *forwarder = alloc_zeroed(1, sizeof *forwarder);
    if (forwarder == NULL) {
        return fail(STATUS_NO_MEMORY, "start the forwarder");
    }
    forwarder->daemon = daemon;
    *out = forwarder;
    return OK;
}

static void destroy(struct forwarder *forwarder)
{
    void (*closed)(void *context) = forwarder->closed;
    void *context = forwarder->closed_context;
    secret_wipe_buffer(&forwarder->unsent);
    secret_wipe_buffer(&forwarder->input);
    free(forwarder);
    closed(context);
}

/* The call's slot is free again; it may be gone after this. */
static void take_back(struct forwarder *forwarder, struct call *call)
{
    forwarder->waiting[call->forward_id % FORWARD_CALLS_MAX] = NULL;
    forwarder->waiting_count--;
    call_release(call);
}

static void answer_lost(struct call *call, bool was_sent)
{
    if (was_sent && call->row->routing == RPC_LEADER) {
        call_fail(call,
                  fail(STATUS_UNKNOWN,
                       "%s: the leader was lost on the way and the outcome is not known; look "
                       "at the state before you repeat it",
                       call->row->name));
    } else {
        call_fail_unchanged(
            call, fail(STATUS_UNREACHABLE, "%s: the leader could not be reached", call->row->name));
    }
}

/* The calls that went with the stream, in a chain; their slots are free. */
static struct call *take_lost(struct forwarder *forwarder)
{
    struct call *lost = NULL;
    for (size_t i = 0; i < FORWARD_CALLS_MAX; i++) {
        struct call *call = forwarder->waiting[i];
        /* Ids go round; the newer half is newer. */
        if (call != NULL && (int32_t)(call->forward_id - forwarder->ended_id) <= 0) {
            forwarder->waiting[i] = NULL;
            forwarder->waiting_count--;
            call->next_lost = lost;
            lost = call;
        }
    }
    return lost;
}

/* What was certainly not carried out, or changes nothing, is passed on again, once. */
static void settle_lost(struct forwarder *forwarder, struct call *lost, bool was_sent)
{
    while (lost != NULL) {
        struct call *call = lost;
        lost = call->next_lost;
        bool harmless = !was_sent || call->row->routing == RPC_READ;
        if (harmless && !call->retried && !call->answered && forwarder->closed == NULL) {
            call->retried = true;
            call->changing = false;
            forward_call(forwarder, call); /* Holds it anew. */
        } else {
            answer_lost(call, was_sent);
        }
        call_release(call);
    }
}

static struct status connect_to_leader(struct forwarder *forwarder);

/* Calls came while the last stream ended. */
static void begin_next(struct forwarder *forwarder)
{
    struct status status = connect_to_leader(forwarder);
    if (failed(status)) {
        forwarder->ended_id = forwarder->last_id;
        secret_wipe_buffer(&forwarder->unsent);
        struct call *lost = take_lost(forwarder);
        while (lost != NULL) {
            struct call *call = lost;
            lost = call->next_lost;
            call_fail_unchanged(call, status);
            call_release(call);
        }
    }
}

static void mark_ending(struct forwarder *forwarder)
{
    if (!forwarder->ending) {
        forwarder->ending = true;
        forwarder->ended_id = forwarder->last_id;
        secret_wipe_buffer(&forwarder->unsent);
    }
}

/* What comes from now on is for another stream; frames that wait were never sent. */
static void end_stream(struct forwarder *forwarder, struct status reason)
{
    mark_ending(forwarder);
    stream_close_because(forwarder->stream, reason);
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct forwarder *forwarder = context;
    (void)stream;
    /* Refused, nothing that was written was believed (stream.h). */
    bool was_sent = forwarder->open && reason.code != STATUS_UNAUTHORIZED;
    if (failed(reason)) {
        log_event(LOG_LEVEL_NOTICE, "connection to the leader ended",
                  log_text("reason", reason.message));
    }
    mark_ending(forwarder);
    if (forwarder->closed != NULL) { /* Those that wait for the next stream, too. */
        forwarder->ended_id = forwarder->last_id;
    }
    struct call *lost = take_lost(forwarder);
    secret_wipe_buffer(&forwarder->input);
    forwarder->stream = NULL;
    forwarder->open = false;
    forwarder->ending = false;
    if (forwarder->closed == NULL && forwarder->waiting_count > 0) {
        begin_next(forwarder);
    }
    settle_lost(forwarder, lost, was_sent);
    if (forwarder->closed != NULL) {
        destroy(forwarder);
    }
}

void forwarder_close(struct forwarder *forwarder, void (*closed)(void *context), void *context)
{
    forwarder->closed = closed;
    forwarder->closed_context = context;
    if (forwarder->stream != NULL) {
        end_stream(forwarder, OK);
    } else {
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
    if (failed(status) || node_id != forwarder->leader_id ||
        node_id != forwarder->daemon->event.leader_id) {
        end_stream(forwarder,
                   fail(STATUS_UNAUTHORIZED, "the node at the leader's address is not the leader"));
        return;
    }
    forwarder->open = true;
    struct slice frames = buffer_slice(&forwarder->unsent);
    status = frames.size == 0 ? OK : stream_write(stream, &frames, 1);
    secret_wipe_buffer(&forwarder->unsent);
    if (failed(status)) {
        end_stream(forwarder, status);
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
    (void)stream;
    if (!buffer_append(&forwarder->input, bytes.data, bytes.size)) {
        end_stream(forwarder, fail(STATUS_NO_MEMORY, "read from the leader"));
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
            end_stream(forwarder, fail(STATUS_INVALID, "the leader's answer is not RPC"));
            return;
        }
        take_answer(forwarder, &frame);
        used += size;
    }
    secret_consume(&forwarder->input, used);
}

static const struct stream_handlers forward_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

static struct status connect_to_leader(struct forwarder *forwarder)
{
    struct daemon *daemon = forwarder->daemon;
    uint64_t leader_id = daemon->event.leader_id;
    if (leader_id == 0 || leader_id == daemon->identity.node_id) {
        return daemon_no_leader(daemon);
    }
    char address[ADDRESS_SIZE];
    struct status status = daemon_rpc_address(daemon, leader_id, address);
    if (failed(status)) {
        return status;
    }
    const struct stream_options options = {
        .loop = daemon->loop,
        .handlers = &forward_handlers,
        .context = forwarder,
        .user_timeout_ms = 10000,
        .unsent_size_max = FORWARD_UNSENT_MAX,
    };
    forwarder->leader_id = leader_id;
    return stream_connect_tls(address, NULL, daemon->tls_client, &options, &forwarder->stream);
}

/* The request that the leader gets, with who really asked. */
static struct status wrap_call(struct forwarder *forwarder, const struct call *call,
                               struct buffer *out)
{
    uint64_t now_ms = clock_monotonic_ms();
    const struct rpc_forward forward = {
        .method = slice_of(call->row->name),
        .params = buffer_slice(&call->params),
        .actor = slice_of(call->caller.actor),
        .origin = slice_of(call->caller.origin),
        /* What a member asks for itself, and not for a caller, anybody may ask. */
        .role = call->caller.role == RPC_ROLE_PEER ? RPC_ROLE_ANYONE : call->caller.role,
        .node_id = forwarder->daemon->identity.node_id,
        .deadline_ms = call->deadline_at_ms > now_ms ? call->deadline_at_ms - now_ms : 1,
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
    struct status status = fault_fires(FAULT_FORWARD_SEND)
                               ? fail(STATUS_NO_MEMORY, "forward %s", call->row->name)
                               : wrap_call(forwarder, call, &frame);
    if (!failed(status) && forwarder->open && !forwarder->ending) {
        struct slice bytes = buffer_slice(&frame);
        status = stream_write(forwarder->stream, &bytes, 1);
    } else if (!failed(status) && forwarder->unsent.size + frame.size > FORWARD_UNSENT_MAX) {
        status = fail(STATUS_BUSY, "too much waits for the connection to the leader; ask again");
    } else if (!failed(status) && !buffer_append(&forwarder->unsent, frame.data, frame.size)) {
        status = fail(STATUS_NO_MEMORY, "forward %s", call->row->name);
    }
    secret_wipe_buffer(&frame);
    return status;
}

void forward_call(struct forwarder *forwarder, struct call *call)
{
    uint64_t leader_id = forwarder->daemon->event.leader_id;
    struct status status = OK;
    if (leader_id == 0 || leader_id == forwarder->daemon->identity.node_id) {
        status = daemon_no_leader(forwarder->daemon);
    } else if (forwarder->stream == NULL) {
        status = connect_to_leader(forwarder);
    } else if (forwarder->leader_id != leader_id) {
        end_stream(forwarder, fail(STATUS_UNREACHABLE, "another node leads now"));
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
        call_fail_unchanged(call, status);
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
            end_stream(forwarder, fail(STATUS_TIMEOUT, "the leader does not answer"));
            return;
        }
    }
}
