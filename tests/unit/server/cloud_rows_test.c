/*
 * Regions, scopes, Retry-After, sightings, and what the cloud's answers mean: rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "base/x509.h"
#include "ctia.h"
#include "exchange.h"
#include "json_read.h"
#include "oauth_grant.h"
#include "outbox_rows.h"
#include "region.h"
#include "scopes.h"
#include "sighting.h"

static void test_regions(void **state)
{
    static const struct {
        const char *name;
        enum status_code code;
        enum region region;
    } rows[] = {
        {"AMERICAS", STATUS_OK, REGION_AMERICAS},
        {"europe", STATUS_OK, REGION_EUROPE},
        {"nam", STATUS_OK, REGION_AMERICAS},
        {"eu", STATUS_OK, REGION_EUROPE},
        {"APJC", STATUS_REFUSED, 0},
        {"mars", STATUS_INVALID, 0},
        {"", STATUS_INVALID, 0},
    };
    static const struct {
        const char *url;
        enum status_code code;
    } urls[] = {
        {"https://127.0.0.1:4711", STATUS_OK},      {"https://relay.example", STATUS_OK},
        {"http://relay.example", STATUS_INVALID},   {"https://", STATUS_INVALID},
        {"https://a.example/path", STATUS_INVALID}, {"https://me@a.example", STATUS_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum region region = REGION_COUNT;
        check_row(rows[i].name);
        CHECK_CODE(region_parse(slice_of(rows[i].name), &region), rows[i].code);
        CHECK(rows[i].code != STATUS_OK || region == rows[i].region);
    }
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        check_row(urls[i].url);
        CHECK_CODE(region_url_check(urls[i].url), urls[i].code);
    }
    struct endpoints endpoints = {.ctia_url = "https://127.0.0.1:1"};
    CHECK_SLICE(slice_of(region_url(REGION_EUROPE, FAMILY_PRIVATE_INTEL, &endpoints)),
                slice_of("https://127.0.0.1:1"));
    CHECK_SLICE(slice_of(region_url(REGION_EUROPE, FAMILY_EXCHANGE, &endpoints)),
                slice_of("https://api.eu.sse.itd.cisco.com"));
}

static void test_scopes(void **state)
{
    static const struct {
        const char *granted;
        const char *wanted;
        bool covered;
    } rows[] = {
        {"enrich:read", "enrich/observables/observe:read", true},
        {"enrich", "enrich:read", true},
        {"response", "response/trigger:write", true},
        {"private-intel:write", "private-intel:read", false},
        {"private-intel:read private-intel:write", "private-intel", true},
        {"private-intel/sighting", "private-intel:write", false},
        {"enrichment", "enrich:read", false},
        {"casebook", "case", false},
        {"a  b", "b:read", true},
        {"", "a:read", false},
    };
    static const struct {
        enum feature feature;
        const char *granted;
        const char *missing;
    } features[] = {
        {FEATURE_CASEBOOK, "casebook private-intel inspect", ""},
        {FEATURE_CASEBOOK, "casebook enrich", "private-intel inspect:read"},
        {FEATURE_PIVOT_MENU, "enrich:read response", ""},
        {FEATURE_PIVOT_MENU, "response:read", "enrich:read response"},
        {FEATURE_EXPORT, "private-intel", ""},
        {FEATURE_EXPORT, "private-intel:read", "private-intel:write"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].granted);
        CHECK_U64(scopes_cover(slice_of(rows[i].granted), slice_of(rows[i].wanted)),
                  rows[i].covered);
    }
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        char missing[FEATURE_MISSING_SIZE];
        check_row(features[i].granted);
        CHECK_U64(feature_available(features[i].feature, slice_of(features[i].granted), missing),
                  features[i].missing[0] == '\0');
        CHECK_SLICE(slice_of(missing), slice_of(features[i].missing));
    }
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *value;
        unsigned seconds;
    } rows[] = {
        {"30", 30},
        {"3172s", 3172},
        {"0", 1},
        {"99999999999999999999", 0},
        {"7200", 3600},
        {"", 0},
        {"soon", 0},
        {"12x", 0},
        {"-5", 0},
        {"Fri, 02 Jan 2026 03:05:05 GMT", 60},
        {"Fri, 02 Jan 2026 03:00:00 GMT", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].value);
        CHECK_U64(http_retry_after(slice_of(rows[i].value), UINT64_C(1767323045000)),
                  rows[i].seconds);
    }
}

/* A sighting is JSON, the same each time, and says who it is. */
static void test_sightings(void **state)
{
    struct arena arena = {0};
    struct buffer first = {0};
    struct buffer second = {0};
    char id[SIGHTING_ID_SIZE];
    struct sighting_key key = {
        .cluster_id = slice_of(OUTBOX_CLUSTER),
        .kind = 1,
        .serial = slice_of("SA"),
        .id = slice_of("7"),
        .revision = 5,
    };
    (void)state;

    sighting_external_id(&key, id);
    CHECK_SLICE(slice_of(id),
                slice_of("muster-01234567-sighting-"
                         "5157e62c9dba718c9084783a805d1388e6e44d454b256e2d4c83f21cdac94002"));
    CHECK_OK(sighting_write(&key, outbox_body(&arena, 7), &first));
    CHECK_OK(sighting_write(&key, outbox_body(&arena, 7), &second));
    CHECK_SLICE(buffer_slice(&first), buffer_slice(&second));
    json_t *value = json_loadb(first.data, first.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    CHECK_SLICE(
        slice_of(json_string_value(json_array_get(json_object_get(value, "external_ids"), 0))),
        slice_of(id));
    CHECK_SLICE(slice_of(json_string_value(
                    json_object_get(json_object_get(value, "observed_time"), "start_time"))),
                slice_of("2026-01-02T03:04:05.000Z"));
    json_decref(value);
    key.kind = 9;
    CHECK_CODE(sighting_write(&key, outbox_body(&arena, 7), &second), STATUS_INVALID);
    CHECK_U64(second.size, first.size);
    buffer_release(&first);
    buffer_release(&second);
    arena_release(&arena);
}

static struct http_response response_of(unsigned code, const char *body)
{
    return (struct http_response){
        .status = OK, .code = code, .body = slice_of(body), .quota_remaining = UINT64_MAX};
}

static void test_import_answers(void **state)
{
    static const struct {
        unsigned code;
        const char *body;
        enum ctia_result result;
        const char *words;
    } rows[] = {
        {200, "{}", CTIA_TAKEN, ""},
        {400, "Bundle max nb of entities: 2000", CTIA_REFUSED, "max nb"},
        {400, "{\"errors\":{\"x\":\"disallowed-key\"}}", CTIA_REFUSED, "disallowed-key"},
        {400, "{\"error\":\"E\",\"message\":\"M\",\"entity\":{\"title\":\"SECRET\"}}", CTIA_REFUSED,
         "M"},
        {413, "<html>", CTIA_REFUSED, "413"},
        {401, "{\"error\":\"jwt_expired\"}", CTIA_UNAUTHORIZED, "token"},
        {403, "{\"message\":\"Missing capability\"}", CTIA_FORBIDDEN, "private-intel"},
        {404, "<html>", CTIA_MISROUTED, "endpoints"},
        {429, "{\"error\": \"Too Many Requests\"}", CTIA_LIMITED, "quota"},
        {500, "{\"type\":\"unknown-exception\"}", CTIA_FAILED, "500"},
        {502, "<html>", CTIA_FAILED, "502"},
        {302, "", CTIA_FAILED, "302"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_response response = response_of(rows[i].code, rows[i].body);
        struct ctia_answer answer;
        check_row(rows[i].body);
        ctia_answer_read(&response, "https://x", &answer);
        CHECK_U64(answer.result, rows[i].result);
        CHECK(strstr(answer.reason, rows[i].words) != NULL);
        CHECK(strstr(answer.reason, "SECRET") == NULL);
    }
}

static void test_device_answers(void **state)
{
    static const struct {
        const char *name;
        enum exchange_kind kind;
        unsigned code;
        const char *body;
        enum exchange_result result;
        const char *words;
    } rows[] = {
        {"accepted", EXCHANGE_REGISTER, 202,
         "{\"registration_id\":\"reg-1\",\"status\":\"in_progress\"}", EXCHANGE_IN_PROGRESS, ""},
        {"an id that is a path", EXCHANGE_REGISTER, 202,
         "{\"registration_id\":\"../x\",\"status\":\"in_progress\"}", EXCHANGE_FAILED, "readable"},
        {"registered without a certificate", EXCHANGE_POLL, 200,
         "{\"registration_id\":\"reg-1\",\"status\":\"registered\",\"device_id\":\"d\"}",
         EXCHANGE_FAILED, "readable"},
        {"failed there", EXCHANGE_POLL, 200,
         "{\"registration_id\":\"r\",\"status\":\"failed\",\"error\":{\"code\":\"enrolment_"
         "failed\"}}",
         EXCHANGE_REFUSED, "new token"},
        {"expired", EXCHANGE_REGISTER, 401, "{\"error\":{\"code\":\"token_expired\"}}",
         EXCHANGE_REFUSED, "new one in the portal"},
        {"an unknown code", EXCHANGE_REGISTER, 400,
         "{\"error\":{\"code\":\"odd\",\"message\":\"words of theirs\"}}", EXCHANGE_REFUSED,
         "words of theirs"},
        {"no such service", EXCHANGE_REGISTER, 404, "<html>", EXCHANGE_REFUSED, "endpoints"},
        {"a page for a deletion", EXCHANGE_DELETE, 404, "<html>", EXCHANGE_FAILED, "endpoints"},
        {"deleted already", EXCHANGE_DELETE, 404, "{\"error\":{\"code\":\"device_not_found\"}}",
         EXCHANGE_GONE, "portal"},
        {"a page instead of a deletion", EXCHANGE_DELETE, 200, "<html>", EXCHANGE_FAILED, ""},
        {"heartbeat", EXCHANGE_HEARTBEAT, 204, "", EXCHANGE_DONE, ""},
        {"heartbeat of a deleted device", EXCHANGE_HEARTBEAT, 410,
         "{\"error\":{\"code\":\"device_deregistered\"}}", EXCHANGE_GONE, "portal"},
        {"too many", EXCHANGE_REGISTER, 429, "{\"error\":{\"code\":\"too_many_requests\"}}",
         EXCHANGE_FAILED, ""},
        {"unavailable", EXCHANGE_POLL, 503, "<html>", EXCHANGE_FAILED, "http_503"},
        {"a page instead of a list", EXCHANGE_LIST, 200, "<html>", EXCHANGE_FAILED, ""},
        {"an empty list", EXCHANGE_LIST, 200, "{\"devices\":[]}", EXCHANGE_DONE, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_response response = response_of(rows[i].code, rows[i].body);
        struct exchange_answer answer;
        json_t *value = json_read(response.body);
        check_row(rows[i].name);
        exchange_answer_read(rows[i].kind, &response, value, &answer);
        CHECK_U64(answer.result, rows[i].result);
        CHECK(strstr(answer.reason, rows[i].words) != NULL);
        json_decref(value);
    }
}

static void test_token_answers(void **state)
{
    static const struct {
        unsigned code;
        const char *body;
        enum oauth_result result;
        unsigned lifetime_s;
    } rows[] = {
        {200, "{\"access_token\":\"t\",\"expires_in\":60,\"scope\":\"a b\"}", OAUTH_GRANTED, 60},
        {200, "{\"access_token\":\"t\"}", OAUTH_GRANTED, 600},
        {200, "{\"access_token\":\"t\",\"expires_in\":999999}", OAUTH_GRANTED, 3600},
        {200, "{\"access_token\":\"t\",\"expires_in\":0}", OAUTH_FAILED, 0},
        {200, "{}", OAUTH_FAILED, 0},
        {200, "{\"access_token\":\"t\\r\\nX-Other: 1\"}", OAUTH_FAILED, 0},
        {200, "{\"access_token\":\"a b\"}", OAUTH_FAILED, 0},
        {200, "<html>", OAUTH_FAILED, 0},
        {400, "{\"error\":\"invalid_client\"}", OAUTH_REFUSED, 0},
        {400, "<html>", OAUTH_REFUSED, 0},
        {429, "{\"error\": \"Too Many Requests\"}", OAUTH_LIMITED, 0},
        {503, "", OAUTH_FAILED, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_response response = response_of(rows[i].code, rows[i].body);
        struct oauth_answer answer;
        json_t *value = json_read(response.body);
        check_row(rows[i].body);
        oauth_answer_read(&response, value, REGION_EUROPE, &answer);
        CHECK_U64(answer.result, rows[i].result);
        CHECK_U64(answer.lifetime_s, rows[i].lifetime_s);
        CHECK(rows[i].result != OAUTH_REFUSED || strstr(answer.reason, "EUROPE") != NULL);
        CHECK(!scopes_cover(answer.scopes, slice_of("casebook"))); /* None are said here. */
        json_decref(value);
    }
}

/* What could not be written down is not believed: the log would refuse it again and again. */
static void test_answers_too_long(void **state)
{
    static char many[STORE_SCOPES_SIZE_MAX + 2];
    const struct x509_subject subject = {.common_name = slice_of("device"),
                                         .serial = slice_of("A"),
                                         .not_after_ms = UINT64_C(1900000000000)};
    const struct http_response response = response_of(200, "");
    struct secret key = {0};
    struct buffer pem = {0};
    struct oauth_answer granted;
    struct exchange_answer registered;
    (void)state;
    memset(many, 'a', sizeof many - 1);
    CHECK_OK(x509_make_key(&key));
    CHECK_OK(x509_make_ca(secret_slice(&key), &subject, &pem));
    for (size_t size = STORE_SCOPES_SIZE_MAX; size <= STORE_SCOPES_SIZE_MAX + 1; size++) {
        json_t *value = json_pack("{s:s, s:s%}", "access_token", "t", "scope", many, size);
        oauth_answer_read(&response, value, REGION_EUROPE, &granted);
        CHECK_U64(granted.result, size > STORE_SCOPES_SIZE_MAX ? OAUTH_FAILED : OAUTH_GRANTED);
        json_decref(value);
    }
    for (size_t size = STORE_ID_SIZE_MAX; size <= STORE_ID_SIZE_MAX + 1; size++) {
        json_t *value = json_pack("{s:s, s:s, s:s, s:s%, s:{s:s%}}", "registration_id", "r",
                                  "status", "registered", "device_id", "d", "certificate", pem.data,
                                  pem.size, "tenant", "id", many, size);
        exchange_answer_read(EXCHANGE_POLL, &response, value, &registered);
        CHECK_U64(registered.result,
                  size > STORE_ID_SIZE_MAX ? EXCHANGE_FAILED : EXCHANGE_REGISTERED);
        json_decref(value);
    }
    secret_release(&key);
    buffer_release(&pem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_regions),        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_retry_after),    cmocka_unit_test(test_sightings),
        cmocka_unit_test(test_import_answers), cmocka_unit_test(test_device_answers),
        cmocka_unit_test(test_token_answers),  cmocka_unit_test(test_answers_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
