/*
 * The simulated cloud's rules that need no network: scopes, quota, fault scripts, routes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"
#include "sim_fault.h"
#include "sim_quota.h"
#include "sim_route.h"
#include "sim_scope.h"

static void test_scopes(void **state)
{
    static const struct {
        const char *held;
        const char *needed;
        bool allowed;
    } rows[] = {
        {"enrich", "enrich/observables/observe:read", true},
        {"enrich:read", "enrich/observables/observe:read", true},
        {"enrich:write", "enrich/observables/observe:read", false},
        {"response", "response/trigger:write", true},
        {"response:read", "response/trigger:write", false},
        {"private-intel", "private-intel:write", true},
        {"private-intel:write", "private-intel:write", true},
        {"private-intel:read", "private-intel:write", false},
        {"private-intel/sighting", "private-intel:write", false},
        {"private-intel/import-bundle:write", "private-intel:write", false},
        {"private", "private-intel:write", false},
        {"casebook inspect:read private-intel", "private-intel:write", true},
        {"casebook  inspect:read", "inspect:read", true},
        {"casebook:read", "casebook", false},
        {"", "inspect:read", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].held);
        CHECK_U64(sim_scope_allows(rows[i].held, rows[i].needed), rows[i].allowed);
    }
}

static void test_quota_rolls(void **state)
{
    static const struct {
        const char *name;
        uint64_t at_ms;
        bool taken;
        uint64_t retry_after_s;
        size_t remaining;
    } rows[] = {
        {"first", 0, true, 0, 2},
        {"second", 1000, true, 0, 1},
        {"third", 1500, true, 0, 0},
        {"none left", 2000, false, 8, 0},
        {"still none", 9999, false, 1, 0},
        {"the first has gone", 10000, true, 0, 0},
        {"the second has not", 10001, false, 1, 0},
        {"all have gone", 30000, true, 0, 2},
    };
    struct sim_quota quota = {0};
    (void)state;
    sim_quota_set(&quota, 3, 10000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t retry_after_s = 0;
        check_row(rows[i].name);
        CHECK_U64(sim_quota_take(&quota, rows[i].at_ms, &retry_after_s), rows[i].taken);
        CHECK_U64(retry_after_s, rows[i].retry_after_s);
        CHECK_U64(sim_quota_remaining(&quota), rows[i].remaining);
    }
    sim_quota_set(&quota, 1, 10000);
    CHECK_U64(sim_quota_remaining(&quota), 1);
    sim_quota_release(&quota);
}

static void test_fault_scripts_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"action\":\"explode\"}",
        "{\"action\":\"reset\",\"when\":1}",
        "{\"action\":\"reset\",\"family\":\"admin\"}",
        "{\"action\":\"reset\",\"region\":\"apjc\"}",
        "{\"action\":\"status\",\"status\":99}",
        "{\"action\":\"status\",\"body\":\"xml\"}",
        "{\"action\":\"rate_limit\",\"variant\":\"minutes\"}",
        "{\"action\":\"tls_failure\",\"path\":\"/x\"}",
        "{\"action\":\"entity_error\"}",
        "{\"action\":\"reset\",\"probability\":1.5}",
        "{\"action\":\"reset\",\"nth\":-1}",
    };
    struct sim_faults faults;
    uint64_t id = 0;
    (void)state;
    sim_faults_init(&faults);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i]);
        CHECK_CODE(sim_faults_add(&faults, slice_of(rows[i]), &id), STATUS_INVALID);
    }
    check_row("limit");
    for (int i = 0; i < SIM_FAULTS_MAX; i++) {
        CHECK_OK(sim_faults_add(&faults, slice_of("{\"action\":\"reset\"}"), &id));
    }
    CHECK_CODE(sim_faults_add(&faults, slice_of("{\"action\":\"reset\"}"), &id), STATUS_FULL);
    CHECK(sim_faults_remove(&faults, id));
    CHECK(!sim_faults_remove(&faults, id));
    sim_faults_release(&faults);
}

static bool fires(struct sim_faults *faults, const char *method, const char *path)
{
    return sim_faults_on_request(faults, SIM_SSE, SIM_EU, slice_of(method), slice_of(path)) != NULL;
}

static void test_fault_nth_and_count(void **state)
{
    struct sim_faults faults;
    uint64_t id;
    (void)state;
    sim_faults_init(&faults);
    CHECK_OK(sim_faults_add(&faults,
                            slice_of("{\"action\":\"reset\",\"family\":\"sse\",\"region\":\"eu\","
                                     "\"method\":\"GET\",\"path\":\"/a\",\"nth\":2,\"count\":2}"),
                            &id));
    CHECK(!fires(&faults, "POST", "/a"));
    CHECK(!fires(&faults, "GET", "/b"));
    CHECK(!fires(&faults, "GET", "/a1"));
    CHECK(fires(&faults, "GET", "/a2"));
    CHECK(fires(&faults, "GET", "/a"));
    CHECK(!fires(&faults, "GET", "/a"));
    CHECK(sim_faults_on_connection(&faults, SIM_SSE, SIM_EU) == NULL);
    sim_faults_release(&faults);
}

static void test_fault_probability_is_repeatable(void **state)
{
    static const char script[] =
        "{\"action\":\"reset\",\"count\":0,\"probability\":0.25,\"seed\":42}";
    struct sim_faults one;
    struct sim_faults two;
    uint64_t id;
    int fired = 0;
    (void)state;
    sim_faults_init(&one);
    sim_faults_init(&two);
    CHECK_OK(sim_faults_add(&one, slice_of(script), &id));
    CHECK_OK(sim_faults_add(&two, slice_of(script), &id));
    for (int i = 0; i < 1000; i++) {
        bool fires_one = fires(&one, "GET", "/");
        CHECK_U64(fires_one, fires(&two, "GET", "/"));
        fired += fires_one;
    }
    CHECK(fired > 200 && fired < 300);
    sim_faults_release(&one);
    sim_faults_release(&two);
}

static void test_routes(void **state)
{
    static const struct {
        const char *pattern;
        const char *path;
        const char *capture; /* NULL: no match. */
    } rows[] = {
        {"/a", "/a", ""},
        {"/a", "/a/", NULL},
        {"/d/{}", "/d/x", "x"},
        {"/d/{}", "/d/", NULL},
        {"/d/{}", "/d/x/y", NULL},
        {"/d/{}", "/d/x:beat", NULL},
        {"/d/{}:beat", "/d/x:beat", "x"},
        {"/d/{}:beat", "/d/:beat", NULL},
        {"/d/{}/c:renew", "/d/x/c:renew", "x"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char capture[SIM_CAPTURE_SIZE] = "";
        check_row(rows[i].path);
        CHECK_U64(sim_route_match(rows[i].pattern, slice_of(rows[i].path), capture),
                  rows[i].capture != NULL);
        if (rows[i].capture != NULL) {
            CHECK_SLICE(slice_of(capture), slice_of(rows[i].capture));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_quota_rolls),
        cmocka_unit_test(test_fault_scripts_refused),
        cmocka_unit_test(test_fault_nth_and_count),
        cmocka_unit_test(test_fault_probability_is_repeatable),
        cmocka_unit_test(test_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
