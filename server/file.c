/*
 * Small files, whole or absent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define FILE_PATH_SIZE 640

struct status file_read(const char *path, size_t size_max, struct buffer *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno, "read %s", path);
    }
    struct status status = OK;
    size_t size_before = out->size;
    for (;;) {
        if (!buffer_reserve(out, 4096)) {
            status = fail(STATUS_NO_MEMORY, "read %s", path);
            break;
        }
        ssize_t got = read(fd, out->data + out->size, 4096);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = fail_errno(errno, "read %s", path);
        }
        if (got <= 0) {
            break;
        }
        out->size += (size_t)got;
        if (out->size - size_before > size_max) {
            status = fail(STATUS_INVALID, "%s has more than %zu bytes", path, size_max);
            break;
        }
    }
    (void)close(fd);
    if (failed(status)) {
        out->size = size_before;
    }
    return status;
}

static struct status write_and_sync(int fd, struct slice bytes, const char *path)
{
    const char *at = bytes.data;
    size_t left = bytes.size;
    if (fault_fires(FAULT_FILE_WRITE)) {
        (void)!write(fd, at, left / 2); /* As a disk that becomes full. */
        return fail_errno(ENOSPC, "write %s", path);
    }
    while (left > 0) {
        ssize_t put = write(fd, at, left);
        if (put < 0 && errno != EINTR) {
            return fail_errno(errno, "write %s", path);
        }
        if (put > 0) {
            at += put;
            left -= (size_t)put;
        }
    }
    int error = fault_fires(FAULT_FILE_SYNC) ? (errno = EIO, -1) : fsync(fd);
    return error == 0 ? OK : fail_errno(errno, "sync %s", path);
}

struct status file_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno, "open %s", path);
    }
    int error = fault_fires(FAULT_FILE_SYNC_FOLDER) ? (errno = EIO, -1) : fsync(fd);
    struct status status = error == 0 ? OK : fail_errno(errno, "sync %s", path);
    (void)close(fd);
    return status;
}

struct status file_write(const char *path, struct slice bytes)
{
    char beside[FILE_PATH_SIZE];
    char folder[FILE_PATH_SIZE];
    (void)snprintf(beside, sizeof beside, "%s.new", path);
    (void)snprintf(folder, sizeof folder, "%s", path);

    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(errno, "make %s", beside);
    }
    struct status status = write_and_sync(fd, bytes, beside);
    (void)close(fd);
    if (!failed(status)) {
        int error = fault_fires(FAULT_FILE_RENAME) ? (errno = EIO, -1) : rename(beside, path);
        status = error == 0 ? OK : fail_errno(errno, "rename %s", beside);
    }
    if (failed(status)) {
        (void)unlink(beside);
        return status;
    }
    return file_sync_folder(dirname(folder));
}

bool file_is_there(const char *folder, const char *name)
{
    char path[FILE_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%.500s/%s", folder, name);
    return access(path, F_OK) == 0;
}

struct status file_make_folder(const char *path)
{
    int error = fault_fires(FAULT_FILE_MAKE_FOLDER) ? (errno = ENOSPC, -1) : mkdir(path, 0700);
    if (error != 0 && errno != EEXIST) {
        return fail_errno(errno, "make the folder %s", path);
    }
    return OK;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return fault_fires(FAULT_FILE_REMOVE) ? (errno = EIO, -1) : remove(path);
}

struct status file_remove_tree(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return fail_errno(errno, "remove %s", path);
    }
    return OK;
}
