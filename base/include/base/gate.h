/*
 * A gate: how many connections may be open from one source at once, and how often one may come.
 *
 * A source is a number that says where somebody comes from (stream_source_of()). Each has a bucket of
 * tokens, `burst` of them when it is full, filled with `per_s` a second; who comes takes one. Memory
 * is fixed at creation: a source that was not heard of for long gives its row to another, and where
 * all rows that it could have hold open connections, a new source is turned away.
 *
 * Time is a parameter: any clock that does not go back, in ms.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_GATE_H
#define BASE_GATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct gate;

struct gate_options {
    size_t sources_max; /* Remembered at once; rounded up to a power of two. */
    unsigned open_max;  /* Of one source. */
    unsigned per_s;     /* 0: as often as it likes. */
    unsigned burst;     /* At once, after a pause; at least 1. */
};

enum gate_answer {
    GATE_OPEN,
    GATE_TOO_MANY, /* open_max, or too many sources. */
    GATE_TOO_FAST,
};

MUST_USE struct status gate_create(const struct gate_options *options, struct gate **out);
void gate_destroy(struct gate *gate); /* NULL is ignored. */

/* A connection begins: takes a token and counts it as open, until gate_leave(). */
enum gate_answer gate_enter(struct gate *gate, uint64_t source, uint64_t now_ms);

/* Once for each gate_enter() that answered GATE_OPEN. */
void gate_leave(struct gate *gate, uint64_t source);

/* Something small is asked: takes a token. */
enum gate_answer gate_pass(struct gate *gate, uint64_t source, uint64_t now_ms);

#endif
