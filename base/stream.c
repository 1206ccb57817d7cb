/*
 * Streams: states, receiving and ending. The states are drawn in stream_state.h; connections are
 * made in stream_open.c, bytes sent in stream_send.c, OpenSSL attached in stream_tls.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/stream.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "stream_state.h"
#include "tls_context.h"

/* Work space that lives within one callback; so a thread's streams share it. */
static _Thread_local char received[STREAM_READ_SIZE_MAX];
static _Thread_local char decrypted[STREAM_RECORD_SIZE_MAX];

/* ---- The end ---- */

static void stream_free(struct stream *stream)
{
    const struct stream_handlers *handlers = stream->options.handlers;
    if (handlers != NULL) {
        handlers->on_close(stream, stream->options.context, stream->reason);
    }
    SSL_free(stream->ssl);
    tls_context_destroy(stream->tls);
    uv_freeaddrinfo(stream->addresses);
    buffer_release(&stream->held);
    buffer_release(&stream->early);
    buffer_release(&stream->output);
    buffer_release(&stream->sending);
    free(stream);
}

void stream_unreference(struct stream *stream)
{
    assert(stream->references > 0);
    if (--stream->references == 0) {
        assert(stream->state == STREAM_CLOSING);
        stream_free(stream);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    stream_unreference(handle->data);
}

void stream_close_because(struct stream *stream, struct status reason)
{
    if (stream->state == STREAM_CLOSING) {
        return;
    }
    bool resolving = stream->state == STREAM_RESOLVING;
    stream->state = STREAM_CLOSING;
    if (!failed(stream->reason)) {
        stream->reason = reason;
    }
    if (resolving) {
        (void)uv_cancel((uv_req_t *)&stream->resolver); /* Its callback comes in any case. */
    }
    /* Between two addresses the socket is closing already, and unreferences us when it has. */
    if (!uv_is_closing(&stream->socket.handle)) {
        uv_close(&stream->socket.handle, on_handle_closed);
    }
    uv_close((uv_handle_t *)&stream->timer, on_handle_closed);
}

void stream_close(struct stream *stream)
{
    stream_close_because(stream, OK);
}

void stream_discard(struct stream *stream)
{
    stream->options.handlers = NULL;
    stream_close(stream);
}

/* ---- Ending in order ---- */

static void on_timer(uv_timer_t *timer);

static void on_shut(uv_shutdown_t *request, int error)
{
    struct stream *stream = request->data;
    if (stream->state == STREAM_CLOSING) {
        return;
    }
    if (error != 0 || stream->ended) {
        stream_close(stream);
        return;
    }
    (void)uv_timer_start(&stream->timer, on_timer, STREAM_LINGER_MS, 0);
}

void stream_advance_end(struct stream *stream)
{
    if (stream->state != STREAM_ENDING || stream_unsent_size(stream) > 0 ||
        stream->shutter_started) {
        return;
    }
    stream->shutter_started = true;
    stream->shutter.data = stream;
    if (uv_shutdown(&stream->shutter, &stream->socket.stream, on_shut) != 0) {
        stream_close(stream);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out);
static void on_received(uv_stream_t *socket, ssize_t size, const uv_buf_t *bytes);

/* Begin to end: TLS has said its last. */
static void begin_end(struct stream *stream)
{
    stream->state = STREAM_ENDING;
    stream->input = (struct slice){0};
    buffer_release(&stream->held);
    buffer_release(&stream->early); /* Never opened: it must not go out. */
    (void)uv_timer_start(&stream->timer, on_timer, stream->options.handshake_timeout_ms, 0);
    if (!stream->ended && stream->paused) {
        (void)uv_read_start(&stream->socket.stream, on_alloc, on_received);
    }
    stream->paused = false;
    stream_flush(stream);
    stream_advance_end(stream);
}

void stream_shutdown(struct stream *stream)
{
    if (stream->state < STREAM_OPEN || stream->write_failed) {
        stream_close(stream);
        return;
    }
    if (stream->state != STREAM_OPEN) {
        return;
    }
    if (stream->ssl != NULL) {
        ERR_clear_error();
        (void)SSL_shutdown(stream->ssl); /* The message goes to `output`, or there is none. */
        ERR_clear_error();
    }
    begin_end(stream);
}

/* TLS failed: the alert that says why should still arrive. */
static void fail_tls(struct stream *stream, int ssl_error)
{
    struct status reason = tls_fail(stream->ssl, ssl_error);
    if (!failed(stream->reason)) {
        stream->reason = reason;
    }
    begin_end(stream);
}

/* ---- Receiving ---- */

static void deliver(struct stream *stream, const char *data, size_t size)
{
    stream->options.handlers->on_read(stream, stream->options.context,
                                      (struct slice){.data = data, .size = size});
}

static void become_open(struct stream *stream)
{
    stream->state = STREAM_OPEN;
    (void)uv_timer_stop(&stream->timer);
    struct buffer early = stream->early;
    stream->early = (struct buffer){0};
    struct status status = stream_put_clear(stream, early.data, early.size);
    buffer_release(&early);
    if (failed(status)) {
        stream_close_because(stream, status);
        return;
    }
    stream_flush(stream);
    if (stream->state == STREAM_OPEN && stream->options.handlers->on_open != NULL) {
        stream->options.handlers->on_open(stream, stream->options.context);
    }
}

static void shake_hands(struct stream *stream)
{
    ERR_clear_error();
    int result = SSL_do_handshake(stream->ssl);
    int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(stream->ssl, result);
    if (error == SSL_ERROR_NONE) {
        become_open(stream);
    } else if (error == SSL_ERROR_WANT_READ) {
        stream_flush(stream);
    } else {
        fail_tls(stream, error);
    }
}

/* Decrypt and deliver `input` until it is used up, paused or over. */
static void pump_tls(struct stream *stream)
{
    if (stream->state == STREAM_HANDSHAKE) {
        shake_hands(stream);
    }
    while (stream->state == STREAM_OPEN && !stream->paused) {
        ERR_clear_error();
        int size = SSL_read(stream->ssl, decrypted, sizeof decrypted);
        if (size > 0) {
            deliver(stream, decrypted, (size_t)size);
            continue;
        }
        int error = SSL_get_error(stream->ssl, size);
        if (error == SSL_ERROR_WANT_READ) {
            stream_flush(stream); /* Answers of the protocol itself, such as a key update. */
            return;
        }
        if (error == SSL_ERROR_ZERO_RETURN) {
            stream->ended = true;
            stream_shutdown(stream);
        } else {
            fail_tls(stream, error);
        }
    }
}

static void pump(struct stream *stream)
{
    if (stream->ssl != NULL) {
        pump_tls(stream);
    } else if (stream->input.size > 0 && stream->state == STREAM_OPEN && !stream->paused) {
        struct slice input = stream->input;
        stream->input = (struct slice){0};
        deliver(stream, input.data, input.size);
    }
}

/* The other side, or the network, ended the connection. */
static void on_ended(struct stream *stream, int error)
{
    stream->ended = true;
    if (stream->state == STREAM_ENDING) {
        if (error != UV_EOF || stream->shutter_started) {
            stream_close(stream);
        }
        return; /* Otherwise what is unsent goes out first. */
    }
    if (error != UV_EOF) {
        stream_close_because(stream, fail(STATUS_IO, "receive: %s", uv_strerror(error)));
    } else if (stream->ssl == NULL && stream->state == STREAM_OPEN) {
        stream_shutdown(stream);
    } else {
        stream_close_because(stream, fail(STATUS_IO, "the other side broke the connection off"));
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    (void)suggested;
    *out = (uv_buf_t){.base = received, .len = sizeof received};
}

static void on_received(uv_stream_t *socket, ssize_t size, const uv_buf_t *bytes)
{
    struct stream *stream = socket->data;
    if (size == 0 || stream->state == STREAM_CLOSING) {
        return;
    }
    if (size < 0) {
        (void)uv_read_stop(socket);
        on_ended(stream, (int)size);
        return;
    }
    if (stream->state == STREAM_ENDING) {
        return; /* Discarded: only the end is waited for. */
    }
    stream->input = (struct slice){.data = bytes->base, .size = (size_t)size};
    pump(stream);
    struct slice rest = stream->input;
    stream->input = (struct slice){0};
    if (stream->state == STREAM_OPEN && rest.size > 0 &&
        !buffer_append(&stream->held, rest.data, rest.size)) {
        stream_close_because(stream, fail(STATUS_NO_MEMORY, "receive"));
    }
}

/* Go on after a pause: first what was held, then the socket. */
static void continue_reading(struct stream *stream)
{
    struct buffer held = stream->held;
    stream->held = (struct buffer){0};
    stream->input = buffer_slice(&held);
    pump(stream);
    struct slice rest = stream->input;
    stream->input = (struct slice){0};
    if (stream->state == STREAM_OPEN && rest.size > 0) {
        buffer_consume(&held, held.size - rest.size);
        stream->held = held;
        return; /* Paused again. */
    }
    buffer_release(&held);
    if (stream->state == STREAM_OPEN && !stream->paused) {
        (void)uv_read_start(&stream->socket.stream, on_alloc, on_received);
    }
}

void stream_pause(struct stream *stream)
{
    if (stream->state != STREAM_OPEN || stream->paused) {
        return;
    }
    stream->paused = true;
    (void)uv_timer_stop(&stream->timer);
    (void)uv_read_stop(&stream->socket.stream);
}

void stream_resume(struct stream *stream)
{
    if (stream->state != STREAM_OPEN || !stream->paused) {
        return;
    }
    stream->paused = false;
    (void)uv_timer_start(&stream->timer, on_timer, 0, 0); /* From the loop, not from here. */
}

/* ---- Beginning ---- */

static void begin_plain(struct stream *stream)
{
    int error = uv_read_start(&stream->socket.stream, on_alloc, on_received);
    if (error != 0) {
        stream_close_because(stream, fail(STATUS_IO, "receive: %s", uv_strerror(error)));
        return;
    }
    become_open(stream);
}

static void on_timer(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    switch (stream->state) {
    case STREAM_HANDSHAKE:
        if (stream->ssl == NULL) {
            begin_plain(stream);
            break;
        }
        __attribute__((fallthrough));
    case STREAM_RESOLVING:
    case STREAM_CONNECTING:
        stream_close_because(stream, fail(STATUS_TIMEOUT, "no connection within %u ms",
                                          stream->options.handshake_timeout_ms));
        break;
    case STREAM_OPEN: continue_reading(stream); break;
    case STREAM_ENDING: stream_close(stream); break;
    case STREAM_CLOSING: break;
    }
}

void stream_begin(struct stream *stream)
{
    stream->state = STREAM_HANDSHAKE;
    if (stream->ssl == NULL) {
        (void)uv_timer_start(&stream->timer, on_timer, 0, 0); /* Opens from the loop. */
        return;
    }
    int error = uv_read_start(&stream->socket.stream, on_alloc, on_received);
    if (error != 0) {
        stream_close_because(stream, fail(STATUS_IO, "receive: %s", uv_strerror(error)));
        return;
    }
    shake_hands(stream);
}

struct status stream_create(const struct stream_options *options, struct stream **out)
{
    struct stream *stream = alloc_zeroed(1, sizeof *stream);
    if (stream == NULL) {
        return fail(STATUS_NO_MEMORY, "make a stream");
    }
    stream->options = *options;
    if (stream->options.handshake_timeout_ms == 0) {
        stream->options.handshake_timeout_ms = STREAM_HANDSHAKE_TIMEOUT_DEFAULT_MS;
    }
    if (stream->options.unsent_size_max == 0) {
        stream->options.unsent_size_max = STREAM_UNSENT_SIZE_DEFAULT;
    }
    (void)uv_timer_init(options->loop, &stream->timer);
    stream->timer.data = stream;
    stream->references = 1;
    (void)uv_timer_start(&stream->timer, on_timer, stream->options.handshake_timeout_ms, 0);
    *out = stream;
    return OK;
}
