/*
 * An image that is being sent: the thread that reads its file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer_image_source.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void move_to(struct image_source *source, enum source_phase phase)
{
    atomic_store(&source->phase, (int)phase);
    (void)uv_async_send(&source->async);
}

struct status image_source_restart_digest(struct image_source *source)
{
    return EVP_DigestInit_ex(source->digest, EVP_sha256(), NULL) == 1
               ? OK
               : fail(STATUS_NO_MEMORY, "hash an image");
}

/* Where to begin: behind what the peer has, if it is the beginning of this file. */
static struct status place(struct image_source *source, int fd)
{
    struct stat file;
    uint8_t digest[IMAGE_DIGEST_SIZE];
    if (fstat(fd, &file) != 0) {
        return fail_errno(errno, "look at an image");
    }
    source->total = (uint64_t)file.st_size;
    if (source->asked_size == 0 || source->asked_size > source->total) {
        return OK;
    }
    struct status status =
        image_bytes_hash(fd, source->asked_size, &source->cancelled, source->digest);
    if (!failed(status)) {
        status = image_bytes_digest(source->digest, digest);
    }
    if (failed(status)) {
        return status;
    }
    if (memcmp(digest, source->asked_digest, sizeof digest) != 0) {
        return image_source_restart_digest(source);
    }
    source->offset = source->asked_size;
    return lseek(fd, (off_t)source->offset, SEEK_SET) < 0 ? fail_errno(errno, "read an image") : OK;
}

static struct status write_pipe(const struct image_source *source, const char *at, size_t left)
{
    while (left > 0) {
        ssize_t written = write(source->write_fd, at, left);
        if (written < 0 && errno != EINTR) {
            return fail_errno(errno, "send an image"); /* EPIPE: the loop has closed it. */
        }
        at += written < 0 ? 0 : written;
        left -= written < 0 ? 0 : (size_t)written;
    }
    return OK;
}

static struct status copy(struct image_source *source, int fd)
{
    char bytes[FRAME_IMAGE_SIZE_MAX];
    struct status status = OK;
    for (uint64_t left = source->total - source->offset; left > 0 && !failed(status);) {
        size_t want = left < sizeof bytes ? (size_t)left : sizeof bytes;
        ssize_t got = read(fd, bytes, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return fail_errno(got < 0 ? errno : EIO, "read an image");
        }
        left -= (uint64_t)got;
        if (EVP_DigestUpdate(source->digest, bytes, (size_t)got) != 1) {
            return fail(STATUS_NO_MEMORY, "hash an image");
        }
        status = write_pipe(source, bytes, (size_t)got);
    }
    return status;
}

void image_source_run(void *argument)
{
    struct image_source *source = argument;
    int fd = -1;
    sigset_t pipe_signal;
    (void)sigemptyset(&pipe_signal);
    (void)sigaddset(&pipe_signal, SIGPIPE); /* A peer that goes away is EPIPE, not our death. */
    (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    const struct peers_options *options = &source->peers->options;
    struct status status =
        options->image_open(options->context, source->version, &source->cancelled, &fd);
    if (!failed(status)) {
        status = place(source, fd);
        if (!failed(status)) {
            move_to(source, SOURCE_SENDING);
            status = copy(source, fd);
        }
        (void)close(fd);
    }
    source->result = status;
    (void)close(source->write_fd);
    move_to(source, SOURCE_DONE);
}
