/*
 * Structs on the wire, as msgpack maps.
 *
 * A message is described once, by a table of its fields; encoding, decoding, limits, the
 * round-trip test, the fuzz dictionary and the protocol page all read that table.
 *
 * One table serves two dialects:
 *   CODEC_TAGS   log entries and stored values. Keys are the fields' numbers. Decoding is strict:
 *                a field that is not in the table is refused, for a replica that skipped it would
 *                diverge in silence.
 *   CODEC_NAMES  RPC. Keys are the fields' names, so that any MessagePack client can read an
 *                answer without our tables. Unknown fields are ignored, so that old and new speak.
 *
 * Optional fields that hold their zero value (0, false, no bytes, no items) are left out and come
 * back as zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"

enum codec_kind {
    CODEC_U64,     /* uint64_t; limit is the largest value. */
    CODEC_BOOL,    /* bool. */
    CODEC_TEXT,    /* struct slice, UTF-8 without NUL; limit is the largest size in bytes. */
    CODEC_BYTES,   /* struct slice; limit is the largest size in bytes. */
    CODEC_MESSAGE, /* The struct that `of` describes, embedded. */
    CODEC_LIST,    /* struct codec_list of the structs that `of` describes; limit is the largest
                      count. */
    CODEC_TEXTS,   /* struct codec_list of struct slice, each UTF-8 of at most CODEC_TEXTS_SIZE_MAX
                      bytes; limit is the largest count. */
};

#define CODEC_TEXTS_SIZE_MAX 2048 /* Bytes: the longest URL that trackers and browsers agree on. */
#define CODEC_DEPTH_MAX 6         /* Messages within messages. */

enum codec_dialect {
    CODEC_TAGS,
    CODEC_NAMES,
};

struct codec_list {
    void *items; /* Array of `count` structs, or of struct slice. NULL if there are none. */
    size_t count;
};

struct codec;

struct codec_field {
    uint8_t tag; /* On the wire for ever: never renumbered, never reused. */
    enum codec_kind kind;
    bool optional;
    size_t offset; /* Of the member in its struct. */
    uint64_t limit;
    const struct codec *of; /* CODEC_MESSAGE and CODEC_LIST only. */
    const char *name;       /* The wire's name in CODEC_NAMES. */
};

#define CODEC_FIELDS_MAX 48 /* Per message. */

struct codec {
    const char *name;
    size_t size; /* Of the struct. */
    const struct codec_field *fields;
    size_t field_count; /* At most CODEC_FIELDS_MAX. */
};

#define CODEC_FIELD(type, tag_, member, kind_, limit_)                                             \
    {                                                                                              \
        .tag = (tag_), .kind = (kind_), .offset = offsetof(type, member), .limit = (limit_),       \
        .name = #member                                                                            \
    }

#define CODEC_OPTIONAL(type, tag_, member, kind_, limit_)                                          \
    {                                                                                              \
        .tag = (tag_), .kind = (kind_), .optional = true, .offset = offsetof(type, member),        \
        .limit = (limit_), .name = #member                                                         \
    }

/* A message or a list of messages. A list may be empty only if it is optional. */
#define CODEC_NESTED(type, tag_, member, kind_, limit_, of_)                                       \
    {                                                                                              \
        .tag = (tag_), .kind = (kind_), .offset = offsetof(type, member), .limit = (limit_),       \
        .of = (of_), .name = #member                                                               \
    }

#define CODEC_NESTED_OPTIONAL(type, tag_, member, kind_, limit_, of_)                              \
    {                                                                                              \
        .tag = (tag_), .kind = (kind_), .optional = true, .offset = offsetof(type, member),        \
        .limit = (limit_), .of = (of_), .name = #member                                            \
    }

#define CODEC(type, name_, fields_)                                                                \
    {                                                                                              \
        .name = (name_), .size = sizeof(type), .fields = (fields_),                                \
        .field_count = sizeof(fields_) / sizeof((fields_)[0])                                      \
    }

/*
 * Append the encoding of `value`, a struct of the type the codec describes, to `out`. Checks the
 * same limits as decoding does: STATUS_INVALID names the field that breaks one, STATUS_NO_MEMORY;
 * either leaves `out` as it was.
 */
MUST_USE struct status codec_encode(const struct codec *codec, enum codec_dialect dialect,
                                    const void *value, struct buffer *out);

/*
 * Decode `input`, one complete msgpack map and nothing after it, into `*out`. Every field that is
 * not optional must be there, none twice. The bytes are skimmed (skim.h) before anything else, so
 * any input is safe.
 *
 * Text and bytes in `*out` borrow from `input`; lists are allocated from `arena`. Fails with
 * STATUS_INVALID or STATUS_NO_MEMORY, leaving `*out` unspecified; the arena is the caller's to
 * release either way.
 */
MUST_USE struct status codec_decode(const struct codec *codec, enum codec_dialect dialect,
                                    struct slice input, struct arena *arena, void *out);

/* The same for the first map of `*input`, which is moved past it; what follows is not looked at. */
MUST_USE struct status codec_decode_next(const struct codec *codec, enum codec_dialect dialect,
                                         struct slice *input, struct arena *arena, void *out);

#endif
