/*
 * A connection to a node, for programs that wait for their answers: `muster`, `muster-feed`,
 * `muster-web` and benchmarks. Calls block until the answer or a deadline; several requests may be
 * in flight at once.
 *
 *     struct connection *connection;
 *     status = connection_open(&options, &connection);
 *     struct connection_request request = {.method = RPC_CLUSTER_STATUS, .params = &empty};
 *     status = connection_call(connection, &request, &arena, &cluster_status, &error);
 *     ...
 *     connection_close(connection);
 *
 * Nothing is sent before the other side is verified (transport.h). Everything received is bounded
 * and skimmed before it is decoded. One thread at a time. Programs ignore SIGPIPE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "client/protocol.h"

#define CONNECTION_SOCKET_DEFAULT "/run/muster/rpc.sock"
#define CONNECTION_IN_FLIGHT_MAX 64U /* Requests without an answer. */
#define CONNECTION_GRACE_MS 2000U    /* Beyond the deadline, so that the node's own answer comes. */

struct connection_options {
    const char *socket_path;      /* NULL: CONNECTION_SOCKET_DEFAULT, unless there is an address. */
    const char *address;          /* host:port, [v6]:port; mutual TLS with the files below. */
    const char *ca_path;          /* PEM: the cluster's CA; NULL: it stands in the next one, too. */
    const char *certificate_path; /* PEM: the operator's. */
    const char *key_path;         /* PEM: of that certificate. */
    uint64_t timeout_ms;          /* For connecting; 0: RPC_DEADLINE_DEFAULT_MS. */
};

struct connection;

struct connection_request {
    enum rpc_method method;
    const void *params; /* The struct that the method's params codec describes. */
    struct rpc_options options;
};

/* What went wrong, in the words of the protocol. */
struct connection_error {
    uint64_t code; /* enum rpc_error, or a refusal above RPC_REFUSED. */
    char message[RPC_ERROR_SIZE_MAX + 1];
};

/*
 * Connect and verify. STATUS_UNREACHABLE, STATUS_TIMEOUT, STATUS_UNAUTHORIZED (not a node of this
 * cluster, or it refuses us), STATUS_INVALID (options, or a file they name), STATUS_NO_MEMORY.
 * `*out` is written on success only. The options are copied.
 */
MUST_USE struct status connection_open(const struct connection_options *options,
                                       struct connection **out);

/* Speak over a connected stream socket, which belongs to the connection from now on. It cannot be
 * reopened. STATUS_NO_MEMORY leaves the socket to the caller. */
MUST_USE struct status connection_adopt(int fd, struct connection **out);

void connection_close(struct connection *connection); /* NULL is ignored. */

/* Connect again after a failure, trying until `timeout_ms` have passed. Whatever was in flight is
 * forgotten. Fails as connection_open() does, and may be called again. */
MUST_USE struct status connection_reopen(struct connection *connection, uint64_t timeout_ms);

/* Whether a call would only fail: the stream is closed or out of step, connection_reopen() helps. */
bool connection_is_broken(const struct connection *connection);

/*
 * Ask and wait for the answer, decoded into `result` (the struct that the method's result codec
 * describes), which lives as long as `arena`. Nothing else may be in flight.
 *
 * A failure is described in `error` too, unless that is NULL. Besides the statuses of the node's
 * errors (rpc_status_of_error): STATUS_INVALID (params beyond their limits), STATUS_UNREACHABLE or
 * STATUS_TIMEOUT (nothing was changed), STATUS_UNKNOWN (a change was sent and the connection or the
 * deadline ended before the answer: look before you repeat), STATUS_CORRUPT (the answer is not one).
 */
MUST_USE struct status connection_call(struct connection *connection,
                                       const struct connection_request *request,
                                       struct arena *arena, void *result,
                                       struct connection_error *error);

/* ---- Several requests at once ---- */

/* Send without waiting for the answer; `*id` is the request's. STATUS_BUSY when
 * CONNECTION_IN_FLIGHT_MAX are in flight: receive first. Fails as connection_call() does. */
MUST_USE struct status connection_send(struct connection *connection,
                                       const struct connection_request *request, uint32_t *id);

size_t connection_in_flight(const struct connection *connection);

struct connection_reply {
    uint32_t id;
    enum rpc_method method;
    uint64_t error;       /* 0: there is a result. */
    struct slice message; /* Of an error. Borrowed until the next call on the connection. */
    struct slice result;  /* As bytes. Borrowed likewise. */
};

/*
 * The next answer, whichever request it belongs to, by `timeout_ms` from now. STATUS_TIMEOUT leaves
 * everything in flight; any other failure breaks the connection: what was in flight may have taken
 * effect. STATUS_INVALID when nothing is in flight.
 */
MUST_USE struct status connection_receive(struct connection *connection, uint64_t timeout_ms,
                                          struct connection_reply *out);

/* The result as a struct, as connection_call() gives it; or the error as a status. */
MUST_USE struct status connection_decode(const struct connection_reply *reply, struct arena *arena,
                                         void *result);

#endif
