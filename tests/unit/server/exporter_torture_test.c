/*
 * The exporter under failures: of each thing that it asks of the world, and of memory, the first
 * fails, then the second, ... until all records are in the cloud without one. Then, whatever failed:
 * each record is in the cloud once, under one name with one body; the one that the cloud cannot
 * stand is the only dead letter, with its reason; the mark is at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exporter.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "outbox_rows.h"

#define RECORDS 7
#define POISONED 4 /* Its sequence: the cloud refuses any bundle that has it. */
#define STEPS_MAX 2000
#define SPELL 20 /* So often in a row: a spell of it, as of short memory. */

enum operation {
    OPERATION_GATE,
    OPERATION_LOAD,
    OPERATION_SEND,
    OPERATION_ANSWER,  /* Comes as a failure, though the cloud took the bundle. */
    OPERATION_UNSENT,  /* Comes as a failure, and the cloud did not take it. */
    OPERATION_GARBAGE, /* Taken, and the answer cannot be read. */
    OPERATION_ADVANCE,
    OPERATION_MOVED,   /* The mark moved, and we are told that it did not. */
    OPERATION_UNMOVED, /* It did not. */
    OPERATION_COUNT,
};

static const char *const operation_names[OPERATION_COUNT] = {
    "gate", "load", "send", "answer", "unsent", "garbage", "advance", "moved", "unmoved",
};

struct world {
    struct exporter exporter;
    struct exporter_gate gate;
    uint64_t now_ms;
    uint64_t timer_ms;
    struct buffer requests[EXPORTER_WINDOW];
    bool sent[EXPORTER_WINDOW];
    bool advancing;
    uint64_t advancing_to;
    bool dead[RECORDS + 1]; /* In the state, by sequence. */
    bool dying[RECORDS + 1];
    json_t *cloud; /* External id -> body. */
    struct buffer answer;
    enum operation failing;
    int after; /* Visits of it until it fails. */
    int times;
    int fired;
};

static struct arena rows_arena;
static struct codec_list rows; /* Made before memory gets short. */
static bool ours;              /* The test's own use of jansson never fails. */

static void *json_bytes(size_t size)
{
    return ours ? malloc(size) : alloc_bytes(size);
}

static bool fails(struct world *world, enum operation operation)
{
    if (operation != world->failing || world->after-- > 0 || world->times-- <= 0) {
        return false;
    }
    world->fired++;
    return true;
}

static uint64_t now_ms(void *context)
{
    const struct world *world = context;
    return world->now_ms;
}

static uint64_t no_random(void *context)
{
    (void)context;
    return 0;
}

static struct status gate(void *context, struct exporter_gate *out)
{
    struct world *world = context;
    *out = world->gate;
    return fails(world, OPERATION_GATE) ? fail(STATUS_IO, "gate") : OK;
}

static struct status load(void *context, uint64_t sequence, struct bundle *bundle)
{
    struct world *world = context;
    struct record_view *items = rows.items;
    struct codec_list rest = {.items = items + sequence,
                              .count = (size_t)(world->gate.last_sequence - sequence)};
    return fails(world, OPERATION_LOAD)
               ? fail(STATUS_IO, "load")
               : bundle_fill(bundle, slice_of(OUTBOX_CLUSTER), sequence, &rest);
}

static struct status send_bundle(void *context, unsigned slot, struct slice body)
{
    struct world *world = context;
    if (fails(world, OPERATION_SEND)) {
        return fail(STATUS_NO_MEMORY, "send");
    }
    CHECK(!world->sent[slot]);
    buffer_clear(&world->requests[slot]);
    CHECK(buffer_append(&world->requests[slot], body.data, body.size)); /* Has room. */
    world->sent[slot] = true;
    return OK;
}

static void cancel(void *context, unsigned slot)
{
    struct world *world = context;
    world->sent[slot] = false;
}

static struct status advance(void *context, const struct bundle *bundle)
{
    struct world *world = context;
    struct arena arena = {0};
    struct codec_list rejects;
    CHECK_U64(bundle->from, world->gate.mark);
    struct status status = fails(world, OPERATION_ADVANCE)
                               ? fail(STATUS_NO_MEMORY, "advance")
                               : bundle_rejects(bundle, &arena, &rejects);
    if (!failed(status)) {
        const struct export_reject *items = rejects.items;
        memset(world->dying, 0, sizeof world->dying);
        for (size_t i = 0; i < rejects.count; i++) {
            world->dying[items[i].sequence] = true;
        }
        world->advancing = true;
        world->advancing_to = bundle->to;
    }
    arena_release(&arena);
    return status;
}

static void cloud_paused(void *context, uint64_t until_ms, const char *reason)
{
    (void)context;
    (void)until_ms;
    bool never_comes = reason == NULL; /* The cloud asked for no pause. */
    CHECK(never_comes);
}

static void credentials_refused(void *context, const char *reason)
{
    (void)context;
    bool never_comes = reason == NULL; /* The cloud refused no credentials. */
    CHECK(never_comes);
}

static void start_timer(void *context, uint64_t delay_ms)
{
    struct world *world = context;
    world->timer_ms = world->now_ms + delay_ms;
}

static void stop_timer(void *context)
{
    struct world *world = context;
    world->timer_ms = 0;
}

static void drained(void *context)
{
    (void)context;
}

static const struct exporter_ops ops = {
    .now_ms = now_ms,
    .monotonic_ms = now_ms,
    .random = no_random,
    .gate = gate,
    .load = load,
    .send = send_bundle,
    .cancel = cancel,
    .advance = advance,
    .cloud_paused = cloud_paused,
    .credentials_refused = credentials_refused,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
    .drained = drained,
};

/* ---- The cloud ---- */

/* False when it refuses the bundle. */
static bool cloud_takes(struct world *world, const json_t *bundle)
{
    static char poisoned[SIGHTING_ID_SIZE];
    const struct record_view *bad = (const struct record_view *)rows.items + POISONED - 1;
    const struct sighting_key key = {
        .cluster_id = slice_of(OUTBOX_CLUSTER),
        .kind = bad->kind,
        .serial = bad->serial,
        .id = bad->id,
        .revision = bad->revision,
    };
    const json_t *sightings = json_object_get(bundle, "sightings");
    sighting_external_id(&key, poisoned);
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < json_array_size(sightings); i++) {
            json_t *body = json_array_get(sightings, i);
            const char *id =
                json_string_value(json_array_get(json_object_get(body, "external_ids"), 0));
            const json_t *known = json_object_get(world->cloud, id);
            if (pass == 0 && strcmp(id, poisoned) == 0) {
                return false;
            }
            CHECK(known == NULL || json_equal(known, body)); /* X2 */
            if (pass == 1) {
                CHECK(json_object_set(world->cloud, id, body) == 0);
            }
        }
    }
    return true;
}

static void answer(struct world *world, unsigned slot)
{
    struct slice request = buffer_slice(&world->requests[slot]);
    struct ctia_answer said = {.quota_remaining = UINT64_MAX, .reason = "words"};
    world->sent[slot] = false;
    said.result = CTIA_FAILED;
    if (!fails(world, OPERATION_UNSENT)) {
        ours = true;
        json_t *bundle = json_loadb(request.data, request.size, JSON_REJECT_DUPLICATES, NULL);
        CHECK(bundle != NULL);
        bool taken = cloud_takes(world, bundle);
        json_decref(bundle);
        outbox_answer(request, "created", &world->answer);
        ours = false;
        said.result = taken ? CTIA_TAKEN : CTIA_REFUSED;
        said.body = buffer_slice(&world->answer);
    }
    if (fails(world, OPERATION_ANSWER)) {
        said.result = CTIA_FAILED;
    } else if (said.result == CTIA_TAKEN && fails(world, OPERATION_GARBAGE)) {
        said.body = slice_of("<html>");
    }
    exporter_on_sent(&world->exporter, slot, &said);
}

static void finish_advance(struct world *world)
{
    world->advancing = false;
    if (fails(world, OPERATION_UNMOVED)) {
        exporter_on_advanced(&world->exporter, false);
        return;
    }
    world->gate.mark = world->advancing_to;
    for (size_t i = 0; i <= RECORDS; i++) {
        CHECK(!world->dead[i] || !world->dying[i]);
        world->dead[i] = world->dead[i] || world->dying[i];
    }
    exporter_on_advanced(&world->exporter, !fails(world, OPERATION_MOVED));
}

static void step(struct world *world)
{
    for (unsigned slot = 0; slot < EXPORTER_WINDOW; slot++) {
        if (world->sent[slot]) {
            answer(world, slot);
            return;
        }
    }
    if (world->advancing) {
        finish_advance(world);
        return;
    }
    CHECK(world->timer_ms > 0); /* Nothing is under way, so something must be waited for. */
    world->now_ms = world->timer_ms;
    world->timer_ms = 0;
    exporter_on_timer(&world->exporter);
}

/* ---- */

static void open_world(struct world *world)
{
    *world = (struct world){.now_ms = 1000000, .failing = OPERATION_COUNT, .gate = {.account = 1}};
    world->gate.last_sequence = 5; /* The rest comes later, in a bundle of its own. */
    ours = true;
    world->cloud = json_object();
    ours = false;
    CHECK(buffer_reserve(&world->answer, 65536));
    for (unsigned i = 0; i < EXPORTER_WINDOW; i++) {
        CHECK(buffer_reserve(&world->requests[i], 65536));
    }
    exporter_init(&world->exporter, &ops, world);
}

static void close_world(struct world *world)
{
    exporter_on_follower(&world->exporter);
    exporter_release(&world->exporter);
    json_decref(world->cloud);
    buffer_release(&world->answer);
    for (unsigned i = 0; i < EXPORTER_WINDOW; i++) {
        buffer_release(&world->requests[i]);
    }
}

static void play(struct world *world)
{
    exporter_on_leader(&world->exporter);
    for (int steps = 0; world->gate.mark < RECORDS || world->exporter.count > 0; steps++) {
        CHECK(steps < STEPS_MAX);
        if (world->gate.mark == 5 && world->gate.last_sequence == 5) {
            world->gate.last_sequence = RECORDS;
            exporter_on_change(&world->exporter);
        }
        step(world);
    }
}

static void check_world(const struct world *world)
{
    CHECK_U64(world->gate.mark, RECORDS);
    CHECK_U64(json_object_size(world->cloud), RECORDS - 1);
    for (uint64_t sequence = 1; sequence <= RECORDS; sequence++) {
        CHECK_U64(world->dead[sequence], sequence == POISONED);
    }
}

static void test_operations(void **state)
{
    static const int spells[] = {1, 2, SPELL};
    (void)state;
    for (int operation = 0; operation < OPERATION_COUNT; operation++) {
        check_row(operation_names[operation]);
        for (size_t i = 0; i < sizeof spells / sizeof spells[0]; i++) {
            int fired = 1;
            int after = 0;
            for (; fired > 0; after++) {
                struct world world;
                open_world(&world);
                world.failing = (enum operation)operation;
                world.after = after;
                world.times = spells[i];
                play(&world);
                check_world(&world);
                fired = world.fired;
                close_world(&world);
            }
            CHECK(after > 1);
        }
    }
}

static void test_allocations(void **state)
{
    static const int spells[] = {1, 2, SPELL};
    (void)state;
    check_row(fault_name(FAULT_ALLOC));
    for (size_t i = 0; i < sizeof spells / sizeof spells[0]; i++) {
        int fired = 1;
        int after = 0;
        for (; fired > 0; after++) {
            struct world world;
            open_world(&world);
            fault_arm(FAULT_ALLOC, after, spells[i]);
            play(&world);
            fired = fault_reset();
            check_world(&world);
            close_world(&world);
        }
        (void)fprintf(stderr, "%d visits, %d at a time\n", after, spells[i]);
        CHECK(after > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_allocations),
    };
    rows = outbox_rows(&rows_arena, 1, RECORDS);
    json_set_alloc_funcs(json_bytes, free);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&rows_arena);
    return failures;
}
