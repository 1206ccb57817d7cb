/*
 * Fuzz the entries of the log: what is decoded encodes to the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slice commands[BATCH_COUNT_MAX];
    size_t count = 0;
    if (failed(batch_decode((struct slice){.data = data, .size = size}, commands, &count))) {
        return 0;
    }
    void *again = malloc(size);
    if (again == NULL) {
        return 0;
    }
    batch_encode(commands, count, again);
    if (memcmp(again, data, size) != 0) {
        abort();
    }
    free(again);
    return 0;
}
