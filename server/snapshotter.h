/*
 * Saving snapshots: one at a time is made on a worker thread into a file without a name in the data
 * folder, and read from there in parts. So the state is read as fast as the disk allows, and not as
 * slow as the one who asked: a long reader would keep LMDB from reusing its pages.
 *
 *     IDLE ──begin──► MAKING ──made──► READY ──read to its end, or nobody reads──► IDLE
 *       ▲                │ failed
 *       └────────────────┘ the next read says why
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SNAPSHOTTER_H
#define SERVER_SNAPSHOTTER_H

#include <stdint.h>

#include "base/status.h"

struct call;
struct daemon;
struct snapshotter;

MUST_USE struct status snapshotter_create(struct daemon *daemon, struct snapshotter **out);
void snapshotter_destroy(struct snapshotter *snapshotter); /* After the loop has ended. */

/* snapshot.begin and snapshot.read: answer the call. */
void snapshotter_begin(struct snapshotter *snapshotter, struct call *call);
void snapshotter_read(struct snapshotter *snapshotter, struct call *call);

/* Gives up what nobody reads. */
void snapshotter_sweep(struct snapshotter *snapshotter, uint64_t now_ms);

#endif
