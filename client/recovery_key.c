/*
 * The recovery key as people keep it: text with a checksum, so that a mistyped one is told from a
 * wrong one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/hex.h"
#include "client/snapshot.h"

#define PREFIX "muster-recovery1."
#define PREFIX_SIZE (sizeof(PREFIX) - 1)
#define CRC_SIZE 4U

struct status recovery_key_format(struct slice key, struct buffer *out)
{
    uint8_t bytes[RECOVERY_KEY_SIZE + CRC_SIZE];
    if (key.size != RECOVERY_KEY_SIZE) {
        return fail(STATUS_INVALID, "a recovery key of %zu bytes", key.size);
    }
    memcpy(bytes, key.data, RECOVERY_KEY_SIZE);
    uint32_t sum = htobe32(crc32c(0, key));
    memcpy(bytes + RECOVERY_KEY_SIZE, &sum, CRC_SIZE);
    struct slice all = {.data = bytes, .size = sizeof bytes};
    bool good = buffer_append(out, PREFIX, PREFIX_SIZE) && base64url_encode(all, out);
    secret_wipe(bytes, sizeof bytes);
    return good ? OK : fail(STATUS_NO_MEMORY, "write the recovery key");
}

struct status recovery_key_parse(struct slice text, struct secret *out)
{
    struct buffer bytes = {0};
    uint32_t sum = 0;
    if (text.size <= PREFIX_SIZE || text.size > RECOVERY_KEY_TEXT_SIZE_MAX ||
        memcmp(text.data, PREFIX, PREFIX_SIZE) != 0) {
        return fail(STATUS_INVALID, "it is no recovery key: one begins with " PREFIX);
    }
    struct slice rest = {.data = (const char *)text.data + PREFIX_SIZE,
                         .size = text.size - PREFIX_SIZE};
    struct status status = base64url_decode(rest, &bytes);
    struct slice key = {.data = bytes.data, .size = RECOVERY_KEY_SIZE};
    if (!failed(status) && bytes.size == RECOVERY_KEY_SIZE + CRC_SIZE) {
        memcpy(&sum, bytes.data + RECOVERY_KEY_SIZE, CRC_SIZE);
    }
    if (failed(status) || bytes.size != RECOVERY_KEY_SIZE + CRC_SIZE ||
        be32toh(sum) != crc32c(0, key)) {
        status = fail(STATUS_INVALID, "the recovery key is cut or mistyped");
    } else {
        status = secret_copy(out, key);
    }
    secret_wipe_buffer(&bytes);
    return status;
}
