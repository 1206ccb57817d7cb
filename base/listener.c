/*
 * Listeners: sockets that wait for connections.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "socket_address.h"

#define BACKLOG 1024 /* Connections not yet accepted: what comes while the loop is busy. */

static struct status fail_uv(int error, const char *address)
{
    enum status_code code = error == UV_EADDRINUSE ? STATUS_BUSY : STATUS_IO;
    return fail(code, "listen on %.100s: %s", address, uv_strerror(error));
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    if (listener->closed != NULL) {
        listener->closed(listener->closed_context);
    }
    free(listener);
}

static void on_connection(uv_stream_t *socket, int error)
{
    struct listener *listener = socket->data;
    if (error == 0 && !uv_is_closing(&listener->socket.handle)) {
        listener->on_connection(listener, listener->context);
    }
}

static struct listener *create(listener_on_connection announce, void *context)
{
    struct listener *listener = alloc_zeroed(1, sizeof *listener);
    if (listener != NULL) {
        listener->on_connection = announce;
        listener->context = context;
    }
    return listener;
}

static struct status open_tcp(struct listener *listener, uv_loop_t *loop,
                              const struct sockaddr_storage *address, const char *text)
{
    int error = uv_tcp_init(loop, &listener->socket.tcp);
    if (error != 0) {
        free(listener);
        return fail_uv(error, text);
    }
    listener->socket.handle.data = listener;
    error = uv_tcp_bind(&listener->socket.tcp, (const struct sockaddr *)address, 0);
    if (error == 0) {
        error = uv_listen(&listener->socket.stream, BACKLOG, on_connection);
    }
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    int size = sizeof bound;
    if (error == 0) {
        error = uv_tcp_getsockname(&listener->socket.tcp, (struct sockaddr *)&bound, &size);
    }
    if (error != 0) {
        uv_close(&listener->socket.handle, on_closed);
        return fail_uv(error, text);
    }
    socket_address_print(&bound, listener->address, sizeof listener->address);
    return OK;
}

struct status listener_open_tcp(struct uv_loop_s *loop, const char *address,
                                listener_on_connection announce, void *context,
                                struct listener **out)
{
    struct socket_name name;
    struct sockaddr_storage numeric;
    struct status status = socket_name_parse(address, &name);
    if (failed(status)) {
        return status;
    }
    if (!socket_name_numeric(&name, &numeric)) {
        return fail(STATUS_INVALID, "listen on %.100s: the host must be a numeric address",
                    address);
    }
    struct listener *listener = create(announce, context);
    if (listener == NULL) {
        return fail(STATUS_NO_MEMORY, "listen on %.100s", address);
    }
    status = open_tcp(listener, loop, &numeric, address);
    if (failed(status)) {
        return status;
    }
    *out = listener;
    return OK;
}

/* Remove a socket file that nobody listens on. STATUS_BUSY if somebody does. */
static struct status remove_stale(const struct sockaddr_un *address)
{
    struct stat about;
    if (lstat(address->sun_path, &about) != 0) {
        return errno == ENOENT ? OK : fail_errno(errno, "listen on %s", address->sun_path);
    }
    if (!S_ISSOCK(about.st_mode)) {
        return fail(STATUS_INVALID, "listen on %s: it is there and not a socket",
                    address->sun_path);
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return fail_errno(errno, "listen on %s", address->sun_path);
    }
    bool refused = connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
                   errno == ECONNREFUSED;
    (void)close(probe);
    if (!refused) {
        return fail(STATUS_BUSY, "listen on %s: another process does", address->sun_path);
    }
    if (unlink(address->sun_path) != 0 && errno != ENOENT) {
        return fail_errno(errno, "remove the stale socket %s", address->sun_path);
    }
    return OK;
}

static struct status open_local(struct listener *listener, uv_loop_t *loop, mode_t mode)
{
    int error = uv_pipe_init(loop, &listener->socket.pipe, 0);
    if (error != 0) {
        free(listener);
        return fail_uv(error, "a UNIX socket");
    }
    listener->socket.handle.data = listener;
    mode_t mask = umask(0777); /* Closed to all until its mode is set. */
    error = uv_pipe_bind(&listener->socket.pipe, listener->address);
    (void)umask(mask);
    if (error == 0 && chmod(listener->address, mode) != 0) {
        error = uv_translate_sys_error(errno);
    }
    if (error == 0) {
        error = uv_listen(&listener->socket.stream, BACKLOG, on_connection);
    }
    if (error != 0) {
        struct status status = fail_uv(error, listener->address);
        uv_close(&listener->socket.handle, on_closed);
        return status;
    }
    return OK;
}

struct status listener_open_local(struct uv_loop_s *loop, const char *path, mode_t mode,
                                  listener_on_connection announce, void *context,
                                  struct listener **out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _Static_assert(sizeof address.sun_path <= STREAM_ADDRESS_SIZE, "a path fits");
    if (path[0] == '\0' || strlen(path) >= sizeof address.sun_path) {
        return fail(STATUS_INVALID, "a socket's path has 1 to %zu bytes",
                    sizeof address.sun_path - 1);
    }
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    struct status status = remove_stale(&address);
    if (failed(status)) {
        return status;
    }
    struct listener *listener = create(announce, context);
    if (listener == NULL) {
        return fail(STATUS_NO_MEMORY, "listen on %s", path);
    }
    listener->local = true;
    (void)snprintf(listener->address, sizeof listener->address, "%s", path);
    status = open_local(listener, loop, mode);
    if (failed(status)) {
        return status;
    }
    *out = listener;
    return OK;
}

void listener_address(const struct listener *listener, char out[STREAM_ADDRESS_SIZE])
{
    (void)snprintf(out, STREAM_ADDRESS_SIZE, "%s", listener->address);
}

static void on_refused(uv_handle_t *handle)
{
    free(handle);
}

void listener_refuse(struct listener *listener)
{
    union stream_socket *socket = alloc_zeroed(1, sizeof *socket);
    uv_loop_t *loop = listener->socket.handle.loop;
    if (socket == NULL) {
        return; /* libuv keeps the connection waiting and announces nothing until it is taken. */
    }
    int error =
        listener->local ? uv_pipe_init(loop, &socket->pipe, 0) : uv_tcp_init(loop, &socket->tcp);
    if (error != 0) {
        free(socket);
        return;
    }
    (void)uv_accept(&listener->socket.stream, &socket->stream);
    uv_close(&socket->handle, on_refused);
}

void listener_close(struct listener *listener, void (*closed)(void *context), void *context)
{
    listener->closed = closed;
    listener->closed_context = context;
    uv_close(&listener->socket.handle, on_closed); /* Also removes a UNIX socket's file. */
}
