/*
 * Fields of the commands on records and their export.
 *
 * Tags are on disk and on the wire for ever: never renumbered, never reused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "command_fields.h"

static const struct codec_field index_key_fields[] = {
    CODEC_FIELD(struct index_key, 1, kind, CODEC_U64, STORE_KEY_KIND_MAX),
    CODEC_FIELD(struct index_key, 2, value, CODEC_BYTES, STORE_KEY_SIZE_MAX),
};
static const struct codec index_key_codec = CODEC(struct index_key, "index_key", index_key_fields);

static const struct codec_field record_put_fields[] = {
    CODEC_FIELD(struct record_put, 1, kind, CODEC_U64, STORE_KEY_KIND_MAX),
    CODEC_FIELD(struct record_put, 2, serial, CODEC_TEXT, STORE_SERIAL_SIZE_MAX),
    CODEC_FIELD(struct record_put, 3, id, CODEC_TEXT, STORE_RECORD_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct record_put, 4, revision, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct record_put, 5, observed_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct record_put, 6, body, CODEC_BYTES, STORE_RECORD_SIZE_MAX),
    CODEC_NESTED_OPTIONAL(struct record_put, 7, keys, CODEC_LIST, STORE_RECORD_KEYS_MAX,
                          &index_key_codec),
};
static const struct codec record_put_codec =
    CODEC(struct record_put, "record_put", record_put_fields);

static const struct codec_field records_put_fields[] = {
    CODEC_OPTIONAL(struct records_put, 1, feed, CODEC_TEXT, STORE_ID_SIZE_MAX),
    CODEC_NESTED(struct records_put, 2, records, CODEC_LIST, STORE_RECORDS_MAX, &record_put_codec),
};
const struct codec records_put_codec = CODEC(struct records_put, "records_put", records_put_fields);

static const struct codec_field records_trim_fields[] = {
    CODEC_FIELD(struct records_trim, 1, sequence, CODEC_U64, UINT64_MAX),
};
const struct codec records_trim_codec =
    CODEC(struct records_trim, "records_trim", records_trim_fields);

static const struct codec_field export_reject_fields[] = {
    CODEC_FIELD(struct export_reject, 1, sequence, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct export_reject, 2, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
static const struct codec export_reject_codec =
    CODEC(struct export_reject, "export_reject", export_reject_fields);

static const struct codec_field export_advance_fields[] = {
    CODEC_FIELD(struct export_advance, 1, from, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct export_advance, 2, to, CODEC_U64, UINT64_MAX),
    CODEC_NESTED_OPTIONAL(struct export_advance, 3, rejects, CODEC_LIST, STORE_REJECTS_MAX,
                          &export_reject_codec),
};
const struct codec export_advance_codec =
    CODEC(struct export_advance, "export_advance", export_advance_fields);

static const struct codec_field export_pause_fields[] = {
    CODEC_OPTIONAL(struct export_pause, 1, paused, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct export_pause, 2, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec export_pause_codec =
    CODEC(struct export_pause, "export_pause", export_pause_fields);

static const struct codec_field dead_letter_retry_fields[] = {
    CODEC_FIELD(struct dead_letter_retry, 1, sequence, CODEC_U64, UINT64_MAX),
};
const struct codec dead_letter_retry_codec =
    CODEC(struct dead_letter_retry, "dead_letter_retry", dead_letter_retry_fields);

static const struct codec_field dead_letter_discard_fields[] = {
    CODEC_FIELD(struct dead_letter_discard, 1, sequence, CODEC_U64, UINT64_MAX),
};
const struct codec dead_letter_discard_codec =
    CODEC(struct dead_letter_discard, "dead_letter_discard", dead_letter_discard_fields);

static const struct codec_field cloud_pause_fields[] = {
    CODEC_OPTIONAL(struct cloud_pause, 1, until_ms, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct cloud_pause, 2, reason, CODEC_TEXT, STORE_TEXT_SIZE_MAX),
};
const struct codec cloud_pause_codec = CODEC(struct cloud_pause, "cloud_pause", cloud_pause_fields);

static const struct codec_field cloud_calls_fields[] = {
    CODEC_FIELD(struct cloud_calls, 1, count, CODEC_U64, UINT32_MAX),
    CODEC_OPTIONAL(struct cloud_calls, 2, limit, CODEC_U64, UINT64_MAX),
};
const struct codec cloud_calls_codec = CODEC(struct cloud_calls, "cloud_calls", cloud_calls_fields);
