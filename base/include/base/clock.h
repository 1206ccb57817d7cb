/*
 * Time. Only server, client and tests read clocks; store and consensus are told the time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

uint64_t clock_now_ms(void);       /* Wall clock, ms since 1970-01-01 UTC. May jump. */
uint64_t clock_monotonic_ms(void); /* Never goes back; its zero means nothing. */

#define CLOCK_TEXT_SIZE 32

/* RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.000Z", into `out`, which it returns. */
const char *clock_format(uint64_t at_ms, char out[CLOCK_TEXT_SIZE]);

/* The reverse; the fraction may be absent or of 1 to 9 digits, the offset "Z" or "+hh:mm". False
 * for anything else, and for years before 1970 or after 9999. */
bool clock_parse(struct slice text, uint64_t *out_ms);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month from 1. */
int64_t clock_days_from_civil(int64_t year, unsigned month, unsigned day);

#endif
