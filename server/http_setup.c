/*
 * The options of one HTTPS call: the rules that hold for every call, then what is its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_setup.h"

#include <string.h>

#define CONNECTION_AGE_S_MAX 600L /* Then a new one: names and certificates change. */

/* Remembers the first option that libcurl refuses, so that there is one check at the end. */
struct setup {
    CURL *easy;
    CURLcode code;
};

static void set_long(struct setup *setup, CURLoption option, long value)
{
    if (setup->code == CURLE_OK) {
        setup->code = curl_easy_setopt(setup->easy, option, value);
    }
}

static void set_pointer(struct setup *setup, CURLoption option, const void *value)
{
    if (setup->code == CURLE_OK) {
        setup->code = curl_easy_setopt(setup->easy, option, value);
    }
}

/* Borrowed, not copied: what libcurl copies it does not wipe. */
static void set_blob(struct setup *setup, CURLoption option, struct slice bytes)
{
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)bytes.data, /* libcurl reads it only. */
        .len = bytes.size,
        .flags = CURL_BLOB_NOCOPY,
    };

    if (bytes.size > 0) {
        set_pointer(setup, option, &blob);
    }
}

static void set_rules(struct setup *setup, const char *user_agent, const char *proxy_url)
{
    set_long(setup, CURLOPT_NOSIGNAL, 1);
    /* A name that is still being looked up when the call ends: do not wait for its thread. */
    set_long(setup, CURLOPT_QUICK_EXIT, 1);
    set_pointer(setup, CURLOPT_PROTOCOLS_STR, "https");
    set_long(setup, CURLOPT_FOLLOWLOCATION, 0);
    set_long(setup, CURLOPT_DISALLOW_USERNAME_IN_URL, 1);
    set_long(setup, CURLOPT_SSL_VERIFYPEER, 1);
    set_long(setup, CURLOPT_SSL_VERIFYHOST, 2);
    set_long(setup, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    /* Connections are kept, so sessions save little; and short of memory, libcurl 7.88.1 keeps a session
     * whose name it has freed, and frees it again for the next one (Curl_ssl_addsessionid). */
    set_long(setup, CURLOPT_SSL_SESSIONID_CACHE, 0);
    set_long(setup, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    set_long(setup, CURLOPT_NETRC, CURL_NETRC_IGNORED);
    set_pointer(setup, CURLOPT_PROXY, proxy_url != NULL ? proxy_url : "");
    set_pointer(setup, CURLOPT_USERAGENT, user_agent);
    set_pointer(setup, CURLOPT_ACCEPT_ENCODING, "gzip");
    set_long(setup, CURLOPT_TCP_KEEPALIVE, 1);
    set_long(setup, CURLOPT_MAXLIFETIME_CONN, CONNECTION_AGE_S_MAX);
    set_long(setup, CURLOPT_CONNECTTIMEOUT_MS, HTTP_CONNECT_TIMEOUT_MS);
    set_long(setup, CURLOPT_LOW_SPEED_LIMIT, 1);
    set_long(setup, CURLOPT_LOW_SPEED_TIME, HTTP_IDLE_TIMEOUT_S);
}

static void set_method(struct setup *setup, const struct http_call *call)
{
    if (strcmp(call->method, "GET") == 0) {
        set_long(setup, CURLOPT_HTTPGET, 1);
        return;
    }
    if (strcmp(call->method, "HEAD") == 0) {
        set_long(setup, CURLOPT_NOBODY, 1);
        return;
    }
    if (strcmp(call->method, "POST") != 0) {
        set_pointer(setup, CURLOPT_CUSTOMREQUEST, call->method);
        return;
    }
    set_long(setup, CURLOPT_POST, 1);
    set_pointer(setup, CURLOPT_POSTFIELDS, call->body.size > 0 ? call->body.data : "");
    if (setup->code == CURLE_OK) {
        setup->code =
            curl_easy_setopt(setup->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
    }
}

/* The list is ours, so that libcurl makes no copies of lines that hold secrets. */
static void set_headers(struct setup *setup, struct http_call *call)
{
    static char no_expect[] = "Expect:"; /* No "100-continue": it costs a round trip. */
    size_t count = 0;

    call->lines[count++] = (struct curl_slist){.data = no_expect};
    for (size_t i = 0; i < HTTP_HEADERS_MAX && call->headers[i] != NULL; i++) {
        call->lines[count - 1].next = &call->lines[count];
        call->lines[count++] = (struct curl_slist){.data = (char *)(uintptr_t)call->headers[i]};
    }
    set_pointer(setup, CURLOPT_HTTPHEADER, call->lines);
}

static void set_call(struct setup *setup, struct http_call *call)
{
    unsigned timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : HTTP_TIMEOUT_DEFAULT_MS;

    set_pointer(setup, CURLOPT_URL, call->url);
    set_long(setup, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    set_blob(setup, CURLOPT_CAINFO_BLOB, call->ca_pem);
    set_blob(setup, CURLOPT_SSLCERT_BLOB, call->certificate_pem);
    set_blob(setup, CURLOPT_SSLKEY_BLOB, call->key_pem);
    set_pointer(setup, CURLOPT_PRIVATE, call);
    set_pointer(setup, CURLOPT_WRITEDATA, call);
    set_pointer(setup, CURLOPT_ERRORBUFFER, call->error);
}

CURLcode http_setup(CURL *easy, struct http_call *call, const char *user_agent,
                    const char *proxy_url, curl_write_callback on_bytes)
{
    struct setup setup = {.easy = easy, .code = CURLE_OK};

    set_rules(&setup, user_agent, proxy_url);
    set_call(&setup, call);
    set_method(&setup, call);
    set_headers(&setup, call);
    if (setup.code == CURLE_OK) {
        setup.code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    }
    return setup.code;
}
