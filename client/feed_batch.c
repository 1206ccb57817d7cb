/*
 * Batches of records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_batch.h"

#include <assert.h>

/* Names of fields and list elements cost this much more in a request than numbers do. Not exact:
 * above what the tables need. */
#define NAMES_SIZE 400
#define NAMES_SIZE_PER_ELEMENT 32
#define VALUES_PER_RECORD 64
#define VALUES_PER_ELEMENT 8

void feed_batch_init(struct feed_batch *batch, size_t count_max)
{
    assert(count_max >= 1 && count_max <= RPC_RECORDS_MAX);
    *batch = (struct feed_batch){.count_max = count_max, .position = UINT64_MAX};
}

void feed_batch_release(struct feed_batch *batch)
{
    buffer_release(&batch->bodies);
}

void feed_batch_clear(struct feed_batch *batch)
{
    buffer_clear(&batch->bodies);
    batch->count = 0;
    batch->size = 0;
    batch->values = 0;
    batch->position = UINT64_MAX;
}

struct status feed_batch_add(struct feed_batch *batch, const struct message_record *record,
                             uint64_t position)
{
    size_t before = batch->bodies.size;
    size_t elements = record->recipients.count + record->verdicts.count +
                      record->attachments.count + record->deliveries.count +
                      record->relations.count + record->observables.count;
    size_t values = VALUES_PER_RECORD + elements * VALUES_PER_ELEMENT;
    if (batch->count == batch->count_max) {
        return fail(STATUS_FULL, "batch of %zu records is full", batch->count);
    }
    struct status status = codec_encode(&message_record_codec, CODEC_TAGS, record, &batch->bodies);
    if (failed(status)) {
        return status;
    }
    size_t size = batch->bodies.size - before + NAMES_SIZE + elements * NAMES_SIZE_PER_ELEMENT;
    if (batch->count > 0 && (batch->size + size > FEED_BATCH_SIZE_MAX ||
                             batch->values + values > FEED_BATCH_VALUES_MAX)) {
        batch->bodies.size = before;
        return fail(STATUS_FULL, "batch of %zu bytes is full", batch->size);
    }
    batch->ends[batch->count] = batch->bodies.size;
    batch->count++;
    batch->size += size;
    batch->values += values;
    batch->position = position < batch->position ? position : batch->position;
    return OK;
}

struct status feed_batch_records(const struct feed_batch *batch, size_t from, size_t to,
                                 struct arena *arena, struct codec_list *out)
{
    assert(from < to && to <= batch->count);
    struct message_record *records = arena_alloc(arena, to - from, sizeof(*records));
    if (records == NULL) {
        return fail(STATUS_NO_MEMORY, "prepare %zu records", to - from);
    }
    for (size_t i = from; i < to; i++) {
        size_t start = i == 0 ? 0 : batch->ends[i - 1];
        struct slice body = {.data = batch->bodies.data + start, .size = batch->ends[i] - start};
        struct status status =
            codec_decode(&message_record_codec, CODEC_TAGS, body, arena, &records[i - from]);
        if (failed(status)) {
            return status;
        }
    }
    *out = (struct codec_list){.items = records, .count = to - from};
    return OK;
}
