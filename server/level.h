/*
 * The cluster's level: on the leader, raised as soon as every member's program knows a higher one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_LEVEL_H
#define SERVER_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

struct level_worker {
    bool proposing;
    uint64_t next_at_ms; /* Monotonic. */
};

/* Look, at most once a second. */
void level_step(struct level_worker *worker, struct daemon *daemon);

#endif
