/*
 * Replies and the error shapes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "sim_json.h"
#include "sim_map.h"

const char *sim_uuid(char out[SIM_UUID_SIZE])
{
    uint8_t b[16];
    random_bytes(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
    (void)snprintf(out, SIM_UUID_SIZE,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
    return out;
}

struct buffer *sim_reply_begin(struct sim_reply *reply, int status)
{
    reply->status = status;
    reply->content_type = NULL;
    reply->stream = NULL;
    buffer_clear(&reply->body);
    return &reply->body;
}

void sim_reply_text(struct sim_reply *reply, int status, const char *content_type, const char *text)
{
    struct buffer *body = sim_reply_begin(reply, status);
    reply->content_type = content_type;
    sim_need(buffer_append(body, text, strlen(text)));
}

void sim_reply_header(struct sim_reply *reply, const char *name, const char *format, ...)
{
    char value[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(value, sizeof value, format, arguments);
    va_end(arguments);
    sim_print(&reply->headers, "%s: %s\r\n", name, value);
}

const char *sim_reply_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }
    return "Status";
}

void sim_reply_html(struct sim_reply *reply, int status)
{
    struct buffer *body = sim_reply_begin(reply, status);
    reply->content_type = "text/html; charset=utf-8";
    sim_print(body,
              "<!DOCTYPE html>\n<html><head><title>%d %s</title></head>\n"
              "<body><center><h1>%d %s</h1></center></body></html>\n",
              status, sim_reply_reason(status), status, sim_reply_reason(status));
}

void sim_reply_code(struct sim_reply *reply, int status, const char *code, const char *message)
{
    struct buffer *body = sim_reply_begin(reply, status);
    sim_print(body, "{\"error\":{\"code\":");
    sim_json_text(body, code);
    sim_print(body, ",\"message\":");
    sim_json_text(body, message);
    sim_print(body, "}}");
}

void sim_reply_denied(struct sim_reply *reply, enum sim_family family, int status,
                      const char *error, const char *description)
{
    if (family == SIM_SSE || family == SIM_ADMIN) {
        sim_reply_code(reply, status, error, description);
        return;
    }
    struct buffer *body = sim_reply_begin(reply, status);
    sim_print(body, "{\"error\":");
    sim_json_text(body, error);
    sim_print(body, ",\"error_description\":");
    sim_json_text(body, description);
    if (family == SIM_PRIVATE_INTEL) {
        sim_print(body, ",\"level\":\"warn\"}");
        return;
    }
    char trace[SIM_UUID_SIZE];
    sim_print(body, ",\"trace_id\":\"ctx-%s\"}", sim_uuid(trace));
}

void sim_reply_internal(struct sim_reply *reply, enum sim_family family, int status)
{
    char trace[SIM_UUID_SIZE];
    if (family == SIM_PRIVATE_INTEL) {
        sim_reply_text(reply, status, NULL,
                       "{\"type\":\"unknown-exception\",\"class\":\"java.lang.Exception\"}");
        return;
    }
    if (family == SIM_VISIBILITY) {
        struct buffer *body = sim_reply_begin(reply, status);
        sim_print(body,
                  "{\"error\":\"unknown-exception\",\"error_description\":\"This exception has "
                  "been logged for further inspection.\",\"trace_id\":\"ctx-%s\"}",
                  sim_uuid(trace));
        return;
    }
    sim_reply_code(reply, status, status == 500 ? "internal" : "unavailable",
                   "the service has failed; try again later");
}

#define HTTP_DATE_SIZE 64

/* RFC 9110, 5.6.7. */
static const char *http_date(uint64_t at_ms, char out[HTTP_DATE_SIZE])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm parts;
    out[0] = '\0';
    if (gmtime_r(&at, &parts) != NULL) {
        (void)strftime(out, HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    return out;
}

void sim_reply_rate_limit(struct sim_reply *reply, enum sim_family family, const char *variant,
                          uint64_t retry_after_s)
{
    if (family == SIM_SSE) {
        sim_reply_code(reply, 429, "too_many_requests", "too many requests; wait as told");
    } else if (strcmp(variant, "message") == 0) {
        sim_reply_text(reply, 429, "application/json", "{\"message\": \"Too many requests\"}");
    } else {
        sim_reply_text(reply, 429, "application/json", "{\"error\": \"Too Many Requests\"}");
    }
    if (strcmp(variant, "none") == 0) {
        return;
    }
    if (strcmp(variant, "date") == 0) {
        char text[HTTP_DATE_SIZE];
        uint64_t now_ms = reply->now_ms != 0 ? reply->now_ms : clock_now_ms();
        sim_reply_header(reply, "Retry-After", "%s",
                         http_date(now_ms + retry_after_s * 1000, text));
        return;
    }
    sim_reply_header(reply, "Retry-After", "%" PRIu64 "%s", retry_after_s,
                     strcmp(variant, "seconds_s") == 0 ? "s" : "");
}

void sim_reply_head(const struct sim_reply *reply, bool keep_alive, struct buffer *out)
{
    sim_print(out, "HTTP/1.1 %d %s\r\nServer: muster-cloudsim\r\n", reply->status,
              sim_reply_reason(reply->status));
    if (reply->now_ms != 0) {
        char date[HTTP_DATE_SIZE];
        sim_print(out, "Date: %s\r\n", http_date(reply->now_ms, date));
    }
    if (reply->status != 204) {
        sim_print(out, "Content-Type: %s\r\n",
                  reply->content_type == NULL ? "application/json; charset=utf-8"
                                              : reply->content_type);
        if (reply->chunked || reply->stream != NULL) {
            sim_print(out, "Transfer-Encoding: chunked\r\n");
        } else {
            sim_print(out, "Content-Length: %zu\r\n", reply->body.size);
        }
    }
    sim_need(buffer_append(out, reply->headers.data, reply->headers.size));
    sim_print(out, "Connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
}

void sim_reply_release(struct sim_reply *reply)
{
    buffer_release(&reply->headers);
    buffer_release(&reply->body);
    *reply = (struct sim_reply){0};
}
