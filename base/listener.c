/*
 * Listeners: sockets that wait for connections.
 *
 * A turn of the loop takes ACCEPTS_MAX of them: libuv would take all that come, and who opens them fast
 * would keep the loop from everything else. One that is not taken waits, libuv announces no other
 * meanwhile, and the next turn goes on with it. (When no more files may be open, libuv closes what comes.)
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

#define BACKLOG 1024   /* Connections not yet accepted: what comes while the loop is busy. */
#define ACCEPTS_MAX 16 /* In a turn: some ms of TLS. */
#define SHORTAGE_MS 50 /* Without memory for one, it waits so long. */

static struct status fail_uv(int error, const char *address)
{
    enum status_code code = error == UV_EADDRINUSE ? STATUS_BUSY : STATUS_IO;
    return fail(code, "listen on %.100s: %s", address, uv_strerror(error));
}

static void on_turn_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    if (listener->closed != NULL) {
        listener->closed(listener->closed_context);
    }
    free(listener);
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    uv_close((uv_handle_t *)&listener->turn, on_turn_closed);
}

static void on_turn(uv_timer_t *timer);

static void announce_next(struct listener *listener)
{
    if (uv_is_closing(&listener->socket.handle)) {
        return;
    }
    listener->waits = listener->accepts >= ACCEPTS_MAX;
    if (!uv_is_active((uv_handle_t *)&listener->turn)) {
        (void)uv_timer_start(&listener->turn, on_turn, 0, 0);
    }
    if (!listener->waits) {
        listener->accepts++;
        listener->on_connection(listener, listener->context);
    }
}

static void on_turn(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    listener->accepts = 0;
    if (listener->waits) {
        announce_next(listener);
    }
}

static void on_connection(uv_stream_t *socket, int error)
{
    if (error == 0) {
        announce_next(socket->data);
    }
}

/* The socket is made: from here on closing it is what gives everything back. */
static void begin(struct listener *listener, uv_loop_t *loop)
{
    (void)uv_timer_init(loop, &listener->turn); /* Always 0. */
    listener->turn.data = listener;
    listener->socket.handle.data = listener;
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
    begin(listener, loop);
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
    begin(listener, loop);
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

/* It stays where it is, and is announced again. */
static void put_off(struct listener *listener)
{
    listener->waits = true;
    (void)uv_timer_start(&listener->turn, on_turn, SHORTAGE_MS, 0);
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
        put_off(listener);
        return;
    }
    int error =
        listener->local ? uv_pipe_init(loop, &socket->pipe, 0) : uv_tcp_init(loop, &socket->tcp);
    if (error != 0) {
        free(socket);
        put_off(listener);
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
