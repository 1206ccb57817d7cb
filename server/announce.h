/*
 * Announcing: a member whose addresses or version are not what the state says of it (its configuration
 * was changed, it was upgraded) tells the others, until the leader has written it down. And a member
 * without a leader asks the others where everybody is now, for it may be the others who moved.
 *
 * Any member that can be reached will do: it takes the news (address_book.h), and answers with what it
 * knows of all, which leads to the others and to the leader. Only when no member stands where another
 * one knows it, nobody can be found: then the option `contact` names one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ANNOUNCE_H
#define SERVER_ANNOUNCE_H

#include "base/status.h"

struct announcer;
struct call;
struct daemon;

MUST_USE struct status announcer_create(struct daemon *daemon, struct announcer **out);

/* Give up what is under way; NULL is ignored. What was proposed may still come back:
 * announcer_destroy() only after consensus has closed. */
void announcer_stop(struct announcer *announcer);
void announcer_destroy(struct announcer *announcer);

void announcer_on_tick(struct announcer *announcer);

/* peer.announce, from another member. */
void handle_announce(struct call *call);

#endif
