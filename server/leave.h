/*
 * Leaving, on the side of the node that leaves: another leads first if it leads, the leader is
 * asked to remove it, and it starts again as a standalone node (rule 9).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_LEAVE_H
#define SERVER_LEAVE_H

#include "base/status.h"

struct call;
struct daemon;
struct leaver;

MUST_USE struct status leaver_create(struct daemon *daemon, struct leaver **out);

/* Give up what is under way and answer who waits; NULL is ignored. What was proposed may still come
 * back: leaver_destroy() only after consensus has closed. */
void leaver_stop(struct leaver *leaver);
void leaver_destroy(struct leaver *leaver);

/* cluster.leave: answers the call. */
void leaver_begin(struct leaver *leaver, struct call *call);

/* cluster.reset: the same end without the cluster, for a node that it removed or left behind. A node
 * that has a leader is refused; one that has none asks the members first, and is refused unless one
 * of them says that it is gone. Answers the call. */
void leaver_reset(struct leaver *leaver, struct call *call);

void leaver_on_tick(struct leaver *leaver);

#endif
