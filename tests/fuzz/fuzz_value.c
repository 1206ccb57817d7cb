/*
 * Values by table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_value.h"

#include <string.h>

#define LIST_MAX 4
#define TEXT_SIZE_MAX 96

/* Words that decoders look for; anything else comes from the input. */
static struct slice word_of(unsigned choice)
{
    static const char *const words[] = {
        "",
        "a",
        "mx1.example",
        "192.0.2.1:7670",
        "[2001:db8::1]:1",
        "removed",
        "admin",
        "ip",
        "domain",
        "url",
        "sha256",
        "delivered",
        "mid",
        "machine",
        "EUROPE",
        "registered",
        "voter",
        "https://a.example/b",
        "192.0.2.7",
        "2001:db8::7",
        "user@example.com",
        "0123456789abcdef0123456789abcdef",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "\xC3\xA9\xE2\x82\xAC",
        "incoming",
        "done",
    };
    return slice_of(words[choice % (sizeof words / sizeof words[0])]);
}

static struct slice some_text(struct fuzz_input *input)
{
    unsigned choice = fuzz_u8(input);
    return choice < 128 ? word_of(choice) : fuzz_bytes(input, TEXT_SIZE_MAX);
}

static struct slice some_bytes(struct fuzz_input *input, uint64_t limit, struct arena *arena)
{
    unsigned choice = fuzz_u8(input);
    size_t size = limit < 256 && choice < 128 ? (size_t)limit : 0; /* Keys, hashes. */
    if (size == 0) {
        return fuzz_bytes(input, TEXT_SIZE_MAX);
    }
    char *bytes = arena_alloc(arena, size + 1, 1);
    fuzz_must(bytes != NULL, "there is memory");
    memset(bytes, (int)choice, size);
    return (struct slice){.data = bytes, .size = size + (choice == 127)};
}

static uint64_t some_number(struct fuzz_input *input, uint64_t limit)
{
    uint64_t number = fuzz_u64(input);
    unsigned beyond = fuzz_u8(input);
    return beyond == 255 || number <= limit ? number
           : limit == UINT64_MAX            ? number
                                            : number % (limit + 1);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the table. */
static void some_list(struct fuzz_input *input, const struct codec_field *field,
                      struct arena *arena, struct codec_list *out)
{
    bool texts = field->kind == CODEC_TEXTS;
    size_t item_size = texts ? sizeof(struct slice) : field->of->size;
    out->count = fuzz_u8(input) % (LIST_MAX + 1U);
    out->items = arena_alloc(arena, out->count, item_size);
    fuzz_must(out->items != NULL, "there is memory");
    for (size_t i = 0; i < out->count; i++) {
        void *item = (char *)out->items + i * item_size;
        if (texts) {
            *(struct slice *)item = some_text(input);
        } else {
            fuzz_value(input, field->of, arena, item);
        }
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the table. */
void fuzz_value(struct fuzz_input *input, const struct codec *codec, struct arena *arena, void *out)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        void *member = (char *)out + field->offset;
        if (field->optional && fuzz_u8(input) % 3U == 0) {
            continue;
        }
        switch (field->kind) {
        case CODEC_U64: *(uint64_t *)member = some_number(input, field->limit); break;
        case CODEC_BOOL: *(bool *)member = fuzz_u8(input) % 2U == 1; break;
        case CODEC_TEXT: *(struct slice *)member = some_text(input); break;
        case CODEC_BYTES: *(struct slice *)member = some_bytes(input, field->limit, arena); break;
        case CODEC_MESSAGE: fuzz_value(input, field->of, arena, member); break;
        case CODEC_LIST:
        case CODEC_TEXTS: some_list(input, field, arena, member); break;
        }
    }
}

bool fuzz_codec(const struct codec *codec, enum codec_dialect dialect, struct slice bytes,
                struct arena *arena, void **out)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_OK};
    struct arena own = {0};
    struct buffer first = {0};
    struct buffer second = {0};
    void *value = arena_alloc(arena, 1, codec->size);
    void *again = arena_alloc(&own, 1, codec->size);
    fuzz_must(value != NULL && again != NULL, "there is memory");
    struct status status = codec_decode(codec, dialect, bytes, arena, value);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
    } else {
        fuzz_ok(codec_encode(codec, dialect, value, &first));
        fuzz_ok(codec_decode(codec, dialect, buffer_slice(&first), &own, again));
        fuzz_ok(codec_encode(codec, dialect, again, &second));
        fuzz_must(slice_equal(buffer_slice(&first), buffer_slice(&second)),
                  "what was decoded encodes to the same");
    }
    if (out != NULL) {
        *out = value;
    }
    arena_release(&own);
    buffer_release(&first);
    buffer_release(&second);
    return !failed(status);
}
