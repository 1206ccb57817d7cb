/*
 * How `muster` shows things: tables (libsmartcols), JSON (json_view.h), times, spans, counts and
 * colours. Whatever came from outside is made harmless for terminals.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli.h"

enum column_format {
    COLUMN_TEXT,   /* As it is; numbers as digits. */
    COLUMN_TIME,   /* Local time; "-" if there is none. */
    COLUMN_SPAN,   /* "3 s", "never". */
    COLUMN_COUNT,  /* "1,234" */
    COLUMN_YES_NO, /* "yes" or empty. */
};

struct column {
    const char *title;
    const char *field; /* Name of the message's field. */
    enum column_format format;
};

/* A table on stdout, or what `otherwise` says if the list is empty. */
int output_list(const struct cli *cli, const struct codec *codec, const struct codec_list *list,
                const struct column *columns, size_t column_count, const char *otherwise);

/* One message as lines of title and value, empty ones left out. */
int output_facts(const struct cli *cli, const struct codec *codec, const void *message,
                 const struct column *columns, size_t column_count);

/* With -o json print the message and return true. */
bool output_json(const struct cli *cli, const struct codec *codec, const void *message,
                 int *exit_code);

/* The same on one line, for streams. */
bool output_json_line(const struct cli *cli, const struct codec *codec, const void *message,
                      int *exit_code);

#define OUTPUT_TEXT_SIZE 64

/* Into `out`, which they return. */
const char *output_time(uint64_t at_ms, char out[OUTPUT_TEXT_SIZE]);   /* Local; "-" for 0. */
const char *output_span(uint64_t span_ms, char out[OUTPUT_TEXT_SIZE]); /* "3 min" */
const char *output_ago(uint64_t at_ms, char out[OUTPUT_TEXT_SIZE]);    /* "3 min ago" */
const char *output_count(uint64_t count, char out[OUTPUT_TEXT_SIZE]);  /* "1,234" */
const char *output_size(uint64_t size, char out[OUTPUT_TEXT_SIZE]);    /* "12.5 MiB" */

/* A copy without control characters, which could make a terminal do things. Lives in the arena. */
const char *output_safe(struct arena *arena, struct slice text);

enum colour {
    COLOUR_NONE,
    COLOUR_GOOD,
    COLOUR_WARN,
    COLOUR_BAD,
    COLOUR_FAINT,
    COLOUR_BOLD,
};
const char *output_colour(const struct cli *cli, enum colour colour); /* Empty without colours. */
const char *output_plain(const struct cli *cli);                      /* Ends a colour. */

#endif
