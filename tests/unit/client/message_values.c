/*
 * Values for any message, made from its table of fields.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "message_values.h"

#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 3U   /* Of a generated list. */
#define SIZE_USUAL 40U /* Random texts are mostly short. */

/* splitmix64: the whole state is one number, so a seed names a value. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30U) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27U) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31U;
}

static uint64_t below(uint64_t *state, uint64_t end)
{
    return end == 0 ? 0 : next(state) % end;
}

static void *allocate(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_alloc(arena, count, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static struct slice make_bytes(uint64_t size, bool text, uint64_t *state, struct arena *arena)
{
    uint8_t *bytes = allocate(arena, (size_t)size + 1, 1);
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = text ? (uint8_t)(' ' + below(state, 95)) : (uint8_t)next(state);
    }
    return (struct slice){.data = size > 0 ? bytes : NULL, .size = (size_t)size};
}

static uint64_t choose_size(uint64_t limit, enum message_fill fill, uint64_t *state)
{
    switch (fill) {
    case MESSAGE_FILL_EMPTY: return 0;
    case MESSAGE_FILL_MAX: return limit;
    case MESSAGE_FILL_RANDOM: break;
    }
    uint64_t end = limit > SIZE_USUAL && below(state, 8) > 0 ? SIZE_USUAL : limit;
    return below(state, end + 1);
}

static uint64_t choose_number(uint64_t limit, enum message_fill fill, uint64_t *state)
{
    switch (fill) {
    case MESSAGE_FILL_EMPTY: return 0;
    case MESSAGE_FILL_MAX: return limit;
    case MESSAGE_FILL_RANDOM: break;
    }
    uint64_t number = next(state) >> below(state, 64);
    return limit == UINT64_MAX ? number : number % (limit + 1);
}

static size_t choose_count(const struct codec_field *field, enum message_fill fill, uint64_t *state)
{
    size_t least = field->optional || field->kind == CODEC_TEXTS ? 0 : 1;
    size_t most = field->limit < ITEMS_MAX ? (size_t)field->limit : ITEMS_MAX;
    switch (fill) {
    case MESSAGE_FILL_EMPTY: return least;
    case MESSAGE_FILL_MAX: return most;
    case MESSAGE_FILL_RANDOM: break;
    }
    return least + (size_t)below(state, most - least + 1);
}

static void fill_message(const struct codec *codec, enum message_fill fill, uint64_t *state,
                         struct arena *arena, void *out);

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static void fill_list(const struct codec_field *field, enum message_fill fill, uint64_t *state,
                      struct arena *arena, struct codec_list *out)
{
    bool texts = field->kind == CODEC_TEXTS;
    size_t item_size = texts ? sizeof(struct slice) : field->of->size;
    out->count = choose_count(field, fill, state);
    out->items = out->count > 0 ? allocate(arena, out->count, item_size) : NULL;
    for (size_t i = 0; i < out->count; i++) {
        if (texts) {
            ((struct slice *)out->items)[i] =
                make_bytes(choose_size(CODEC_TEXTS_SIZE_MAX, fill, state), true, state, arena);
        } else {
            fill_message(field->of, fill, state, arena, (char *)out->items + i * item_size);
        }
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static void fill_message(const struct codec *codec, enum message_fill fill, uint64_t *state,
                         struct arena *arena, void *out)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        void *member = (char *)out + field->offset;
        switch (field->kind) {
        case CODEC_U64: *(uint64_t *)member = choose_number(field->limit, fill, state); break;
        case CODEC_BOOL: *(bool *)member = choose_number(1, fill, state) == 1; break;
        case CODEC_TEXT:
        case CODEC_BYTES:
            *(struct slice *)member = make_bytes(choose_size(field->limit, fill, state),
                                                 field->kind == CODEC_TEXT, state, arena);
            break;
        case CODEC_MESSAGE: fill_message(field->of, fill, state, arena, member); break;
        case CODEC_LIST:
        case CODEC_TEXTS: fill_list(field, fill, state, arena, member); break;
        }
    }
}

void *message_make(const struct codec *codec, enum message_fill fill, uint64_t seed,
                   struct arena *arena)
{
    void *message = allocate(arena, 1, codec->size);
    fill_message(codec, fill, &seed, arena, message);
    return message;
}

static void exceed_list(const struct codec_field *field, struct codec_list *list,
                        struct arena *arena)
{
    uint64_t state = 1;
    bool texts = field->kind == CODEC_TEXTS;
    size_t item_size = texts ? sizeof(struct slice) : field->of->size;
    list->count = (size_t)field->limit + 1;
    list->items = allocate(arena, list->count, item_size);
    for (size_t i = 0; !texts && i < list->count; i++) {
        fill_message(field->of, MESSAGE_FILL_EMPTY, &state, arena,
                     (char *)list->items + i * item_size);
    }
}

bool message_exceed(const struct codec_field *field, void *message, struct arena *arena)
{
    void *member = (char *)message + field->offset;
    uint64_t state = 1;
    switch (field->kind) {
    case CODEC_U64: *(uint64_t *)member = field->limit + 1; return field->limit < UINT64_MAX;
    case CODEC_BOOL:
    case CODEC_MESSAGE: return false;
    case CODEC_TEXT:
    case CODEC_BYTES:
        *(struct slice *)member =
            make_bytes(field->limit + 1, field->kind == CODEC_TEXT, &state, arena);
        return true;
    case CODEC_LIST:
    case CODEC_TEXTS: exceed_list(field, member, arena); return true;
    }
    return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static bool lists_equal(const struct codec_field *field, const struct codec_list *left,
                        const struct codec_list *right)
{
    bool equal = left->count == right->count;
    for (size_t i = 0; equal && i < left->count; i++) {
        if (field->kind == CODEC_TEXTS) {
            equal =
                slice_equal(((struct slice *)left->items)[i], ((struct slice *)right->items)[i]);
        } else {
            size_t at = i * field->of->size;
            equal = message_equal(field->of, (char *)left->items + at, (char *)right->items + at);
        }
    }
    return equal;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static bool members_equal(const struct codec_field *field, const void *left, const void *right)
{
    switch (field->kind) {
    case CODEC_U64: return *(const uint64_t *)left == *(const uint64_t *)right;
    case CODEC_BOOL: return *(const bool *)left == *(const bool *)right;
    case CODEC_TEXT:
    case CODEC_BYTES: return slice_equal(*(const struct slice *)left, *(const struct slice *)right);
    case CODEC_MESSAGE: return message_equal(field->of, left, right);
    case CODEC_LIST:
    case CODEC_TEXTS: return lists_equal(field, left, right);
    }
    return false;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
bool message_equal(const struct codec *codec, const void *left, const void *right)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        if (!members_equal(field, (const char *)left + field->offset,
                           (const char *)right + field->offset)) {
            return false;
        }
    }
    return true;
}
