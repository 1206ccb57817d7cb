/*
 * The head: what changes with every entry, held in memory and written to the meta table when the
 * transaction is flushed, so that a record costs no row of counters.
 *
 * It is always written in the transaction of the changes it counts (invariant S1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_HEAD_H
#define STORE_HEAD_H

#include <stdint.h>

#include "base/codec.h"
#include "mix.h"
#include "store/store.h"

#define HEAD_DIGESTS_KEPT 16
#define HEAD_CHECKPOINTS_KEPT 16

/* S4: produced = delivered + (last_sequence - mark) + dead_lettered + discarded. */
struct export_counters {
    uint64_t produced;
    uint64_t delivered;
    uint64_t dead_lettered;
    uint64_t discarded;
    uint64_t duplicates;
    uint64_t mark;          /* Sequence up to which everything is settled. */
    uint64_t last_sequence; /* Highest given out. */
    uint64_t retained;      /* Rows of the record table. */
    uint64_t trimmed;       /* At or below it, only dead letters are left. */
    uint64_t delivered_at_ms;
};

struct kept_digest {
    uint64_t index; /* 0 if the slot is free. */
    struct mix mix;
};

struct head {
    uint64_t applied_index;
    struct export_counters export;
    uint64_t audit_sequence; /* Of the last line. */
    uint8_t audit_hash[STORE_HASH_SIZE];
    uint64_t audit_trimmed;                /* At or below it, lines were let go; 0: none. */
    uint8_t audit_anchor[STORE_HASH_SIZE]; /* The hash of that line: the chain goes on from it. */
    struct mix mix;                        /* The rolling digest. */
    struct kept_digest kept[HEAD_DIGESTS_KEPT];            /* At multiples of STORE_DIGEST_EVERY. */
    struct kept_digest checkpoints[HEAD_CHECKPOINTS_KEPT]; /* The newest stands first. */
};

/* Append the stored form. STATUS_NO_MEMORY. */
MUST_USE struct status head_encode(const struct head *head, struct buffer *out);

/* STATUS_CORRUPT, STATUS_NO_MEMORY. */
MUST_USE struct status head_decode(struct slice stored, struct head *out);

/* Move the applied index to `index`: digests due on the way are kept as they were before it.
 * Called before the entry is applied; head_keep() after it. */
void head_advance(struct head *head, uint64_t index);

/* Keep the digest if the applied index is one to keep. */
void head_keep(struct head *head);

/* Keep the digest as it stands, as that of the checkpoint at the applied index. */
void head_checkpoint(struct head *head);

/* The digest kept of this index, by count or by checkpoint; NULL if there is none. */
const struct kept_digest *head_find(const struct head *head, uint64_t index);

#endif
