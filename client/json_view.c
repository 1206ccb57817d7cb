/*
 * Messages as JSON, by their tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/json_view.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"

#define NAME_SIZE 64

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

enum json_view_number json_view_number_of(const char *field_name)
{
    static const char *const spans[] = {"age_ms", "uptime_ms", "deadline_ms", "heard_ms_ago",
                                        "took_ms"};
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        if (strcmp(field_name, spans[i]) == 0) {
            return JSON_VIEW_SPAN;
        }
    }
    if (strcmp(field_name, "node_id") == 0 || strcmp(field_name, "used_by") == 0) {
        return JSON_VIEW_NODE;
    }
    return ends_with(field_name, "_ms") ? JSON_VIEW_TIME : JSON_VIEW_COUNT;
}

static json_t *number_view(const char *field_name, uint64_t number)
{
    char text[CLOCK_TEXT_SIZE];
    switch (json_view_number_of(field_name)) {
    case JSON_VIEW_TIME:
        return number == 0 || number == UINT64_MAX ? json_null()
                                                   : json_string(clock_format(number, text));
    case JSON_VIEW_NODE: return json_sprintf("%llu", (unsigned long long)number);
    case JSON_VIEW_COUNT:
    case JSON_VIEW_SPAN: break;
    }
    if (number == UINT64_MAX) {
        return json_null();
    }
    return number <= INT64_MAX ? json_integer((json_int_t)number)
                               : json_sprintf("%llu", (unsigned long long)number);
}

static json_t *bytes_view(struct slice bytes)
{
    struct buffer text = {0};
    json_t *view = NULL;
    if (base64url_encode(bytes, &text)) {
        view = json_stringn(text.data != NULL ? text.data : "", text.size);
    }
    buffer_release(&text);
    return view;
}

static json_t *text_view(struct slice text)
{
    return json_stringn(text.size > 0 ? text.data : "", text.size);
}

static json_t *message_view(const struct codec *codec, const void *value);

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static json_t *list_view(const struct codec_field *field, const struct codec_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < list->count; i++) {
        json_t *item = field->kind == CODEC_TEXTS
                           ? text_view(((const struct slice *)list->items)[i])
                           : message_view(field->of, (char *)list->items + i * field->of->size);
        if (json_array_append_new(array, item) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static json_t *field_view(const struct codec_field *field, const void *member)
{
    switch (field->kind) {
    case CODEC_U64: return number_view(field->name, *(const uint64_t *)member);
    case CODEC_BOOL: return json_boolean(*(const bool *)member);
    case CODEC_TEXT: return text_view(*(const struct slice *)member);
    case CODEC_BYTES: return bytes_view(*(const struct slice *)member);
    case CODEC_MESSAGE: return message_view(field->of, member);
    case CODEC_LIST:
    case CODEC_TEXTS: return list_view(field, member);
    }
    return NULL;
}

static const char *name_of(const struct codec_field *field, char room[NAME_SIZE])
{
    size_t size = strlen(field->name);
    bool is_time = field->kind == CODEC_U64 && json_view_number_of(field->name) == JSON_VIEW_TIME;
    struct slice name = {.data = field->name, .size = is_time ? size - strlen("_ms") : size};
    return slice_to_text(name, room, NAME_SIZE) ? room : field->name;
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by the tables. */
static json_t *message_view(const struct codec *codec, const void *value)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        char room[NAME_SIZE];
        json_t *view = field_view(field, (const char *)value + field->offset);
        if (json_object_set_new(object, name_of(field, room), view) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static int append_to_buffer(const char *text, size_t size, void *data)
{
    return buffer_append(data, text, size) ? 0 : -1;
}

struct status json_view(const struct codec *codec, const void *value, bool pretty,
                        struct buffer *out)
{
    size_t size_before = out->size;
    json_t *view = message_view(codec, value);
    if (view == NULL) {
        return fail(STATUS_INVALID, "show %s as JSON: a text is not UTF-8, or memory ran out",
                    codec->name);
    }
    int outcome =
        json_dump_callback(view, append_to_buffer, out, pretty ? JSON_INDENT(2) : JSON_COMPACT);
    json_decref(view);
    if (outcome != 0) {
        out->size = size_before;
        return fail(STATUS_NO_MEMORY, "show %s as JSON", codec->name);
    }
    return OK;
}
