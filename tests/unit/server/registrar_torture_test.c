/*
 * The registrar under failures: of each thing that it asks of the world the first fails, then the
 * second, ... until a whole life (register, heartbeat, deregister) comes by none. Whatever failed, and
 * whoever led meanwhile: the cloud made one device, the state heard of it once, and at the end the
 * device is gone from both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registrar.h"

#include <string.h>

#include "scratch.h"

#define STEPS_MAX 1000
#define POLLS 2 /* Until the cloud has made the device. */

enum operation {
    OPERATION_VIEW,
    OPERATION_CALL,
    OPERATION_ANSWER, /* Comes as a failure, though the cloud did it. */
    OPERATION_UNSENT, /* Comes as a failure, and the cloud did nothing. */
    OPERATION_PROPOSE,
    OPERATION_APPLIED,   /* It was, and we are told that it was not. */
    OPERATION_UNAPPLIED, /* It was not. */
    OPERATION_DEPOSED,   /* Before a step, and elected at once. */
    OPERATION_COUNT,
};

static const char *const operation_names[OPERATION_COUNT] = {
    "view", "call", "answer", "unsent", "propose", "applied", "unapplied", "deposed",
};

struct world {
    struct registrar registrar;
    struct registration_view view;
    char error[REASON_SIZE]; /* Of the view. */
    uint64_t now_ms;
    uint64_t timer_ms;
    bool called;
    enum exchange_kind kind;
    bool proposed;
    enum command_type type;
    char note[REASON_SIZE]; /* Of the proposal. */
    bool note_id;
    /* The cloud. */
    unsigned devices_made;
    unsigned polls;
    bool deleting;
    bool gone;
    /* The state. */
    unsigned completions;
    unsigned deregistrations;
    unsigned heartbeats;
    enum operation failing;
    int after;
    int times;
    int fired;
};

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

static struct status view(void *context, struct arena *arena, struct registration_view *out)
{
    struct world *world = context;
    (void)arena;
    *out = world->view;
    return fails(world, OPERATION_VIEW) ? fail(STATUS_IO, "view") : OK;
}

static struct status call(void *context, enum exchange_kind kind,
                          const struct registration_view *intent)
{
    struct world *world = context;
    (void)intent;
    CHECK(!world->called && !world->proposed); /* One thing at a time. */
    if (fails(world, OPERATION_CALL)) {
        return fail(STATUS_NO_MEMORY, "call");
    }
    world->called = true;
    world->kind = kind;
    return OK;
}

static void cancel(void *context)
{
    struct world *world = context;
    world->called = false;
}

static struct status propose(void *context, const struct command *command)
{
    struct world *world = context;
    CHECK(!world->called && !world->proposed);
    if (fails(world, OPERATION_PROPOSE)) {
        return fail(STATUS_NOT_LEADER, "propose");
    }
    world->proposed = true;
    world->type = command->type;
    world->note[0] = '\0';
    if (command->type == COMMAND_REGISTRATION_NOTE) {
        CHECK(
            slice_to_text(command->body.registration_note.error, world->note, sizeof world->note));
        world->note_id = command->body.registration_note.registration_id.size > 0;
    }
    return OK;
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

static const struct registrar_ops ops = {
    .now_ms = now_ms,
    .monotonic_ms = now_ms,
    .random = no_random,
    .view = view,
    .call = call,
    .cancel = cancel,
    .propose = propose,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
};

/* ---- The cloud ---- */

static enum exchange_result cloud_does(struct world *world)
{
    if (world->kind == EXCHANGE_REGISTER) { /* The same token and CSR: the same device. */
        world->devices_made = 1;
    }
    if (world->kind == EXCHANGE_REGISTER || world->kind == EXCHANGE_POLL) {
        CHECK(world->devices_made == 1);
        return world->polls++ < POLLS ? EXCHANGE_IN_PROGRESS : EXCHANGE_REGISTERED;
    }
    if (world->kind == EXCHANGE_HEARTBEAT) {
        world->heartbeats++;
        return EXCHANGE_DONE;
    }
    CHECK(world->kind == EXCHANGE_DELETE);
    world->gone = world->gone || world->deleting;
    world->deleting = true;
    return world->gone ? EXCHANGE_GONE : EXCHANGE_DONE;
}

static void answer(struct world *world)
{
    struct exchange_answer said = {.result = EXCHANGE_FAILED, .reason = "words"};
    world->called = false;
    if (!fails(world, OPERATION_UNSENT)) {
        said.result = cloud_does(world);
    }
    if (fails(world, OPERATION_ANSWER)) {
        said.result = EXCHANGE_FAILED;
    }
    if (said.result == EXCHANGE_IN_PROGRESS) {
        said.registration_id = slice_of("reg-1");
    }
    registrar_on_answer(&world->registrar, &said);
}

/* ---- The state ---- */

static void apply(struct world *world)
{
    struct registration_view *now = &world->view;
    if (world->type == COMMAND_REGISTRATION_NOTE) {
        (void)memcpy(world->error, world->note, sizeof world->error);
        now->error = slice_of(world->error);
        now->registration_id = world->note_id ? slice_of("reg-1") : now->registration_id;
    } else if (world->type == COMMAND_REGISTRATION_COMPLETE) {
        world->completions++;
        now->state = REGISTRATION_REGISTERED;
        now->device_id = slice_of("device-1");
        now->error = (struct slice){0};
    } else {
        CHECK_U64(world->type, COMMAND_DEREGISTRATION_COMPLETE);
        world->deregistrations++;
        now->state = REGISTRATION_ENABLED;
    }
}

static void finish_proposal(struct world *world)
{
    bool told = !fails(world, OPERATION_APPLIED);
    world->proposed = false;
    if (fails(world, OPERATION_UNAPPLIED)) {
        told = false;
    } else {
        apply(world);
    }
    registrar_on_proposed(&world->registrar, told);
}

static void step(struct world *world)
{
    if (fails(world, OPERATION_DEPOSED)) {
        registrar_on_follower(&world->registrar);
        registrar_on_leader(&world->registrar);
    }
    if (world->called) {
        answer(world);
    } else if (world->proposed) {
        finish_proposal(world);
    } else {
        CHECK(world->timer_ms > 0); /* Nothing is under way, so something must be waited for. */
        world->now_ms = world->timer_ms;
        world->timer_ms = 0;
        registrar_on_timer(&world->registrar);
    }
}

static void play(struct world *world)
{
    registrar_on_leader(&world->registrar);
    for (int steps = 0; world->view.state != REGISTRATION_ENABLED; steps++) {
        CHECK(steps < STEPS_MAX);
        if (world->heartbeats > 0 && world->view.state == REGISTRATION_REGISTERED) {
            world->view.state = REGISTRATION_DEREGISTERING;
            world->view.epoch++;
            registrar_on_change(&world->registrar);
        }
        step(world);
    }
}

static void test_operations(void **state)
{
    static const int spells[] = {1, 2, 12};
    (void)state;
    for (int operation = 0; operation < OPERATION_COUNT; operation++) {
        check_row(operation_names[operation]);
        for (size_t i = 0; i < sizeof spells / sizeof spells[0]; i++) {
            int fired = 1;
            int after = 0;
            for (; fired > 0; after++) {
                struct world world = {
                    .now_ms = 1000000,
                    .view = {.state = REGISTRATION_REGISTERING, .epoch = 1, .since_ms = 1000000},
                    .failing = (enum operation)operation,
                    .after = after,
                    .times = spells[i],
                };
                registrar_init(&world.registrar, &ops, &world);
                play(&world);
                CHECK_U64(world.devices_made, 1);
                CHECK_U64(world.completions, 1);
                CHECK_U64(world.deregistrations, 1);
                CHECK(world.gone);
                fired = world.fired;
            }
            CHECK(after > 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
