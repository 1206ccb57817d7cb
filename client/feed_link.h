/*
 * Submitting batches of records until the cluster has them.
 *
 * Records have an identity of their own, so a batch whose outcome is not known is simply sent again.
 * What may pass by itself (no leader, no quorum, outbox full, node restarting) is waited for, with
 * longer and longer pauses; what cannot (not authorised, refused) is returned. A record that the
 * node calls invalid is left out, counted, and does not hold up the others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FEED_LINK_H
#define FEED_LINK_H

#include <signal.h>

#include "client/connection.h"
#include "feed_batch.h"

#define FEED_PAUSE_MIN_MS 100
#define FEED_PAUSE_MAX_MS 5000

struct feed_link {
    const struct connection_options *options;
    struct connection *connection;     /* NULL: not yet connected. */
    struct slice feed;                 /* What the records come from. */
    uint64_t give_up_after_ms;         /* Of fruitless tries, one after the other; 0: never. */
    const volatile sig_atomic_t *stop; /* Non-zero: give up at once. */

    uint64_t accepted;
    uint64_t duplicates;
    uint64_t rejected; /* Invalid in the eyes of the node. */
    uint64_t retries;
    struct status last_problem; /* Of the last try that failed. */
};

void feed_link_close(struct feed_link *link);

/* All records of the batch are with the cluster, or counted as rejected. Fails with STATUS_TIMEOUT
 * when told to stop, or as the last try did; then part of the batch may be with the cluster. */
MUST_USE struct status feed_link_submit(struct feed_link *link, const struct feed_batch *batch);

#endif
