/*
 * Queries on the audit, and on the size of the store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <sys/stat.h>

#include "audit.h"
#include "query_records.h"
#include "store/store.h"
#include "store_state.h"

struct status store_audit(struct store *store, struct arena *arena, uint64_t after_sequence,
                          size_t count_max, struct codec_list *out)
{
    uint64_t last = store->head.audit_sequence;
    uint64_t left = after_sequence < last ? last - after_sequence : 0;
    size_t page = page_count(count_max);
    struct txn txn;
    reader_begin(&txn, store, arena);
    if (left < page) {
        page = (size_t)left;
    }
    if (page_begin(&txn, page, sizeof(struct audit_view), out) && page > 0) {
        uint64_t key;
        struct scan scan;
        scan_open(&scan, &txn, TABLE_AUDIT);
        bool more = scan_seek(&scan, u64_key(after_sequence + 1, &key));
        while (more && out->count < page) {
            audit_decode(&txn, scan.value, (struct audit_view *)out->items + out->count++);
            more = scan_next(&scan);
        }
        scan_close(&scan);
    }
    return reader_end(&txn, store, true, "audit");
}

struct status store_audit_verify(struct store *store, uint64_t *line_count)
{
    struct txn txn;
    reader_begin(&txn, store, NULL);
    txn_fail(&txn, audit_verify(&txn));
    *line_count = store->head.audit_sequence;
    return reader_end(&txn, store, true, "audit");
}

struct status store_audit_verify_flushed(struct store *store, uint64_t *line_count)
{
    struct txn txn;
    struct head head;
    flushed_begin(&txn, store, NULL, &head);
    txn_fail(&txn, audit_verify(&txn));
    *line_count = head.audit_sequence;
    return flushed_end(&txn, store);
}

void store_library(char *out, size_t out_size)
{
    (void)snprintf(out, out_size, "%s", mdb_version(NULL, NULL, NULL));
}

static uint64_t pages_in_use(struct txn *txn)
{
    uint64_t pages = 0;
    MDB_stat stat_of_table;
    for (int i = 0; i < TABLE_COUNT && !failed(txn->status); i++) {
        if (mdb_stat(txn->mdb, txn->tables[i], &stat_of_table) == MDB_SUCCESS) {
            pages += stat_of_table.ms_branch_pages + stat_of_table.ms_leaf_pages +
                     stat_of_table.ms_overflow_pages;
        }
    }
    return pages;
}

void store_size(struct store *store, struct store_size *out)
{
    struct txn txn;
    MDB_stat stat_of_env = {0};
    struct stat file = {0};
    int fd = -1;
    *out = (struct store_size){
        .max = store->map_size_max,
        .record_count = store->head.export.retained,
    };
    reader_begin(&txn, store, NULL);
    if (!failed(txn.status)) {
        (void)mdb_env_stat(store->env, &stat_of_env);
        out->used = pages_in_use(&txn) * stat_of_env.ms_psize;
        if (mdb_env_get_fd(store->env, &fd) == MDB_SUCCESS && fstat(fd, &file) == 0) {
            out->on_disk = (uint64_t)file.st_size;
        }
    }
    reader_close(&txn, store);
}
