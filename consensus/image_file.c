/*
 * An image on its way to disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/fault.h"

struct image_file {
    const struct image_file_handlers *handlers;
    void *context;
    char path[IMAGE_FILE_PATH_SIZE];
    int fd;
    EVP_MD_CTX *digest;

    struct buffer collected;
    struct buffer working; /* The worker's while `busy`. */
    uv_work_t work;
    uv_timer_t timer; /* Calls `closed` from the loop. */
    bool busy;

    bool finishing; /* Asked for; `finish_in_work`: the work in flight is the last. */
    bool finish_in_work;
    bool kept;
    uint64_t size;
    uint64_t expected_size;
    uint8_t expected_digest[32];
    struct status status; /* Of the work; sticky. */
    void (*closed)(void *context);
};

/* ---- On the worker ---- */

static struct status write_all(struct image_file *file)
{
    const char *at = file->working.data;
    size_t left = file->working.size;
    if (left > 0 && EVP_DigestUpdate(file->digest, at, left) != 1) {
        return fail(STATUS_NO_MEMORY, "hash an image");
    }
    if (fault_fires(FAULT_IMAGE_WRITE)) {
        return fail_errno(ENOSPC, "write %s", file->path);
    }
    while (left > 0) {
        ssize_t written = write(file->fd, at, left);
        if (written < 0 && errno != EINTR) {
            return fail_errno(errno, "write %s", file->path);
        }
        size_t done = written < 0 ? 0 : (size_t)written;
        at += done;
        left -= done;
    }
    file->size += file->working.size;
    return OK;
}

static struct status sync_folder(const char *path)
{
    char copy[IMAGE_FILE_PATH_SIZE];
    (void)snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno, "open the folder of %s", path);
    }
    struct status status = fsync(fd) == 0 ? OK : fail_errno(errno, "sync the folder of %s", path);
    (void)close(fd);
    return status;
}

static struct status verify_and_sync(struct image_file *file)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;
    if (EVP_DigestFinal_ex(file->digest, digest, &digest_size) != 1) {
        return fail(STATUS_NO_MEMORY, "hash an image");
    }
    if (file->size != file->expected_size) {
        return fail(STATUS_CORRUPT, "an image has %llu bytes, not %llu",
                    (unsigned long long)file->size, (unsigned long long)file->expected_size);
    }
    if (digest_size != sizeof file->expected_digest ||
        memcmp(digest, file->expected_digest, digest_size) != 0) {
        return fail(STATUS_CORRUPT, "an image does not have its checksum");
    }
    if (fault_fires(FAULT_IMAGE_SYNC) ? (errno = EIO, true) : fsync(file->fd) != 0) {
        return fail_errno(errno, "sync %s", file->path);
    }
    return sync_folder(file->path);
}

static void run(uv_work_t *work)
{
    struct image_file *file = work->data;
    file->status = write_all(file);
    if (!failed(file->status) && file->finish_in_work) {
        file->status = verify_and_sync(file);
    }
}

/* ---- On the loop ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct image_file *file = handle->data;
    void (*closed)(void *context) = file->closed;
    void *context = file->context;
    (void)close(file->fd);
    if (!file->kept) {
        (void)unlink(file->path);
    }
    EVP_MD_CTX_free(file->digest);
    buffer_release(&file->collected);
    buffer_release(&file->working);
    free(file);
    closed(context);
}

static void begin_work(struct image_file *file);

static void on_worked(uv_work_t *work, int error)
{
    struct image_file *file = work->data;
    (void)error; /* Never cancelled. */
    file->busy = false;
    buffer_clear(&file->working);
    if (file->closed != NULL) {
        uv_close((uv_handle_t *)&file->timer, on_timer_closed);
        return;
    }
    if (file->finish_in_work) {
        file->kept = !failed(file->status);
        file->handlers->on_finished(file->context, file->status);
    } else if (failed(file->status)) {
        file->handlers->on_progress(file->context, file->status);
    } else if (file->finishing || file->collected.size >= IMAGE_FILE_WORK_SIZE) {
        bool was_full = file->collected.size >= IMAGE_FILE_COLLECTED_MAX;
        begin_work(file);
        if (was_full) {
            file->handlers->on_progress(file->context, OK);
        }
    } else {
        file->handlers->on_progress(file->context, OK);
    }
}

static void begin_work(struct image_file *file)
{
    struct buffer empty = file->working;
    file->working = file->collected;
    file->collected = empty;
    file->busy = true;
    file->finish_in_work = file->finishing;
    file->work.data = file;
    int error = uv_queue_work(file->timer.loop, &file->work, run, on_worked);
    assert(error == 0); /* Fails for want of a function only. */
}

struct status image_file_add(struct image_file *file, struct slice bytes, bool *full)
{
    if (!buffer_append(&file->collected, bytes.data, bytes.size)) {
        return fail(STATUS_NO_MEMORY, "receive an image");
    }
    if (!file->busy && file->collected.size >= IMAGE_FILE_WORK_SIZE) {
        begin_work(file);
    }
    *full = file->collected.size >= IMAGE_FILE_COLLECTED_MAX;
    return OK;
}

void image_file_finish(struct image_file *file, uint64_t size, const uint8_t digest[32])
{
    file->finishing = true;
    file->expected_size = size;
    memcpy(file->expected_digest, digest, sizeof file->expected_digest);
    if (!file->busy) {
        begin_work(file);
    }
}

void image_file_close(struct image_file *file, void (*closed)(void *context))
{
    file->closed = closed;
    if (!file->busy) {
        uv_close((uv_handle_t *)&file->timer, on_timer_closed);
    }
}

struct status image_file_open(struct uv_loop_s *loop, const char *path,
                              const struct image_file_handlers *handlers, void *context,
                              struct image_file **out)
{
    if (strlen(path) >= IMAGE_FILE_PATH_SIZE) {
        return fail(STATUS_INVALID, "a path has at most %u bytes", IMAGE_FILE_PATH_SIZE - 1);
    }
    struct image_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        return fail(STATUS_NO_MEMORY, "receive an image");
    }
    (void)snprintf(file->path, sizeof file->path, "%s", path);
    file->handlers = handlers;
    file->context = context;
    file->digest = EVP_MD_CTX_new();
    struct status status;
    if (file->digest == NULL || EVP_DigestInit_ex(file->digest, EVP_sha256(), NULL) != 1) {
        status = fail(STATUS_NO_MEMORY, "receive an image");
    } else {
        file->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        status = file->fd < 0 ? fail_errno(errno, "make %s", path) : OK;
    }
    if (failed(status)) {
        EVP_MD_CTX_free(file->digest);
        free(file);
        return status;
    }
    (void)uv_timer_init(loop, &file->timer);
    file->timer.data = file;
    *out = file;
    return OK;
}
