/*
 * A hash table from bytes to a pointer. The key's bytes are borrowed: they live in the value, or
 * at least as long as the table. Nothing is ever taken out: what the cloud once knew, it knows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_MAP_H
#define SIM_MAP_H

#include "base/slice.h"

struct sim_map_slot {
    uint64_t hash;
    struct slice key;
    void *value; /* NULL: the slot is free. */
};

/* Zero-initialised is empty. */
struct sim_map {
    struct sim_map_slot *slots;
    size_t capacity; /* 0 or a power of two. */
    size_t count;
};

/* A 64-bit hash of bytes, with a seed of this process. Also serves to tell bodies apart. */
uint64_t sim_hash(struct slice bytes);

void *sim_map_find(const struct sim_map *map, struct slice key);

/* Add a key that is not there; `value` is not NULL. Stops the process when memory runs out. */
void sim_map_add(struct sim_map *map, struct slice key, void *value);

void sim_map_release(struct sim_map *map); /* The values are the caller's. */

/* Memory or the end: a simulator that has none left is of no use to a test. */
void *sim_alloc(size_t size);
void *sim_realloc(void *memory, size_t size);
void sim_need(bool done); /* For buffer_append() and its like. */

#endif
