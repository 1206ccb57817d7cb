/*
 * Structured log lines: one event, one line, typed fields. Only programs log; rooms return.
 *
 * Under systemd, where stderr is the journal, a line becomes a journal entry with its fields;
 * elsewhere it is one JSON object on stderr. There is no field kind for a secret.
 *
 *     log_event(LOG_INFO, "leader elected", log_u64("term", term), log_text("node", name));
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* The names and numbers of syslog (RFC 5424), the ones we use. */
enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7,
};

struct log_field {
    const char *name; /* Lower case and underscores. NULL ends a list. */
    enum { LOG_FIELD_TEXT, LOG_FIELD_U64 } kind;
    struct slice text;
    uint64_t number;
};

static inline struct log_field log_u64(const char *name, uint64_t number)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_U64, .number = number};
}

static inline struct log_field log_slice(const char *name, struct slice text)
{
    return (struct log_field){.name = name, .kind = LOG_FIELD_TEXT, .text = text};
}

static inline struct log_field log_text(const char *name, const char *text)
{
    return log_slice(name, slice_of(text));
}

/* Lines above `level` are dropped from now on. The default is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

/* "error", "warning", "notice", "info", "debug"; false for anything else. */
bool log_level_parse(const char *text, enum log_level *out);

/* `program` stands in every line; it is not copied. */
void log_open(const char *program);

/* Any thread. Never fails: a log that cannot be written must not stop the service. */
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t field_count);

/* What is to be kept and not only to be read: written whatever the level is; false if it could not be. */
bool log_deliver(enum log_level level, const char *event, const struct log_field *fields,
                 size_t field_count);

#define LOG_EVENT_FIELDS(...)                                                                      \
    (const struct log_field[]){__VA_ARGS__},                                                       \
        sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)

#define log_event(level, event, ...) log_write(level, event, LOG_EVENT_FIELDS(__VA_ARGS__))

#endif
