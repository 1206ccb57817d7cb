/*
 * Encoding of contexts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_context.h"

#include "mail_logs_parse.h"

struct stored_context {
    struct slice serial;
    uint64_t east_s; /* Local minus UTC, one of both is 0. */
    uint64_t west_s;
    uint64_t year;
};

static const struct codec_field stored_fields[] = {
    CODEC_OPTIONAL(struct stored_context, 1, serial, CODEC_TEXT, RECORD_SERIAL_SIZE_MAX),
    CODEC_OPTIONAL(struct stored_context, 2, east_s, CODEC_U64, MAIL_OFFSET_MAX_S),
    CODEC_OPTIONAL(struct stored_context, 3, west_s, CODEC_U64, MAIL_OFFSET_MAX_S),
    CODEC_OPTIONAL(struct stored_context, 4, year, CODEC_U64, 9999),
};
static const struct codec stored_codec =
    CODEC(struct stored_context, "mail_logs_context", stored_fields);

struct status mail_context_encode(const struct mail_logs_context *context, struct buffer *out)
{
    struct stored_context stored = {
        .serial = slice_of(context->serial),
        .east_s = context->utc_offset_s > 0 ? (uint64_t)context->utc_offset_s : 0,
        .west_s = context->utc_offset_s < 0 ? (uint64_t)-context->utc_offset_s : 0,
        .year = context->year,
    };
    return codec_encode(&stored_codec, CODEC_TAGS, &stored, out);
}

struct status mail_context_decode(struct slice bytes, struct mail_logs_context *out)
{
    struct stored_context stored;
    struct arena arena = {0};
    struct status status = codec_decode(&stored_codec, CODEC_TAGS, bytes, &arena, &stored);
    if (!failed(status) && !slice_to_text(stored.serial, out->serial, sizeof(out->serial))) {
        status = fail(STATUS_CORRUPT, "checkpoint holds no serial number");
    }
    arena_release(&arena);
    if (failed(status)) {
        return fail(STATUS_CORRUPT, "checkpoint was not made for mail_logs: %s", status.message);
    }
    out->utc_offset_s = (int64_t)stored.east_s - (int64_t)stored.west_s;
    out->year = stored.year;
    return OK;
}
