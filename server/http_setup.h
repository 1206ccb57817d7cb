/*
 * The options of one HTTPS call, as libcurl takes them. Private to http_client.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HTTP_SETUP_H
#define SERVER_HTTP_SETUP_H

#include "http_client.h"

/* Everything the call says, and the rules of http_client.h. Answers' bytes go to `on_bytes` with
 * the call as its context. The first option that libcurl refuses, or CURLE_OK. */
CURLcode http_setup(CURL *easy, struct http_call *call, const char *user_agent,
                    const char *proxy_url, curl_write_callback on_bytes);

#endif
