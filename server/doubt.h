/*
 * Doubt about a standing, settled by asking the members, whose answer is linearizable.
 *
 * This node's own: it was admitted and hears nobody, or was a member and hears no leader. A cluster
 * that forgot a node before it came lets it return to the standalone lineage it had; a member that
 * was removed is told so (daemon.removed), and its operator makes it standalone with `cluster reset`.
 *
 * A peer's: a node that this node's state does not name, for its state lags behind (it was down while
 * the other joined, and the other leads now) or has not begun. It may speak as a member once a member
 * that is known has vouched for it; without that such a node could never catch up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DOUBT_H
#define SERVER_DOUBT_H

#include <stdbool.h>

#include "base/status.h"

struct daemon;
struct doubt;

MUST_USE struct status doubt_create(struct daemon *daemon, struct doubt **out);

/* Give up what is under way; NULL is ignored. */
void doubt_destroy(struct doubt *doubt);

/* An operator wants to know: a node without a leader asks about itself at the next tick. */
void doubt_hurry(struct doubt *doubt);
bool doubt_is_hurried(const struct doubt *doubt); /* It has not been answered yet. */

void doubt_on_tick(struct doubt *doubt);

#endif
