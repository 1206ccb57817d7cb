/*
 * Addresses as text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "socket_address.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/stream.h"

#define PORT_MAX 65535UL

static bool is_port(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size < sizeof(((struct socket_name *)NULL)->port) &&
           strspn(text, "0123456789") == size && strtoul(text, NULL, 10) <= PORT_MAX;
}

struct status socket_name_parse(const char *text, struct socket_name *out)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    const char *end = colon;
    bool bracketed = colon != NULL && text[0] == '[' && colon > text && colon[-1] == ']';
    if (bracketed) {
        host++;
        end--;
    }
    size_t size = colon == NULL ? 0 : (size_t)(end - host);
    bool ambiguous = !bracketed && size > 0 && memchr(host, ':', size) != NULL;
    if (size == 0 || size >= sizeof out->host || ambiguous || !is_port(colon + 1)) {
        return fail(STATUS_INVALID, "\"%.200s\" is not an address: write host:port or [v6]:port",
                    text);
    }
    memcpy(out->host, host, size);
    out->host[size] = '\0';
    (void)snprintf(out->port, sizeof out->port, "%s", colon + 1);
    return OK;
}

bool socket_name_numeric(const struct socket_name *name, struct sockaddr_storage *out)
{
    int port = (int)strtoul(name->port, NULL, 10);
    memset(out, 0, sizeof *out);
    return uv_ip4_addr(name->host, port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(name->host, port, (struct sockaddr_in6 *)out) == 0;
}

void socket_address_print(const struct sockaddr_storage *address, char *out, size_t out_size)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        (void)uv_ip4_name(v4, host, sizeof host);
        (void)snprintf(out, out_size, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        (void)uv_ip6_name(v6, host, sizeof host);
        (void)snprintf(out, out_size, "[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
    } else {
        (void)snprintf(out, out_size, "?");
    }
}

uint64_t socket_address_source(const struct sockaddr_storage *address)
{
    uint64_t source = 0;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        return STREAM_SOURCE_V4 | ntohl(v4->sin_addr.s_addr);
    }
    if (address->ss_family != AF_INET6) {
        return 0;
    }
    const uint8_t *bytes = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)address)->sin6_addr);
    for (size_t i = mapped ? 12 : 0; i < (mapped ? 16U : 8U); i++) {
        source = source << 8U | bytes[i];
    }
    return mapped ? STREAM_SOURCE_V4 | source : source;
}

void stream_source_print(uint64_t source, char out[STREAM_SOURCE_SIZE])
{
    unsigned low = (unsigned)(source & UINT32_MAX);
    if (source >> 32U == STREAM_SOURCE_V4 >> 32U) {
        (void)snprintf(out, STREAM_SOURCE_SIZE, "%u.%u.%u.%u", low >> 24U, low >> 16U & 0xFFU,
                       low >> 8U & 0xFFU, low & 0xFFU);
    } else if (source >> 32U == STREAM_SOURCE_USER >> 32U) {
        (void)snprintf(out, STREAM_SOURCE_SIZE, "uid %u", low);
    } else {
        (void)snprintf(out, STREAM_SOURCE_SIZE, "%x:%x:%x:%x::/64", (unsigned)(source >> 48U),
                       (unsigned)(source >> 32U & 0xFFFFU), low >> 16U, low & 0xFFFFU);
    }
}
