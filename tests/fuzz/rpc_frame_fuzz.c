/*
 * Fuzzing the admin RPC, both ways: a frame as bytes from anywhere, and the parameters and results of
 * every method, made by its table, changed as the input says, and put into a frame.
 *
 * What is taken encodes to the same, and can be shown as JSON that others read. A joiner's statement has
 * one form; a submitted record that passes its check has keys within their limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/skim.h"
#include "client/json_view.h"
#include "client/protocol.h"
#include "client/record.h"
#include "client/rpc_frame.h"
#include "fuzz_value.h"

#define RAW_SHARE 64U /* Of 256 inputs: frames as they come. */

static void check_shown(const struct codec *codec, const void *value)
{
    struct buffer shown = {0};
    fuzz_ok(json_view(codec, value, false, &shown));
    json_t *json = json_loadb(shown.data, shown.size, JSON_REJECT_DUPLICATES, NULL);
    fuzz_must(json_is_object(json), "what is shown is JSON");
    json_decref(json);
    buffer_release(&shown);
}

static void check_record(const struct message_record *record, struct arena *arena)
{
    struct record_key_list keys;
    if (failed(message_record_check(record))) {
        return;
    }
    fuzz_ok(record_keys(record, arena, &keys));
    fuzz_must(keys.count <= RECORD_KEYS_MAX, "keys are limited");
    for (size_t i = 0; i < keys.count; i++) {
        fuzz_must(keys.items[i].value.size > 0 && keys.items[i].value.size <= RECORD_KEY_SIZE_MAX,
                  "a key has some bytes, and not too many");
    }
}

static void check_statement(const struct rpc_admit *admit)
{
    struct buffer statement = {0};
    struct buffer again = {0};
    if (!failed(rpc_admit_statement(admit, &statement))) {
        fuzz_ok(rpc_admit_statement(admit, &again));
        fuzz_must(slice_equal(buffer_slice(&statement), buffer_slice(&again)),
                  "a statement has one form");
    }
    buffer_release(&statement);
    buffer_release(&again);
}

static void try_value(const struct codec *codec, struct slice bytes)
{
    struct arena arena = {0};
    void *value = NULL;
    if (fuzz_codec(codec, CODEC_NAMES, bytes, &arena, &value)) {
        check_shown(codec, value);
        if (codec == &message_record_codec) {
            check_record(value, &arena);
        } else if (codec == &rpc_admit_codec) {
            check_statement(value);
        }
    }
    arena_release(&arena);
}

static void try_frame(struct slice bytes, const struct codec *codec)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX, .depth_max = RPC_DEPTH_MAX, .values_max = RPC_VALUES_MAX};
    struct rpc_frame frame;
    size_t size = 0;
    bool id_known = false;
    if (skim_value(bytes, &limits, &size) != SKIM_COMPLETE) {
        return;
    }
    bytes.size = size;
    if (failed(rpc_frame_parse(bytes, &frame, &id_known))) {
        return;
    }
    fuzz_must(id_known, "a message that is taken has a number");
    if (codec != NULL) {
        try_value(codec, frame.response ? frame.result : frame.params);
        return;
    }
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        if (frame.response && rpc_methods[i].result != NULL) {
            try_value(rpc_methods[i].result, frame.result);
        } else if (!frame.response) {
            try_value(rpc_methods[i].params, frame.params);
        }
    }
}

/* A value of a method's table, or the record of a submission, in its frame. */
static void try_method(struct fuzz_input *input)
{
    const struct rpc_method_row *row = &rpc_methods[fuzz_u8(input) % RPC_METHOD_COUNT];
    unsigned how = fuzz_u8(input);
    bool result = how % 2U == 1 && row->result != NULL;
    const struct codec *codec = result ? row->result : row->params;
    codec = how % 16U == 15 ? &message_record_codec : codec;
    struct arena arena = {0};
    struct buffer frame = {0};
    void *value = arena_alloc(&arena, 1, codec->size);
    fuzz_must(value != NULL, "there is memory");
    fuzz_value(input, codec, &arena, value);
    fuzz_must(result ? rpc_frame_begin_result(&frame, how)
                     : rpc_frame_begin_request(&frame, how, row->name),
              "a frame is begun");
    if (!failed(codec_encode(codec, CODEC_NAMES, value, &frame)) && buffer_reserve(&frame, 256)) {
        if (how >= 192) {
            fuzz_patches(input, (uint8_t *)frame.data, &frame.size, frame.capacity);
        }
        try_frame(buffer_slice(&frame), codec);
    }
    buffer_release(&frame);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    if (fuzz_u8(&input) < RAW_SHARE) {
        try_frame(fuzz_rest(&input), NULL);
    } else {
        try_method(&input);
    }
    return 0;
}
