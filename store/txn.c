/*
 * Transactions over LMDB: latching, translation of its errors, mixing of the digest, checksums of rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "txn.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/hex.h"

struct status status_of_lmdb(int rv, const char *action)
{
    switch (rv) {
    case MDB_SUCCESS: return OK;
    case MDB_MAP_FULL:
        return fail(STATUS_FULL, "%s: the store has reached its largest size", action);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_DBI:
    case MDB_PANIC: return fail(STATUS_CORRUPT, "%s: %s", action, mdb_strerror(rv));
    default:
        return rv > 0 ? fail_errno(rv, "%s", action)
                      : fail(STATUS_IO, "%s: %s", action, mdb_strerror(rv));
    }
}

static MDB_val val_of(struct slice slice)
{
    /* LMDB does not write through a key or value it is given to store. */
    union {
        const void *borrowed;
        void *passed;
    } data = {.borrowed = slice.data};
    return (MDB_val){.mv_size = slice.size, .mv_data = data.passed};
}

static struct slice slice_of_val(MDB_val val)
{
    return (struct slice){.data = val.mv_data, .size = val.mv_size};
}

void txn_fail(struct txn *txn, struct status status)
{
    if (!failed(txn->status)) {
        txn->status = status;
    }
}

static void fail_write(struct txn *txn, int rv, const char *action)
{
    txn->map_full = rv == MDB_MAP_FULL;
    txn->status = status_of_lmdb(rv, action);
}

struct status txn_commit(struct txn *txn)
{
    if (!failed(txn->status) && fault_fires(FAULT_STORE_COMMIT)) {
        txn->status = status_of_lmdb(EIO, "commit");
    }
    if (failed(txn->status)) {
        txn_abort(txn);
        return txn->status;
    }
    int rv = mdb_txn_commit(txn->mdb);
    txn->mdb = NULL; /* LMDB frees it, whether or not the commit went through. */
    if (rv != MDB_SUCCESS) {
        fail_write(txn, rv, "commit");
    }
    return txn->status;
}

void txn_abort(struct txn *txn)
{
    if (txn->mdb != NULL) {
        mdb_txn_abort(txn->mdb);
        txn->mdb = NULL;
    }
}

static void mix_change(struct txn *txn, enum table table, struct slice key,
                       const struct slice *value)
{
    txn->written += key.size + (value == NULL ? 0 : value->size);
    txn->callers_version += table == TABLE_MEMBER || table == TABLE_OPERATOR;
    if (table == TABLE_SEARCH) {
        return;
    }
    struct mix *mix = &txn->head->mix;
    mix_u64(mix, (uint64_t)table << 1U | (value != NULL));
    mix_bytes(mix, key);
    if (value != NULL) {
        mix_bytes(mix, *value);
    }
}

/* Of a row, in the 8 bytes behind its value. Table and key are in it, so that a row in another's
 * place does not verify. Against accidents: who can write the file can write a checksum, too. */
#define CHECKSUM_SIZE sizeof(uint64_t)

static uint64_t checksum_of(enum table table, struct slice key, struct slice value)
{
    struct mix mix = {0};
    mix_u64(&mix, (uint64_t)table);
    mix_bytes(&mix, key);
    mix_bytes(&mix, value);
    return htobe64(mix.lanes[0] ^ mix.lanes[1]);
}

static struct status damaged(enum table table, struct slice key)
{
    uint8_t shown[16];
    char hex[2 * sizeof shown + 1];
    size_t size = key.size < sizeof shown ? key.size : sizeof shown;
    memcpy(shown, key.data, size);
    hex_encode((struct slice){.data = shown, .size = size}, hex);
    return fail(STATUS_CORRUPT, "row %s of table %u does not match its checksum: damaged data", hex,
                (unsigned)table);
}

/* Take the checksum off a stored value; false, latched, if it does not match. */
static bool unseal(struct txn *txn, enum table table, struct slice key, struct slice *value)
{
    uint64_t stored;
    bool good = value->size >= CHECKSUM_SIZE;
    if (good) {
        value->size -= CHECKSUM_SIZE;
        memcpy(&stored, (const char *)value->data + value->size, sizeof stored);
        good = stored == checksum_of(table, key, *value);
    }
    if (!good) {
        txn_fail(txn, damaged(table, key));
    }
    return good;
}

static int put(struct txn *txn, enum table table, struct slice key, struct slice value,
               unsigned flags)
{
    if (fault_fires(FAULT_STORE_PUT)) {
        return MDB_MAP_FULL;
    }
    uint64_t checksum = checksum_of(table, key, value);
    buffer_clear(&txn->sealed);
    if (!buffer_append(&txn->sealed, value.data, value.size) ||
        !buffer_append(&txn->sealed, &checksum, sizeof checksum)) {
        return ENOMEM;
    }
    MDB_val mdb_key = val_of(key);
    MDB_val mdb_value = val_of(buffer_slice(&txn->sealed));
    return mdb_put(txn->mdb, txn->tables[table], &mdb_key, &mdb_value, flags);
}

bool txn_get(struct txn *txn, enum table table, struct slice key, struct slice *out)
{
    if (failed(txn->status) || key.size == 0 || key.size > TXN_KEY_SIZE_MAX) {
        return false;
    }
    MDB_val mdb_key = val_of(key);
    MDB_val mdb_value;
    int rv = mdb_get(txn->mdb, txn->tables[table], &mdb_key, &mdb_value);
    if (rv == MDB_SUCCESS) {
        *out = slice_of_val(mdb_value);
        return unseal(txn, table, key, out);
    }
    if (rv != MDB_NOTFOUND) {
        txn->status = status_of_lmdb(rv, "get");
    }
    return false;
}

bool txn_has_old_format(struct txn *txn)
{
    struct slice name = slice_of("format");
    MDB_val key = val_of(name);
    MDB_val value;
    return !failed(txn->status) &&
           mdb_get(txn->mdb, txn->tables[TABLE_META], &key, &value) == MDB_SUCCESS &&
           value.mv_size == sizeof(uint64_t);
}

void txn_put(struct txn *txn, enum table table, struct slice key, struct slice value)
{
    if (failed(txn->status)) {
        return;
    }
    mix_change(txn, table, key, &value); /* First: a put may move the page `value` lies in. */
    int rv = put(txn, table, key, value, 0);
    if (rv != MDB_SUCCESS) {
        fail_write(txn, rv, "put");
    }
}

void txn_append(struct txn *txn, enum table table, struct slice key, struct slice value)
{
    if (failed(txn->status)) {
        return;
    }
    mix_change(txn, table, key, &value);
    int rv = put(txn, table, key, value, MDB_APPEND);
    if (rv == MDB_KEYEXIST) {
        txn->status =
            fail(STATUS_CORRUPT, "append: a higher key exists in table %u", (unsigned)table);
    } else if (rv != MDB_SUCCESS) {
        fail_write(txn, rv, "append");
    }
}

bool txn_insert(struct txn *txn, enum table table, struct slice key, struct slice value)
{
    if (failed(txn->status)) {
        return false;
    }
    int rv = put(txn, table, key, value, MDB_NOOVERWRITE);
    if (rv == MDB_SUCCESS) {
        mix_change(txn, table, key, &value);
        return true;
    }
    if (rv != MDB_KEYEXIST) {
        fail_write(txn, rv, "insert");
    }
    return false;
}

void txn_delete(struct txn *txn, enum table table, struct slice key)
{
    if (failed(txn->status)) {
        return;
    }
    MDB_val mdb_key = val_of(key);
    int rv = fault_fires(FAULT_STORE_PUT) ? MDB_MAP_FULL
                                          : mdb_del(txn->mdb, txn->tables[table], &mdb_key, NULL);
    if (rv == MDB_SUCCESS) {
        mix_change(txn, table, key, NULL);
    } else if (rv != MDB_NOTFOUND) {
        fail_write(txn, rv, "delete");
    }
}

void row_decode(struct txn *txn, struct slice stored, const struct codec *codec, void *out)
{
    if (failed(txn->status)) {
        return;
    }
    struct slice copy = arena_copy(txn->arena, stored);
    if (copy.data == NULL) {
        txn->status = fail(STATUS_NO_MEMORY, "read %s", codec->name);
        return;
    }
    struct status status = codec_decode(codec, CODEC_TAGS, copy, txn->arena, out);
    if (status.code == STATUS_INVALID) { /* What is stored was valid when it was put. */
        status.code = STATUS_CORRUPT;
    }
    if (failed(status)) {
        txn->status = wrap(status, "read %s", codec->name);
    }
}

bool row_get(struct txn *txn, enum table table, struct slice key, const struct codec *codec,
             void *out)
{
    struct slice stored;
    if (!txn_get(txn, table, key, &stored)) {
        return false;
    }
    row_decode(txn, stored, codec, out);
    return !failed(txn->status);
}

void row_put(struct txn *txn, enum table table, struct slice key, const struct codec *codec,
             const void *row)
{
    if (failed(txn->status)) {
        return;
    }
    buffer_clear(&txn->scratch);
    struct status status = codec_encode(codec, CODEC_TAGS, row, &txn->scratch);
    if (failed(status)) {
        txn->status = wrap(status, "store %s", codec->name);
        return;
    }
    txn_put(txn, table, key, buffer_slice(&txn->scratch));
}

struct slice u64_key(uint64_t number, uint64_t *storage)
{
    *storage = htobe64(number);
    return (struct slice){.data = storage, .size = sizeof *storage};
}

uint64_t u64_of_key(struct txn *txn, struct slice key)
{
    uint64_t number;
    if (key.size != sizeof number) {
        txn_fail(txn, fail(STATUS_CORRUPT, "a key of %zu bytes where 8 are due", key.size));
        return 0;
    }
    memcpy(&number, key.data, sizeof number);
    return be64toh(number);
}

void scan_open(struct scan *scan, struct txn *txn, enum table table)
{
    *scan = (struct scan){.txn = txn, .table = table};
    if (failed(txn->status)) {
        return;
    }
    int rv = mdb_cursor_open(txn->mdb, txn->tables[table], &scan->cursor);
    if (rv != MDB_SUCCESS) {
        scan->cursor = NULL;
        txn->status = status_of_lmdb(rv, "open cursor");
    }
}

static bool scan_step(struct scan *scan, struct slice seek, MDB_cursor_op op)
{
    if (failed(scan->txn->status)) {
        return false;
    }
    MDB_val key = val_of(seek);
    MDB_val value;
    int rv = mdb_cursor_get(scan->cursor, &key, &value, op);
    if (rv == MDB_SUCCESS) {
        scan->key = slice_of_val(key);
        scan->value = slice_of_val(value);
        return unseal(scan->txn, scan->table, scan->key, &scan->value);
    }
    if (rv != MDB_NOTFOUND) {
        scan->txn->status = status_of_lmdb(rv, "scan");
    }
    return false;
}

bool scan_first(struct scan *scan)
{
    return scan_step(scan, (struct slice){0}, MDB_FIRST);
}

bool scan_last(struct scan *scan)
{
    return scan_step(scan, (struct slice){0}, MDB_LAST);
}

bool scan_seek(struct scan *scan, struct slice key)
{
    return scan_step(scan, key, MDB_SET_RANGE);
}

bool scan_next(struct scan *scan)
{
    return scan_step(scan, (struct slice){0}, MDB_NEXT);
}

bool scan_previous(struct scan *scan)
{
    return scan_step(scan, (struct slice){0}, MDB_PREV);
}

void scan_close(struct scan *scan)
{
    if (scan->cursor != NULL) {
        mdb_cursor_close(scan->cursor);
        scan->cursor = NULL;
    }
}
