/*
 * An image on its way to disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"

struct image_file {
    const struct image_file_handlers *handlers;
    void *context;
    char path[IMAGE_PATH_SIZE];
    int fd;
    EVP_MD_CTX *digest;

    struct buffer collected;
    struct buffer working; /* The worker's while `busy`. */
    uv_work_t work;
    uv_timer_t timer; /* Calls `closed` from the loop. */
    bool busy;

    bool looking; /* The work in flight hashes what was there. */
    bool anew;    /* The next work throws it away first. */
    atomic_bool cancelled;
    bool finishing; /* Asked for; `finish_in_work`: the work in flight is the last. */
    bool finish_in_work;
    bool kept;
    bool keep_part;
    uint64_t size;
    uint64_t expected_size;
    uint8_t found_digest[IMAGE_DIGEST_SIZE];
    uint8_t expected_digest[IMAGE_DIGEST_SIZE];
    struct status status; /* Of the work; sticky. */
    void (*closed)(void *context);
};

/* ---- On the worker ---- */

/* A part that cannot be read is a part that is not there. */
static void look(struct image_file *file)
{
    struct stat found;
    if (fstat(file->fd, &found) != 0 || found.st_size <= 0 ||
        failed(
            image_bytes_hash(file->fd, (uint64_t)found.st_size, &file->cancelled, file->digest)) ||
        failed(image_bytes_digest(file->digest, file->found_digest)) ||
        lseek(file->fd, 0, SEEK_END) != found.st_size) {
        file->size = 0;
        file->anew = true;
        return;
    }
    file->size = (uint64_t)found.st_size;
}

static struct status begin_anew(struct image_file *file)
{
    file->anew = false;
    file->size = 0;
    if (ftruncate(file->fd, 0) != 0 || lseek(file->fd, 0, SEEK_SET) != 0) {
        return fail_errno(errno, "empty %s", file->path);
    }
    return EVP_DigestInit_ex(file->digest, EVP_sha256(), NULL) == 1
               ? OK
               : fail(STATUS_NO_MEMORY, "hash an image");
}

static struct status write_all(struct image_file *file)
{
    struct status status = file->anew ? begin_anew(file) : OK;
    struct slice bytes = buffer_slice(&file->working);
    if (failed(status)) {
        return status;
    }
    if (bytes.size > 0 && EVP_DigestUpdate(file->digest, bytes.data, bytes.size) != 1) {
        return fail(STATUS_NO_MEMORY, "hash an image");
    }
    return image_bytes_write(file->fd, file->path, bytes, &file->size);
}

static struct status verify_and_sync(struct image_file *file)
{
    uint8_t digest[IMAGE_DIGEST_SIZE];
    struct status status = image_bytes_digest(file->digest, digest);
    if (failed(status)) {
        return status;
    }
    if (file->size != file->expected_size) {
        return fail(STATUS_CORRUPT, "an image has %llu bytes, not %llu",
                    (unsigned long long)file->size, (unsigned long long)file->expected_size);
    }
    if (memcmp(digest, file->expected_digest, sizeof digest) != 0) {
        return fail(STATUS_CORRUPT, "an image does not have its checksum");
    }
    return image_bytes_sync(file->fd, file->path);
}

static void run(uv_work_t *work)
{
    struct image_file *file = work->data;
    if (file->looking) {
        look(file);
        return;
    }
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
        image_bytes_remove(handle->loop, file->path);
    }
    EVP_MD_CTX_free(file->digest);
    buffer_release(&file->collected);
    buffer_release(&file->working);
    free(file);
    closed(context);
}

static void begin_work(struct image_file *file);

static void on_looked(struct image_file *file)
{
    file->looking = false;
    file->handlers->on_looked(file->context, file->size, file->found_digest);
}

/* The worker has let go. */
static void close_now(struct image_file *file)
{
    bool may_go_on = file->keep_part && !failed(file->status);
    /* What was only looked at is as it was. */
    file->kept = file->kept || (may_go_on && (file->looking || file->size > 0));
    uv_close((uv_handle_t *)&file->timer, on_timer_closed);
}

static void on_worked(uv_work_t *work, int error)
{
    struct image_file *file = work->data;
    (void)error; /* Never cancelled. */
    file->busy = false;
    buffer_clear(&file->working);
    if (file->closed != NULL) {
        close_now(file);
        return;
    }
    if (file->looking) {
        on_looked(file);
    } else if (file->finish_in_work) {
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

static void queue_work(struct image_file *file)
{
    file->busy = true;
    file->work.data = file;
    int error = uv_queue_work(file->timer.loop, &file->work, run, on_worked);
    assert(error == 0); /* Fails for want of a function only. */
}

static void begin_work(struct image_file *file)
{
    struct buffer empty = file->working;
    file->working = file->collected;
    file->collected = empty;
    file->finish_in_work = file->finishing;
    queue_work(file);
}

void image_file_begin(struct image_file *file, bool go_on)
{
    assert(!file->looking && !file->busy);
    file->anew = file->anew || !go_on;
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

void image_file_finish(struct image_file *file, uint64_t size,
                       const uint8_t digest[IMAGE_DIGEST_SIZE])
{
    file->finishing = true;
    file->expected_size = size;
    memcpy(file->expected_digest, digest, sizeof file->expected_digest);
    if (!file->busy) {
        begin_work(file);
    }
}

void image_file_close(struct image_file *file, bool keep_part, void (*closed)(void *context))
{
    file->closed = closed;
    file->keep_part = keep_part;
    atomic_store(&file->cancelled, true);
    if (!file->busy) {
        close_now(file);
    }
}

struct status image_file_open(struct uv_loop_s *loop, const char *path,
                              const struct image_file_handlers *handlers, void *context,
                              struct image_file **out)
{
    if (strlen(path) >= IMAGE_PATH_SIZE) {
        return fail(STATUS_INVALID, "a path has at most %u bytes", IMAGE_PATH_SIZE - 1);
    }
    struct image_file *file = alloc_zeroed(1, sizeof *file);
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
        file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        status = file->fd < 0 ? fail_errno(errno, "make %s", path) : OK;
    }
    if (failed(status)) {
        EVP_MD_CTX_free(file->digest);
        free(file);
        return status;
    }
    (void)uv_timer_init(loop, &file->timer);
    file->timer.data = file;
    file->looking = true;
    queue_work(file);
    *out = file;
    return OK;
}
