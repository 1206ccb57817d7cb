/*
 * Addresses as text: "host:port", "192.0.2.1:4711", "[2001:db8::1]:4711".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SOCKET_ADDRESS_H
#define SOCKET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/status.h"

struct socket_name {
    char host[254]; /* A name of the DNS has at most 253 characters (RFC 1035, 2.3.4). */
    char port[6];   /* Decimal, 0 to 65535. */
};

/* STATUS_INVALID says what an address looks like. */
MUST_USE struct status socket_name_parse(const char *text, struct socket_name *out);

/* The address, if the host is a numeric one; false if it is a name. */
bool socket_name_numeric(const struct socket_name *name, struct sockaddr_storage *out);

/* As stream_source_of(). */
uint64_t socket_address_source(const struct sockaddr_storage *address);

/* "?" for a family other than IPv4 and IPv6. */
void socket_address_print(const struct sockaddr_storage *address, char *out, size_t out_size);

#endif
