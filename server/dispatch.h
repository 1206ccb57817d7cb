/*
 * Dispatch: from a method's name to who answers it.
 *
 * Deny by default: the method table (client/protocol.h) is the policy. What a follower cannot answer
 * it passes on to the leader, with the name of who really asked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DISPATCH_H
#define SERVER_DISPATCH_H

#include "base/slice.h"

struct call;

/* Start answering; gives up the hold that call_begin() took. */
void dispatch(struct call *call, struct slice name);

#endif
