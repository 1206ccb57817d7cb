/*
 * Joining, on the side of the node that joins.
 *
 * Order matters (rule 7): the node's own registration is looked at before anything is asked, the
 * node is locked (standing JOINING: it cannot be registered meanwhile), and only then is a cluster
 * asked to admit it, with a statement about that registration signed by its key. When it is
 * admitted a new lineage is staged and the daemon starts again in it. Whatever fails before that
 * unlocks the node and leaves nothing behind; the cluster forgets an admission that is not followed
 * up (doubt.h: and the node finds out).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_JOIN_H
#define SERVER_JOIN_H

#include "base/status.h"

struct call;
struct daemon;
struct joiner;

MUST_USE struct status joiner_create(struct daemon *daemon, struct joiner **out);

/* Give up what is under way and answer who waits; NULL is ignored. What was proposed may still come
 * back: joiner_destroy() only after consensus has closed. */
void joiner_stop(struct joiner *joiner);
void joiner_destroy(struct joiner *joiner);

/* cluster.join: answers the call. */
void joiner_begin(struct joiner *joiner, struct call *call);

/* Called once a turn when something was applied. */
void joiner_on_applied(struct joiner *joiner);

/*
 * This node is no member any more: begin a fresh standalone lineage, wipe the secrets of the
 * cluster, and start again in it.
 */
MUST_USE struct status joiner_become_standalone(struct daemon *daemon);

#endif
