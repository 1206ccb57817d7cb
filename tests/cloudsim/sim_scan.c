/*
 * The JSON scanner.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_scan.h"

#include <string.h>

#include "sim_map.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool spoil(struct sim_scan *scan)
{
    scan->bad = true;
    scan->at = scan->end;
    return false;
}

struct sim_scan sim_scan_open(struct slice text)
{
    struct sim_scan scan = {.at = text.data, .end = (const char *)text.data + text.size};
    if (!slice_is_text(text)) {
        (void)spoil(&scan);
    }
    return scan;
}

char sim_scan_peek(struct sim_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t')) {
        scan->at++;
    }
    if (scan->at == scan->end) {
        return '\0';
    }
    return *scan->at;
}

static bool take(struct sim_scan *scan, char expected)
{
    if (sim_scan_peek(scan) != expected) {
        return spoil(scan);
    }
    scan->at++;
    return true;
}

bool sim_scan_enter(struct sim_scan *scan, char open)
{
    if (!take(scan, open)) {
        return false;
    }
    if (scan->depth == SIM_SCAN_DEPTH_MAX) {
        return spoil(scan);
    }
    scan->depth++;
    scan->first = true;
    return true;
}

/* Step to the next member of a container that ends with `close`. */
static bool next(struct sim_scan *scan, char close)
{
    char c = sim_scan_peek(scan);
    if (c == close) {
        scan->at++;
        scan->depth--;
        scan->first = false;
        return false;
    }
    if (!scan->first && !take(scan, ',')) {
        return false;
    }
    scan->first = false;
    return !scan->bad;
}

/* One escape after its backslash. */
static bool escape(struct sim_scan *scan)
{
    if (scan->at == scan->end || *scan->at == '\0' || strchr("\"\\/bfnrtu", *scan->at) == NULL) {
        return spoil(scan);
    }
    if (*scan->at++ != 'u') {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        if (scan->at == scan->end || hex_value(*scan->at) < 0) {
            return spoil(scan);
        }
        scan->at++;
    }
    return true;
}

bool sim_scan_string(struct sim_scan *scan, struct slice *raw)
{
    if (!take(scan, '"')) {
        return false;
    }
    const char *begin = scan->at;
    while (scan->at < scan->end) {
        char c = *scan->at++;
        if (c == '"') {
            *raw = (struct slice){.data = begin, .size = (size_t)(scan->at - 1 - begin)};
            return true;
        }
        if ((unsigned char)c < 0x20) {
            return spoil(scan);
        }
        if (c == '\\' && !escape(scan)) {
            return false;
        }
    }
    return spoil(scan);
}

bool sim_scan_key(struct sim_scan *scan, struct slice *key)
{
    return next(scan, '}') && sim_scan_string(scan, key) && take(scan, ':');
}

bool sim_scan_item(struct sim_scan *scan)
{
    return next(scan, ']');
}

static bool digits(struct sim_scan *scan)
{
    const char *begin = scan->at;
    while (scan->at < scan->end && is_digit(*scan->at)) {
        scan->at++;
    }
    return scan->at > begin ? true : spoil(scan);
}

static bool skip_number(struct sim_scan *scan)
{
    if (*scan->at == '-') {
        scan->at++;
    }
    if (scan->at < scan->end && *scan->at == '0') {
        scan->at++;
    } else if (!digits(scan)) {
        return false;
    }
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!digits(scan)) {
            return false;
        }
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-')) {
            scan->at++;
        }
        return digits(scan);
    }
    return true;
}

static bool skip_word(struct sim_scan *scan, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, word, size) != 0) {
        return spoil(scan);
    }
    scan->at += size;
    return true;
}

static bool skip_scalar(struct sim_scan *scan, char first)
{
    struct slice ignored;
    switch (first) {
    case '"': return sim_scan_string(scan, &ignored);
    case 't': return skip_word(scan, "true");
    case 'f': return skip_word(scan, "false");
    case 'n': return skip_word(scan, "null");
    default: return first == '-' || is_digit(first) ? skip_number(scan) : spoil(scan);
    }
}

/* A scalar, or the begin of a container. `*objects` has a bit per level: whether it is an object. */
static bool skip_begin(struct sim_scan *scan, uint64_t *objects)
{
    char first = sim_scan_peek(scan);
    if (first != '{' && first != '[') {
        return skip_scalar(scan, first);
    }
    *objects = *objects << 1 | (first == '{');
    return sim_scan_enter(scan, first);
}

/* Up to the next member, out of every container that ends here. False when all have ended. */
static bool skip_to_member(struct sim_scan *scan, uint64_t *objects, unsigned outside)
{
    struct slice key;
    while (!scan->bad && scan->depth > outside) {
        bool object = (*objects & 1) != 0;
        if (object ? sim_scan_key(scan, &key) : sim_scan_item(scan)) {
            return true;
        }
        *objects >>= 1;
    }
    return false;
}

bool sim_scan_skip(struct sim_scan *scan)
{
    uint64_t objects = 0; /* Instead of recursion. */
    unsigned outside = scan->depth;
    do {
        if (!skip_begin(scan, &objects)) {
            return false;
        }
    } while (skip_to_member(scan, &objects, outside));
    return !scan->bad;
}

bool sim_scan_raw(struct sim_scan *scan, struct slice *raw)
{
    (void)sim_scan_peek(scan);
    const char *begin = scan->at;
    if (!sim_scan_skip(scan)) {
        return false;
    }
    *raw = (struct slice){.data = begin, .size = (size_t)(scan->at - begin)};
    return true;
}

bool sim_scan_finish(struct sim_scan *scan)
{
    return !scan->bad && scan->depth == 0 && sim_scan_peek(scan) == '\0' && scan->at == scan->end;
}

/* The code unit of four hexadecimal digits, which the scanner has seen already. */
static unsigned code_unit(const char *at)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        unit = unit << 4 | (unsigned)hex_value(at[i]);
    }
    return unit;
}

static void append_utf8(struct buffer *out, unsigned point)
{
    char bytes[4];
    size_t size = 0;
    if (point < 0x80) {
        bytes[size++] = (char)point;
    } else if (point < 0x800) {
        bytes[size++] = (char)(0xC0 | point >> 6);
        bytes[size++] = (char)(0x80 | (point & 0x3F));
    } else {
        if (point < 0x10000) {
            bytes[size++] = (char)(0xE0 | point >> 12);
        } else {
            bytes[size++] = (char)(0xF0 | point >> 18);
            bytes[size++] = (char)(0x80 | (point >> 12 & 0x3F));
        }
        bytes[size++] = (char)(0x80 | (point >> 6 & 0x3F));
        bytes[size++] = (char)(0x80 | (point & 0x3F));
    }
    sim_need(buffer_append(out, bytes, size));
}

/* A \u escape, and its second half if it is the first of a pair. Returns the bytes used after the
 * 'u', or 0. */
static size_t decode_unicode(const char *at, size_t left, struct buffer *out)
{
    unsigned point = code_unit(at);
    if (point < 0xD800 || point > 0xDFFF) {
        append_utf8(out, point);
        return 4;
    }
    if (point > 0xDBFF || left < 10 || at[4] != '\\' || at[5] != 'u') {
        return 0;
    }
    unsigned low = code_unit(at + 6);
    if (low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    append_utf8(out, 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00));
    return 10;
}

bool sim_scan_decode(struct slice raw, struct buffer *out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *at = raw.data;
    size_t left = raw.size;
    while (left > 0) {
        const char *stop = memchr(at, '\\', left);
        size_t plain = stop == NULL ? left : (size_t)(stop - at);
        sim_need(buffer_append(out, at, plain));
        at += plain;
        left -= plain;
        if (left == 0) {
            break;
        }
        char letter = at[1];
        at += 2;
        left -= 2;
        if (letter != 'u') {
            sim_need(buffer_append(out, &meanings[strchr(letters, letter) - letters], 1));
            continue;
        }
        size_t used = decode_unicode(at, left, out);
        if (used == 0) {
            return false;
        }
        at += used;
        left -= used;
    }
    return true;
}

size_t sim_scan_length_utf16(struct slice raw)
{
    const unsigned char *at = raw.data;
    const unsigned char *end = at + raw.size;
    size_t units = 0;
    while (at < end) {
        if (*at == '\\') {
            at += at[1] == 'u' ? 6 : 2; /* A pair is two escapes and two units. */
            units++;
            continue;
        }
        units += *at >= 0xF0 ? 2 : (*at & 0xC0) != 0x80;
        at++;
    }
    return units;
}
