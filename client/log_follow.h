/*
 * Following a log file: its bytes as one stream, across rotations and restarts.
 *
 * The stream is pulled: log_follow_read() gives the next bytes, or none when all that is there was
 * read; the caller decides when to ask again (the folder changed, or a second passed). Nothing here
 * waits, so nothing here needs a clock.
 *
 * Rotation by renaming: the old file is read to its end before the new one is begun; after a
 * restart, the old file is found again by its inode and first bytes under whatever name it has in
 * the same folder, and files rotated in the meantime are read in the order of their times.
 * Rotation by copying and truncating: the file is begun again; what was written between our last
 * read and the truncation is only in the copy, and counted as a gap. Compressed files are not read.
 * A file that ends within a line has that line ended.
 *
 * Positions in the stream are counted from an arbitrary beginning, for one object only; a
 * checkpoint says which file and which byte of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LOG_FOLLOW_H
#define LOG_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "log_checkpoint.h"

#define LOG_FOLLOW_CHUNK_SIZE ((size_t)128 << 10) /* Bytes given at a time. */

struct log_follow_counts {
    uint64_t rotations;
    uint64_t truncations; /* Each may have lost lines. */
    uint64_t gaps;        /* The file of the checkpoint was gone: lines may be missing. */
};

struct log_follow;

/*
 * Open a log, at the checkpoint in `checkpoint_path` if there is one, else at its beginning.
 * `checkpoint_path` may be NULL: then nothing is remembered. `*context` gets a copy of the
 * checkpoint's context, empty if there is none.
 *
 * Fails with STATUS_NOT_FOUND if the log does not exist, STATUS_INVALID if it is compressed or no
 * file, STATUS_BUSY if another process uses the same checkpoint, or as log_checkpoint_load() does.
 */
MUST_USE struct status log_follow_open(const char *path, const char *checkpoint_path,
                                       struct buffer *context, struct log_follow **out);
void log_follow_close(struct log_follow *follow); /* Takes NULL. Saves nothing. */

/* In the stream, of the next byte to be read. */
uint64_t log_follow_position(const struct log_follow *follow);

/* The next bytes, valid until the next call; empty if there are none now. Fails as fail_errno()
 * says, or with STATUS_FULL if the last checkpoint lies LOG_CHECKPOINT_FILES_MAX files back. */
MUST_USE struct status log_follow_read(struct log_follow *follow, struct slice *out);

/* Remember that reading must go on at `position`, which must not be before that of the last call.
 * Nothing happens if there is no checkpoint file. */
MUST_USE struct status log_follow_save(struct log_follow *follow, uint64_t position,
                                       struct slice context);

const struct log_follow_counts *log_follow_counts(const struct log_follow *follow);

/* Bytes of the file being read that are not read yet, for progress. */
uint64_t log_follow_remaining(const struct log_follow *follow);

#endif
