/*
 * Search: newest first, over the records above the last whole block one by one, and below it block
 * by block through the index (search_block.h). So the answer is complete at any time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "query_records.h"
#include "search_block.h"
#include "store/store.h"
#include "store_state.h"

struct finding {
    struct txn *txn;
    const struct record_search *search;
    uint64_t last_sequence; /* Nothing above it is wanted. */
    size_t page;            /* Items wanted, and one more to know whether there are more. */
    struct codec_list *out;
};

static bool is_full(const struct finding *finding)
{
    return finding->out->count >= finding->page || failed(finding->txn->status);
}

static bool in_time(const struct finding *finding, uint64_t from_ms, uint64_t to_ms)
{
    const struct record_search *search = finding->search;
    return to_ms >= search->since_ms && (search->until_ms == 0 || from_ms <= search->until_ms);
}

static void consider(struct finding *finding, uint64_t sequence, const struct record_row *row)
{
    const struct record_search *search = finding->search;
    if (sequence > finding->last_sequence ||
        !in_time(finding, row->observed_at_ms, row->observed_at_ms) ||
        (search->key.kind != 0 && !record_row_has(row, &search->key))) {
        return;
    }
    struct codec_list *out = finding->out;
    struct record_view *view = (struct record_view *)out->items + out->count++;
    if (out->count < finding->page) {
        record_view_fill(finding->txn, sequence, row, view);
    }
}

/* Read every record from `last` down to `first`. */
static void read_range(struct finding *finding, uint64_t first, uint64_t last)
{
    struct txn *txn = finding->txn;
    uint64_t key;
    struct scan scan;
    scan_open(&scan, txn, TABLE_RECORD);
    bool more = scan_seek(&scan, u64_key(last, &key));
    if (!more) {
        more = scan_last(&scan);
    } else if (u64_of_key(txn, scan.key) > last) {
        more = scan_previous(&scan);
    }
    for (; more && !is_full(finding); more = scan_previous(&scan)) {
        uint64_t sequence = u64_of_key(txn, scan.key);
        struct record_row row;
        if (sequence < first) {
            break;
        }
        if (!record_row_parse(scan.value, &row)) {
            txn_fail(txn, fail(STATUS_CORRUPT, "record %llu does not parse",
                               (unsigned long long)sequence));
        } else {
            consider(finding, sequence, &row);
        }
    }
    scan_close(&scan);
}

static void read_entries(struct finding *finding, const struct search_block *block)
{
    size_t begin;
    size_t end;
    uint64_t before = 0; /* Two keys of one record may share a hash: entries then repeat. */
    search_block_find(block, &finding->search->key, &begin, &end);
    while (end > begin && !is_full(finding)) {
        uint64_t sequence = search_block_sequence(block, --end);
        struct record_row row;
        if (sequence != before && record_row_get(finding->txn, sequence, &row)) {
            consider(finding, sequence, &row);
        }
        before = sequence;
    }
}

static void read_block(struct finding *finding, const struct search_block *block)
{
    if (!in_time(finding, block->observed_min_ms, block->observed_max_ms)) {
        return;
    }
    if (finding->search->key.kind == 0) {
        read_range(finding, block->first_sequence, block->first_sequence + SEARCH_BLOCK_COUNT - 1);
    } else {
        read_entries(finding, block);
    }
}

/* From the block of `last` down. */
static void read_blocks(struct finding *finding, uint64_t last)
{
    struct txn *txn = finding->txn;
    uint64_t key;
    struct scan scan;
    scan_open(&scan, txn, TABLE_SEARCH);
    bool more = scan_seek(&scan, u64_key(search_block_of(last), &key));
    if (!more) {
        more = scan_last(&scan);
    } else if (u64_of_key(txn, scan.key) > search_block_of(last)) {
        more = scan_previous(&scan);
    }
    for (; more && !is_full(finding); more = scan_previous(&scan)) {
        struct search_block block;
        if (search_block_parse(txn, scan.key, scan.value, &block)) {
            read_block(finding, &block);
        }
    }
    scan_close(&scan);
}

static void find(struct finding *finding)
{
    uint64_t newest = finding->txn->head->export.last_sequence;
    uint64_t tail_first = newest / SEARCH_BLOCK_COUNT * SEARCH_BLOCK_COUNT + 1;
    uint64_t last = finding->last_sequence;
    if (last >= tail_first) {
        read_range(finding, tail_first, last);
        last = tail_first - 1;
    }
    if (last > 0 && !is_full(finding)) {
        read_blocks(finding, last);
    }
}

struct status store_search(struct store *store, struct arena *arena,
                           const struct record_search *search, struct codec_list *out, bool *more)
{
    struct txn txn;
    struct finding finding = {
        .txn = &txn,
        .search = search,
        .last_sequence = store->head.export.last_sequence,
        .page = page_count(search->count_max) + 1,
        .out = out,
    };
    if (search->before_sequence != 0 && search->before_sequence <= finding.last_sequence) {
        finding.last_sequence = search->before_sequence - 1;
    }
    reader_begin(&txn, store, arena);
    if (page_begin(&txn, finding.page, sizeof(struct record_view), out)) {
        find(&finding);
    }
    *more = out->count == finding.page;
    if (*more) {
        out->count--;
    }
    return reader_end(&txn, store, true, "record");
}
