/*
 * The msgpack codec, driven by field tables. The only file that includes msgpack.h.
 *
 * Messages nest, so encoding and decoding recurse; the depth is bounded by CODEC_DEPTH_MAX, which
 * the tables cannot exceed and the skim enforces on what comes in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/codec.h"

#include <assert.h>
#include <msgpack.h>
#include <stdbool.h>
#include <string.h>

#include "base/skim.h"

#define CODEC_SIZE_MAX ((size_t)64 << 20U)  /* Bytes; far above any frame or entry limit. */
#define CODEC_VALUES_MAX ((size_t)4 << 20U) /* Each takes at least one byte of the input. */

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
            encoder->status = fail(STATUS_INVALID, "%s.%s is out of its limits (at most %llu)",
                                   codec->name, field->name, (unsigned long long)field->limit);
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

struct decoder {
    enum codec_dialect dialect;
    struct arena *arena;
};

static struct status decode_message(const struct decoder *decoder, const struct codec *codec,
                                    const msgpack_object *object, void *out);

static bool text_of(const msgpack_object *object, uint64_t size_max, struct slice *out)
{
    if (object->type != MSGPACK_OBJECT_STR) {
        return false;
    }
    *out = (struct slice){.data = object->via.str.ptr, .size = object->via.str.size};
    return text_is_valid(*out, size_max);
}

static struct status bad_field(const struct codec *codec, const struct codec_field *field)
{
    return fail(STATUS_INVALID, "%s.%s has the wrong type or is out of its limits (at most %llu)",
                codec->name, field->name, (unsigned long long)field->limit);
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_list(const struct decoder *decoder, const struct codec *codec,
                                 const struct codec_field *field, const msgpack_object *object,
                                 struct codec_list *out)
{
    bool texts = field->kind == CODEC_TEXTS;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size > field->limit ||
        (!texts && !field->optional && object->via.array.size == 0)) {
        return bad_field(codec, field);
    }
    size_t item_size = texts ? sizeof(struct slice) : field->of->size;
    out->count = object->via.array.size;
    out->items = arena_alloc(decoder->arena, out->count, item_size);
    if (out->items == NULL) {
        return fail(STATUS_NO_MEMORY, "decode %s.%s", codec->name, field->name);
    }
    for (size_t i = 0; i < out->count; i++) {
        const msgpack_object *item = &object->via.array.ptr[i];
        void *slot = (char *)out->items + i * item_size;
        if (texts) {
            if (!text_of(item, CODEC_TEXTS_SIZE_MAX, slot)) {
                return bad_field(codec, field);
            }
            continue;
        }
        struct status status = decode_message(decoder, field->of, item, slot);
        if (failed(status)) {
            return wrap(status, "%s.%s", codec->name, field->name);
        }
    }
    return OK;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_field(const struct decoder *decoder, const struct codec *codec,
                                  const struct codec_field *field, const msgpack_object *object,
                                  void *member)
{
    bool good = false;
    switch (field->kind) {
    case CODEC_U64:
        good = object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 <= field->limit;
        if (good) {
            *(uint64_t *)member = object->via.u64;
        }
        break;
    case CODEC_BOOL:
        good = object->type == MSGPACK_OBJECT_BOOLEAN;
        if (good) {
            *(bool *)member = object->via.boolean;
        }
        break;
    case CODEC_TEXT: good = text_of(object, field->limit, member); break;
    case CODEC_BYTES:
        good = object->type == MSGPACK_OBJECT_BIN && object->via.bin.size <= field->limit;
        if (good) {
            *(struct slice *)member =
                (struct slice){.data = object->via.bin.ptr, .size = object->via.bin.size};
        }
        break;
    case CODEC_MESSAGE: return decode_message(decoder, field->of, object, member);
    case CODEC_LIST:
    case CODEC_TEXTS: return decode_list(decoder, codec, field, object, member);
    }
    return good ? OK : bad_field(codec, field);
}

static bool key_names(const struct decoder *decoder, const struct codec_field *field,
                      const msgpack_object *key)
{
    if (decoder->dialect == CODEC_TAGS) {
        return key->type == MSGPACK_OBJECT_POSITIVE_INTEGER && key->via.u64 == field->tag;
    }
    size_t size = strlen(field->name);
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == size &&
           memcmp(key->via.str.ptr, field->name, size) == 0;
}

/* `hint` is where the field would stand if the sender wrote every field in order: it mostly did. */
static const struct codec_field *find_field(const struct decoder *decoder,
                                            const struct codec *codec, const msgpack_object *key,
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

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the skim. */
static struct status decode_message(const struct decoder *decoder, const struct codec *codec,
                                    const msgpack_object *object, void *out)
{
    assert(codec->field_count <= CODEC_FIELDS_MAX);
    if (object->type != MSGPACK_OBJECT_MAP) {
        return fail(STATUS_INVALID, "%s is not a map", codec->name);
    }
    memset(out, 0, codec->size);

    uint64_t seen = 0;
    size_t hint = 0;
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        const struct codec_field *field = find_field(decoder, codec, &pair->key, hint);
        if (field == NULL && decoder->dialect == CODEC_NAMES) {
            continue;
        }
        if (field == NULL) {
            return fail(STATUS_INVALID, "%s has an unknown field", codec->name);
        }
        hint = (size_t)(field - codec->fields) + 1;
        uint64_t bit = UINT64_C(1) << (hint - 1);
        if ((seen & bit) != 0) {
            return fail(STATUS_INVALID, "%s.%s is given twice", codec->name, field->name);
        }
        seen |= bit;
        struct status status =
            decode_field(decoder, codec, field, &pair->val, (char *)out + field->offset);
        if (failed(status)) {
            return status;
        }
    }
    return check_complete(codec, seen);
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

    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    struct status status;
    msgpack_unpack_return rv = msgpack_unpack_next(&unpacked, input->data, size, &offset);
    if (rv == MSGPACK_UNPACK_SUCCESS) {
        const struct decoder decoder = {.dialect = dialect, .arena = arena};
        status = decode_message(&decoder, codec, &unpacked.data, out);
    } else if (rv == MSGPACK_UNPACK_NOMEM_ERROR) {
        status = fail(STATUS_NO_MEMORY, "decode %s", codec->name);
    } else {
        status = fail(STATUS_INVALID, "%s is not MessagePack", codec->name);
    }
    msgpack_unpacked_destroy(&unpacked);
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
