/*
 * Fuzzing what stands before every message and stored row: the skim, against msgpack-c as a second
 * opinion, and the codec, with a message that has a field of every kind.
 *
 * What the skim calls complete msgpack-c reads, with the same size; of a value cut short it says that
 * more is needed. What is decoded encodes, and decodes to the same again, in both dialects.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/skim.h"
#include "fuzz_value.h"

struct inner {
    uint64_t number;
    struct slice name;
};

struct outer {
    uint64_t number;
    bool flag;
    struct slice text;
    struct slice bytes;
    struct inner one;
    struct codec_list many; /* struct inner */
    struct codec_list texts;
    struct slice must;
};

static const struct codec_field inner_fields[] = {
    CODEC_OPTIONAL(struct inner, 1, number, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct inner, 2, name, CODEC_TEXT, 8),
};
static const struct codec inner_codec = CODEC(struct inner, "inner", inner_fields);

static const struct codec_field outer_fields[] = {
    CODEC_OPTIONAL(struct outer, 1, number, CODEC_U64, UINT64_MAX),
    CODEC_OPTIONAL(struct outer, 2, flag, CODEC_BOOL, 1),
    CODEC_OPTIONAL(struct outer, 3, text, CODEC_TEXT, 64),
    CODEC_OPTIONAL(struct outer, 4, bytes, CODEC_BYTES, 64),
    CODEC_NESTED(struct outer, 5, one, CODEC_MESSAGE, 0, &inner_codec),
    CODEC_NESTED_OPTIONAL(struct outer, 6, many, CODEC_LIST, 4, &inner_codec),
    CODEC_OPTIONAL(struct outer, 7, texts, CODEC_TEXTS, 4),
    CODEC_FIELD(struct outer, 200, must, CODEC_BYTES, 64),
};
static const struct codec outer_codec = CODEC(struct outer, "outer", outer_fields);

static void check_text(struct slice text, size_t size_max)
{
    fuzz_must(text.size <= size_max && slice_is_text(text), "text is text, within its limit");
}

static void check_outer(const struct outer *outer)
{
    const struct inner *many = outer->many.items;
    const struct slice *texts = outer->texts.items;
    check_text(outer->text, 64);
    check_text(outer->one.name, 8);
    fuzz_must(outer->bytes.size <= 64 && outer->must.size <= 64 && outer->many.count <= 4 &&
                  outer->texts.count <= 4 && outer->one.number <= UINT32_MAX,
              "limits hold");
    for (size_t i = 0; i < outer->many.count; i++) {
        check_text(many[i].name, 8);
        fuzz_must(many[i].number <= UINT32_MAX, "limits hold");
    }
    for (size_t i = 0; i < outer->texts.count; i++) {
        check_text(texts[i], CODEC_TEXTS_SIZE_MAX);
    }
}

static void try_codec(struct slice bytes, enum codec_dialect dialect)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_OK};
    struct arena arena = {0};
    struct buffer first = {0};
    struct buffer second = {0};
    struct outer outer;
    struct status status = codec_decode(&outer_codec, dialect, bytes, &arena, &outer);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
    } else {
        check_outer(&outer);
        fuzz_ok(codec_encode(&outer_codec, dialect, &outer, &first));
        fuzz_ok(codec_decode(&outer_codec, dialect, buffer_slice(&first), &arena, &outer));
        fuzz_ok(codec_encode(&outer_codec, dialect, &outer, &second));
        fuzz_must(slice_equal(buffer_slice(&first), buffer_slice(&second)),
                  "what was decoded encodes to the same");
    }
    arena_release(&arena);
    buffer_release(&first);
    buffer_release(&second);
}

static void try_cut(struct slice bytes, const struct skim_limits *limits, size_t whole)
{
    size_t size = 0;
    for (size_t cut = 0; cut < whole; cut += whole / 16 + 1) {
        struct slice part = {.data = bytes.data, .size = cut};
        fuzz_must(skim_value(part, limits, &size) == SKIM_PARTIAL,
                  "of what is complete a part needs more");
    }
}

static void try_skim(struct slice bytes)
{
    static const struct skim_limits limits = {.size_max = 4096, .depth_max = 8, .values_max = 256};
    size_t size = 0;
    size_t offset = 0;
    if (skim_value(bytes, &limits, &size) != SKIM_COMPLETE) {
        return;
    }
    fuzz_must(size > 0 && size <= bytes.size && size <= limits.size_max, "the size is within");
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return rv = msgpack_unpack_next(&unpacked, bytes.data, size, &offset);
    fuzz_must(rv == MSGPACK_UNPACK_SUCCESS && offset == size, "msgpack-c reads the same value");
    msgpack_unpacked_destroy(&unpacked);
    try_cut(bytes, &limits, size);
}

/* A message by its table, changed as the input says. */
static void try_made(struct fuzz_input *input)
{
    struct arena arena = {0};
    struct buffer bytes = {0};
    struct outer outer = {0};
    enum codec_dialect dialect = fuzz_u8(input) % 2U == 0 ? CODEC_TAGS : CODEC_NAMES;
    fuzz_value(input, &outer_codec, &arena, &outer);
    if (!failed(codec_encode(&outer_codec, dialect, &outer, &bytes)) &&
        buffer_reserve(&bytes, 256)) {
        fuzz_patches(input, (uint8_t *)bytes.data, &bytes.size, bytes.capacity);
        try_skim(buffer_slice(&bytes));
        try_codec(buffer_slice(&bytes), dialect);
    }
    buffer_release(&bytes);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    if (fuzz_u8(&input) >= 128) {
        try_made(&input);
        return 0;
    }
    struct slice bytes = fuzz_rest(&input);
    try_skim(bytes);
    try_codec(bytes, CODEC_TAGS);
    try_codec(bytes, CODEC_NAMES);
    return 0;
}
