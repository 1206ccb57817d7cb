/*
 * Writing JSON text straight into a buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "json_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE_SIZE_MAX 6 /* "\u001f" */

static void append(struct json_writer *json, const void *bytes, size_t size)
{
    if (!json->failed && !buffer_append(json->out, bytes, size)) {
        json->failed = true;
    }
}

/* Before a value or a key. */
static void separate(struct json_writer *json)
{
    if (json->comma) {
        append(json, ",", 1);
    }
    json->comma = true;
}

void json_open(struct json_writer *json, char bracket)
{
    separate(json);
    append(json, &bracket, 1);
    json->comma = false;
}

void json_close(struct json_writer *json, char bracket)
{
    append(json, &bracket, 1);
    json->comma = true;
}

/* Writes the escaped form and returns its size; 0 if the byte stands for itself. */
static size_t escape(unsigned char byte, char out[ESCAPE_SIZE_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";

    if (byte == '"' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    if (byte >= 0x20) {
        return 0;
    }
    out[0] = '\\';
    out[1] = 'u';
    out[2] = '0';
    out[3] = '0';
    out[4] = digits[byte >> 4U];
    out[5] = digits[byte & 15U];
    return ESCAPE_SIZE_MAX;
}

static void append_quoted(struct json_writer *json, struct slice text)
{
    const char *bytes = text.data;
    char escaped[ESCAPE_SIZE_MAX + 1];
    size_t plain = 0; /* Where the bytes begin that are not written yet. */

    append(json, "\"", 1);
    for (size_t i = 0; i < text.size; i++) {
        size_t size = escape((unsigned char)bytes[i], escaped);
        if (size > 0) {
            append(json, bytes + plain, i - plain);
            append(json, escaped, size);
            plain = i + 1;
        }
    }
    if (plain < text.size) {
        append(json, bytes + plain, text.size - plain);
    }
    append(json, "\"", 1);
}

void json_key(struct json_writer *json, const char *key)
{
    separate(json);
    append(json, "\"", 1);
    append(json, key, strlen(key));
    append(json, "\":", 2);
    json->comma = false;
}

void json_put(struct json_writer *json, struct slice text)
{
    separate(json);
    append_quoted(json, text);
}

void json_put_u64(struct json_writer *json, uint64_t number)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRIu64, number);

    separate(json);
    append(json, text, (size_t)size);
}

void json_put_bool(struct json_writer *json, bool value)
{
    separate(json);
    append(json, value ? "true" : "false", value ? 4 : 5);
}

void json_member(struct json_writer *json, const char *key, struct slice text)
{
    json_key(json, key);
    json_put(json, text);
}
