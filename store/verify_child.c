/*
 * Reading a store whole, in a process that may die of it.
 *
 * What is read, and what it would show:
 *
 *     every row's checksum           a changed, moved or exchanged row
 *     keys ascend, each is found by  a branch page that leads elsewhere, a cycle
 *         a search of its own
 *     rows are as many as LMDB says  a lost leaf
 *     no free page is in use         a free list that would have a page written over
 *     the audit's chain, the head    rows that are whole and not of one state
 *
 * A page that LMDB does not use, and the unused end of one it does, may be anything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "base/alloc.h"
#include "store_state.h"

#define FREE_LIST ((MDB_dbi)0) /* LMDB's own first table, by its documentation. */

struct walk {
    struct store *store;
    struct txn txn;
    struct store_report *report;
    uintptr_t map; /* Where page 0 would be. */
    uint64_t page_count;
    size_t page_size;
    uint8_t *used; /* A bit for each page that rows lie in. */
};

static int compare_keys(struct slice left, struct slice right)
{
    int order = memcmp(left.data, right.data, left.size < right.size ? left.size : right.size);
    return order != 0 ? order : (left.size > right.size) - (left.size < right.size);
}

/* A page begins with its own number, so all pages must agree on where the map begins. */
static void mark(struct walk *walk, enum table table, struct slice value)
{
    uintptr_t at = (uintptr_t)value.data;
    uintptr_t page = at - at % walk->page_size;
    size_t number;
    (void)memcpy(&number, (const char *)value.data - at % walk->page_size, sizeof number);
    uintptr_t map = page - number * walk->page_size;
    size_t last = number + (at - page + value.size) / walk->page_size;
    if ((walk->map != 0 && map != walk->map) || last >= walk->page_count) {
        txn_fail(&walk->txn, fail(STATUS_CORRUPT, "a page of table %u bears another's number",
                                  (unsigned)table));
        return;
    }
    walk->map = map;
    for (; number <= last; number++) {
        walk->used[number / 8] |= (uint8_t)(1U << number % 8);
    }
}

/* A search by the key must come to the very row. */
static void find_again(struct walk *walk, enum table table, const struct scan *scan)
{
    struct slice found;
    if (!txn_get(&walk->txn, table, scan->key, &found) || found.data != scan->value.data) {
        txn_fail(&walk->txn, fail(STATUS_CORRUPT, "a row of table %u is not found by its key",
                                  (unsigned)table));
    }
}

static uint64_t walk_table(struct walk *walk, enum table table)
{
    struct txn *txn = &walk->txn;
    uint8_t before[TXN_KEY_SIZE_MAX];
    size_t before_size = 0;
    MDB_stat stat_of_table = {0};
    uint64_t rows = 0;
    struct scan scan;
    scan_open(&scan, txn, table);
    for (bool more = scan_first(&scan); more; more = scan_next(&scan), rows++) {
        const struct slice last = {.data = before, .size = before_size};
        if (scan.key.size == 0 || scan.key.size > sizeof before ||
            (rows > 0 && compare_keys(last, scan.key) >= 0)) {
            txn_fail(txn, fail(STATUS_CORRUPT, "the keys of table %u are out of order",
                               (unsigned)table));
            break;
        }
        before_size = scan.key.size;
        memcpy(before, scan.key.data, before_size);
        find_again(walk, table, &scan);
        mark(walk, table, scan.value);
        walk->report->bytes += scan.key.size + scan.value.size;
    }
    scan_close(&scan);
    if (!failed(txn->status)) {
        int rv = mdb_stat(txn->mdb, txn->tables[table], &stat_of_table);
        txn_fail(txn, status_of_lmdb(rv, "look at a table"));
    }
    if (!failed(txn->status) && stat_of_table.ms_entries != rows) {
        txn_fail(txn,
                 fail(STATUS_CORRUPT, "table %u has %llu rows where %llu are due", (unsigned)table,
                      (unsigned long long)rows, (unsigned long long)stat_of_table.ms_entries));
    }
    walk->report->rows += rows;
    return rows;
}

/* A row of the free list: how many pages, then their numbers, falling. */
static bool is_good_list(const struct walk *walk, MDB_val value)
{
    size_t count = 0;
    if (value.mv_size < sizeof count) {
        return false;
    }
    memcpy(&count, value.mv_data, sizeof count);
    if (count > value.mv_size / sizeof count - 1) {
        return false;
    }
    size_t above = SIZE_MAX;
    for (size_t i = 1; i <= count; i++) {
        size_t page;
        memcpy(&page, (const char *)value.mv_data + i * sizeof page, sizeof page);
        if (page >= above || page < 2 || page >= walk->page_count ||
            (walk->used[page / 8] & 1U << page % 8) != 0) {
            return false;
        }
        above = page;
    }
    return true;
}

static void walk_free_list(struct walk *walk)
{
    struct txn *txn = &walk->txn;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    if (failed(txn->status)) {
        return;
    }
    int rv = mdb_cursor_open(txn->mdb, FREE_LIST, &cursor);
    uint64_t last = 0;
    while (rv == MDB_SUCCESS) {
        uint64_t number = 0;
        rv = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rv != MDB_SUCCESS) {
            break;
        }
        if (key.mv_size == sizeof number) {
            memcpy(&number, key.mv_data, sizeof number);
        }
        if (number <= last || !is_good_list(walk, value)) {
            txn_fail(txn, fail(STATUS_CORRUPT, "the list of free pages is damaged"));
            break;
        }
        last = number;
    }
    if (rv != MDB_SUCCESS && rv != MDB_NOTFOUND) {
        txn_fail(txn, status_of_lmdb(rv, "read the list of free pages"));
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
}

static struct status walk_all(struct walk *walk)
{
    struct store *store = walk->store;
    MDB_envinfo info;
    MDB_stat stat_of_env;
    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &stat_of_env);
    walk->page_size = stat_of_env.ms_psize;
    walk->page_count = (uint64_t)info.me_last_pgno + 1;
    walk->used = alloc_zeroed(walk->page_count / 8 + 1, 1);
    if (walk->used == NULL) {
        return fail(STATUS_NO_MEMORY, "verify the store");
    }
    reader_begin(&walk->txn, store, &store->arena);
    uint64_t records = 0;
    for (int table = 0; table < TABLE_COUNT && !failed(walk->txn.status); table++) {
        uint64_t rows = walk_table(walk, (enum table)table);
        records = table == TABLE_RECORD ? rows : records;
    }
    walk_free_list(walk);
    if (!failed(walk->txn.status) && records != store->head.export.retained) {
        txn_fail(&walk->txn, fail(STATUS_CORRUPT, "%llu records are there, %llu are counted",
                                  (unsigned long long)records,
                                  (unsigned long long)store->head.export.retained));
    }
    if (!failed(walk->txn.status)) {
        txn_fail(&walk->txn, audit_verify(&walk->txn));
    }
    walk->report->applied_index = store->head.applied_index;
    free(walk->used);
    return reader_end(&walk->txn, store, true, "store");
}

struct status verify_here(const struct store_options *options, struct store_report *out)
{
    struct store store = {
        .env_flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS,
        .map_size_max = options->map_size_max,
        .directory = alloc_text(options->directory),
    };
    struct walk walk = {.store = &store, .report = out};
    struct status status =
        store.directory == NULL ? fail(STATUS_NO_MEMORY, "verify the store") : store_attach(&store);
    if (!failed(status)) {
        status = walk_all(&walk);
    }
    store_detach(&store);
    arena_release(&store.arena);
    free(store.directory);
    return status;
}
