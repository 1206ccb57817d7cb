/*
 * One question to another node.
 *
 *     CONNECTING ──on_open──► ASKED ──answer──► done
 *        │  ▲                   └──on_close──► done (unknown)
 *        ▼  │ next address
 *      on_close ──none left──► done
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ask.h"

#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/secret.h"
#include "base/skim.h"
#include "base/stream.h"
#include "client/protocol.h"
#include "client/rpc_frame.h"
#include "consensus/consensus.h"

struct ask {
    uv_timer_t timer;
    struct tls_context *tls;
    struct ask_question question; /* Its request is empty: */
    struct buffer request;
    size_t at;
    struct buffer input;
    struct stream *stream; /* NULL between addresses. */
    bool asked;
    bool finished;          /* `done` was called or must not be. */
    struct status impostor; /* The first that was not who it should be: says more than silence. */
};

static void on_timer_closed(uv_handle_t *handle)
{
    struct ask *ask = handle->data;
    secret_wipe_buffer(&ask->request);
    secret_wipe_buffer(&ask->input);
    free(ask);
}

static void finish(struct ask *ask, struct status status, uint64_t error, struct slice result)
{
    if (!ask->finished) {
        ask->finished = true;
        ask->question.done(ask->question.context, status, error, result);
    }
    if (ask->stream != NULL) {
        stream_close(ask->stream); /* on_close frees. */
    } else if (!uv_is_closing((uv_handle_t *)&ask->timer)) {
        uv_close((uv_handle_t *)&ask->timer, on_timer_closed);
    }
}

static bool is_believed(const struct ask *ask, struct stream *stream)
{
    struct buffer pem = {0};
    uint64_t node_id = 0;
    if (ask->question.believe == NULL) {
        return true;
    }
    bool known = !failed(stream_peer_certificate(stream, &pem)) &&
                 !failed(node_id_of_certificate(buffer_slice(&pem), &node_id));
    buffer_release(&pem);
    return known && ask->question.believe(ask->question.context, node_id);
}

static void on_open(struct stream *stream, void *context)
{
    struct ask *ask = context;
    if (!is_believed(ask, stream)) {
        stream_close_because(stream, fail(STATUS_UNAUTHORIZED, "another node is there"));
        return;
    }
    struct slice request = buffer_slice(&ask->request);
    ask->asked = true;
    struct status status = stream_write(stream, &request, 1);
    fault_step(FAULT_ASK_SENT);
    if (failed(status)) {
        stream_close_because(stream, status);
    }
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX,
        .depth_max = RPC_DEPTH_MAX,
        .values_max = RPC_VALUES_MAX,
    };
    struct ask *ask = context;
    struct rpc_frame frame;
    size_t size = 0;
    bool id_known;
    if (ask->finished) {
        return;
    }
    if (!buffer_append(&ask->input, bytes.data, bytes.size)) {
        stream_close_because(stream, fail(STATUS_NO_MEMORY, "read an answer"));
        return;
    }
    enum skim_result skimmed = skim_value(buffer_slice(&ask->input), &limits, &size);
    if (skimmed == SKIM_PARTIAL) {
        return;
    }
    struct slice message = {.data = ask->input.data, .size = size};
    if (skimmed != SKIM_COMPLETE || failed(rpc_frame_parse(message, &frame, &id_known)) ||
        !frame.response) {
        stream_close_because(stream, fail(STATUS_INVALID, "the answer is not RPC"));
        return;
    }
    bool helpless = frame.error == RPC_NO_QUORUM || frame.error == RPC_UNREACHABLE ||
                    frame.error == RPC_SUSPENDED;
    if (helpless && ask->at + 1 < ask->question.addresses.count) {
        ask->asked = false; /* Nothing was changed: another one may know the leader. */
        buffer_clear(&ask->input);
        stream_close_because(stream, fail(STATUS_UNREACHABLE, "%.*s", SLICE_ARG(frame.message)));
    } else if (frame.error != 0) {
        finish(ask, fail(STATUS_REFUSED, "%.*s", SLICE_ARG(frame.message)), frame.error,
               frame.message);
    } else {
        finish(ask, OK, 0, frame.result);
    }
}

static void try_next(struct ask *ask, struct status last);

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct ask *ask = context;
    (void)stream;
    ask->stream = NULL;
    if (ask->finished) {
        finish(ask, OK, 0, (struct slice){0});
        return;
    }
    if (!failed(reason)) {
        reason = fail(STATUS_UNREACHABLE, "the other side ended the connection");
    }
    /* A refused certificate means that nothing was read, though the stream had opened. */
    if (ask->asked && reason.code != STATUS_UNAUTHORIZED) {
        reason.code = STATUS_UNKNOWN;
        finish(ask, reason, 0, (struct slice){0});
        return;
    }
    if (ask->asked) { /* By the other side: it is who it should be. */
        reason.code = STATUS_UNREACHABLE;
    } else if (reason.code == STATUS_UNAUTHORIZED && !failed(ask->impostor)) {
        ask->impostor = wrap(reason, "%s", ask->question.addresses.texts[ask->at]);
    }
    ask->asked = false;
    ask->at++;
    try_next(ask, reason);
}

static const struct stream_handlers ask_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

static void on_timeout(uv_timer_t *timer)
{
    struct ask *ask = timer->data;
    if (ask->stream != NULL) {
        stream_close_because(ask->stream, fail(STATUS_TIMEOUT, "%s does not answer",
                                               ask->question.addresses.texts[ask->at]));
    }
}

static void try_next(struct ask *ask, struct status last)
{
    const struct stream_options options = {
        .loop = ask->timer.loop,
        .handlers = &ask_handlers,
        .context = ask,
    };
    for (; ask->at < ask->question.addresses.count; ask->at++) {
        last = stream_connect_tls(ask->question.addresses.texts[ask->at], NULL, ask->tls, &options,
                                  &ask->stream);
        if (!failed(last)) {
            (void)uv_timer_start(&ask->timer, on_timeout, ASK_TIMEOUT_MS, 0);
            return;
        }
    }
    finish(ask, failed(ask->impostor) ? ask->impostor : last, 0, (struct slice){0});
}

/* The first try is made from the loop, so that `done` never comes from within ask_start(). */
static void on_begin(uv_timer_t *timer)
{
    try_next(timer->data, fail(STATUS_UNREACHABLE, "no address is known"));
}

struct status ask_start(struct uv_loop_s *loop, struct tls_context *tls,
                        const struct ask_question *question, struct ask **out)
{
    struct ask *ask = alloc_zeroed(1, sizeof *ask);
    if (ask == NULL ||
        !buffer_append(&ask->request, question->request.data, question->request.size)) {
        free(ask);
        return fail(STATUS_NO_MEMORY, "ask another node");
    }
    (void)uv_timer_init(loop, &ask->timer);
    ask->timer.data = ask;
    ask->tls = tls;
    ask->question = *question;
    ask->question.request = (struct slice){0};
    (void)uv_timer_start(&ask->timer, on_begin, 0, 0);
    *out = ask;
    return OK;
}

void ask_cancel(struct ask *ask)
{
    if (ask != NULL) {
        ask->finished = true;
        finish(ask, OK, 0, (struct slice){0});
    }
}
