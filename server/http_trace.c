/*
 * libcurl's result, times and codes, read as the step at which a call broke.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_trace.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>

#define US_PER_MS 1000

static bool reached(CURL *easy, CURLINFO time)
{
    curl_off_t us = 0;
    return curl_easy_getinfo(easy, time, &us) == CURLE_OK && us > 0;
}

static long number_of(CURL *easy, CURLINFO what)
{
    long number = 0;
    (void)curl_easy_getinfo(easy, what, &number);
    return number;
}

/* OpenSSL's verdict of the chain. The name libcurl compares itself, before it asks for that: then it is
 * still as libcurl sets it at first. */
static enum http_break break_of_certificate(CURL *easy)
{
    switch (number_of(easy, CURLINFO_SSL_VERIFYRESULT)) {
    case X509_V_ERR_UNSPECIFIED:
    case X509_V_OK:
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return HTTP_BREAK_CERTIFICATE_NAME;
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED: return HTTP_BREAK_CERTIFICATE_TIME;
    default: return HTTP_BREAK_CERTIFICATE_ISSUER;
    }
}

/* Whatever is not told by its code broke at the first step that has no time. */
static enum http_break break_of_times(CURL *easy, bool proxied)
{
    if (reached(easy, CURLINFO_APPCONNECT_TIME_T)) {
        return HTTP_BREAK_ANSWER;
    }
    if (reached(easy, CURLINFO_CONNECT_TIME_T)) {
        return HTTP_BREAK_TLS;
    }
    if (reached(easy, CURLINFO_NAMELOOKUP_TIME_T)) {
        return proxied ? HTTP_BREAK_PROXY_CONNECTION : HTTP_BREAK_CONNECTION;
    }
    return proxied ? HTTP_BREAK_PROXY_NAME : HTTP_BREAK_NAME;
}

static enum http_break break_of(CURL *easy, CURLcode code, bool proxied)
{
    long connect_code = number_of(easy, CURLINFO_HTTP_CONNECTCODE);
    switch ((int)code) { /* libcurl has a hundred; these say where. */
    case CURLE_OK: return HTTP_BREAK_NONE;
    case CURLE_COULDNT_RESOLVE_PROXY: return HTTP_BREAK_PROXY_NAME;
    case CURLE_COULDNT_RESOLVE_HOST: return HTTP_BREAK_NAME;
    case CURLE_PEER_FAILED_VERIFICATION: return break_of_certificate(easy);
    default: break;
    }
    if (connect_code != 0 && connect_code != 200) {
        return HTTP_BREAK_PROXY_REFUSAL;
    }
    switch ((int)code) {
    case CURLE_COULDNT_CONNECT:
        return proxied ? HTTP_BREAK_PROXY_CONNECTION : HTTP_BREAK_CONNECTION;
    case CURLE_SSL_CONNECT_ERROR: return HTTP_BREAK_TLS;
    default: return break_of_times(easy, proxied);
    }
}

static uint64_t date_of(CURL *easy)
{
    struct curl_header *header = NULL;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return 0;
    }
    time_t at = curl_getdate(header->value, NULL);
    return at > 0 ? (uint64_t)at * 1000 : 0;
}

void http_trace_read(CURL *easy, CURLcode code, const char *words, bool proxied,
                     struct http_trace *out)
{
    const char *address = NULL;
    curl_off_t took_us = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    (void)curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &took_us);
    *out = (struct http_trace){
        .at = break_of(easy, code, proxied),
        .timed_out = code == CURLE_OPERATION_TIMEDOUT,
        .refused = number_of(easy, CURLINFO_OS_ERRNO) == ECONNREFUSED,
        .proxy_code = (unsigned)number_of(easy, CURLINFO_HTTP_CONNECTCODE),
        .date_ms = code == CURLE_OK ? date_of(easy) : 0,
        .took_ms = (uint64_t)took_us / US_PER_MS,
    };
    (void)snprintf(out->address, sizeof out->address, "%s", address != NULL ? address : "");
    (void)snprintf(out->words, sizeof out->words, "%s",
                   words[0] != '\0' ? words : curl_easy_strerror(code));
}
