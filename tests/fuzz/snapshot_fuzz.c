/*
 * Fuzzer: a snapshot's header as bytes from anywhere, and a recovery key as text. What is decoded
 * encodes to the same bytes, and its sizes do not overflow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "client/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_header(struct slice bytes)
{
    struct arena arena = {0};
    struct buffer again = {0};
    struct snapshot_header header;
    size_t lead_size = 0;
    if (!failed(snapshot_header_decode(bytes, &arena, &header, &lead_size))) {
        uint64_t count = snapshot_piece_count(&header);
        if (lead_size > bytes.size || count == 0 ||
            snapshot_piece_size(&header, count - 1) <= SNAPSHOT_PIECE_OVERHEAD ||
            snapshot_file_size(&header, lead_size) <= header.image_size ||
            failed(snapshot_header_encode(&header, &again)) || again.size > lead_size) {
            abort();
        }
    }
    buffer_release(&again);
    arena_release(&arena);
}

static void try_key(struct slice text)
{
    struct secret key = {0};
    struct buffer again = {0};
    if (!failed(recovery_key_parse(text, &key)) &&
        (failed(recovery_key_format(secret_slice(&key), &again)) ||
         !slice_equal(buffer_slice(&again), text))) {
        abort();
    }
    buffer_release(&again);
    secret_release(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {.data = data, .size = size};
    try_header(bytes);
    try_key(bytes);
    return 0;
}
