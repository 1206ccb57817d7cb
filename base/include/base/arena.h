/*
 * An arena: many small allocations that live and die together, such as the lists of one decoded
 * message.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena_chunk;

/* Zero-initialised is empty. */
struct arena {
    struct arena_chunk *newest;
    size_t used; /* Bytes given out of the newest chunk. */
};

/* Zeroed memory aligned for any type, or NULL when memory runs out. A `count` of zero gives a
 * pointer that is not NULL. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);

/* A copy of the bytes, with a zero byte after them that is not counted; data is NULL when memory
 * runs out. */
struct slice arena_copy(struct arena *arena, struct slice bytes);

/* Frees everything given out; the arena is empty and may be used again. */
void arena_release(struct arena *arena);

/* The same, and wipes it first: for an arena that held secrets. */
void arena_wipe(struct arena *arena);

#endif
