/*
 * Neighbours: how the other members are, asked of each of them every few seconds over the admin RPC
 * (node.status), whoever leads. So each node can say of any other that it is suspended and why, or that
 * its disk runs full, and a leader without room knows to whom it can hand over.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_NEIGHBOURS_H
#define SERVER_NEIGHBOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "client/protocol.h"
#include "consensus/consensus.h"

struct daemon;
struct neighbours;

struct neighbour {
    uint64_t node_id;
    uint64_t told_at_ms; /* Monotonic: of the last answer; 0: none yet. */
    bool suspended;
    char disk[RPC_WORD_SIZE_MAX + 1]; /* ok, low, full */
    char kind[RPC_WORD_SIZE_MAX + 1];
    char reason[RPC_TEXT_SIZE_MAX + 1];
    char remedy[RPC_TEXT_SIZE_MAX + 1];
    uint64_t disk_free;
    uint64_t aside; /* Undelivered records in its saved lives. */
};

#define NEIGHBOUR_FRESH_MS 30000U /* An older answer says nothing. */

MUST_USE struct status neighbours_create(struct daemon *daemon, struct neighbours **out);

/* Give up what is under way; NULL is ignored. */
void neighbours_destroy(struct neighbours *neighbours);

void neighbours_on_tick(struct neighbours *neighbours, uint64_t now_ms);

/* What a node said of itself of late, or NULL. */
const struct neighbour *neighbours_find(const struct neighbours *neighbours, uint64_t node_id);

#endif
