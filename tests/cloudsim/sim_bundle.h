/*
 * A bundle as it is imported: at most 2,000 entities, of which the sightings are looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_BUNDLE_H
#define SIM_BUNDLE_H

#include "sim_entity.h"

#define SIM_BUNDLE_ENTITIES_MAX 2000 /* KNOWN. */

/* Reused from bundle to bundle. Slices point into the body. */
struct sim_bundle {
    struct sim_entity *entities; /* SIM_BUNDLE_ENTITIES_MAX of them. */
    size_t count;
    size_t other_count; /* Entities of other kinds. */
    struct slice source;
};

enum sim_bundle_result {
    SIM_BUNDLE_SOUND,
    SIM_BUNDLE_NOT_JSON,
    SIM_BUNDLE_SCHEMA, /* `errors` has the reply: {"errors":{...}}. */
    SIM_BUNDLE_TOO_MANY,
};

void sim_bundle_init(struct sim_bundle *bundle);
void sim_bundle_release(struct sim_bundle *bundle);

enum sim_bundle_result sim_bundle_read(struct sim_bundle *bundle, struct slice body,
                                       struct buffer *errors);

#endif
