/*
 * Is a history of operations on one register linearizable? An operation takes effect at one moment
 * between its call and its return; is there an order that explains every answer?
 *
 * The register holds a version and a value; nothing at first (version 0, value 0). Operations:
 *
 *     read                  answered with version and value
 *     write value           the version rises by one
 *     swap version, value   done if the version is that one: version + 1 and the value; otherwise
 *                           refused, and nothing changes
 *
 * An operation whose outcome is unknown may have taken effect at any time after its call, or never.
 *
 * The search is that of Wing and Gong (1993) with Lowe's memory of what was tried (2017): a
 * set of operations that were placed, with the state they led to, is never tried twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_OPERATIONS_MAX 512U

enum history_kind { HISTORY_READ, HISTORY_WRITE, HISTORY_SWAP };

enum history_outcome {
    HISTORY_UNKNOWN, /* Under way, or nobody knows. */
    HISTORY_DONE,
    HISTORY_REFUSED, /* A swap whose version was another one. */
    HISTORY_VOID,    /* It certainly changed nothing and said nothing. */
};

struct history_operation {
    enum history_kind kind;
    enum history_outcome outcome;
    uint64_t version; /* Read: what was seen. Swap: what was expected. */
    uint64_t value;
    uint64_t called;   /* Moments: any numbers that rise. */
    uint64_t returned; /* Unless the outcome is unknown. */
};

struct history {
    struct history_operation operations[HISTORY_OPERATIONS_MAX];
    size_t count;
};

enum history_verdict { HISTORY_LINEARIZABLE, HISTORY_NOT_LINEARIZABLE, HISTORY_UNDECIDED };

/* Undecided when that takes more than some million steps, or memory runs out. `*stuck`: of the
 * longest order that was found, the operation that could not be explained any more. */
enum history_verdict history_check(const struct history *history, size_t *stuck);

#endif
