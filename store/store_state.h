/*
 * The open store, for the files of this room.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_STORE_STATE_H
#define STORE_STORE_STATE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>

#include "head.h"
#include "store/store.h"
#include "txn.h"

#define STORE_FORMAT 2 /* Of the tables; any other is refused. 1 had no checksums. */

struct store {
    char *directory; /* Of an image that is looked at: its file. */
    unsigned env_flags;
    size_t map_size_max;
    uint64_t outbox_max;

    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];

    struct head head;       /* As applied. */
    uint64_t flushed_index; /* As committed. */
    bool dirty;             /* The head is not committed as it stands. */
    struct txn writer;      /* Open from the first change after a flush to the flush. */
    struct arena arena;     /* Of the entry that is being applied. */
    struct status broken;   /* What every call fails with, once one change has failed. */
    struct status damage;   /* The first STATUS_CORRUPT of any call. */
    struct divergence divergence;
    unsigned uncompared; /* Checkpoints that must follow until all that was applied is compared. */

    pthread_rwlock_t image_lock; /* Held for reading while an image is written, for writing while
                                    the environment is exchanged. */
};

/* Open the environment in the store's directory and read the head; close it. */
MUST_USE struct status store_attach(struct store *store);
void store_detach(struct store *store);

/* STATUS_INVALID if the state is of a level that this program does not know. In query_cluster.c. */
MUST_USE struct status store_check_level(struct store *store);

/* Remove what an installation that was cut short left behind. In image.c. */
MUST_USE struct status image_clean(const struct store *store);

/* "DIRECTORY/name", to be freed. NULL when memory runs out. */
char *store_path(const struct store *store, const char *name);

/* A read within the present state: the open write transaction, or a snapshot of its own.
 * reader_end() closes it and gives the first failure, and STATUS_NOT_FOUND naming `what` if `found` is false. */
void reader_begin(struct txn *txn, struct store *store, struct arena *arena);
void reader_close(struct txn *txn, struct store *store);
MUST_USE struct status reader_end(struct txn *txn, struct store *store, bool found,
                                  const char *what);

/* A read of what was flushed last, from any thread, with the head as it was then in `head`. */
void flushed_begin(struct txn *txn, struct store *store, struct arena *arena, struct head *head);
MUST_USE struct status flushed_end(struct txn *txn, struct store *store);

#endif
