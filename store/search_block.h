/*
 * The search index: for every 4,096 sequences one block, a sorted array that is written once and
 * never changed (docs/adr/0008-search-index.md).
 *
 * A block's value is [lowest observed_at_ms][highest][entry]..., all big-endian u64; an entry is 48
 * bits of the key's hash and 16 bits of offset in the block. Hashes may collide: whoever finds a
 * record compares its keys.
 *
 * Derived from the record table, and so not part of the rolling digest. Records above the last
 * whole block have no entries: search reads them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_SEARCH_BLOCK_H
#define STORE_SEARCH_BLOCK_H

#include "record_row.h"
#include "txn.h"

#define SEARCH_BLOCK_COUNT 4096U /* Sequences; at most 65,536. */

/* Sequences begin at 1: block n holds n * 4096 + 1 to (n + 1) * 4096. */
uint64_t search_block_of(uint64_t sequence);
uint64_t search_block_first(uint64_t block);

/* Build the block whose last sequence this is; does nothing for any other sequence. */
void search_block_close(struct txn *txn, uint64_t sequence);

/* Delete the block of this sequence if it is built and no record is left in it. */
void search_block_release(struct txn *txn, uint64_t sequence);

/* A built block, borrowing from the map. */
struct search_block {
    uint64_t first_sequence;
    uint64_t observed_min_ms;
    uint64_t observed_max_ms;
    const uint8_t *entries;
    size_t entry_count;
};

/* Latches STATUS_CORRUPT and returns false if key and value are no block. */
bool search_block_parse(struct txn *txn, struct slice key, struct slice value,
                        struct search_block *out);

/* The entries of this key are [*begin, *end), in ascending order of sequence. */
void search_block_find(const struct search_block *block, const struct index_key *key, size_t *begin,
                       size_t *end);
uint64_t search_block_sequence(const struct search_block *block, size_t entry);

#endif
