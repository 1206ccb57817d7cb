/*
 * One pass over the headers of a msgpack value (msgpack specification, 2013 edition), with a
 * stack of how many values each open container still expects.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/skim.h"

#include <assert.h>

/* What a header byte says about what follows it. */
struct header {
    size_t length_size;  /* Bytes of a big-endian length after the first byte. */
    size_t payload_size; /* Bytes after the header; the length adds to it for strings. */
    size_t children;     /* Values that follow; for maps twice the pairs. */
    enum { HEADER_SCALAR, HEADER_BYTES, HEADER_ARRAY, HEADER_MAP, HEADER_BAD } kind;
};

static struct header fixed_header(uint8_t first)
{
    if (first <= 0x7F || first >= 0xE0) {
        return (struct header){.kind = HEADER_SCALAR};
    }
    if (first <= 0x8F) {
        return (struct header){.kind = HEADER_MAP, .children = 2 * (first & 0x0FU)};
    }
    if (first <= 0x9F) {
        return (struct header){.kind = HEADER_ARRAY, .children = first & 0x0FU};
    }
    return (struct header){.kind = HEADER_BYTES, .payload_size = first & 0x1FU};
}

static struct header header_of(uint8_t first)
{
    static const struct header table[] = {
        /* 0xC0 nil, never used, false, true */
        {.kind = HEADER_SCALAR},
        {.kind = HEADER_BAD},
        {.kind = HEADER_SCALAR},
        {.kind = HEADER_SCALAR},
        /* 0xC4 bin 8, 16, 32 */
        {.kind = HEADER_BYTES, .length_size = 1},
        {.kind = HEADER_BYTES, .length_size = 2},
        {.kind = HEADER_BYTES, .length_size = 4},
        /* 0xC7 ext 8, 16, 32 */
        {.kind = HEADER_BAD},
        {.kind = HEADER_BAD},
        {.kind = HEADER_BAD},
        /* 0xCA float 32, 64 */
        {.kind = HEADER_SCALAR, .payload_size = 4},
        {.kind = HEADER_SCALAR, .payload_size = 8},
        /* 0xCC uint 8, 16, 32, 64 */
        {.kind = HEADER_SCALAR, .payload_size = 1},
        {.kind = HEADER_SCALAR, .payload_size = 2},
        {.kind = HEADER_SCALAR, .payload_size = 4},
        {.kind = HEADER_SCALAR, .payload_size = 8},
        /* 0xD0 int 8, 16, 32, 64 */
        {.kind = HEADER_SCALAR, .payload_size = 1},
        {.kind = HEADER_SCALAR, .payload_size = 2},
        {.kind = HEADER_SCALAR, .payload_size = 4},
        {.kind = HEADER_SCALAR, .payload_size = 8},
        /* 0xD4 fixext 1, 2, 4, 8, 16 */
        {.kind = HEADER_BAD},
        {.kind = HEADER_BAD},
        {.kind = HEADER_BAD},
        {.kind = HEADER_BAD},
        {.kind = HEADER_BAD},
        /* 0xD9 str 8, 16, 32 */
        {.kind = HEADER_BYTES, .length_size = 1},
        {.kind = HEADER_BYTES, .length_size = 2},
        {.kind = HEADER_BYTES, .length_size = 4},
        /* 0xDC array 16, 32 */
        {.kind = HEADER_ARRAY, .length_size = 2},
        {.kind = HEADER_ARRAY, .length_size = 4},
        /* 0xDE map 16, 32 */
        {.kind = HEADER_MAP, .length_size = 2},
        {.kind = HEADER_MAP, .length_size = 4},
    };
    if (first < 0xC0 || first > 0xDF) {
        return fixed_header(first);
    }
    return table[first - 0xC0];
}

/* Read the header at `at`, lengths included. False when its bytes are not all there yet. */
static bool read_header(const uint8_t *at, size_t left, struct header *out)
{
    *out = header_of(at[0]);
    if (out->length_size > left - 1) {
        return false;
    }
    size_t length = 0;
    for (size_t i = 1; i <= out->length_size; i++) {
        length = length << 8U | at[i];
    }
    switch (out->kind) {
    case HEADER_BYTES: out->payload_size += length; break;
    case HEADER_ARRAY: out->children += length; break;
    case HEADER_MAP: out->children += 2 * length; break;
    case HEADER_SCALAR:
    case HEADER_BAD: break;
    }
    return true;
}

struct skim {
    const struct skim_limits *limits;
    size_t at;                       /* Bytes passed. */
    size_t values;                   /* Values announced. */
    size_t expected[SKIM_DEPTH_MAX]; /* Values still to come in each open container. */
    unsigned depth;
};

static enum skim_result open_container(struct skim *skim, size_t children)
{
    if (children > skim->limits->values_max - skim->values) {
        return SKIM_TOO_MANY;
    }
    skim->values += children;
    if (skim->depth == skim->limits->depth_max) {
        return SKIM_TOO_DEEP;
    }
    if (children > 0) {
        skim->expected[skim->depth++] = children;
    }
    return SKIM_PARTIAL;
}

/* One value ended: so may the containers that it was the last of. */
static bool close_value(struct skim *skim)
{
    while (skim->depth > 0) {
        if (--skim->expected[skim->depth - 1] > 0) {
            return false;
        }
        skim->depth--;
    }
    return true;
}

/* Pass one header and its payload. SKIM_PARTIAL means go on, or, with `*starved`, wait. */
static enum skim_result step(struct skim *skim, struct slice bytes, bool *starved)
{
    const uint8_t *start = bytes.data;
    struct header header;
    if (skim->at == bytes.size || !read_header(start + skim->at, bytes.size - skim->at, &header)) {
        *starved = true;
        return SKIM_PARTIAL;
    }
    if (header.kind == HEADER_BAD) {
        return SKIM_INVALID;
    }
    size_t size = 1 + header.length_size + header.payload_size;
    if (size > skim->limits->size_max - skim->at) {
        return SKIM_TOO_LARGE;
    }
    if (header.kind == HEADER_ARRAY || header.kind == HEADER_MAP) {
        enum skim_result result = open_container(skim, header.children);
        if (result != SKIM_PARTIAL) {
            return result;
        }
    }
    if (size > bytes.size - skim->at) {
        *starved = true;
        return SKIM_PARTIAL;
    }
    skim->at += size;
    if (header.children > 0) {
        return SKIM_PARTIAL;
    }
    return close_value(skim) ? SKIM_COMPLETE : SKIM_PARTIAL;
}

enum skim_result skim_value(struct slice bytes, const struct skim_limits *limits, size_t *size)
{
    assert(limits->depth_max <= SKIM_DEPTH_MAX && limits->values_max > 0);
    struct skim skim = {.limits = limits, .values = 1};
    bool starved = false;
    enum skim_result result = SKIM_PARTIAL;
    while (result == SKIM_PARTIAL && !starved) {
        result = step(&skim, bytes, &starved);
    }
    if (result == SKIM_COMPLETE) {
        *size = skim.at;
    }
    return result;
}

const char *skim_explain(enum skim_result result)
{
    switch (result) {
    case SKIM_COMPLETE: return "complete";
    case SKIM_PARTIAL: return "cut short";
    case SKIM_TOO_LARGE: return "too large";
    case SKIM_TOO_DEEP: return "nested too deep";
    case SKIM_TOO_MANY: return "too many values";
    case SKIM_INVALID: return "not MessagePack";
    }
    return "not MessagePack";
}
