/*
 * The admin RPC's doors: a UNIX socket and a TLS port. Connections, frames, and who is at the other
 * end; what a request means is dispatch's matter.
 *
 * Who asks: on the UNIX socket what the kernel says (root and the daemon's own user are
 * administrators, others that can open the socket are viewers); on TLS what the certificate says (a
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
struct tls_context;

/* Listen on both doors of the configuration; without `tls` on the UNIX socket alone. STATUS_BUSY (in use), STATUS_INVALID, STATUS_IO. */
MUST_USE struct status rpc_server_open(struct daemon *daemon, struct tls_context *tls,
                                       struct rpc_server **out);

/* Take no more connections and requests; what is under way is answered. */
void rpc_server_drain(struct rpc_server *server);

/* Close everything; `closed` comes from the loop. */
void rpc_server_close(struct rpc_server *server, void (*closed)(void *context), void *context);

/* Cut connections that are idle beyond their time. */
void rpc_server_sweep(struct rpc_server *server, uint64_t now_ms);

/* Open connections. */
uint64_t rpc_server_connections(const struct rpc_server *server);

#endif
