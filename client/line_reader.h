/*
 * Cutting a stream of bytes into lines of text.
 *
 * Chunks may end anywhere. A line ends with LF or CR LF; it is handed out as well-formed UTF-8
 * without NUL or control bytes, each byte that was not becoming U+FFFD. A line longer than
 * LINE_SIZE_MAX is cut there and counted, the rest of it is dropped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LINE_READER_H
#define LINE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define LINE_SIZE_MAX ((size_t)64 << 10) /* Bytes, line end not counted. */

/* `start` is the position of the line's first byte in the stream, `end` that after its line end.
 * `text` is valid during the call only. A failure stops the reading and is passed on. */
typedef struct status (*line_fn)(void *context, struct slice text, uint64_t start, uint64_t end);

struct line_reader {
    line_fn on_line;
    void *context;
    struct buffer partial; /* The line that the last chunk began. */
    struct buffer clean;   /* Room for repaired text. */
    uint64_t position;     /* In the stream, of the next byte to come. */
    uint64_t line_start;
    bool overlong; /* The current line is past its limit. */
    uint64_t lines;
    uint64_t lines_cut;      /* Longer than LINE_SIZE_MAX. */
    uint64_t lines_repaired; /* Had bytes that are not text. */
};

/* `position` is where the first byte to be given stands in the stream. */
void line_reader_init(struct line_reader *reader, uint64_t position, line_fn on_line,
                      void *context);
void line_reader_release(struct line_reader *reader);

/* Fails with STATUS_NO_MEMORY, or as the callback did. */
MUST_USE struct status line_reader_read(struct line_reader *reader, struct slice chunk);

/* The stream is over: a last line without a line end counts as one. */
MUST_USE struct status line_reader_finish(struct line_reader *reader);

/* Whether text has bytes that must not be passed on: control bytes, DEL, or no UTF-8. */
bool text_is_clean(struct slice text);

/* Append `text` with every such byte as U+FFFD, tabs as blanks; false when memory runs out. */
bool text_append_clean(struct buffer *out, struct slice text);

/* The longest beginning of UTF-8 `text` that has at most `size_max` bytes and ends between
 * characters. */
struct slice text_cut(struct slice text, size_t size_max);

#endif
