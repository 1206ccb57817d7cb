/*
 * Names of host families and regions. The host names are published ones (getting started page of
 * the vendor's API documentation, and its official Python client).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_family.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const family_names[SIM_FAMILY_COUNT] = {
    [SIM_VISIBILITY] = "visibility",
    [SIM_PRIVATE_INTEL] = "private-intel",
    [SIM_SSE] = "sse",
    [SIM_ADMIN] = "admin",
};

static const char *const region_names[SIM_REGION_COUNT] = {[SIM_NAM] = "nam", [SIM_EU] = "eu"};

static const char *const hosts[SIM_ADMIN][SIM_REGION_COUNT] = {
    [SIM_VISIBILITY] = {"visibility.amp.cisco.com", "visibility.eu.amp.cisco.com"},
    [SIM_PRIVATE_INTEL] = {"private.intel.amp.cisco.com", "private.intel.eu.amp.cisco.com"},
    [SIM_SSE] = {"api-sse.cisco.com", "api.eu.sse.itd.cisco.com"},
};

const char *sim_family_name(enum sim_family family)
{
    assert(family < SIM_FAMILY_COUNT);
    return family_names[family];
}

const char *sim_region_name(enum sim_region region)
{
    assert(region < SIM_REGION_COUNT);
    return region_names[region];
}

const char *sim_family_host(enum sim_family family, enum sim_region region)
{
    assert(family < SIM_ADMIN && region < SIM_REGION_COUNT);
    return hosts[family][region];
}

bool sim_family_parse(const char *name, enum sim_family *out)
{
    for (unsigned i = 0; name != NULL && i < SIM_ADMIN; i++) {
        if (strcmp(name, family_names[i]) == 0) {
            *out = (enum sim_family)i;
            return true;
        }
    }
    return false;
}

bool sim_region_parse(const char *name, enum sim_region *out)
{
    for (unsigned i = 0; name != NULL && i < SIM_REGION_COUNT; i++) {
        if (strcmp(name, region_names[i]) == 0) {
            *out = (enum sim_region)i;
            return true;
        }
    }
    return false;
}
