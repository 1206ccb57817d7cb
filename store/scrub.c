/*
 * The scrub: reading the open store for ever round, some bytes at a time, so that damage is found
 * though nobody asks for the row it sits in.
 *
 * Each step is a read transaction of its own: a long one would keep LMDB from using freed pages
 * again. Rows that are put behind it meanwhile wait for the next round.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "store_state.h"

_Static_assert(sizeof((struct store_scrub *)NULL)->key == TXN_KEY_SIZE_MAX, "any key fits");

static bool go_to(struct scan *scan, const struct store_scrub *scrub)
{
    const struct slice key = {.data = scrub->key, .size = scrub->key_size};
    bool more = key.size == 0 ? scan_first(scan) : scan_seek(scan, key);
    if (more && key.size > 0 && slice_equal(scan->key, key)) {
        more = scan_next(scan);
    }
    return more;
}

/* The bytes read of the table it stands in; moves on to the next one at its end. */
static size_t read_table(struct txn *txn, struct store_scrub *scrub, size_t size)
{
    struct scan scan;
    size_t done = 0;
    bool more = true;
    scan_open(&scan, txn, (enum table)scrub->table);
    for (more = go_to(&scan, scrub); more && done < size; more = scan_next(&scan)) {
        done += scan.key.size + scan.value.size;
        scrub->rows++;
        scrub->key_size = scan.key.size < sizeof scrub->key ? scan.key.size : sizeof scrub->key;
        memcpy(scrub->key, scan.key.data, scrub->key_size);
    }
    scan_close(&scan);
    if (!more && !failed(txn->status)) {
        scrub->key_size = 0;
        scrub->table++;
    }
    return done;
}

struct status store_scrub(struct store *store, struct store_scrub *scrub, size_t size)
{
    struct txn txn;
    struct head head;
    if (scrub->table >= TABLE_COUNT) {
        scrub->table = 0;
        scrub->rows = 0;
    }
    flushed_begin(&txn, store, NULL, &head);
    for (size_t done = 0; done < size && scrub->table < TABLE_COUNT && !failed(txn.status);) {
        done += read_table(&txn, scrub, size - done);
    }
    if (!failed(txn.status) && scrub->table == TABLE_COUNT) {
        scrub->rounds++;
    }
    return flushed_end(&txn, store);
}
