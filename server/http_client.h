/*
 * HTTPS calls on the loop: libcurl's multi interface on uv_poll and one uv_timer.
 *
 * Happy path: fill in a struct http_call (zero is a default), http_start(), and `done` comes once
 * with what arrived. http_cancel() ends a call without a `done`.
 *
 * What holds for every call: https only, certificate and name verified, TLS 1.2 at least, HTTP/1.1,
 * no redirects, no cookies, no environment (proxy, netrc); answers may be compressed and are bounded
 * in size after that; nothing of a call is ever logged here.
 *
 * libcurl itself repeats a call, once, on a new connection when a kept one turns out to be dead
 * before a byte of an answer came. So only calls that may be repeated belong here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_CLIENT_H
#define SERVER_HTTP_CLIENT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "http_trace.h"

struct uv_loop_s;
struct http_client;
struct http_call;

#define HTTP_HEADERS_MAX 6           /* Lines per call. */
#define HTTP_CONNECT_TIMEOUT_MS 5000 /* Name, TCP and TLS. */
#define HTTP_IDLE_TIMEOUT_S 30       /* Less than a byte per second for so long ends a call. */
#define HTTP_TIMEOUT_DEFAULT_MS 30000
#define HTTP_RESPONSE_SIZE_DEFAULT ((size_t)1 << 20) /* Bytes, decompressed. */
#define HTTP_HOST_CONNECTIONS_MAX 8
#define HTTP_RETRY_AFTER_S_MAX 3600 /* The cloud's window; more is not believed. */
#define HTTP_LIMITED_S 60U          /* The pause after a 429 that does not say how long. */

struct http_response {
    /*
     * STATUS_OK: an answer arrived whole, whatever its code. Otherwise the message says where it
     * broke, in words for an operator:
     *   STATUS_UNREACHABLE  nothing of the call was sent: name, connection, TLS, certificate
     *   STATUS_TIMEOUT      the same, for lack of an answer in time
     *   STATUS_UNKNOWN      sent at least in part, and no whole answer came
     *   STATUS_CORRUPT      the answer is larger than allowed, or not decodable
     *   STATUS_NO_MEMORY
     */
    struct status status;
    unsigned code;            /* 200, 429, ...; 0 unless STATUS_OK. */
    struct slice body;        /* Decompressed; valid during the callback. */
    unsigned retry_after_s;   /* 1 to HTTP_RETRY_AFTER_S_MAX; 0: the answer had none. */
    uint64_t quota_limit;     /* X-Ratelimit-Org-Limit or X-RateLimit-GROUP-Limit; UINT64_MAX:
                                 not said. */
    uint64_t quota_remaining; /* X-Ratelimit-Org-Remaining; UINT64_MAX: not said. */
    struct http_trace trace;  /* Where it broke. */
};

typedef void (*http_done)(struct http_call *call, const struct http_response *response);

/* Allocated by the caller, zeroed before its first use, and kept until `done` or http_cancel().
 * What it points to is borrowed for as long. May be started again from within `done`. */
struct http_call {
    const char *method;                    /* "GET", "HEAD", "POST", "DELETE". */
    const char *url;                       /* https; no user in it. */
    const char *headers[HTTP_HEADERS_MAX]; /* "Name: value" lines; NULL ends them. */
    struct slice body;                     /* POST only. */
    unsigned timeout_ms;                   /* In all; 0: HTTP_TIMEOUT_DEFAULT_MS. */
    size_t response_size_max;              /* 0: HTTP_RESPONSE_SIZE_DEFAULT. */
    struct slice ca_pem;                   /* Empty: the system's CAs. */
    struct slice certificate_pem;          /* Our own, with key_pem; empty: none. */
    struct slice key_pem;
    void *context; /* The caller's own. */

    /* Private to http_client. */
    http_done done;
    struct http_client *client;
    struct http_call *next; /* Of those under way. */
    CURL *easy;
    struct curl_slist lines[HTTP_HEADERS_MAX + 1];
    struct buffer received;
    bool overflowed;
    bool lost; /* By a libcurl that failed as a whole. */
    char error[CURL_ERROR_SIZE];
};

/* `user_agent` and `proxy_url` (NULL: none) are copied. STATUS_NO_MEMORY, STATUS_IO. */
MUST_USE struct status http_client_open(struct uv_loop_s *loop, const char *user_agent,
                                        const char *proxy_url, struct http_client **out);

/* No call may be under way. `closed` comes from the loop when the client is gone. */
void http_client_close(struct http_client *client, void (*closed)(void *context), void *context);

/* On success `done` comes exactly once, from the loop. STATUS_INVALID (URL, method),
 * STATUS_NO_MEMORY: it never comes. */
MUST_USE struct status http_start(struct http_client *client, struct http_call *call,
                                  http_done done);

/* `done` will not come. Nothing if the call is not under way. */
void http_cancel(struct http_call *call);

/* A Retry-After value: seconds, seconds with an "s" (seen in the vendor's documentation), or an
 * HTTP date. Clamped to 1 to HTTP_RETRY_AFTER_S_MAX; 0 for anything else. */
unsigned http_retry_after(struct slice value, uint64_t now_ms);

#endif
