/*
 * Bytes as lower-case hexadecimal digits, and as base64 (RFC 4648; the URL alphabet, no padding).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/slice.h"

/* Writes 2 * size digits and a zero byte. */
void hex_encode(struct slice bytes, char *out);

/* Exactly `out_size` bytes from twice as many digits, of either case; false otherwise. */
bool hex_decode(struct slice text, uint8_t *out, size_t out_size);

/* Append; false when memory runs out. */
bool base64url_encode(struct slice bytes, struct buffer *out);

/* Append the decoded bytes. STATUS_INVALID for a character, length or padding bits that no encoder
 * writes, STATUS_NO_MEMORY; `out` as it was after either. */
MUST_USE struct status base64url_decode(struct slice text, struct buffer *out);

#endif
