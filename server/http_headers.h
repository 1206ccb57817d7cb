/*
 * The lines of an answer that muster looks at: code, Retry-After, quota. Private to http_client.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_HEADERS_H
#define SERVER_HTTP_HEADERS_H

#include "http_client.h"

/* Of a call that ended well; everything but status and body. */
void http_headers_read(CURL *easy, struct http_response *response);

#endif
