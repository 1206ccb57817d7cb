/*
 * Reading a line from left to right: literals, numbers, words. Each function moves past what it
 * took, or leaves the rest as it was and says so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TEXT_SCAN_H
#define TEXT_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

bool scan_literal(struct slice *rest, const char *literal);

/* Decimal digits up to `max`; more than that is no number. */
bool scan_number(struct slice *rest, uint64_t max, uint64_t *out);

/* Bytes up to the next blank or the end, at least one, and the blanks after them. */
bool scan_word(struct slice *rest, struct slice *out);

/* All bytes before `literal`, and past it. */
bool scan_until(struct slice *rest, const char *literal, struct slice *out);

/* "<...>": what is within. The last '>' counts, for addresses may hold anything. */
bool scan_brackets(struct slice *rest, struct slice *out);

/* A Python string, quoted by ' or ", to the last such quote of the line: what is within. */
bool scan_quoted(struct slice *rest, struct slice *out);

void scan_blanks(struct slice *rest);

struct slice scan_trim(struct slice text); /* Without blanks at either end. */

bool scan_contains(struct slice text, const char *literal);

/* The beginning of `text` is `literal`; nothing moves. */
bool scan_begins(struct slice text, const char *literal);

#endif
