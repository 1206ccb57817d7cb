/*
 * The rows of docs/registration.md over the real workers, a real store, real HTTPS and the simulated
 * cloud: what the cloud may answer at each step, and a leader that is killed at each step. Whatever
 * happens, the cloud's ledger shows one device for one registration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SSE "\"family\":\"sse\","

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

static void admin(struct world *world, const char *path, const char *body)
{
    json_decref(world_admin(world, "POST", path, body));
}

/* ---- The cloud's ledger ---- */

struct ledger {
    size_t devices; /* That ever were. */
    size_t live;
    char id[64]; /* Of the live one. */
    uint64_t renewals;
    uint64_t heartbeats;
};

static struct ledger read_ledger(struct world *world)
{
    json_t *answer = world_admin(world, "GET", "/devices", NULL);
    const json_t *devices = json_object_get(answer, "devices");
    struct ledger out = {.devices = json_array_size(devices)};

    for (size_t i = 0; i < out.devices; i++) {
        const json_t *device = json_array_get(devices, i);
        const char *state = json_string_value(json_object_get(device, "state"));
        const char *id = json_string_value(json_object_get(device, "device_id"));
        if (strcmp(state, "gone") == 0 || strcmp(state, "failed") == 0) {
            continue;
        }
        out.live++;
        out.renewals = (uint64_t)json_integer_value(json_object_get(device, "renewals"));
        out.heartbeats = (uint64_t)json_integer_value(json_object_get(device, "heartbeats"));
        (void)snprintf(out.id, sizeof out.id, "%s", id != NULL ? id : "");
    }
    json_decref(answer);
    return out;
}

static void in_portal(struct world *world, const char *deed)
{
    char path[128];
    struct ledger ledger = read_ledger(world);

    (void)snprintf(path, sizeof path, "/devices/%s/%s", ledger.id, deed);
    admin(world, path, "{}");
}

/* ---- What the store says ---- */

static bool code_is(struct world *world, const char *code)
{
    struct arena arena = {0};
    struct registration_view view;

    CHECK_OK(store_registration(world->store, &arena, &view));
    bool is = slice_equal(view.error_code, slice_of(code));
    arena_release(&arena);
    return is;
}

static bool says(struct world *world, const char *words)
{
    struct arena arena = {0};
    struct registration_view view;

    CHECK_OK(store_registration(world->store, &arena, &view));
    bool found = view.error.size > 0 &&
                 memmem(view.error.data, view.error.size, words, strlen(words)) != NULL;
    arena_release(&arena);
    return found;
}

static bool has_failed(struct world *world)
{
    return world_registration_state(world) == REGISTRATION_FAILED;
}

static bool is_enabled(struct world *world)
{
    return world_registration_state(world) == REGISTRATION_ENABLED;
}

static bool is_taken(struct world *world)
{
    return world_registered(world) && code_is(world, "");
}

static bool is_held(struct world *world)
{
    return world_registered(world) && !code_is(world, "");
}

static enum refusal change(struct world *world, enum command_type type)
{
    struct command command = {.type = type};
    /* All of these begin with the epoch. */
    command.body.registration_forget.epoch = world->epoch;
    return world_apply(world, command);
}

static void begin(struct world *world)
{
    char token[64];
    world_token(world, "valid", token);
    world_register(world, token);
}

static void register_now(struct world *world)
{
    begin(world);
    world_until(world, is_taken, "registered");
}

static void deregister_now(struct world *world)
{
    CHECK_U64(change(world, COMMAND_DEREGISTRATION_BEGIN), REFUSAL_NONE);
    world_until(world, is_enabled, "deregistered");
}

/* ---- Answers that are final ---- */

static void token_of(struct world *world, const char *fields, char out[64])
{
    json_t *answer = world_admin(world, "POST", "/registration-tokens", fields);
    (void)snprintf(out, 64, "%s", json_string_value(json_object_get(answer, "token")));
    json_decref(answer);
}

static void check_failed(struct world *world, const char *token, const char *code,
                         const char *words)
{
    world_register(world, token);
    world_until(world, has_failed, code);
    CHECK(code_is(world, code));
    CHECK(says(world, words));
    CHECK_U64(read_ledger(world).live, 0);
}

static void test_tokens(void **state)
{
    static const struct {
        const char *code;
        const char *fields;
        const char *words;
    } rows[] = {
        {"token_invalid", "{\"region\":\"nam\",\"kind\":\"unknown\"}", "does not know this"},
        {"token_expired", "{\"region\":\"nam\",\"kind\":\"expired\"}", "has expired"},
        {"token_used", "{\"region\":\"nam\",\"kind\":\"used\"}", "was used already"},
        {"wrong_region", "{\"region\":\"eu\"}", "another region"},
        {"tenant_disabled", "{\"region\":\"nam\",\"org\":\"closed\"}", "organisation is disabled"},
    };
    struct world *world = *state;
    char token[64];

    admin(world, "/tenants/closed", "{\"disabled\":true}");
    world_lead(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].code);
        token_of(world, rows[i].fields, token);
        check_failed(world, token, rows[i].code, rows[i].words);
    }
    register_now(world); /* Nothing of all that is in the way. */
    CHECK_U64(read_ledger(world).devices, 1);
}

static void test_enrolment_fails_there(void **state)
{
    struct world *world = *state;
    char token[64];

    world_lead(world);
    world_fault(world, "{" SSE "\"path\":\"/sim/v1/devices:register\",\"count\":1,"
                       "\"action\":\"registration_failed\"}");
    world_token(world, "valid", token);
    check_failed(world, token, "enrolment_failed", "generate a new token");
    register_now(world);
}

/* Stuck, until somebody deletes the device in the portal; what was given up meanwhile is in the way
 * of the next one, for nobody knows its id. */
static void test_stuck(void **state)
{
    struct world *world = *state;
    char token[64];

    world_lead(world);
    world_fault(world, "{" SSE "\"path\":\"/sim/v1/devices:register\",\"count\":1,"
                       "\"action\":\"stuck\"}");
    begin(world);
    world_run_ms(world, 1200);
    CHECK_U64(world_registration_state(world), REGISTRATION_REGISTERING);
    CHECK_U64(change(world, COMMAND_REGISTRATION_FORGET), REFUSAL_NONE);
    world_token(world, "valid", token);
    world_register(world, token);
    world_until(world, has_failed, "the device that nobody knows is in the way");
    CHECK(code_is(world, "device_registered"));
    CHECK(says(world, "another device"));
    CHECK_U64(read_ledger(world).devices, 1);
}

static void test_stuck_and_deleted(void **state)
{
    struct world *world = *state;

    world_lead(world);
    world_fault(world, "{" SSE "\"path\":\"/sim/v1/devices:register\",\"count\":1,"
                       "\"action\":\"stuck\"}");
    begin(world);
    world_run_ms(world, 700);
    json_t *answer = world_admin(world, "GET", "/requests?path=/sim/v1/registrations/", NULL);
    CHECK(json_array_size(json_object_get(answer, "requests")) > 0);
    json_decref(answer);
    in_portal(world, "delete");
    world_until(world, has_failed, "deleted while it was stuck");
    CHECK(code_is(world, "token_used"));
    register_now(world);
    CHECK_U64(read_ledger(world).live, 1);
}

/* ---- Answers that may pass ---- */

static void test_what_may_pass(void **state)
{
    static const char *const rows[] = {
        "\"action\":\"status\",\"status\":503,\"body\":\"html\"}",
        "\"action\":\"status\",\"status\":500}",
        "\"action\":\"rate_limit\",\"variant\":\"seconds\",\"seconds\":1}",
        "\"action\":\"reset\"}",
        "\"action\":\"close_after_apply\"}",
        "\"action\":\"reset_after_apply\"}",
        "\"action\":\"truncate_json\"}",
        "\"action\":\"html_200\"}",
    };
    struct world *world = *state;
    char script[256];

    admin(world, "/registration", "{\"delay_ms\":0,\"deregistration_delay_ms\":0}");
    world_lead(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i]);
        (void)snprintf(script, sizeof script,
                       "{" SSE "\"path\":\"/sim/v1/devices:register\",\"count\":1,%s", rows[i]);
        world_fault(world, script);
        register_now(world);
        CHECK_U64(read_ledger(world).live, 1);
        CHECK_U64(read_ledger(world).devices, i + 1);
        (void)snprintf(script, sizeof script, "{" SSE "\"method\":\"DELETE\",\"count\":1,%s",
                       rows[i]);
        world_fault(world, script);
        deregister_now(world);
        CHECK_U64(read_ledger(world).live, 0);
        json_decref(world_admin(world, "DELETE", "/faults", NULL));
    }
}

static bool is_pending(struct world *world)
{
    return says(world, "deregistration pending");
}

static void test_deregistration_pending(void **state)
{
    struct world *world = *state;

    world_lead(world);
    register_now(world);
    world_fault(world, "{" SSE "\"method\":\"DELETE\",\"count\":100,\"action\":\"reset\"}");
    CHECK_U64(change(world, COMMAND_DEREGISTRATION_BEGIN), REFUSAL_NONE);
    world_until(world, is_pending, "deregistration pending");
    CHECK_U64(world_registration_state(world), REGISTRATION_DEREGISTERING);
    cloud_on_follower(world->cloud);
    json_decref(world_admin(world, "DELETE", "/faults", NULL));
    world_run_ms(world, 100);
    world_lead(world);
    world_until(world, is_enabled, "the next leader ends it");
    CHECK_U64(read_ledger(world).live, 0);
}

/* ---- A device that the cloud does not take ---- */

/* The export stands still, and nothing is lost. */
static void check_held(struct world *world, const char *code)
{
    struct cloud_export_state state;

    world_until(world, is_held, code);
    CHECK(code_is(world, code));
    uint64_t before = world_summary(world, "bundles");
    uint64_t pending = world_export(world).pending;
    world_put_records(world, 20);
    world_run_ms(world, 300);
    CHECK_U64(world_export(world).pending, pending + 20);
    CHECK_U64(world_summary(world, "bundles"), before);
    cloud_export_state(world->cloud, &state);
    CHECK(strstr(state.state, "does not take the registered device") != NULL);
}

static void check_goes_on(struct world *world)
{
    world_until(world, is_taken, "taken again");
    world_until(world, world_exported, "the export goes on");
    CHECK_U64(world_export(world).delivered, world->record_count);
    CHECK_U64(world_summary(world, "doubled"), 0);
    CHECK_U64(read_ledger(world).live, 1);
}

static void test_suspended(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    in_portal(world, "suspend");
    check_held(world, "device_suspended");
    in_portal(world, "resume");
    check_goes_on(world);
    CHECK_U64(read_ledger(world).devices, 1);
}

static void test_deleted(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    in_portal(world, "delete");
    check_held(world, "device_deregistered");
    CHECK(says(world, "deregister --forget"));
    CHECK_U64(change(world, COMMAND_REGISTRATION_FORGET), REFUSAL_NONE);
    register_now(world);
    check_goes_on(world);
    CHECK_U64(read_ledger(world).devices, 2);
}

/* The same device, with another certificate: the cloud knows it by the id that was forgotten. */
static void test_revoked(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    struct ledger before = read_ledger(world);
    in_portal(world, "revoke");
    check_held(world, "certificate_revoked");
    CHECK_U64(change(world, COMMAND_REGISTRATION_FORGET), REFUSAL_NONE);
    register_now(world);
    check_goes_on(world);
    CHECK_U64(read_ledger(world).devices, 1);
    CHECK_SLICE(slice_of(read_ledger(world).id), slice_of(before.id));
}

static void test_powered_off_past_the_certificate(void **state)
{
    struct world *world = *state;

    world_enrol(world);
    cloud_on_follower(world->cloud);
    admin(world, "/time/advance", "{\"s\":31622400}"); /* 366 days, for the cloud. */
    world_lead(world);
    check_held(world, "certificate_expired");
    CHECK_U64(change(world, COMMAND_REGISTRATION_FORGET), REFUSAL_NONE);
    register_now(world);
    check_goes_on(world);
    CHECK_U64(read_ledger(world).devices, 1);
}

/* ---- Renewal ---- */

/* As if two thirds of its life were over. */
static void age(struct world *world)
{
    struct arena arena = {0};
    struct registration_view view;

    CHECK_OK(store_registration(world->store, &arena, &view));
    struct command older = {
        .type = COMMAND_REGISTRATION_COMPLETE,
        .body.registration_complete = {.epoch = view.epoch,
                                       .device_id = view.device_id,
                                       .tenant = view.tenant,
                                       .certificate = view.certificate,
                                       .not_after_ms = clock_now_ms() + 1},
    };
    CHECK_U64(world_apply(world, older), REFUSAL_NONE);
    arena_release(&arena);
}

static bool is_renewed(struct world *world)
{
    struct arena arena = {0};
    struct registration_view view;

    CHECK_OK(store_registration(world->store, &arena, &view));
    bool is = view.state == REGISTRATION_REGISTERED && view.renewal_csr.size == 0 &&
              view.not_after_ms > clock_now_ms() + 1000;
    arena_release(&arena);
    return is;
}

static void test_renewal(void **state)
{
    static const char *const rows[] = {
        NULL,
        "\"action\":\"close_after_apply\"}",
        "\"action\":\"status\",\"status\":503}",
        "\"action\":\"truncate_json\"}",
    };
    struct world *world = *state;
    char script[256];

    world_lead(world);
    register_now(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i] != NULL ? rows[i] : "renewed at once");
        if (rows[i] != NULL) {
            struct ledger ledger = read_ledger(world);
            (void)snprintf(script, sizeof script,
                           "{" SSE "\"path\":\"/sim/v1/devices/%s/certificate:renew\",\"count\":2,"
                           "%s",
                           ledger.id, rows[i]);
            world_fault(world, script);
        }
        age(world);
        world_until(world, is_renewed, "renewed");
        uint64_t heartbeats = read_ledger(world).heartbeats;
        world_run_ms(world, 3 * WORLD_HEARTBEAT_MS);
        CHECK(is_taken(world));
        CHECK(read_ledger(world).heartbeats > heartbeats); /* With the new certificate. */
        CHECK_U64(read_ledger(world).renewals, i + 1);
        CHECK_U64(read_ledger(world).devices, 1);
    }
}

static bool is_renewed_once(struct world *world)
{
    return read_ledger(world).renewals >= 1 && is_taken(world);
}

/* Without a hand of ours: six of nine seconds are over. */
static void test_short_lived(void **state)
{
    struct world *world = *state;

    admin(world, "/registration", "{\"certificate_s\":9}");
    world_lead(world);
    register_now(world);
    world_until(world, is_renewed_once, "renewed");
    CHECK(is_taken(world));
    CHECK_U64(read_ledger(world).devices, 1);
}

/* ---- A leader that is killed at each step ---- */

#define POINTS 4
#define VISITS_MAX 12

static void carry_out(struct world *world, void (*prepare)(struct world *), world_condition holds,
                      const char *deed)
{
    static const char *const points[POINTS] = {"registrar.call", "registrar.answered",
                                               "registrar.propose", "registrar.proposed"};
    char fault[64];
    char row[128];

    for (size_t i = 0; i < POINTS; i++) {
        bool died = true;
        for (unsigned visit = 0; died && visit < VISITS_MAX; visit++) {
            (void)snprintf(fault, sizeof fault, "%s:%u:kill", points[i], visit);
            (void)snprintf(row, sizeof row, "%s, %s", deed, fault);
            check_row(row);
            world->flushes = visit % 2 == 0;
            prepare(world);
            size_t devices = read_ledger(world).devices;
            died = world_dies_at(world, fault, holds);
            CHECK(died || visit > 0); /* A point that is never met would prove nothing. */
            world_lead(world);
            world_until(world, holds, row);
            size_t added = strcmp(deed, "register") == 0 ? 1 : 0;
            CHECK_U64(read_ledger(world).devices, devices + added);
            CHECK_U64(read_ledger(world).live, strcmp(deed, "deregister") == 0 ? 0 : 1);
            cloud_on_follower(world->cloud);
        }
        CHECK(!died);
    }
}

static void prepare_registration(struct world *world)
{
    if (world_registration_state(world) == REGISTRATION_REGISTERED) {
        world_lead(world);
        deregister_now(world);
        cloud_on_follower(world->cloud);
    }
    begin(world);
}

static void prepare_deregistration(struct world *world)
{
    world_lead(world);
    register_now(world);
    cloud_on_follower(world->cloud);
    CHECK_U64(change(world, COMMAND_DEREGISTRATION_BEGIN), REFUSAL_NONE);
}

static void prepare_renewal(struct world *world)
{
    if (world_registration_state(world) != REGISTRATION_REGISTERED) {
        world_lead(world);
        register_now(world);
        cloud_on_follower(world->cloud);
    }
    age(world);
}

static void test_killed_while_registering(void **state)
{
    struct world *world = *state;
    admin(world, "/registration", "{\"delay_ms\":20,\"deregistration_delay_ms\":0}");
    carry_out(world, prepare_registration, is_taken, "register");
}

static void test_killed_while_deregistering(void **state)
{
    struct world *world = *state;
    admin(world, "/registration", "{\"delay_ms\":0,\"deregistration_delay_ms\":20}");
    carry_out(world, prepare_deregistration, is_enabled, "deregister");
}

static void test_killed_while_renewing(void **state)
{
    struct world *world = *state;
    admin(world, "/registration", "{\"delay_ms\":0,\"deregistration_delay_ms\":0}");
    carry_out(world, prepare_renewal, is_renewed, "renew");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tokens),
        TEST(test_enrolment_fails_there),
        TEST(test_stuck),
        TEST(test_stuck_and_deleted),
        TEST(test_what_may_pass),
        TEST(test_deregistration_pending),
        TEST(test_suspended),
        TEST(test_deleted),
        TEST(test_revoked),
        TEST(test_powered_off_past_the_certificate),
        TEST(test_renewal),
        TEST(test_short_lived),
        TEST(test_killed_while_registering),
        TEST(test_killed_while_deregistering),
        TEST(test_killed_while_renewing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
