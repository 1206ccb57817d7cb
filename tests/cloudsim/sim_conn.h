/*
 * One connection of a client, from its handshake to its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_CONN_H
#define SIM_CONN_H

#include "sim_loop.h"

enum sim_conn_state {
    SIM_CONN_HANDSHAKE,
    SIM_CONN_READING,
    SIM_CONN_WAITING, /* The reply is made; its time has not come. */
    SIM_CONN_WRITING,
    SIM_CONN_STALLED, /* Half of the body is out. */
};

struct sim_conn {
    struct sim_source source;
    struct sim_listener *listener;
    struct sim_conn *next;
    struct sim_conn **link; /* What points to us. */
    int fd;
    uint16_t remote_port;
    SSL *ssl; /* NULL: plain. */
    enum sim_conn_state state;
    uint32_t wanted; /* Events. */
    struct buffer in;
    struct buffer out;
    size_t out_sent;
    size_t out_limit; /* Up to where it may be sent now. */
    struct sim_http http;
    struct sim_reply reply;
    bool keep_alive;
    bool told_to_continue;
    uint64_t stream_cursor;
    uint64_t wake_ms; /* clock_monotonic_ms(); WAITING and STALLED. */
};

/* Take over an accepted socket; with a TLS context, or none. Closes it when that fails. */
void sim_conn_open(struct sim_listener *listener, int fd, uint16_t remote_port, SSL_CTX *tls);

/* Go on if its time has come. The connection may be gone afterwards. */
void sim_conn_on_time(struct sim_conn *conn, uint64_t now_ms);

/* When it wants to be called; UINT64_MAX for never. */
uint64_t sim_conn_wake_ms(const struct sim_conn *conn);

void sim_conn_close(struct sim_conn *conn);

#endif
