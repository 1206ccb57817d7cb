/*
 * The cloud's workers against the simulated cloud: registration, credentials, export and every
 * failure of its contract, with a real store and real HTTPS. After each: nothing is lost, nothing is
 * doubled, and no key came with two bodies (X2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cloud_state.h"

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

/* Every record put is there exactly once, but for those that are dead letters. */
static void check_delivered(struct world *world, uint64_t dead_letters)
{
    struct export_view view = world_export(world);

    CHECK_U64(view.produced, world->record_count);
    CHECK_U64(view.dead_lettered, dead_letters);
    CHECK_U64(view.delivered, world->record_count - dead_letters);
    CHECK_U64(world_summary(world, "distinct_external_ids"), world->record_count - dead_letters);
    CHECK_U64(world_summary(world, "doubled"), 0);
    CHECK_U64(world_summary(world, "same_id_different_body"), 0);
    CHECK_U64(world_summary(world, "without_external_id"), 0);
}

static void test_registers_and_exports(void **state)
{
    struct world *world = *state;

    world_put_records(world, 4500);
    world_enrol(world);
    world_until(world, world_exported, "exported");
    check_delivered(world, 0);
    struct cloud_export_state export_state;
    cloud_export_state(world->cloud, &export_state);
    CHECK_SLICE(slice_of(export_state.state), slice_of("idle"));
    CHECK_U64(export_state.bundles_sent, 3);
}

/* ---- Failures of the import ---- */

struct import_row {
    const char *name;
    const char *fault; /* Path and family are added. */
    bool reconnect;    /* The fault is one of a new connection: break the kept one first. */
};

#define TOKEN "\"family\":\"visibility\",\"path\":\"/iroh/oauth2/token\","
#define IMPORT "\"family\":\"private-intel\",\"path\":\"/ctia/bundle/import\","

static const struct import_row import_rows[] = {
    {"503 with a page", "{" IMPORT "\"action\":\"status\",\"status\":503,\"body\":\"html\"}",
     false},
    {"500, four times", "{" IMPORT "\"count\":2,\"action\":\"status\",\"status\":500}", false},
    {"reset", "{" IMPORT "\"action\":\"reset\"}", false},
    {"closed", "{" IMPORT "\"action\":\"close\"}", false},
    {"lost reply, closed", "{" IMPORT "\"action\":\"close_after_apply\"}", false},
    {"lost reply, reset", "{" IMPORT "\"action\":\"reset_after_apply\"}", false},
    {"cut body", "{" IMPORT "\"action\":\"cut_body\"}", false},
    {"truncated JSON", "{" IMPORT "\"action\":\"truncate_json\"}", false},
    {"a page instead of an answer", "{" IMPORT "\"action\":\"html_200\"}", false},
    {"compressed answer", "{" IMPORT "\"action\":\"gzip\"}", false},
    {"chunked answer", "{" IMPORT "\"action\":\"chunked\"}", false},
    {"large answer", "{" IMPORT "\"action\":\"large_body\"}", false},
    {"token refused once", "{" IMPORT "\"action\":\"unauthorized\",\"error\":\"jwt_revoked\"}",
     false},
    {"too many requests, 1 s",
     "{" IMPORT "\"action\":\"rate_limit\",\"variant\":\"seconds\",\"seconds\":1}", false},
    {"too many requests, 1s with its s",
     "{" IMPORT "\"action\":\"rate_limit\",\"variant\":\"seconds_s\",\"seconds\":1}", false},
    {"one request too large", "{" IMPORT "\"action\":\"status\",\"status\":413}", false},
    {"one request refused", "{" IMPORT "\"action\":\"status\",\"status\":400}", false},
    {"TLS broken", "{\"family\":\"private-intel\",\"action\":\"tls_failure\"}", true},
    {"certificate of another", "{\"family\":\"private-intel\",\"action\":\"wrong_certificate\"}",
     true},
    {"slow", "{" IMPORT "\"action\":\"delay\",\"delay_ms\":300}", false},
};

/* A fault that never fired would have tested nothing. */
static void check_fired(struct world *world)
{
    json_t *answer = world_admin(world, "GET", "/faults", NULL);
    const json_t *faults = json_object_get(answer, "faults");

    CHECK(json_array_size(faults) > 0);
    for (size_t i = 0; i < json_array_size(faults); i++) {
        const json_t *fault = json_array_get(faults, i);
        if (json_integer_value(json_object_get(fault, "fired")) == 0) {
            char *text = json_dumps(fault, 0);
            print_error("never fired: %s\n", text);
            free(text);
        }
        CHECK(json_integer_value(json_object_get(fault, "fired")) > 0);
    }
    json_decref(answer);
}

static void test_import_failures(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    for (size_t i = 0; i < sizeof import_rows / sizeof import_rows[0]; i++) {
        check_row(import_rows[i].name);
        world_fault(world, import_rows[i].fault);
        if (import_rows[i].reconnect) {
            world_fault(world, "{" IMPORT "\"count\":3,\"action\":\"reset\"}");
        }
        world_put_records(world, 30);
        world_until(world, world_exported, import_rows[i].name);
        check_delivered(world, 0);
        check_fired(world);
        json_decref(world_admin(world, "DELETE", "/faults", NULL));
    }
}

static void test_entities_that_are_refused(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    world_fault(world, "{\"action\":\"entity_error\",\"count\":1,\"family\":\"private-intel\","
                       "\"external_id_prefix\":\"muster-01234567-sighting-0\"}");
    world_put_records(world, 40);
    world_until(world, world_exported, "exported but for those refused");
    uint64_t dead = world_export(world).dead_lettered;
    CHECK(dead > 0 && dead < 40);
    check_delivered(world, dead);
}

static void test_leader_changes(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    for (unsigned i = 0; i < 5; i++) {
        world_put_records(world, 2100);
        world_run_ms(world, 20 * i);
        cloud_on_follower(world->cloud);
        world_run_ms(world, 10);
        world_lead(world);
    }
    world_until(world, world_exported, "exported by the last leader");
    check_delivered(world, 0);
}

/* ---- The organisation's quota ---- */

/* Requests that count: to the token endpoint and to private intel, as the cloud has seen them. */
static size_t counted_requests(struct world *world)
{
    static const char *const paths[] = {"/requests?path=/iroh/oauth2/token&limit=10000",
                                        "/requests?path=/ctia/bundle/import&limit=10000"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        json_t *answer = world_admin(world, "GET", paths[i], NULL);
        count += json_array_size(json_object_get(answer, "requests"));
        json_decref(answer);
    }
    return count;
}

static bool is_paused(struct world *world)
{
    return world_export(world).cloud_pause_until_ms > clock_now_ms();
}

static void on_verified(void *argument, struct status status)
{
    struct status *out = argument;
    *out = status;
}

/* A 429 holds all of the organisation's calls, for as long as it says in any of its forms; whoever leads
 * next finds the pause in the state and keeps it, for its verifications and its export. */
static void test_pause_is_inherited(void **state)
{
    static const char *const variants[] = {"seconds", "seconds_s", "date"};
    struct world *world = *state;

    world_enrol(world);
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        char fault[160];
        struct status verified = OK;
        check_row(variants[i]);
        (void)snprintf(fault, sizeof fault,
                       "{" IMPORT "\"action\":\"rate_limit\",\"variant\":\"%s\",\"seconds\":4}",
                       variants[i]);
        world_fault(world, fault);
        world_put_records(world, 30);
        world_until(world, is_paused, "the state has the pause");
        uint64_t until_ms = world_export(world).cloud_pause_until_ms;
        CHECK(until_ms < clock_now_ms() + 5500); /* 4 s, and not the default of 30. */
        size_t before = counted_requests(world);
        cloud_on_follower(world->cloud);
        world_run_ms(world, 10);
        world_lead(world);
        cloud_verify(world->cloud, (struct slice){0}, on_verified, &verified);
        world_run_ms(world, 500);
        if (is_paused(world)) { /* Or this machine is too slow to tell. */
            CHECK_U64(counted_requests(world), before);
            CHECK_CODE(verified, STATUS_BUSY);
        }
        CHECK_U64(world_export(world).cloud_pause_until_ms, until_ms);
        world_until(world, world_exported, "exported after the pause");
        CHECK(clock_now_ms() >= until_ms);
        check_fired(world);
        json_decref(world_admin(world, "DELETE", "/faults", NULL));
    }
    check_delivered(world, 0);
}

static struct cloud_export_state state_of(struct world *world)
{
    struct cloud_export_state state;
    cloud_export_state(world->cloud, &state);
    return state;
}

static void on_drained(void *context)
{
    bool *drained = context;
    *drained = true;
}

/* What was written down by and by, or before handing over, a new leader goes on from: it is what
 * the cloud itself has counted. */
static void test_calls_are_inherited(void **state)
{
    struct world *world = *state;
    bool drained = false;

    world_enrol(world);
    world_put_records(world, 30);
    world_until(world, world_exported, "exported");
    uint64_t limit = state_of(world).quota_limit;
    CHECK(limit > 0);
    CHECK_U64(state_of(world).calls_last_hour, counted_requests(world));
    cloud_on_timer(world->cloud, CLOUD_TIMER_CALLS); /* The time is over. */
    world_run_ms(world, 50);
    cloud_on_follower(world->cloud);
    CHECK_U64(state_of(world).calls_last_hour, counted_requests(world));
    CHECK_U64(state_of(world).quota_limit, limit);
    world_lead(world);
    world_put_records(world, 30);
    world_until(world, world_exported, "exported by the next leader");
    CHECK_U64(state_of(world).calls_last_hour, counted_requests(world));
    cloud_drain(world->cloud, on_drained, &drained);
    world_run_ms(world, 50);
    CHECK(drained);
    cloud_on_follower(world->cloud);
    CHECK_U64(state_of(world).calls_last_hour, counted_requests(world));
}

/* A final answer of the token endpoint is asked for once: no retry, which the organisation would pay. */
static void check_no_retry(struct world *world)
{
    size_t before = counted_requests(world);
    world_run_ms(world, 2500); /* Longer than VERIFIER_RETRY_MS_MIN. */
    CHECK_U64(counted_requests(world), before);
}

/* ---- Credentials ---- */

static bool is_refused(struct world *world)
{
    struct arena arena = {0};
    struct credential_view view = {0};
    struct status status = store_credential(world->store, &arena, (struct slice){0}, &view);
    bool refused = !failed(status) && view.verified_at_ms > 0 && !view.verified;

    arena_release(&arena);
    return refused;
}

static void test_credentials(void **state)
{
    static const struct {
        const char *name;
        const char *id;
        const char *password;
        const char *region;
        const char *words;
    } rows[] = {
        {"unknown client", "client-x", WORLD_PASSWORD, "AMERICAS", "does not know this client id"},
        {"wrong password", WORLD_CLIENT, "wrong", "AMERICAS", "wrong client password"},
        {"another region", WORLD_CLIENT, WORLD_PASSWORD, "EUROPE", "EUROPE"},
        {"no such region", WORLD_CLIENT, WORLD_PASSWORD, "APJC", "not supported"},
    };
    struct world *world = *state;

    world_lead(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct credential_view view;
        check_row(rows[i].name);
        world_put_credentials(world, rows[i].id, rows[i].password, rows[i].region);
        world_until(world, is_refused, rows[i].name);
        CHECK_OK(store_credential(world->store, &arena, (struct slice){0}, &view));
        CHECK(memmem(view.error.data, view.error.size, rows[i].words, strlen(rows[i].words)) !=
              NULL);
        arena_release(&arena);
    }
    check_no_retry(world);
    world_put_credentials(world, WORLD_CLIENT, WORLD_PASSWORD, "AMERICAS");
    world_until(world, world_verified, "good credentials");
}

/* How often the one fault that is set has fired. */
static uint64_t fired(struct world *world)
{
    json_t *answer = world_admin(world, "GET", "/faults", NULL);
    const json_t *fault = json_array_get(json_object_get(answer, "faults"), 0);
    uint64_t count = (uint64_t)json_integer_value(json_object_get(fault, "fired"));
    json_decref(answer);
    return count;
}

/* A renewal that nobody waits for: its 429 pauses the organisation too, and its final refusal is known at
 * once; neither is asked for again with every bundle that the old token still sends. */
static void test_renewal_fails(void **state)
{
    static const struct {
        const char *name;
        const char *fault;
        bool (*noticed)(struct world *world);
    } rows[] = {
        {"limited",
         "{" TOKEN "\"action\":\"rate_limit\",\"variant\":\"seconds\",\"seconds\":2,\"count\":100}",
         is_paused},
        {"refused", "{" TOKEN "\"action\":\"status\",\"status\":400,\"count\":100}", is_refused},
    };
    struct world *world = *state;

    json_decref(world_admin(world, "POST", "/token-lifetime", "{\"s\":5}"));
    world_enrol(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        world_put_records(world, 3);
        world_until(world, world_exported, "exported");
        world_fault(world, rows[i].fault);
        uint64_t deadline_ms = clock_now_ms() + WORLD_DEADLINE_MS;
        while (!rows[i].noticed(world) && clock_now_ms() < deadline_ms) {
            world_put_records(world, 1);
            world_run_ms(world, 100);
        }
        CHECK(rows[i].noticed(world));
        CHECK_U64(fired(world), 1);
        json_decref(world_admin(world, "DELETE", "/faults", NULL));
        if (i == 0) {
            world_until(world, world_exported, "exported after the pause");
        }
    }
}

/* ---- Registration ---- */

static bool has_failed(struct world *world)
{
    return world_registration_state(world) == REGISTRATION_FAILED;
}

static void test_tokens_that_are_refused(void **state)
{
    static const struct {
        const char *kind;
        const char *code;
    } rows[] = {
        {"expired", "token_expired"},
        {"used", "token_used"},
        {"unknown", "token_invalid"},
        {"malformed", "token_malformed"},
    };
    struct world *world = *state;

    world_lead(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct registration_view view;
        char token[64];
        check_row(rows[i].kind);
        world_token(world, rows[i].kind, token);
        world_register(world, token);
        world_until(world, has_failed, rows[i].kind);
        CHECK_OK(store_registration(world->store, &arena, &view));
        CHECK_SLICE(view.error_code, slice_of(rows[i].code));
        CHECK(view.error.size > 0 && view.sealed_token.size == 0);
        arena_release(&arena);
    }
}

static void test_lost_replies_of_a_registration(void **state)
{
    struct world *world = *state;

    world_fault(world, "{\"family\":\"sse\",\"path\":\"/sim/v1/devices:register\",\"count\":2,"
                       "\"action\":\"close_after_apply\"}");
    world_fault(world, "{\"family\":\"sse\",\"path\":\"/sim/v1/registrations/\",\"count\":1,"
                       "\"action\":\"status\",\"status\":502,\"body\":\"html\"}");
    world_enrol(world);
    json_t *devices = world_admin(world, "GET", "/devices", NULL);
    const json_t *list = json_object_get(devices, "devices");
    CHECK_U64(json_array_size(list), 1);
    CHECK_U64(
        (uint64_t)json_integer_value(json_object_get(json_array_get(list, 0), "registrations")), 1);
    json_decref(devices);
}

struct looked_up {
    bool done;
    enum cloud_check answer;
};

static struct looked_up looked_up;

static void on_looked_up(void *argument, enum cloud_check answer, const char *reason)
{
    struct looked_up *out = argument;
    (void)reason;
    *out = (struct looked_up){true, answer};
}

static bool is_looked_up(struct world *world)
{
    (void)world;
    return looked_up.done;
}

static enum cloud_check look_up(struct world *world, const char *serial)
{
    looked_up = (struct looked_up){0};
    cloud_lookup(world->cloud, slice_of(serial), on_looked_up, &looked_up);
    CHECK(!looked_up.done);
    world_until(world, is_looked_up, "the cloud's list");
    return looked_up.answer;
}

static bool is_enabled(struct world *world)
{
    return world_registration_state(world) == REGISTRATION_ENABLED;
}

static void test_lookup_and_deregistration(void **state)
{
    struct world *world = *state;
    struct command deregister = {
        .type = COMMAND_DEREGISTRATION_BEGIN,
        .body.deregistration_begin.epoch = 1,
    };

    CHECK_U64(look_up(world, WORLD_SERIAL), CLOUD_CHECK_UNREACHABLE); /* Not the leader. */
    world_enrol(world);
    CHECK_U64(look_up(world, WORLD_SERIAL), CLOUD_CHECK_REGISTERED);
    CHECK_U64(look_up(world, "another"), CLOUD_CHECK_UNREGISTERED);
    world_fault(world, "{\"family\":\"sse\",\"method\":\"DELETE\",\"count\":1,"
                       "\"action\":\"close_after_apply\"}");
    CHECK_U64(world_apply(world, deregister), REFUSAL_NONE);
    world_until(world, is_enabled, "deregistered");
    CHECK_U64(look_up(world, WORLD_SERIAL), CLOUD_CHECK_UNREGISTERED);
    CHECK_U64(look_up(world, "not / a & serial"), CLOUD_CHECK_UNREGISTERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers_and_exports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_import_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_entities_that_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leader_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pause_is_inherited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls_are_inherited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_credentials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_renewal_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tokens_that_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_replies_of_a_registration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookup_and_deregistration, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
