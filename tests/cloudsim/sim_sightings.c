/*
 * Recognising entities by their external ids.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_sightings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define LIST_CAPACITY_MIN 1024

bool sim_import_prefixes(struct sim_import *import, const char *text)
{
    import->prefix_count = 0;
    import->any_counts = text == NULL || *text == '\0';
    while (!import->any_counts && *text != '\0') {
        struct slice prefix = {.data = text, .size = strcspn(text, ",")};
        if (import->prefix_count == SIM_PREFIXES_MAX) {
            return false;
        }
        if (prefix.size > 0) {
            import->prefixes[import->prefix_count++] = prefix;
        }
        text += prefix.size;
        text += *text == ',';
    }
    return true;
}

static bool counts(const struct sim_import *import, struct slice external_id)
{
    for (size_t i = 0; i < import->prefix_count; i++) {
        struct slice prefix = import->prefixes[i];
        if (external_id.size >= prefix.size &&
            memcmp(external_id.data, prefix.data, prefix.size) == 0) {
            return true;
        }
    }
    return import->any_counts;
}

/* "place" and the decoded external id, in one key. */
static bool make_key(const struct sim_import *import, struct slice external_id, struct buffer *key)
{
    size_t place_size = strlen(import->place);
    buffer_clear(key);
    sim_need(buffer_append(key, import->place, place_size));
    if (!sim_scan_decode(external_id, key)) {
        return false;
    }
    struct slice text = {.data = key->data + place_size, .size = key->size - place_size};
    return counts(import, text);
}

static struct sim_sighting *remember(struct sim_sightings *sightings,
                                     const struct sim_import *import, struct slice key)
{
    struct sim_sighting *sighting = sim_alloc(sizeof *sighting + key.size);
    sighting->place_size = (uint32_t)strlen(import->place);
    sighting->key_size = (uint32_t)key.size;
    memcpy(sighting->key, key.data, key.size);
    size_t count = sightings->by_external_id.count;
    if (count == sightings->list_capacity) {
        sightings->list_capacity = count == 0 ? LIST_CAPACITY_MIN : 2 * count;
        sightings->list =
            sim_realloc(sightings->list, sightings->list_capacity * sizeof(struct sim_sighting *));
    }
    sightings->list[count] = sighting;
    struct slice own = {.data = sighting->key, .size = key.size};
    sim_map_add(&sightings->by_external_id, own, sighting);
    return sighting;
}

static void make_id(uint8_t id[SIM_UUID_BYTES])
{
    random_bytes(id, SIM_UUID_BYTES);
    id[6] = (uint8_t)((id[6] & 0x0F) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3F) | 0x80);
}

/* Whether any of the ids is known, and can be found by now. */
static struct sim_sighting *look_up(struct sim_sightings *sightings,
                                    const struct sim_import *import,
                                    const struct sim_entity *entity, bool *named)
{
    struct buffer key = {0};
    struct sim_sighting *known = NULL;
    *named = false;
    for (size_t i = 0; known == NULL && i < entity->external_id_count; i++) {
        if (make_key(import, entity->external_ids[i], &key)) {
            *named = true;
            known = sim_map_find(&sightings->by_external_id, buffer_slice(&key));
        }
    }
    buffer_release(&key);
    return known;
}

static void remember_all(struct sim_sightings *sightings, const struct sim_import *import,
                         const struct sim_entity *entity, const uint8_t id[SIM_UUID_BYTES])
{
    struct buffer key = {0};
    for (size_t i = 0; i < entity->external_id_count; i++) {
        if (!make_key(import, entity->external_ids[i], &key) ||
            sim_map_find(&sightings->by_external_id, buffer_slice(&key)) != NULL) {
            continue;
        }
        struct sim_sighting *sighting = remember(sightings, import, buffer_slice(&key));
        sighting->body_hash = sim_hash(entity->raw);
        sighting->found_ms = import->now_ms + import->refresh_ms;
        sighting->bundle = sightings->bundles;
        memcpy(sighting->id, id, SIM_UUID_BYTES);
    }
    buffer_release(&key);
}

enum sim_outcome sim_sightings_import(struct sim_sightings *sightings,
                                      const struct sim_import *import,
                                      const struct sim_entity *entity, uint8_t id[SIM_UUID_BYTES])
{
    bool named;
    struct sim_sighting *known = look_up(sightings, import, entity, &named);
    sightings->unnamed += !named;
    if (known != NULL) {
        sightings->duplicates++;
        sightings->different += sim_hash(entity->raw) != known->body_hash;
        if (known->found_ms <= import->now_ms && known->bundle != sightings->bundles) {
            sightings->exists++;
            memcpy(id, known->id, SIM_UUID_BYTES);
            return SIM_EXISTS;
        }
        sightings->doubled++;
    }
    make_id(id);
    sightings->created++;
    remember_all(sightings, import, entity, id);
    return SIM_CREATED;
}

static void count_source(struct sim_sightings *sightings, struct slice source, size_t entities)
{
    char name[sizeof sightings->sources[0].name];
    (void)snprintf(name, sizeof name, "%.*s", SLICE_ARG(source));
    for (size_t i = 0; i < sightings->source_count; i++) {
        if (strcmp(sightings->sources[i].name, name) == 0) {
            sightings->sources[i].entities += entities;
            return;
        }
    }
    if (sightings->source_count < SIM_SOURCES_MAX) {
        size_t at = sightings->source_count++;
        memcpy(sightings->sources[at].name, name, sizeof name);
        sightings->sources[at].entities = entities;
    }
}

void sim_sightings_on_bundle(struct sim_sightings *sightings, struct slice source, size_t entities,
                             size_t other_entities)
{
    sightings->bundles++;
    sightings->received += entities;
    sightings->other_entities += other_entities;
    count_source(sightings, source, entities);
}

void sim_sightings_keep(struct sim_sightings *sightings, struct slice raw)
{
    struct slice *slot = &sightings->recent[sightings->recent_next];
    void *copy = sim_realloc((void *)(uintptr_t)slot->data, raw.size + 1);
    memcpy(copy, raw.data, raw.size);
    *slot = (struct slice){.data = copy, .size = raw.size};
    sightings->recent_next = (sightings->recent_next + 1) % SIM_RECENT_MAX;
    sightings->recent_count += sightings->recent_count < SIM_RECENT_MAX;
}

void sim_sightings_release(struct sim_sightings *sightings)
{
    for (size_t i = 0; i < sightings->by_external_id.count; i++) {
        free(sightings->list[i]);
    }
    for (size_t i = 0; i < SIM_RECENT_MAX; i++) {
        free((void *)(uintptr_t)sightings->recent[i].data);
    }
    free(sightings->list);
    sim_map_release(&sightings->by_external_id);
    *sightings = (struct sim_sightings){0};
}
