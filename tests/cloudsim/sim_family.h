/*
 * Which part of the cloud a listener plays: a host family in a region.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_FAMILY_H
#define SIM_FAMILY_H

#include <stdbool.h>

enum sim_family {
    SIM_VISIBILITY,
    SIM_PRIVATE_INTEL,
    SIM_SSE,
    SIM_ADMIN, /* Ours: control and assertions, never a part of the cloud. */
    SIM_FAMILY_COUNT,
};

enum sim_region {
    SIM_NAM, /* AMERICAS */
    SIM_EU,  /* EUROPE */
    SIM_REGION_COUNT,
};

const char *sim_family_name(enum sim_family family); /* "private-intel" */
const char *sim_region_name(enum sim_region region); /* "nam" */

/* The other way; false for an unknown name, NULL, or the admin family. */
bool sim_family_parse(const char *name, enum sim_family *out);
bool sim_region_parse(const char *name, enum sim_region *out);

/* The host name of the real service, e.g. "visibility.eu.amp.cisco.com". Not for SIM_ADMIN. */
const char *sim_family_host(enum sim_family family, enum sim_region region);

#endif
