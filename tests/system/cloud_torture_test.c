/*
 * The cloud's workers under failures, with a real store and real HTTPS against the simulated cloud: a
 * registration, an export and a deregistration, during which the first visit to a fault point fails,
 * in another run the second, ... until a run meets none; and so with the memory of libcurl. Whatever
 * failed, it comes to its end by itself: one device, registered once and gone at last; each record
 * there once.
 *
 *     MUSTER_TORTURE_STEP=1    each point alone, to its last visit, and every allocation of libcurl's
 *                              (an hour); 7: every seventh; unset: a few visits of all together
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud_world.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

#define RECORDS 2100 /* Two bundles. */
#define VISITS 2
#define LIBRARY_VISIT 201 /* Of some 1,000. */

/* The memory of libcurl while the loop runs. */
static struct {
    bool armed;
    int after;
    int fired;
} library;

static bool library_fails(void)
{
    bool fires = library.armed && library.after-- == 0;
    library.fired += fires;
    return fires;
}

static void *library_malloc(size_t size)
{
    return library_fails() ? NULL : malloc(size);
}

static void *library_realloc(void *memory, size_t size)
{
    return library_fails() ? NULL : realloc(memory, size);
}

static char *library_strdup(const char *text)
{
    return library_fails() ? NULL : strdup(text);
}

static void *library_calloc(size_t count, size_t size)
{
    return library_fails() ? NULL : calloc(count, size);
}

/* ---- */

static bool is_enabled(struct world *world)
{
    return world_registration_state(world) == REGISTRATION_ENABLED;
}

static void run_until(struct world *world, world_condition holds, const char *what)
{
    library.armed = library.after >= 0;
    world_until(world, holds, what);
    library.armed = false;
}

static void check_devices(struct world *world)
{
    json_t *devices = world_admin(world, "GET", "/devices", NULL);
    const json_t *list = json_object_get(devices, "devices");
    CHECK_U64(json_array_size(list), 1);
    const json_t *device = json_array_get(list, 0);
    CHECK_U64((uint64_t)json_integer_value(json_object_get(device, "registrations")), 1);
    json_decref(devices);
}

static void play(struct world *world)
{
    struct command deregister = {
        .type = COMMAND_DEREGISTRATION_BEGIN,
        .body.deregistration_begin.epoch = 1,
    };
    char token[64];
    world_token(world, "valid", token);
    world_put_records(world, RECORDS);
    world_register(world, token);
    world_put_credentials(world, WORLD_CLIENT, WORLD_PASSWORD, "AMERICAS");
    world_lead(world);
    run_until(world, world_registered, "registered");
    run_until(world, world_verified, "credentials verified");
    run_until(world, world_exported, "exported");
    check_devices(world);
    CHECK_U64(world_apply(world, deregister), REFUSAL_NONE);
    run_until(world, is_enabled, "deregistered");
}

static void check(struct world *world)
{
    struct export_view view = world_export(world);
    CHECK_U64(view.delivered, RECORDS);
    CHECK_U64(view.dead_lettered, 0);
    CHECK_U64(world_summary(world, "distinct_external_ids"), RECORDS);
    CHECK_U64(world_summary(world, "doubled"), 0);
    CHECK_U64(world_summary(world, "same_id_different_body"), 0);
}

static const enum fault_point points[] = {
    FAULT_REGISTRAR_CALL, FAULT_REGISTRAR_PROPOSE, FAULT_EXPORT_LOAD,    FAULT_EXPORT_SEND,
    FAULT_EXPORT_ADVANCE, FAULT_VERIFY_ASK,        FAULT_VERIFY_PROPOSE, FAULT_HTTP_START,
};
#define POINTS (sizeof points / sizeof points[0])

/* Fail the (after + 1)th visit to each of these; how many were met. */
static int torture_once(const enum fault_point *some, size_t count, int after)
{
    static struct world world;
    library.after = -1;
    world_open(&world);
    for (size_t i = 0; i < count; i++) {
        fault_arm(some[i], after, 1);
    }
    play(&world);
    int fired = fault_reset();
    check(&world);
    world_close(&world);
    return fired;
}

/* All points together, a few visits; or each alone, to its last. */
static void test_points(void **state)
{
    (void)state;
    if (getenv("MUSTER_TORTURE_STEP") == NULL) {
        for (int after = 0; after < VISITS; after++) {
            CHECK(torture_once(points, POINTS, after) > 0);
        }
        return;
    }
    for (size_t i = 0; i < POINTS; i++) {
        int after = 0;
        check_row(fault_name(points[i]));
        while (torture_once(&points[i], 1, after) > 0) {
            after++;
        }
        CHECK(after > 0);
        print_message("%s: %d visits\n", fault_name(points[i]), after);
    }
}

static bool starve_once(int after)
{
    static struct world world;
    char row[64];
    (void)snprintf(row, sizeof row, "allocation %d of libcurl", after);
    check_row(row);
    library.after = -1;
    world_open(&world);
    library.after = after;
    library.fired = 0;
    play(&world);
    check(&world);
    world_close(&world);
    return library.fired > 0;
}

static void test_library(void **state)
{
    const char *given = getenv("MUSTER_TORTURE_STEP");
    int step = given == NULL ? 0 : (int)strtol(given, NULL, 10);
    int after = step > 0 ? 0 : LIBRARY_VISIT;
    (void)state;
    while (starve_once(after) && step > 0) {
        after += step;
    }
    CHECK(after > 0);
    CHECK(library.fired > 0 || step > 0);
    print_message("libcurl: up to visit %d\n", after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_library),
    };
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, library_malloc, free, library_realloc,
                             library_strdup, library_calloc) != CURLE_OK) {
        return EXIT_FAILURE;
    }
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failures;
}
