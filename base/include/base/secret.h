/*
 * A secret in memory: bytes in pages of their own that are locked (not swapped), left out of core
 * dumps, zero in a child process, and wiped on release. It has no text form: nothing here prints one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/slice.h"
#include "base/status.h"

#define SECRET_SIZE_MAX 65536 /* Bytes. */

/* Zero-initialised is empty. */
struct secret {
    void *pages;
    size_t size;       /* Of the secret, bytes. */
    size_t pages_size; /* Of the mapping, bytes. */
};

/*
 * Room for `size` bytes, at most SECRET_SIZE_MAX, zeroed. `secret` must be empty. Fails with
 * STATUS_NO_MEMORY or STATUS_INVALID. Where the lock limit is too low (RLIMIT_MEMLOCK), the memory
 * is used unlocked: a daemon that cannot start protects nothing.
 */
MUST_USE struct status secret_reserve(struct secret *secret, size_t size);

/* Whether every secret of this process so far was locked; the caller may say so in its log. */
bool secret_all_locked(void);

/* The same, filled with a copy of `bytes`. */
MUST_USE struct status secret_copy(struct secret *secret, struct slice bytes);

/* The bytes, borrowed. Empty for an empty secret. */
struct slice secret_slice(const struct secret *secret);

/* Wipes and gives back. An empty secret is left as it is. */
void secret_release(struct secret *secret);

/* Wipe memory that held a secret on its way; the compiler may not leave it out. */
void secret_wipe(void *data, size_t size);

/* Wipe all that a buffer has room for, and release it. */
void secret_wipe_buffer(struct buffer *buffer);

/* buffer_consume(), and no copy of the bytes stays behind the rest. */
void secret_consume(struct buffer *buffer, size_t size);

/* Equal, in a time that depends on the sizes only. */
bool secret_equal(struct slice left, struct slice right);

#endif
