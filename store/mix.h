/*
 * Mixing bytes into 128 bits: fast, without a key, the same on every machine. It finds accidents
 * (a replica that went another way), not attacks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_MIX_H
#define STORE_MIX_H

#include <stdint.h>

#include "base/slice.h"

struct mix {
    uint64_t lanes[2];
};

/* Mix the bytes and their size in. */
void mix_bytes(struct mix *mix, struct slice bytes);
void mix_u64(struct mix *mix, uint64_t value);

/* 16 bytes, big-endian. */
void mix_write(const struct mix *mix, uint8_t out[16]);

/* A hash of its own for one value. */
uint64_t mix_hash(uint64_t seed, struct slice bytes);

#endif
