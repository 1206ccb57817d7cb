/*
 * The checkpoint file: from where on a log must be read after a restart.
 *
 * Written whole, to a temporary file that is synced and renamed, so that it is always either the
 * old or the new one. Sealed by a checksum: a damaged one is an error, not a fresh start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LOG_CHECKPOINT_H
#define LOG_CHECKPOINT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/codec.h"
#include "base/slice.h"
#include "base/status.h"

#define LOG_CHECKPOINT_FILES_MAX 1024       /* Log files that the oldest open message lies back. */
#define LOG_CHECKPOINT_CONTEXT_SIZE_MAX 512 /* Bytes. */

/* Which file it was: by its inode, and by its first bytes, for inodes are used again. */
struct log_file_identity {
    uint64_t device;
    uint64_t inode;
    uint64_t head_size; /* Bytes that `head_crc` covers; 0: the file was empty. */
    uint64_t head_crc;
};

struct log_checkpoint {
    struct codec_list files; /* struct log_file_identity, oldest first; never empty. */
    uint64_t offset;         /* In the first of them. */
    struct slice context;    /* Whatever the reader of the log needs to read on. */
};

/* Fails with STATUS_NOT_FOUND if there is none, STATUS_CORRUPT if it is not a checkpoint, or as
 * fail_errno() says. All in `*out` lives in `arena`. */
MUST_USE struct status log_checkpoint_load(const char *path, struct arena *arena,
                                           struct log_checkpoint *out);

/* Fails as fail_errno() says; the checkpoint before it is still there then. */
MUST_USE struct status log_checkpoint_save(const char *path,
                                           const struct log_checkpoint *checkpoint);

#endif
