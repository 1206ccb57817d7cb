/*
 * Retention: on the leader, lets the oldest delivered records go when more are kept than the
 * configuration allows, and the oldest lines of the audit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RETENTION_H
#define SERVER_RETENTION_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

/* Zero-initialised is ready. */
struct retention {
    bool proposing;
    uint64_t next_at_ms; /* Monotonic. */
    bool trimming_audit; /* A tenth of it is to go, and has not gone yet. */
};

void retention_step(struct retention *retention, struct daemon *daemon);

#endif
