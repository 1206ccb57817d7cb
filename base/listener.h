/*
 * The inside of a listener, for stream_open.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LISTENER_H
#define LISTENER_H

#include "base/stream.h"
#include "stream_state.h"

struct listener {
    union stream_socket socket;
    uv_timer_t turn;  /* Fires in the next turn of the loop. */
    unsigned accepts; /* Announced in this one. */
    bool waits;       /* A connection was not announced yet. */
    bool local;
    listener_on_connection on_connection;
    void *context;
    void (*closed)(void *context);
    void *closed_context;
    char address[STREAM_ADDRESS_SIZE]; /* As bound; of a UNIX socket the path. */
};

#endif
