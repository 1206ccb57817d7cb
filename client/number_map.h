/*
 * A map from numbers to pointers, growing as needed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NUMBER_MAP_H
#define NUMBER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct number_map_slot {
    uint64_t number;
    void *value; /* NULL: free. */
};

/* Zero-initialised is empty. */
struct number_map {
    struct number_map_slot *slots;
    size_t capacity; /* A power of two, or 0. */
    size_t count;
};

/* NULL if it is not there. */
void *number_map_find(const struct number_map *map, uint64_t number);

/* `number` must not be there, `value` not be NULL. False when memory runs out. */
bool number_map_add(struct number_map *map, uint64_t number, void *value);

/* Nothing happens if it is not there. */
void number_map_remove(struct number_map *map, uint64_t number);

void number_map_release(struct number_map *map); /* The values are the caller's. */

#endif
