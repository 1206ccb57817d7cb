/*
 * Random commands by seed: most make sense at the time, some do not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_SCRIPT_H
#define STORE_SCRIPT_H

#include "store_fixture.h"

#define SCRIPT_RECORDS_MAX 64 /* Numbers that records are known by. */

struct script {
    uint64_t state;
    uint64_t number; /* Of the record of the last records_put. */
};

uint64_t script_random(struct script *script, uint64_t below);

/* The next command, given what the store says of itself. */
struct command script_next(struct script *script, struct fixture *fixture);

#endif
