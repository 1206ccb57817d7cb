/*
 * Log lines to the journal or, as JSON, to stderr.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/clock.h"

#define FIELDS_MAX 16

static _Atomic(enum log_level) level_max = LOG_LEVEL_INFO;
static const char *program_name = "muster";
static atomic_bool to_journal;

void log_set_level(enum log_level level)
{
    level_max = level;
}

bool log_level_parse(const char *text, enum log_level *out)
{
    static const struct {
        const char *name;
        enum log_level level;
    } rows[] = {
        {"error", LOG_LEVEL_ERROR}, {"warning", LOG_LEVEL_WARNING}, {"notice", LOG_LEVEL_NOTICE},
        {"info", LOG_LEVEL_INFO},   {"debug", LOG_LEVEL_DEBUG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(text, rows[i].name) == 0) {
            *out = rows[i].level;
            return true;
        }
    }
    return false;
}

/* sd_journal_send() succeeds where no journal listens, so ask what stderr is: systemd says its
 * device and inode in JOURNAL_STREAM (sd-journal, systemd.exec(5)). */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device;
    unsigned long long inode;
    struct stat info;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

void log_open(const char *program)
{
    program_name = program;
    to_journal = stderr_is_journal();
}

static void append_json_text(struct buffer *line, struct slice text)
{
    const char *at = text.data;
    bool good = buffer_append(line, "\"", 1);
    for (size_t i = 0; good && i < text.size; i++) {
        unsigned char byte = (unsigned char)at[i];
        if (byte == '"' || byte == '\\') {
            good = buffer_print(line, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7F) {
            good = buffer_print(line, "\\u%04x", byte);
        } else {
            good = buffer_append(line, at + i, 1);
        }
    }
    (void)buffer_append(line, "\"", 1);
}

/* A field's bytes may come from outside; what is not UTF-8 would break the line for its readers. */
static struct slice printable(struct slice text)
{
    return slice_is_text(text) ? text : slice_of("(not UTF-8)");
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR: return "error";
    case LOG_LEVEL_WARNING: return "warning";
    case LOG_LEVEL_NOTICE: return "notice";
    case LOG_LEVEL_INFO: return "info";
    case LOG_LEVEL_DEBUG: return "debug";
    }
    return "error";
}

static bool write_stderr(enum log_level level, const char *event, const struct log_field *fields,
                         size_t field_count)
{
    char now[CLOCK_TEXT_SIZE];
    struct buffer line = {0};
    bool good =
        buffer_print(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":",
                     clock_format(clock_now_ms(), now), level_name(level), program_name);
    append_json_text(&line, slice_of(event));
    for (size_t i = 0; good && i < field_count; i++) {
        good = buffer_print(&line, ",\"%s\":", fields[i].name);
        if (good && fields[i].kind == LOG_FIELD_TEXT) {
            append_json_text(&line, printable(fields[i].text));
        } else if (good) {
            good = buffer_print(&line, "%llu", (unsigned long long)fields[i].number);
        }
    }
    good = buffer_append(&line, "}\n", 2) && good;
    /* One call, so lines stay whole. */
    good = write(STDERR_FILENO, line.data, line.size) == (ssize_t)line.size && good;
    buffer_release(&line);
    return good;
}

static bool journal_field(struct buffer *text, const struct log_field *field)
{
    bool good = buffer_append(text, "MUSTER_", 7);
    for (const char *at = field->name; good && *at != '\0'; at++) {
        char upper = (char)toupper((unsigned char)*at);
        good = buffer_append(text, &upper, 1);
    }
    good = good && buffer_append(text, "=", 1);
    if (good && field->kind == LOG_FIELD_TEXT) {
        struct slice value = printable(field->text);
        return buffer_append(text, value.data, value.size);
    }
    return good && buffer_print(text, "%llu", (unsigned long long)field->number);
}

static bool write_journal(enum log_level level, const char *event, const struct log_field *fields,
                          size_t field_count)
{
    struct buffer texts[FIELDS_MAX + 3] = {0};
    struct iovec vectors[FIELDS_MAX + 3];
    size_t count = 0;
    bool good = buffer_print(&texts[count++], "MESSAGE=%s", event);
    good = buffer_print(&texts[count++], "PRIORITY=%d", (int)level) && good;
    good = buffer_print(&texts[count++], "SYSLOG_IDENTIFIER=%s", program_name) && good;
    for (size_t i = 0; good && i < field_count && i < FIELDS_MAX; i++) {
        good = journal_field(&texts[count++], &fields[i]);
    }
    for (size_t i = 0; i < count; i++) {
        vectors[i] = (struct iovec){.iov_base = texts[i].data, .iov_len = texts[i].size};
    }
    good = good && sd_journal_sendv(vectors, (int)count) == 0;
    for (size_t i = 0; i < count; i++) {
        buffer_release(&texts[i]);
    }
    return good;
}

bool log_deliver(enum log_level level, const char *event, const struct log_field *fields,
                 size_t field_count)
{
    return to_journal ? write_journal(level, event, fields, field_count)
                      : write_stderr(level, event, fields, field_count);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t field_count)
{
    if (level > level_max) {
        return;
    }
    (void)log_deliver(level, event, fields, field_count);
}
