/*
 * The write-ahead log against crashes, by seed: random operations on a simulated disk, the power
 * fails in a random call, what was not synced is lost or torn, the log is opened again. What it
 * gives must be what was acknowledged, plus a prefix of what was asked for and not answered yet.
 *
 *     model: state after the last acknowledged operation + list of operations not acknowledged
 *
 * WAL_CRASH_SEEDS and WAL_CRASH_FIRST in the environment run more, or one again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"
#include "wal_harness.h"

#define INDEX_MAX 4096
#define PENDING_MAX 64
#define SEEDS_DEFAULT 500

/* What the log holds. */
struct state {
    uint64_t term;
    uint64_t vote;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    uint64_t last;
    uint8_t terms[INDEX_MAX]; /* By index, up to last. */
};

enum operation_kind {
    OPERATION_APPEND,
    OPERATION_STATE,
    OPERATION_TRUNCATE,
    OPERATION_SNAPSHOT,
};

struct operation {
    enum operation_kind kind;
    uint64_t index; /* First entry, truncation, or snapshot. */
    uint64_t term;
    uint64_t vote;
    unsigned count;
    unsigned trailing;
    bool answered;
    struct harness_append *append;
};

struct world {
    struct sim_disk sim;
    struct wal *wal;
    struct state acknowledged;
    struct state asked; /* After all pending. */
    struct operation pending[PENDING_MAX];
    size_t pending_count;
    const char *wrong; /* What the checker found. */
    unsigned long operations;
    unsigned long recoveries;
};

static uint64_t pick(struct world *world, uint64_t limit)
{
    return sim_disk_random(&world->sim, limit);
}

/* Apply one operation; an append only `entries` of its entries. */
static void state_apply(struct state *state, const struct operation *operation, unsigned entries)
{
    switch (operation->kind) {
    case OPERATION_APPEND:
        for (unsigned i = 0; i < entries; i++) {
            state->terms[operation->index + i] = (uint8_t)operation->term;
        }
        state->last = operation->index + entries - 1;
        return;
    case OPERATION_STATE:
        state->term = operation->term;
        state->vote = operation->vote;
        return;
    case OPERATION_TRUNCATE: state->last = operation->index - 1; return;
    case OPERATION_SNAPSHOT:
        state->snapshot_index = operation->index;
        state->snapshot_term = operation->term;
        if (operation->trailing == 0) {
            state->last = operation->index;
        }
        return;
    }
}

static bool state_matches(const struct state *state, const struct wal_loaded *loaded)
{
    uint64_t snapshot_index = loaded->snapshot == NULL ? 0 : loaded->snapshot->index;
    uint64_t snapshot_term = loaded->snapshot == NULL ? 0 : loaded->snapshot->term;
    if (loaded->term != state->term || loaded->voted_for != state->vote ||
        snapshot_index != state->snapshot_index ||
        (snapshot_index > 0 && snapshot_term != state->snapshot_term) ||
        loaded->start_index > snapshot_index + 1 ||
        loaded->start_index + loaded->entry_count - 1 != state->last) {
        return false;
    }
    for (size_t i = 0; i < loaded->entry_count; i++) {
        uint64_t index = loaded->start_index + i;
        if (!harness_matches(&loaded->entries[i], index, state->terms[index])) {
            return false;
        }
    }
    return true;
}

/* A crash between an installed snapshot's manifest and the log's reset: the log may go on after it
 * if it has its last entry, and is dropped otherwise. */
static void state_install_half(struct state *state, const struct operation *operation)
{
    bool continues = operation->index <= state->last && operation->index > state->snapshot_index &&
                     state->terms[operation->index] == operation->term;
    uint64_t last = state->last;
    state_apply(state, operation, 0);
    state->last = continues ? last : operation->index;
}

/* Is what was loaded a state in the middle of one operation, begun in `state`? Then that is the
 * acknowledged one now. */
static bool part_matches(struct world *world, const struct state *state,
                         const struct operation *operation, const struct wal_loaded *loaded)
{
    struct state part = *state;
    if (operation->kind == OPERATION_SNAPSHOT && operation->trailing == 0) {
        state_install_half(&part, operation);
        if (state_matches(&part, loaded)) {
            world->acknowledged = part;
            return true;
        }
    }
    for (unsigned k = 1; operation->kind == OPERATION_APPEND && k < operation->count; k++) {
        part = *state;
        state_apply(&part, operation, k);
        if (state_matches(&part, loaded)) {
            world->acknowledged = part;
            return true;
        }
    }
    return false;
}

/* Is what was loaded a state on the way from the acknowledged one to all that was asked? Then it is
 * the acknowledged one now. */
static bool world_check(struct world *world, const struct wal_loaded *loaded)
{
    struct state state = world->acknowledged;
    bool found = state_matches(&state, loaded);
    for (size_t i = 0; i < world->pending_count && !found; i++) {
        if (part_matches(world, &state, &world->pending[i], loaded)) {
            return true;
        }
        state_apply(&state, &world->pending[i], world->pending[i].count);
        found = state_matches(&state, loaded);
    }
    if (found) {
        world->acknowledged = state;
    }
    return found;
}

static void pending_free(struct world *world)
{
    for (size_t i = 0; i < world->pending_count; i++) {
        if (world->pending[i].append != NULL) {
            harness_release(world->pending[i].append);
            free(world->pending[i].append);
        }
    }
    world->pending_count = 0;
}

/* Everything pending is acknowledged. */
static void pending_acknowledge(struct world *world)
{
    for (size_t i = 0; i < world->pending_count; i++) {
        state_apply(&world->acknowledged, &world->pending[i], world->pending[i].count);
    }
    pending_free(world);
}

static void pending_add(struct world *world, struct operation operation)
{
    state_apply(&world->asked, &operation, operation.count);
    world->pending[world->pending_count++] = operation;
    world->operations++;
}

/* ---- Operations ---- */

static void do_append(struct world *world)
{
    struct harness_append *append = malloc(sizeof *append);
    CHECK(append != NULL);
    struct operation operation = {.kind = OPERATION_APPEND,
                                  .index = world->asked.last + 1,
                                  .term = world->asked.term == 0 ? 1 : world->asked.term,
                                  .count = 1 + (unsigned)pick(world, 8),
                                  .append = append};
    size_t size = 8 * (size_t)pick(world, pick(world, 8) == 0 ? 800 : 80);
    if (operation.index + operation.count >= INDEX_MAX ||
        failed(harness_append(world->wal, append, operation.index, operation.term, operation.count,
                              size))) {
        harness_release(append);
        free(append);
        return;
    }
    pending_add(world, operation);
}

static void do_truncate(struct world *world)
{
    uint64_t low = world->asked.snapshot_index + 1;
    if (world->asked.last < low) {
        return;
    }
    uint64_t back = pick(world, 12);
    uint64_t index = world->asked.last < low + back ? low : world->asked.last - back;
    struct operation operation = {.kind = OPERATION_TRUNCATE, .index = index};
    if (!failed(wal_truncate(world->wal, index))) {
        pending_add(world, operation);
    }
}

/* A failure of the call that waits for the disk leaves it open whether it happened. */
static void do_state(struct world *world)
{
    struct operation operation = {.kind = OPERATION_STATE, .term = world->asked.term};
    struct status status;
    if (world->asked.term < 200 && pick(world, 2) == 0) {
        operation.term++;
        status = wal_set_term(world->wal, operation.term);
    } else {
        operation.vote = 1 + pick(world, 5);
        status = wal_set_vote(world->wal, operation.vote);
    }
    if (status.code == STATUS_FULL) {
        return;
    }
    pending_add(world, operation);
    if (!failed(status)) {
        /* It was synced after all before it, whose answers come now. */
        (void)wal_pump(world->wal);
        pending_acknowledge(world);
    }
}

static void do_pump(struct world *world)
{
    (void)wal_pump(world->wal);
    if (failed(wal_failure(world->wal))) {
        return;
    }
    for (size_t i = 0; i < world->pending_count; i++) {
        const struct harness_append *append = world->pending[i].append;
        if (append != NULL && (append->answers != 1 || failed(append->status))) {
            world->wrong = "an append was not answered once, with success";
        }
    }
    pending_acknowledge(world);
}

static void do_snapshot(struct world *world)
{
    bool install = pick(world, 4) == 0;
    struct operation operation = {.kind = OPERATION_SNAPSHOT};
    uint64_t low = world->asked.snapshot_index + 1;
    if (install) {
        operation.index = low + pick(world, world->asked.last + 5 - world->asked.snapshot_index);
        operation.term = 1 + world->asked.term;
    } else if (world->asked.last >= low) {
        operation.index = low + pick(world, world->asked.last + 1 - low);
        operation.term = world->asked.terms[operation.index];
        operation.trailing = 1 + (unsigned)pick(world, 30);
    }
    if (operation.index == 0 || operation.index + 1 >= INDEX_MAX) {
        return;
    }
    if (install && operation.index <= world->asked.last && pick(world, 2) == 0) {
        operation.term = world->asked.terms[operation.index];
    }
    struct status status =
        harness_snapshot(world->wal, operation.index, operation.term, operation.trailing);
    bool poisoned = failed(wal_failure(world->wal));
    if (!failed(status) || poisoned) {
        pending_add(world, operation);
    }
    if (!poisoned) {
        do_pump(world);
    }
}

static void do_one(struct world *world)
{
    uint64_t roll = pick(world, 100);
    if (roll < 45) {
        do_append(world);
    } else if (roll < 75) {
        do_pump(world);
    } else if (roll < 83) {
        do_state(world);
    } else if (roll < 91) {
        do_truncate(world);
    } else {
        do_snapshot(world);
    }
    if (world->pending_count + 2 > PENDING_MAX) {
        do_pump(world);
    }
}

/* ---- Lives ---- */

static void log_close(struct world *world)
{
    harness_close(world->wal);
    world->wal = NULL;
}

static void explain(const struct world *world, const struct wal_loaded *loaded)
{
    const struct state *state = &world->acknowledged;
    if (world->sim.ignores_sync) {
        return;
    }
    print_error("loaded:       term %llu vote %llu snapshot %llu start %llu count %zu\n",
                loaded->term, loaded->voted_for,
                loaded->snapshot == NULL ? 0 : loaded->snapshot->index, loaded->start_index,
                loaded->entry_count);
    print_error("acknowledged: term %lu vote %lu snapshot %lu of term %lu last %lu\n", state->term,
                state->vote, state->snapshot_index, state->snapshot_term, state->last);
    for (size_t i = 0; i < world->pending_count; i++) {
        const struct operation *pending = &world->pending[i];
        print_error("  pending: kind %d index %lu term %lu vote %lu count %u trailing %u\n",
                    (int)pending->kind, pending->index, pending->term, pending->vote,
                    pending->count, pending->trailing);
    }
}

/* Open until it succeeds, with a power failure in between now and then. */
static void log_open(struct world *world)
{
    for (unsigned attempt = 0; world->wrong == NULL; attempt++) {
        if (attempt < 3 && pick(world, 3) == 0) {
            world->sim.operations_left = (long)pick(world, 12);
        }
        struct wal_options options = {.disk = &world->sim.disk,
                                      .segment_size = HARNESS_SEGMENT_SIZE,
                                      .salt = 1 + pick(world, UINT64_MAX)};
        struct status status = wal_open(&options, &world->wal);
        if (!failed(status)) {
            world->sim.operations_left = -1;
            break;
        }
        if (world->sim.dead) {
            sim_disk_crash(&world->sim);
        } else if (status.code == STATUS_FULL) {
            world->sim.capacity += 2 * (uint64_t)HARNESS_SEGMENT_SIZE;
        } else {
            world->wrong = "the log does not open";
        }
    }
    if (world->wrong != NULL) {
        return;
    }
    world->recoveries++;
    struct wal_loaded loaded;
    wal_load(world->wal, &loaded);
    if (!world_check(world, &loaded)) {
        world->wrong = "the log is not what was acknowledged";
        explain(world, &loaded);
    }
    wal_loaded_release(&loaded);
    pending_free(world);
    world->asked = world->acknowledged;
}

static void live(struct world *world)
{
    bool clean = pick(world, 5) == 0;
    uint64_t operations = 1 + pick(world, 80);
    if (!clean) {
        world->sim.operations_left = (long)pick(world, 100);
    }
    for (uint64_t i = 0; i < operations && !failed(wal_failure(world->wal)); i++) {
        do_one(world);
    }
    if (clean) {
        do_pump(world);
    } else {
        /* The answers of what the close would still write are not waited for. */
        world->sim.dead = true;
    }
    log_close(world);
    if (!clean) {
        sim_disk_crash(&world->sim);
    }
}

/* Run one seed; NULL, or what went wrong. */
static const char *run_seed(uint64_t seed, bool ignores_sync, struct world *world)
{
    unsigned long operations = world->operations;
    unsigned long recoveries = world->recoveries;
    memset(world, 0, sizeof *world);
    world->operations = operations;
    world->recoveries = recoveries;
    sim_disk_init(&world->sim, seed);
    world->sim.ignores_sync = ignores_sync;
    if (pick(world, 3) == 0) {
        world->sim.capacity = (4 + pick(world, 6)) * HARNESS_SEGMENT_SIZE;
    }
    log_open(world);
    for (unsigned i = 0; i < 4 && world->wrong == NULL; i++) {
        live(world);
        if (world->wrong == NULL) {
            log_open(world);
        }
    }
    if (world->wal != NULL) {
        log_close(world);
    }
    if (world->wrong == NULL && world->sim.open_count != 0) {
        world->wrong = "a file was left open";
    }
    pending_free(world);
    sim_disk_release(&world->sim);
    return world->wrong;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static struct world world;

static void test_crashes(void **state)
{
    (void)state;
    uint64_t first = from_environment("WAL_CRASH_FIRST", 1);
    uint64_t count = from_environment("WAL_CRASH_SEEDS", SEEDS_DEFAULT);
    unsigned bad = 0;
    world.operations = world.recoveries = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        const char *wrong = run_seed(seed, false, &world);
        if (wrong != NULL) {
            print_error("seed %llu: %s\n", (unsigned long long)seed, wrong);
            bad++;
        }
    }
    print_message("%llu seeds, %lu operations, %lu recoveries\n", (unsigned long long)count,
                  world.operations, world.recoveries);
    CHECK_U64(bad, 0);
}

/* The checker must notice a disk whose syncs do nothing. */
static void test_checker_fails_without_sync(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        bad += run_seed(seed, true, &world) != NULL;
    }
    print_message("%u of 100 seeds noticed\n", bad);
    CHECK(bad > 50);
}

/* A sync fails, the log is opened again, and only then power fails: what was read, and vouched for
 * by that, must be there. */
static void test_failed_sync(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct sim_disk sim;
        struct wal *wal = NULL;
        sim_disk_init(&sim, seed);
        CHECK_OK(harness_open(NULL, &sim.disk, &wal));
        CHECK_OK(harness_append_now(wal, 1, 1, 4, 900));
        sim.error_after = 1; /* The write before it is done. */
        CHECK_CODE(harness_append_now(wal, 5, 1, 8, 900), STATUS_IO);
        CHECK_CODE(wal_failure(wal), STATUS_IO);
        harness_close(wal);
        for (unsigned i = 0; i < 2; i++) {
            CHECK_OK(harness_open(NULL, &sim.disk, &wal));
            harness_expect(wal, 0, 0, 1, 12);
            sim_disk_crash(&sim);
            harness_close(wal);
        }
        sim_disk_release(&sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_checker_fails_without_sync),
        cmocka_unit_test(test_failed_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
