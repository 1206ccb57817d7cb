/*
 * HTTP/1.1 messages (RFC 9112) as a server reads them: one request at a time from a buffer that
 * grows as bytes arrive.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H

#include "base/slice.h"

#define SIM_HTTP_HEAD_SIZE_MAX 32768        /* Bearer tokens are up to 2 KB. */
#define SIM_HTTP_BODY_SIZE_MAX (32UL << 20) /* Bytes; 2,000 entities are a few megabytes. */
#define SIM_HTTP_HEADERS_MAX 64

struct sim_http_header {
    struct slice name;
    struct slice value; /* Without the blanks around it. */
};

/* One request. All slices point into the input or into `chunks`; valid until sim_http_next(). */
struct sim_http {
    struct slice method;
    struct slice path;  /* As sent, before the '?'. */
    struct slice query; /* After it, or empty. */
    struct slice body;
    bool keep_alive;
    bool expects_continue; /* The client waits for "100 Continue" before the body. */

    struct sim_http_header headers[SIM_HTTP_HEADERS_MAX];
    size_t header_count;

    /* The parser's own. */
    size_t head_size; /* 0: the head is not complete. */
    size_t seen_size; /* Bytes searched for the head's end. */
    size_t body_size; /* Bytes announced. */
    size_t at;        /* Chunked: the next byte to look at. */
    bool chunked;
    struct buffer chunks;
};

enum sim_http_result {
    SIM_HTTP_COMPLETE,
    SIM_HTTP_PARTIAL,
    SIM_HTTP_INVALID,   /* 400, and the connection cannot go on. */
    SIM_HTTP_TOO_LARGE, /* 413, the same. */
};

/* Look at all bytes that have arrived since the request began. */
enum sim_http_result sim_http_read(struct sim_http *http, struct slice input);

/* The bytes of the input that a complete request used. */
size_t sim_http_size(const struct sim_http *http);

/* Forget the request; ready for the next. */
void sim_http_next(struct sim_http *http);

void sim_http_release(struct sim_http *http);

/* The value of a header, the name in lower case; the empty slice if it is not there. */
struct slice sim_http_header(const struct sim_http *http, const char *name);

/* The decoded value of a parameter of a query or form; false if it is not there or ill-formed, or
 * does not fit. */
bool sim_http_parameter(struct slice query, const char *name, char *out, size_t out_size);

#endif
