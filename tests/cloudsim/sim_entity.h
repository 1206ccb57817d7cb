/*
 * The schema of a CTIM sighting (CTIM 1.3.29, public), as far as the simulator checks it. What the
 * real service refuses as a whole, this refuses; a text that is too long spoils one entity only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_ENTITY_H
#define SIM_ENTITY_H

#include "sim_scan.h"

#define SIM_EXTERNAL_IDS_MAX 8 /* Of one entity, that can count for recognising it again. */

struct sim_entity {
    struct slice raw;                                /* The whole object as sent. */
    struct slice id;                                 /* As written, or empty. */
    struct slice external_raw;                       /* The array as sent, or empty. */
    struct slice external_ids[SIM_EXTERNAL_IDS_MAX]; /* As written. */
    size_t external_id_count;
    bool too_long;
};

/* What a schema check found first. */
struct sim_schema_error {
    struct slice key;
    const char *problem; /* "missing-required-key" ...; NULL: nothing. */
};

/* Read the sighting that comes next. False when it is not JSON or not a sighting; `error` tells
 * which. */
bool sim_entity_read(struct sim_scan *scan, struct sim_entity *entity,
                     struct sim_schema_error *error);

/* Whether CTIM of this age knows the type of observable. */
bool sim_observable_type(struct slice name);

#endif
