/*
 * Connections of the admin RPC.
 *
 * Back-pressure: a connection with CONNECTION_CALLS_MAX requests or CONNECTION_CALLS_SIZE_MAX bytes
 * of them under way is not read from until some are answered; one that does not take its answers is cut when UNSENT_SIZE_MAX bytes wait.
 * A message that is not RPC gets a typed error and ends the connection.
 *
 * Connections are counted; strangers (on the TLS port, without a certificate or not yet that far) get
 * half of them at most, and the UNIX socket has LOCAL_RESERVE of its own: who can reach the port
 * cannot keep members and administrators out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rpc_server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/skim.h"
#include "base/stream.h"
#include "base/x509.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"

#define CONNECTION_CALLS_MAX 1024             /* Requests under way on one connection. */
#define CONNECTION_CALLS_SIZE_MAX (8U << 20U) /* Bytes of their params. */
#define LOCAL_RESERVE 16                      /* Connections. */
#define UNSENT_SIZE_MAX (16U << 20U)          /* Bytes of answers that wait on one connection. */
#define STRANGER_SIZE_MAX 65536               /* Bytes of a message without a certificate. */
#define STRANGER_LIFE_MS UINT64_C(60000)      /* Of a connection without a certificate. */
#define IDLE_MS UINT64_C(3600000)             /* Of any connection. */
#define IDENTITY_AGE_MS UINT64_C(1000)        /* A certificate is looked up again after that. */
#define SOCKET_MODE 0660

struct connection {
    struct rpc_server *server;
    struct connection *next;
    struct connection *previous;
    struct stream *stream;
    struct buffer input;
    struct caller caller;
    bool local;
    bool stranger;
    bool paused;
    bool ending;  /* Nothing more is read. */
    bool reading; /* In the frame loop: answers may come from within. */
    unsigned calls;
    size_t calls_size;
    uint64_t opened_at_ms;
    uint64_t active_at_ms;
    uint64_t identified_at_ms;
};

struct rpc_server {
    struct daemon *daemon;
    struct tls_context *tls;
    struct listener *local;
    struct listener *tcp;
    struct connection *connections;
    uint64_t connection_count;
    uint64_t stranger_count;
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
    server->connection_count--;
    server->stranger_count -= connection->stranger;
    secret_wipe_buffer(&connection->input);
    free(connection);
    finish_close(server);
}

/* ---- Who is there ---- */

static void identify_local(struct connection *connection)
{
    uid_t uid = (uid_t)-1;
    gid_t gid;
    struct caller *caller = &connection->caller;
    if (failed(stream_peer_user(connection->stream, &uid, &gid, NULL))) {
        caller->role = RPC_ROLE_ANYONE;
        return;
    }
    caller->role = uid == 0 || uid == geteuid() ? RPC_ROLE_ADMIN : RPC_ROLE_VIEWER;
    (void)snprintf(caller->actor, sizeof caller->actor, "uid %u", (unsigned)uid);
}

static bool is_member(struct daemon *daemon, struct slice pem, struct caller *caller)
{
    struct arena arena = {0};
    struct member member;
    uint64_t node_id;
    bool found = daemon->store != NULL && !failed(node_id_of_certificate(pem, &node_id)) &&
                 !failed(store_member(daemon->store, &arena, node_id, &member)) &&
                 member.standing != STANDING_REMOVED;
    if (found) {
        caller->role = RPC_ROLE_PEER;
        caller->peer_id = node_id;
        (void)snprintf(caller->actor, sizeof caller->actor, "node %.*s", SLICE_ARG(member.name));
    }
    arena_release(&arena);
    return found;
}

static void identify_operator(struct daemon *daemon, struct slice pem, struct caller *caller)
{
    uint8_t hash[X509_HASH_SIZE];
    struct arena arena = {0};
    struct operator_view found;
    struct slice fingerprint = {.data = hash, .size = sizeof hash};
    struct status status = daemon->store == NULL ? fail(STATUS_NOT_FOUND, "the state is closed")
                                                 : x509_fingerprint(pem, hash);
    if (!failed(status)) {
        status = store_operator_by_fingerprint(daemon->store, &arena, fingerprint, &found);
    }
    /* TLS looked at the dates when the connection began, which may be long ago. */
    if (failed(status) || clock_now_ms() >= found.not_after_ms) {
        caller->role = RPC_ROLE_ANYONE;
        (void)snprintf(caller->actor, sizeof caller->actor, "%s certificate",
                       failed(status) ? "unknown" : "expired");
    } else {
        caller->role = (enum rpc_role)found.role;
        (void)snprintf(caller->actor, sizeof caller->actor, "operator %.*s", SLICE_ARG(found.name));
    }
    arena_release(&arena);
}

static void count_stranger(struct connection *connection, bool stranger)
{
    struct rpc_server *server = connection->server;
    server->stranger_count += stranger;
    server->stranger_count -= connection->stranger;
    connection->stranger = stranger;
}

static void identify_tls(struct connection *connection)
{
    struct daemon *daemon = connection->server->daemon;
    struct caller *caller = &connection->caller;
    struct buffer pem = {0};
    connection->identified_at_ms = clock_monotonic_ms();
    caller->peer_id = 0;
    if (failed(stream_peer_certificate(connection->stream, &pem))) {
        caller->role = RPC_ROLE_ANYONE;
        (void)snprintf(caller->actor, sizeof caller->actor, "no certificate");
    } else if (!is_member(daemon, buffer_slice(&pem), caller)) {
        identify_operator(daemon, buffer_slice(&pem), caller);
    }
    buffer_release(&pem);
    count_stranger(connection, caller->role == RPC_ROLE_ANYONE);
}

static void on_open(struct stream *stream, void *context)
{
    struct connection *connection = context;
    stream_peer_address(stream, connection->caller.origin);
    connection->caller.node_id = connection->server->daemon->identity.node_id;
    if (connection->local) {
        identify_local(connection);
    } else {
        identify_tls(connection);
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
    if (connection->paused && !connection->reading &&
        connection->calls < CONNECTION_CALLS_MAX / 2 &&
        connection->calls_size < CONNECTION_CALLS_SIZE_MAX / 2) {
        connection->paused = false;
        stream_resume(connection->stream);
        read_frames(connection);
    }
}

static void end_with_error(struct connection *connection, uint32_t id, struct status status)
{
    struct buffer frame = {0};
    connection->ending = true;
    if (rpc_frame_error(&frame, id, RPC_INVALID, slice_of(status.message))) {
        send_bytes(connection, buffer_slice(&frame));
    }
    buffer_release(&frame);
    stream_shutdown(connection->stream);
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
        end_with_error(connection, id_known ? frame.id : 0, status);
        return;
    }
    if (!connection->local &&
        connection->active_at_ms > connection->identified_at_ms + IDENTITY_AGE_MS) {
        identify_tls(connection); /* A removed member or operator is soon out. */
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
            end_with_error(connection, 0,
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

static const struct stream_handlers connection_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

/* ---- Listening ---- */

static bool has_room(const struct rpc_server *server, bool local)
{
    uint64_t max = server->daemon->config.connections_max;
    if (server->draining) {
        return false;
    }
    return local ? server->connection_count < max + LOCAL_RESERVE
                 : server->connection_count < max && server->stranger_count < (max + 1) / 2;
}

static void on_connection(struct listener *listener, void *context)
{
    struct rpc_server *server = context;
    bool local = listener == server->local;
    struct connection *connection =
        has_room(server, local) ? alloc_zeroed(1, sizeof *connection) : NULL;
    if (connection == NULL) {
        listener_refuse(listener);
        return;
    }
    const struct stream_options options = {
        .loop = server->daemon->loop,
        .handlers = &connection_handlers,
        .context = connection,
        .unsent_size_max = UNSENT_SIZE_MAX,
    };
    connection->server = server;
    connection->local = local;
    connection->opened_at_ms = clock_monotonic_ms();
    connection->active_at_ms = connection->opened_at_ms;
    struct status status =
        local ? stream_accept_local(listener, &options, &connection->stream)
              : stream_accept_tls(listener, server->tls, &options, &connection->stream);
    if (failed(status)) {
        free(connection);
        return;
    }
    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    server->connection_count++;
    count_stranger(connection, !local);
}

static void on_listener_closed(void *context)
{
    struct rpc_server *server = context;
    server->listeners_open--;
    finish_close(server);
}

static void ignore_closed(void *context)
{
    free(context);
}

struct status rpc_server_open(struct daemon *daemon, struct tls_context *tls,
                              struct rpc_server **out)
{
    const struct config *config = &daemon->config;
    struct rpc_server *server = alloc_zeroed(1, sizeof *server);
    if (server == NULL) {
        return fail(STATUS_NO_MEMORY, "open the admin RPC");
    }
    server->daemon = daemon;
    server->tls = tls;
    struct status status = listener_open_local(daemon->loop, config->socket, SOCKET_MODE,
                                               on_connection, server, &server->local);
    if (failed(status)) {
        free(server);
        return wrap(status, "listen on %s", config->socket);
    }
    server->listeners_open = 1;
    if (tls != NULL) {
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

void rpc_server_sweep(struct rpc_server *server, uint64_t now_ms)
{
    for (struct connection *connection = server->connections; connection != NULL;
         connection = connection->next) {
        bool over = connection->stranger && now_ms > connection->opened_at_ms + STRANGER_LIFE_MS;
        bool idle = connection->calls == 0 && now_ms > connection->active_at_ms + IDLE_MS;
        if (over || idle) {
            stream_close(connection->stream);
        }
    }
}

uint64_t rpc_server_connections(const struct rpc_server *server)
{
    return server->connection_count;
}
