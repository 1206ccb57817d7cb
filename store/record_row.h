/*
 * Records as they are stored: packed by hand, for they are most of what is written.
 *
 *   record    flags 1, kind 1, serial size 1, id size 1, keys 2, body size 4, revision 8,
 *             observed 8, stored 8; serial, id, body; then each key: kind 1, size 2, value
 *   identity  kind 1, serial size 1, serial, id size 1, id, revision 8
 *
 * All numbers big-endian. Sizes stand before ids so that decimal ids sort as numbers: rows of one
 * appliance are inserted side by side, and few pages are touched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_RECORD_ROW_H
#define STORE_RECORD_ROW_H

#include "store/store.h"
#include "txn.h"

#define RECORD_IDENTITY_SIZE_MAX (11 + STORE_SERIAL_SIZE_MAX + STORE_RECORD_ID_SIZE_MAX)

enum record_flag {
    RECORD_FLAG_DISCARDED = 1, /* A dead letter that an operator gave up. */
};

/* A stored record, borrowing from the bytes it was read from. */
struct record_row {
    unsigned flags;
    uint64_t kind;
    uint64_t revision;
    uint64_t observed_at_ms;
    uint64_t stored_at_ms;
    struct slice serial;
    struct slice id;
    struct slice body;
    size_t key_count;
    struct slice keys; /* Packed; see record_row_key(). */
};

/* Replace what `out` holds. False when memory runs out. */
bool record_row_pack(struct buffer *out, const struct record_put *put, uint64_t stored_at_ms);

/* False if the bytes are no record. */
bool record_row_parse(struct slice stored, struct record_row *out);

/* Take the first key off `*keys`; false at the end. */
bool record_row_key(struct slice *keys, struct index_key *out);

/* Does the record have this key? */
bool record_row_has(const struct record_row *row, const struct index_key *key);

/* Set the flags of packed bytes. */
void record_row_flag(struct buffer *packed, unsigned flags);

/* The identity of a record as a key; `storage` holds its bytes. */
struct slice record_identity(uint64_t kind, struct slice serial, struct slice id, uint64_t revision,
                             uint8_t storage[RECORD_IDENTITY_SIZE_MAX]);

/* Read the record of this sequence; false if there is none. STATUS_CORRUPT is latched. */
bool record_row_get(struct txn *txn, uint64_t sequence, struct record_row *out);

#endif
