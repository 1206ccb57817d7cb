/*
 * The one door from the write-ahead log to files: a directory of flat files, as a table of
 * functions.
 *
 * The real one (disk_open) is thin; tests put a simulated disk in its place, which loses and tears
 * what was not synced. What the log relies on, and a simulation must therefore honour:
 *
 *   - bytes written are on the disk for sure only when a later `sync` of that file returned OK;
 *     before, any 512-byte sector may hold the old or the new bytes after a crash;
 *   - a new file, a rename and an unlink are there for sure only when a later `sync_directory`
 *     returned OK; a rename is atomic, it never shows a mixture;
 *   - writing into allocated space does not fail for lack of space.
 *
 * A failure's message names the file. The log calls these from two threads, but never two calls on
 * one file at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISK_H
#define DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/status.h"

#define DISK_NAME_SIZE 32   /* Bytes of a file's name, its zero byte included. */
#define DISK_PARTS_MAX 1020 /* Parts of one write; below IOV_MAX, 1024 on Linux. */

struct disk {
    void *context;

    /* Call `visit` for each file; the order means nothing. */
    struct status (*list)(void *context, void (*visit)(void *visitor, const char *name),
                          void *visitor);

    /* Open for reading and writing. With `create` the file is made empty if it is not there. A file
     * is a number of the disk's own, 0 or above. STATUS_NOT_FOUND if there is none. */
    struct status (*open)(void *context, const char *name, bool create, int *out);
    void (*close)(void *context, int file);
    struct status (*size)(void *context, int file, uint64_t *out);

    /* Make the file `size` bytes long, with all of its space. STATUS_FULL leaves it as it was or
     * partly allocated. */
    struct status (*allocate)(void *context, int file, uint64_t size);

    /* Read exactly `size` bytes; STATUS_CORRUPT if the file ends before. */
    struct status (*read)(void *context, int file, void *out, size_t size, uint64_t offset);

    /* Write all parts one after the other; the array may be changed. At most DISK_PARTS_MAX. */
    struct status (*write)(void *context, int file, struct iovec *parts, int count,
                           uint64_t offset);
    struct status (*sync)(void *context, int file); /* Data, and what is needed to read it. */

    struct status (*rename)(void *context, const char *from, const char *to); /* Replaces `to`. */
    struct status (*unlink)(void *context, const char *name);
    struct status (*sync_directory)(void *context);
};

/* Open a directory, made with mode 0700 if absent (its parent must be there), and lock it against
 * every other opener. Fails with STATUS_BUSY ("in use by another process") or STATUS_IO. */
MUST_USE struct status disk_open(const char *directory, struct disk *out);

/* Release the lock. Files must be closed before. A zero-initialised disk is allowed. */
void disk_close(struct disk *disk);

#endif
