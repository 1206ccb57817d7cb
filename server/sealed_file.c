/*
 * Files with a checksum: the content, then its CRC-32C, big-endian.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sealed_file.h"

#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/secret.h"
#include "file.h"

uint32_t sealed_file_checksum(struct slice content)
{
    return crc32c(0, content);
}

struct status sealed_file_read(const char *path, size_t size_max, struct buffer *out)
{
    uint32_t stored;
    size_t size_before = out->size;
    struct status status = file_read(path, size_max, out);
    if (failed(status)) {
        return status;
    }
    size_t size = out->size - size_before;
    struct slice content = {.data = out->data + size_before,
                            .size = size < sizeof stored ? 0 : size - sizeof stored};
    bool good = size >= sizeof stored;
    if (good) {
        memcpy(&stored, out->data + size_before + content.size, sizeof stored);
        good = be32toh(stored) == sealed_file_checksum(content);
    }
    out->size = size_before + (good ? content.size : 0);
    return good ? OK : fail(STATUS_CORRUPT, "%s does not match its checksum: damaged", path);
}

struct status sealed_file_write(const char *path, struct slice content)
{
    struct buffer bytes = {0};
    uint32_t stored = htobe32(sealed_file_checksum(content));
    struct status status = buffer_append(&bytes, content.data, content.size) &&
                                   buffer_append(&bytes, &stored, sizeof stored)
                               ? file_write(path, buffer_slice(&bytes))
                               : fail(STATUS_NO_MEMORY, "write %s", path);
    secret_wipe_buffer(&bytes);
    return status;
}
