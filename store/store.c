/*
 * The store: opening, closing, and the write transaction that entries are applied in.
 *
 * The transaction stays open across entries until store_flush(). A failure within it is final: the
 * transaction is dropped, `broken` keeps the reason, and only opening the store anew and replaying
 * the log helps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "audit.h"
#include "base/alloc.h"
#include "base/fault.h"
#include "store_state.h"

#define STORE_FILE_MODE 0600

/* Bytes of changes after which a flush is due though nobody asked: LMDB holds the pages of a
 * transaction in memory, and can hold no more than 512 MiB of them. */
#define STORE_UNFLUSHED_SIZE_MAX ((size_t)32 << 20U)

/* One keeps the digest of what was applied, the next carries it to the others. */
#define CHECKPOINTS_TO_COMPARE 2U

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",
    [TABLE_MEMBER] = "member",
    [TABLE_JOIN_TOKEN] = "join_token",
    [TABLE_CREDENTIAL] = "credential",
    [TABLE_OPERATOR] = "operator",
    [TABLE_RECORD] = "record",
    [TABLE_IDENTITY] = "identity",
    [TABLE_DEAD_LETTER] = "dead_letter",
    [TABLE_AUDIT] = "audit",
    [TABLE_SEARCH] = "search",
};

char *store_path(const struct store *store, const char *name)
{
    return alloc_print("%s/%s", store->directory, name);
}

/* ---- Opening ---- */

static struct status open_env(struct store *store)
{
    int rv = fault_fires(FAULT_ALLOC) ? ENOMEM : mdb_env_create(&store->env);
    if (rv == MDB_SUCCESS) {
        rv = mdb_env_set_mapsize(store->env, store->map_size_max);
    }
    if (rv == MDB_SUCCESS) {
        rv = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    }
    if (rv == MDB_SUCCESS) {
        rv = mdb_env_open(store->env, store->directory, store->env_flags, STORE_FILE_MODE);
    }
    return status_of_lmdb(rv, "open the data file");
}

/* How large the data file is, and how large its last commit says it is. */
static struct status size_file(struct store *store, uint64_t *size, uint64_t *due, int *fd)
{
    MDB_envinfo info;
    MDB_stat stat_of_env;
    struct stat file;
    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &stat_of_env);
    if (mdb_env_get_fd(store->env, fd) != MDB_SUCCESS || fstat(*fd, &file) != 0) {
        return fail_errno(errno, "look at the data file");
    }
    *size = (uint64_t)file.st_size;
    *due = ((uint64_t)info.me_last_pgno + 1) * stat_of_env.ms_psize;
    return OK;
}

/* LMDB maps the file and trusts its size: a file that was cut short would kill the process at the
 * first page beyond its end. */
static struct status check_file_size(struct store *store)
{
    uint64_t size = 0;
    uint64_t due = 0;
    int fd = -1;
    struct status status = size_file(store, &size, &due, &fd);
    if (!failed(status) && size < due) {
        status = fail(STATUS_CORRUPT, "the data file has %llu bytes where %llu are due",
                      (unsigned long long)size, (unsigned long long)due);
    }
    return status;
}

/* A page that one transaction took at the end of the file and gave back is free, and was never written:
 * then the file is shorter than its last commit says, as if it had been cut. */
static struct status fill_file(struct store *store)
{
    uint64_t size = 0;
    uint64_t due = 0;
    int fd = -1;
    struct status status = size_file(store, &size, &due, &fd);
    if (!failed(status) && size < due && (ftruncate(fd, (off_t)due) != 0 || fdatasync(fd) != 0)) {
        status = fail_errno(errno, "extend the data file");
    }
    return status;
}

/* Made, and left before the first commit. */
static bool is_virgin(MDB_env *env)
{
    MDB_envinfo info = {0};
    return mdb_env_info(env, &info) == MDB_SUCCESS && info.me_last_txnid == 0;
}

static struct status open_tables(struct store *store)
{
    MDB_txn *txn = NULL;
    unsigned read_only = store->env_flags & MDB_RDONLY;
    int rv = mdb_txn_begin(store->env, NULL, read_only, &txn);
    for (int i = 0; rv == MDB_SUCCESS && i < TABLE_COUNT; i++) {
        rv = mdb_dbi_open(txn, table_names[i], read_only ? 0 : MDB_CREATE, &store->tables[i]);
    }
    if (rv == MDB_SUCCESS && fault_fires(FAULT_STORE_COMMIT)) {
        rv = EIO;
    }
    if (rv == MDB_SUCCESS) {
        rv = mdb_txn_commit(txn);
    } else if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    if (rv == MDB_NOTFOUND && is_virgin(store->env)) {
        return fail(STATUS_NOT_FOUND, "open the tables: nothing was ever written");
    }
    return status_of_lmdb(rv, "open the tables");
}

static void check_format(struct txn *txn)
{
    struct slice stored;
    if (txn_has_old_format(txn)) {
        txn_fail(txn, fail(STATUS_INVALID, "it has format 1, of an unreleased muster: let the node "
                                           "leave with that one, and join with this"));
    }
    if (!txn_get(txn, TABLE_META, slice_of("format"), &stored)) {
        return; /* Nothing was ever flushed. */
    }
    uint64_t format = u64_of_key(txn, stored);
    if (format != STORE_FORMAT) {
        txn_fail(txn,
                 fail(STATUS_INVALID, "it has format %llu, this muster reads %d: upgrade muster",
                      (unsigned long long)format, STORE_FORMAT));
    }
}

static struct status read_head(struct store *store)
{
    struct txn txn;
    struct slice stored;
    store->head = (struct head){0};
    reader_begin(&txn, store, &store->arena);
    check_format(&txn);
    if (txn_get(&txn, TABLE_META, slice_of("head"), &stored)) {
        txn_fail(&txn, head_decode(stored, &store->head));
    }
    store->flushed_index = store->head.applied_index;
    store->dirty = false;
    store->divergence = (struct divergence){0};
    store->uncompared = CHECKPOINTS_TO_COMPARE;
    return reader_end(&txn, store, true, "head");
}

struct status store_attach(struct store *store)
{
    struct status status = open_env(store);
    if (!failed(status)) {
        status = check_file_size(store);
    }
    if (!failed(status)) {
        status = open_tables(store);
    }
    if (!failed(status)) {
        status = read_head(store);
    }
    if (failed(status)) {
        store_detach(store);
        return wrap(status, "open %s%s", store->directory,
                    (store->env_flags & MDB_NOSUBDIR) == 0 ? "/data.mdb" : "");
    }
    return OK;
}

void store_detach(struct store *store)
{
    txn_abort(&store->writer);
    if (store->env != NULL) {
        mdb_env_close(store->env);
        store->env = NULL;
    }
}

struct status store_open(const struct store_options *options, struct store **out)
{
    struct store *store = alloc_zeroed(1, sizeof *store);
    if (store == NULL) {
        return fail(STATUS_NO_MEMORY, "open the store");
    }
    store->env_flags = options->read_only ? MDB_RDONLY | MDB_NOTLS : MDB_NOMETASYNC | MDB_NOTLS;
    store->map_size_max = options->map_size_max;
    store->outbox_max = options->outbox_max;
    if (pthread_rwlock_init(&store->image_lock, NULL) != 0) {
        free(store);
        return fail(STATUS_NO_MEMORY, "open the store");
    }
    store->directory = alloc_text(options->directory);
    struct status status =
        store->directory == NULL ? fail(STATUS_NO_MEMORY, "open the store") : store_attach(store);
    if (!failed(status)) {
        status = store_check_level(store);
    }
    if (!failed(status) && !options->read_only) {
        status = image_clean(store);
    }
    if (failed(status)) {
        store_close(store);
        return status;
    }
    *out = store;
    return OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    store_detach(store);
    buffer_release(&store->writer.scratch);
    buffer_release(&store->writer.sealed);
    arena_release(&store->arena);
    (void)pthread_rwlock_destroy(&store->image_lock);
    free(store->directory);
    free(store);
}

/* ---- Reading ---- */

void reader_begin(struct txn *txn, struct store *store, struct arena *arena)
{
    *txn = (struct txn){
        .tables = store->tables,
        .head = &store->head,
        .arena = arena,
        .status = store->broken,
    };
    if (failed(txn->status)) {
        return;
    }
    if (store->writer.mdb != NULL) {
        txn->mdb = store->writer.mdb;
        return;
    }
    int rv = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn->mdb);
    if (rv != MDB_SUCCESS) {
        txn->mdb = NULL;
        txn->status = status_of_lmdb(rv, "begin to read");
    }
}

void reader_close(struct txn *txn, struct store *store)
{
    if (txn->mdb != store->writer.mdb) {
        txn_abort(txn);
    }
}

static void note_damage(struct store *store, struct status status)
{
    if (status.code == STATUS_CORRUPT && !failed(store->damage)) {
        store->damage = status;
    }
}

struct status store_damage(const struct store *store)
{
    return store->damage;
}

struct status reader_end(struct txn *txn, struct store *store, bool found, const char *what)
{
    reader_close(txn, store);
    note_damage(store, txn->status);
    if (!failed(txn->status) && !found) {
        return fail(STATUS_NOT_FOUND, "there is no such %s", what);
    }
    return txn->status;
}

void flushed_begin(struct txn *txn, struct store *store, struct arena *arena, struct head *head)
{
    struct slice stored;
    *head = (struct head){0};
    *txn = (struct txn){.tables = store->tables, .head = head, .arena = arena};
    int rv = pthread_rwlock_rdlock(&store->image_lock);
    if (rv == 0) {
        rv = store->env == NULL ? MDB_BAD_TXN
                                : mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn->mdb);
    }
    if (rv != MDB_SUCCESS) {
        txn->mdb = NULL;
        txn->status = status_of_lmdb(rv, "begin to read");
    } else if (txn_get(txn, TABLE_META, slice_of("head"), &stored)) {
        txn_fail(txn, head_decode(stored, head));
    }
}

struct status flushed_end(struct txn *txn, struct store *store)
{
    txn_abort(txn);
    (void)pthread_rwlock_unlock(&store->image_lock);
    return txn->status;
}

/* ---- Writing ---- */

static void writer_begin(struct store *store)
{
    struct txn *txn = &store->writer;
    if (txn->mdb != NULL) {
        return;
    }
    txn->tables = store->tables;
    txn->head = &store->head;
    txn->arena = &store->arena;
    txn->divergence = &store->divergence;
    txn->written = 0;
    txn->status = OK;
    int rv = mdb_txn_begin(store->env, NULL, 0, &txn->mdb);
    if (rv != MDB_SUCCESS) {
        txn->mdb = NULL;
        txn->status = status_of_lmdb(rv, "begin");
    }
}

static struct status break_store(struct store *store, struct status status)
{
    txn_abort(&store->writer);
    note_damage(store, status);
    store->broken = status;
    return status;
}

/* The head is not mixed into the digest: it holds it. */
static void put_head(struct store *store)
{
    struct txn *txn = &store->writer;
    uint64_t storage;
    struct mix mix = store->head.mix;
    buffer_clear(&txn->scratch);
    if (!failed(txn->status)) {
        txn_fail(txn, head_encode(&store->head, &txn->scratch));
    }
    txn_put(txn, TABLE_META, slice_of("head"), buffer_slice(&txn->scratch));
    txn_put(txn, TABLE_META, slice_of("format"), u64_key(STORE_FORMAT, &storage));
    store->head.mix = mix;
}

struct status store_flush(struct store *store)
{
    if (failed(store->broken) || !store->dirty) {
        return store->broken;
    }
    writer_begin(store);
    put_head(store);
    struct status status = txn_commit(&store->writer);
    if (!failed(status)) {
        status = fill_file(store);
    }
    if (failed(status)) {
        return break_store(store, wrap(status, "flush the store"));
    }
    fault_step(FAULT_STORE_COMMITTED);
    store->flushed_index = store->head.applied_index;
    store->dirty = false;
    return OK;
}

struct status store_sync(struct store *store)
{
    struct status status = store_flush(store);
    if (failed(status)) {
        return status;
    }
    int rv = fault_fires(FAULT_STORE_SYNC) ? EIO : mdb_env_sync(store->env, 1);
    if (rv != MDB_SUCCESS) { /* Never to be tried again: the kernel may have dropped the pages. */
        return break_store(store, status_of_lmdb(rv, "sync the store"));
    }
    return OK;
}

static struct status apply_one(struct store *store, uint64_t index, struct slice bytes,
                               struct apply_outcome *outcome)
{
    struct command command;
    struct status status = command_decode(bytes, &store->arena, &command);
    if (failed(status)) {
        return wrap(status, "entry %llu", (unsigned long long)index);
    }
    apply_command(&store->writer, index, store->outbox_max, &command, outcome);
    if (failed(store->writer.status)) {
        return wrap(store->writer.status, "apply %s at %llu", command_name(command.type),
                    (unsigned long long)index);
    }
    if (command.type != COMMAND_CHECKPOINT) {
        store->uncompared = CHECKPOINTS_TO_COMPARE;
    } else if (store->uncompared > 0) {
        store->uncompared--;
    }
    return OK;
}

/* The counters are mixed once an entry: they are in no row that the digest sees. */
static void mix_counters(struct head *head)
{
    mix_u64(&head->mix, head->export.produced);
    mix_u64(&head->mix, head->export.delivered);
    mix_u64(&head->mix, head->export.dead_lettered);
    mix_u64(&head->mix, head->export.discarded);
    mix_u64(&head->mix, head->export.duplicates);
    mix_u64(&head->mix, head->export.mark);
    mix_u64(&head->mix, head->export.last_sequence);
    mix_u64(&head->mix, head->export.retained);
    mix_u64(&head->mix, head->export.trimmed);
    mix_u64(&head->mix, head->export.delivered_at_ms);
}

static struct status apply_entry(struct store *store, uint64_t index, const struct slice *commands,
                                 size_t count, struct apply_outcome *outcomes)
{
    if (store->writer.mdb != NULL && store->writer.written > STORE_UNFLUSHED_SIZE_MAX) {
        struct status status = store_flush(store);
        if (failed(status)) {
            return status;
        }
    }
    head_advance(&store->head, index);
    store->dirty = true;
    if (count > 0) {
        writer_begin(store);
    }
    for (size_t i = 0; i < count; i++) {
        struct status status = apply_one(store, index, commands[i], &outcomes[i]);
        if (failed(status)) {
            return status;
        }
    }
    if (count > 0 && fault_fires(FAULT_STORE_DIVERGE)) {
        txn_put(&store->writer, TABLE_META, slice_of("diverged"), slice_of("a replica of its own"));
    }
    if (count > 0) {
        mix_counters(&store->head);
    }
    head_keep(&store->head);
    return OK;
}

struct status store_apply(struct store *store, uint64_t index, const struct slice *commands,
                          size_t count, struct apply_outcome *outcomes)
{
    assert(index > 0);
    if (failed(store->broken)) {
        return store->broken;
    }
    if (index <= store->head.applied_index) {
        if (count > 0) {
            memset(outcomes, 0, count * sizeof *outcomes);
        }
        return OK;
    }
    struct status status = apply_entry(store, index, commands, count, outcomes);
    arena_release(&store->arena);
    return failed(status) ? break_store(store, status) : OK;
}

uint64_t store_applied_index(const struct store *store)
{
    return store->head.applied_index;
}

uint64_t store_flushed_index(const struct store *store)
{
    return store->flushed_index;
}
