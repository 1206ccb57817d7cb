/*
 * Streams: making connections, by accepting or by resolving and connecting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "listener.h"
#include "socket_address.h"
#include "stream_state.h"

#define KEEPALIVE_S 60U /* An idle connection is probed after this many seconds. */

static struct status fail_uv(int error, const char *action)
{
    return fail(error == UV_ENOMEM ? STATUS_NO_MEMORY : STATUS_IO, "%s: %s", action,
                uv_strerror(error));
}

/* A TCP socket, not connected yet. Without a family libuv makes no socket, so this cannot fail. */
static void make_tcp(struct stream *stream)
{
    (void)uv_tcp_init(stream->options.loop, &stream->socket.tcp);
    stream->socket.handle.data = stream;
}

/* Options that need the socket to exist; none of them is worth a failure. */
static void tune_tcp(struct stream *stream)
{
    uv_os_fd_t fd = -1;
    unsigned timeout_ms = stream->options.user_timeout_ms;
    (void)uv_tcp_nodelay(&stream->socket.tcp, 1);
    (void)uv_tcp_keepalive(&stream->socket.tcp, 1, KEEPALIVE_S);
    if (timeout_ms > 0 && uv_fileno(&stream->socket.handle, &fd) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    }
}

/* ---- Accepting ---- */

static struct status accept_into(struct stream *stream, struct listener *listener)
{
    int error = uv_accept(&listener->socket.stream, &stream->socket.stream);
    return error == 0 ? OK : fail_uv(error, "accept a connection");
}

/* A stream whose socket is made, not connected. */
static struct status create_with_socket(const struct stream_options *options, bool local,
                                        struct stream **out)
{
    struct status status = stream_create(options, out);
    if (failed(status)) {
        return status;
    }
    if (local) {
        (void)uv_pipe_init(options->loop, &(*out)->socket.pipe, 0); /* Always 0. */
        (*out)->socket.handle.data = *out;
    } else {
        make_tcp(*out);
    }
    (*out)->references++;
    return OK;
}

static uint64_t source_of(const struct stream *stream)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    int size = sizeof address;
    (void)uv_tcp_getpeername(&stream->socket.tcp, (struct sockaddr *)&address, &size);
    return socket_address_source(&address);
}

bool stream_source_of(const char *address, uint64_t *out)
{
    struct socket_name name;
    struct sockaddr_storage numeric;
    if (failed(socket_name_parse(address, &name)) || !socket_name_numeric(&name, &numeric)) {
        return false;
    }
    *out = socket_address_source(&numeric);
    return true;
}

struct status stream_accept_tls(struct listener *listener, struct tls_context *tls,
                                const struct stream_options *options, struct stream **out)
{
    struct stream *stream = NULL;
    struct status status = create_with_socket(options, false, &stream);
    if (failed(status)) {
        listener_refuse(listener);
        return status;
    }
    status = accept_into(stream, listener);
    if (!failed(status) && options->admit != NULL &&
        !options->admit(options->context, source_of(stream))) {
        status = fail(STATUS_BUSY, "a connection was turned away");
    }
    if (!failed(status)) {
        status = stream_secure(stream, tls, true);
    }
    if (failed(status)) {
        stream_discard(stream);
        return status;
    }
    tune_tcp(stream);
    stream_begin(stream);
    *out = stream;
    return OK;
}

struct status stream_accept_local(struct listener *listener, const struct stream_options *options,
                                  struct stream **out)
{
    struct stream *stream = NULL;
    struct status status = create_with_socket(options, true, &stream);
    if (failed(status)) {
        listener_refuse(listener);
        return status;
    }
    status = accept_into(stream, listener);
    if (failed(status)) {
        stream_discard(stream);
        return status;
    }
    stream_begin(stream);
    *out = stream;
    return OK;
}

/* ---- Connecting ---- */

static void try_address(struct stream *stream);

static void on_attempt_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (stream->state == STREAM_CLOSING) {
        stream_unreference(stream);
        return;
    }
    make_tcp(stream);
    try_address(stream);
}

static void fail_attempt(struct stream *stream, int error)
{
    stream->address = stream->address == NULL ? NULL : stream->address->ai_next;
    if (stream->address == NULL) {
        stream_close_because(stream, fail(STATUS_UNREACHABLE, "connect: %s", uv_strerror(error)));
        return;
    }
    uv_close(&stream->socket.handle, on_attempt_closed);
}

static void on_connected(uv_connect_t *request, int error)
{
    struct stream *stream = request->data;
    if (stream->state == STREAM_CLOSING || error == UV_ECANCELED) {
        return;
    }
    if (error != 0) {
        fail_attempt(stream, error);
        return;
    }
    stream_begin(stream);
}

static void connect_to(struct stream *stream, const struct sockaddr *address)
{
    stream->state = STREAM_CONNECTING;
    stream->connector.data = stream;
    int error = uv_tcp_connect(&stream->connector, &stream->socket.tcp, address, on_connected);
    if (error != 0) {
        fail_attempt(stream, error);
        return;
    }
    tune_tcp(stream);
}

static void try_address(struct stream *stream)
{
    assert(stream->address != NULL);
    connect_to(stream, stream->address->ai_addr);
}

static void on_resolved(uv_getaddrinfo_t *request, int error, struct addrinfo *addresses)
{
    struct stream *stream = request->data;
    stream->addresses = addresses;
    if (stream->state != STREAM_CLOSING && (error != 0 || addresses == NULL)) {
        stream_close_because(stream, fail(STATUS_UNREACHABLE, "resolve the name: %s",
                                          error == 0 ? "no address" : uv_strerror(error)));
    }
    if (stream->state != STREAM_CLOSING) {
        stream->address = addresses;
        try_address(stream);
    }
    stream_unreference(stream);
}

static struct status resolve(struct stream *stream, const struct socket_name *name)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    stream->state = STREAM_RESOLVING;
    stream->resolver.data = stream;
    int error = uv_getaddrinfo(stream->options.loop, &stream->resolver, on_resolved, name->host,
                               name->port, &hints);
    if (error != 0) {
        return fail_uv(error, "resolve a name");
    }
    stream->references++;
    return OK;
}

struct status stream_connect_tls(const char *address, const char *server_name,
                                 struct tls_context *tls, const struct stream_options *options,
                                 struct stream **out)
{
    struct socket_name name;
    struct status status = socket_name_parse(address, &name);
    if (failed(status)) {
        return status;
    }
    struct stream *stream = NULL;
    status = create_with_socket(options, false, &stream);
    if (failed(status)) {
        return status;
    }
    status = stream_secure(stream, tls, false);
    if (!failed(status) && server_name != NULL) {
        status = stream_expect_name(stream, server_name);
    }
    struct sockaddr_storage numeric;
    if (!failed(status) && socket_name_numeric(&name, &numeric)) {
        connect_to(stream, (const struct sockaddr *)&numeric);
    } else if (!failed(status)) {
        status = resolve(stream, &name);
    }
    if (failed(status)) {
        stream_discard(stream);
        return status;
    }
    *out = stream;
    return OK;
}

struct status stream_connect_local(const char *path, const struct stream_options *options,
                                   struct stream **out)
{
    struct sockaddr_un address;
    if (path[0] == '\0' || strlen(path) >= sizeof address.sun_path) {
        return fail(STATUS_INVALID, "a socket's path has 1 to %zu bytes",
                    sizeof address.sun_path - 1);
    }
    struct stream *stream = NULL;
    struct status status = create_with_socket(options, true, &stream);
    if (failed(status)) {
        return status;
    }
    stream->state = STREAM_CONNECTING;
    stream->connector.data = stream;
    uv_pipe_connect(&stream->connector, &stream->socket.pipe, path, on_connected);
    *out = stream;
    return OK;
}

void stream_peer_address(const struct stream *stream, char out[STREAM_ADDRESS_SIZE])
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    int size = sizeof address;
    if (stream->tls == NULL) {
        (void)snprintf(out, STREAM_ADDRESS_SIZE, "local");
        return;
    }
    (void)uv_tcp_getpeername(&stream->socket.tcp, (struct sockaddr *)&address, &size);
    socket_address_print(&address, out, STREAM_ADDRESS_SIZE);
}
