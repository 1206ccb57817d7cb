/*
 * Slices and buffers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/slice.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

#define BUFFER_CAPACITY_MIN 256

struct slice slice_of(const char *text)
{
    return (struct slice){.data = text, .size = text == NULL ? 0 : strlen(text)};
}

bool slice_equal(struct slice left, struct slice right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

int slice_compare(struct slice left, struct slice right)
{
    size_t common = left.size < right.size ? left.size : right.size;
    int order = common == 0 ? 0 : memcmp(left.data, right.data, common);
    if (order != 0) {
        return order;
    }
    return (left.size > right.size) - (left.size < right.size);
}

/* The number of continuation bytes after `first`, or -1; `*low` and `*high` bound the first of
 * them (RFC 3629, section 4: this is what keeps overlong forms and surrogates out). */
static int utf8_tail(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (first >= 0x01 && first <= 0x7F) {
        return 0;
    }
    if (first >= 0xC2 && first <= 0xDF) {
        return 1;
    }
    if (first >= 0xE0 && first <= 0xEF) {
        *low = first == 0xE0 ? 0xA0 : 0x80;
        *high = first == 0xED ? 0x9F : 0xBF;
        return 2;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        *low = first == 0xF0 ? 0x90 : 0x80;
        *high = first == 0xF4 ? 0x8F : 0xBF;
        return 3;
    }
    return -1;
}

/* How many bytes from `at` on are ASCII without NUL, looked at eight at a time: most text is. */
static size_t plain_size(const uint8_t *at, size_t left)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t size = 0;
    for (uint64_t word; left - size >= sizeof word; size += sizeof word) {
        memcpy(&word, at + size, sizeof word);
        if (((word | (word - ones)) & (ones << 7U)) != 0) {
            break; /* A high bit, or a zero byte that borrowed: see which in single steps. */
        }
    }
    return size;
}

bool slice_is_text(struct slice bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    if (left > 0) {
        size_t plain = plain_size(at, left);
        at += plain;
        left -= plain;
    }
    while (left > 0) {
        uint8_t low;
        uint8_t high;
        int tail = utf8_tail(*at, &low, &high);
        if (tail < 0 || (size_t)tail >= left) {
            return false;
        }
        for (int i = 1; i <= tail; i++) {
            if (at[i] < low || at[i] > high) {
                return false;
            }
            low = 0x80;
            high = 0xBF;
        }
        at += tail + 1;
        left -= (size_t)tail + 1;
    }
    return true;
}

bool slice_to_text(struct slice text, char *out, size_t out_size)
{
    assert(out_size > 0);
    out[0] = '\0';
    if (text.size >= out_size || (text.size > 0 && memchr(text.data, 0, text.size) != NULL)) {
        return false;
    }
    if (text.size > 0) {
        memcpy(out, text.data, text.size);
    }
    out[text.size] = '\0';
    return true;
}

bool buffer_reserve(struct buffer *buffer, size_t size)
{
    if (size <= buffer->capacity - buffer->size) {
        return true;
    }
    if (size > SIZE_MAX / 2 - buffer->size) {
        return false;
    }
    size_t needed = buffer->size + size;
    size_t capacity =
        buffer->capacity < BUFFER_CAPACITY_MIN ? BUFFER_CAPACITY_MIN : buffer->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = alloc_bytes(capacity);
    if (data == NULL) {
        return false;
    }
    if (buffer->data != NULL) { /* What is left behind may have been a secret. */
        memcpy(data, buffer->data, buffer->size);
        secret_wipe(buffer->data, buffer->capacity);
        free(buffer->data);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0) {
        return true;
    }
    if (!buffer_reserve(buffer, size)) {
        return false;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return true;
}

bool buffer_print(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !buffer_reserve(buffer, (size_t)size + 1)) {
        return false;
    }
    va_start(arguments, format);
    (void)vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
    return true;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->size);
    buffer->size -= size;
    if (buffer->size > 0) {
        memmove(buffer->data, buffer->data + size, buffer->size);
    }
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){.data = buffer->data, .size = buffer->size};
}
