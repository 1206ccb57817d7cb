/*
 * The image that this node serves, as a file beside its log.
 *
 * The machine writes into a pipe on a thread of its own, and whoever asked first reads the pipe and
 * writes the file: only so can the writing be paced (image_bytes.h), timed and cancelled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image_spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "image_bytes.h"

#define COPY_SIZE (1U << 20U)
#define LOOK_EVERY_MS 100 /* Whether it was cancelled, while the machine writes nothing. */
#define NAME_PREFIX "image-"
#define NAME_SUFFIX ".spool"

struct image_spool {
    struct image_spool_options options;
    char directory[IMAGE_PATH_SIZE - 64];
    pthread_mutex_t lock; /* Of the files. */
};

/* One writing. */
struct writing {
    struct image_spool *spool;
    const atomic_bool *cancelled;
    uint64_t deadline_ms;
    char path[IMAGE_PATH_SIZE];
    int fd;
    int pipe[2]; /* -1: closed. */
    uint64_t size;
    struct status result; /* Of the machine; its thread's until that is joined. */
};

/* ---- The machine's thread ---- */

static void *run(void *argument)
{
    struct writing *writing = argument;
    sigset_t pipe_signal;
    (void)sigemptyset(&pipe_signal);
    (void)sigaddset(&pipe_signal, SIGPIPE); /* A reader that gives up is EPIPE, not our death. */
    (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    const struct image_spool_options *options = &writing->spool->options;
    writing->result = options->write(options->context, writing->pipe[1]);
    (void)close(writing->pipe[1]);
    return NULL;
}

/* ---- The reader ---- */

/* Wait for bytes, but not for ever. */
static struct status wait_for_bytes(const struct writing *writing)
{
    struct pollfd pipe = {.fd = writing->pipe[0], .events = POLLIN};
    for (;;) {
        int ready = poll(&pipe, 1, LOOK_EVERY_MS);
        if (atomic_load(writing->cancelled)) {
            return fail(STATUS_UNKNOWN, "write an image: cancelled");
        }
        if (clock_monotonic_ms() > writing->deadline_ms) {
            return fail(STATUS_TIMEOUT, "write an image: it takes longer than %u s",
                        IMAGE_SPOOL_WRITE_MAX_S);
        }
        if (ready > 0) {
            return OK;
        }
        if (ready < 0 && errno != EINTR) {
            return fail_errno(errno, "wait for an image");
        }
    }
}

static struct status copy(struct writing *writing, char *bytes)
{
    for (;;) {
        struct status status = wait_for_bytes(writing);
        if (failed(status)) {
            return status;
        }
        ssize_t got = read(writing->pipe[0], bytes, COPY_SIZE);
        if (got == 0) {
            return OK;
        }
        if (got < 0 && errno != EINTR) {
            return fail_errno(errno, "read an image");
        }
        if (got > 0) {
            struct slice piece = {.data = bytes, .size = (size_t)got};
            status = image_bytes_write(writing->fd, writing->path, piece, &writing->size);
        }
        if (failed(status)) {
            return status;
        }
    }
}

static struct status run_both(struct writing *writing)
{
    pthread_t thread;
    char *bytes = alloc_bytes(COPY_SIZE);
    if (bytes == NULL) {
        return fail(STATUS_NO_MEMORY, "write an image");
    }
    if (pipe2(writing->pipe, O_CLOEXEC) != 0) {
        free(bytes);
        return fail_errno(errno, "make a pipe");
    }
    int error = pthread_create(&thread, NULL, run, writing);
    if (error != 0) {
        (void)close(writing->pipe[0]);
        (void)close(writing->pipe[1]);
        free(bytes);
        return fail_errno(error, "start a thread");
    }
    struct status status = copy(writing, bytes);
    (void)close(writing->pipe[0]); /* If the machine still writes, it fails with EPIPE. */
    (void)pthread_join(thread, NULL);
    free(bytes);
    return failed(status) ? status : writing->result;
}

/* ---- Files ---- */

static void path_of(const struct image_spool *spool, uint64_t version, char out[IMAGE_PATH_SIZE])
{
    (void)snprintf(out, IMAGE_PATH_SIZE, "%s/" NAME_PREFIX "%llu" NAME_SUFFIX, spool->directory,
                   (unsigned long long)version);
}

static void temporary_path(const struct image_spool *spool, char out[IMAGE_PATH_SIZE])
{
    (void)snprintf(out, IMAGE_PATH_SIZE, "%s/image.tmp", spool->directory);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* Remove the images, but the one at `kept` (NULL: none), and what a crash left of removing others;
 * later, on the loop's pool, if a loop is given. The lock is held. */
static void remove_others(const struct image_spool *spool, const char *kept, struct uv_loop_s *loop)
{
    char path[IMAGE_PATH_SIZE + 256];
    DIR *directory = opendir(spool->directory);
    const struct dirent *entry = NULL;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        bool is_gone = ends_with(entry->d_name, NAME_SUFFIX IMAGE_GONE_SUFFIX);
        if (strncmp(entry->d_name, NAME_PREFIX, sizeof NAME_PREFIX - 1) != 0 ||
            (!is_gone && !ends_with(entry->d_name, NAME_SUFFIX))) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s/%s", spool->directory, entry->d_name);
        if (kept != NULL && strcmp(path, kept) == 0) {
            continue;
        }
        if (loop == NULL) {
            (void)unlink(path);
        } else if (!is_gone) {
            image_bytes_remove(loop, path);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

/* Synced before it gets its name: a name that is there after a crash stands for a whole image. */
static struct status keep_as(struct writing *writing, const char *path)
{
    struct status status = image_bytes_sync(writing->fd, writing->path);
    if (!failed(status) && rename(writing->path, path) != 0) {
        status = fail_errno(errno, "rename %s", writing->path);
    }
    return failed(status) ? status : image_bytes_sync_folder(path);
}

static struct status make(struct image_spool *spool, const char *path, const atomic_bool *cancelled)
{
    struct writing writing = {
        .spool = spool,
        .cancelled = cancelled,
        .deadline_ms = clock_monotonic_ms() + IMAGE_SPOOL_WRITE_MAX_S * (uint64_t)1000,
    };
    temporary_path(spool, writing.path);
    writing.fd = open(writing.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writing.fd < 0) {
        return fail_errno(errno, "make %s", writing.path);
    }
    struct status status = run_both(&writing);
    if (!failed(status)) {
        status = keep_as(&writing, path);
    }
    (void)close(writing.fd);
    if (failed(status)) {
        (void)unlink(writing.path);
    }
    return status;
}

static struct status get(struct image_spool *spool, uint64_t version, const atomic_bool *cancelled,
                         int *fd)
{
    char path[IMAGE_PATH_SIZE];
    path_of(spool, version, path);
    remove_others(spool, path, NULL); /* First: two would need room for both. */
    if (access(path, F_OK) != 0) {
        struct status status = make(spool, path, cancelled);
        if (failed(status)) {
            return status;
        }
    }
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *fd < 0 ? fail_errno(errno, "open %s", path) : OK;
}

struct status image_spool_get(struct image_spool *spool, uint64_t version,
                              const atomic_bool *cancelled, int *fd)
{
    (void)pthread_mutex_lock(&spool->lock);
    struct status status = atomic_load(cancelled)
                               ? fail(STATUS_UNKNOWN, "write an image: cancelled")
                               : get(spool, version, cancelled, fd);
    (void)pthread_mutex_unlock(&spool->lock);
    return status;
}

void image_spool_clean(struct image_spool *spool, struct uv_loop_s *loop)
{
    if (pthread_mutex_trylock(&spool->lock) == 0) { /* Else one is being written: not now. */
        remove_others(spool, NULL, loop);
        (void)pthread_mutex_unlock(&spool->lock);
    }
}

struct status image_spool_create(const struct image_spool_options *options,
                                 struct image_spool **out)
{
    char path[IMAGE_PATH_SIZE];
    struct image_spool *spool = alloc_zeroed(1, sizeof *spool);
    if (spool == NULL) {
        return fail(STATUS_NO_MEMORY, "serve images");
    }
    if (strlen(options->directory) >= sizeof spool->directory) {
        free(spool);
        return fail(STATUS_INVALID, "the path of the folder is too long");
    }
    spool->options = *options;
    spool->options.directory = NULL;
    (void)snprintf(spool->directory, sizeof spool->directory, "%s", options->directory);
    if (pthread_mutex_init(&spool->lock, NULL) != 0) {
        free(spool);
        return fail(STATUS_NO_MEMORY, "serve images");
    }
    temporary_path(spool, path);
    (void)unlink(path);
    *out = spool;
    return OK;
}

void image_spool_destroy(struct image_spool *spool)
{
    if (spool != NULL) {
        (void)pthread_mutex_destroy(&spool->lock);
        free(spool);
    }
}
