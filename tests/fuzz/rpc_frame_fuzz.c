/*
 * Fuzzing what a client reads: a frame, and the result of every method in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "client/json_view.h"
#include "client/protocol.h"
#include "client/rpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted can be shown and encoded again. */
static void try_result(const struct codec *codec, struct slice bytes)
{
    struct arena arena = {0};
    struct buffer out = {0};
    void *value = arena_alloc(&arena, 1, codec->size);
    if (value != NULL && !failed(codec_decode(codec, CODEC_NAMES, bytes, &arena, value))) {
        if (failed(codec_encode(codec, CODEC_NAMES, value, &out)) ||
            failed(json_view(codec, value, false, &out))) {
            abort();
        }
    }
    buffer_release(&out);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_frame frame;
    bool id_known = false;
    struct slice bytes = {.data = data, .size = size};
    if (size > RPC_FRAME_SIZE_MAX || failed(rpc_frame_parse(bytes, &frame, &id_known))) {
        return 0;
    }
    if (!id_known) {
        abort();
    }
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        if (frame.response && rpc_methods[i].result != NULL) {
            try_result(rpc_methods[i].result, frame.result);
        } else if (!frame.response) {
            try_result(rpc_methods[i].params, frame.params);
        }
    }
    return 0;
}
