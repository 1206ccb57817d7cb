/*
 * The table of connections.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mail_connections.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "line_reader.h"
#include "mail_logs.h"

/* Bytes after which no more is kept of a connection: one group and one cipher are what it has. */
#define FACTS_SIZE_MAX 1024

static void unlink_connection(struct mail_connections *all, struct mail_connection *connection)
{
    if (connection->before != NULL) {
        connection->before->after = connection->after;
    } else {
        all->first = connection->after;
    }
    if (connection->after != NULL) {
        connection->after->before = connection->before;
    } else {
        all->last = connection->before;
    }
}

static void append_connection(struct mail_connections *all, struct mail_connection *connection)
{
    connection->before = all->last;
    connection->after = NULL;
    if (all->last != NULL) {
        all->last->after = connection;
    } else {
        all->first = connection;
    }
    all->last = connection;
}

static void forget(struct mail_connections *all, struct mail_connection *connection)
{
    unlink_connection(all, connection);
    number_map_remove(&all->by_id[connection->direction], connection->id);
    buffer_release(&connection->facts.bytes);
    free(connection);
    all->count--;
}

void mail_connections_clear(struct mail_connections *all)
{
    while (all->first != NULL) {
        forget(all, all->first);
    }
    for (size_t i = 0; i < MAIL_DIRECTIONS; i++) {
        number_map_release(&all->by_id[i]);
    }
}

/* One that is used without end is forgotten all the same: it would keep the log from ever being
 * read past its first line. */
static struct mail_connection *touch(struct mail_connections *all, enum mail_direction direction,
                                     uint64_t id, uint64_t now_ms)
{
    struct mail_connection *connection = number_map_find(&all->by_id[direction], id);
    if (connection == NULL) {
        return NULL;
    }
    if (connection->first_ms + UINT64_C(1000) * MAIL_LOGS_CONNECTION_AGE_S < now_ms) {
        forget(all, connection);
        return NULL;
    }
    connection->last_ms = now_ms;
    unlink_connection(all, connection);
    append_connection(all, connection);
    return connection;
}

const struct mail_connection *mail_connections_find(struct mail_connections *all,
                                                    enum mail_direction direction, uint64_t id,
                                                    uint64_t now_ms)
{
    return touch(all, direction, id, now_ms);
}

void mail_connections_expire(struct mail_connections *all, uint64_t now_ms, uint64_t idle_ms)
{
    while (all->first != NULL && all->first->last_ms + idle_ms < now_ms) {
        forget(all, all->first);
    }
}

static struct mail_connection *add(struct mail_connections *all, enum mail_direction direction,
                                   uint64_t id)
{
    struct mail_connection *known = number_map_find(&all->by_id[direction], id);
    if (known != NULL) {
        forget(all, known); /* The appliance has begun to count anew. */
    }
    if (all->count == MAIL_LOGS_CONNECTIONS_MAX) {
        forget(all, all->first);
    }
    struct mail_connection *connection = alloc_zeroed(1, sizeof(*connection));
    if (connection == NULL || !number_map_add(&all->by_id[direction], id, connection)) {
        free(connection);
        return NULL;
    }
    connection->direction = direction;
    connection->id = id;
    append_connection(all, connection);
    all->count++;
    return connection;
}

static bool begin(struct mail_connections *all, const struct mail_event *event, uint64_t position,
                  uint64_t now_ms)
{
    bool incoming = event->kind == MAIL_ICID_NEW;
    struct mail_connection *connection =
        incoming ? add(all, MAIL_INCOMING, event->icid) : add(all, MAIL_OUTGOING, event->dcid);
    if (connection == NULL) {
        return false;
    }
    connection->position = position;
    connection->first_ms = now_ms;
    connection->last_ms = now_ms;
    if (incoming) {
        return mail_facts_add(&connection->facts, event);
    }
    struct slice address = text_cut(event->text, sizeof(connection->address) - 1);
    return slice_to_text(address, connection->address, sizeof(connection->address)) ||
           connection->address[0] == '\0';
}

bool mail_connections_concern(enum mail_event_kind kind)
{
    return kind == MAIL_ICID_NEW || kind == MAIL_ICID_GROUP || kind == MAIL_ICID_TLS ||
           kind == MAIL_ICID_CLOSE || kind == MAIL_DCID_NEW || kind == MAIL_DCID_CLOSE;
}

bool mail_connections_take(struct mail_connections *all, const struct mail_event *event,
                           uint64_t position, uint64_t now_ms)
{
    if (event->kind == MAIL_ICID_NEW || event->kind == MAIL_DCID_NEW) {
        return begin(all, event, position, now_ms);
    }
    bool incoming = event->kind != MAIL_DCID_CLOSE;
    struct mail_connection *connection = incoming ? touch(all, MAIL_INCOMING, event->icid, now_ms)
                                                  : touch(all, MAIL_OUTGOING, event->dcid, now_ms);
    if (connection == NULL) {
        return true;
    }
    if (event->kind == MAIL_ICID_CLOSE || event->kind == MAIL_DCID_CLOSE) {
        forget(all, connection);
        return true;
    }
    return connection->facts.bytes.size > FACTS_SIZE_MAX ||
           mail_facts_add(&connection->facts, event);
}
