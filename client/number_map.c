/*
 * Open addressing with linear probing. Removal moves later slots back, so that no markers of what
 * was removed pile up in a map that lives as long as the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "number_map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

#define CAPACITY_MIN 64

/* Neighbouring ids must not become neighbouring slots (finaliser of splitmix64). */
static size_t home_of(const struct number_map *map, uint64_t number)
{
    number = (number ^ (number >> 30U)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27U)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(number ^ (number >> 31U)) & (map->capacity - 1);
}

static struct number_map_slot *slot_of(const struct number_map *map, uint64_t number)
{
    size_t at = home_of(map, number);
    while (map->slots[at].value != NULL && map->slots[at].number != number) {
        at = (at + 1) & (map->capacity - 1);
    }
    return &map->slots[at];
}

void *number_map_find(const struct number_map *map, uint64_t number)
{
    return map->count == 0 ? NULL : slot_of(map, number)->value;
}

static bool grow(struct number_map *map)
{
    struct number_map larger = {.capacity = map->capacity == 0 ? CAPACITY_MIN : map->capacity * 2};
    larger.slots = alloc_zeroed(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->slots[i].value != NULL) {
            *slot_of(&larger, map->slots[i].number) = map->slots[i];
        }
    }
    larger.count = map->count;
    free(map->slots);
    *map = larger;
    return true;
}

bool number_map_add(struct number_map *map, uint64_t number, void *value)
{
    assert(value != NULL);
    /* At most half full: probes stay short. */
    if (map->count * 2 >= map->capacity && !grow(map)) {
        return false;
    }
    struct number_map_slot *slot = slot_of(map, number);
    assert(slot->value == NULL);
    *slot = (struct number_map_slot){.number = number, .value = value};
    map->count++;
    return true;
}

void number_map_remove(struct number_map *map, uint64_t number)
{
    if (number_map_find(map, number) == NULL) {
        return;
    }
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(slot_of(map, number) - map->slots);
    for (size_t at = (hole + 1) & mask; map->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = home_of(map, map->slots[at].number);
        /* It may move back only if its home is not between the hole and where it is. */
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct number_map_slot){0};
    map->count--;
}

void number_map_release(struct number_map *map)
{
    free(map->slots);
    *map = (struct number_map){0};
}
