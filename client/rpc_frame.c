/*
 * MessagePack-RPC messages. Only the headers of the msgpack formats that stand between the values
 * are read here; where a value ends, the skim says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/rpc_frame.h"

#include <string.h>

#include "base/skim.h"
#include "client/protocol.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool good;
};

/* The next value, whatever it is, as bytes. */
static struct slice next_value(struct reader *reader)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX,
        .depth_max = RPC_DEPTH_MAX,
        .values_max = RPC_VALUES_MAX,
    };
    struct slice rest = {.data = reader->at, .size = (size_t)(reader->end - reader->at)};
    size_t size = 0;
    if (!reader->good || skim_value(rest, &limits, &size) != SKIM_COMPLETE) {
        reader->good = false;
        return (struct slice){0};
    }
    reader->at += size;
    return (struct slice){.data = rest.data, .size = size};
}

static uint64_t next_number(struct reader *reader)
{
    struct slice value = next_value(reader);
    const uint8_t *bytes = value.data;
    uint64_t number = 0;
    if (!reader->good) {
        return 0;
    }
    if (bytes[0] <= 0x7F) {
        return bytes[0];
    }
    if (bytes[0] < 0xCC || bytes[0] > 0xCF) {
        reader->good = false;
        return 0;
    }
    for (size_t i = 1; i < value.size; i++) {
        number = number << 8U | bytes[i];
    }
    return number;
}

static struct slice next_text(struct reader *reader)
{
    struct slice value = next_value(reader);
    const uint8_t *bytes = value.data;
    if (!reader->good) {
        return (struct slice){0};
    }
    size_t header = 0;
    if (bytes[0] >= 0xA0 && bytes[0] <= 0xBF) {
        header = 1;
    } else if (bytes[0] == 0xD9) {
        header = 2;
    } else if (bytes[0] == 0xDA) {
        header = 3;
    } else if (bytes[0] == 0xDB) {
        header = 5;
    } else {
        reader->good = false;
        return (struct slice){0};
    }
    struct slice text = {.data = bytes + header, .size = value.size - header};
    reader->good = slice_is_text(text);
    return text;
}

/* The count of an array whose header stands here; the values follow. */
static uint64_t enter_array(struct reader *reader)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (!reader->good || left == 0) {
        reader->good = false;
        return 0;
    }
    uint8_t first = reader->at[0];
    size_t length_size = first == 0xDC ? 2 : 4;
    if (first >= 0x90 && first <= 0x9F) {
        reader->at++;
        return first & 0x0FU;
    }
    if ((first != 0xDC && first != 0xDD) || left <= length_size) {
        reader->good = false;
        return 0;
    }
    uint64_t count = 0;
    for (size_t i = 1; i <= length_size; i++) {
        count = count << 8U | reader->at[i];
    }
    reader->at += 1 + length_size;
    return count;
}

static bool is_map(struct slice value)
{
    uint8_t first = value.size == 0 ? 0 : *(const uint8_t *)value.data;
    return (first >= 0x80 && first <= 0x8F) || first == 0xDE || first == 0xDF;
}

static bool next_is_nil(struct reader *reader)
{
    return reader->good && reader->at < reader->end && reader->at[0] == 0xC0;
}

static void parse_request(struct reader *reader, struct rpc_frame *out)
{
    out->method = next_text(reader);
    uint64_t count = enter_array(reader);
    if (count > 0) {
        out->params = next_value(reader);
    }
    reader->good = reader->good && count <= 1 && (count == 0 || is_map(out->params));
}

static void parse_response(struct reader *reader, struct rpc_frame *out)
{
    if (!next_is_nil(reader)) {
        reader->good = enter_array(reader) == 2 && reader->good;
        out->error = next_number(reader);
        out->message = next_text(reader);
        reader->good = reader->good && out->error != 0;
    } else {
        (void)next_value(reader);
    }
    out->result = next_value(reader);
}

struct status rpc_frame_parse(struct slice bytes, struct rpc_frame *out, bool *id_known)
{
    struct reader reader = {.at = bytes.data, .good = true};
    reader.end = reader.at + bytes.size;
    *out = (struct rpc_frame){0};
    *id_known = false;

    bool four = enter_array(&reader) == 4;
    uint64_t type = next_number(&reader);
    uint64_t id = next_number(&reader);
    if (!reader.good || !four || type > 1 || id > UINT32_MAX) {
        return fail(STATUS_INVALID, "not a MessagePack-RPC message: [0, id, method, [params]] is");
    }
    out->id = (uint32_t)id;
    out->response = type == 1;
    *id_known = true;
    if (out->response) {
        parse_response(&reader, out);
    } else {
        parse_request(&reader, out);
    }
    if (!reader.good || reader.at != reader.end) {
        return fail(STATUS_INVALID, out->response
                                        ? "the response is not [1, id, error, result]"
                                        : "the request is not [0, id, method, [params]] with one "
                                          "map of parameters at most");
    }
    return OK;
}

static bool append_byte(struct buffer *out, unsigned byte)
{
    uint8_t value = (uint8_t)byte;
    return buffer_append(out, &value, 1);
}

static bool append_u32(struct buffer *out, uint32_t number)
{
    const uint8_t bytes[5] = {0xCE, (uint8_t)(number >> 24U), (uint8_t)(number >> 16U),
                              (uint8_t)(number >> 8U), (uint8_t)number};
    return buffer_append(out, bytes, sizeof bytes);
}

static bool append_text(struct buffer *out, struct slice text)
{
    const uint8_t header[3] = {0xDA, (uint8_t)(text.size >> 8U), (uint8_t)text.size};
    return text.size <= UINT16_MAX && buffer_append(out, header, sizeof header) &&
           buffer_append(out, text.data, text.size);
}

bool rpc_frame_begin_request(struct buffer *out, uint32_t id, const char *method)
{
    return append_byte(out, 0x94) && append_byte(out, 0) && append_u32(out, id) &&
           append_text(out, slice_of(method)) && append_byte(out, 0x91);
}

bool rpc_frame_begin_result(struct buffer *out, uint32_t id)
{
    return append_byte(out, 0x94) && append_byte(out, 1) && append_u32(out, id) &&
           append_byte(out, 0xC0);
}

bool rpc_frame_error(struct buffer *out, uint32_t id, uint64_t error, struct slice message)
{
    return append_byte(out, 0x94) && append_byte(out, 1) && append_u32(out, id) &&
           append_byte(out, 0x92) && append_u32(out, (uint32_t)error) &&
           append_text(out, message) && append_byte(out, 0xC0);
}
