/*
 * The line reader. Whole lines within a chunk are handed out in place; only a line that spans
 * chunks is copied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "line_reader.h"

#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

void line_reader_init(struct line_reader *reader, uint64_t position, line_fn on_line, void *context)
{
    *reader = (struct line_reader){
        .on_line = on_line,
        .context = context,
        .position = position,
        .line_start = position,
    };
}

void line_reader_release(struct line_reader *reader)
{
    buffer_release(&reader->partial);
    buffer_release(&reader->clean);
}

static bool is_control(unsigned char byte)
{
    return byte < ' ' || byte == 0x7f;
}

bool text_is_clean(struct slice text)
{
    const unsigned char *bytes = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (is_control(bytes[i])) {
            return false;
        }
    }
    return slice_is_text(text);
}

/* The size of the character at the front of `text`, 0 if there is none that is sound. */
static size_t character_size(struct slice text)
{
    for (size_t size = 1; size <= 4 && size <= text.size; size++) {
        if (slice_is_text((struct slice){.data = text.data, .size = size})) {
            return size;
        }
    }
    return 0;
}

bool text_append_clean(struct buffer *out, struct slice text)
{
    const char *bytes = text.data;
    size_t i = 0;
    while (i < text.size) {
        struct slice rest = {.data = bytes + i, .size = text.size - i};
        size_t size = character_size(rest);
        bool sound = size > 0 && !is_control((unsigned char)bytes[i]);
        bool appended = true;
        if (sound) {
            appended = buffer_append(out, rest.data, size);
        } else if (bytes[i] == '\t') {
            appended = buffer_append(out, " ", 1);
        } else {
            appended = buffer_append(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
        }
        if (!appended) {
            return false;
        }
        i += size > 0 ? size : 1;
    }
    return true;
}

struct slice text_cut(struct slice text, size_t size_max)
{
    if (text.size <= size_max) {
        return text;
    }
    const unsigned char *bytes = text.data;
    while (size_max > 0 && (bytes[size_max] & 0xC0U) == 0x80U) {
        size_max--;
    }
    return (struct slice){.data = text.data, .size = size_max};
}

static struct status hand_out(struct line_reader *reader, struct slice text, uint64_t end)
{
    const char *bytes = text.data;
    uint64_t start = reader->line_start;
    reader->line_start = end;
    reader->lines++;
    if (text.size > 0 && bytes[text.size - 1] == '\r') {
        text.size--;
    }
    if (text.size > LINE_SIZE_MAX) {
        reader->overlong = true;
        text.size = LINE_SIZE_MAX;
    }
    if (reader->overlong) {
        reader->lines_cut++;
        reader->overlong = false;
    }
    if (text_is_clean(text)) {
        return reader->on_line(reader->context, text, start, end);
    }
    reader->lines_repaired++;
    buffer_clear(&reader->clean);
    if (!text_append_clean(&reader->clean, text)) {
        return fail(STATUS_NO_MEMORY, "repair a line of the log");
    }
    return reader->on_line(reader->context, text_cut(buffer_slice(&reader->clean), LINE_SIZE_MAX),
                           start, end);
}

/* Keep what may still become a line; one byte beyond the limit, so that a CR can be told apart. */
static struct status keep(struct line_reader *reader, const char *bytes, size_t size)
{
    size_t room = LINE_SIZE_MAX + 1 - reader->partial.size;
    if (size > room) {
        reader->overlong = true;
        size = room;
    }
    if (size > 0 && !buffer_append(&reader->partial, bytes, size)) {
        return fail(STATUS_NO_MEMORY, "keep a line of the log");
    }
    return OK;
}

static struct status end_line(struct line_reader *reader, const char *bytes, size_t size)
{
    if (reader->partial.size == 0 && !reader->overlong) {
        return hand_out(reader, (struct slice){.data = bytes, .size = size}, reader->position);
    }
    struct status status = keep(reader, bytes, size);
    if (failed(status)) {
        return status;
    }
    status = hand_out(reader, buffer_slice(&reader->partial), reader->position);
    buffer_clear(&reader->partial);
    return status;
}

struct status line_reader_read(struct line_reader *reader, struct slice chunk)
{
    const char *bytes = chunk.data;
    size_t from = 0;
    while (from < chunk.size) {
        const char *found = memchr(bytes + from, '\n', chunk.size - from);
        if (found == NULL) {
            reader->position += chunk.size - from;
            return keep(reader, bytes + from, chunk.size - from);
        }
        size_t size = (size_t)(found - (bytes + from));
        reader->position += size + 1;
        struct status status = end_line(reader, bytes + from, size);
        if (failed(status)) {
            return status;
        }
        from += size + 1;
    }
    return OK;
}

struct status line_reader_finish(struct line_reader *reader)
{
    return reader->position == reader->line_start ? OK : end_line(reader, "", 0);
}
