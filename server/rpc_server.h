/*
 * The admin RPC's doors: a UNIX socket and a TLS port. Connections, frames, and who is at the other
 * end; what a request means is dispatch's matter.
 *
 * Who asks: on the UNIX socket what the kernel says (rpc_caller.h); on TLS what the certificate says (a
 * member's node certificate: peer; an operator's: that operator's role; none: anyone, for
 * cluster.admit alone).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RPC_SERVER_H
#define SERVER_RPC_SERVER_H

#include <stdint.h>

#include "base/status.h"

struct daemon;
struct rpc_server;

/* Listen on both doors of the configuration; without daemon->tls_server on the UNIX socket alone.
 * STATUS_BUSY (in use), STATUS_INVALID, STATUS_IO. */
MUST_USE struct status rpc_server_open(struct daemon *daemon, struct rpc_server **out);

/* Take no more connections and requests; what is under way is answered. */
void rpc_server_drain(struct rpc_server *server);

/* Close everything; `closed` comes from the loop. */
void rpc_server_close(struct rpc_server *server, void (*closed)(void *context), void *context);

/* Cut connections that are idle, or stuck, beyond their time. */
void rpc_server_sweep(struct rpc_server *server, uint64_t now_ms);

/* Members or operators changed: look all callers up again, and cut who is nobody now. */
void rpc_server_review(struct rpc_server *server);

struct rpc_server_counts {
    uint64_t open;             /* Connections, now. */
    uint64_t refused;          /* Turned away since the start. */
    uint64_t cut;              /* Ended because they were idle or stuck. */
    uint64_t requests_refused; /* Told to wait. */
};

struct rpc_server_counts rpc_server_counts(const struct rpc_server *server);

#endif
