/*
 * Open addressing with linear probing, at most half full.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_map.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define CAPACITY_MIN 64

void sim_need(bool done)
{
    if (!done) {
        (void)fputs("muster-cloudsim: out of memory\n", stderr);
        abort();
    }
}

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size);
    sim_need(memory != NULL);
    return memory;
}

void *sim_realloc(void *memory, size_t size)
{
    void *bigger = realloc(memory, size);
    sim_need(bigger != NULL);
    return bigger;
}

/* Multiply and fold, eight bytes a step (the mixing constant is the golden ratio's). */
uint64_t sim_hash(struct slice bytes)
{
    static uint64_t seed;
    if (seed == 0) {
        seed = random_u64() | 1;
    }
    const uint64_t golden = 0x9E3779B97F4A7C15U;
    uint64_t hash = seed ^ (bytes.size * golden);
    const char *at = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        uint64_t word = 0;
        size_t step = left < sizeof word ? left : sizeof word;
        memcpy(&word, at, step);
        hash = (hash ^ word) * golden;
        hash ^= hash >> 29;
        at += step;
        left -= step;
    }
    hash *= 0xBF58476D1CE4E5B9U;
    return hash ^ (hash >> 32);
}

static struct sim_map_slot *slot_for(const struct sim_map *map, struct slice key, uint64_t hash)
{
    size_t at = hash & (map->capacity - 1);
    for (;;) {
        struct sim_map_slot *slot = &map->slots[at];
        if (slot->value == NULL || (slot->hash == hash && slice_equal(slot->key, key))) {
            return slot;
        }
        at = (at + 1) & (map->capacity - 1);
    }
}

void *sim_map_find(const struct sim_map *map, struct slice key)
{
    return map->count == 0 ? NULL : slot_for(map, key, sim_hash(key))->value;
}

static void grow(struct sim_map *map)
{
    struct sim_map old = *map;
    map->capacity = old.capacity == 0 ? CAPACITY_MIN : 2 * old.capacity;
    map->slots = sim_alloc(map->capacity * sizeof map->slots[0]);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL) {
            *slot_for(map, old.slots[i].key, old.slots[i].hash) = old.slots[i];
        }
    }
    free(old.slots);
}

void sim_map_add(struct sim_map *map, struct slice key, void *value)
{
    assert(value != NULL);
    if (2 * (map->count + 1) > map->capacity) {
        grow(map);
    }
    uint64_t hash = sim_hash(key);
    struct sim_map_slot *slot = slot_for(map, key, hash);
    assert(slot->value == NULL);
    *slot = (struct sim_map_slot){.hash = hash, .key = key, .value = value};
    map->count++;
}

void sim_map_release(struct sim_map *map)
{
    free(map->slots);
    *map = (struct sim_map){0};
}
