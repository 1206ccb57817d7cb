/*
 * CRC-32C (Castagnoli), RFC 3720 appendix B.4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/slice.h"

/* Checksum of `bytes`, going on from `seed` (0 to begin). Any thread. */
uint32_t crc32c(uint32_t seed, struct slice bytes);

#endif
