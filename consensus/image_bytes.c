/*
 * The bytes of an image in a file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/fault.h"

#define READ_SIZE (256U << 10U)
#define FREE_SHARE 16U /* Of a small file system. */

struct status image_bytes_hash(int fd, uint64_t size, const atomic_bool *cancelled,
                               EVP_MD_CTX *digest)
{
    struct status status = OK;
    char *bytes = alloc_bytes(READ_SIZE);
    if (bytes == NULL) {
        return fail(STATUS_NO_MEMORY, "hash an image");
    }
    for (uint64_t done = 0; done < size && !failed(status);) {
        size_t want = size - done < READ_SIZE ? (size_t)(size - done) : READ_SIZE;
        ssize_t got = pread(fd, bytes, want, (off_t)done);
        if (cancelled != NULL && atomic_load(cancelled)) {
            status = fail(STATUS_UNKNOWN, "hash an image: cancelled");
        } else if (got < 0 && errno != EINTR) {
            status = fail_errno(errno, "read an image");
        } else if (got == 0) {
            status = fail(STATUS_IO, "read an image: it ends early");
        } else if (got > 0 && EVP_DigestUpdate(digest, bytes, (size_t)got) != 1) {
            status = fail(STATUS_NO_MEMORY, "hash an image");
        }
        done += got > 0 ? (uint64_t)got : 0;
    }
    free(bytes);
    return status;
}

struct status image_bytes_digest(const EVP_MD_CTX *digest, uint8_t out[IMAGE_DIGEST_SIZE])
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool done = copy != NULL && EVP_MD_CTX_copy_ex(copy, digest) == 1 &&
                EVP_DigestFinal_ex(copy, bytes, &size) == 1 && size == IMAGE_DIGEST_SIZE;
    EVP_MD_CTX_free(copy);
    if (!done) {
        return fail(STATUS_NO_MEMORY, "hash an image");
    }
    memcpy(out, bytes, IMAGE_DIGEST_SIZE);
    return OK;
}

static struct status check_free(int fd, const char *path)
{
    struct statvfs disk;
    if (fstatvfs(fd, &disk) != 0) {
        return fail_errno(errno, "look at the disk of %s", path);
    }
    uint64_t total = (uint64_t)disk.f_blocks * disk.f_frsize;
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    uint64_t kept = total / FREE_SHARE < IMAGE_FREE_MIN ? total / FREE_SHARE : IMAGE_FREE_MIN;
    if (left < kept) {
        return fail(STATUS_FULL, "write %s: it would leave less than %llu MiB free", path,
                    (unsigned long long)(kept >> 20U));
    }
    return OK;
}

/* A window is full: begin to write it out, and wait for the one before. It is a matter of speed
 * only, and of no use on some file systems: image_bytes_sync() is what counts. */
static void write_behind(int fd, uint64_t size)
{
    off_t end = (off_t)(size / IMAGE_BEHIND_SIZE * IMAGE_BEHIND_SIZE);
    off_t begin = end - (off_t)IMAGE_BEHIND_SIZE;
    (void)sync_file_range(fd, begin, (off_t)IMAGE_BEHIND_SIZE, SYNC_FILE_RANGE_WRITE);
    if (begin >= (off_t)IMAGE_BEHIND_SIZE) {
        (void)sync_file_range(fd, begin - (off_t)IMAGE_BEHIND_SIZE, (off_t)IMAGE_BEHIND_SIZE,
                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                  SYNC_FILE_RANGE_WAIT_AFTER);
    }
}

struct status image_bytes_write(int fd, const char *path, struct slice bytes, uint64_t *size)
{
    const char *at = bytes.data;
    uint64_t before = *size;
    if (fault_fires(FAULT_IMAGE_WRITE)) {
        return fail_errno(ENOSPC, "write %s", path);
    }
    for (size_t left = bytes.size; left > 0;) {
        ssize_t written = write(fd, at, left);
        if (written < 0 && errno != EINTR) {
            return fail_errno(errno, "write %s", path);
        }
        size_t done = written < 0 ? 0 : (size_t)written;
        at += done;
        left -= done;
        *size += done;
    }
    if (before / IMAGE_BEHIND_SIZE == *size / IMAGE_BEHIND_SIZE) {
        return OK;
    }
    write_behind(fd, *size);
    return check_free(fd, path);
}

struct status image_bytes_sync_folder(const char *path)
{
    char copy[IMAGE_PATH_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno, "open the folder of %s", path);
    }
    struct status status = fsync(fd) == 0 ? OK : fail_errno(errno, "sync the folder of %s", path);
    (void)close(fd);
    return status;
}

struct status image_bytes_sync(int fd, const char *path)
{
    if (fault_fires(FAULT_IMAGE_SYNC) ? (errno = EIO, true) : fsync(fd) != 0) {
        return fail_errno(errno, "sync %s", path);
    }
    return image_bytes_sync_folder(path);
}

/* ---- Removing ---- */

struct removal {
    uv_work_t work;
    char path[];
};

static void remove_now(uv_work_t *work)
{
    struct removal *removal = work->data;
    (void)unlink(removal->path);
}

static void on_removed(uv_work_t *work, int error)
{
    (void)error;
    free(work->data);
}

void image_bytes_remove(struct uv_loop_s *loop, const char *path)
{
    size_t size = strlen(path) + sizeof IMAGE_GONE_SUFFIX;
    struct removal *removal = alloc_bytes(sizeof *removal + size);
    if (removal == NULL) {
        (void)unlink(path); /* Slowly, then. */
        return;
    }
    removal->work.data = removal;
    (void)snprintf(removal->path, size, "%s" IMAGE_GONE_SUFFIX, path);
    if (rename(path, removal->path) != 0) {
        free(removal); /* Nothing there. */
    } else if (uv_queue_work(loop, &removal->work, remove_now, on_removed) != 0) {
        (void)unlink(removal->path);
        free(removal);
    }
}
