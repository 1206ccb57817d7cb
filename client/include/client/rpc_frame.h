/*
 * MessagePack-RPC messages as bytes: requests [0, id, method, [params]] and responses
 * [1, id, error, result], taken apart without allocating and put together without a tree. Both sides use it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_RPC_FRAME_H
#define CLIENT_RPC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct rpc_frame {
    bool response;
    uint32_t id;

    /* Of a request. */
    struct slice method;
    struct slice params; /* The one map, as bytes; empty if none was given. */

    /* Of a response. */
    uint64_t error; /* 0: there is a result. */
    struct slice message;
    struct slice result; /* The value, as bytes. */
};

/*
 * Take apart one message, which the skim found complete and within limits. Slices borrow.
 * STATUS_INVALID for anything that is neither; `*id_known` then tells whether out->id holds.
 */
MUST_USE struct status rpc_frame_parse(struct slice bytes, struct rpc_frame *out, bool *id_known);

/* Append the beginning of a request or of a response with a result; the caller appends the one
 * value that is missing. False when memory runs out. */
bool rpc_frame_begin_request(struct buffer *out, uint32_t id, const char *method);
bool rpc_frame_begin_result(struct buffer *out, uint32_t id);

/* Append a whole error response. False when memory runs out. */
bool rpc_frame_error(struct buffer *out, uint32_t id, uint64_t error, struct slice message);

#endif
