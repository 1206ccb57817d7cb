/*
 * The saved lives of this node (saved_life.h): counts what is in them, gives their undelivered records
 * to the cluster where that was asked for, and removes those that hold nothing any more, but for the
 * newest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SAVED_H
#define SERVER_SAVED_H

#include "base/status.h"
#include "saved_life.h"

struct daemon;
struct saved;

MUST_USE struct status saved_create(struct daemon *daemon, struct saved **out);

/* Give up what is under way; NULL is ignored. saved_destroy() only after the loop has ended. */
void saved_stop(struct saved *saved);
void saved_destroy(struct saved *saved);

void saved_on_tick(struct saved *saved, uint64_t now_ms);

/* The lives, oldest first, valid until the next call; none while a join is not settled. */
const struct saved_life *saved_lives(struct saved *saved, size_t *count);

/* Records in all lives that are neither delivered nor given, as far as is known. NULL has none. */
uint64_t saved_undelivered(struct saved *saved);

/* As many lives with records as may be kept: another join has to wait for somebody to decide. */
bool saved_is_full(struct saved *saved);

/* Give the records of this life, or of all with an empty name, to the cluster. STATUS_NOT_FOUND. */
MUST_USE struct status saved_submit(struct saved *saved, struct slice lineage);

/* Remove a life and what is in it. STATUS_NOT_FOUND, STATUS_BUSY while it is being opened. */
MUST_USE struct status saved_discard(struct saved *saved, struct slice lineage);

#endif
