/*
 * Small files that must be whole or absent: read within a bound, write by rename, sync.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_FILE_H
#define SERVER_FILE_H

#include "base/slice.h"
#include "base/status.h"

/* Append the file's bytes. STATUS_NOT_FOUND, STATUS_INVALID above `size_max`, STATUS_IO. */
MUST_USE struct status file_read(const char *path, size_t size_max, struct buffer *out);

/* Put `bytes` there, mode 0600: written beside, synced, renamed, the folder synced. After a failure
 * or a crash the old file is there, whole. */
MUST_USE struct status file_write(const char *path, struct slice bytes);

/* Whether a folder has a file or folder of this name. */
bool file_is_there(const char *folder, const char *name);

/* Make a folder, mode 0700, if it is not there. Its parent must be. */
MUST_USE struct status file_make_folder(const char *path);

MUST_USE struct status file_sync_folder(const char *path);

/* Remove a folder and what is in it; links are removed, not followed. */
MUST_USE struct status file_remove_tree(const char *path);

#endif
