/*
 * Queries on the audit, and on the size of the store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "audit.h"
#include "query_records.h"
#include "store/store.h"
#include "store_state.h"

static bool contains(struct slice text, struct slice part)
{
    return part.size == 0 || memmem(text.data, text.size, part.data, part.size) != NULL;
}

static bool passes(const struct audit_filter *filter, const struct audit_view *line)
{
    return line->at_ms >= filter->since_ms &&
           (filter->until_ms == 0 || line->at_ms < filter->until_ms) &&
           contains(line->actor, filter->actor) &&
           (filter->command.size == 0 || slice_equal(line->command, filter->command));
}

/* True when the table has lines beyond `*last`, which was looked at. */
static bool read_page(struct txn *txn, const struct audit_filter *filter, size_t page,
                      struct codec_list *out, uint64_t *last)
{
    uint64_t key;
    size_t looked = 0;
    struct scan scan;
    scan_open(&scan, txn, TABLE_AUDIT);
    bool more = scan_seek(&scan, u64_key(filter->after_sequence + 1, &key));
    while (more && out->count < page && looked < STORE_AUDIT_LOOK_MAX && !failed(txn->status)) {
        struct audit_view line = {0};
        audit_decode(txn, scan.value, &line);
        *last = line.sequence;
        if (passes(filter, &line)) {
            ((struct audit_view *)out->items)[out->count++] = line;
        }
        looked++;
        more = scan_next(&scan);
    }
    scan_close(&scan);
    return more;
}

struct status store_audit_find(struct store *store, struct arena *arena,
                               const struct audit_filter *filter, size_t count_max,
                               struct codec_list *out, uint64_t *next)
{
    uint64_t newest = store->head.audit_sequence;
    uint64_t left = filter->after_sequence < newest ? newest - filter->after_sequence : 0;
    size_t page = page_count(count_max);
    uint64_t last = 0;
    struct txn txn;
    reader_begin(&txn, store, arena);
    *next = 0;
    if (left < page) {
        page = (size_t)left;
    }
    if (page_begin(&txn, page, sizeof(struct audit_view), out) && page > 0 &&
        read_page(&txn, filter, page, out, &last)) {
        *next = last;
    }
    return reader_end(&txn, store, true, "audit");
}

struct status store_audit(struct store *store, struct arena *arena, uint64_t after_sequence,
                          size_t count_max, struct codec_list *out)
{
    const struct audit_filter all = {.after_sequence = after_sequence};
    uint64_t next;
    return store_audit_find(store, arena, &all, count_max, out, &next);
}

static void extent_of(const struct head *head, struct audit_extent *out)
{
    *out = (struct audit_extent){
        .line_count = head->audit_sequence - head->audit_trimmed,
        .trimmed = head->audit_trimmed,
    };
    memcpy(out->anchor, head->audit_anchor, sizeof out->anchor);
}

void store_audit_extent(const struct store *store, struct audit_extent *out)
{
    extent_of(&store->head, out);
}

struct status store_audit_verify(struct store *store, uint64_t *line_count)
{
    struct audit_extent extent;
    struct txn txn;
    reader_begin(&txn, store, NULL);
    txn_fail(&txn, audit_verify(&txn));
    extent_of(&store->head, &extent);
    *line_count = extent.line_count;
    return reader_end(&txn, store, true, "audit");
}

struct status store_audit_verify_flushed(struct store *store, struct audit_extent *out)
{
    struct txn txn;
    struct head head;
    flushed_begin(&txn, store, NULL, &head);
    txn_fail(&txn, audit_verify(&txn));
    extent_of(&head, out);
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
        .full = store->writer.map_full,
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
