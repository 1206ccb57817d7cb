/*
 * The lines of an answer that muster looks at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_headers.h"

#include "base/clock.h"

#define HEADER_NUMBER_DIGITS_MAX 12

static bool parse_number(struct slice text, size_t *digit_count, uint64_t *out)
{
    const char *bytes = text.data;
    uint64_t number = 0;
    size_t i = 0;

    while (i < text.size && i < HEADER_NUMBER_DIGITS_MAX && bytes[i] >= '0' && bytes[i] <= '9') {
        number = number * 10 + (uint64_t)(bytes[i] - '0');
        i++;
    }
    *digit_count = i;
    *out = number;
    return i > 0;
}

static unsigned clamp_retry_after(uint64_t seconds)
{
    if (seconds < 1) {
        return 1;
    }
    return seconds < HTTP_RETRY_AFTER_S_MAX ? (unsigned)seconds : HTTP_RETRY_AFTER_S_MAX;
}

unsigned http_retry_after(struct slice value, uint64_t now_ms)
{
    uint64_t seconds = 0;
    size_t digit_count = 0;
    const char *bytes = value.data;

    if (bytes == NULL) {
        return 0; /* No such header. */
    }
    if (parse_number(value, &digit_count, &seconds)) {
        bool all = digit_count == value.size;
        bool suffixed = digit_count + 1 == value.size && bytes[digit_count] == 's';
        return all || suffixed ? clamp_retry_after(seconds) : 0;
    }

    char text[64];
    if (value.size == 0 || !slice_to_text(value, text, sizeof text)) {
        return 0;
    }
    time_t at = curl_getdate(text, NULL);
    if (at <= 0) {
        return 0;
    }
    uint64_t at_ms = (uint64_t)at * 1000;
    return clamp_retry_after(at_ms > now_ms ? (at_ms - now_ms + 999) / 1000 : 0);
}

static struct slice header_of(CURL *easy, const char *name)
{
    struct curl_header *header = NULL;

    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return (struct slice){0};
    }
    return slice_of(header->value);
}

static uint64_t header_number(CURL *easy, const char *name)
{
    struct slice value = header_of(easy, name);
    size_t digit_count = 0;
    uint64_t number = 0;

    if (!parse_number(value, &digit_count, &number) || digit_count != value.size) {
        return UINT64_MAX;
    }
    return number;
}

void http_headers_read(CURL *easy, struct http_response *response)
{
    long code = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    response->code = code > 0 ? (unsigned)code : 0;
    /* A time to wait until is one of the cloud's clock, which may differ from ours. */
    uint64_t now_ms = response->trace.date_ms != 0 ? response->trace.date_ms : clock_now_ms();
    response->retry_after_s = http_retry_after(header_of(easy, "Retry-After"), now_ms);
    response->quota_limit = header_number(easy, "X-Ratelimit-Org-Limit");
    if (response->quota_limit == UINT64_MAX) {
        response->quota_limit = header_number(easy, "X-RateLimit-GROUP-Limit");
    }
    response->quota_remaining = header_number(easy, "X-Ratelimit-Org-Remaining");
}
