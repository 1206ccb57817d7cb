/*
 * The inside of a stream: what stream.c (bytes) and stream_open.c (making connections) share.
 *
 *               stream_connect_tls
 *                        v
 *   +----- RESOLVING -> CONNECTING -> HANDSHAKE -> OPEN -> ENDING -> CLOSING -> gone
 *   |                        ^            ^          |        ^         ^
 *   |  stream_connect_local -+   accept --+          |        |         |
 *   +----------------------------------------------- failure -+---------+
 *
 *   RESOLVING   a name is looked up on a worker thread
 *   CONNECTING  an address is tried; a failure tries the next one
 *   HANDSHAKE   TLS; a UNIX socket passes through it in no time
 *   OPEN        bytes go both ways
 *   ENDING      what is unsent goes out, then we wait for the other side's end
 *   CLOSING     handles are being closed; on_close comes when the last one is
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STREAM_STATE_H
#define STREAM_STATE_H

#include <netdb.h>
#include <openssl/ssl.h>
#include <uv.h>

#include "base/stream.h"

#define STREAM_RECORD_SIZE_MAX 16384 /* Clear bytes of one TLS record (RFC 8446, 5.1). */

enum stream_state {
    STREAM_RESOLVING,
    STREAM_CONNECTING,
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_ENDING,
    STREAM_CLOSING,
};

union stream_socket {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct stream {
    struct stream_options options;
    enum stream_state state;
    struct tls_context *tls; /* NULL on a UNIX socket. */
    SSL *ssl;                /* NULL on a UNIX socket. */

    union stream_socket socket;
    uv_timer_t
        timer; /* Handshake deadline; in OPEN the rest after a pause; in ENDING the linger. */
    unsigned references; /* Handles and the resolver's request; on_close comes at zero. */

    /* Connecting. */
    uv_getaddrinfo_t resolver;
    uv_connect_t connector;
    struct addrinfo *addresses;
    const struct addrinfo *address; /* The one that is tried. */

    /* Receiving. */
    struct slice input; /* Bytes off the socket not yet consumed; valid within one callback. */
    struct buffer held; /* The same, kept while paused. */
    bool paused;
    bool ended; /* The other side's end was seen. */

    /* Sending: `output` collects, `sending` is with the system. */
    struct buffer early; /* Clear bytes written before the stream was open. */
    struct buffer output;
    struct buffer sending;
    uv_write_t writer;
    uv_shutdown_t shutter;
    bool write_failed;
    bool shutter_started;

    struct status reason; /* For on_close; the first failure stays. */
};

/* Allocate with timer and options; the caller then makes the socket. */
MUST_USE struct status stream_create(const struct stream_options *options, struct stream **out);

/* Give a stream that never was handed out back; its handles are closed from the loop. */
void stream_discard(struct stream *stream);

/* Attach TLS. */
MUST_USE struct status stream_secure(struct stream *stream, struct tls_context *tls, bool accepts);

/* The other side's certificate must bear this name or IP address. */
MUST_USE struct status stream_expect_name(struct stream *stream, const char *name);

/* Connected: begin to read, and the handshake. */
void stream_begin(struct stream *stream);

/* Hand what is collected to the system; what it does not take at once becomes `sending`. */
void stream_flush(struct stream *stream);

/* Encrypt (or copy) clear bytes into `output`. */
MUST_USE struct status stream_put_clear(struct stream *stream, const char *data, size_t size);

/* ENDING: once all is sent say so, then wait for the other side's end. */
void stream_advance_end(struct stream *stream);

/* One handle or request less; with the last one the stream is gone. */
void stream_unreference(struct stream *stream);

#endif
