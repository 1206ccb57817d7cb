/*
 * What a joining node says, and what it makes of the answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_JOIN_REQUEST_H
#define SERVER_JOIN_REQUEST_H

#include <stdbool.h>

#include "client/protocol.h"
#include "identity.h"

struct daemon;

/* Append a whole cluster.admit request, with the statement about this node signed by its key. The
 * buffer then holds the token's secret: wipe it. */
MUST_USE struct status join_request(struct daemon *daemon, const struct join_token *token,
                                    bool check, struct buffer *out);

/* The identity that follows from the admission: everything but its lineage. STATUS_INVALID when the
 * answer is not complete, STATUS_REFUSED when the certificate is not for this node's key; `staged`
 * is to be released either way. */
MUST_USE struct status join_identity(struct daemon *daemon, const struct join_token *token,
                                     const struct rpc_admitted *admitted, struct identity *staged);

#endif
