/*
 * Randomness: getrandom(2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR) {
            abort(); /* Going on with a guessable key would be worse than stopping. */
        }
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

uint64_t random_u64(void)
{
    uint64_t value;
    random_bytes(&value, sizeof value);
    return value;
}
