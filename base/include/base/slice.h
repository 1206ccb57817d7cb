/*
 * Bytes: a borrowed view (slice) and an owned, growing buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A view of bytes that someone else owns. Valid only as long as they are. */
struct slice {
    const void *data;
    size_t size; /* In bytes. */
};

/* Print a slice of text with "%.*s". */
#define SLICE_ARG(slice) (int)(slice).size, (const char *)(slice).data

struct slice slice_of(const char *text); /* NULL gives the empty slice. */
bool slice_equal(struct slice left, struct slice right);
int slice_compare(struct slice left, struct slice right); /* As memcmp, the shorter first. */
bool slice_is_text(struct slice bytes); /* Well-formed UTF-8 (RFC 3629) without NUL. */

/* Copy text into an array as a C string; false, with `out` empty, when it does not fit or has a
 * NUL byte in it. */
bool slice_to_text(struct slice text, char *out, size_t out_size);

/* Bytes we own. Zero-initialised is empty; buffer_release() makes it empty again. */
struct buffer {
    char *data;
    size_t size;
    size_t capacity;
};

/* Append bytes. Returns false, with the buffer unchanged, when memory runs out. */
bool buffer_append(struct buffer *buffer, const void *data, size_t size);

/* Append formatted text, without the terminating zero. False as above. */
bool buffer_print(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Make room for `size` more bytes, which the caller writes at data + size. False as above. */
bool buffer_reserve(struct buffer *buffer, size_t size);

/* Remove `size` bytes from the front; `size` is at most buffer->size. */
void buffer_consume(struct buffer *buffer, size_t size);

void buffer_clear(struct buffer *buffer);   /* Keeps the memory. */
void buffer_release(struct buffer *buffer); /* Gives it back; the buffer may be used again. */
struct slice buffer_slice(const struct buffer *buffer);

#endif
