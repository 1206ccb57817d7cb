/*
 * Packing and parsing of stored records. Bytes from disk are checked like bytes from anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "record_row.h"

#include <endian.h>
#include <string.h>

#define HEADER_SIZE 34
#define KEY_HEADER_SIZE 3

static void write_u64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

static uint64_t read_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static void write_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8U);
    at[1] = (uint8_t)value;
}

static size_t read_u16(const uint8_t *at)
{
    return (size_t)at[0] << 8U | at[1];
}

static uint8_t *append(uint8_t *at, struct slice bytes)
{
    if (bytes.size > 0) {
        memcpy(at, bytes.data, bytes.size);
    }
    return at + bytes.size;
}

static size_t packed_size(const struct record_put *put)
{
    size_t size = HEADER_SIZE + put->serial.size + put->id.size + put->body.size;
    const struct index_key *keys = put->keys.items;
    for (size_t i = 0; i < put->keys.count; i++) {
        size += KEY_HEADER_SIZE + keys[i].value.size;
    }
    return size;
}

bool record_row_pack(struct buffer *out, const struct record_put *put, uint64_t stored_at_ms)
{
    size_t size = packed_size(put);
    buffer_clear(out);
    if (!buffer_reserve(out, size)) {
        return false;
    }
    uint8_t *at = (uint8_t *)out->data;
    at[0] = 0;
    at[1] = (uint8_t)put->kind;
    at[2] = (uint8_t)put->serial.size;
    at[3] = (uint8_t)put->id.size;
    write_u16(at + 4, put->keys.count);
    write_u16(at + 6, put->body.size >> 16U);
    write_u16(at + 8, put->body.size & 0xFFFFU);
    write_u64(at + 10, put->revision);
    write_u64(at + 18, put->observed_at_ms);
    write_u64(at + 26, stored_at_ms);
    at = append(at + HEADER_SIZE, put->serial);
    at = append(at, put->id);
    at = append(at, put->body);
    const struct index_key *keys = put->keys.items;
    for (size_t i = 0; i < put->keys.count; i++) {
        at[0] = (uint8_t)keys[i].kind;
        write_u16(at + 1, keys[i].value.size);
        at = append(at + KEY_HEADER_SIZE, keys[i].value);
    }
    out->size = size;
    return true;
}

static struct slice take(const uint8_t **at, size_t size)
{
    struct slice bytes = {.data = *at, .size = size};
    *at += size;
    return bytes;
}

bool record_row_parse(struct slice stored, struct record_row *out)
{
    const uint8_t *at = stored.data;
    if (stored.size < HEADER_SIZE) {
        return false;
    }
    size_t serial_size = at[2];
    size_t id_size = at[3];
    size_t body_size = read_u16(at + 6) << 16U | read_u16(at + 8);
    if (serial_size + id_size + body_size > stored.size - HEADER_SIZE) {
        return false;
    }
    *out = (struct record_row){
        .flags = at[0],
        .kind = at[1],
        .revision = read_u64(at + 10),
        .observed_at_ms = read_u64(at + 18),
        .stored_at_ms = read_u64(at + 26),
        .key_count = read_u16(at + 4),
    };
    at += HEADER_SIZE;
    out->serial = take(&at, serial_size);
    out->id = take(&at, id_size);
    out->body = take(&at, body_size);
    out->keys = (struct slice){
        .data = at,
        .size = stored.size - HEADER_SIZE - serial_size - id_size - body_size,
    };
    return true;
}

bool record_row_key(struct slice *keys, struct index_key *out)
{
    const uint8_t *at = keys->data;
    if (keys->size < KEY_HEADER_SIZE) {
        return false;
    }
    size_t size = read_u16(at + 1);
    if (size > keys->size - KEY_HEADER_SIZE) {
        return false;
    }
    *out = (struct index_key){
        .kind = at[0],
        .value = {.data = at + KEY_HEADER_SIZE, .size = size},
    };
    keys->data = at + KEY_HEADER_SIZE + size;
    keys->size -= KEY_HEADER_SIZE + size;
    return true;
}

bool record_row_has(const struct record_row *row, const struct index_key *key)
{
    struct slice keys = row->keys;
    struct index_key found;
    while (record_row_key(&keys, &found)) {
        if (found.kind == key->kind && slice_equal(found.value, key->value)) {
            return true;
        }
    }
    return false;
}

void record_row_flag(struct buffer *packed, unsigned flags)
{
    packed->data[0] = (char)flags;
}

struct slice record_identity(uint64_t kind, struct slice serial, struct slice id, uint64_t revision,
                             uint8_t storage[RECORD_IDENTITY_SIZE_MAX])
{
    uint8_t *at = storage;
    *at++ = (uint8_t)kind;
    *at++ = (uint8_t)serial.size;
    at = append(at, serial);
    *at++ = (uint8_t)id.size;
    at = append(at, id);
    write_u64(at, revision);
    return (struct slice){.data = storage, .size = (size_t)(at + 8 - storage)};
}

bool record_row_get(struct txn *txn, uint64_t sequence, struct record_row *out)
{
    uint64_t key;
    struct slice stored;
    if (!txn_get(txn, TABLE_RECORD, u64_key(sequence, &key), &stored)) {
        return false;
    }
    if (!record_row_parse(stored, out)) {
        txn_fail(txn,
                 fail(STATUS_CORRUPT, "record %llu does not parse", (unsigned long long)sequence));
        return false;
    }
    return true;
}
