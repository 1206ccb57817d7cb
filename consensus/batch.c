/*
 * Batches of commands as bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "batch.h"

#include <endian.h>
#include <string.h>

#define HEADER_SIZE 8U
#define SIZE_SIZE 4U

static uint32_t get_u32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static void put_u32(unsigned char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

size_t batch_size(size_t count, size_t commands_size)
{
    size_t size = HEADER_SIZE + count * SIZE_SIZE + commands_size;
    return (size + 7) & ~(size_t)7;
}

void batch_encode(const struct slice *commands, size_t count, void *out)
{
    unsigned char *bytes = out;
    unsigned char *at = bytes + HEADER_SIZE + count * SIZE_SIZE;
    memset(bytes, 0, HEADER_SIZE);
    bytes[0] = BATCH_VERSION;
    put_u32(bytes + 4, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_u32(bytes + HEADER_SIZE + i * SIZE_SIZE, (uint32_t)commands[i].size);
        memcpy(at, commands[i].data, commands[i].size);
        at += commands[i].size;
    }
    memset(at, 0, (8 - (size_t)(at - bytes) % 8) % 8);
}

struct status batch_decode(struct slice entry, struct slice commands[BATCH_COUNT_MAX],
                           size_t *count)
{
    const unsigned char *bytes = entry.data;
    if (entry.size < HEADER_SIZE || entry.size % 8 != 0) {
        return fail(STATUS_CORRUPT, "batch of %zu bytes", entry.size);
    }
    if (bytes[0] != BATCH_VERSION || bytes[1] != 0 || bytes[2] != 0 || bytes[3] != 0) {
        return fail(STATUS_CORRUPT, "batch of version %u: a newer program wrote it", bytes[0]);
    }
    uint32_t total = get_u32(bytes + 4);
    if (total == 0 || total > BATCH_COUNT_MAX || total > (entry.size - HEADER_SIZE) / SIZE_SIZE) {
        return fail(STATUS_CORRUPT, "batch of %u commands in %zu bytes", total, entry.size);
    }
    size_t offset = HEADER_SIZE + (size_t)total * SIZE_SIZE;
    for (uint32_t i = 0; i < total; i++) {
        size_t size = get_u32(bytes + HEADER_SIZE + (size_t)i * SIZE_SIZE);
        if (size == 0 || size > entry.size - offset) {
            return fail(STATUS_CORRUPT, "batch: command %u of %zu bytes", i, size);
        }
        commands[i] = (struct slice){.data = bytes + offset, .size = size};
        offset += size;
    }
    if (entry.size - offset >= 8) {
        return fail(STATUS_CORRUPT, "batch: %zu bytes left over", entry.size - offset);
    }
    for (; offset < entry.size; offset++) {
        if (bytes[offset] != 0) {
            return fail(STATUS_CORRUPT, "batch: padding is not zero");
        }
    }
    *count = total;
    return OK;
}
