/*
 * Rebuilding this node's data from the other members (docs/adr/0010-damaged-data.md): in a suspended
 * run it goes through the states of the mark (damage.h), asking the leader over the admin RPC; in a
 * normal run it sees that the node is filled, and removes the mark.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_REBUILD_H
#define SERVER_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct daemon;
struct rebuild;

MUST_USE struct status rebuild_create(struct daemon *daemon, struct rebuild **out);

/* Give up what is under way; NULL is ignored. */
void rebuild_destroy(struct rebuild *rebuild);

/* The regular work, of a suspended run and of a normal one. */
void rebuild_on_tick(struct rebuild *rebuild, uint64_t now_ms);

/* Begin, whether the data is damaged or the operator wants it so. STATUS_REFUSED says why it cannot be;
 * with `check` only that is said. */
MUST_USE struct status rebuild_begin(struct daemon *daemon, bool check);

/* Where it stands, in words; empty when there is nothing to say. */
const char *rebuild_words(const struct rebuild *rebuild);

/* Write the mark for damage that was just found; the caller suspends the node. `index` as in damage.h. */
void rebuild_mark(struct daemon *daemon, struct status reason, uint64_t index);

/* Before the store is opened: read the mark, and look at log and store. STATUS_CORRUPT says what is
 * damaged. */
MUST_USE struct status rebuild_look(struct daemon *daemon);

#endif
