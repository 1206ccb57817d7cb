/*
 * Reading requests. Strict where looseness would hide a client's error: line ends are CRLF, a
 * length is given once, folded lines and unknown transfer codings are refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_http.h"

#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "sim_map.h"

static struct slice cut(const char *begin, const char *end)
{
    return (struct slice){.data = begin, .size = (size_t)(end - begin)};
}

static bool names(struct slice text, const char *name)
{
    return text.size == strlen(name) && strncasecmp(text.data, name, text.size) == 0;
}

struct slice sim_http_header(const struct sim_http *http, const char *name)
{
    for (size_t i = 0; i < http->header_count; i++) {
        if (names(http->headers[i].name, name)) {
            return http->headers[i].value;
        }
    }
    return (struct slice){0};
}

/* A token of RFC 9110: what a method or a field name may be. */
static bool is_token(struct slice text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++) {
        bool letter = (at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
                      (at[i] >= '0' && at[i] <= '9');
        if (!letter && (at[i] == '\0' || strchr("!#$%&'*+-.^_`|~", at[i]) == NULL)) {
            return false;
        }
    }
    return text.size > 0;
}

static bool has_controls(struct slice text)
{
    const unsigned char *at = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if ((at[i] < 0x20 && at[i] != '\t') || at[i] == 0x7F) {
            return true;
        }
    }
    return false;
}

static bool read_request_line(struct sim_http *http, const char *at, const char *end)
{
    const char *space = memchr(at, ' ', (size_t)(end - at));
    if (space == NULL) {
        return false;
    }
    http->method = cut(at, space);
    const char *target = space + 1;
    const char *second = memchr(target, ' ', (size_t)(end - target));
    if (second == NULL || second == target || *target != '/') {
        return false;
    }
    const char *mark = memchr(target, '?', (size_t)(second - target));
    http->path = cut(target, mark == NULL ? second : mark);
    http->query = mark == NULL ? (struct slice){0} : cut(mark + 1, second);
    struct slice version = cut(second + 1, end);
    http->keep_alive = slice_equal(version, slice_of("HTTP/1.1"));
    return is_token(http->method) && !has_controls(cut(target, second)) &&
           (http->keep_alive || slice_equal(version, slice_of("HTTP/1.0")));
}

static bool read_header(struct sim_http *http, const char *at, const char *end)
{
    const char *colon = memchr(at, ':', (size_t)(end - at));
    if (colon == NULL || http->header_count == SIM_HTTP_HEADERS_MAX) {
        return false;
    }
    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    struct sim_http_header *header = &http->headers[http->header_count++];
    *header = (struct sim_http_header){.name = cut(at, colon), .value = cut(value, end)};
    return is_token(header->name) && !has_controls(header->value);
}

static bool read_lines(struct sim_http *http, struct slice head)
{
    const char *at = head.data;
    const char *end = at + head.size;
    bool first = true;
    while (at < end) {
        const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (stop == NULL) {
            return false;
        }
        if (stop == at) {
            return !first;
        }
        if (!(first ? read_request_line(http, at, stop) : read_header(http, at, stop))) {
            return false;
        }
        first = false;
        at = stop + 2;
    }
    return false;
}

static bool read_decimal(struct slice text, size_t *out)
{
    const char *at = text.data;
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (at[i] < '0' || at[i] > '9' || i > 15) {
            return false;
        }
        *out = *out * 10 + (size_t)(at[i] - '0');
    }
    return text.size > 0;
}

static size_t count_headers(const struct sim_http *http, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < http->header_count; i++) {
        count += names(http->headers[i].name, name);
    }
    return count;
}

/* How the body is framed. */
static enum sim_http_result read_framing(struct sim_http *http)
{
    struct slice coding = sim_http_header(http, "transfer-encoding");
    struct slice length = sim_http_header(http, "content-length");
    size_t codings = count_headers(http, "transfer-encoding");
    size_t lengths = count_headers(http, "content-length");
    if (codings + lengths > 1) {
        return SIM_HTTP_INVALID;
    }
    http->chunked = codings == 1;
    if (http->chunked && !names(coding, "chunked")) {
        return SIM_HTTP_INVALID;
    }
    if (lengths == 1 && !read_decimal(length, &http->body_size)) {
        return SIM_HTTP_INVALID;
    }
    if (names(sim_http_header(http, "connection"), "close")) {
        http->keep_alive = false;
    }
    http->expects_continue = names(sim_http_header(http, "expect"), "100-continue");
    return http->body_size > SIM_HTTP_BODY_SIZE_MAX ? SIM_HTTP_TOO_LARGE : SIM_HTTP_COMPLETE;
}

static enum sim_http_result read_head(struct sim_http *http, struct slice input)
{
    size_t from = http->seen_size > 3 ? http->seen_size - 3 : 0;
    const char *data = input.data;
    const char *stop =
        input.size == 0 ? NULL : memmem(data + from, input.size - from, "\r\n\r\n", 4);
    http->seen_size = input.size;
    size_t size = stop == NULL ? input.size : (size_t)(stop + 4 - data);
    if (size > SIM_HTTP_HEAD_SIZE_MAX) {
        return SIM_HTTP_TOO_LARGE;
    }
    if (stop == NULL) {
        return SIM_HTTP_PARTIAL;
    }
    if (!read_lines(http, (struct slice){.data = data, .size = size})) {
        return SIM_HTTP_INVALID;
    }
    http->head_size = size;
    http->at = size;
    return read_framing(http);
}

/* One line of chunked framing at `at`; false when it is not complete. */
static bool chunk_line(const struct sim_http *http, struct slice input, struct slice *line)
{
    const char *data = (const char *)input.data + http->at;
    const char *stop = memmem(data, input.size - http->at, "\r\n", 2);
    if (stop == NULL) {
        return false;
    }
    *line = cut(data, stop);
    return true;
}

static bool read_chunk_size(struct slice line, size_t *out)
{
    const char *at = line.data;
    size_t size = 0;
    *out = 0;
    while (size < line.size && size < 8) {
        const char *digits = "0123456789abcdef";
        const char *digit =
            strchr(digits, at[size] | (at[size] >= 'A' && at[size] <= 'F' ? 32 : 0));
        if (at[size] == '\0' || digit == NULL) {
            break;
        }
        *out = *out << 4 | (size_t)(digit - digits);
        size++;
    }
    return size > 0 && (size == line.size || at[size] == ';');
}

/* Trailers are read and dropped. */
static enum sim_http_result read_trailers(struct sim_http *http, struct slice input)
{
    struct slice line;
    while (chunk_line(http, input, &line)) {
        http->at += line.size + 2;
        if (line.size == 0) {
            http->body = buffer_slice(&http->chunks);
            return SIM_HTTP_COMPLETE;
        }
    }
    return input.size - http->at > SIM_HTTP_HEAD_SIZE_MAX ? SIM_HTTP_TOO_LARGE : SIM_HTTP_PARTIAL;
}

static enum sim_http_result read_chunks(struct sim_http *http, struct slice input)
{
    struct slice line;
    while (chunk_line(http, input, &line)) {
        size_t size;
        if (!read_chunk_size(line, &size)) {
            return SIM_HTTP_INVALID;
        }
        if (size == 0) {
            size_t begin = http->at;
            http->at += line.size + 2;
            enum sim_http_result result = read_trailers(http, input);
            http->at = result == SIM_HTTP_PARTIAL ? begin : http->at;
            return result;
        }
        if (size + http->chunks.size > SIM_HTTP_BODY_SIZE_MAX) {
            return SIM_HTTP_TOO_LARGE;
        }
        const char *data = (const char *)input.data + http->at + line.size + 2;
        size_t left = input.size - http->at - line.size - 2;
        if (left < size + 2) {
            return SIM_HTTP_PARTIAL;
        }
        if (memcmp(data + size, "\r\n", 2) != 0) {
            return SIM_HTTP_INVALID;
        }
        sim_need(buffer_append(&http->chunks, data, size));
        http->at += line.size + 2 + size + 2;
    }
    return input.size - http->at > SIM_HTTP_HEAD_SIZE_MAX ? SIM_HTTP_INVALID : SIM_HTTP_PARTIAL;
}

/* The input may have moved since the head was read, so its slices are made again. */
static void rebase(struct sim_http *http, struct slice input)
{
    struct buffer chunks = http->chunks;
    struct sim_http old = *http;
    http->header_count = 0;
    (void)read_lines(http, (struct slice){.data = input.data, .size = old.head_size});
    http->keep_alive = old.keep_alive;
    http->chunks = chunks;
}

enum sim_http_result sim_http_read(struct sim_http *http, struct slice input)
{
    if (http->head_size == 0) {
        enum sim_http_result result = read_head(http, input);
        if (result != SIM_HTTP_COMPLETE) {
            return result;
        }
    }
    if (http->chunked) {
        enum sim_http_result result = read_chunks(http, input);
        if (result != SIM_HTTP_COMPLETE) {
            return result;
        }
    } else {
        if (input.size - http->head_size < http->body_size) {
            return SIM_HTTP_PARTIAL;
        }
        http->body.data = (const char *)input.data + http->head_size;
        http->body.size = http->body_size;
        http->at = http->head_size + http->body_size;
    }
    rebase(http, input);
    return SIM_HTTP_COMPLETE;
}

size_t sim_http_size(const struct sim_http *http)
{
    return http->at;
}

void sim_http_next(struct sim_http *http)
{
    struct buffer chunks = http->chunks;
    buffer_clear(&chunks);
    *http = (struct sim_http){.chunks = chunks};
}

void sim_http_release(struct sim_http *http)
{
    buffer_release(&http->chunks);
}

/* One character of a query: %XX, '+' or itself. The bytes it took, or 0. */
static size_t decode_one(const char *at, size_t left, uint8_t *byte)
{
    if (*at == '%') {
        struct slice digits = {.data = at + 1, .size = 2};
        return left >= 3 && hex_decode(digits, byte, 1) ? 3 : 0;
    }
    *byte = *at == '+' ? (uint8_t)' ' : (uint8_t)*at;
    return 1;
}

static bool decode(struct slice text, char *out, size_t out_size)
{
    size_t size = 0;
    size_t at = 0;
    while (at < text.size) {
        uint8_t byte = 0;
        size_t used = decode_one((const char *)text.data + at, text.size - at, &byte);
        if (used == 0 || byte == 0 || size + 1 >= out_size) {
            return false;
        }
        out[size++] = (char)byte;
        at += used;
    }
    out[size] = '\0';
    return true;
}

bool sim_http_parameter(struct slice query, const char *name, char *out, size_t out_size)
{
    const char *at = query.data;
    const char *end = at + query.size;
    size_t name_size = strlen(name);
    while (query.size > 0 && at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        if ((size_t)(stop - at) > name_size && at[name_size] == '=' &&
            memcmp(at, name, name_size) == 0) {
            return decode(cut(at + name_size + 1, stop), out, out_size);
        }
        at = stop + 1;
    }
    return false;
}
