/*
 * Arena: a list of chunks, each filled from the front.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

#define CHUNK_SIZE_MIN 4096

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* Bytes in `bytes`. */
    alignas(max_align_t) char bytes[];
};

static struct arena_chunk *chunk_with_room(struct arena *arena, size_t size)
{
    if (arena->newest != NULL && size <= arena->newest->size - arena->used) {
        return arena->newest;
    }
    size_t chunk_size = size > CHUNK_SIZE_MIN ? size : CHUNK_SIZE_MIN;
    struct arena_chunk *chunk = alloc_bytes(sizeof *chunk + chunk_size);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->older = arena->newest;
    chunk->size = chunk_size;
    arena->newest = chunk;
    arena->used = 0;
    return chunk;
}

/* Bytes that are not zeroed: chunks are not, for few of them are used up. */
static void *take(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    bytes = (bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    if (bytes == 0) {
        bytes = alignof(max_align_t);
    }
    struct arena_chunk *chunk = chunk_with_room(arena, bytes);
    if (chunk == NULL) {
        return NULL;
    }
    void *memory = chunk->bytes + arena->used;
    arena->used += bytes;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    void *memory = take(arena, count, size);
    if (memory != NULL) {
        memset(memory, 0, count * size);
    }
    return memory;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    char *copy = bytes.size == SIZE_MAX ? NULL : take(arena, bytes.size + 1, 1);
    if (copy == NULL) {
        return (struct slice){0};
    }
    copy[bytes.size] = '\0';
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return (struct slice){.data = copy, .size = bytes.size};
}

void arena_release(struct arena *arena)
{
    while (arena->newest != NULL) {
        struct arena_chunk *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
    arena->used = 0;
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->newest; chunk != NULL; chunk = chunk->older) {
        secret_wipe(chunk->bytes, chunk->size);
    }
    arena_release(arena);
}
