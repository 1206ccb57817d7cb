/*
 * Where consensus and store meet: the store as the replicated state machine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_MACHINE_H
#define SERVER_MACHINE_H

#include "consensus/consensus.h"

struct daemon;

/* The machine that applies to the daemon's store. */
struct machine machine_of(struct daemon *daemon);

#endif
