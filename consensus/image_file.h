/*
 * An image on its way to disk: bytes are collected on the loop, written and hashed on a worker, and
 * at the end compared, synced and kept, or removed.
 *
 * One piece of work is in flight at most; while it is, bytes are collected, up to
 * IMAGE_FILE_COLLECTED_MAX, after which the caller should stop its source until `on_progress`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef IMAGE_FILE_H
#define IMAGE_FILE_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct uv_loop_s;
struct image_file;

#define IMAGE_FILE_WORK_SIZE (256U << 10U)   /* Bytes that are worth a worker's while. */
#define IMAGE_FILE_COLLECTED_MAX (1U << 20U) /* Bytes. */
#define IMAGE_FILE_PATH_SIZE 4096U

struct image_file_handlers {
    /* Work is done and nothing is in flight; or it failed: only image_file_close() is left. */
    void (*on_progress)(void *context, struct status status);
    /* After image_file_finish(): the file is whole and on disk, or gone. */
    void (*on_finished)(void *context, struct status status);
};

/* Make or replace the file `path`. STATUS_IO, STATUS_FULL, STATUS_INVALID (path too long) or
 * STATUS_NO_MEMORY. */
MUST_USE struct status image_file_open(struct uv_loop_s *loop, const char *path,
                                       const struct image_file_handlers *handlers, void *context,
                                       struct image_file **out);

/* Take bytes. `*full` is set when enough is collected. STATUS_NO_MEMORY. */
MUST_USE struct status image_file_add(struct image_file *file, struct slice bytes, bool *full);

/* That was all: its size and SHA-256 must be these, else STATUS_CORRUPT. */
void image_file_finish(struct image_file *file, uint64_t size, const uint8_t digest[32]);

/* Give up, or give back after on_finished: unless that was OK the file is removed. No handler is
 * called any more; `closed` is, from the loop, when the worker has let go. */
void image_file_close(struct image_file *file, void (*closed)(void *context));

#endif
