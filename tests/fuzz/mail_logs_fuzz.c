/*
 * Fuzzing mail_logs: any bytes, cut anywhere, give sound records, and the same however they are cut.
 *
 * The first byte chooses the size of the chunks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/crc32c.h"
#include "mail_logs.h"

#define OPEN_MAX 8 /* Few, so that the limit is met. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    uint64_t records;
    uint32_t crc; /* Of all bodies, one after the other. */
};

static struct status on_record(void *context, const struct message_record *record,
                               uint64_t position)
{
    struct outcome *outcome = context;
    struct buffer body = {0};
    struct arena arena = {0};
    struct record_key_list keys;
    (void)position;
    if (failed(message_record_check(record)) ||
        failed(codec_encode(&message_record_codec, CODEC_TAGS, record, &body)) ||
        body.size > RECORD_BODY_SIZE_MAX || failed(record_keys(record, &arena, &keys)) ||
        keys.count > RECORD_KEYS_MAX) {
        abort();
    }
    outcome->records++;
    outcome->crc = crc32c(outcome->crc, buffer_slice(&body));
    buffer_release(&body);
    arena_release(&arena);
    return OK;
}

static struct outcome read_in_chunks(struct slice bytes, size_t chunk_size)
{
    struct mail_logs_options options = {
        .serial = "FUZZ", .open_max = OPEN_MAX, .context.year = 2020};
    struct outcome outcome = {0};
    struct mail_logs_context context;
    struct mail_logs *logs = NULL;
    if (failed(mail_logs_create(&options, 0, &outcome, on_record, &logs))) {
        abort();
    }
    for (size_t at = 0; at < bytes.size; at += chunk_size) {
        size_t size = bytes.size - at < chunk_size ? bytes.size - at : chunk_size;
        struct slice chunk = {.data = (const char *)bytes.data + at, .size = size};
        if (failed(mail_logs_read(logs, chunk)) ||
            mail_logs_checkpoint(logs, UINT64_MAX, &context) > at + size) {
            abort();
        }
    }
    if (failed(mail_logs_finish(logs))) {
        abort();
    }
    mail_logs_destroy(logs);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct slice bytes = {.data = data + 1, .size = size - 1};
    struct outcome whole = read_in_chunks(bytes, bytes.size);
    struct outcome parts = read_in_chunks(bytes, 1 + data[0]);
    if (whole.records != parts.records || whole.crc != parts.crc) {
        abort();
    }
    return 0;
}
