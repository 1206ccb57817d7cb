/*
 * Segments' headers and records, to bytes and back. The layout stands in wal_format.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wal_format.h"

#include <string.h>

#include "base/crc32c.h"

static const char magic[8] = {'m', 'u', 's', 't', 'r', 'W', 'A', 'L'};

#define HEADER_CHECKSUM_AT (WAL_HEADER_SIZE - 4U)

void wal_put_u16(uint8_t *out, uint16_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8U);
}

void wal_put_u32(uint8_t *out, uint32_t value)
{
    wal_put_u16(out, (uint16_t)value);
    wal_put_u16(out + 2, (uint16_t)(value >> 16U));
}

void wal_put_u64(uint8_t *out, uint64_t value)
{
    wal_put_u32(out, (uint32_t)value);
    wal_put_u32(out + 4, (uint32_t)(value >> 32U));
}

uint16_t wal_get_u16(const uint8_t *in)
{
    return (uint16_t)(in[0] | (unsigned)in[1] << 8U);
}

uint32_t wal_get_u32(const uint8_t *in)
{
    return wal_get_u16(in) | (uint32_t)wal_get_u16(in + 2) << 16U;
}

uint64_t wal_get_u64(const uint8_t *in)
{
    return wal_get_u32(in) | (uint64_t)wal_get_u32(in + 4) << 32U;
}

static uint32_t checksum(uint32_t seed, const uint8_t *data, size_t size)
{
    return crc32c(seed, (struct slice){.data = data, .size = size});
}

size_t wal_record_size(size_t payload_size)
{
    return WAL_RECORD_SIZE + ((payload_size + 7) & ~(size_t)7);
}

void wal_header_encode(const struct wal_header *header, uint8_t out[WAL_HEADER_SIZE])
{
    memset(out, 0, WAL_HEADER_SIZE);
    memcpy(out, magic, sizeof magic);
    wal_put_u32(out + 8, WAL_FORMAT_VERSION);
    wal_put_u32(out + 12, header->segment_size);
    wal_put_u64(out + 16, header->sequence);
    wal_put_u64(out + 24, header->salt);
    wal_put_u32(out + HEADER_CHECKSUM_AT, checksum(0, out, HEADER_CHECKSUM_AT));
}

struct status wal_header_decode(const uint8_t in[WAL_HEADER_SIZE], struct wal_header *out)
{
    if (memcmp(in, magic, sizeof magic) != 0 ||
        wal_get_u32(in + HEADER_CHECKSUM_AT) != checksum(0, in, HEADER_CHECKSUM_AT)) {
        return fail(STATUS_CORRUPT, "the header at 0 does not verify");
    }
    uint32_t version = wal_get_u32(in + 8);
    if (version != WAL_FORMAT_VERSION) {
        return fail(STATUS_INVALID, "format version %u, this program reads %u: use the newer one",
                    version, WAL_FORMAT_VERSION);
    }
    *out = (struct wal_header){.segment_size = wal_get_u32(in + 12),
                               .sequence = wal_get_u64(in + 16),
                               .salt = wal_get_u64(in + 24)};
    return OK;
}

/* What all checksums of a segment's life begin with. */
static uint32_t life_seed(const struct wal_header *header)
{
    uint8_t life[16];
    wal_put_u64(life, header->salt);
    wal_put_u64(life + 8, header->sequence);
    return checksum(0, life, sizeof life);
}

static uint32_t record_checksum(uint32_t seed, uint32_t offset,
                                const uint8_t record[WAL_RECORD_SIZE])
{
    uint8_t place[4];
    wal_put_u32(place, offset);
    return checksum(checksum(seed, place, sizeof place), record + 4, WAL_RECORD_SIZE - 4);
}

void wal_record_encode(const struct wal_header *header, uint32_t offset,
                       const struct wal_record *record, uint8_t out[WAL_RECORD_SIZE])
{
    uint32_t seed = life_seed(header);
    wal_put_u32(out + 4, crc32c(seed, record->payload));
    wal_put_u32(out + 8, (uint32_t)record->payload.size);
    wal_put_u16(out + 12, (uint16_t)record->type);
    wal_put_u16(out + 14, record->entry_type);
    wal_put_u32(out + 16, record->synced);
    wal_put_u32(out + 20, 0);
    wal_put_u64(out + 24, record->index);
    wal_put_u64(out + 32, record->term);
    wal_put_u32(out, record_checksum(seed, offset, out));
}

bool wal_record_decode(const struct wal_header *header, struct slice segment, size_t offset,
                       struct wal_record *out)
{
    if (offset > segment.size || segment.size - offset < WAL_RECORD_SIZE) {
        return false;
    }
    const uint8_t *in = (const uint8_t *)segment.data + offset;
    uint16_t type = wal_get_u16(in + 12);
    size_t size = wal_get_u32(in + 8);
    if (type < WAL_RECORD_BEGIN || type > WAL_RECORD_CLOSE || wal_get_u32(in + 20) != 0 ||
        size > segment.size - offset - WAL_RECORD_SIZE) {
        return false;
    }
    uint32_t seed = life_seed(header);
    struct slice payload = {.data = in + WAL_RECORD_SIZE, .size = size};
    if (wal_get_u32(in) != record_checksum(seed, (uint32_t)offset, in) ||
        wal_get_u32(in + 4) != crc32c(seed, payload)) {
        return false;
    }
    *out = (struct wal_record){.type = (enum wal_record_type)type,
                               .entry_type = wal_get_u16(in + 14),
                               .synced = wal_get_u32(in + 16),
                               .index = wal_get_u64(in + 24),
                               .term = wal_get_u64(in + 32),
                               .payload = payload};
    return true;
}

void wal_begin_encode(const struct wal_begin *begin, uint8_t out[WAL_BEGIN_PAYLOAD_SIZE])
{
    wal_put_u64(out, begin->vote);
    wal_put_u64(out + 8, begin->previous_sequence);
    wal_put_u32(out + 16, begin->previous_end);
    wal_put_u32(out + 20, 0);
}

bool wal_begin_decode(struct slice payload, struct wal_begin *out)
{
    if (payload.size != WAL_BEGIN_PAYLOAD_SIZE) {
        return false;
    }
    const uint8_t *in = payload.data;
    *out = (struct wal_begin){.vote = wal_get_u64(in),
                              .previous_sequence = wal_get_u64(in + 8),
                              .previous_end = wal_get_u32(in + 16)};
    return true;
}
