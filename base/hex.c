/*
 * Hexadecimal and base64url.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/hex.h"

#include <string.h>

void hex_encode(struct slice bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        out[2 * i] = digits[at[i] >> 4U];
        out[2 * i + 1] = digits[at[i] & 0x0FU];
    }
    out[2 * bytes.size] = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

bool hex_decode(struct slice text, uint8_t *out, size_t out_size)
{
    if (text.size != 2 * out_size) {
        return false;
    }
    const char *at = text.data;
    for (size_t i = 0; i < out_size; i++) {
        int high = digit_value(at[2 * i]);
        int low = digit_value(at[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool base64url_encode(struct slice bytes, struct buffer *out)
{
    const uint8_t *at = bytes.data;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    if (!buffer_reserve(out, bytes.size / 3 * 4 + 4)) {
        return false;
    }
    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8U | at[i];
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            out->data[out->size++] = alphabet[bits >> bit_count & 0x3FU];
        }
    }
    if (bit_count > 0) {
        out->data[out->size++] = alphabet[bits << (6 - bit_count) & 0x3FU];
    }
    return true;
}

struct status base64url_decode(struct slice text, struct buffer *out)
{
    const char *at = text.data;
    size_t size_before = out->size;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    if (!buffer_reserve(out, text.size / 4 * 3 + 3)) {
        return fail(STATUS_NO_MEMORY, "decode base64");
    }
    for (size_t i = 0; i < text.size; i++) {
        const char *found = at[i] == '\0' ? NULL : strchr(alphabet, at[i]);
        if (found == NULL) {
            out->size = size_before;
            return fail(STATUS_INVALID, "character %zu is not of the base64url alphabet", i + 1);
        }
        bits = bits << 6U | (uint32_t)(found - alphabet);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out->data[out->size++] = (char)(bits >> bit_count & 0xFFU);
        }
    }
    if (bit_count >= 6 || (bits & ((1U << bit_count) - 1)) != 0) {
        out->size = size_before;
        return fail(STATUS_INVALID, "base64 text is cut short or has stray bits at its end");
    }
    return OK;
}
