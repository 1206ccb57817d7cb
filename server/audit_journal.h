/*
 * The audit, written to the journal of this node as it grows, if the configuration says so: for those who
 * gather journals elsewhere. Each line comes once on each such node, in order; a cursor in the lineage's
 * folder remembers how far. It is written once a second at most, so that after a crash, and only then, the
 * last lines may come again, with the same MUSTER_SEQUENCE and MUSTER_HASH. Lines that were let go before
 * they were written are named as missing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_AUDIT_JOURNAL_H
#define SERVER_AUDIT_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

/* Zero-initialised is ready. */
struct audit_journal {
    bool begun;
    uint64_t written;    /* Sequence of the last line. */
    uint64_t remembered; /* In the cursor's file. */
    uint64_t next_at_ms; /* Monotonic; of writing that file, or of trying again. */
};

/* Write some of what is new. */
void audit_journal_step(struct audit_journal *journal, struct daemon *daemon);

/* The daemon stops in order: remember how far it came. */
void audit_journal_end(struct audit_journal *journal, struct daemon *daemon);

#endif
