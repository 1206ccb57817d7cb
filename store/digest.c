/*
 * Digests: the rolling one that every change is mixed into, the ones kept for comparison, and one
 * over all tables read afresh.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "head.h"
#include "store/store.h"
#include "store_state.h"

void store_digest(const struct store *store, struct store_digest *out)
{
    out->index = store->head.applied_index;
    mix_write(&store->head.mix, out->bytes);
}

struct status store_digest_at(struct store *store, uint64_t index, struct store_digest *out)
{
    if (failed(store->broken)) {
        return store->broken;
    }
    const struct kept_digest *kept = head_find(&store->head, index);
    if (kept != NULL) {
        out->index = index;
        mix_write(&kept->mix, out->bytes);
        return OK;
    }
    return fail(STATUS_NOT_FOUND, "no digest is kept of index %llu", (unsigned long long)index);
}

static void mix_table(struct txn *txn, enum table table, struct mix *mix)
{
    struct scan scan;
    scan_open(&scan, txn, table);
    for (bool more = scan_first(&scan); more; more = scan_next(&scan)) {
        if (table == TABLE_META && (slice_equal(scan.key, slice_of("head")) ||
                                    slice_equal(scan.key, slice_of("format")))) {
            continue; /* Written by a flush; the head as applied is mixed instead. */
        }
        mix_u64(mix, (uint64_t)table);
        mix_bytes(mix, scan.key);
        mix_bytes(mix, scan.value);
    }
    scan_close(&scan);
}

static void mix_all(struct txn *txn, const struct head *head, struct store_digest *out)
{
    struct buffer bytes = {0};
    struct mix mix = {0};
    for (int table = 0; table < TABLE_COUNT; table++) {
        mix_table(txn, (enum table)table, &mix);
    }
    if (!failed(txn->status)) {
        txn_fail(txn, head_encode(head, &bytes));
    }
    mix_bytes(&mix, buffer_slice(&bytes));
    buffer_release(&bytes);
    out->index = head->applied_index;
    mix_write(&mix, out->bytes);
}

struct status store_digest_deep(struct store *store, struct store_digest *out)
{
    struct txn txn;
    reader_begin(&txn, store, NULL);
    mix_all(&txn, &store->head, out);
    return reader_end(&txn, store, true, "digest");
}

struct status store_digest_flushed(struct store *store, struct store_digest *out)
{
    struct txn txn;
    struct head head;
    flushed_begin(&txn, store, NULL, &head);
    mix_all(&txn, &head, out);
    return flushed_end(&txn, store);
}
