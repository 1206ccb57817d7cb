/*
 * The bytes of one log entry: the commands that were proposed in one turn of the loop.
 *
 *     u8 version (1), 3 zero bytes, u32 count, `count` times u32 size, the commands one after the
 *     other, zero bytes up to a multiple of 8 (libraft wants that); numbers little-endian
 *
 * Decoding is strict: replicas that read one entry differently would diverge in silence.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BATCH_H
#define BATCH_H

#include <stddef.h>

#include "base/slice.h"

#define BATCH_VERSION 1
#define BATCH_COUNT_MAX 4096U /* Commands. */
/* Bytes at which a batch is full; a larger command goes alone. Large enough that a sync to disk
 * is shared by many, small enough that a follower does not wait long for the first of them. */
#define BATCH_SIZE_MAX ((size_t)256 << 10U)

/* Bytes of a batch of `count` commands of `commands_size` bytes in all. */
size_t batch_size(size_t count, size_t commands_size);

/* Write a batch; `out` has room for batch_size() bytes. */
void batch_encode(const struct slice *commands, size_t count, void *out);

/* Read a batch: the commands borrow from `entry`. STATUS_CORRUPT for anything batch_encode() does
 * not write. */
MUST_USE struct status batch_decode(struct slice entry, struct slice commands[BATCH_COUNT_MAX],
                                    size_t *count);

#endif
