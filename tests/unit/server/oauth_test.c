/*
 * The one access token: asked for once however many wait, renewed at 80 % of its life while the present one
 * still serves, dropped when the cloud does not take it, and not kept beyond its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "oauth.h"

#include <string.h>

#include "scratch.h"

#define LIFE_MS UINT64_C(600000)

struct world {
    uint64_t now_ms;
    uint64_t random;
    unsigned asked;
    unsigned cancelled;
    unsigned told;
    enum oauth_result result;
    struct oauth oauth;
};

static struct status ask(void *context)
{
    struct world *world = context;
    world->asked++;
    return OK;
}

static void cancel(void *context)
{
    struct world *world = context;
    world->cancelled++;
}

static uint64_t now_ms(void *context)
{
    const struct world *world = context;
    return world->now_ms;
}

static uint64_t any(void *context)
{
    const struct world *world = context;
    return world->random;
}

static const struct oauth_ops ops = {
    .ask = ask, .cancel = cancel, .monotonic_ms = now_ms, .random = any};

static void on_told(struct oauth_waiter *waiter, const struct oauth_answer *answer)
{
    struct world *world = waiter->context;
    world->told++;
    world->result = answer->result;
}

static void begin(struct world *world)
{
    *world = (struct world){.now_ms = 1000};
    oauth_init(&world->oauth, &ops, world);
}

static void grant(struct world *world, const char *token)
{
    const struct oauth_answer answer = {
        .result = OAUTH_GRANTED,
        .token = slice_of(token),
        .lifetime_s = (unsigned)(LIFE_MS / 1000),
        .quota_remaining = UINT64_MAX,
    };
    oauth_on_answer(&world->oauth, &answer);
}

/* The line of the token that is in use; NULL if there is none. */
static bool holds(struct world *world, const char *line)
{
    struct oauth_token *token = oauth_take(&world->oauth);
    bool same = token != NULL && strcmp(token->line.pages, line) == 0;
    if (token != NULL) {
        oauth_give_back(token);
    }
    return same;
}

static void test_single_flight(void **state)
{
    struct world world;
    struct oauth_waiter waiters[3];
    (void)state;
    begin(&world);
    CHECK(oauth_take(&world.oauth) == NULL);
    for (size_t i = 0; i < 3; i++) {
        waiters[i] = (struct oauth_waiter){.context = &world};
        CHECK_OK(oauth_wait(&world.oauth, &waiters[i], on_told));
    }
    CHECK_U64(world.asked, 1);
    oauth_leave(&world.oauth, &waiters[1]);
    grant(&world, "one");
    CHECK_U64(world.told, 2);
    CHECK_U64(world.result, OAUTH_GRANTED);
    CHECK(holds(&world, "Authorization: Bearer one"));
    CHECK_U64(world.asked, 1);
    oauth_reset(&world.oauth);
    CHECK(oauth_take(&world.oauth) == NULL);
}

static void test_renewal(void **state)
{
    static const struct {
        const char *name;
        uint64_t random; /* How much of the jitter, 5 % at most. */
        uint64_t renewed_at_ms;
    } rows[] = {
        {"at 80 %", 0, LIFE_MS * 80 / 100},
        {"earlier by its jitter", LIFE_MS * 5 / 100, LIFE_MS * 75 / 100},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        struct oauth_waiter waiter = {.context = &world};
        check_row(rows[i].name);
        begin(&world);
        world.random = rows[i].random;
        CHECK_OK(oauth_wait(&world.oauth, &waiter, on_told));
        grant(&world, "one");
        world.now_ms = 1000 + rows[i].renewed_at_ms - 1;
        CHECK(holds(&world, "Authorization: Bearer one"));
        CHECK_U64(world.asked, 1);
        world.now_ms++;
        CHECK(holds(&world, "Authorization: Bearer one")); /* It serves until the next is there. */
        CHECK_U64(world.asked, 2);
        CHECK(holds(&world, "Authorization: Bearer one"));
        CHECK_U64(world.asked, 2); /* Once. */
        grant(&world, "two");
        CHECK(holds(&world, "Authorization: Bearer two"));
        world.now_ms += LIFE_MS;
        CHECK(oauth_take(&world.oauth) == NULL); /* Over. */
        oauth_reset(&world.oauth);
    }
}

/* Every use near a token's end would ask again: a renewal that fails is put off, one that is refused or limited
 * is not tried with this token any more. */
static void test_renewal_fails(void **state)
{
    static const struct {
        const char *name;
        enum oauth_result result;
        unsigned retry_after_s;
        uint64_t again_after_ms; /* 0: not before it ends. */
    } rows[] = {
        {"for now", OAUTH_FAILED, 0, 15000},
        {"for as long as the cloud says", OAUTH_FAILED, 30, 30000},
        {"limited", OAUTH_LIMITED, 10, 0},
        {"refused", OAUTH_REFUSED, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct oauth_answer answer = {.result = rows[i].result,
                                            .retry_after_s = rows[i].retry_after_s,
                                            .quota_remaining = UINT64_MAX};
        struct world world;
        struct oauth_waiter waiter = {.context = &world};
        check_row(rows[i].name);
        begin(&world);
        CHECK_OK(oauth_wait(&world.oauth, &waiter, on_told));
        CHECK(oauth_is_waited_for(&world.oauth));
        grant(&world, "one");
        uint64_t ends_ms = world.now_ms + LIFE_MS;
        world.now_ms += LIFE_MS * 80 / 100;
        CHECK(holds(&world, "Authorization: Bearer one"));
        CHECK_U64(world.asked, 2);
        CHECK(!oauth_is_waited_for(&world.oauth));
        oauth_on_answer(&world.oauth, &answer);
        uint64_t again_ms =
            rows[i].again_after_ms == 0 ? ends_ms : world.now_ms + rows[i].again_after_ms;
        world.now_ms = again_ms - 1;
        CHECK(holds(&world, "Authorization: Bearer one"));
        CHECK_U64(world.asked, 2);
        world.now_ms++;
        CHECK(holds(&world, "Authorization: Bearer one") == (again_ms < ends_ms));
        CHECK_U64(world.asked, again_ms < ends_ms ? 3 : 2);
        CHECK_U64(world.told, 1);
        oauth_reset(&world.oauth);
    }
}

/* A 401: only the token that was not taken is dropped, not one that came meanwhile. */
static void test_drop(void **state)
{
    struct world world;
    struct oauth_waiter waiter = {.context = &world};
    (void)state;
    begin(&world);
    CHECK_OK(oauth_wait(&world.oauth, &waiter, on_told));
    grant(&world, "one");
    struct oauth_token *first = oauth_take(&world.oauth);
    oauth_drop(&world.oauth, first);
    CHECK(oauth_take(&world.oauth) == NULL);
    CHECK_OK(oauth_wait(&world.oauth, &waiter, on_told));
    grant(&world, "two");
    oauth_drop(&world.oauth, first); /* Another call that had it. */
    oauth_give_back(first);
    CHECK(holds(&world, "Authorization: Bearer two"));
    oauth_reset(&world.oauth);
}

/* What is refused for good is told to all who wait, and not asked again by itself. */
static void test_refused(void **state)
{
    const struct oauth_answer refused = {.result = OAUTH_REFUSED, .quota_remaining = UINT64_MAX};
    struct world world;
    struct oauth_waiter waiter = {.context = &world};
    (void)state;
    begin(&world);
    CHECK_OK(oauth_wait(&world.oauth, &waiter, on_told));
    oauth_on_answer(&world.oauth, &refused);
    CHECK_U64(world.told, 1);
    CHECK_U64(world.result, OAUTH_REFUSED);
    CHECK_U64(world.asked, 1);
    CHECK_OK(oauth_wait(&world.oauth, &waiter, on_told));
    oauth_reset(&world.oauth); /* Other credentials: who waits is told, the question taken back. */
    CHECK_U64(world.cancelled, 1);
    CHECK_U64(world.told, 2);
    CHECK_U64(world.result, OAUTH_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_flight), cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_renewal_fails), cmocka_unit_test(test_drop),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
