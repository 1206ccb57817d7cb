/*
 * The checker of histories: what it must accept, and what it must not.
 *
 * A history is written as one line for each operation: who, what, and the moments of its call and
 * its return ("-": outcome unknown).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "history.h"

#include <stdio.h>
#include <string.h>

#include "scratch.h"

#define OPERATIONS_MAX 8

#define READ(version, value, from, to)                                                             \
    {                                                                                              \
        HISTORY_READ, HISTORY_DONE, version, value, from, to                                       \
    }
#define WRITE(value, from, to)                                                                     \
    {                                                                                              \
        HISTORY_WRITE, HISTORY_DONE, 0, value, from, to                                            \
    }
#define WRITE_UNKNOWN(value, from)                                                                 \
    {                                                                                              \
        HISTORY_WRITE, HISTORY_UNKNOWN, 0, value, from, 0                                          \
    }
#define SWAP(version, value, from, to)                                                             \
    {                                                                                              \
        HISTORY_SWAP, HISTORY_DONE, version, value, from, to                                       \
    }
#define SWAP_REFUSED(version, from, to)                                                            \
    {                                                                                              \
        HISTORY_SWAP, HISTORY_REFUSED, version, 99, from, to                                       \
    }
#define SWAP_UNKNOWN(version, value, from)                                                         \
    {                                                                                              \
        HISTORY_SWAP, HISTORY_UNKNOWN, version, value, from, 0                                     \
    }
#define END                                                                                        \
    {                                                                                              \
        HISTORY_READ, HISTORY_VOID, 0, 0, 0, 0                                                     \
    }

static const struct row {
    const char *name;
    enum history_verdict verdict;
    struct history_operation operations[OPERATIONS_MAX];
} rows[] = {
    {"nothing", HISTORY_LINEARIZABLE, {END}},
    {"the first read", HISTORY_LINEARIZABLE, {READ(0, 0, 1, 2), END}},
    {"a value from nowhere", HISTORY_NOT_LINEARIZABLE, {READ(1, 7, 1, 2), END}},
    {"write, then read", HISTORY_LINEARIZABLE, {WRITE(7, 1, 2), READ(1, 7, 3, 4), END}},
    {"a stale read", HISTORY_NOT_LINEARIZABLE, {WRITE(7, 1, 2), READ(0, 0, 3, 4), END}},
    {"a read beside a write sees the old",
     HISTORY_LINEARIZABLE,
     {WRITE(7, 1, 4), READ(0, 0, 2, 3), END}},
    {"... or the new", HISTORY_LINEARIZABLE, {WRITE(7, 1, 4), READ(1, 7, 2, 3), END}},
    {"time does not run back between two reads",
     HISTORY_NOT_LINEARIZABLE,
     {WRITE(7, 1, 9), READ(1, 7, 2, 3), READ(0, 0, 4, 5), END}},
    {"... in order they are fine",
     HISTORY_LINEARIZABLE,
     {WRITE(7, 1, 9), READ(0, 0, 2, 3), READ(1, 7, 4, 5), END}},
    {"two writes beside each other, either way",
     HISTORY_LINEARIZABLE,
     {WRITE(7, 1, 9), WRITE(8, 1, 9), READ(1, 8, 2, 3), READ(2, 7, 4, 5), END}},
    {"... not both ways",
     HISTORY_NOT_LINEARIZABLE,
     {WRITE(7, 1, 9), WRITE(8, 1, 9), READ(1, 8, 2, 3), READ(1, 7, 4, 5), END}},
    {"a lost write",
     HISTORY_NOT_LINEARIZABLE,
     {WRITE(7, 1, 2), WRITE(8, 3, 4), READ(1, 8, 5, 6), END}},
    {"an unknown write that was not",
     HISTORY_LINEARIZABLE,
     {WRITE_UNKNOWN(7, 1), READ(0, 0, 3, 4), END}},
    {"an unknown write, late",
     HISTORY_LINEARIZABLE,
     {WRITE_UNKNOWN(7, 1), READ(0, 0, 3, 4), READ(1, 7, 5, 6), END}},
    {"an unknown write that went away again",
     HISTORY_NOT_LINEARIZABLE,
     {WRITE_UNKNOWN(7, 1), READ(1, 7, 3, 4), READ(0, 0, 5, 6), END}},
    {"an unknown write before its call",
     HISTORY_NOT_LINEARIZABLE,
     {READ(1, 7, 1, 2), WRITE_UNKNOWN(7, 3), END}},
    {"an unknown write twice",
     HISTORY_NOT_LINEARIZABLE,
     {WRITE_UNKNOWN(7, 1), READ(1, 7, 2, 3), READ(2, 7, 4, 5), END}},
    {"a swap", HISTORY_LINEARIZABLE, {SWAP(0, 7, 1, 2), READ(1, 7, 3, 4), END}},
    {"a swap of what was not", HISTORY_NOT_LINEARIZABLE, {SWAP(1, 7, 1, 2), END}},
    {"two swaps of one version",
     HISTORY_NOT_LINEARIZABLE,
     {SWAP(0, 7, 1, 9), SWAP(0, 8, 2, 9), END}},
    {"... one refused", HISTORY_LINEARIZABLE, {SWAP(0, 7, 1, 9), SWAP_REFUSED(0, 2, 9), END}},
    {"a refusal without a reason", HISTORY_NOT_LINEARIZABLE, {SWAP_REFUSED(0, 1, 2), END}},
    {"a refusal that an unknown swap explains",
     HISTORY_LINEARIZABLE,
     {SWAP_UNKNOWN(0, 7, 1), SWAP_REFUSED(0, 2, 3), END}},
    {"... and then it counts",
     HISTORY_NOT_LINEARIZABLE,
     {SWAP_UNKNOWN(0, 7, 1), SWAP_REFUSED(0, 2, 3), READ(0, 0, 4, 5), END}},
    {"an unknown swap that comes too late changes nothing",
     HISTORY_LINEARIZABLE,
     {SWAP_UNKNOWN(0, 7, 1), SWAP(0, 8, 2, 3), READ(1, 8, 4, 5), END}},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct history history = {0};
        size_t stuck;
        while (rows[i].operations[history.count].outcome != HISTORY_VOID) {
            history.operations[history.count] = rows[i].operations[history.count];
            history.count++;
        }
        check_row(rows[i].name);
        CHECK_U64(history_check(&history, &stuck), rows[i].verdict);
    }
}

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33U) % below;
}

/* A history as a right register would give it: each operation takes effect at a moment of its own,
 * within some others' spans; a part of the outcomes is not told. */
static void make(struct history *history, uint64_t seed)
{
    uint64_t version = 0;
    uint64_t value = 0;
    history->count = HISTORY_OPERATIONS_MAX;
    for (size_t i = 0; i < history->count; i++) {
        uint64_t at = 100 * (i + 1);
        struct history_operation *operation = &history->operations[i];
        uint64_t span = 20 + draw(&seed, 400);
        *operation = (struct history_operation){
            .kind = (enum history_kind)draw(&seed, 3),
            .outcome = HISTORY_DONE,
            .value = i + 1,
            .called = at > span ? at - span : 0,
            .returned = at + 1 + draw(&seed, 400),
        };
        if (operation->kind == HISTORY_READ) {
            operation->version = version;
            operation->value = value;
            continue;
        }
        if (operation->kind == HISTORY_SWAP) {
            operation->version = version + (draw(&seed, 3) == 0);
            operation->outcome = operation->version == version ? HISTORY_DONE : HISTORY_REFUSED;
        }
        if (operation->outcome == HISTORY_DONE) {
            version++;
            value = i + 1;
            operation->outcome = draw(&seed, 20) == 0 ? HISTORY_UNKNOWN : HISTORY_DONE;
        }
    }
}

static void test_long(void **state)
{
    struct history history;
    size_t stuck;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make(&history, seed);
        CHECK_U64(history_check(&history, &stuck), HISTORY_LINEARIZABLE);
    }
}

/* One read that answers what the register held some operations earlier. */
static void test_long_with_stale_read(void **state)
{
    struct history history;
    size_t stuck;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        make(&history, seed);
        size_t first = 0;
        size_t last = history.count;
        while (history.operations[first].kind != HISTORY_READ) {
            first++;
        }
        do {
            last--;
        } while (history.operations[last].kind != HISTORY_READ);
        history.operations[last].version = history.operations[first].version;
        history.operations[last].value = history.operations[first].value;
        CHECK_U64(history_check(&history, &stuck), HISTORY_NOT_LINEARIZABLE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_long_with_stale_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
