/*
 * Which files belong to a log: telling them apart, finding them again, and what comes after one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LOG_FILES_H
#define LOG_FILES_H

#include <limits.h>
#include <stdbool.h>

#include "log_checkpoint.h"

#define LOG_HEAD_SIZE_MAX                                                                          \
    1024 /* Bytes that tell a file from another: header lines with their time. */

/* A log is a file and its rotated predecessors in the same folder: "mail.log", "mail.log.1",
 * "mail.log-20200302", and for the appliance's own "mail.current" also "mail.@20200302T100000.s". */
struct log_files {
    char path[PATH_MAX];
    char folder[PATH_MAX];
    char name[NAME_MAX + 1];
    char stem[NAME_MAX + 1]; /* What the names of rotated files begin with. */
    char own[NAME_MAX + 1];  /* Name of our checkpoint, whose files are no logs; may be empty. */
};

/* `checkpoint_path` may be NULL. STATUS_INVALID if a path is too long, or both are the same. */
MUST_USE struct status log_files_init(struct log_files *files, const char *path,
                                      const char *checkpoint_path);

/* The identity of an open file by its first bytes, at most `head_size_max` of them. */
MUST_USE struct status log_identity_read(int file, uint64_t head_size_max,
                                         struct log_file_identity *out);

/* Whether an open file begins as the identity says. */
bool log_identity_head_matches(int file, const struct log_file_identity *identity);

/* Open the file of an identity, whatever its name: by inode and first bytes, else, for copies, by
 * first bytes alone among the log's own names. It must have `size_min` bytes at least. -1 if it is
 * not there. */
int log_files_find(const struct log_files *files, const struct log_file_identity *identity,
                   uint64_t size_min);

/* Open the file that was begun after the open file `current`: the one changed first among those
 * changed no earlier, leaving out the `known` ones. -1 if there is none. */
int log_files_next(const struct log_files *files, int current,
                   const struct log_file_identity *known, size_t known_count);

#endif
