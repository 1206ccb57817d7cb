/*
 * Calls: their life and their answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/secret.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "dispatch.h"

#define UTF8_SIZE_MAX 4 /* Bytes of a character. */

static void call_destroy(struct call *call)
{
    struct daemon *daemon = call->daemon;
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        daemon->calls = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    }
    daemon->call_count--;
    daemon->calls_size -= call->params_counted;
    /* What secrets the handler had stands in its arena, whichever side they came from. */
    if (call->row == NULL || call->row->secret_params || call->row->secret_result) {
        secret_wipe_buffer(&call->params);
        arena_wipe(&call->arena);
    }
    buffer_release(&call->params);
    arena_release(&call->arena);
    free(call);
}

void call_hold(struct call *call)
{
    call->pending++;
}

void call_release(struct call *call)
{
    assert(call->pending > 0);
    call->pending--;
    if (call->pending == 0) {
        assert(call->answered); /* Whoever gave up the last hold had to answer. */
        call_destroy(call);
    }
}

void call_detach_all(struct daemon *daemon, const void *connection)
{
    for (struct call *call = daemon->calls; call != NULL; call = call->next) {
        if (call->connection == connection) {
            call->connection = NULL;
        }
    }
}

static void send_frame(struct call *call, struct slice frame)
{
    assert(!call->answered);
    call->answered = true;
    if (call->connection != NULL) {
        call->answer(call, frame);
    }
}

/* Answers carry well-formed text only: a message that was cut may end within a character. */
static struct slice presentable(struct slice message)
{
    message.size = message.size > RPC_ERROR_SIZE_MAX ? RPC_ERROR_SIZE_MAX : message.size;
    for (int cut = 0; cut < UTF8_SIZE_MAX && message.size > 0; cut++) {
        if (slice_is_text(message)) {
            return message;
        }
        message.size--;
    }
    return slice_of("the reason cannot be shown, for it is not text; the node's log has it");
}

void call_error(struct call *call, uint64_t error, struct slice message)
{
    if (call->answered) {
        return; /* The deadline was first. */
    }
    struct buffer frame = {0};
    if (!rpc_frame_error(&frame, call->id, error, presentable(message))) {
        buffer_release(&frame);
    }
    send_frame(call, buffer_slice(&frame));
    buffer_release(&frame);
}

void call_fail(struct call *call, struct status status)
{
    if (status.code == STATUS_NO_QUORUM) {
        call_fail_unchanged(call, status); /* So the code is documented. */
        return;
    }
    call_error(call, rpc_error_of_status(status.code), slice_of(status.message));
}

void call_fail_unchanged(struct call *call, struct status status)
{
    char message[2 * STATUS_MESSAGE_SIZE];
    int reason_size = (int)strcspn(status.message, "\n");
    (void)snprintf(message, sizeof message, "%.*s; nothing was changed%s", reason_size,
                   status.message, status.message + reason_size);
    call_error(call, rpc_error_of_status(status.code), slice_of(message));
}

void call_refuse(struct call *call, enum refusal refusal)
{
    char message[2 * STATUS_MESSAGE_SIZE];
    (void)snprintf(message, sizeof message, "[%s] %s\n%s", refusal_name(refusal),
                   refusal_reason(refusal), refusal_remedy(refusal));
    call_error(call, RPC_REFUSED + (uint64_t)refusal, slice_of(message));
}

static void release_frame(const struct call *call, struct buffer *frame)
{
    if (call->row->secret_result) {
        secret_wipe_buffer(frame);
    }
    buffer_release(frame);
}

void call_reply(struct call *call, const void *result)
{
    if (call->answered) {
        return;
    }
    struct buffer frame = {0};
    struct status status = rpc_frame_begin_result(&frame, call->id)
                               ? codec_encode(call->row->result, CODEC_NAMES, result, &frame)
                               : fail(STATUS_NO_MEMORY, "answer %s", call->row->name);
    if (!failed(status) && frame.size > RPC_FRAME_SIZE_MAX) {
        status = fail(STATUS_BUSY,
                      "the answer to %s is larger than a message may be: ask for fewer "
                      "rows",
                      call->row->name);
    }
    if (failed(status)) {
        call_fail(call, wrap(status, "answer"));
    } else {
        send_frame(call, buffer_slice(&frame));
    }
    release_frame(call, &frame);
}

void call_done(struct call *call, const char *format, ...)
{
    char message[STATUS_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    assert(call->row->result == &rpc_done_codec);
    const struct rpc_done done = {.message = slice_of(message)};
    call_reply(call, &done);
}

void call_relay(struct call *call, struct slice result)
{
    if (call->answered) {
        return;
    }
    struct buffer frame = {0};
    if (!rpc_frame_begin_result(&frame, call->id) ||
        !buffer_append(&frame, result.data, result.size)) {
        call_fail(call, fail(STATUS_NO_MEMORY, "relay an answer"));
    } else {
        send_frame(call, buffer_slice(&frame));
    }
    release_frame(call, &frame);
}

bool call_params(struct call *call, void *out)
{
    static const char empty_map = (char)0x80;
    struct slice params = buffer_slice(&call->params);
    if (params.size == 0) {
        params = (struct slice){.data = &empty_map, .size = 1};
    }
    struct status status = codec_decode(call->row->params, CODEC_NAMES, params, &call->arena, out);
    if (failed(status)) {
        call_fail(call, status);
    }
    return !failed(status);
}

/* The command that was proposed last will never be applied. */
static void fail_proposal(struct call *call, struct status status)
{
    if (status.code == STATUS_NOT_LEADER || status.code == STATUS_NO_QUORUM) {
        status = daemon_no_leader(call->daemon);
    }
    if (call->part_done) {
        call_fail(call, wrap(fail(STATUS_UNKNOWN, "%s", status.message), "%s: only a part was done",
                             call->row->name));
    } else {
        call_fail_unchanged(call, status);
    }
}

static void on_proposed(struct proposal *proposal, struct status status, struct outcome outcome)
{
    struct call *call = proposal->context;
    const struct apply_outcome applied = {.refusal = outcome.code, .value = outcome.value};
    fault_step(FAULT_CALL_APPLIED);
    if (status.code == STATUS_UNKNOWN) {
        call_fail(call,
                  fail(STATUS_UNKNOWN,
                       "%s: the outcome is not known, for leadership was lost on the way; look "
                       "at the state before you repeat it",
                       call->row->name));
    } else if (failed(status)) {
        fail_proposal(call, status);
    } else if (applied.refusal != REFUSAL_NONE) {
        call_refuse(call, (enum refusal)applied.refusal);
    } else {
        call->part_done = true;
        call->applied(call, applied);
    }
    call_release(call);
}

void call_propose(struct call *call, struct command *command,
                  void (*applied)(struct call *call, struct apply_outcome outcome))
{
    struct daemon *daemon = call->daemon;
    if (!store_takes(daemon->store, command->type)) {
        call_refuse(call, REFUSAL_LEVEL);
        return;
    }
    command->stamp = (struct stamp){
        .at_ms = clock_now_ms(),
        .actor = slice_of(call->caller.actor),
        .origin = slice_of(call->caller.origin),
        .comment = call->options.comment,
    };
    buffer_clear(&daemon->scratch);
    struct status status = fault_fires(FAULT_CALL_PROPOSE)
                               ? fail(STATUS_NO_MEMORY, "propose")
                               : command_encode(command, &daemon->scratch);
    if (!failed(status)) {
        call->proposal.context = call;
        call->applied = applied;
        status = consensus_propose(daemon->consensus, &call->proposal,
                                   buffer_slice(&daemon->scratch), on_proposed);
    }
    buffer_clear(&daemon->scratch);
    if (failed(status)) {
        fail_proposal(call, status);
        return;
    }
    call->changing = true;
    call_hold(call);
}

uint64_t call_patience_ms(const struct call *call)
{
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t left_ms = call->deadline_at_ms > now_ms ? call->deadline_at_ms - now_ms : 0;
    uint64_t try_ms = 2 * call->daemon->config.election_timeout_ms;
    return left_ms > try_ms ? left_ms - try_ms : 0;
}

bool call_begin(struct daemon *daemon, const struct rpc_frame *frame, const struct caller *caller,
                void *connection, call_answer answer)
{
    struct call *call = alloc_zeroed(1, sizeof *call);
    if (call == NULL || !buffer_append(&call->params, frame->params.data, frame->params.size)) {
        free(call);
        return false;
    }
    call->daemon = daemon;
    call->connection = connection;
    call->answer = answer;
    call->id = frame->id;
    call->caller = *caller;
    call->next = daemon->calls;
    if (call->next != NULL) {
        call->next->previous = call;
    }
    daemon->calls = call;
    daemon->call_count++;
    call->params_counted = frame->params.size;
    daemon->calls_size += call->params_counted;
    call->pending = 1; /* Of the dispatcher, who releases it. */
    if (daemon->calls_size > CALLS_SIZE_MAX) {
        call_fail(call, fail(STATUS_BUSY, "this node holds requests of %u MiB already; ask again",
                             CALLS_SIZE_MAX >> 20U));
        call_release(call);
    } else {
        dispatch(call, frame->method);
    }
    return true;
}

void call_sweep(struct daemon *daemon, uint64_t now_ms)
{
    for (struct call *call = daemon->calls; call != NULL; call = call->next) {
        if (call->answered || now_ms < call->deadline_at_ms) {
            continue;
        }
        if (call->changing) {
            call_fail(call,
                      fail(STATUS_UNKNOWN,
                           "%s: the deadline passed while it was under way; it may still take "
                           "effect: look at the state before you repeat it",
                           call->row->name));
        } else {
            call_fail(call, fail(STATUS_TIMEOUT, "%s: the deadline passed; nothing was changed",
                                 call->row->name));
        }
    }
}
