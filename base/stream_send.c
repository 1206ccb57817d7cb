/*
 * Streams: sending. `output` collects what is to go out, `sending` is with the system; the two
 * change places, so that bytes are not copied again on their way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/err.h>
#include <string.h>

#include "stream_state.h"
#include "tls_context.h"

#define RECORD_OVERHEAD_MAX 64    /* Bytes: header, tag, padding, with room to spare. */
#define BUFFER_KEPT_SIZE_MAX 4096 /* Bytes an idle stream keeps per buffer. */

/* Work space that lives within one call; so a thread's streams share it. */
static _Thread_local char gathered[STREAM_RECORD_SIZE_MAX];

/* The write side is dead. What the other side still said, such as why, may wait to be read; the
 * read side then ends by itself. */
static void fail_write(struct stream *stream, int error)
{
    buffer_release(&stream->output);
    stream->write_failed = true;
    if (stream->paused || stream->state == STREAM_ENDING) {
        stream_close_because(stream, fail(STATUS_IO, "send: %s", uv_strerror(error)));
    }
}

static void on_written(uv_write_t *request, int error)
{
    struct stream *stream = request->data;
    buffer_clear(&stream->sending);
    if (stream->state == STREAM_CLOSING) {
        return;
    }
    if (error != 0) {
        fail_write(stream, error);
        return;
    }
    stream_flush(stream);
    if (stream->state == STREAM_CLOSING || stream_unsent_size(stream) > 0) {
        return;
    }
    if (stream->sending.capacity > BUFFER_KEPT_SIZE_MAX) {
        buffer_release(&stream->sending);
    }
    if (stream->state == STREAM_ENDING) {
        stream_advance_end(stream);
    } else if (stream->state == STREAM_OPEN && stream->options.handlers->on_drain != NULL) {
        stream->options.handlers->on_drain(stream, stream->options.context);
    }
}

void stream_flush(struct stream *stream)
{
    if (stream->sending.size > 0 || stream->output.size == 0 || stream->write_failed ||
        stream->state == STREAM_CLOSING) {
        return;
    }
    uv_buf_t bytes = {.base = stream->output.data, .len = stream->output.size};
    int taken = uv_try_write(&stream->socket.stream, &bytes, 1);
    if (taken < 0 && taken != UV_EAGAIN) {
        fail_write(stream, taken);
        return;
    }
    size_t done = taken < 0 ? 0 : (size_t)taken;
    if (done == stream->output.size) {
        buffer_clear(&stream->output);
        if (stream->output.capacity > BUFFER_KEPT_SIZE_MAX) {
            buffer_release(&stream->output);
        }
        return;
    }
    struct buffer empty = stream->sending;
    stream->sending = stream->output;
    stream->output = empty;
    bytes = (uv_buf_t){.base = stream->sending.data + done, .len = stream->sending.size - done};
    stream->writer.data = stream;
    int error = uv_write(&stream->writer, &stream->socket.stream, &bytes, 1, on_written);
    if (error != 0) {
        buffer_clear(&stream->sending);
        fail_write(stream, error);
    }
}

struct status stream_put_clear(struct stream *stream, const char *data, size_t size)
{
    if (stream->ssl == NULL) {
        return buffer_append(&stream->output, data, size)
                   ? OK
                   : fail(STATUS_NO_MEMORY, "send %zu bytes", size);
    }
    while (size > 0) {
        int part = size < STREAM_RECORD_SIZE_MAX ? (int)size : STREAM_RECORD_SIZE_MAX;
        ERR_clear_error();
        int written = SSL_write(stream->ssl, data, part);
        if (written <= 0) {
            return tls_fail(stream->ssl, SSL_get_error(stream->ssl, written));
        }
        data += written;
        size -= (size_t)written;
    }
    return OK;
}

/* Small pieces share a record; large ones are encrypted from where they lie. */
static struct status put_pieces(struct stream *stream, const struct slice *pieces, size_t count)
{
    struct status status = OK;
    size_t used = 0;
    for (size_t i = 0; i < count && !failed(status); i++) {
        if (used + pieces[i].size > sizeof gathered) {
            status = stream_put_clear(stream, gathered, used);
            used = 0;
        }
        if (!failed(status) && pieces[i].size > sizeof gathered) {
            status = stream_put_clear(stream, pieces[i].data, pieces[i].size);
        } else if (!failed(status) && pieces[i].size > 0) {
            memcpy(gathered + used, pieces[i].data, pieces[i].size);
            used += pieces[i].size;
        }
    }
    return failed(status) ? status : stream_put_clear(stream, gathered, used);
}

static struct status put_early(struct stream *stream, const struct slice *pieces, size_t count,
                               size_t size)
{
    if (!buffer_reserve(&stream->early, size)) {
        return fail(STATUS_NO_MEMORY, "send %zu bytes", size);
    }
    for (size_t i = 0; i < count; i++) {
        (void)buffer_append(&stream->early, pieces[i].data, pieces[i].size);
    }
    return OK;
}

struct status stream_write(struct stream *stream, const struct slice *pieces, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].size;
    }
    if (stream->state >= STREAM_ENDING || stream->write_failed) {
        return fail(STATUS_IO, "send: the connection is closed");
    }
    size_t unsent = stream_unsent_size(stream);
    if (size > stream->options.unsent_size_max || unsent > stream->options.unsent_size_max - size) {
        return fail(STATUS_BUSY, "send: %zu bytes are unsent already", unsent);
    }
    struct status status;
    if (stream->state != STREAM_OPEN) {
        status = put_early(stream, pieces, count, size);
    } else if (!buffer_reserve(&stream->output, size + (size / STREAM_RECORD_SIZE_MAX + count + 1) *
                                                           RECORD_OVERHEAD_MAX)) {
        status = fail(STATUS_NO_MEMORY, "send %zu bytes", size);
    } else {
        status = put_pieces(stream, pieces, count);
    }
    if (failed(status)) {
        stream_close_because(stream, status);
        return status;
    }
    if (stream->state == STREAM_OPEN) {
        stream_flush(stream);
    }
    return OK;
}

size_t stream_unsent_size(const struct stream *stream)
{
    return stream->early.size + stream->output.size + stream->sending.size;
}
