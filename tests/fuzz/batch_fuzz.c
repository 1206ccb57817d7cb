/*
 * Fuzzing the entries of the log: bytes from anywhere, or a batch that is changed as the input says. What
 * is decoded encodes to the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "fuzz_input.h"

#define BYTES_MAX 4096

static void try_entry(struct slice entry)
{
    static const enum status_code codes[] = {STATUS_CORRUPT, STATUS_OK};
    static struct slice commands[BATCH_COUNT_MAX];
    size_t count = 0;
    struct status status = batch_decode(entry, commands, &count);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
        return;
    }
    void *again = malloc(entry.size);
    fuzz_must(again != NULL, "there is memory");
    batch_encode(commands, count, again);
    fuzz_must(memcmp(again, entry.data, entry.size) == 0, "an entry has one form");
    free(again);
}

static void try_batch(struct fuzz_input *input)
{
    uint64_t aligned[BYTES_MAX / sizeof(uint64_t)];
    uint8_t *bytes = (uint8_t *)aligned;
    struct slice commands[8];
    size_t count = fuzz_u8(input) % 8U + 1;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        commands[i] = fuzz_bytes(input, 100);
        size += commands[i].size;
    }
    size = batch_size(count, size);
    fuzz_must(size <= BYTES_MAX, "a batch of these fits");
    batch_encode(commands, count, bytes);
    fuzz_patches(input, bytes, &size, BYTES_MAX);
    try_entry((struct slice){.data = bytes, .size = size});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    if (fuzz_u8(&input) < 64) {
        try_entry(fuzz_rest(&input));
    } else {
        try_batch(&input);
    }
    return 0;
}
