/*
 * The mail_logs harness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_logs_harness.h"

#include <stdlib.h>

struct harness *harness_create(void)
{
    struct harness *harness = calloc(1, sizeof(*harness));
    CHECK(harness != NULL);
    return harness;
}

void harness_destroy(struct harness *harness)
{
    for (size_t i = 0; i < harness->count; i++) {
        buffer_release(&harness->records[i].body);
        arena_release(&harness->records[i].arena);
    }
    free(harness);
}

struct status harness_on_record(void *context, const struct message_record *record,
                                uint64_t position)
{
    struct harness *harness = context;
    CHECK(harness->count < HARNESS_RECORDS_MAX);
    struct harness_record *kept = &harness->records[harness->count];
    struct record_key_list keys;
    harness->count++;
    kept->position = position;
    CHECK_OK(message_record_check(record));
    CHECK_OK(codec_encode(&message_record_codec, CODEC_TAGS, record, &kept->body));
    CHECK(kept->body.size <= RECORD_BODY_SIZE_MAX);
    CHECK_OK(codec_decode(&message_record_codec, CODEC_TAGS, buffer_slice(&kept->body),
                          &kept->arena, &kept->record));
    CHECK_OK(record_keys(&kept->record, &kept->arena, &keys));
    CHECK(keys.count > 0 && keys.count <= RECORD_KEYS_MAX);
    return OK;
}

void harness_read(struct harness *harness, const struct mail_logs_options *options,
                  struct slice text, size_t chunk_size)
{
    struct mail_logs *logs = NULL;
    CHECK_OK(mail_logs_create(options, 0, harness, harness_on_record, &logs));
    for (size_t at = 0; at < text.size; at += chunk_size) {
        size_t size = text.size - at < chunk_size ? text.size - at : chunk_size;
        struct slice chunk = {.data = (const char *)text.data + at, .size = size};
        CHECK_OK(mail_logs_read(logs, chunk));
    }
    CHECK_OK(mail_logs_finish(logs));
    CHECK_U64(mail_logs_open(logs), 0);
    harness->counts = *mail_logs_counts(logs);
    mail_logs_destroy(logs);
}

const struct message_record *harness_get(const struct harness *harness, uint64_t mid)
{
    const struct message_record *found = NULL;
    for (size_t i = 0; i < harness->count; i++) {
        if (harness->records[i].record.mid == mid) {
            CHECK(found == NULL);
            found = &harness->records[i].record;
        }
    }
    CHECK(found != NULL);
    return found;
}

static bool same_identity(const struct message_record *left, const struct message_record *right)
{
    return left->mid == right->mid && left->revision == right->revision &&
           slice_equal(left->serial, right->serial);
}

bool harness_has_identity(const struct harness *harness, const struct harness_record *record)
{
    for (size_t i = 0; i < harness->count; i++) {
        if (same_identity(&harness->records[i].record, &record->record)) {
            return true;
        }
    }
    return false;
}

bool harness_has_body(const struct harness *harness, const struct harness_record *record)
{
    for (size_t i = 0; i < harness->count; i++) {
        if (slice_equal(buffer_slice(&harness->records[i].body), buffer_slice(&record->body))) {
            return true;
        }
    }
    return false;
}
