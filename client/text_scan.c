/*
 * The scanner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "text_scan.h"

#include <string.h>

static const char *bytes_of(const struct slice *text)
{
    return text->data;
}

static void advance(struct slice *rest, size_t size)
{
    rest->data = bytes_of(rest) + size;
    rest->size -= size;
}

bool scan_begins(struct slice text, const char *literal)
{
    size_t size = strlen(literal);
    return text.size >= size && memcmp(text.data, literal, size) == 0;
}

bool scan_literal(struct slice *rest, const char *literal)
{
    if (!scan_begins(*rest, literal)) {
        return false;
    }
    advance(rest, strlen(literal));
    return true;
}

bool scan_number(struct slice *rest, uint64_t max, uint64_t *out)
{
    const char *bytes = rest->data;
    uint64_t number = 0;
    size_t i = 0;
    while (i < rest->size && bytes[i] >= '0' && bytes[i] <= '9') {
        uint64_t digit = (uint64_t)(bytes[i] - '0');
        if (number > (max - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
        i++;
    }
    if (i == 0) {
        return false;
    }
    *out = number;
    advance(rest, i);
    return true;
}

void scan_blanks(struct slice *rest)
{
    while (rest->size > 0 && *bytes_of(rest) == ' ') {
        advance(rest, 1);
    }
}

bool scan_word(struct slice *rest, struct slice *out)
{
    const char *bytes = rest->data;
    const char *blank = rest->size == 0 ? NULL : memchr(bytes, ' ', rest->size);
    size_t size = blank == NULL ? rest->size : (size_t)(blank - bytes);
    if (size == 0) {
        return false;
    }
    *out = (struct slice){.data = bytes, .size = size};
    advance(rest, size);
    scan_blanks(rest);
    return true;
}

bool scan_until(struct slice *rest, const char *literal, struct slice *out)
{
    if (rest->size == 0) {
        return false;
    }
    const char *found = memmem(rest->data, rest->size, literal, strlen(literal));
    if (found == NULL) {
        return false;
    }
    size_t size = (size_t)(found - bytes_of(rest));
    *out = (struct slice){.data = rest->data, .size = size};
    advance(rest, size + strlen(literal));
    return true;
}

/* From `open` at the front to the last `close`. */
static bool scan_enclosed(struct slice *rest, char open, char close, struct slice *out)
{
    const char *bytes = rest->data;
    if (rest->size < 2 || bytes[0] != open) {
        return false;
    }
    const char *end = memrchr(bytes + 1, close, rest->size - 1);
    if (end == NULL) {
        return false;
    }
    *out = (struct slice){.data = bytes + 1, .size = (size_t)(end - bytes) - 1};
    advance(rest, (size_t)(end - bytes) + 1);
    return true;
}

bool scan_brackets(struct slice *rest, struct slice *out)
{
    return scan_enclosed(rest, '<', '>', out);
}

bool scan_quoted(struct slice *rest, struct slice *out)
{
    return scan_enclosed(rest, '\'', '\'', out) || scan_enclosed(rest, '"', '"', out);
}

struct slice scan_trim(struct slice text)
{
    scan_blanks(&text);
    while (text.size > 0 && bytes_of(&text)[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

bool scan_contains(struct slice text, const char *literal)
{
    return text.size > 0 && memmem(text.data, text.size, literal, strlen(literal)) != NULL;
}
