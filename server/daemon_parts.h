/*
 * What the daemon's own files share, and nobody else needs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DAEMON_PARTS_H
#define SERVER_DAEMON_PARTS_H

#include "daemon.h"

extern const struct cloud_ops daemon_cloud_ops;
extern const struct key_ops daemon_key_ops;

/* Open identity, store, workers, consensus and doors, in this order. What was opened before a
 * failure stays open; the caller undoes it. */
MUST_USE struct status daemon_open(struct daemon *daemon);

/* The same for a suspended run: what can be opened of identity and store, then the doors. Fails if
 * not even the socket can be listened on. */
MUST_USE struct status daemon_open_suspended(struct daemon *daemon);

/* The regular work of a suspended run. */
void daemon_suspended_tick(struct daemon *daemon, uint64_t now_ms);

/* See how much room the data folder's disk has; and, of a node that takes part, do what follows. */
void daemon_look_at_disk(struct daemon *daemon);
void daemon_disk_tick(struct daemon *daemon, uint64_t now_ms);

/* A failure of log or state: suspend if that helps, else stop with an error. */
void daemon_fail(struct daemon *daemon, struct status reason);

/* Write the first entry of a standalone node's log, if it is not there. */
void daemon_initialise(struct daemon *daemon);

/* Callbacks of consensus; the context is the daemon. */
void daemon_on_event(void *context, const struct consensus_event *event);
void daemon_on_fatal(void *context, struct status reason);
void daemon_on_notice(void *context, uint64_t node_id, const char *words);

#endif
