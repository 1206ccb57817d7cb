/*
 * Records on their way: kept as bytes until there are enough of them for one request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FEED_BATCH_H
#define FEED_BATCH_H

#include "client/protocol.h"

/* What a request may hold beside its records is small; both limits leave it room. */
#define FEED_BATCH_SIZE_MAX ((size_t)(RPC_FRAME_SIZE_MAX) - ((size_t)64 << 10))
#define FEED_BATCH_VALUES_MAX ((size_t)(RPC_VALUES_MAX)-1024)

struct feed_batch {
    struct buffer bodies; /* CODEC_TAGS, one after the other. */
    size_t ends[RPC_RECORDS_MAX];
    size_t count;
    size_t count_max;  /* Up to RPC_RECORDS_MAX. */
    size_t size;       /* Of the records in a request, at most. */
    size_t values;     /* Likewise. */
    uint64_t position; /* The lowest at which one of them begins in the log; UINT64_MAX: none. */
};

void feed_batch_init(struct feed_batch *batch, size_t count_max);
void feed_batch_release(struct feed_batch *batch);
void feed_batch_clear(struct feed_batch *batch);

/* Add a copy. STATUS_FULL, with the batch unchanged, if it must be submitted first; never for an
 * empty one. STATUS_NO_MEMORY; STATUS_INVALID if the record breaks a limit of its table. */
MUST_USE struct status feed_batch_add(struct feed_batch *batch, const struct message_record *record,
                                      uint64_t position);

/* The records `from` to `to` as structs, which live as long as `arena` and the batch. */
MUST_USE struct status feed_batch_records(const struct feed_batch *batch, size_t from, size_t to,
                                          struct arena *arena, struct codec_list *out);

#endif
