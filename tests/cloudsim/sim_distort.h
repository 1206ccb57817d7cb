/*
 * What a fault script does to a reply.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_DISTORT_H
#define SIM_DISTORT_H

#include "sim_fault.h"
#include "sim_reply.h"

/* Faults in whose case nothing is applied: true, with the reply made. */
bool sim_distort_before(const struct sim_fault *fault, enum sim_family family,
                        struct sim_reply *reply);

/* Faults that spoil the reply to a request that took effect. */
void sim_distort_after(const struct sim_fault *fault, struct sim_reply *reply);

#endif
