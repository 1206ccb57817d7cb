/*
 * A connected byte stream to a node: a UNIX socket, or TLS over TCP. Never blocks but in
 * transport_wait(), so that whoever uses it decides how long is too long.
 *
 * Whom we talk to is verified before the first byte is sent. Over TLS the node's certificate must
 * chain to the cluster's CA. On a UNIX socket the kernel says who listens: root, ourselves, or the
 * owner of the socket's folder if nobody else may write to it; a stranger who put a socket in the
 * way is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "client/connection.h"

struct transport;

/*
 * Connect, by `deadline_ms` of the monotonic clock. STATUS_UNREACHABLE, STATUS_TIMEOUT,
 * STATUS_UNAUTHORIZED (the other side is not one we believe, or refuses us), STATUS_INVALID (the
 * options or a file that they name). `*out` is written on success only.
 */
MUST_USE struct status transport_open(const struct connection_options *options,
                                      uint64_t deadline_ms, struct transport **out);

/* Take over a connected stream socket, which is closed with the transport. NULL without memory; the
 * socket is the caller's then. */
struct transport *transport_adopt(int fd);

void transport_close(struct transport *transport); /* NULL is ignored. */

/* Send what fits now; `*sent` may be 0. A failure means that the stream is of no more use. */
MUST_USE struct status transport_send(struct transport *transport, struct slice bytes,
                                      size_t *sent);

/* Append what is there now, at most `size_max` bytes, perhaps nothing. STATUS_UNREACHABLE when the
 * other side has closed. */
MUST_USE struct status transport_receive(struct transport *transport, size_t size_max,
                                         struct buffer *out);

/* Wait until receiving may go on, or, with `sending`, either. STATUS_TIMEOUT at the deadline. */
MUST_USE struct status transport_wait(struct transport *transport, bool sending,
                                      uint64_t deadline_ms);

#endif
