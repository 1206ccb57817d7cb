/*
 * An image on its way to disk: bytes are collected on the loop, written and hashed on a worker, and
 * at the end compared, synced and kept, or removed.
 *
 *     LOOKING --what is there is hashed--> LOOKED --image_file_begin()--> TAKING --finish--> done
 *
 * One piece of work is in flight at most; while it is, bytes are collected, up to
 * IMAGE_FILE_COLLECTED_MAX, after which the caller should stop its source until `on_progress`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef IMAGE_FILE_H
#define IMAGE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "image_bytes.h"

struct uv_loop_s;
struct image_file;

#define IMAGE_FILE_WORK_SIZE (256U << 10U)   /* Bytes that are worth a worker's while. */
#define IMAGE_FILE_COLLECTED_MAX (1U << 20U) /* Bytes. */

struct image_file_handlers {
    /* What an earlier attempt left has this size (0: nothing, or of no use) and SHA-256. */
    void (*on_looked)(void *context, uint64_t size, const uint8_t digest[IMAGE_DIGEST_SIZE]);
    /* Work is done and nothing is in flight; or it failed: only image_file_close() is left. */
    void (*on_progress)(void *context, struct status status);
    /* After image_file_finish(): the file is whole and on disk, or it failed. */
    void (*on_finished)(void *context, struct status status);
};

/* Make the file `path`, or look at the one that is there. STATUS_IO, STATUS_FULL, STATUS_INVALID
 * (path too long) or STATUS_NO_MEMORY. */
MUST_USE struct status image_file_open(struct uv_loop_s *loop, const char *path,
                                       const struct image_file_handlers *handlers, void *context,
                                       struct image_file **out);

/* Once, after on_looked: go on behind what is there, or throw that away. */
void image_file_begin(struct image_file *file, bool go_on);

/* Take bytes. `*full` is set when enough is collected. STATUS_NO_MEMORY. */
MUST_USE struct status image_file_add(struct image_file *file, struct slice bytes, bool *full);

/* That was all: size and SHA-256 of the whole file must be these, else STATUS_CORRUPT. */
void image_file_finish(struct image_file *file, uint64_t size,
                       const uint8_t digest[IMAGE_DIGEST_SIZE]);

/*
 * Give up, or give back after on_finished. If that was OK the file is kept. Otherwise it is removed,
 * unless `keep_part` says that a later attempt may go on with it, and it has no failure of its own.
 * No handler is called any more; `closed` is, from the loop, when the worker has let go.
 */
void image_file_close(struct image_file *file, bool keep_part, void (*closed)(void *context));

#endif
