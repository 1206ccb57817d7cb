/*
 * Two lanes of 64 x 64 -> 128 bit multiplications whose halves are folded together, after the
 * construction that wyhash and its kin share: each 16 bytes take one multiplication a lane.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "mix.h"

#include <endian.h>
#include <string.h>

/* Odd, with as many bits set as not: the fractional parts of the square roots of 2, 3, 5, 7, 11,
 * made odd. */
#define MIX_A UINT64_C(0x6a09e667f3bcc909)
#define MIX_B UINT64_C(0xbb67ae8584caa73b)
#define MIX_C UINT64_C(0x3c6ef372fe94f82b)
#define MIX_D UINT64_C(0xa54ff53a5f1d36f1)
#define MIX_E UINT64_C(0x510e527fade682d1)

static uint64_t fold(uint64_t left, uint64_t right)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64U);
}

static void mix_pair(struct mix *mix, uint64_t first, uint64_t second)
{
    mix->lanes[0] = fold(first ^ MIX_A, second ^ mix->lanes[0] ^ MIX_B);
    mix->lanes[1] = fold(second ^ MIX_C, first ^ mix->lanes[1] ^ MIX_D) + MIX_E;
}

/* Little-endian, so that machines of either order agree. */
static uint64_t read_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

void mix_bytes(struct mix *mix, struct slice bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 16; left -= 16, at += 16) {
        mix_pair(mix, read_u64(at), read_u64(at + 8));
    }
    uint8_t rest[16] = {0};
    if (left > 0) {
        memcpy(rest, at, left);
    }
    mix_pair(mix, read_u64(rest), read_u64(rest + 8));
    mix_u64(mix, bytes.size); /* Tells "a" from "a" and a zero byte. */
}

void mix_u64(struct mix *mix, uint64_t value)
{
    mix_pair(mix, value, MIX_E);
}

void mix_write(const struct mix *mix, uint8_t out[16])
{
    for (size_t i = 0; i < 2; i++) {
        uint64_t lane = htobe64(mix->lanes[i]);
        memcpy(out + 8 * i, &lane, sizeof lane);
    }
}

uint64_t mix_hash(uint64_t seed, struct slice bytes)
{
    struct mix mix = {.lanes = {seed, seed ^ MIX_C}};
    mix_bytes(&mix, bytes);
    return fold(mix.lanes[0] ^ MIX_D, mix.lanes[1] ^ MIX_A);
}
