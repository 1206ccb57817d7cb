/*
 * Outbox records for tests: small messages that differ in their number.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef OUTBOX_ROWS_H
#define OUTBOX_ROWS_H

#include "scratch.h"

#include "base/arena.h"
#include "store/store.h"

#define OUTBOX_CLUSTER "0123456789abcdef0123456789abcdef"

/* `count` records with the sequences from `first` on, in the arena. */
struct codec_list outbox_rows(struct arena *arena, uint64_t first, size_t count);

/* The stored body of one, in the arena. */
struct slice outbox_body(struct arena *arena, uint64_t number);

/* What the cloud would answer to a bundle's request if it did `outcome` ("created") with each
 * entity, in reverse order. */
void outbox_answer(struct slice request, const char *outcome, struct buffer *out);

/* How many entities a request has. */
size_t outbox_count(struct slice request);

#endif
