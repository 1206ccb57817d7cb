/*
 * From the time a line shows to UTC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "mail_logs.h"

#define DAY_MS INT64_C(86400000)
#define YEARLESS 2000 /* See mail_time_kind. */

static bool local_to_utc(const struct mail_logs_context *context, int64_t local_ms,
                         uint64_t *out_ms)
{
    int64_t utc_ms = local_ms - context->utc_offset_s * 1000;
    if (utc_ms < 0 || (uint64_t)utc_ms > RECORD_TIME_MAX_MS) {
        return false;
    }
    *out_ms = (uint64_t)utc_ms;
    return true;
}

static int64_t year_start_ms(uint64_t year)
{
    return clock_days_from_civil((int64_t)year, 1, 1) * DAY_MS;
}

/* The day of the year 2000 moves to another year; 29 February becomes 1 March where there is none,
 * by the arithmetic alone, and every later day must not move with it. */
static int64_t in_year(int64_t yearless_ms, uint64_t year)
{
    const int64_t march_ms = INT64_C(60) * DAY_MS; /* Of a leap year, from its beginning. */
    int64_t since_ms = yearless_ms - year_start_ms(YEARLESS);
    bool leap =
        clock_days_from_civil((int64_t)year, 3, 1) - clock_days_from_civil((int64_t)year, 1, 1) ==
        60;
    return year_start_ms(year) + since_ms - (!leap && since_ms >= march_ms ? DAY_MS : 0);
}

static uint64_t distance(uint64_t left, uint64_t right)
{
    return left > right ? left - right : right - left;
}

static bool resolve_yearless(int64_t yearless_ms, struct mail_logs_context *context,
                             const uint64_t *last_ms, uint64_t *out_ms)
{
    uint64_t year = context->year;
    if (year < 1971 || year > 9998) {
        return false;
    }
    if (!local_to_utc(context, in_year(yearless_ms, year), out_ms)) {
        return false;
    }
    for (uint64_t other = year - 1; last_ms != NULL && other <= year + 1; other += 2) {
        uint64_t other_ms = 0;
        if (local_to_utc(context, in_year(yearless_ms, other), &other_ms) &&
            distance(other_ms, *last_ms) < distance(*out_ms, *last_ms)) {
            *out_ms = other_ms;
            context->year = other;
        }
    }
    return true;
}

bool mail_time_resolve(const struct mail_time *time, struct mail_logs_context *context,
                       const uint64_t *last_ms, uint64_t *out_ms)
{
    switch (time->kind) {
    case MAIL_TIME_NONE: *out_ms = last_ms != NULL ? *last_ms : 0; return last_ms != NULL;
    case MAIL_TIME_NO_YEAR: return resolve_yearless((int64_t)time->ms, context, last_ms, out_ms);
    case MAIL_TIME_LOCAL: return local_to_utc(context, (int64_t)time->ms, out_ms);
    case MAIL_TIME_UTC: *out_ms = time->ms; return true;
    }
    return false;
}
