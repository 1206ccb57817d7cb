/*
 * How many may come in at the admin RPC's doors, from where, and how often they may ask.
 *
 * At most connections_max are open, or as many as the limit of open files leaves: log, state and peers
 * come first. Strangers (at the TLS port, without a certificate that the state knows, or not yet that
 * far) get half of them, and SHAKING_MAX may be in
 * their handshake, which is what costs time: when there are as many, the oldest gives way. The UNIX socket has LOCAL_RESERVE of its own, and members' addresses have
 * MEMBER_RESERVE. One address, and one user of the socket, gets connections_per_address_max, new ones
 * at connections_per_s_max, and requests at requests_per_s_max. Members' addresses and administrators
 * on the socket are not held to the last three: who can reach a port cannot keep them out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RPC_DOORS_H
#define SERVER_RPC_DOORS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "client/protocol.h"
#include "rpc_server.h"

struct rpc_doors;

/* What a connection holds of the limits; begins as zero. */
struct door_pass {
    bool entered; /* Counted as open. */
    bool gated;   /* Counted for its source. */
    bool limited; /* Its requests are. */
    bool stranger;
    bool shaking; /* Its TLS handshake is not done. */
    uint64_t source;
};

/* STATUS_NO_MEMORY. */
MUST_USE struct status rpc_doors_create(struct daemon *daemon, struct rpc_doors **out);
void rpc_doors_destroy(struct rpc_doors *doors); /* NULL is ignored. */

/* A connection to the TLS port; false: turned away. */
bool rpc_doors_enter(struct rpc_doors *doors, struct door_pass *pass, uint64_t source);

/* Are there so many strangers, or of them in their handshake, that one must go before the next comes in? */
bool rpc_doors_crowded(const struct rpc_doors *doors);
bool rpc_doors_shaking(const struct rpc_doors *doors);

/* The UNIX socket: is there room; a connection was taken; and whose it is. False: it is to go. */
bool rpc_doors_has_room(struct rpc_doors *doors);
void rpc_doors_enter_local(struct rpc_doors *doors, struct door_pass *pass);
bool rpc_doors_user(struct rpc_doors *doors, struct door_pass *pass, enum rpc_role role, uid_t uid);

/* What a certificate was found to be worth. */
void rpc_doors_note(struct rpc_doors *doors, struct door_pass *pass, enum rpc_role role);

/* One request more? */
bool rpc_doors_let_ask(struct rpc_doors *doors, const struct door_pass *pass);

/* The connection is gone. A pass that was not taken is left without harm. */
void rpc_doors_leave(struct rpc_doors *doors, struct door_pass *pass);

void rpc_doors_count_cut(struct rpc_doors *doors);
struct rpc_server_counts rpc_doors_counts(const struct rpc_doors *doors);

/* Learn the members' addresses, and say at times how many were turned away. */
void rpc_doors_sweep(struct rpc_doors *doors, uint64_t now_ms);

#endif
