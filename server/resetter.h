/*
 * `cluster.reset` on a node whose data is damaged. It cannot read its state, so it asks those who were
 * members when it could (damage.h) whether it still is one; if it is not, it becomes standalone as any
 * other reset does, and nobody has to empty a folder by hand. (On a node that takes part: leave.h.)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RESETTER_H
#define SERVER_RESETTER_H

#include "base/status.h"

struct call;
struct daemon;
struct resetter;

MUST_USE struct status resetter_create(struct daemon *daemon, struct resetter **out);

/* Answers who waits; NULL is ignored. */
void resetter_destroy(struct resetter *resetter);

/* Answers the call. */
void resetter_begin(struct resetter *resetter, struct call *call);

#endif
