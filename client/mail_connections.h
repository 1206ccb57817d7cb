/*
 * Connections of the appliance, incoming and outgoing, as long as messages may refer to them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MAIL_CONNECTIONS_H
#define MAIL_CONNECTIONS_H

#include "mail_facts.h"
#include "number_map.h"

enum mail_direction {
    MAIL_INCOMING, /* ICID. */
    MAIL_OUTGOING, /* DCID. */
};

#define MAIL_DIRECTIONS 2

struct mail_connection {
    struct mail_connection *before; /* In the order of their last use. */
    struct mail_connection *after;
    enum mail_direction direction;
    uint64_t id;
    uint64_t position; /* Of its first line. */
    uint64_t first_ms;
    uint64_t last_ms;
    struct mail_facts facts; /* Incoming only. */
    char address[64];        /* Outgoing only. */
};

/* Zero-initialised is empty. */
struct mail_connections {
    struct number_map by_id[MAIL_DIRECTIONS];
    struct mail_connection *first; /* The longest unused. */
    struct mail_connection *last;
    size_t count;
};

void mail_connections_clear(struct mail_connections *all); /* Also releases. */

/* Whether lines of a kind are for mail_connections_take(). */
bool mail_connections_concern(enum mail_event_kind kind);

/* What a line says about a connection. `position` is where it stands. False when memory runs out. */
bool mail_connections_take(struct mail_connections *all, const struct mail_event *event,
                           uint64_t position, uint64_t now_ms);

/* NULL if its beginning was not seen, or is forgotten. Counts as use. */
const struct mail_connection *mail_connections_find(struct mail_connections *all,
                                                    enum mail_direction direction, uint64_t id,
                                                    uint64_t now_ms);

/* Forget those not used for `idle_ms`. */
void mail_connections_expire(struct mail_connections *all, uint64_t now_ms, uint64_t idle_ms);

#endif
