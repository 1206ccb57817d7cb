/*
 * Asking another node one question over the admin RPC: connect, one request, one answer. Addresses
 * are tried in turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct ask;
struct tls_context;
struct uv_loop_s;

#define ASK_ADDRESSES_MAX 8
#define ASK_ADDRESS_SIZE 128
/* For each address, from connecting to the answer: beyond RPC_DEADLINE_DEFAULT_MS, so that the
 * node's own word about a deadline comes first. */
#define ASK_TIMEOUT_MS 15000U

struct ask_addresses {
    size_t count;
    char texts[ASK_ADDRESSES_MAX][ASK_ADDRESS_SIZE];
};

/*
 * OK: `result` is the answer's value, as bytes, valid during the call. STATUS_REFUSED: the node
 * answered with an error, whose number is `error` and whose whole message is `result` (the status's
 * own may be cut). Otherwise `error` is 0 and the
 * status is that of the first address where the other side was not who it should be, and was told nothing
 * (STATUS_UNAUTHORIZED), else of the last one: STATUS_UNREACHABLE, STATUS_TIMEOUT, STATUS_UNKNOWN (it
 * was sent, and no answer came).
 */
typedef void (*ask_done)(void *context, struct status status, uint64_t error, struct slice result);

/* Is this the node to ask? NULL: whoever `tls` verified. */
typedef bool (*ask_believe)(void *context, uint64_t node_id);

struct ask_question {
    struct ask_addresses addresses;
    struct slice request;
    ask_believe believe;
    ask_done done;
    void *context;
};

/*
 * `request` is a whole message with id 1; it is copied and wiped after use. The next address is
 * tried only while the request has certainly had no effect: it was not read, or the node that read
 * it found no leader.
 * On failure (STATUS_NO_MEMORY, STATUS_INVALID) `done` is never called.
 */
MUST_USE struct status ask_start(struct uv_loop_s *loop, struct tls_context *tls,
                                 const struct ask_question *question, struct ask **out);

/* Give up: `done` is not called. */
void ask_cancel(struct ask *ask);

#endif
