/*
 * Requests as bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RPC_REQUEST_H
#define RPC_REQUEST_H

#include "client/connection.h"

/*
 * Append a whole request. STATUS_INVALID names the method and the field beyond its limit, or says
 * that the frame is too long; STATUS_NO_MEMORY. After a failure `out` is of no use. A request with a
 * secret is written into room reserved at once: the caller wipes `out`, and no copy is left.
 */
MUST_USE struct status rpc_request_encode(const struct connection_request *request, uint32_t id,
                                          struct buffer *out);

#endif
