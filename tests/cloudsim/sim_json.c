/*
 * Small JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim_map.h"

json_t *sim_json_object(struct slice body)
{
    json_t *json =
        json_loadb(body.data == NULL ? "" : body.data, body.size, JSON_REJECT_DUPLICATES, NULL);
    if (json != NULL && !json_is_object(json)) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

static const struct sim_field *field_find(const struct sim_field *fields, size_t count,
                                          const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return &fields[i];
        }
    }
    return NULL;
}

static bool take_text(const struct sim_field *field, json_t *value)
{
    size_t size = json_string_length(value);
    if (!json_is_string(value) || size == 0 || (field->max > 0 && size > field->max) ||
        strlen(json_string_value(value)) != size) {
        return false;
    }
    *(const char **)field->out = json_string_value(value);
    return true;
}

static bool take_u64(const struct sim_field *field, json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 ||
        (field->max > 0 && (uint64_t)number > field->max)) {
        return false;
    }
    *(uint64_t *)field->out = (uint64_t)number;
    return true;
}

static bool take_real(const struct sim_field *field, json_t *value)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number < 0 || (field->max > 0 && number > (double)field->max)) {
        return false;
    }
    *(double *)field->out = number;
    return true;
}

static bool take(const struct sim_field *field, json_t *value)
{
    switch (field->kind) {
    case SIM_FIELD_TEXT: return take_text(field, value);
    case SIM_FIELD_U64: return take_u64(field, value);
    case SIM_FIELD_REAL: return take_real(field, value);
    case SIM_FIELD_BOOL:
        if (!json_is_boolean(value)) {
            return false;
        }
        *(bool *)field->out = json_is_true(value);
        return true;
    case SIM_FIELD_JSON: *(json_t **)field->out = value; return true;
    }
    return false;
}

struct status sim_fields_read(json_t *object, const struct sim_field *fields, size_t count)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const struct sim_field *field = field_find(fields, count, name);
        if (field == NULL) {
            return fail(STATUS_INVALID, "unknown field %.60s", name);
        }
        if (!take(field, value)) {
            return fail(STATUS_INVALID, "field %s: wrong type, empty, too long or too large",
                        field->name);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].required && json_object_get(object, fields[i].name) == NULL) {
            return fail(STATUS_INVALID, "field %s is missing", fields[i].name);
        }
    }
    return OK;
}

void sim_json_slice(struct buffer *out, struct slice text)
{
    bool sound = slice_is_text(text);
    const char *at = text.data;
    sim_need(buffer_append(out, "\"", 1));
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)at[i];
        if (byte < 0x20) {
            sim_print(out, "\\u%04x", byte);
        } else if (byte >= 0x80 && !sound) {
            sim_need(buffer_append(out, "?", 1));
        } else {
            bool escaped = byte == '"' || byte == '\\';
            sim_need(!escaped || buffer_append(out, "\\", 1));
            sim_need(buffer_append(out, at + i, 1));
        }
    }
    sim_need(buffer_append(out, "\"", 1));
}

void sim_json_text(struct buffer *out, const char *text)
{
    if (text == NULL) {
        sim_need(buffer_append(out, "null", 4));
        return;
    }
    sim_json_slice(out, slice_of(text));
}

void sim_print(struct buffer *out, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= 0 && (size_t)size < sizeof text) {
        sim_need(buffer_append(out, text, (size_t)size));
        return;
    }
    sim_need(size >= 0 && buffer_reserve(out, (size_t)size + 1));
    va_start(arguments, format);
    (void)vsnprintf(out->data + out->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    out->size += (size_t)size;
}
