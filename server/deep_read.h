/*
 * Reads of everything, for handlers: on a worker thread, of what is flushed, so that the loop goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DEEP_READ_H
#define SERVER_DEEP_READ_H

#include "base/status.h"
#include "store/store.h"

struct call;

struct deep_read {
    struct status status;
    struct store_digest digest; /* Of a digest. */
    struct audit_extent audit;  /* Of the audit. */
};

typedef void (*deep_read_done)(struct call *call, const struct deep_read *read);

enum deep_read_kind {
    DEEP_READ_DIGEST,
    DEEP_READ_AUDIT,
};

/* Everything applied is flushed, then read. The call is answered here if it cannot begin, and by `done`
 * once it is read, unless its deadline has passed. */
void deep_read_begin(struct call *call, enum deep_read_kind kind, deep_read_done done);

#endif
