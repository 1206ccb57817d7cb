/*
 * A simulated disk: does one thing after the other, slowly, and loses what was under way in a
 * crash but for a prefix of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "sim.h"

void disk_submit(struct sim_node *node, struct disk_op *op)
{
    struct world *world = node->world;
    struct sim_disk *disk = &node->disk;
    if (op->kind == DISK_APPEND && disk->fails_next) {
        disk->poisoned = true;
        disk->fails_next = false;
    }
    op->fails = disk->poisoned;
    uint64_t from_ms = world->now_ms > disk->free_at_ms ? world->now_ms : disk->free_at_ms;
    disk->free_at_ms = from_ms + world_between(world, 1, disk->slow_ms);
    world_push(world, disk->free_at_ms, EVENT_DISK, node->number, op);
}

static void append(struct sim_disk *disk, const struct disk_op *op, unsigned count)
{
    if (count == 0) {
        return;
    }
    disk->entries = realloc(disk->entries, (disk->count + count) * sizeof *disk->entries);
    if (disk->entries == NULL) {
        abort();
    }
    memcpy(disk->entries + disk->count, op->entries, count * sizeof *op->entries);
    disk->count += count;
}

static void truncate_from(struct sim_disk *disk, raft_index index)
{
    if (index < disk->start) {
        disk->count = 0;
    } else if (index < disk->start + disk->count) {
        disk->count = (size_t)(index - disk->start);
    }
}

static void put(struct sim_disk *disk, const struct disk_op *op)
{
    disk->image = op->image;
    if (op->replaces) {
        disk->count = 0;
        disk->start = op->image.index + 1;
        return;
    }
    if (op->image.index <= op->trailing) {
        return;
    }
    raft_index keep = op->image.index - op->trailing + 1;
    if (keep > disk->start) {
        size_t gone = (size_t)(keep - disk->start);
        gone = gone > disk->count ? disk->count : gone;
        memmove(disk->entries, disk->entries + gone, (disk->count - gone) * sizeof *disk->entries);
        disk->count -= gone;
        disk->start += gone;
    }
}

static void persist(struct sim_disk *disk, const struct disk_op *op)
{
    switch (op->kind) {
    case DISK_APPEND: append(disk, op, op->count); break;
    case DISK_TRUNCATE: truncate_from(disk, op->index); break;
    case DISK_PUT: put(disk, op); break;
    }
}

void disk_finish(struct sim_node *node, struct disk_op *op)
{
    struct sim_disk *disk = &node->disk;
    int status = op->fails ? RAFT_IOERR : 0;
    if (status == 0) {
        persist(disk, op);
    }
    switch (op->kind) {
    case DISK_APPEND: op->append_done(op->append, status); break;
    case DISK_TRUNCATE: break;
    case DISK_PUT: op->put_done(op->put, status); break;
    }
    free(op);
}

void disk_crash(struct sim_node *node, struct disk_op **ops, size_t count)
{
    struct world *world = node->world;
    size_t whole = world_between(world, 0, (unsigned)count);
    for (size_t i = 0; i < whole; i++) {
        if (ops[i]->fails) {
            return;
        }
        persist(&node->disk, ops[i]);
    }
    if (whole < count && ops[whole]->kind == DISK_APPEND && !ops[whole]->fails) {
        append(&node->disk, ops[whole], world_between(world, 0, ops[whole]->count));
    }
}

struct raft_snapshot *disk_snapshot(const struct sim_node *node)
{
    const struct sim_image *image = &node->disk.image;
    struct raft_snapshot *snapshot = raft_calloc(1, sizeof *snapshot);
    uint64_t *data = raft_malloc(2 * sizeof *data);
    if (snapshot == NULL || data == NULL ||
        raft_view_decode(image->configuration.base, image->configuration.len,
                         &snapshot->configuration) != 0) {
        abort();
    }
    data[0] = image->applied;
    data[1] = image->digest;
    snapshot->index = image->index;
    snapshot->term = image->term;
    snapshot->configuration_index = image->configuration_index;
    snapshot->bufs = raft_malloc(sizeof *snapshot->bufs);
    if (snapshot->bufs == NULL) {
        abort();
    }
    snapshot->bufs[0] = (struct raft_buffer){.base = data, .len = 2 * sizeof *data};
    snapshot->n_bufs = 1;
    return snapshot;
}

static void load_entries(const struct sim_disk *disk, struct raft_entry *entries[])
{
    size_t size = 1;
    for (size_t i = 0; i < disk->count; i++) {
        size += disk->entries[i].size;
    }
    char *batch = raft_malloc(size);
    *entries = raft_calloc(disk->count, sizeof **entries);
    if (batch == NULL || *entries == NULL) {
        abort();
    }
    size_t offset = 0;
    for (size_t i = 0; i < disk->count; i++) {
        const struct sim_entry *from = &disk->entries[i];
        (*entries)[i] = (struct raft_entry){.term = from->term,
                                            .type = from->type,
                                            .buf = {.base = batch + offset, .len = from->size},
                                            .batch = batch};
        memcpy(batch + offset, from->data, from->size);
        offset += from->size;
    }
}

/* libraft's signature. NOLINTNEXTLINE(readability-function-size) */
int disk_load(struct sim_node *node, raft_term *term, raft_id *voted_for,
              struct raft_snapshot **snapshot, raft_index *start_index,
              struct raft_entry *entries[], size_t *count)
{
    const struct sim_disk *disk = &node->disk;
    *term = disk->term;
    *voted_for = disk->voted_for;
    *snapshot = disk->image.index > 0 ? disk_snapshot(node) : NULL;
    *start_index = disk->count > 0 ? disk->start : disk->image.index + 1;
    *entries = NULL;
    *count = disk->count;
    if (disk->count > 0) {
        load_entries(disk, entries);
    }
    return 0;
}
