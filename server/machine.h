/*
 * Where consensus and store meet: the store as the replicated state machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_MACHINE_H
#define SERVER_MACHINE_H

#include "consensus/consensus.h"

struct buffer;
struct daemon;
struct store;

/* The machine that applies to the daemon's store. */
struct machine machine_of(struct daemon *daemon);

/* Apply to the store what a stopped node's log holds beyond it: consensus_salvage(). */
MUST_USE struct status machine_salvage(struct store *store, const char *log,
                                       struct consensus_log_end *end);

/* Sync the store and append what a snapshot of it at `index` says of it. */
MUST_USE struct status machine_manifest(struct store *store, uint64_t index,
                                        struct buffer *manifest);

#endif
