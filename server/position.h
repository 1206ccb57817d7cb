/*
 * Where a node stands: how far its log goes, whom it hears.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_POSITION_H
#define SERVER_POSITION_H

#include "client/recovery.h"

struct arena;
struct daemon;

/* This node's own, in the arena. */
MUST_USE struct status position_of(struct daemon *daemon, struct arena *arena,
                                   struct rpc_position *out);

/* Does the log of `left` hold more than that of `right`, as an election compares them? */
bool position_is_ahead(const struct rpc_position *left, const struct rpc_position *right);

/* What it says of itself, in words, in the arena. */
struct slice position_words(const struct rpc_position *position, struct arena *arena);

#endif
