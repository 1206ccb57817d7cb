/*
 * CRC-32C: the processor's instruction where there is one, a table of 8 bytes a step elsewhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL_REVERSED 0x82F63B78U

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t update_sse42(uint32_t crc, const uint8_t *at,
                                                               size_t size)
{
    uint64_t wide = crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; size > 0; size--, at++) {
        crc = __builtin_ia32_crc32qi(crc, *at);
    }
    return crc;
}
#endif

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1U ^ ((crc & 1U) != 0 ? POLYNOMIAL_REVERSED : 0);
        }
        table[i] = crc;
    }
}

static uint32_t update_table(uint32_t crc, const uint8_t *at, size_t size)
{
    (void)pthread_once(&table_once, make_table);
    for (; size > 0; size--, at++) {
        crc = crc >> 8U ^ table[(crc ^ *at) & 0xFFU];
    }
    return crc;
}

uint32_t crc32c(uint32_t seed, struct slice bytes)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~update_sse42(~seed, bytes.data, bytes.size);
    }
#endif
    return ~update_table(~seed, bytes.data, bytes.size);
}
