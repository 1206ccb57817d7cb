/*
 * Encoding by field tables. The only file that includes msgpack.h; decoding is codec_decode.c.
 *
 * Messages nest, so encoding recurses; the depth is bounded by CODEC_DEPTH_MAX, which the tables
 * cannot exceed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "codec_error.h"

#include <msgpack.h>
#include <stdbool.h>
#include <string.h>

static int append_to_buffer(void *data, const char *bytes, size_t size)
{
    return buffer_append(data, bytes, size) ? 0 : -1;
}

static bool is_zero(const struct codec_field *field, const void *member)
{
    switch (field->kind) {
    case CODEC_U64: return *(const uint64_t *)member == 0;
    case CODEC_BOOL: return !*(const bool *)member;
    case CODEC_TEXT:
    case CODEC_BYTES: return ((const struct slice *)member)->size == 0;
    case CODEC_LIST:
    case CODEC_TEXTS: return ((const struct codec_list *)member)->count == 0;
    case CODEC_MESSAGE: {
        for (size_t i = 0; i < field->of->field_count; i++) {
            const struct codec_field *inner = &field->of->fields[i];
            /* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
            if (!is_zero(inner, (const char *)member + inner->offset)) {
                return false;
            }
        }
        return true;
    }
    }
    return false;
}

static bool text_is_valid(struct slice text, uint64_t size_max)
{
    return text.size <= size_max && slice_is_text(text);
}

static bool texts_are_valid(const struct codec_list *list, uint64_t count_max)
{
    const struct slice *items = list->items;
    if (list->count > count_max) {
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (!text_is_valid(items[i], CODEC_TEXTS_SIZE_MAX)) {
            return false;
        }
    }
    return true;
}

/* The limits hold on both sides: what we could not read back, we do not write. */
static bool within_limits(const struct codec_field *field, const void *member)
{
    switch (field->kind) {
    case CODEC_U64: return *(const uint64_t *)member <= field->limit;
    case CODEC_BOOL:
    case CODEC_MESSAGE: return true;
    case CODEC_TEXT: return text_is_valid(*(const struct slice *)member, field->limit);
    case CODEC_BYTES: return ((const struct slice *)member)->size <= field->limit;
    case CODEC_LIST: {
        size_t count = ((const struct codec_list *)member)->count;
        return count <= field->limit && (field->optional || count > 0);
    }
    case CODEC_TEXTS: return texts_are_valid(member, field->limit);
    }
    return false;
}

struct status codec_bad_field(const struct codec *codec, const struct codec_field *field)
{
    const char *before = "";
    const char *after = "";
    switch (field->kind) {
    case CODEC_MESSAGE: /* Its own fields say what is wrong. */
    case CODEC_BOOL:
        return fail(STATUS_INVALID, "%s.%s has to be true or false", codec->name, field->name);
    case CODEC_U64: before = "a whole number of at most"; break;
    case CODEC_TEXT: before = "text of at most", after = " bytes"; break;
    case CODEC_BYTES: before = "binary data of at most", after = " bytes"; break;
    case CODEC_LIST:
        before = field->optional ? "a list of at most" : "a list of 1 to", after = " items";
        break;
    case CODEC_TEXTS: before = "a list of at most", after = " texts"; break;
    }
    return fail(STATUS_INVALID, "%s.%s has to be %s %llu%s", codec->name, field->name, before,
                (unsigned long long)field->limit, after);
}

struct encoder {
    msgpack_packer packer;
    enum codec_dialect dialect;
    struct status status; /* The first failure; nothing is packed after it. */
};

static void encode_message(struct encoder *encoder, const struct codec *codec, const void *value);

static int pack_text(msgpack_packer *packer, struct slice text)
{
    return msgpack_pack_str_with_body(packer, text.data, text.size);
}

static int pack_texts(msgpack_packer *packer, const struct codec_list *list)
{
    const struct slice *items = list->items;
    int rv = msgpack_pack_array(packer, list->count);
    for (size_t i = 0; rv == 0 && i < list->count; i++) {
        rv = pack_text(packer, items[i]);
    }
    return rv;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static int pack_list(struct encoder *encoder, const struct codec_field *field,
                     const struct codec_list *list)
{
    int rv = msgpack_pack_array(&encoder->packer, list->count);
    for (size_t i = 0; rv == 0 && i < list->count; i++) {
        encode_message(encoder, field->of, (const char *)list->items + i * field->of->size);
    }
    return rv;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static int pack_member(struct encoder *encoder, const struct codec_field *field, const void *member)
{
    msgpack_packer *packer = &encoder->packer;
    switch (field->kind) {
    case CODEC_U64: return msgpack_pack_uint64(packer, *(const uint64_t *)member);
    case CODEC_BOOL:
        return *(const bool *)member ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    case CODEC_TEXT: return pack_text(packer, *(const struct slice *)member);
    case CODEC_BYTES: {
        const struct slice *bytes = member;
        return msgpack_pack_bin_with_body(packer, bytes->data, bytes->size);
    }
    case CODEC_MESSAGE: encode_message(encoder, field->of, member); return 0;
    case CODEC_LIST: return pack_list(encoder, field, member);
    case CODEC_TEXTS: return pack_texts(packer, member);
    }
    return -1;
}

static int pack_key(struct encoder *encoder, const struct codec_field *field)
{
    if (encoder->dialect == CODEC_TAGS) {
        return msgpack_pack_uint8(&encoder->packer, field->tag);
    }
    return pack_text(&encoder->packer, slice_of(field->name));
}

static size_t present_fields(const struct codec *codec, const void *value)
{
    size_t count = 0;
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        if (!field->optional || !is_zero(field, (const char *)value + field->offset)) {
            count++;
        }
    }
    return count;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static void encode_message(struct encoder *encoder, const struct codec *codec, const void *value)
{
    if (failed(encoder->status)) {
        return;
    }
    int rv = msgpack_pack_map(&encoder->packer, present_fields(codec, value));
    for (size_t i = 0; rv == 0 && i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        const void *member = (const char *)value + field->offset;
        if (field->optional && is_zero(field, member)) {
            continue;
        }
        if (!within_limits(field, member)) {
            encoder->status = codec_bad_field(codec, field);
            return;
        }
        rv = pack_key(encoder, field);
        if (rv == 0) {
            rv = pack_member(encoder, field, member);
        }
        if (failed(encoder->status)) {
            return;
        }
    }
    if (rv != 0) { /* Packing fails only when append_to_buffer() does. */
        encoder->status = fail(STATUS_NO_MEMORY, "encode %s", codec->name);
    }
}

struct status codec_encode(const struct codec *codec, enum codec_dialect dialect, const void *value,
                           struct buffer *out)
{
    struct encoder encoder = {.dialect = dialect, .status = OK};
    size_t size_before = out->size;
    msgpack_packer_init(&encoder.packer, out, append_to_buffer);
    encode_message(&encoder, codec, value);
    if (failed(encoder.status)) {
        out->size = size_before;
    }
    return encoder.status;
}
