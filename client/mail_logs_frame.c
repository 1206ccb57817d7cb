/*
 * The frame of a mail_logs line: times, hosts, log names, level.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/clock.h"
#include "mail_logs_line.h"
#include "text_scan.h"

#define WORDS_MAX 6 /* Hosts, log names and process ids before the level. */
#define YEARLESS 2000
#define DAY_MS UINT64_C(86400000)

static const char *const level_names[] = {
    "Info: ",  "Warning: ", "Critical: ", "Debug: ", "Trace: ",
    "Error: ", "Notice: ",  "Alert: ",    "Fatal: ", "Information: "};
static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const day_names[] = {"Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool scan_month(struct slice *rest, unsigned *out)
{
    for (unsigned i = 0; i < COUNT(month_names); i++) {
        if (scan_literal(rest, month_names[i])) {
            *out = i + 1;
            return true;
        }
    }
    return false;
}

static unsigned days_in_month(uint64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1U : 0U);
}

/* "09:16:38", a leap second counting as the one before it. */
static bool scan_time_of_day(struct slice *rest, uint64_t *out_ms)
{
    uint64_t hour = 0;
    uint64_t minute = 0;
    uint64_t second = 0;
    if (!scan_number(rest, 23, &hour) || !scan_literal(rest, ":") ||
        !scan_number(rest, 59, &minute) || !scan_literal(rest, ":") ||
        !scan_number(rest, 60, &second)) {
        return false;
    }
    second = second == 60 ? 59 : second;
    *out_ms = ((hour * 60 + minute) * 60 + second) * 1000;
    return true;
}

/* "Nov 19 09:16:38 2014", the year not always there. */
static bool scan_civil(struct slice *rest, struct mail_time *out)
{
    struct slice at = *rest;
    unsigned month = 0;
    uint64_t day = 0;
    uint64_t of_day_ms = 0;
    if (!scan_month(&at, &month) || !scan_literal(&at, " ")) {
        return false;
    }
    scan_blanks(&at);
    if (!scan_number(&at, 31, &day) || !scan_literal(&at, " ") ||
        !scan_time_of_day(&at, &of_day_ms)) {
        return false;
    }
    scan_blanks(&at);
    struct slice with_year = at;
    uint64_t year = YEARLESS;
    bool has_year = scan_number(&with_year, 9999, &year) && year >= 1970 &&
                    (with_year.size == 0 || scan_literal(&with_year, " "));
    year = has_year ? year : YEARLESS;
    if (day == 0 || day > days_in_month(year, month)) {
        return false;
    }
    out->kind = has_year ? MAIL_TIME_LOCAL : MAIL_TIME_NO_YEAR;
    out->ms = (uint64_t)clock_days_from_civil((int64_t)year, month, (unsigned)day) * DAY_MS;
    out->ms += of_day_ms;
    *rest = has_year ? with_year : at;
    return true;
}

static bool scan_time(struct slice *rest, struct mail_time *out)
{
    struct slice at = *rest;
    for (size_t i = 0; i < COUNT(day_names); i++) {
        if (scan_literal(&at, day_names[i])) {
            break;
        }
    }
    if (scan_civil(&at, out)) {
        *rest = at;
        return true;
    }
    struct slice word;
    const char *first = rest->data;
    at = *rest;
    if (rest->size > 0 && first[0] >= '0' && first[0] <= '9' && scan_word(&at, &word) &&
        clock_parse(word, &out->ms)) {
        out->kind = MAIL_TIME_UTC;
        *rest = at;
        return true;
    }
    return false;
}

static bool scan_level(struct slice *rest, struct slice *out)
{
    for (size_t i = 0; i < COUNT(level_names); i++) {
        struct slice at = *rest;
        if (scan_literal(&at, level_names[i])) {
            *out = (struct slice){.data = rest->data, .size = strlen(level_names[i]) - 2};
            *rest = at;
            return true;
        }
    }
    return false;
}

/* "<166>", and the "1 " that RFC 5424 puts after it. */
static void scan_priority(struct slice *rest)
{
    struct slice at = *rest;
    uint64_t priority = 0;
    if (!scan_literal(&at, "<") || !scan_number(&at, 191, &priority) || !scan_literal(&at, ">")) {
        return;
    }
    scan_literal(&at, "1 ");
    scan_blanks(&at);
    *rest = at;
}

bool mail_frame_parse(struct slice line, struct mail_frame *out)
{
    *out = (struct mail_frame){0};
    scan_priority(&line);
    for (unsigned words = 0; words <= WORDS_MAX;) {
        scan_blanks(&line);
        struct mail_time time = {0};
        if (scan_level(&line, &out->level)) {
            out->text = scan_trim(line);
            return true;
        }
        if (scan_time(&line, &time)) {
            out->time = time.kind >= out->time.kind ? time : out->time;
            words++;
            continue;
        }
        struct slice word;
        if (!scan_word(&line, &word)) {
            return false;
        }
        if (((const char *)word.data)[word.size - 1] == ':') {
            out->log = (struct slice){.data = word.data, .size = word.size - 1};
        }
        words++;
    }
    return false;
}
