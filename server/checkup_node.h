/*
 * The part of a checkup that needs no network: a node's own files, certificates, libraries and disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CHECKUP_NODE_H
#define SERVER_CHECKUP_NODE_H

#include "checks.h"
#include "daemon.h"

/* What can be read at once. */
void checkup_node(struct daemon *daemon, struct findings *findings);

/* Write and sync a file in the folder some times. Any thread; it may take as long as the disk does. */
void checkup_sync(const char *folder, struct sync_seen *seen);

#endif
