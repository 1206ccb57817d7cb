/*
 * Power cuts for the stores' files: what LMDB wrote and did not sync may be lost, by sectors.
 *
 * LMDB calls libc, and finds the functions here before libc's own: they do the same, and note of each
 * store's data.mdb which sectors were written since it was synced last. When the power of a node fails,
 * its file is put back to what such a disk would have: of each of those sectors the new or the old
 * content, of a file that grew the new or the old size. That a renamed file is found under its new name
 * is taken for granted: the product syncs the directory, which nobody looks at here.
 *
 * The image that a store installs in place of its file must have been synced before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#undef _FORTIFY_SOURCE /* Whose headers have these functions inline. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sim.h"

#define SECTOR_SIZE ((size_t)512)
#define IMAGE_NAME "/image"

struct power_file {
    char path[SIM_PATH_SIZE]; /* Empty: not one of ours. */
    uint8_t *durable;         /* As a power cut leaves it. */
    size_t durable_size;
    bool *dirty; /* Per sector: written since the last sync. */
    size_t dirty_count;
    bool is_dirty;
    bool was_cut; /* And not opened since. */
};

static struct power_file files[SIM_NODES_MAX];
static bool image_is_synced;
static bool ignores_sync;       /* A mutant, once a file has been made. */
static bool ignores_image_sync; /* Another. */

static void *grow(void *memory, size_t old_size, size_t size)
{
    uint8_t *grown = realloc(memory, size + 1);
    if (grown == NULL) {
        abort();
    }
    memset(grown + old_size, 0, size > old_size ? size - old_size : 0);
    return grown;
}

/* ---- What is written and synced ---- */

/* Whose file this is; NULL for any other. */
static struct power_file *find(int fd, bool *is_image)
{
    char link[32];
    char path[SIM_PATH_SIZE];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    *is_image = false;
    if (size <= 0) {
        return NULL;
    }
    path[size] = '\0';
    *is_image = (size_t)size > strlen(IMAGE_NAME) &&
                strcmp(path + size - strlen(IMAGE_NAME), IMAGE_NAME) == 0;
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (files[i].path[0] != '\0' && strcmp(files[i].path, path) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

static void mark(struct power_file *file, size_t from, size_t size)
{
    size_t end = (from + size + SECTOR_SIZE - 1) / SECTOR_SIZE;
    if (end > file->dirty_count) {
        file->dirty = grow(file->dirty, file->dirty_count, end);
        file->dirty_count = end;
    }
    for (size_t i = from / SECTOR_SIZE; i < end; i++) {
        file->dirty[i] = true;
    }
    file->is_dirty = true;
}

static void note_written(int fd, off_t from, ssize_t size)
{
    bool is_image;
    int code = errno;
    struct power_file *file = size > 0 ? find(fd, &is_image) : NULL;
    if (file != NULL) {
        mark(file, (size_t)from, (size_t)size);
    } else if (size > 0 && is_image) {
        image_is_synced = false;
    }
    errno = code;
}

/* All that is in the file now. */
static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        abort();
    }
    *size = (size_t)info.st_size;
    uint8_t *bytes = grow(NULL, 0, *size);
    if (read(fd, bytes, *size) != info.st_size) {
        abort();
    }
    (void)close(fd);
    return bytes;
}

static void settle(struct power_file *file)
{
    free(file->durable);
    file->durable = read_file(file->path, &file->durable_size);
    for (size_t i = 0; i < file->dirty_count; i++) {
        file->dirty[i] = false;
    }
    file->is_dirty = false;
}

static void note_synced(int fd, int result)
{
    bool is_image;
    int code = errno;
    struct power_file *file = result == 0 ? find(fd, &is_image) : NULL;
    bool ignored = ignores_sync && file != NULL && file->durable_size > 0;
    if (file != NULL && file->is_dirty && !ignored) {
        settle(file);
    } else if (file == NULL && result == 0 && is_image && !ignores_image_sync) {
        image_is_synced = true;
    }
    errno = code;
}

/* ---- In place of libc's ---- */

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, size, offset);
    note_written(fd, offset, written);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = syscall(SYS_write, fd, bytes, size);
    note_written(fd, offset, written);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t written = syscall(SYS_writev, fd, parts, count);
    note_written(fd, offset, written);
    return written;
}

int fdatasync(int fd)
{
    int result = (int)syscall(SYS_fdatasync, fd);
    note_synced(fd, result);
    return result;
}

int fsync(int fd)
{
    int result = (int)syscall(SYS_fsync, fd);
    note_synced(fd, result);
    return result;
}

/* ---- A node's store ---- */

bool power_open(struct sim_node *node, const char *path)
{
    struct power_file *file = &files[node->number];
    bool was_cut = file->was_cut;
    ignores_sync = node->world->options.mutant == MUTANT_STORE_SYNC;
    ignores_image_sync = node->world->options.mutant == MUTANT_IMAGE_SYNC;
    if (strcmp(file->path, path) != 0) { /* It begins, or begins anew as another. */
        free(file->durable);
        free(file->dirty);
        *file = (struct power_file){0};
        (void)snprintf(file->path, sizeof file->path, "%s", path);
        return false;
    }
    file->was_cut = false;
    return was_cut;
}

void power_installed(struct sim_node *node)
{
    struct power_file *file = &files[node->number];
    settle(file);
    if (image_is_synced) {
        return;
    }
    mark(file, 0, file->durable_size);
    memset(file->durable, 0, file->durable_size);
}

/* Some cuts come before the device has written anything, some after it wrote all. */
static size_t cut(struct power_file *file, struct sim_disk *random, uint8_t *bytes, size_t size)
{
    uint64_t of_four = sim_disk_random(random, 5);
    size_t lost = 0;
    for (size_t i = 0; i < file->dirty_count && i * SECTOR_SIZE < size; i++) {
        size_t from = i * SECTOR_SIZE;
        if (!file->dirty[i] || sim_disk_random(random, 4) < of_four) {
            continue;
        }
        size_t whole = size - from < SECTOR_SIZE ? size - from : SECTOR_SIZE;
        size_t old = from < file->durable_size ? file->durable_size - from : 0;
        memset(bytes + from, 0, whole);
        if (old > 0) {
            memcpy(bytes + from, file->durable + from, old < whole ? old : whole);
        }
        lost++;
    }
    return lost;
}

void power_cut(struct sim_node *node)
{
    struct power_file *file = &files[node->number];
    if (file->path[0] == '\0' || !file->is_dirty) {
        return;
    }
    struct sim_disk random = {.random = node->world->seed ^ node->life << 8U ^ node->number};
    size_t size = 0;
    uint8_t *bytes = read_file(file->path, &size);
    size_t lost = cut(file, &random, bytes, size);
    bool grew = size > file->durable_size && sim_disk_random(&random, 2) == 0;
    size_t kept = size > file->durable_size && !grew ? file->durable_size : size;
    int fd = open(file->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_pwrite64, fd, bytes, kept, (off_t)0) != (ssize_t)kept) {
        abort();
    }
    (void)close(fd);
    free(bytes);
    settle(file);
    file->was_cut = true;
    node->world->troubles[TROUBLE_STORE_CUT] += lost > 0 || kept < size;
}
