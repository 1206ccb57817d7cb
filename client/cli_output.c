/*
 * Tables, JSON, times and colours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli_output.h"

#include <assert.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "client/json_view.h"

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS UINT64_C(60000)
#define HOUR_MS UINT64_C(3600000)
#define DAY_MS UINT64_C(86400000)

/* ---- Values as text ---- */

const char *output_time(uint64_t at_ms, char out[OUTPUT_TEXT_SIZE])
{
    time_t at_s = (time_t)(at_ms / SECOND_MS);
    struct tm local;
    if (at_ms == 0 || at_ms > RECORD_TIME_MAX_MS || localtime_r(&at_s, &local) == NULL ||
        strftime(out, OUTPUT_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &local) == 0) {
        (void)snprintf(out, OUTPUT_TEXT_SIZE, "-");
    }
    return out;
}

const char *output_span(uint64_t span_ms, char out[OUTPUT_TEXT_SIZE])
{
    static const struct {
        uint64_t below_ms;
        uint64_t unit_ms;
        const char *unit;
    } rows[] = {
        {10 * SECOND_MS, 1, "ms"},       {3 * MINUTE_MS, SECOND_MS, "s"},
        {3 * HOUR_MS, MINUTE_MS, "min"}, {3 * DAY_MS, HOUR_MS, "h"},
        {UINT64_MAX, DAY_MS, "d"},
    };
    (void)snprintf(out, OUTPUT_TEXT_SIZE, "never");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (span_ms < rows[i].below_ms) {
            (void)snprintf(out, OUTPUT_TEXT_SIZE, "%llu %s",
                           (unsigned long long)(span_ms / rows[i].unit_ms), rows[i].unit);
            break;
        }
    }
    return out;
}

const char *output_ago(uint64_t at_ms, char out[OUTPUT_TEXT_SIZE])
{
    uint64_t now_ms = clock_now_ms();
    if (at_ms == 0) {
        (void)snprintf(out, OUTPUT_TEXT_SIZE, "never");
        return out;
    }
    (void)output_span(now_ms > at_ms ? now_ms - at_ms : 0, out);
    (void)strncat(out, " ago", OUTPUT_TEXT_SIZE - strlen(out) - 1);
    return out;
}

const char *output_count(uint64_t count, char out[OUTPUT_TEXT_SIZE])
{
    char digits[24];
    int size = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    size_t used = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

const char *output_size(uint64_t size, char out[OUTPUT_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    double scaled = (double)size;
    while (scaled >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        scaled /= 1024;
        unit++;
    }
    (void)snprintf(out, OUTPUT_TEXT_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", scaled, units[unit]);
    return out;
}

/* C0, DEL, and C1 in its UTF-8 form (C2 80 to C2 9F). */
const char *output_safe(struct arena *arena, struct slice text)
{
    struct slice copy = arena_copy(arena, text);
    if (copy.data == NULL) {
        return "";
    }
    char *bytes = arena_alloc(arena, copy.size + 1, 1);
    if (bytes == NULL) {
        return "";
    }
    memcpy(bytes, copy.data, copy.size);
    for (size_t i = 0; i < copy.size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        bool c1 = byte == 0xC2 && (unsigned char)bytes[i + 1] < 0xA0;
        if (byte < ' ' || byte == 0x7F) {
            bytes[i] = '?';
        } else if (c1) {
            bytes[i] = '?';
            bytes[i + 1] = '?';
        }
    }
    return bytes;
}

const char *output_colour(const struct cli *cli, enum colour colour)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "",          [COLOUR_GOOD] = "\033[32m", [COLOUR_WARN] = "\033[33m",
        [COLOUR_BAD] = "\033[1;31m", [COLOUR_FAINT] = "\033[2m", [COLOUR_BOLD] = "\033[1m",
    };
    return cli->colours ? codes[colour] : "";
}

const char *output_plain(const struct cli *cli)
{
    return cli->colours ? "\033[0m" : "";
}

/* ---- JSON ---- */

static bool print_json(const struct cli *cli, const struct codec *codec, const void *message,
                       bool pretty, int *exit_code)
{
    if (!cli->json) {
        return false;
    }
    struct buffer text = {0};
    struct status status = json_view(codec, message, pretty, &text);
    if (failed(status)) {
        *exit_code = cli_explain_status(cli, status);
    } else {
        (void)printf("%.*s\n", SLICE_ARG(buffer_slice(&text)));
        *exit_code = fflush(stdout) == 0 ? 0 : CLI_EXIT_ERROR;
    }
    buffer_release(&text);
    return true;
}

bool output_json(const struct cli *cli, const struct codec *codec, const void *message,
                 int *exit_code)
{
    return print_json(cli, codec, message, true, exit_code);
}

bool output_json_line(const struct cli *cli, const struct codec *codec, const void *message,
                      int *exit_code)
{
    return print_json(cli, codec, message, false, exit_code);
}

/* ---- Tables ---- */

static const struct codec_field *field_of(const struct codec *codec, const char *name)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        if (strcmp(codec->fields[i].name, name) == 0) {
            return &codec->fields[i];
        }
    }
    return NULL;
}

static const char *number_text(uint64_t number, enum column_format format,
                               char room[OUTPUT_TEXT_SIZE])
{
    switch (format) {
    case COLUMN_TIME: return output_time(number, room);
    case COLUMN_SPAN: return output_span(number, room);
    case COLUMN_COUNT: return number == UINT64_MAX ? "?" : output_count(number, room);
    case COLUMN_TEXT:
    case COLUMN_YES_NO: break;
    }
    (void)snprintf(room, OUTPUT_TEXT_SIZE, "%llu", (unsigned long long)number);
    return room;
}

/* The value of a column in a message; lists are joined by a space. */
static const char *cell_text(struct arena *arena, const struct codec *codec, const void *message,
                             const struct column *column, char room[OUTPUT_TEXT_SIZE])
{
    const struct codec_field *field = field_of(codec, column->field);
    assert(field != NULL); /* A column that names no field is our own bug. */
    const void *member = (const char *)message + field->offset;
    switch (field->kind) {
    case CODEC_U64: return number_text(*(const uint64_t *)member, column->format, room);
    case CODEC_BOOL: return *(const bool *)member ? "yes" : "";
    case CODEC_TEXT: return output_safe(arena, *(const struct slice *)member);
    case CODEC_BYTES:
    case CODEC_MESSAGE:
    case CODEC_LIST:
    case CODEC_TEXTS: break;
    }
    return "";
}

static bool is_right(const struct codec *codec, const struct column *column)
{
    const struct codec_field *field = field_of(codec, column->field);
    return field != NULL && field->kind == CODEC_U64 && column->format != COLUMN_TIME;
}

static int add_row(struct libscols_table *table, const struct codec *codec, const void *message,
                   const struct column *columns, size_t column_count)
{
    struct arena arena = {0};
    struct libscols_line *line = scols_table_new_line(table, NULL);
    int error = line == NULL ? -1 : 0;
    for (size_t i = 0; error == 0 && i < column_count; i++) {
        char room[OUTPUT_TEXT_SIZE];
        error = scols_line_set_data(line, i, cell_text(&arena, codec, message, &columns[i], room));
    }
    arena_release(&arena);
    return error;
}

int output_list(const struct cli *cli, const struct codec *codec, const struct codec_list *list,
                const struct column *columns, size_t column_count, const char *otherwise)
{
    if (list->count == 0) {
        (void)printf("%s\n", otherwise);
        return 0;
    }
    struct libscols_table *table = scols_new_table();
    int error = table == NULL ? -1 : 0;
    for (size_t i = 0; error == 0 && i < column_count; i++) {
        int flags = is_right(codec, &columns[i]) ? SCOLS_FL_RIGHT : 0;
        error = scols_table_new_column(table, columns[i].title, 0, flags) == NULL ? -1 : 0;
    }
    for (size_t i = 0; error == 0 && i < list->count; i++) {
        error = add_row(table, codec, (char *)list->items + i * codec->size, columns, column_count);
    }
    if (error == 0) {
        (void)scols_table_enable_nowrap(table, cli->terminal ? 0 : 1);
        error = scols_print_table(table);
    }
    scols_unref_table(table);
    return error == 0 ? 0 : cli_explain_status(cli, fail(STATUS_NO_MEMORY, "print the table"));
}

int output_facts(const struct cli *cli, const struct codec *codec, const void *message,
                 const struct column *columns, size_t column_count)
{
    struct arena arena = {0};
    int width = 0;
    for (size_t i = 0; i < column_count; i++) {
        int size = (int)strlen(columns[i].title);
        width = size > width ? size : width;
    }
    for (size_t i = 0; i < column_count; i++) {
        char room[OUTPUT_TEXT_SIZE];
        const char *text = cell_text(&arena, codec, message, &columns[i], room);
        bool empty = text[0] == '\0' || (columns[i].format == COLUMN_TIME && text[0] == '-');
        if (!empty) {
            (void)printf("%s%-*s%s  %s\n", output_colour(cli, COLOUR_FAINT), width,
                         columns[i].title, output_plain(cli), text);
        }
    }
    arena_release(&arena);
    return 0;
}
