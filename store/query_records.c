/*
 * Queries on records: the export's counters, the outbox, dead letters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "query_records.h"

#include "rows.h"
#include "store/store.h"
#include "store_state.h"

static enum record_fate fate_of(struct txn *txn, uint64_t sequence, const struct record_row *row)
{
    uint64_t key;
    struct slice dead;
    if (sequence > txn->head->export.mark) {
        return RECORD_PENDING;
    }
    if ((row->flags & RECORD_FLAG_DISCARDED) != 0) {
        return RECORD_DISCARDED;
    }
    return txn_get(txn, TABLE_DEAD_LETTER, u64_key(sequence, &key), &dead) ? RECORD_DEAD
                                                                           : RECORD_DELIVERED;
}

static struct slice copy(struct txn *txn, struct slice bytes)
{
    struct slice copied = arena_copy(txn->arena, bytes);
    if (copied.data == NULL) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "read a record"));
    }
    return copied;
}

void record_view_fill(struct txn *txn, uint64_t sequence, const struct record_row *row,
                      struct record_view *out)
{
    *out = (struct record_view){
        .sequence = sequence,
        .kind = row->kind,
        .serial = copy(txn, row->serial),
        .id = copy(txn, row->id),
        .revision = row->revision,
        .observed_at_ms = row->observed_at_ms,
        .stored_at_ms = row->stored_at_ms,
        .body = copy(txn, row->body),
        .fate = fate_of(txn, sequence, row),
    };
}

bool page_begin(struct txn *txn, size_t count_max, size_t item_size, struct codec_list *out)
{
    *out = (struct codec_list){.items = arena_alloc(txn->arena, count_max, item_size)};
    if (out->items == NULL) {
        txn_fail(txn, fail(STATUS_NO_MEMORY, "answer a query"));
    }
    return !failed(txn->status);
}

size_t page_count(size_t count_max)
{
    return count_max < STORE_PAGE_MAX ? count_max : STORE_PAGE_MAX;
}

static uint64_t oldest_sequence(struct txn *txn)
{
    struct scan scan;
    scan_open(&scan, txn, TABLE_RECORD);
    uint64_t sequence = scan_first(&scan) ? u64_of_key(txn, scan.key) : 0;
    scan_close(&scan);
    return sequence;
}

struct status store_export(struct store *store, struct arena *arena, struct export_view *out)
{
    const struct export_counters *export = &store->head.export;
    struct export_row row;
    struct txn txn;
    reader_begin(&txn, store, arena);
    export_row_get(&txn, &row);
    *out = (struct export_view){
        .produced = export->produced,
        .delivered = export->delivered,
        .pending = export->last_sequence - export->mark,
        .dead_lettered = export->dead_lettered,
        .discarded = export->discarded,
        .duplicates = export->duplicates,
        .mark = export->mark,
        .last_sequence = export->last_sequence,
        .retained = export->retained,
        .oldest_sequence = oldest_sequence(&txn),
        .paused = row.paused,
        .pause_reason = row.pause_reason,
        .delivered_at_ms = export->delivered_at_ms,
        .cloud_pause_until_ms = row.cloud_pause_until_ms,
        .cloud_pause_reason = row.cloud_pause_reason,
        .outbox_max = store->outbox_max,
    };
    return reader_end(&txn, store, true, "export");
}

struct status store_calls(struct store *store, struct arena *arena, uint64_t now_ms,
                          struct calls_view *out)
{
    struct calls_row row;
    struct txn txn;
    reader_begin(&txn, store, arena);
    calls_row_get(&txn, &row);
    const struct calls_minute *counts = row.counts.items;
    *out = (struct calls_view){.limit = row.limit};
    for (size_t i = 0; i < row.counts.count; i++) {
        if (calls_minute_counts(counts[i].minute, now_ms / CALLS_MINUTE_MS)) {
            out->last_hour += counts[i].count;
        }
    }
    return reader_end(&txn, store, true, "calls");
}

/* Add the record under the cursor; false when the answer is full. */
static bool add_pending(struct scan *scan, size_t *size_left, struct codec_list *out)
{
    struct record_row row;
    uint64_t sequence = u64_of_key(scan->txn, scan->key);
    if (!record_row_parse(scan->value, &row)) {
        txn_fail(scan->txn,
                 fail(STATUS_CORRUPT, "record %llu does not parse", (unsigned long long)sequence));
        return false;
    }
    if (out->count > 0 && row.body.size > *size_left) {
        return false;
    }
    *size_left -= row.body.size < *size_left ? row.body.size : *size_left;
    record_view_fill(scan->txn, sequence, &row, (struct record_view *)out->items + out->count);
    out->count++;
    return true;
}

struct status store_outbox(struct store *store, struct arena *arena, uint64_t sequence,
                           size_t count_max, size_t size_max, struct codec_list *out)
{
    uint64_t mark = store->head.export.mark;
    uint64_t after = sequence > mark ? sequence : mark;
    uint64_t pending = store->head.export.last_sequence - mark;
    size_t page = page_count(count_max);
    struct txn txn;
    reader_begin(&txn, store, arena);
    if (pending < page) {
        page = (size_t)pending;
    }
    if (page_begin(&txn, page, sizeof(struct record_view), out) && after < UINT64_MAX) {
        uint64_t key;
        struct scan scan;
        scan_open(&scan, &txn, TABLE_RECORD);
        bool more = scan_seek(&scan, u64_key(after + 1, &key));
        while (more && out->count < page && add_pending(&scan, &size_max, out)) {
            more = scan_next(&scan);
        }
        scan_close(&scan);
    }
    return reader_end(&txn, store, true, "outbox");
}

static void add_dead_letter(struct scan *scan, struct codec_list *out)
{
    struct txn *txn = scan->txn;
    uint64_t sequence = u64_of_key(txn, scan->key);
    struct dead_letter_row letter = {0};
    struct record_row row;
    row_decode(txn, scan->value, &dead_letter_row_codec, &letter);
    if (!record_row_get(txn, sequence, &row)) {
        txn_fail(txn, fail(STATUS_CORRUPT, "dead letter %llu has no record",
                           (unsigned long long)sequence));
        return;
    }
    struct dead_letter_view *view = (struct dead_letter_view *)out->items + out->count++;
    record_view_fill(txn, sequence, &row, &view->record);
    view->reason = letter.reason;
    view->at_ms = letter.at_ms;
}

struct status store_dead_letters(struct store *store, struct arena *arena, uint64_t after_sequence,
                                 size_t count_max, struct codec_list *out)
{
    size_t page = page_count(count_max);
    struct txn txn;
    reader_begin(&txn, store, arena);
    if (store->head.export.dead_lettered < page) {
        page = (size_t)store->head.export.dead_lettered;
    }
    if (page_begin(&txn, page, sizeof(struct dead_letter_view), out) &&
        after_sequence < UINT64_MAX) {
        uint64_t key;
        struct scan scan;
        scan_open(&scan, &txn, TABLE_DEAD_LETTER);
        bool more = scan_seek(&scan, u64_key(after_sequence + 1, &key));
        while (more && out->count < page) {
            add_dead_letter(&scan, out);
            more = scan_next(&scan);
        }
        scan_close(&scan);
    }
    return reader_end(&txn, store, true, "dead letters");
}
