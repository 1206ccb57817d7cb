/*
 * What has been imported, and whether it came once: the memory behind "nothing lost, nothing
 * doubled".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_SIGHTINGS_H
#define SIM_SIGHTINGS_H

#include "base/slice.h"
#include "sim_entity.h"
#include "sim_map.h"

#define SIM_UUID_BYTES 16
#define SIM_SOURCES_MAX 64 /* Told apart in the summary. */
#define SIM_RECENT_MAX 100 /* Entities kept as they came. */
#define SIM_PREFIXES_MAX 16

/* An external id that has been seen, and the entity that has it. */
struct sim_sighting {
    uint64_t body_hash; /* Of the first. */
    uint64_t found_ms;  /* From when on the service finds it. */
    uint64_t bundle;    /* Which one brought it: within it, it is not found yet. */
    uint8_t id[SIM_UUID_BYTES];
    uint32_t place_size; /* The key begins with "org|region|"; the external id follows. */
    uint32_t key_size;
    char key[];
};

struct sim_sightings {
    struct sim_map by_external_id;
    struct sim_sighting **list; /* In the order in which they came. */
    size_t list_capacity;
    struct slice recent[SIM_RECENT_MAX]; /* A ring; its texts are ours. */
    size_t recent_next;
    size_t recent_count;
    struct {
        char name[128];
        uint64_t entities;
    } sources[SIM_SOURCES_MAX];
    size_t source_count;

    uint64_t bundles;
    uint64_t received;
    uint64_t created;
    uint64_t exists;
    uint64_t errors;
    uint64_t duplicates;     /* An external id received again. */
    uint64_t different;      /* ... with other bytes than the first. */
    uint64_t doubled;        /* ... and created again all the same. */
    uint64_t unnamed;        /* Without an external id that counts. */
    uint64_t other_entities; /* Of other kinds. */
};

enum sim_outcome { SIM_CREATED, SIM_EXISTS };

/* What an import needs to know, beside the entity. */
struct sim_import {
    const char *place;                       /* "org|region|" */
    struct slice prefixes[SIM_PREFIXES_MAX]; /* External ids that begin so count. */
    size_t prefix_count;
    bool any_counts; /* No prefixes were given: every external id counts (KNOWN). */
    uint64_t now_ms;
    uint64_t refresh_ms; /* How long a new entity stays unfound. */
};

/* Split "a-,b-". False for more than SIM_PREFIXES_MAX. NULL or empty: every external id counts. */
bool sim_import_prefixes(struct sim_import *import, const char *text);

/* Import one; writes the id that it has in the cloud. */
enum sim_outcome sim_sightings_import(struct sim_sightings *sightings,
                                      const struct sim_import *import,
                                      const struct sim_entity *entity, uint8_t id[SIM_UUID_BYTES]);

/* Count a bundle that was accepted. */
void sim_sightings_on_bundle(struct sim_sightings *sightings, struct slice source, size_t entities,
                             size_t other_entities);

void sim_sightings_keep(struct sim_sightings *sightings, struct slice raw);

void sim_sightings_release(struct sim_sightings *sightings);

#endif
