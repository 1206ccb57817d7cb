/*
 * What a reset throws away, said before it is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RESET_VIEW_H
#define SERVER_RESET_VIEW_H

#include "client/protocol.h"

struct daemon;

/* Of a node that was removed or left behind; texts in the arena. `check`: nothing is done yet. */
MUST_USE struct status reset_view(struct daemon *daemon, struct arena *arena, bool check,
                                  struct rpc_discarded *out);

#endif
