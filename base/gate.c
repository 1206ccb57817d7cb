/*
 * Gates: a table of sources, in which a source's row stands within WINDOW places of its hash. The hash
 * is seeded, so that nobody can choose sources that meet in one window.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/gate.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/random.h"

#define WINDOW 16U
#define TOKEN 1000U /* Parts of a token, so that a ms fills some. */

struct source {
    uint64_t id;
    uint64_t filled_at_ms; /* 0: the row is free. */
    uint64_t tokens;
    unsigned open;
};

struct gate {
    struct gate_options options;
    size_t mask;
    uint64_t seed;
    struct source rows[];
};

struct status gate_create(const struct gate_options *options, struct gate **out)
{
    size_t count = WINDOW;
    while (count < options->sources_max) {
        count *= 2;
    }
    struct gate *gate = alloc_zeroed(1, sizeof *gate + count * sizeof gate->rows[0]);
    if (gate == NULL) {
        return fail(STATUS_NO_MEMORY, "make a gate");
    }
    gate->options = *options;
    gate->mask = count - 1;
    gate->seed = random_u64();
    *out = gate;
    return OK;
}

void gate_destroy(struct gate *gate)
{
    free(gate);
}

/* The finalizer of MurmurHash3: every bit of the input moves every bit of the output. */
static size_t place_of(const struct gate *gate, uint64_t id)
{
    uint64_t hash = id ^ gate->seed;
    hash ^= hash >> 33U;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33U;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    hash ^= hash >> 33U;
    return (size_t)hash & gate->mask;
}

static struct source *find(struct gate *gate, uint64_t id)
{
    size_t first = place_of(gate, id);
    for (size_t i = 0; i < WINDOW; i++) {
        struct source *row = &gate->rows[(first + i) & gate->mask];
        if (row->id == id && row->filled_at_ms != 0) {
            return row;
        }
    }
    return NULL;
}

/* A row for a new source: a free one, or that of whom nothing was heard for longest. */
static struct source *make(struct gate *gate, uint64_t id, uint64_t now_ms)
{
    size_t first = place_of(gate, id);
    struct source *oldest = NULL;
    for (size_t i = 0; i < WINDOW; i++) {
        struct source *row = &gate->rows[(first + i) & gate->mask];
        if (row->open == 0 && (oldest == NULL || row->filled_at_ms < oldest->filled_at_ms)) {
            oldest = row;
        }
    }
    if (oldest != NULL) {
        *oldest = (struct source){
            .id = id, .filled_at_ms = now_ms, .tokens = (uint64_t)gate->options.burst * TOKEN};
    }
    return oldest;
}

static void fill(const struct gate *gate, struct source *row, uint64_t now_ms)
{
    uint64_t full = (uint64_t)gate->options.burst * TOKEN;
    uint64_t passed_ms = now_ms > row->filled_at_ms ? now_ms - row->filled_at_ms : 0;
    uint64_t fill_ms = gate->options.per_s == 0 ? 0 : full / gate->options.per_s + 1;
    row->filled_at_ms = now_ms > row->filled_at_ms ? now_ms : row->filled_at_ms;
    row->tokens =
        passed_ms >= fill_ms ? full : row->tokens + passed_ms * (uint64_t)gate->options.per_s;
    row->tokens = row->tokens < full ? row->tokens : full;
}

static enum gate_answer take(struct gate *gate, uint64_t source, uint64_t now_ms, unsigned opens)
{
    uint64_t at_ms = now_ms + 1; /* 0 means a free row. */
    struct source *row = find(gate, source);
    row = row == NULL ? make(gate, source, at_ms) : row;
    if (row == NULL || (opens > 0 && row->open >= gate->options.open_max)) {
        return GATE_TOO_MANY;
    }
    fill(gate, row, at_ms);
    if (gate->options.per_s > 0 && row->tokens < TOKEN) {
        return GATE_TOO_FAST;
    }
    row->tokens -= gate->options.per_s > 0 ? TOKEN : 0;
    row->open += opens;
    return GATE_OPEN;
}

enum gate_answer gate_enter(struct gate *gate, uint64_t source, uint64_t now_ms)
{
    return take(gate, source, now_ms, 1);
}

void gate_leave(struct gate *gate, uint64_t source)
{
    struct source *row = find(gate, source);
    assert(row != NULL && row->open > 0); /* A row with open connections is not given away. */
    row->open--;
}

enum gate_answer gate_pass(struct gate *gate, uint64_t source, uint64_t now_ms)
{
    return take(gate, source, now_ms, 0);
}
