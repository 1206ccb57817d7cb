/*
 * The verifier under failures: of each thing that it asks of the world the first fails, then the
 * second, ... until all credentials are verified without one. Whatever failed, and whoever led
 * meanwhile: both are verified in the end, what the state hears is what the cloud said, and whoever
 * asked is answered once, and well only if it is so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "verifier.h"

#include "scratch.h"

#define STEPS_MAX 1000
#define CREDENTIALS 2
#define BAD 1 /* The cloud refuses these. */

enum operation {
    OPERATION_CREDENTIALS,
    OPERATION_ASK,
    OPERATION_ANSWER, /* Not reached. */
    OPERATION_LIMITED,
    OPERATION_PROPOSE,
    OPERATION_APPLIED,   /* It was, and we are told that it was not. */
    OPERATION_UNAPPLIED, /* It was not. */
    OPERATION_DEPOSED,   /* Before a step, and elected at once. */
    OPERATION_COUNT,
};

static const char *const operation_names[OPERATION_COUNT] = {
    "credentials", "ask", "answer", "limited", "propose", "applied", "unapplied", "deposed",
};

struct world {
    struct verifier verifier;
    struct credential_view credentials[CREDENTIALS];
    uint64_t now_ms;
    uint64_t timer_ms;
    size_t asked; /* CREDENTIALS: none. */
    bool proposed;
    size_t about;
    bool valid;
    bool waits; /* A request is not answered yet. */
    bool told;  /* One was answered well. */
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

static struct status credentials(void *context, struct arena *arena, struct codec_list *out)
{
    struct world *world = context;
    (void)arena;
    *out = (struct codec_list){.items = world->credentials, .count = CREDENTIALS};
    return fails(world, OPERATION_CREDENTIALS) ? fail(STATUS_IO, "credentials") : OK;
}

static size_t number_of(const struct world *world, struct slice name)
{
    size_t number = 0;
    while (number < CREDENTIALS && !slice_equal(world->credentials[number].name, name)) {
        number++;
    }
    CHECK(number < CREDENTIALS);
    return number;
}

static struct status ask(void *context, const struct credential_view *credential)
{
    struct world *world = context;
    CHECK(world->asked == CREDENTIALS && !world->proposed); /* One thing at a time. */
    if (fails(world, OPERATION_ASK)) {
        return fail(STATUS_NO_MEMORY, "ask");
    }
    world->asked = number_of(world, credential->name);
    return OK;
}

static void cancel(void *context)
{
    struct world *world = context;
    world->asked = CREDENTIALS;
}

static struct status propose(void *context, const struct command *command)
{
    struct world *world = context;
    CHECK(world->asked == CREDENTIALS && !world->proposed);
    if (fails(world, OPERATION_PROPOSE)) {
        return fail(STATUS_NOT_LEADER, "propose");
    }
    CHECK_U64(command->type, COMMAND_CREDENTIAL_VERIFIED);
    world->proposed = true;
    world->about = number_of(world, command->body.credential_verified.name);
    world->valid = command->body.credential_verified.valid;
    CHECK_U64(world->valid, world->about != BAD); /* What the cloud said, and nothing else. */
    return OK;
}

static void cloud_paused(void *context, unsigned delay_s, const char *reason)
{
    (void)context;
    (void)reason;
    CHECK(delay_s > 0);
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

static const struct verifier_ops ops = {
    .monotonic_ms = now_ms,
    .random = no_random,
    .credentials = credentials,
    .ask = ask,
    .cancel = cancel,
    .propose = propose,
    .cloud_paused = cloud_paused,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
};

static void on_done(void *argument, struct status status)
{
    struct world *world = argument;
    CHECK(world->waits);
    world->waits = false;
    if (!failed(status)) {
        CHECK(world->credentials[0].verified_at_ms != 0);
        world->told = true;
    }
}

/* ---- */

static void answer(struct world *world)
{
    struct oauth_answer said = {.result = OAUTH_GRANTED, .reason = "words"};
    if (world->asked == BAD) {
        said.result = OAUTH_REFUSED;
    }
    if (fails(world, OPERATION_ANSWER)) {
        said.result = OAUTH_FAILED;
    } else if (fails(world, OPERATION_LIMITED)) {
        said.result = OAUTH_LIMITED;
    }
    world->asked = CREDENTIALS;
    verifier_on_answer(&world->verifier, &said);
}

static void finish_proposal(struct world *world)
{
    bool told = !fails(world, OPERATION_APPLIED);
    world->proposed = false;
    if (fails(world, OPERATION_UNAPPLIED)) {
        told = false;
    } else {
        world->credentials[world->about].verified_at_ms = world->now_ms;
        world->credentials[world->about].verified = world->valid;
    }
    verifier_on_proposed(&world->verifier, told);
}

static void step(struct world *world)
{
    if (fails(world, OPERATION_DEPOSED)) {
        verifier_on_follower(&world->verifier);
        CHECK(!world->waits);
        verifier_on_leader(&world->verifier);
    }
    if (!world->waits && !world->told) {
        world->waits = true;
        struct status status = verifier_request(&world->verifier, slice_of(""), on_done, world);
        world->waits = !failed(status);
    }
    if (world->asked < CREDENTIALS) {
        answer(world);
    } else if (world->proposed) {
        finish_proposal(world);
    } else {
        CHECK(world->timer_ms > 0); /* Nothing is under way, so something must be waited for. */
        world->now_ms = world->timer_ms;
        world->timer_ms = 0;
        verifier_on_timer(&world->verifier);
    }
}

static bool is_over(const struct world *world)
{
    return world->told && !world->waits && world->credentials[0].verified_at_ms != 0 &&
           world->credentials[BAD].verified_at_ms != 0;
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
                    .asked = CREDENTIALS,
                    .credentials = {{.name = slice_of("good"), .generation = 1, .selected = true},
                                    {.name = slice_of("bad"), .generation = 1}},
                    .failing = (enum operation)operation,
                    .after = after,
                    .times = spells[i],
                };
                verifier_init(&world.verifier, &ops, &world);
                verifier_on_leader(&world.verifier);
                for (int steps = 0; !is_over(&world); steps++) {
                    CHECK(steps < STEPS_MAX);
                    step(&world);
                }
                CHECK(world.credentials[0].verified && !world.credentials[BAD].verified);
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
