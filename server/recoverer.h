/*
 * Recovering: the voters are lost for good and no quorum will come back. The node that is asked
 * looks who is left, refuses while anything better is possible, says what may be lost, and, if told
 * to proceed, orders its succession (succession.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RECOVERER_H
#define SERVER_RECOVERER_H

#include "base/status.h"

struct call;
struct daemon;
struct recoverer;

MUST_USE struct status recoverer_create(struct daemon *daemon, struct recoverer **out);

/* Give up what is under way and answer who waits; NULL is ignored. */
void recoverer_stop(struct recoverer *recoverer);
void recoverer_destroy(struct recoverer *recoverer);

/* cluster.recover: answers the call. */
void recoverer_begin(struct recoverer *recoverer, struct call *call);

#endif
