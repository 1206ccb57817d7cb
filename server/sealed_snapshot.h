/*
 * Sealing an image of the state into a snapshot file, and opening one (client/snapshot.h has the
 * format). Blocking; for a worker thread, or for the time between two lives of the daemon.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SEALED_SNAPSHOT_H
#define SERVER_SEALED_SNAPSHOT_H

#include "client/snapshot.h"

/* The key that people keep to open this cluster's snapshots: derived, the same on every member. */
MUST_USE struct status snapshot_recovery_key(struct slice cluster_key, struct secret *out);

/*
 * Write a whole snapshot of the image to `out`, and sync it. Of `header` format, image_size, salt
 * and sealed_key are set here; the last two point into `arena`.
 */
MUST_USE struct status snapshot_pack(int image, struct slice cluster_key, struct arena *arena,
                                     struct snapshot_header *header, int out);

/* The cluster key of a snapshot. STATUS_INVALID: another cluster's recovery key, or an older one. */
MUST_USE struct status snapshot_open_key(const struct snapshot_header *header,
                                         struct slice recovery_key, struct secret *cluster_key);

/*
 * Check the file and every piece of it, and write the image to `out`, which is synced; -1 only
 * checks. STATUS_CORRUPT says what was changed.
 */
MUST_USE struct status snapshot_unpack(int file, struct slice cluster_key, int out);

#endif
