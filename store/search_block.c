/*
 * Building and reading blocks of the search index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "search_block.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define HASH_SEED UINT64_C(0x6d7573746572)
#define OFFSET_MASK UINT64_C(0xFFFF)
#define BLOCK_HEADER_SIZE 16

uint64_t search_block_of(uint64_t sequence)
{
    assert(sequence > 0);
    return (sequence - 1) / SEARCH_BLOCK_COUNT;
}

uint64_t search_block_first(uint64_t block)
{
    return block * SEARCH_BLOCK_COUNT + 1;
}

static uint64_t key_hash(const struct index_key *key)
{
    return mix_hash(HASH_SEED + key->kind, key->value) & ~OFFSET_MASK;
}

static int compare_entries(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

struct building {
    struct buffer entries; /* Host order until it is sorted; the header's place kept free. */
    uint64_t observed_min_ms;
    uint64_t observed_max_ms;
};

static bool add_record(struct building *building, const struct record_row *row, uint64_t offset)
{
    if (row->observed_at_ms < building->observed_min_ms) {
        building->observed_min_ms = row->observed_at_ms;
    }
    if (row->observed_at_ms > building->observed_max_ms) {
        building->observed_max_ms = row->observed_at_ms;
    }
    struct slice keys = row->keys;
    struct index_key key;
    while (record_row_key(&keys, &key)) {
        uint64_t entry = key_hash(&key) | offset;
        if (!buffer_append(&building->entries, &entry, sizeof entry)) {
            return false;
        }
    }
    return true;
}

static void add_records(struct txn *txn, uint64_t block, struct building *building)
{
    uint64_t first = search_block_first(block);
    uint64_t storage;
    struct scan scan;
    scan_open(&scan, txn, TABLE_RECORD);
    for (bool more = scan_seek(&scan, u64_key(first, &storage)); more; more = scan_next(&scan)) {
        uint64_t sequence = u64_of_key(txn, scan.key);
        struct record_row row;
        if (sequence >= first + SEARCH_BLOCK_COUNT) {
            break;
        }
        if (!record_row_parse(scan.value, &row)) {
            txn_fail(txn, fail(STATUS_CORRUPT, "record %llu does not parse",
                               (unsigned long long)sequence));
        } else if (!add_record(building, &row, sequence - first)) {
            txn_fail(txn, fail(STATUS_NO_MEMORY, "index the records"));
        }
    }
    scan_close(&scan);
}

static void sort_and_put(struct txn *txn, uint64_t block, struct building *building)
{
    uint64_t *words = (uint64_t *)(void *)building->entries.data;
    size_t count = building->entries.size / sizeof *words;
    qsort(words + 2, count - 2, sizeof *words, compare_entries);
    words[0] = building->observed_min_ms;
    words[1] = building->observed_max_ms;
    for (size_t i = 0; i < count; i++) {
        words[i] = htobe64(words[i]);
    }
    uint64_t storage;
    txn_append(txn, TABLE_SEARCH, u64_key(block, &storage), buffer_slice(&building->entries));
}

void search_block_close(struct txn *txn, uint64_t sequence)
{
    if (sequence % SEARCH_BLOCK_COUNT != 0 || failed(txn->status)) {
        return;
    }
    static const uint8_t header[BLOCK_HEADER_SIZE] = {0};
    struct building building = {.observed_min_ms = UINT64_MAX};
    uint64_t block = search_block_of(sequence);
    if (!buffer_append(&building.entries, header, sizeof header)) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "index the records"));
    }
    add_records(txn, block, &building);
    if (!failed(txn->status)) {
        sort_and_put(txn, block, &building);
    }
    buffer_release(&building.entries);
}

void search_block_release(struct txn *txn, uint64_t sequence)
{
    uint64_t block = search_block_of(sequence);
    uint64_t first = search_block_first(block);
    uint64_t storage;
    struct scan scan;
    scan_open(&scan, txn, TABLE_RECORD);
    bool used = scan_seek(&scan, u64_key(first, &storage)) &&
                u64_of_key(txn, scan.key) < first + SEARCH_BLOCK_COUNT;
    scan_close(&scan);
    if (!used) {
        txn_delete(txn, TABLE_SEARCH, u64_key(block, &storage));
    }
}

static uint64_t read_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return be64toh(word);
}

bool search_block_parse(struct txn *txn, struct slice key, struct slice value,
                        struct search_block *out)
{
    uint64_t block = u64_of_key(txn, key);
    const uint8_t *bytes = value.data;
    if (value.size < BLOCK_HEADER_SIZE || value.size % sizeof(uint64_t) != 0) {
        txn_fail(txn, fail(STATUS_CORRUPT, "search block %llu does not parse",
                           (unsigned long long)block));
        return false;
    }
    *out = (struct search_block){
        .first_sequence = search_block_first(block),
        .observed_min_ms = read_word(bytes),
        .observed_max_ms = read_word(bytes + sizeof(uint64_t)),
        .entries = bytes + BLOCK_HEADER_SIZE,
        .entry_count = (value.size - BLOCK_HEADER_SIZE) / sizeof(uint64_t),
    };
    return !failed(txn->status);
}

static uint64_t entry_at(const struct search_block *block, size_t entry)
{
    return read_word(block->entries + entry * sizeof(uint64_t));
}

/* The first entry at or above `word`. */
static size_t lower_bound(const struct search_block *block, uint64_t word)
{
    size_t low = 0;
    size_t high = block->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_at(block, middle) < word) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void search_block_find(const struct search_block *block, const struct index_key *key, size_t *begin,
                       size_t *end)
{
    uint64_t hash = key_hash(key);
    *begin = lower_bound(block, hash);
    *end = *begin;
    while (*end < block->entry_count && (entry_at(block, *end) & ~OFFSET_MASK) == hash) {
        (*end)++;
    }
}

uint64_t search_block_sequence(const struct search_block *block, size_t entry)
{
    return block->first_sequence + (entry_at(block, entry) & OFFSET_MASK);
}
