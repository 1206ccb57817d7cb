/*
 * Randomness from the system, for ids, nonces, keys and jitter. Never called from apply: what a
 * command needs at random is stamped into it by the leader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Cryptographically strong bytes; the process stops if the system cannot give them. Any thread. */
void random_bytes(void *out, size_t size);

uint64_t random_u64(void);

#endif
