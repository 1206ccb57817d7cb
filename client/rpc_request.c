/*
 * Requests as bytes: the method's params and the options share one map.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rpc_request.h"

#include <string.h>

#include "client/rpc_frame.h"

#define SECRET_ROOM ((size_t)64 << 10U) /* Bytes of a request with a secret, at most. */
#define MAP_COUNT_MAX 15U               /* Of a msgpack fixmap. */

/* Put the options' fields into the params map, which ends the buffer. Both are fixmaps, or the
 * first becomes a map 16: one byte becomes three. */
static bool append_options(struct buffer *out, size_t map_at, const struct buffer *options)
{
    unsigned added = (uint8_t)options->data[0] & 0x0FU;
    unsigned first = (uint8_t)out->data[map_at];
    if (first == 0xDEU) {
        unsigned count = (unsigned)(uint8_t)out->data[map_at + 1] << 8U |
                         (unsigned)(uint8_t)out->data[map_at + 2];
        count += added;
        out->data[map_at + 1] = (char)(count >> 8U);
        out->data[map_at + 2] = (char)(count & 0xFFU);
    } else if ((first & 0x0FU) + added <= MAP_COUNT_MAX) {
        out->data[map_at] = (char)(first + added);
    } else {
        if (!buffer_append(out, "\0", 2)) {
            return false;
        }
        memmove(out->data + map_at + 3, out->data + map_at + 1, out->size - map_at - 3);
        out->data[map_at] = (char)0xDE;
        out->data[map_at + 1] = 0;
        out->data[map_at + 2] = (char)((first & 0x0FU) + added);
    }
    return buffer_append(out, options->data + 1, options->size - 1);
}

struct status rpc_request_encode(const struct connection_request *request, uint32_t id,
                                 struct buffer *out)
{
    const struct rpc_method_row *row = &rpc_methods[request->method];
    /* Growing would leave a copy of a secret behind. */
    if ((row->secret_params && !buffer_reserve(out, SECRET_ROOM)) ||
        !rpc_frame_begin_request(out, id, row->name)) {
        return fail(STATUS_NO_MEMORY, "%s: prepare the request", row->name);
    }
    size_t map_at = out->size;
    struct status status = codec_encode(row->params, CODEC_NAMES, request->params, out);
    if (failed(status)) {
        return wrap(status, "%s", row->name);
    }
    struct buffer options = {0};
    status = codec_encode(&rpc_options_codec, CODEC_NAMES, &request->options, &options);
    if (!failed(status) && !append_options(out, map_at, &options)) {
        status = fail(STATUS_NO_MEMORY, "prepare the request");
    }
    buffer_release(&options);
    if (!failed(status) && out->size > RPC_FRAME_SIZE_MAX) {
        status = fail(STATUS_INVALID, "the request has %zu bytes, the limit is %u", out->size,
                      RPC_FRAME_SIZE_MAX);
    }
    return failed(status) ? wrap(status, "%s", row->name) : OK;
}
