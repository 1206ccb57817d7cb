/*
 * Where an HTTPS call broke: on the name, the connection, the proxy, TLS, the certificate, or after all
 * of them. For `muster doctor`, which must say what is blocked (R4).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_TRACE_H
#define SERVER_HTTP_TRACE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

enum http_break {
    HTTP_BREAK_NONE,             /* An answer came. */
    HTTP_BREAK_PROXY_NAME,       /* The proxy's name was not resolved. */
    HTTP_BREAK_PROXY_CONNECTION, /* Nobody takes connections at the proxy's address. */
    HTTP_BREAK_PROXY_REFUSAL,    /* It answered CONNECT with another code than 200. */
    HTTP_BREAK_NAME,
    HTTP_BREAK_CONNECTION,
    HTTP_BREAK_TLS, /* Connected; the handshake was not finished. */
    HTTP_BREAK_CERTIFICATE_NAME,
    HTTP_BREAK_CERTIFICATE_TIME,   /* Expired, or not good yet. */
    HTTP_BREAK_CERTIFICATE_ISSUER, /* None of the CAs that are believed, or damaged. */
    HTTP_BREAK_ANSWER,             /* TLS is good; no whole answer came. */
};

#define HTTP_TRACE_ADDRESS_SIZE 64
#define HTTP_TRACE_WORDS_SIZE 160

struct http_trace {
    enum http_break at;
    bool timed_out;
    bool refused;        /* With _CONNECTION: by the other side. Otherwise no route, or silence. */
    unsigned proxy_code; /* With _PROXY_REFUSAL. */
    char address[HTTP_TRACE_ADDRESS_SIZE]; /* Connected to; empty: to none. */
    uint64_t date_ms;                      /* The answer's Date; 0: it had none. */
    uint64_t took_ms;
    char words[HTTP_TRACE_WORDS_SIZE]; /* libcurl's own. */
};

/* Of a call that is over, with what libcurl made of it. `proxied`: a proxy is in use. */
void http_trace_read(CURL *easy, CURLcode code, const char *words, bool proxied,
                     struct http_trace *out);

#endif
