/*
 * The scrubber: reads the whole store again and again on a worker thread, a little each second, so
 * that damage is found though nobody asks for the row it sits in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SCRUBBER_H
#define SERVER_SCRUBBER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "store/store.h"

struct daemon;

/* Zero-initialised is ready. */
struct scrubber {
    uv_work_t work;
    bool working;
    uint64_t next_ms; /* Monotonic. */
    struct daemon *daemon;
    struct store *store;
    size_t size;
    struct store_scrub scrub;
    struct status status; /* Of the last step. */
};

void scrubber_step(struct scrubber *scrubber, struct daemon *daemon, uint64_t now_ms);

#endif
