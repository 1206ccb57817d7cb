/*
 * Clocks and RFC 3339.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LAST_MS UINT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static uint64_t read_clock(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t clock_now_ms(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t clock_monotonic_ms(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

const char *clock_format(uint64_t at_ms, char out[CLOCK_TEXT_SIZE])
{
    if (at_ms > LAST_MS) {
        at_ms = LAST_MS;
    }
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    size_t size = strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + size, CLOCK_TEXT_SIZE - size, ".%03uZ", (unsigned)(at_ms % 1000));
    return out;
}

int64_t clock_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    /* Years from March, so that the leap day is the last; 400 years have 146,097 days. */
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct reader {
    const char *at;
    const char *end;
    bool good;
};

static void read_char(struct reader *reader, const char *allowed)
{
    reader->good = reader->good && reader->at < reader->end && *reader->at != '\0' &&
                   strchr(allowed, *reader->at) != NULL;
    reader->at += reader->good;
}

static unsigned read_number(struct reader *reader, unsigned digits, unsigned min, unsigned max)
{
    unsigned value = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (!reader->good || reader->at == reader->end || *reader->at < '0' || *reader->at > '9') {
            reader->good = false;
            return 0;
        }
        value = value * 10 + (unsigned)(*reader->at++ - '0');
    }
    reader->good = reader->good && value >= min && value <= max;
    return value;
}

static unsigned read_fraction_ms(struct reader *reader)
{
    unsigned value_ms = 0;
    unsigned digits = 0;
    if (!reader->good || reader->at == reader->end || *reader->at != '.') {
        return 0;
    }
    reader->at++;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; digits++) {
        value_ms = digits < 3 ? value_ms * 10 + (unsigned)(*reader->at - '0') : value_ms;
        reader->at++;
    }
    for (unsigned i = digits; i < 3; i++) {
        value_ms *= 10;
    }
    reader->good = reader->good && digits >= 1 && digits <= 9;
    return value_ms;
}

static int64_t read_offset_s(struct reader *reader)
{
    char sign = reader->good && reader->at < reader->end ? *reader->at : '\0';
    read_char(reader, "Zz+-");
    if (sign == 'Z' || sign == 'z') {
        return 0;
    }
    unsigned hours = read_number(reader, 2, 0, 23);
    read_char(reader, ":");
    unsigned minutes = read_number(reader, 2, 0, 59);
    int64_t offset_s = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    return sign == '-' ? -offset_s : offset_s;
}

bool clock_parse(struct slice text, uint64_t *out_ms)
{
    struct reader reader = {.at = text.data, .good = text.size > 0};
    reader.end = reader.at + text.size;
    unsigned year = read_number(&reader, 4, 1970, 9999);
    read_char(&reader, "-");
    unsigned month = read_number(&reader, 2, 1, 12);
    read_char(&reader, "-");
    unsigned day = read_number(&reader, 2, 1, 31);
    read_char(&reader, "Tt ");
    unsigned hour = read_number(&reader, 2, 0, 23);
    read_char(&reader, ":");
    unsigned minute = read_number(&reader, 2, 0, 59);
    read_char(&reader, ":");
    unsigned second = read_number(&reader, 2, 0, 60);
    unsigned fraction_ms = read_fraction_ms(&reader);
    int64_t offset_s = read_offset_s(&reader);
    if (!reader.good || reader.at != reader.end) {
        return false;
    }
    int64_t seconds = clock_days_from_civil(year, month, day) * 86400 + (int64_t)hour * 3600 +
                      (int64_t)minute * 60 + second - offset_s;
    if (seconds < 0 || seconds > (int64_t)(LAST_MS / 1000)) { /* By its offset. */
        return false;
    }
    *out_ms = (uint64_t)seconds * 1000 + fraction_ms;
    return true;
}
