/*
 * Making, wrapping and naming statuses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut message must not end within a UTF-8 sequence: the wire and the log promise valid text. */
static void cut_at_character(char *text, int wanted)
{
    if (wanted < STATUS_MESSAGE_SIZE) {
        return;
    }
    size_t end = strlen(text);
    while (end > 0 && ((unsigned char)text[end - 1] & 0xC0U) == 0x80U) {
        end--;
    }
    if (end > 0 && (unsigned char)text[end - 1] >= 0xC0U) {
        end--;
    }
    text[end] = '\0';
}

struct status fail(enum status_code code, const char *format, ...)
{
    struct status status = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    cut_at_character(status.message, wanted);
    return status;
}

struct status wrap(struct status inner, const char *format, ...)
{
    struct status status = {.code = inner.code};
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    if (used < 0 || (size_t)used >= sizeof status.message) {
        cut_at_character(status.message, used);
        return status;
    }
    int rest = snprintf(status.message + used, sizeof status.message - (size_t)used, ": %s",
                        inner.message);
    cut_at_character(status.message, used + rest);
    return status;
}

static enum status_code code_of_errno(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT: return STATUS_FULL;
    case ENOENT: return STATUS_NOT_FOUND;
    case ENOMEM: return STATUS_NO_MEMORY;
    default: return STATUS_IO;
    }
}

struct status fail_errno(int error, const char *format, ...)
{
    struct status inner = {.code = code_of_errno(error)};
    char action[STATUS_MESSAGE_SIZE];
    char words[80];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(action, sizeof action, format, arguments);
    va_end(arguments);
    (void)snprintf(inner.message, sizeof inner.message, "%s",
                   strerror_r(error, words, sizeof words));
    return wrap(inner, "%s", action);
}

const char *status_name(enum status_code code)
{
    static const char *const names[STATUS_CODE_COUNT] = {
        [STATUS_OK] = "ok",
        [STATUS_INVALID] = "invalid",
        [STATUS_NOT_FOUND] = "not_found",
        [STATUS_REFUSED] = "refused",
        [STATUS_UNAUTHORIZED] = "unauthorized",
        [STATUS_NOT_LEADER] = "not_leader",
        [STATUS_NO_QUORUM] = "no_quorum",
        [STATUS_UNREACHABLE] = "unreachable",
        [STATUS_UNKNOWN] = "unknown",
        [STATUS_BUSY] = "busy",
        [STATUS_TIMEOUT] = "timeout",
        [STATUS_FULL] = "full",
        [STATUS_IO] = "io",
        [STATUS_CORRUPT] = "corrupt",
        [STATUS_NO_MEMORY] = "no_memory",
    };
    return (unsigned)code < STATUS_CODE_COUNT ? names[code] : "unknown";
}
