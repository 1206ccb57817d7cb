/*
 * The image that this node serves, as a file beside its log.
 *
 * The machine writes an image of its state once, as fast as the disk takes it, and every peer that
 * asks is sent from that file: so the machine's long read ends in seconds however slow the network
 * is, and a peer that was cut off can go on where it was, also after a restart of either side.
 *
 *     image.tmp --whole, synced--> image-VERSION.spool --nobody asks for it any more--> gone
 *
 * A file is good for a VERSION if its state is not older than that: the index of the snapshot that
 * stood when it was begun. So one that is found after a restart says by its name what it is good for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef IMAGE_SPOOL_H
#define IMAGE_SPOOL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/status.h"

struct image_spool;
struct uv_loop_s;

/* The machine must have written the whole image by then: while it writes, its store cannot use again
 * what changes free. */
#define IMAGE_SPOOL_WRITE_MAX_S 600U

struct image_spool_options {
    const char *directory;
    /* As struct machine's image_write. */
    struct status (*write)(void *context, int fd);
    void *context;
};

/* Removes what a crash left half written. The options are copied. STATUS_NO_MEMORY or STATUS_INVALID
 * (the path is too long). */
MUST_USE struct status image_spool_create(const struct image_spool_options *options,
                                          struct image_spool **out);
/* Files stay, for a restart. No image_spool_get() may be under way. */
void image_spool_destroy(struct image_spool *spool);

/*
 * A file descriptor, read-only and the caller's, of an image that is good for `version`: the one
 * that is there, or a new one, which replaces it. On a worker thread, several at once if need be:
 * the others wait for the one that writes. Ends early with STATUS_UNKNOWN when `*cancelled` is set.
 * STATUS_FULL, STATUS_IO, STATUS_NO_MEMORY, STATUS_TIMEOUT (IMAGE_SPOOL_WRITE_MAX_S), or whatever
 * `write` failed with; then nothing is left behind.
 */
MUST_USE struct status image_spool_get(struct image_spool *spool, uint64_t version,
                                       const atomic_bool *cancelled, int *fd);

/* Remove all files, on a thread of the loop's pool; unless one is being written. On the loop's thread. */
void image_spool_clean(struct image_spool *spool, struct uv_loop_s *loop);

#endif
