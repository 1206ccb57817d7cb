/*
 * The real disk: a locked directory and the system's calls, with the places where tests make them
 * fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"

#define LOCK_NAME "lock"
#define DIRECTORY_MODE 0700
#define FILE_MODE 0600

struct real_disk {
    int directory;
    int lock;
    char *path; /* For messages. */
};

static struct status real_list(void *context, void (*visit)(void *visitor, const char *name),
                               void *visitor)
{
    struct real_disk *real = context;
    /* A new open: a duplicate would share the position that an earlier list has moved. */
    int file = openat(real->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = file < 0 ? NULL : fdopendir(file);
    if (directory == NULL) {
        struct status status = fail_errno(errno, "list %s", real->path);
        if (file >= 0) {
            (void)close(file);
        }
        return status;
    }
    struct dirent *entry = NULL;
    errno = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < DISK_NAME_SIZE &&
            strcmp(entry->d_name, LOCK_NAME) != 0) {
            visit(visitor, entry->d_name);
        }
        errno = 0;
    }
    struct status status = errno == 0 ? OK : fail_errno(errno, "list %s", real->path);
    (void)closedir(directory);
    return status;
}

static struct status real_open(void *context, const char *name, bool create, int *out)
{
    struct real_disk *real = context;
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
    if (fault_fires(FAULT_WAL_OPEN)) {
        return fail_errno(EIO, "open %s/%s", real->path, name);
    }
    int file = openat(real->directory, name, flags, FILE_MODE);
    if (file < 0) {
        return fail_errno(errno, "open %s/%s", real->path, name);
    }
    *out = file;
    return OK;
}

static void real_close(void *context, int file)
{
    (void)context;
    (void)close(file);
}

static struct status real_size(void *context, int file, uint64_t *out)
{
    (void)context;
    struct stat info;
    if (fstat(file, &info) != 0) {
        return fail_errno(errno, "stat");
    }
    *out = (uint64_t)info.st_size;
    return OK;
}

static struct status real_allocate(void *context, int file, uint64_t size)
{
    struct real_disk *real = context;
    int error = fault_fires(FAULT_WAL_ALLOCATE) ? ENOSPC : posix_fallocate(file, 0, (off_t)size);
    return error == 0 ? OK
                      : fail_errno(error, "allocate %llu bytes in %s", (unsigned long long)size,
                                   real->path);
}

static struct status real_read(void *context, int file, void *out, size_t size, uint64_t offset)
{
    (void)context;
    char *at = out;
    while (size > 0) {
        ssize_t got = pread(file, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno, "read at %llu", (unsigned long long)offset);
        }
        if (got == 0) {
            return fail(STATUS_CORRUPT, "the file ends at %llu", (unsigned long long)offset);
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return OK;
}

/* Drop the first `size` bytes of the parts; returns how many parts are used up. */
static int parts_consume(struct iovec *parts, int count, size_t size)
{
    int used = 0;
    while (used < count && size >= parts[used].iov_len) {
        size -= parts[used].iov_len;
        used++;
    }
    if (used < count) {
        parts[used].iov_base = (char *)parts[used].iov_base + size;
        parts[used].iov_len -= size;
    }
    return used;
}

static struct status real_write(void *context, int file, struct iovec *parts, int count,
                                uint64_t offset)
{
    (void)context;
    bool fails = fault_fires(FAULT_WAL_WRITE);
    if (fails) {
        /* What a failing device does at its worst: some of it is written. */
        count /= 2;
    }
    while (count > 0) {
        ssize_t written = pwritev(file, parts, count, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return fail_errno(errno, "write at %llu", (unsigned long long)offset);
        }
        int used = parts_consume(parts, count, (size_t)written);
        parts += used;
        count -= used;
        offset += (uint64_t)written;
    }
    return fails ? fail_errno(EIO, "write at %llu", (unsigned long long)offset) : OK;
}

static struct status real_sync(void *context, int file)
{
    (void)context;
    if (fault_fires(FAULT_WAL_SYNC)) {
        return fail_errno(EIO, "sync");
    }
    return fdatasync(file) == 0 ? OK : fail_errno(errno, "sync");
}

static struct status real_rename(void *context, const char *from, const char *to)
{
    struct real_disk *real = context;
    if (fault_fires(FAULT_WAL_RENAME)) {
        return fail_errno(EIO, "rename %s/%s to %s", real->path, from, to);
    }
    if (renameat(real->directory, from, real->directory, to) != 0) {
        return fail_errno(errno, "rename %s/%s to %s", real->path, from, to);
    }
    return OK;
}

static struct status real_unlink(void *context, const char *name)
{
    struct real_disk *real = context;
    if (fault_fires(FAULT_WAL_UNLINK)) {
        return fail_errno(EIO, "remove %s/%s", real->path, name);
    }
    if (unlinkat(real->directory, name, 0) != 0) {
        return fail_errno(errno, "remove %s/%s", real->path, name);
    }
    return OK;
}

static struct status real_sync_directory(void *context)
{
    struct real_disk *real = context;
    if (fault_fires(FAULT_WAL_SYNC)) {
        return fail_errno(EIO, "sync directory %s", real->path);
    }
    return fsync(real->directory) == 0 ? OK : fail_errno(errno, "sync directory %s", real->path);
}

static void real_destroy(struct real_disk *real)
{
    if (real == NULL) {
        return;
    }
    if (real->lock >= 0) {
        (void)close(real->lock); /* Closing releases the lock. */
    }
    if (real->directory >= 0) {
        (void)close(real->directory);
    }
    free(real->path);
    free(real);
}

/* Open the directory and take its lock; what was opened before a failure is closed by
 * real_destroy(). */
static struct status real_begin(struct real_disk *real, const char *directory)
{
    real->path = alloc_text(directory);
    if (real->path == NULL) {
        return fail(STATUS_NO_MEMORY, "open %s", directory);
    }
    if (mkdir(directory, DIRECTORY_MODE) != 0 && errno != EEXIST) {
        return fail_errno(errno, "make %s", directory);
    }
    real->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (real->directory < 0) {
        return fail_errno(errno, "open %s", directory);
    }
    real->lock =
        openat(real->directory, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (real->lock < 0) {
        return fail_errno(errno, "open %s/" LOCK_NAME, directory);
    }
    if (flock(real->lock, LOCK_EX | LOCK_NB) == 0) {
        return OK;
    }
    if (errno == EWOULDBLOCK) {
        return fail(STATUS_BUSY, "%s is in use by another process; stop that one first", directory);
    }
    return fail_errno(errno, "lock %s", directory);
}

struct status disk_open(const char *directory, struct disk *out)
{
    struct real_disk *real = alloc_bytes(sizeof *real);
    if (real == NULL) {
        return fail(STATUS_NO_MEMORY, "open %s", directory);
    }
    *real = (struct real_disk){.directory = -1, .lock = -1};
    struct status status = real_begin(real, directory);
    if (failed(status)) {
        real_destroy(real);
        return status;
    }
    *out = (struct disk){.context = real,
                         .list = real_list,
                         .open = real_open,
                         .close = real_close,
                         .size = real_size,
                         .allocate = real_allocate,
                         .read = real_read,
                         .write = real_write,
                         .sync = real_sync,
                         .rename = real_rename,
                         .unlink = real_unlink,
                         .sync_directory = real_sync_directory};
    return OK;
}

void disk_close(struct disk *disk)
{
    real_destroy(disk->context);
    *disk = (struct disk){0};
}
