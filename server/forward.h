/*
 * Forwarding: calls that only the leader can answer, passed on to it over one TLS connection.
 *
 * A call whose answer does not come is answered all the same: "unreachable" when it was certainly
 * not carried out, "outcome unknown" when it may have been.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_FORWARD_H
#define SERVER_FORWARD_H

#include <stdint.h>

#include "base/status.h"

struct call;
struct daemon;
struct forwarder;
struct tls_context;

MUST_USE struct status forwarder_create(struct daemon *daemon, struct forwarder **out);

/* `closed` is called from the loop, with every forwarded call answered. */
void forwarder_close(struct forwarder *forwarder, void (*closed)(void *context), void *context);

/* Pass a call on; it is answered now or later. */
void forward_call(struct forwarder *forwarder, struct call *call);

/* A leader that stays silent past a call's deadline is given up, and the connection with it. */
void forwarder_sweep(struct forwarder *forwarder, uint64_t now_ms);

#endif
