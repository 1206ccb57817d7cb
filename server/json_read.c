/*
 * Reading JSON of the cloud.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "json_read.h"

#include <stdlib.h>
#include <string.h>

json_t *json_read(struct slice body)
{
    return body.size > 0 ? json_loadb(body.data, body.size, 0, NULL) : NULL;
}

static struct slice text_of(const json_t *value)
{
    if (!json_is_string(value)) {
        return (struct slice){0};
    }
    return (struct slice){json_string_value(value), json_string_length(value)};
}

struct slice json_text(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

uint64_t json_number(const json_t *object, const char *key, uint64_t otherwise)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return otherwise;
    }
    return (uint64_t)json_integer_value(value);
}

void json_quote(struct slice text, char out[JSON_ERROR_SIZE])
{
    const unsigned char *bytes = text.data;
    size_t size = text.size < JSON_ERROR_SIZE - 1 ? text.size : JSON_ERROR_SIZE - 1;

    /* Not within a character: a cut one would not be UTF-8. */
    while (size > 0 && size < text.size && (bytes[size] & 0xC0U) == 0x80U) {
        size--;
    }
    if (!slice_is_text((struct slice){text.data, size})) {
        size = 0;
    }
    for (size_t i = 0; i < size; i++) {
        bool control = bytes[i] < 0x20 || bytes[i] == 0x7F;
        out[i] = (char)(control ? ' ' : bytes[i]);
    }
    out[size] = '\0';
}

static void quote_json(const json_t *value, char out[JSON_ERROR_SIZE])
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    json_quote(slice_of(text), out);
    free(text);
}

static void quote_object(const json_t *object, char out[JSON_ERROR_SIZE])
{
    static const char *const keys[] = {"error_description", "message", "msg", "error", "type"};
    const json_t *inner = json_object_get(object, "error");

    if (json_is_object(inner)) {
        object = inner;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct slice text = json_text(object, keys[i]);
        if (text.size > 0) {
            json_quote(text, out);
            return;
        }
    }
    if (json_object_get(object, "errors") != NULL) {
        quote_json(json_object_get(object, "errors"), out);
    }
}

void json_error_text(struct slice body, char out[JSON_ERROR_SIZE])
{
    const char *bytes = body.data;
    json_t *value = json_read(body);

    out[0] = '\0';
    if (json_is_object(value)) {
        quote_object(value, out);
    } else if (value == NULL && body.size > 0 && bytes[0] != '<' && bytes[0] != '{') {
        json_quote(body, out);
    }
    json_decref(value);
}
