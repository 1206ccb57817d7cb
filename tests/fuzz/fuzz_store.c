/*
 * The store of the fuzzers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_store.h"

#include <stdlib.h>
#include <string.h>

#include "command_fields.h"
#include "search_block.h"
#include "store_script.h"

#define STEPS 300
#define RECORDS_ABOVE_BLOCK 8U
#define ROWS_MAX 512
#define ROWS_OF_TABLE_MAX 40 /* From either end. */

static struct {
    struct fixture fixture;
    struct head head;
    struct fuzz_row rows[ROWS_MAX];
    size_t row_count;
} made;

/* ---- Making it ---- */

static void list_rows(struct txn *txn, enum table table, bool forward)
{
    struct scan scan;
    scan_open(&scan, txn, table);
    size_t count = 0;
    for (bool more = forward ? scan_first(&scan) : scan_last(&scan);
         more && count < ROWS_OF_TABLE_MAX && made.row_count < ROWS_MAX;
         more = forward ? scan_next(&scan) : scan_previous(&scan)) {
        void *key = malloc(scan.key.size);
        fuzz_must(key != NULL, "there is memory");
        memcpy(key, scan.key.data, scan.key.size);
        made.rows[made.row_count++] =
            (struct fuzz_row){.table = table, .key = {.data = key, .size = scan.key.size}};
        count++;
    }
    scan_close(&scan);
}

/* There is a block of the search index, and not much above it, which every search reads. */
static bool is_indexed(const struct export_counters *export)
{
    return export->last_sequence > SEARCH_BLOCK_COUNT &&
           export->last_sequence % SEARCH_BLOCK_COUNT > RECORDS_ABOVE_BLOCK;
}

static void make(void)
{
    struct script script = {.state = 7};
    struct fixture *fixture = &made.fixture;
    fixture_open(fixture);
    fixture_form(fixture);
    fixture_register(fixture);
    (void)fixture_apply(fixture, token_command("t9"));
    (void)fixture_apply(fixture, credential_command("prod", 1));
    for (int i = 0; i < STEPS; i++) {
        (void)fixture_apply(fixture, script_next(&script, fixture));
    }
    for (uint64_t i = 0; !is_indexed(&fixture->store->head.export); i++) {
        fuzz_ok(fixture_try(fixture, record_command(1000 + i)));
    }
    arena_release(&fixture->arena);
    fuzz_ok(store_flush(fixture->store));
    made.head = fixture->store->head;

    struct txn txn;
    struct arena arena = {0};
    reader_begin(&txn, fixture->store, &arena);
    for (int table = 0; table < TABLE_COUNT; table++) {
        list_rows(&txn, (enum table)table, true);
        list_rows(&txn, (enum table)table, false);
    }
    fuzz_ok(reader_end(&txn, fixture->store, true, "row"));
    arena_release(&arena);
}

struct store *fuzz_store_begin(void)
{
    if (made.fixture.store == NULL) {
        make();
    }
    struct store *store = made.fixture.store;
    struct txn *txn = &store->writer; /* As the first command after a flush opens it. */
    txn->tables = store->tables;
    txn->head = &store->head;
    txn->arena = &store->arena;
    txn->divergence = &store->divergence;
    txn->written = 0;
    txn->status = OK;
    fuzz_must(mdb_txn_begin(store->env, NULL, 0, &txn->mdb) == MDB_SUCCESS, "a transaction begins");
    return store;
}

void fuzz_store_roll_back(struct store *store)
{
    txn_abort(&store->writer);
    store->writer.status = OK;
    store->broken = OK;
    store->damage = OK;
    store->head = made.head;
    store->dirty = false;
    store->divergence = (struct divergence){0};
    arena_release(&store->arena);
}

const struct fuzz_row *fuzz_store_rows(size_t *count)
{
    *count = made.row_count;
    return made.rows;
}

/* ---- Commands ---- */

void fuzz_command(struct fuzz_input *input, struct arena *arena, struct command *out)
{
    unsigned type = 1 + fuzz_u8(input) % (COMMAND_TYPE_COUNT - 1);
    *out = (struct command){.type = (enum command_type)type};
    fuzz_value(input, &stamp_codec, arena, &out->stamp);
    fuzz_value(input, command_codec(out->type), arena, &out->body);
}
