/*
 * The bytes of an image in a file: what the side that serves one (image_spool.h) and the side that
 * receives one (image_file.h) both do with them. On worker threads: everything here may block.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef IMAGE_BYTES_H
#define IMAGE_BYTES_H

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct uv_loop_s;

#define IMAGE_PATH_SIZE 4096U
#define IMAGE_DIGEST_SIZE 32U /* SHA-256. */

/* How much of an image may be in memory and not yet on the way to the disk: so the sync at its end
 * is short, and a log on the same disk does not wait behind a gigabyte. */
#define IMAGE_BEHIND_SIZE (8U << 20U)

/* What an image leaves free of a file system: this, or a sixteenth of it if that is less. The log
 * and the store need it more. */
#define IMAGE_FREE_MIN ((uint64_t)128 << 20U)

/* Hash the first `size` bytes of the file. STATUS_IO, STATUS_NO_MEMORY, or STATUS_UNKNOWN once
 * `*cancelled` (NULL: never) is set. */
MUST_USE struct status image_bytes_hash(int fd, uint64_t size, const atomic_bool *cancelled,
                                        EVP_MD_CTX *digest);

/* The digest of what was hashed so far; `digest` can go on. */
MUST_USE struct status image_bytes_digest(const EVP_MD_CTX *digest, uint8_t out[IMAGE_DIGEST_SIZE]);

/* Append `bytes` to the file, which has `*size` bytes; let the disk keep up, and stop with STATUS_FULL
 * before IMAGE_FREE_MIN is touched. `path` is for the message. */
MUST_USE struct status image_bytes_write(int fd, const char *path, struct slice bytes,
                                         uint64_t *size);

/* Sync the file and its name. */
MUST_USE struct status image_bytes_sync(int fd, const char *path);
MUST_USE struct status image_bytes_sync_folder(const char *path);

/* Remove the file, if it is there: at once by its name, which gets this suffix, then on a thread of the
 * loop's pool, because freeing gigabytes takes its time. */
#define IMAGE_GONE_SUFFIX ".gone"
void image_bytes_remove(struct uv_loop_s *loop, const char *path);

#endif
