/*
 * Reasons, cut where a character ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reason.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"

#define UTF8_SIZE_MAX 4

void reason_say(char out[REASON_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int size = vsnprintf(out, REASON_SIZE, format, arguments);
    va_end(arguments);
    if (size < 0) {
        out[0] = '\0';
        return;
    }
    if (size < REASON_SIZE) {
        return;
    }
    size_t kept = REASON_SIZE - 1;
    for (size_t cut = 0; cut < UTF8_SIZE_MAX && !slice_is_text((struct slice){out, kept}); cut++) {
        kept--;
    }
    out[kept] = '\0';
}
