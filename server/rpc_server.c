/*
 * Connections of the admin RPC.
 *
 * Back-pressure: a connection with CONNECTION_CALLS_MAX requests or CONNECTION_CALLS_SIZE_MAX bytes
 * of them under way is not read from until some are answered. Cut is who does not take its answers
 * (UNSENT_SIZE_MAX bytes wait, or none goes for STUCK_MS), who begins a message and does not end it,
 * who is silent for too long, and whom the state does not know any more (rpc_server_review()). A
 * message that is not RPC gets a typed error and ends the connection.
 *
 * How many there may be is rpc_doors.c's matter.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rpc_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/skim.h"
#include "base/stream.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "rpc_caller.h"
#include "rpc_doors.h"

#define CONNECTION_CALLS_MAX 1024             /* Requests under way on one connection. */
#define CONNECTION_CALLS_SIZE_MAX (8U << 20U) /* Bytes of their params. */
#define UNSENT_SIZE_MAX (16U << 20U)          /* Bytes of answers that wait on one connection. */
#define STRANGER_SIZE_MAX 65536               /* Bytes of a message without a certificate. */
#define STRANGER_LIFE_MS UINT64_C(60000)      /* Of a connection without a certificate. */
#define IDLE_MS UINT64_C(3600000)             /* Of any connection. */
#define STUCK_MS                                                                                   \
    UINT64_C(10000) /* No byte comes of a message that was begun, or goes of an answer. */
#define MESSAGE_MS UINT64_C(60000)     /* A message is whole by then, however it drips. */
#define IDENTITY_AGE_MS UINT64_C(1000) /* A certificate is looked up again after that. */
#define SOCKET_MODE 0660

struct connection {
    struct rpc_server *server;
    struct connection *next;
    struct connection *previous;
    struct stream *stream;
    struct buffer input;
    struct caller caller;
    struct door_pass pass;
    bool local;
    bool paused;
    bool ending;  /* Nothing more is read. */
    bool reading; /* In the frame loop: answers may come from within. */
    unsigned calls;
    size_t calls_size;
    size_t unsent_size; /* At the last sweep. */
    uint64_t opened_at_ms;
    uint64_t active_at_ms;
    uint64_t begun_at_ms; /* When the message began that is not whole yet; 0: none. */
    uint64_t taken_at_ms; /* When answers were last seen to go, or none waited. */
    uint64_t identified_at_ms;
};

struct rpc_server {
    struct daemon *daemon;
    struct rpc_doors *doors;
    struct listener *local;
    struct listener *tcp;
    struct connection *connections;
    bool draining;
    unsigned listeners_open;
    void (*closed)(void *context);
    void *closed_context;
};

static void finish_close(struct rpc_server *server)
{
    if (server->closed == NULL || server->listeners_open > 0 || server->connections != NULL) {
        return;
    }
    void (*closed)(void *context) = server->closed;
    void *context = server->closed_context;
    rpc_doors_destroy(server->doors);
    free(server);
    closed(context);
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct connection *connection = context;
    struct rpc_server *server = connection->server;
    (void)stream;
    if (failed(reason)) {
        log_event(LOG_LEVEL_DEBUG, "rpc connection ended", log_text("reason", reason.message),
                  log_text("origin", connection->caller.origin));
    }
    call_detach_all(server->daemon, connection);
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    rpc_doors_leave(server->doors, &connection->pass);
    secret_wipe_buffer(&connection->input);
    free(connection);
    finish_close(server);
}

/* ---- Who is there ---- */

static void identify_tls(struct connection *connection)
{
    struct caller *caller = &connection->caller;
    connection->identified_at_ms = clock_monotonic_ms();
    rpc_caller_by_certificate(connection->server->daemon, connection->stream, caller);
    rpc_doors_note(connection->server->doors, &connection->pass, caller->role);
}

/* Who was somebody and is nobody now is cut off; what is under way is still answered. */
static void identify_again(struct connection *connection)
{
    bool known = connection->caller.role != RPC_ROLE_ANYONE;
    identify_tls(connection);
    if (known && connection->caller.role == RPC_ROLE_ANYONE) {
        log_event(LOG_LEVEL_NOTICE, "cut off a caller who is nobody any more",
                  log_text("origin", connection->caller.origin));
        connection->ending = true;
    }
}

/* ---- Frames ---- */

static void send_bytes(struct connection *connection, struct slice bytes)
{
    struct status status = stream_write(connection->stream, &bytes, 1);
    if (failed(status)) {
        stream_close_because(connection->stream, status);
    }
}

static void read_frames(struct connection *connection);

static bool is_full(const struct connection *connection)
{
    return connection->calls >= CONNECTION_CALLS_MAX ||
           connection->calls_size >= CONNECTION_CALLS_SIZE_MAX;
}

static void answer(struct call *call, struct slice frame)
{
    struct connection *connection = call->connection;
    connection->calls--;
    connection->calls_size -= call->params_counted;
    if (frame.size == 0) {
        stream_close_because(connection->stream, fail(STATUS_NO_MEMORY, "answer a request"));
        return;
    }
    send_bytes(connection, frame);
    if (connection->ending && connection->calls == 0) {
        stream_shutdown(connection->stream);
        return;
    }
    if (connection->paused && !connection->reading &&
        connection->calls < CONNECTION_CALLS_MAX / 2 &&
        connection->calls_size < CONNECTION_CALLS_SIZE_MAX / 2) {
        connection->paused = false;
        stream_resume(connection->stream);
        read_frames(connection);
    }
}

static void end_with_error(struct connection *connection, uint32_t id, uint64_t error,
                           struct status status)
{
    struct buffer frame = {0};
    connection->ending = true;
    if (rpc_frame_error(&frame, id, error, slice_of(status.message))) {
        send_bytes(connection, buffer_slice(&frame));
    }
    buffer_release(&frame);
    stream_shutdown(connection->stream);
}

static void tell_to_wait(struct connection *connection, uint32_t id)
{
    static const char words[] = "too many requests a second from this address; ask again in a "
                                "second (requests_per_s_max)";
    struct buffer frame = {0};
    if (rpc_frame_error(&frame, id, RPC_BUSY, slice_of(words))) {
        send_bytes(connection, buffer_slice(&frame));
    }
    buffer_release(&frame);
}

static void take_frame(struct connection *connection, struct slice bytes)
{
    struct rpc_frame frame;
    bool id_known;
    struct status status = rpc_frame_parse(bytes, &frame, &id_known);
    if (!failed(status) && frame.response) {
        status = fail(STATUS_INVALID, "this is a response, and nothing was asked");
    }
    if (failed(status)) {
        end_with_error(connection, id_known ? frame.id : 0, RPC_INVALID, status);
        return;
    }
    if (!connection->local &&
        connection->active_at_ms > connection->identified_at_ms + IDENTITY_AGE_MS) {
        identify_again(connection); /* Its time may be over. */
    }
    if (!rpc_doors_let_ask(connection->server->doors, &connection->pass)) {
        tell_to_wait(connection, frame.id);
        return;
    }
    connection->calls++;
    connection->calls_size += frame.params.size;
    if (!call_begin(connection->server->daemon, &frame, &connection->caller, connection, answer)) {
        connection->calls--;
        connection->calls_size -= frame.params.size;
        stream_close_because(connection->stream, fail(STATUS_NO_MEMORY, "take a request"));
    }
}

static void read_frames(struct connection *connection)
{
    const bool stranger = connection->caller.role == RPC_ROLE_ANYONE;
    const struct skim_limits limits = {
        .size_max = stranger ? STRANGER_SIZE_MAX : RPC_FRAME_SIZE_MAX,
        .depth_max = RPC_DEPTH_MAX,
        .values_max = RPC_VALUES_MAX,
    };
    size_t used = 0;
    connection->reading = true;
    while (!connection->ending && !connection->server->draining) {
        struct slice rest = {.data = connection->input.data + used,
                             .size = connection->input.size - used};
        size_t size = 0;
        if (is_full(connection)) {
            connection->paused = true;
            stream_pause(connection->stream);
            break;
        }
        enum skim_result skimmed = skim_value(rest, &limits, &size);
        if (skimmed == SKIM_PARTIAL) {
            break;
        }
        if (skimmed != SKIM_COMPLETE) {
            end_with_error(connection, 0, RPC_INVALID,
                           fail(STATUS_INVALID,
                                "the message is %s (at most %zu bytes, %u levels, "
                                "%d values)",
                                skim_explain(skimmed), limits.size_max, limits.depth_max,
                                RPC_VALUES_MAX));
            break;
        }
        used += size;
        rest.size = size;
        take_frame(connection, rest);
    }
    connection->reading = false;
    secret_consume(&connection->input, used);
    if (connection->input.size == 0 || connection->paused) {
        connection->begun_at_ms = 0;
    } else if (used > 0 || connection->begun_at_ms == 0) {
        connection->begun_at_ms = clock_monotonic_ms();
    }
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    struct connection *connection = context;
    if (connection->ending) {
        return;
    }
    connection->active_at_ms = clock_monotonic_ms();
    if (!buffer_append(&connection->input, bytes.data, bytes.size)) {
        stream_close_because(stream, fail(STATUS_NO_MEMORY, "read a request"));
        return;
    }
    read_frames(connection);
}

static void on_open(struct stream *stream, void *context)
{
    struct connection *connection = context;
    struct rpc_server *server = connection->server;
    uid_t uid;
    stream_peer_address(stream, connection->caller.origin);
    connection->caller.node_id = server->daemon->identity.node_id;
    if (!connection->local) {
        identify_tls(connection);
        return;
    }
    rpc_caller_by_socket(server->daemon, stream, &connection->caller, &uid);
    if (!rpc_doors_user(server->doors, &connection->pass, connection->caller.role, uid)) {
        end_with_error(connection, 0, RPC_BUSY,
                       fail(STATUS_BUSY, "this user has too many connections, or opens them too "
                                         "fast; ask again in a second"));
    }
}

static const struct stream_handlers connection_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

/* ---- Listening ---- */

/* A new connection is to find room: that of a stranger who has nothing under way, the oldest. */
static void drop_stranger(struct rpc_server *server, bool shaking)
{
    struct connection *oldest = NULL;
    for (struct connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        const struct door_pass *pass = &connection->pass;
        bool idle = (shaking ? pass->shaking : pass->stranger) && connection->calls == 0 &&
                    !connection->ending;
        oldest = idle ? connection : oldest; /* New ones stand first. */
    }
    if (oldest != NULL) {
        oldest->ending = true;
        stream_close(oldest->stream);
    }
}

static bool admit(void *context, uint64_t source)
{
    struct connection *connection = context;
    return rpc_doors_enter(connection->server->doors, &connection->pass, source);
}

static void on_connection(struct listener *listener, void *context)
{
    struct rpc_server *server = context;
    bool local = listener == server->local;
    struct connection *connection =
        server->draining || (local && !rpc_doors_has_room(server->doors))
            ? NULL
            : alloc_zeroed(1, sizeof *connection);
    if (connection == NULL) {
        listener_refuse(listener);
        return;
    }
    const struct stream_options options = {
        .loop = server->daemon->loop,
        .handlers = &connection_handlers,
        .context = connection,
        .unsent_size_max = UNSENT_SIZE_MAX,
        .admit = admit,
    };
    connection->server = server;
    connection->local = local;
    connection->opened_at_ms = clock_monotonic_ms();
    connection->active_at_ms = connection->opened_at_ms;
    connection->taken_at_ms = connection->opened_at_ms;
    if (!local && (rpc_doors_crowded(server->doors) || rpc_doors_shaking(server->doors))) {
        drop_stranger(server, rpc_doors_shaking(server->doors));
    }
    struct status status = local ? stream_accept_local(listener, &options, &connection->stream)
                                 : stream_accept_tls(listener, server->daemon->tls_server, &options,
                                                     &connection->stream);
    if (failed(status)) {
        rpc_doors_leave(server->doors, &connection->pass);
        free(connection);
        return;
    }
    if (local) {
        rpc_doors_enter_local(server->doors, &connection->pass);
    }
    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
}

static void on_listener_closed(void *context)
{
    struct rpc_server *server = context;
    server->listeners_open--;
    finish_close(server);
}

static void ignore_closed(void *context)
{
    struct rpc_server *server = context;
    rpc_doors_destroy(server->doors);
    free(server);
}

struct status rpc_server_open(struct daemon *daemon, struct rpc_server **out)
{
    const struct config *config = &daemon->config;
    struct status status = rpc_caller_group(config->socket_operator_group, &daemon->operator_group);
    if (failed(status)) {
        return status;
    }
    struct rpc_server *server = alloc_zeroed(1, sizeof *server);
    status = server == NULL ? fail(STATUS_NO_MEMORY, "open the admin RPC")
                            : rpc_doors_create(daemon, &server->doors);
    if (failed(status)) {
        free(server);
        return status;
    }
    server->daemon = daemon;
    status = listener_open_local(daemon->loop, config->socket, SOCKET_MODE, on_connection, server,
                                 &server->local);
    if (failed(status)) {
        ignore_closed(server);
        return wrap(status, "listen on %s", config->socket);
    }
    server->listeners_open = 1;
    if (daemon->tls_server != NULL) {
        status = listener_open_tcp(daemon->loop, config->rpc_listen, on_connection, server,
                                   &server->tcp);
        server->listeners_open = 2;
    }
    if (failed(status)) {
        listener_close(server->local, ignore_closed, server);
        return wrap(status, "listen on %s", config->rpc_listen);
    }
    *out = server;
    return OK;
}

void rpc_server_drain(struct rpc_server *server)
{
    server->draining = true;
}

void rpc_server_close(struct rpc_server *server, void (*closed)(void *context), void *context)
{
    server->draining = true;
    server->closed = closed;
    server->closed_context = context;
    listener_close(server->local, on_listener_closed, server);
    if (server->tcp != NULL) {
        listener_close(server->tcp, on_listener_closed, server);
    }
    for (struct connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        connection->ending = true;
        stream_shutdown(connection->stream);
    }
}

/* Who is not worth waiting for any more. */
static bool is_over(struct connection *connection, uint64_t now_ms)
{
    size_t unsent_size = stream_unsent_size(connection->stream);
    if (unsent_size == 0 || unsent_size < connection->unsent_size) {
        connection->taken_at_ms = now_ms;
    }
    connection->unsent_size = unsent_size;
    bool over = connection->pass.stranger && now_ms > connection->opened_at_ms + STRANGER_LIFE_MS;
    bool idle = connection->calls == 0 && now_ms > connection->active_at_ms + IDLE_MS;
    uint64_t begun_ms = connection->begun_at_ms == 0 ? now_ms : connection->begun_at_ms;
    uint64_t moved_ms = connection->active_at_ms > begun_ms ? connection->active_at_ms : begun_ms;
    bool slow = now_ms > moved_ms + STUCK_MS || now_ms > begun_ms + MESSAGE_MS;
    return over || idle || slow || now_ms > connection->taken_at_ms + STUCK_MS;
}

void rpc_server_sweep(struct rpc_server *server, uint64_t now_ms)
{
    for (struct connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        if (is_over(connection, now_ms)) {
            rpc_doors_count_cut(server->doors);
            stream_close(connection->stream);
        }
    }
    rpc_doors_sweep(server->doors, now_ms);
}

void rpc_server_review(struct rpc_server *server)
{
    for (struct connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        if (!connection->local && connection->caller.role != RPC_ROLE_ANYONE &&
            !connection->ending) {
            identify_again(connection);
            if (connection->ending && connection->calls == 0) {
                stream_shutdown(connection->stream);
            }
        }
    }
}

struct rpc_server_counts rpc_server_counts(const struct rpc_server *server)
{
    return rpc_doors_counts(server->doors);
}
