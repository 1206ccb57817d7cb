/*
 * Decoding by field tables, straight from the bytes: no tree of values is built between them and
 * the struct, which is where a leader with hundreds of producers spends its time.
 *
 * The bytes are skimmed first, so what is read here is one complete value within limits; every read
 * is bounded all the same. Messages nest, so decoding recurses, as deep as the skim lets pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/codec.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/skim.h"
#include "codec_error.h"

#define CODEC_SIZE_MAX ((size_t)64 << 20U)  /* Bytes; far above any frame or entry limit. */
#define CODEC_VALUES_MAX ((size_t)4 << 20U) /* Each takes at least one byte of the input. */

enum value_kind {
    VALUE_END,   /* Nothing is left, or it is not MessagePack. */
    VALUE_OTHER, /* Nil, floats, negative numbers: nothing of ours. */
    VALUE_NUMBER,
    VALUE_BOOL,
    VALUE_TEXT,
    VALUE_BYTES,
    VALUE_ARRAY,
    VALUE_MAP,
};

struct value {
    enum value_kind kind;
    uint64_t number;    /* The number, 0 or 1; the values or pairs that follow in a container. */
    struct slice bytes; /* Of text and bytes. */
};

struct decoder {
    enum codec_dialect dialect;
    struct arena *arena;
    const uint8_t *at;
    const uint8_t *end;
};

/* ---- Values ---- */

static bool read_number(struct decoder *decoder, size_t size, uint64_t *out)
{
    uint64_t number = 0;
    if (size > (size_t)(decoder->end - decoder->at)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        number = number << 8U | decoder->at[i];
    }
    decoder->at += size;
    *out = number;
    return true;
}

static struct value value_of_bytes(struct decoder *decoder, enum value_kind kind, uint64_t size)
{
    struct value value = {.kind = kind, .bytes = {.data = decoder->at, .size = (size_t)size}};
    if (size > (uint64_t)(decoder->end - decoder->at)) {
        return (struct value){.kind = VALUE_END};
    }
    decoder->at += size;
    return value;
}

/* A number whose first byte says how many more bytes it has: 1, 2, 4 or 8. */
static struct value value_of_number(struct decoder *decoder, uint8_t first)
{
    size_t size = (size_t)1 << (first & 3U);
    struct value value = {.kind = VALUE_NUMBER};
    if (!read_number(decoder, size, &value.number)) {
        return (struct value){.kind = VALUE_END};
    }
    bool has_sign = first >= 0xD0;
    if (has_sign && value.number >> (8 * size - 1) != 0) {
        value.kind = VALUE_OTHER;
    }
    return value;
}

/* Text, bytes or a container whose length stands in `length_size` bytes. */
static struct value value_of_length(struct decoder *decoder, enum value_kind kind,
                                    size_t length_size)
{
    struct value value = {.kind = kind};
    if (!read_number(decoder, length_size, &value.number)) {
        return (struct value){.kind = VALUE_END};
    }
    if (kind == VALUE_TEXT || kind == VALUE_BYTES) {
        return value_of_bytes(decoder, kind, value.number);
    }
    return value;
}

/* The kinds from 0xC0 to 0xDF, one byte each. */
static struct value next_typed(struct decoder *decoder, uint8_t first)
{
    switch (first) {
    case 0xC2:
    case 0xC3: return (struct value){.kind = VALUE_BOOL, .number = first & 1U};
    case 0xC4:
    case 0xC5:
    case 0xC6: return value_of_length(decoder, VALUE_BYTES, (size_t)1 << (first - 0xC4U));
    case 0xCA:
    case 0xCB: return value_of_bytes(decoder, VALUE_OTHER, first == 0xCA ? 4 : 8);
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF:
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3: return value_of_number(decoder, first);
    case 0xD9:
    case 0xDA:
    case 0xDB: return value_of_length(decoder, VALUE_TEXT, (size_t)1 << (first - 0xD9U));
    case 0xDC:
    case 0xDD: return value_of_length(decoder, VALUE_ARRAY, first == 0xDC ? 2 : 4);
    case 0xDE:
    case 0xDF: return value_of_length(decoder, VALUE_MAP, first == 0xDE ? 2 : 4);
    case 0xC0: return (struct value){.kind = VALUE_OTHER};
    default: return (struct value){.kind = VALUE_END}; /* The skim lets no extension pass. */
    }
}

/* Pass the next value, or the header of a container; what is in it comes next. */
static struct value next_value(struct decoder *decoder)
{
    if (decoder->at == decoder->end) {
        return (struct value){.kind = VALUE_END};
    }
    uint8_t first = *decoder->at++;
    if (first <= 0x7F) {
        return (struct value){.kind = VALUE_NUMBER, .number = first};
    }
    if (first <= 0x8F) {
        return (struct value){.kind = VALUE_MAP, .number = first & 0x0FU};
    }
    if (first <= 0x9F) {
        return (struct value){.kind = VALUE_ARRAY, .number = first & 0x0FU};
    }
    if (first <= 0xBF) {
        return value_of_bytes(decoder, VALUE_TEXT, first & 0x1FU);
    }
    if (first >= 0xE0) {
        return (struct value){.kind = VALUE_OTHER};
    }
    return next_typed(decoder, first);
}

/* Pass what is left of a value whose header was passed. */
static void pass(struct decoder *decoder, const struct value *value)
{
    const struct value *current = value;
    struct value inner;
    /* No overflow: counts are of 32 bits, and the skim bounds how many there are. */
    uint64_t left = 0;
    do {
        left += current->kind == VALUE_ARRAY ? current->number : 0;
        left += current->kind == VALUE_MAP ? 2 * current->number : 0;
        if (left == 0) {
            return;
        }
        inner = next_value(decoder);
        current = &inner;
        left--;
    } while (inner.kind != VALUE_END);
}

/* ---- Messages ---- */

static struct status decode_message(struct decoder *decoder, const struct codec *codec,
                                    const struct value *value, void *out);

static bool text_of(const struct value *value, uint64_t size_max, struct slice *out)
{
    *out = value->bytes;
    return value->kind == VALUE_TEXT && out->size <= size_max && slice_is_text(*out);
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_item(struct decoder *decoder, const struct codec *codec,
                                 const struct codec_field *field, void *slot)
{
    struct value item = next_value(decoder);
    if (field->kind == CODEC_TEXTS) {
        return text_of(&item, CODEC_TEXTS_SIZE_MAX, slot) ? OK : codec_bad_field(codec, field);
    }
    struct status status = decode_message(decoder, field->of, &item, slot);
    return failed(status) ? wrap(status, "%s.%s", codec->name, field->name) : OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_list(struct decoder *decoder, const struct codec *codec,
                                 const struct codec_field *field, const struct value *value,
                                 struct codec_list *out)
{
    bool texts = field->kind == CODEC_TEXTS;
    if (value->kind != VALUE_ARRAY || value->number > field->limit ||
        (!texts && !field->optional && value->number == 0)) {
        return codec_bad_field(codec, field);
    }
    size_t item_size = texts ? sizeof(struct slice) : field->of->size;
    out->count = (size_t)value->number;
    out->items = arena_alloc(decoder->arena, out->count, item_size);
    if (out->items == NULL) {
        return fail(STATUS_NO_MEMORY, "decode %s.%s", codec->name, field->name);
    }
    for (size_t i = 0; i < out->count; i++) {
        struct status status =
            decode_item(decoder, codec, field, (char *)out->items + i * item_size);
        if (failed(status)) {
            return status;
        }
    }
    return OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_field(struct decoder *decoder, const struct codec *codec,
                                  const struct codec_field *field, const struct value *value,
                                  void *member)
{
    bool good = false;
    switch (field->kind) {
    case CODEC_U64:
        good = value->kind == VALUE_NUMBER && value->number <= field->limit;
        if (good) {
            *(uint64_t *)member = value->number;
        }
        break;
    case CODEC_BOOL:
        good = value->kind == VALUE_BOOL;
        if (good) {
            *(bool *)member = value->number != 0;
        }
        break;
    case CODEC_TEXT: good = text_of(value, field->limit, member); break;
    case CODEC_BYTES:
        good = value->kind == VALUE_BYTES && value->bytes.size <= field->limit;
        if (good) {
            *(struct slice *)member = value->bytes;
        }
        break;
    case CODEC_MESSAGE: return decode_message(decoder, field->of, value, member);
    case CODEC_LIST:
    case CODEC_TEXTS: return decode_list(decoder, codec, field, value, member);
    }
    return good ? OK : codec_bad_field(codec, field);
}

static bool key_names(const struct decoder *decoder, const struct codec_field *field,
                      const struct value *key)
{
    if (decoder->dialect == CODEC_TAGS) {
        return key->kind == VALUE_NUMBER && key->number == field->tag;
    }
    return key->kind == VALUE_TEXT && slice_equal(key->bytes, slice_of(field->name));
}

/* `hint` is where the field would stand if the sender wrote every field in order: it mostly did. */
static const struct codec_field *find_field(const struct decoder *decoder,
                                            const struct codec *codec, const struct value *key,
                                            size_t hint)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[(hint + i) % codec->field_count];
        if (key_names(decoder, field, key)) {
            return field;
        }
    }
    return NULL;
}

static struct status check_complete(const struct codec *codec, uint64_t seen)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        if (!codec->fields[i].optional && (seen & UINT64_C(1) << i) == 0) {
            return fail(STATUS_INVALID, "%s.%s is missing", codec->name, codec->fields[i].name);
        }
    }
    return OK;
}

/* Pass a key that the table does not know, and what stands under it. */
static struct status pass_unknown(struct decoder *decoder, const struct codec *codec,
                                  const struct value *key)
{
    if (decoder->dialect == CODEC_TAGS) {
        return fail(STATUS_INVALID, "%s has an unknown field", codec->name);
    }
    if (key->kind == VALUE_END) {
        return fail(STATUS_INVALID, "%s is cut short", codec->name);
    }
    pass(decoder, key);
    struct value unknown = next_value(decoder);
    pass(decoder, &unknown);
    return OK;
}

/* What was seen of one message. */
struct progress {
    uint64_t seen; /* A bit for each field. */
    size_t hint;
};

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_pair(struct decoder *decoder, const struct codec *codec,
                                 struct progress *progress, void *out)
{
    struct value key = next_value(decoder);
    const struct codec_field *field = find_field(decoder, codec, &key, progress->hint);
    if (field == NULL) {
        return pass_unknown(decoder, codec, &key);
    }
    progress->hint = (size_t)(field - codec->fields) + 1;
    uint64_t bit = UINT64_C(1) << (progress->hint - 1);
    if ((progress->seen & bit) != 0) {
        return fail(STATUS_INVALID, "%s.%s is given twice", codec->name, field->name);
    }
    progress->seen |= bit;
    struct value value = next_value(decoder);
    return decode_field(decoder, codec, field, &value, (char *)out + field->offset);
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_message(struct decoder *decoder, const struct codec *codec,
                                    const struct value *value, void *out)
{
    assert(codec->field_count <= CODEC_FIELDS_MAX);
    if (value->kind != VALUE_MAP) {
        return fail(STATUS_INVALID, "%s is not a map", codec->name);
    }
    memset(out, 0, codec->size);

    struct progress progress = {0};
    for (uint64_t i = 0; i < value->number; i++) {
        struct status status = decode_pair(decoder, codec, &progress, out);
        if (failed(status)) {
            return status;
        }
    }
    return check_complete(codec, progress.seen);
}

struct status codec_decode_next(const struct codec *codec, enum codec_dialect dialect,
                                struct slice *input, struct arena *arena, void *out)
{
    static const struct skim_limits limits = {
        .size_max = CODEC_SIZE_MAX,
        .depth_max = 2 * CODEC_DEPTH_MAX,
        .values_max = CODEC_VALUES_MAX,
    };
    size_t size = 0;
    enum skim_result skimmed = skim_value(*input, &limits, &size);
    if (skimmed != SKIM_COMPLETE) {
        return fail(STATUS_INVALID, "%s is %s", codec->name, skim_explain(skimmed));
    }

    struct decoder decoder = {.dialect = dialect, .arena = arena, .at = input->data};
    decoder.end = decoder.at + size;
    struct value value = next_value(&decoder);
    struct status status = decode_message(&decoder, codec, &value, out);
    if (!failed(status)) {
        input->data = (const char *)input->data + size;
        input->size -= size;
    }
    return status;
}

struct status codec_decode(const struct codec *codec, enum codec_dialect dialect,
                           struct slice input, struct arena *arena, void *out)
{
    struct status status = codec_decode_next(codec, dialect, &input, arena, out);
    if (!failed(status) && input.size > 0) {
        return fail(STATUS_INVALID, "%s is followed by %zu bytes", codec->name, input.size);
    }
    return status;
}
