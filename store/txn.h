/*
 * One LMDB transaction that remembers its first failure, and the only file that calls LMDB on data.
 *
 * After a failure every further call does nothing and reads find nothing; so code within a
 * transaction reads as straight lines and is checked once, at its end.
 *
 * Every put and delete is mixed into the rolling digest of the transaction's head, but for tables
 * that are derived from others.
 *
 * Every row carries a checksum over its table, key and value behind its value; it is verified by every
 * read, so that what a disk changed is STATUS_CORRUPT, naming table and key, and never taken for true.
 *
 * Slices from reads borrow from the map: valid until the next write in this transaction or its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_TXN_H
#define STORE_TXN_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/codec.h"
#include "base/slice.h"
#include "base/status.h"
#include "head.h"

/* The tables, one LMDB database each. Numbers in keys are big-endian, so that LMDB's order is
 * theirs. The numbers are mixed into the digest: never renumbered. */
enum table {
    TABLE_META = 0,        /* Name -> row: "format", "head", "cluster", "registration", "export",
                              "key_rotation". */
    TABLE_MEMBER = 1,      /* Node id -> struct member. */
    TABLE_JOIN_TOKEN = 2,  /* Token id -> struct join_token_view. */
    TABLE_CREDENTIAL = 3,  /* Name -> struct credential_view. */
    TABLE_OPERATOR = 4,    /* Name -> struct operator_view. */
    TABLE_RECORD = 5,      /* Sequence -> record (record_row.h). */
    TABLE_IDENTITY = 6,    /* Kind, serial, id, revision -> sequence. */
    TABLE_DEAD_LETTER = 7, /* Sequence -> why and when. */
    TABLE_AUDIT = 8,       /* Sequence -> hash and line (audit.h). */
    TABLE_SEARCH = 9,      /* Block -> sorted keys (search_block.h). Derived. */
    TABLE_COUNT,
};

struct txn {
    MDB_txn *mdb; /* NULL when none is open. */
    const MDB_dbi *tables;
    struct head *head;             /* Of the store. */
    struct arena *arena;           /* What row_get() allocates from. */
    struct buffer scratch;         /* For encoding rows. */
    struct buffer sealed;          /* A value and its checksum, on their way into a page. */
    struct divergence *divergence; /* Where apply notes what it found to differ; NULL in readers. */
    size_t written;                /* Bytes of keys and values put or deleted. */
    bool map_full;                 /* It was for want of room in the map, not on the disk. */
    uint64_t callers_version;      /* Of a writer: as store_callers_version(). */
    struct status status;          /* The first failure, or OK. */
};

/* Translate what LMDB returned; the only place that does. `action` is what was tried. */
MUST_USE struct status status_of_lmdb(int rv, const char *action);

/* Latch a failure that was found outside this file. */
void txn_fail(struct txn *txn, struct status status);

/* Commit, or roll back if anything failed, and report the first failure. */
MUST_USE struct status txn_commit(struct txn *txn);
void txn_abort(struct txn *txn);

#define TXN_KEY_SIZE_MAX 511 /* Bytes; LMDB's limit. No key is empty. */

/* False when it is absent, cannot be a key, or after a failure. */
bool txn_get(struct txn *txn, enum table table, struct slice key, struct slice *out);
void txn_put(struct txn *txn, enum table table, struct slice key, struct slice value);

/* Put a key that is above all others of its table. */
void txn_append(struct txn *txn, enum table table, struct slice key, struct slice value);

/* Put a key that is not there; false, with nothing changed, if it is, or after a failure. */
bool txn_insert(struct txn *txn, enum table table, struct slice key, struct slice value);

/* Deleting what is not there changes nothing. */
void txn_delete(struct txn *txn, enum table table, struct slice key);

/* Was the table of names written without checksums? */
bool txn_has_old_format(struct txn *txn);

/* Rows described by a codec. Reads copy into the transaction's arena, so that they outlive writes. */
bool row_get(struct txn *txn, enum table table, struct slice key, const struct codec *codec,
             void *out);
void row_put(struct txn *txn, enum table table, struct slice key, const struct codec *codec,
             const void *row);
void row_decode(struct txn *txn, struct slice stored, const struct codec *codec, void *out);

/* A number as a key; `storage` holds its bytes. */
struct slice u64_key(uint64_t number, uint64_t *storage);

/* The number of a key of 8 bytes; latches STATUS_CORRUPT and gives 0 for any other. */
uint64_t u64_of_key(struct txn *txn, struct slice key);

/* Walking a table in key order. Each step returns false at the end or after a failure. Deleting
 * while a scan is open is not allowed. */
struct scan {
    struct txn *txn;
    enum table table;
    MDB_cursor *cursor;
    struct slice key;
    struct slice value;
};

void scan_open(struct scan *scan, struct txn *txn, enum table table);
bool scan_first(struct scan *scan);
bool scan_last(struct scan *scan);
bool scan_seek(struct scan *scan, struct slice key); /* At or above the key. */
bool scan_next(struct scan *scan);
bool scan_previous(struct scan *scan);
void scan_close(struct scan *scan);

#endif
