/*
 * Fuzzing a snapshot's header, as bytes from anywhere or made by its table and changed as the input says,
 * and a recovery key as text. What is decoded encodes to the same bytes, and its sizes do not overflow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "client/snapshot.h"
#include "fuzz_value.h"

static void try_header(struct slice bytes)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_CORRUPT, STATUS_OK};
    struct arena arena = {0};
    struct buffer again = {0};
    struct snapshot_header header;
    size_t lead_size = 0;
    struct status status = snapshot_header_decode(bytes, &arena, &header, &lead_size);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
    } else {
        uint64_t count = snapshot_piece_count(&header);
        fuzz_must(lead_size <= bytes.size && count > 0, "it is within what was given");
        fuzz_must(snapshot_piece_size(&header, count - 1) > SNAPSHOT_PIECE_OVERHEAD &&
                      snapshot_file_size(&header, lead_size) > header.image_size,
                  "its sizes do not overflow");
        fuzz_ok(snapshot_header_encode(&header, &again));
        fuzz_must(again.size <= lead_size, "there is no shorter form of what it says");
    }
    buffer_release(&again);
    arena_release(&arena);
}

static void try_made(struct fuzz_input *input)
{
    struct arena arena = {0};
    struct buffer bytes = {0};
    struct snapshot_header header = {0};
    fuzz_value(input, &snapshot_header_codec, &arena, &header);
    header.format = fuzz_u8(input) < 224 ? SNAPSHOT_FORMAT : header.format;
    header.image_size += header.image_size == 0;
    if (!failed(snapshot_header_encode(&header, &bytes)) && buffer_reserve(&bytes, 256)) {
        fuzz_patches(input, (uint8_t *)bytes.data, &bytes.size, bytes.capacity);
        try_header(buffer_slice(&bytes));
    }
    buffer_release(&bytes);
    arena_release(&arena);
}

static void try_key(struct slice text)
{
    struct secret key = {0};
    struct buffer again = {0};
    if (!failed(recovery_key_parse(text, &key))) {
        fuzz_ok(recovery_key_format(secret_slice(&key), &again));
        fuzz_must(slice_equal(buffer_slice(&again), text), "a recovery key has one form");
    }
    buffer_release(&again);
    secret_release(&key);
}

static void try_made_key(struct fuzz_input *input)
{
    static uint8_t bytes[512];
    struct buffer text = {0};
    fuzz_ok(recovery_key_format(slice_of("0123456789abcdef0123456789abcdef"), &text));
    size_t size = text.size;
    memcpy(bytes, text.data, size);
    fuzz_patches(input, bytes, &size, sizeof bytes);
    try_key((struct slice){.data = bytes, .size = size});
    buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    switch (fuzz_u8(&input) % 8U) {
    case 0: try_header(fuzz_rest(&input)); break;
    case 1: try_key(fuzz_rest(&input)); break;
    case 2: try_made_key(&input); break;
    default: try_made(&input); break;
    }
    return 0;
}
