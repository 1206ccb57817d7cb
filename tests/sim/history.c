/*
 * Linearizability of a register.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "history.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 4000000U
#define WORDS (HISTORY_OPERATIONS_MAX / 64U)
#define TRIED_MAX ((size_t)1 << 16U) /* A power of two. */

struct state {
    uint64_t version;
    uint64_t value;
};

/* Calls and returns in order of time: a list, out of which operations are lifted as they are placed. */
struct moment {
    size_t operation;
    bool is_return;
    uint64_t at;
    struct moment *next;
    struct moment *previous;
    struct moment *match; /* Of a call: its return, or NULL. */
};

struct tried {
    uint64_t placed[WORDS];
    struct state state;
    bool used;
};

struct search {
    const struct history *history;
    struct moment moments[2 * HISTORY_OPERATIONS_MAX + 1]; /* [0] is the head. */
    size_t moment_count;
    size_t certain; /* Operations that must be placed, and are not yet. */
    struct state state;
    uint64_t placed[WORDS];
    struct {
        struct moment *call;
        struct state before;
    } stack[HISTORY_OPERATIONS_MAX];
    size_t depth;
    size_t deepest;
    size_t stuck;
    struct tried *tried;
    size_t tried_count;
};

/* ---- The register ---- */

static bool apply(const struct history_operation *operation, struct state *state)
{
    bool matches = state->version == operation->version;
    switch (operation->kind) {
    case HISTORY_READ: return matches && state->value == operation->value;
    case HISTORY_WRITE: break;
    case HISTORY_SWAP:
        if (operation->outcome == HISTORY_REFUSED) {
            return !matches;
        }
        if (!matches) {
            return false; /* An unknown one that changes nothing need not be placed. */
        }
        break;
    }
    *state = (struct state){state->version + 1, operation->value};
    return true;
}

/* ---- What was tried ---- */

static size_t hash_of(const struct search *search, const struct state *state)
{
    uint64_t hash = state->version * UINT64_C(0x9E3779B97F4A7C15) ^ state->value;
    for (size_t i = 0; i < WORDS; i++) {
        hash = (hash ^ search->placed[i]) * UINT64_C(0xBF58476D1CE4E5B9);
        hash ^= hash >> 29U;
    }
    return (size_t)(hash % TRIED_MAX);
}

static bool is_same(const struct tried *tried, const struct search *search,
                    const struct state *state)
{
    return memcmp(tried->placed, search->placed, sizeof tried->placed) == 0 &&
           tried->state.version == state->version && tried->state.value == state->value;
}

/* True if it is new. When the table is full everything is: slower, and still right. */
static bool remember(struct search *search, const struct state *state)
{
    size_t at = hash_of(search, state);
    while (search->tried[at].used) {
        if (is_same(&search->tried[at], search, state)) {
            return false;
        }
        at = (at + 1) % TRIED_MAX;
    }
    if (search->tried_count < TRIED_MAX / 4 * 3) {
        search->tried_count++;
        search->tried[at].used = true;
        search->tried[at].state = *state;
        memcpy(search->tried[at].placed, search->placed, sizeof search->placed);
    }
    return true;
}

/* ---- The list ---- */

static void unlink_moment(struct moment *moment)
{
    moment->previous->next = moment->next;
    if (moment->next != NULL) {
        moment->next->previous = moment->previous;
    }
}

static void relink_moment(struct moment *moment)
{
    moment->previous->next = moment;
    if (moment->next != NULL) {
        moment->next->previous = moment;
    }
}

static int by_time(const void *left, const void *right)
{
    const struct moment *a = left;
    const struct moment *b = right;
    return a->at < b->at ? -1 : a->at > b->at;
}

static bool is_certain(const struct history_operation *operation)
{
    return operation->outcome != HISTORY_UNKNOWN;
}

static void add(struct search *search, size_t operation, bool is_return, uint64_t at)
{
    search->moments[++search->moment_count] =
        (struct moment){.operation = operation, .is_return = is_return, .at = at};
}

static void lay_out(struct search *search)
{
    struct moment *calls[HISTORY_OPERATIONS_MAX] = {0};
    for (size_t i = 0; i < search->history->count; i++) {
        const struct history_operation *operation = &search->history->operations[i];
        bool says_nothing = operation->outcome == HISTORY_VOID ||
                            (operation->kind == HISTORY_READ && !is_certain(operation));
        if (says_nothing) {
            continue;
        }
        add(search, i, false, operation->called);
        if (is_certain(operation)) {
            add(search, i, true, operation->returned);
            search->certain++;
        }
    }
    qsort(&search->moments[1], search->moment_count, sizeof search->moments[0], by_time);
    for (size_t i = 1; i <= search->moment_count; i++) {
        struct moment *moment = &search->moments[i];
        moment->previous = moment - 1;
        moment->previous->next = moment;
        if (moment->is_return) {
            calls[moment->operation]->match = moment;
        } else {
            calls[moment->operation] = moment;
        }
    }
}

/* ---- The search ---- */

static void flip(struct search *search, size_t operation)
{
    search->placed[operation / 64] ^= UINT64_C(1) << operation % 64;
}

static bool place(struct search *search, struct moment *call)
{
    const struct history_operation *operation = &search->history->operations[call->operation];
    struct state after = search->state;
    if (!apply(operation, &after)) {
        return false;
    }
    flip(search, call->operation);
    if (!remember(search, &after)) {
        flip(search, call->operation);
        return false;
    }
    search->stack[search->depth].call = call;
    search->stack[search->depth].before = search->state;
    search->depth++;
    search->state = after;
    search->certain -= is_certain(operation);
    unlink_moment(call);
    if (call->match != NULL) {
        unlink_moment(call->match);
    }
    return true;
}

static struct moment *take_back(struct search *search)
{
    struct moment *call = search->stack[--search->depth].call;
    search->state = search->stack[search->depth].before;
    search->certain += is_certain(&search->history->operations[call->operation]);
    flip(search, call->operation);
    if (call->match != NULL) {
        relink_moment(call->match);
    }
    relink_moment(call);
    return call->next;
}

static enum history_verdict run(struct search *search)
{
    struct moment *at = search->moments[0].next;
    for (size_t steps = 0; search->certain > 0; steps++) {
        if (steps == STEPS_MAX) {
            return HISTORY_UNDECIDED;
        }
        if (at != NULL && !at->is_return) {
            at = place(search, at) ? search->moments[0].next : at->next;
            continue;
        }
        /* A return whose call could not be placed before it (or the end, with something left). */
        if (at != NULL && search->depth >= search->deepest) {
            search->deepest = search->depth;
            search->stuck = at->operation;
        }
        if (search->depth == 0) {
            return HISTORY_NOT_LINEARIZABLE;
        }
        at = take_back(search);
    }
    return HISTORY_LINEARIZABLE;
}

enum history_verdict history_check(const struct history *history, size_t *stuck)
{
    enum history_verdict verdict = HISTORY_UNDECIDED;
    struct search *search = calloc(1, sizeof *search);
    if (search != NULL) {
        search->tried = calloc(TRIED_MAX, sizeof *search->tried);
    }
    if (search != NULL && search->tried != NULL) {
        search->history = history;
        lay_out(search);
        verdict = run(search);
        *stuck = search->stuck;
    }
    if (search != NULL) {
        free(search->tried);
    }
    free(search);
    return verdict;
}
