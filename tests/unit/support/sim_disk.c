/*
 * The disk in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_disk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR_SIZE 512U
#define CHANGES_KEPT (SIM_DISK_CHANGES_MAX / 4)

uint64_t sim_disk_random(struct sim_disk *sim, uint64_t limit)
{
    /* SplitMix64. */
    uint64_t z = sim->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30U) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27U) * UINT64_C(0x94D049BB133111EB);
    return (z ^ z >> 31U) % limit;
}

static size_t sectors(size_t size)
{
    return (size + SECTOR_SIZE - 1) / SECTOR_SIZE;
}

static struct status power(struct sim_disk *sim)
{
    return sim->dead ? fail(STATUS_IO, "the power is off") : OK;
}

static void settle(struct sim_disk *sim, struct sim_file *file, bool all);

/* Count one changing call; true if the power fails in it. */
static bool power_fails(struct sim_disk *sim)
{
    if (sim->late_file >= 0 && !sim->dead) {
        settle(sim, &sim->files[sim->late_file], true);
        sim->late_file = -1;
    }
    if (sim->operations_left > 0) {
        sim->operations_left--;
    } else if (sim->operations_left == 0) {
        sim->dead = true;
    }
    return sim->dead;
}

/* Count one call; true if it is the one that fails. */
static bool errs(struct sim_disk *sim)
{
    if (sim->error_after < 0 || sim->error_after-- > 0) {
        return false;
    }
    sim->errors++;
    return true;
}

static struct status error(const char *action)
{
    return fail(STATUS_IO, "%s: Input/output error", action);
}

static struct sim_name *find(struct sim_name *names, const char *name)
{
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        if (names[i].file >= 0 && strcmp(names[i].name, name) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

static void put(struct sim_name *names, const char *name, int file)
{
    struct sim_name *at = find(names, name);
    for (size_t i = 0; at == NULL; i++) {
        if (i == SIM_DISK_FILES_MAX) {
            abort();
        }
        at = names[i].file < 0 ? &names[i] : NULL;
    }
    (void)snprintf(at->name, sizeof at->name, "%s", name);
    at->file = file;
}

static void apply(struct sim_name *names, const struct sim_change *change)
{
    struct sim_name *from = find(names, change->from);
    switch (change->kind) {
    case SIM_CREATE: put(names, change->from, change->file); return;
    case SIM_UNLINK:
        if (from != NULL && from->file == change->file) {
            from->file = -1;
        }
        return;
    case SIM_RENAME:
        if (from != NULL && from->file == change->file) {
            from->file = -1;
        }
        put(names, change->to, change->file);
        return;
    }
}

/* A file that no name leads to any more, live or durable, is gone. */
static void collect(struct sim_disk *sim)
{
    bool held[SIM_DISK_FILES_MAX] = {false};
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        if (sim->live[i].file >= 0) {
            held[sim->live[i].file] = true;
        }
        if (sim->durable[i].file >= 0) {
            held[sim->durable[i].file] = true;
        }
    }
    for (size_t i = 0; i < sim->change_count; i++) {
        held[sim->changes[i].file] = true;
    }
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        if (sim->files[i].used && !held[i]) {
            free(sim->files[i].live);
            free(sim->files[i].durable);
            free(sim->files[i].dirty);
            sim->files[i] = (struct sim_file){.used = false};
        }
    }
}

static struct status change(struct sim_disk *sim, enum sim_change_kind kind, const char *from,
                            const char *to, int file)
{
    struct sim_change made = {.kind = kind, .file = file};
    (void)snprintf(made.from, sizeof made.from, "%s", from);
    (void)snprintf(made.to, sizeof made.to, "%s", to);
    bool fails = power_fails(sim);
    if (sim->change_count == SIM_DISK_CHANGES_MAX) {
        abort();
    }
    sim->changes[sim->change_count++] = made;
    apply(sim->live, &made);
    /* When the power fails in the call, it may have happened or not: the crash decides. */
    return fails ? power(sim) : OK;
}

static struct status sim_list(void *context, void (*visit)(void *visitor, const char *name),
                              void *visitor)
{
    struct sim_disk *sim = context;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX && !sim->dead; i++) {
        if (sim->live[i].file >= 0) {
            visit(visitor, sim->live[i].name);
        }
    }
    return power(sim);
}

static void commit_names(struct sim_disk *sim)
{
    memcpy(sim->durable, sim->live, sizeof sim->durable);
    sim->change_count = 0;
    collect(sim);
}

static struct status create(struct sim_disk *sim, const char *name, int *out)
{
    if (sim->change_count >= CHANGES_KEPT && !sim->dead) {
        commit_names(sim); /* As a file system does by itself, now and then. */
    }
    int file = 0;
    while (file < SIM_DISK_FILES_MAX && sim->files[file].used) {
        file++;
    }
    if (file == SIM_DISK_FILES_MAX) {
        abort();
    }
    sim->files[file].used = true;
    *out = file;
    return change(sim, SIM_CREATE, name, "", file);
}

static struct status sim_open(void *context, const char *name, bool make, int *out)
{
    struct sim_disk *sim = context;
    const struct sim_name *found = find(sim->live, name);
    struct status status = power(sim);
    if (failed(status)) {
        return status;
    }
    if (errs(sim)) {
        return error("open");
    }
    if (found != NULL) {
        *out = found->file;
    } else {
        status = make ? create(sim, name, out) : fail(STATUS_NOT_FOUND, "open %s", name);
    }
    sim->open_count += !failed(status);
    return status;
}

static void sim_close(void *context, int file)
{
    struct sim_disk *sim = context;
    (void)file;
    sim->open_count--;
}

static struct status sim_size(void *context, int file, uint64_t *out)
{
    struct sim_disk *sim = context;
    *out = sim->files[file].live_size;
    return power(sim);
}

/* Make live at least `size` bytes, zeros where it is new. */
static void grow(struct sim_file *file, size_t size)
{
    if (size <= file->live_size || size > SIM_DISK_FILE_SIZE_MAX) {
        return;
    }
    size_t count = sectors(size);
    assert(count > 0);
    file->live = realloc(file->live, count * SECTOR_SIZE);
    file->dirty = realloc(file->dirty, count * sizeof *file->dirty);
    if (file->live == NULL || file->dirty == NULL) {
        abort();
    }
    memset(file->live + file->live_size, 0, sectors(size) * SECTOR_SIZE - file->live_size);
    for (size_t i = sectors(file->live_size); i < sectors(size); i++) {
        file->dirty[i] = false;
    }
    file->live_size = size;
}

uint64_t sim_disk_used(const struct sim_disk *sim)
{
    uint64_t used = 0;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        used += sim->files[i].used ? sim->files[i].live_size : 0;
    }
    return used;
}

static struct status sim_allocate(void *context, int file, uint64_t size)
{
    struct sim_disk *sim = context;
    if (power_fails(sim)) {
        return power(sim);
    }
    if (errs(sim)) {
        return error("allocate");
    }
    uint64_t used = sim_disk_used(sim) - sim->files[file].live_size;
    if (sim->capacity > 0 && used + size > sim->capacity) {
        sim->full_count++;
        return fail(STATUS_FULL, "allocate: no space left");
    }
    grow(&sim->files[file], size);
    return OK;
}

static struct status sim_read(void *context, int file, void *out, size_t size, uint64_t offset)
{
    struct sim_disk *sim = context;
    const struct sim_file *from = &sim->files[file];
    if (sim->dead) {
        return power(sim);
    }
    if (errs(sim)) {
        return error("read");
    }
    if (offset + size > from->live_size) {
        return fail(STATUS_CORRUPT, "the file ends at %zu", from->live_size);
    }
    if (size > 0) {
        memcpy(out, from->live + offset, size);
    }
    return OK;
}

static struct status sim_write(void *context, int file, struct iovec *parts, int count,
                               uint64_t offset)
{
    struct sim_disk *sim = context;
    struct sim_file *to = &sim->files[file];
    if (sim->dead) {
        return power(sim);
    }
    bool fails = power_fails(sim);
    bool is_bad = !fails && errs(sim);
    count = is_bad ? (int)sim_disk_random(sim, (uint64_t)count + 1) : count;
    for (int i = 0; i < count; i++) {
        size_t size = parts[i].iov_len;
        grow(to, offset + size);
        if (size == 0) {
            continue;
        }
        if (sim->skips_same && memcmp(to->live + offset, parts[i].iov_base, size) == 0) {
            offset += size;
            continue;
        }
        memcpy(to->live + offset, parts[i].iov_base, size);
        for (size_t k = offset / SECTOR_SIZE; k <= (offset + size - 1) / SECTOR_SIZE; k++) {
            to->dirty[k] = true;
        }
        offset += size;
    }
    /* When the power fails in the call, the crash decides which sectors are there. */
    return fails ? power(sim) : is_bad ? error("write") : OK;
}

/* Copy dirty sectors, and the size: all, or what chance says. */
static void settle(struct sim_disk *sim, struct sim_file *file, bool all)
{
    if (all || sim_disk_random(sim, 2) == 0) {
        file->durable = realloc(file->durable, sectors(file->live_size) * SECTOR_SIZE + 1);
        if (file->durable == NULL) {
            abort();
        }
        memset(file->durable + file->durable_size, 0,
               sectors(file->live_size) * SECTOR_SIZE - file->durable_size);
        file->durable_size = file->live_size;
    }
    /* Some crashes come before the device has written anything, some after it wrote all. */
    uint64_t of_four = all ? 4 : sim_disk_random(sim, 5);
    size_t kept = 0;
    size_t lost = 0;
    for (size_t i = 0; i < sectors(file->live_size); i++) {
        if (!file->dirty[i]) {
            continue;
        }
        file->dirty[i] = false;
        if ((i + 1) * SECTOR_SIZE <= sectors(file->durable_size) * SECTOR_SIZE &&
            (all || sim_disk_random(sim, 4) < of_four)) {
            memcpy(file->durable + i * SECTOR_SIZE, file->live + i * SECTOR_SIZE, SECTOR_SIZE);
            kept++;
        } else {
            lost++;
        }
    }
    sim->lost_count += lost > 0;
    sim->torn_count += lost > 0 && kept > 0;
}

static struct status sim_sync(void *context, int file)
{
    struct sim_disk *sim = context;
    if (power_fails(sim)) {
        return power(sim);
    }
    if (errs(sim)) {
        settle(sim, &sim->files[file], false);
        return error("sync");
    }
    sim->syncs++;
    if (sim->syncs_late) {
        sim->late_file = file;
    } else if (!sim->ignores_sync) {
        settle(sim, &sim->files[file], true);
    }
    return OK;
}

static struct status sim_rename(void *context, const char *from, const char *to)
{
    struct sim_disk *sim = context;
    struct sim_name *found = find(sim->live, from);
    if (sim->dead) {
        return power(sim);
    }
    if (found == NULL) {
        return fail(STATUS_NOT_FOUND, "rename %s", from);
    }
    if (errs(sim)) {
        return error("rename");
    }
    return change(sim, SIM_RENAME, from, to, found->file);
}

static struct status sim_unlink(void *context, const char *name)
{
    struct sim_disk *sim = context;
    struct sim_name *found = find(sim->live, name);
    if (sim->dead) {
        return power(sim);
    }
    if (found == NULL) {
        return fail(STATUS_NOT_FOUND, "remove %s", name);
    }
    if (errs(sim)) {
        return error("remove");
    }
    return change(sim, SIM_UNLINK, name, "", found->file);
}

static struct status sim_sync_directory(void *context)
{
    struct sim_disk *sim = context;
    if (power_fails(sim)) {
        return power(sim);
    }
    if (errs(sim)) {
        return error("sync directory");
    }
    if (!sim->ignores_sync && !sim->ignores_directory) {
        commit_names(sim);
    }
    return OK;
}

void sim_disk_crash(struct sim_disk *sim)
{
    /* A journal keeps the order; other file systems promise nothing. */
    bool ordered = sim_disk_random(sim, 2) == 0;
    size_t prefix = sim_disk_random(sim, sim->change_count + 1);
    for (size_t i = 0; i < sim->change_count; i++) {
        if (ordered ? i < prefix : sim_disk_random(sim, 2) == 0) {
            apply(sim->durable, &sim->changes[i]);
        }
    }
    sim->change_count = 0;
    memcpy(sim->live, sim->durable, sizeof sim->live);
    collect(sim);
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        struct sim_file *file = &sim->files[i];
        if (!file->used) {
            continue;
        }
        settle(sim, file, false);
        file->live_size = 0;
        grow(file, file->durable_size);
        if (file->durable_size > 0) {
            memcpy(file->live, file->durable, file->durable_size);
        }
    }
    sim->dead = false;
    sim->late_file = -1;
    sim->operations_left = -1;
    sim->error_after = -1;
}

bool sim_disk_flip(struct sim_disk *sim, const char *suffix)
{
    struct sim_file *found[SIM_DISK_FILES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        const struct sim_name *name = &sim->durable[i];
        size_t size = name->file < 0 ? 0 : strlen(name->name);
        if (size > strlen(suffix) && strcmp(name->name + size - strlen(suffix), suffix) == 0 &&
            sim->files[name->file].durable_size > 0) {
            found[count++] = &sim->files[name->file];
        }
    }
    if (count == 0) {
        return false;
    }
    struct sim_file *file = found[sim_disk_random(sim, count)];
    uint64_t at = sim_disk_random(sim, file->durable_size);
    uint8_t bit = (uint8_t)(1U << sim_disk_random(sim, 8));
    file->durable[at] ^= bit;
    if (at < file->live_size) {
        file->live[at] ^= bit;
    }
    return true;
}

static void *copy_bytes(const void *bytes, size_t size)
{
    void *copy = malloc(size + 1);
    if (copy == NULL) {
        abort();
    }
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

void sim_disk_copy(const struct sim_disk *sim, struct sim_disk *out)
{
    *out = *sim;
    out->disk.context = out;
    out->operations_left = -1;
    out->error_after = -1;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        const struct sim_file *from = &sim->files[i];
        struct sim_file *to = &out->files[i];
        if (from->used) {
            to->live = copy_bytes(from->live, sectors(from->live_size) * SECTOR_SIZE);
            to->durable = copy_bytes(from->durable, sectors(from->durable_size) * SECTOR_SIZE);
            to->dirty = copy_bytes(from->dirty, sectors(from->live_size) * sizeof *from->dirty);
        }
    }
}

void sim_disk_init(struct sim_disk *sim, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->random = seed;
    sim->late_file = -1;
    sim->operations_left = -1;
    sim->error_after = -1;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        sim->live[i].file = sim->durable[i].file = -1;
    }
    sim->disk = (struct disk){.context = sim,
                              .list = sim_list,
                              .open = sim_open,
                              .close = sim_close,
                              .size = sim_size,
                              .allocate = sim_allocate,
                              .read = sim_read,
                              .write = sim_write,
                              .sync = sim_sync,
                              .rename = sim_rename,
                              .unlink = sim_unlink,
                              .sync_directory = sim_sync_directory};
}

void sim_disk_renew(struct sim_disk *sim)
{
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        sim->live[i].file = sim->durable[i].file = -1;
    }
    sim->change_count = 0;
    collect(sim);
}

void sim_disk_release(struct sim_disk *sim)
{
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        free(sim->files[i].live);
        free(sim->files[i].durable);
        free(sim->files[i].dirty);
    }
}
