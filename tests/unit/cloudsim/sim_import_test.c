/*
 * What the simulated cloud makes of bundles: the schema, and which entities it knows already.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "scratch.h"
#include "sim_bundle.h"
#include "sim_json.h"
#include "sim_sightings.h"

#define TIME "\"observed_time\":{\"start_time\":\"2026-01-02T03:04:05.000Z\"}"

static void test_schema(void **state)
{
    static const struct {
        const char *name;
        const char *body;
        enum sim_bundle_result result;
        const char *errors;
    } rows[] = {
        {"least", "{\"source\":\"s\"}", SIM_BUNDLE_SOUND, ""},
        {"one sighting", "{\"source\":\"s\",\"sightings\":[{" TIME "}]}", SIM_BUNDLE_SOUND, ""},
        {"references", "{\"source\":\"s\",\"sighting_refs\":[\"x\"]}", SIM_BUNDLE_SOUND, ""},
        {"not JSON", "{\"source\":\"s\"", SIM_BUNDLE_NOT_JSON, ""},
        {"not an object", "[]", SIM_BUNDLE_NOT_JSON, ""},
        {"no source", "{\"sightings\":[]}", SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"source\":\"missing-required-key\"}}"},
        {"source is a number", "{\"source\":1}", SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"source\":\"(not (instance? java.lang.String))\"}}"},
        {"casebooks", "{\"source\":\"s\",\"casebooks\":[]}", SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"casebooks\":\"disallowed-key\"}}"},
        {"sightings is an object", "{\"source\":\"s\",\"sightings\":{}}", SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"sightings\":\"(not (sequential?))\"}}"},
        {"no time", "{\"source\":\"s\",\"sightings\":[{\"count\":1}]}", SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"sightings\":[{\"observed_time\":\"missing-required-key\"}]}}"},
        {"no start", "{\"source\":\"s\",\"sightings\":[{\"observed_time\":{}}]}", SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"sightings\":[{\"start_time\":\"missing-required-key\"}]}}"},
        {"unknown key", "{\"source\":\"s\",\"sightings\":[{" TIME ",\"mid\":1}]}",
         SIM_BUNDLE_SCHEMA, "{\"errors\":{\"sightings\":[{\"mid\":\"disallowed-key\"}]}}"},
        {"unknown observable",
         "{\"source\":\"s\",\"sightings\":[{" TIME
         ",\"observables\":[{\"type\":\"colour\",\"value\":\"red\"}]}]}",
         SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"sightings\":[{\"observables\":\"(not (enum observable-type))\"}]}}"},
        {"observable without value",
         "{\"source\":\"s\",\"sightings\":[{" TIME ",\"observables\":[{\"type\":\"ip\"}]}]}",
         SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"sightings\":[{\"observables\":\"missing-required-key\"}]}}"},
        {"relation without origin",
         "{\"source\":\"s\",\"sightings\":[{" TIME ",\"relations\":[{\"relation\":\"Sent\","
         "\"source\":{\"type\":\"ip\",\"value\":\"1\"},\"related\":{\"type\":\"ip\",\"value\":"
         "\"1\"}}]}]}",
         SIM_BUNDLE_SCHEMA, "{\"errors\":{\"sightings\":[{\"origin\":\"missing-required-key\"}]}}"},
        {"confidence", "{\"source\":\"s\",\"sightings\":[{" TIME ",\"confidence\":\"Sure\"}]}",
         SIM_BUNDLE_SCHEMA,
         "{\"errors\":{\"sightings\":[{\"confidence\":\"(not (enum value))\"}]}}"},
        {"cut inside a sighting", "{\"source\":\"s\",\"sightings\":[{" TIME ",\"confidence\":\"Hi",
         SIM_BUNDLE_NOT_JSON, ""},
    };
    (void)state;
    struct sim_bundle bundle;
    sim_bundle_init(&bundle);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer errors = {0};
        check_row(rows[i].name);
        CHECK_U64(sim_bundle_read(&bundle, slice_of(rows[i].body), &errors), rows[i].result);
        CHECK_SLICE(buffer_slice(&errors), slice_of(rows[i].errors));
        buffer_release(&errors);
    }
    sim_bundle_release(&bundle);
}

static void test_entities_max(void **state)
{
    (void)state;
    struct sim_bundle bundle;
    sim_bundle_init(&bundle);
    for (size_t count = SIM_BUNDLE_ENTITIES_MAX; count <= SIM_BUNDLE_ENTITIES_MAX + 1; count++) {
        struct buffer body = {0};
        struct buffer errors = {0};
        sim_print(&body, "{\"source\":\"s\",\"indicators\":[{}],\"sightings\":[");
        for (size_t i = 1; i < count; i++) {
            sim_print(&body, "%s{" TIME "}", i > 1 ? "," : "");
        }
        sim_print(&body, "]}");
        CHECK_U64(sim_bundle_read(&bundle, buffer_slice(&body), &errors),
                  count > SIM_BUNDLE_ENTITIES_MAX ? SIM_BUNDLE_TOO_MANY : SIM_BUNDLE_SOUND);
        buffer_release(&body);
    }
    sim_bundle_release(&bundle);
}

static void test_long_texts_count_in_utf16(void **state)
{
    static const struct {
        const char *name;
        const char *letter;
        size_t count;
        bool too_long;
    } rows[] = {
        {"ascii fits", "a", 1024, false},
        {"ascii does not", "a", 1025, true},
        {"three bytes, one unit", "\xe2\x82\xac", 1024, false},
        {"four bytes, two units", "\xf0\x9f\x98\x80", 512, false},
        {"one pair too many", "\xf0\x9f\x98\x80", 513, true},
        {"escapes", "\\u20ac", 1024, false},
    };
    (void)state;
    struct sim_bundle bundle;
    sim_bundle_init(&bundle);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer body = {0};
        struct buffer errors = {0};
        check_row(rows[i].name);
        sim_print(&body, "{\"source\":\"s\",\"sightings\":[{" TIME ",\"title\":\"");
        for (size_t j = 0; j < rows[i].count; j++) {
            sim_print(&body, "%s", rows[i].letter);
        }
        sim_print(&body, "\"}]}");
        CHECK_U64(sim_bundle_read(&bundle, buffer_slice(&body), &errors), SIM_BUNDLE_SOUND);
        CHECK_U64(bundle.entities[0].too_long, rows[i].too_long);
        buffer_release(&body);
    }
    sim_bundle_release(&bundle);
}

/* Import the one sighting of a text. */
static enum sim_outcome import_text(struct sim_sightings *sightings,
                                    const struct sim_import *import, const char *text,
                                    uint8_t id[SIM_UUID_BYTES])
{
    struct sim_schema_error error = {0};
    struct sim_entity entity;
    struct sim_scan scan = sim_scan_open(slice_of(text));
    CHECK(sim_entity_read(&scan, &entity, &error) && sim_scan_finish(&scan));
    enum sim_outcome outcome = sim_sightings_import(sightings, import, &entity, id);
    sim_sightings_on_bundle(sightings, slice_of("s"), 1, 0);
    return outcome;
}

#define SIGHTING(ids) "{" TIME ",\"external_ids\":[" ids "]}"

static void test_recognised(void **state)
{
    static const struct {
        const char *name;
        const char *prefixes;
        const char *first;
        const char *second;
        enum sim_outcome outcome;
        uint64_t different;
    } rows[] = {
        {"same again", "m-", SIGHTING("\"m-1\""), SIGHTING("\"m-1\""), SIM_EXISTS, 0},
        {"another id", "m-", SIGHTING("\"m-1\""), SIGHTING("\"m-2\""), SIM_CREATED, 0},
        {"another body", "m-", SIGHTING("\"m-1\""),
         "{\"count\":2," TIME ",\"external_ids\":[\"m-1\"]}", SIM_EXISTS, 1},
        {"prefix does not count", "m-", SIGHTING("\"x-1\""), SIGHTING("\"x-1\""), SIM_CREATED, 0},
        {"no prefixes: all count", "", SIGHTING("\"x-1\""), SIGHTING("\"x-1\""), SIM_EXISTS, 0},
        {"one of two prefixes", "a-,m-", SIGHTING("\"x\",\"m-1\""), SIGHTING("\"y\",\"m-1\""),
         SIM_EXISTS, 1},
        {"escaped and plain", "m-", SIGHTING("\"m-\\u0041\""), SIGHTING("\"m-A\""), SIM_EXISTS, 1},
        {"no ids", "m-", SIGHTING(""), SIGHTING(""), SIM_CREATED, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sim_sightings sightings = {0};
        struct sim_import import = {.place = "org|nam|", .now_ms = 1000};
        uint8_t first[SIM_UUID_BYTES];
        uint8_t second[SIM_UUID_BYTES];
        check_row(rows[i].name);
        CHECK(sim_import_prefixes(&import, rows[i].prefixes));
        CHECK_U64(import_text(&sightings, &import, rows[i].first, first), SIM_CREATED);
        CHECK_U64(import_text(&sightings, &import, rows[i].second, second), rows[i].outcome);
        CHECK_U64(memcmp(first, second, sizeof first) == 0, rows[i].outcome == SIM_EXISTS);
        CHECK_U64(sightings.different, rows[i].different);
        CHECK_U64(sightings.doubled, 0);
        sim_sightings_release(&sightings);
    }
}

static void test_places_are_apart(void **state)
{
    struct sim_sightings sightings = {0};
    struct sim_import import = {.place = "org|nam|", .any_counts = true};
    uint8_t id[SIM_UUID_BYTES];
    (void)state;
    CHECK_U64(import_text(&sightings, &import, SIGHTING("\"m-1\""), id), SIM_CREATED);
    import.place = "org|eu|";
    CHECK_U64(import_text(&sightings, &import, SIGHTING("\"m-1\""), id), SIM_CREATED);
    CHECK_U64(sightings.by_external_id.count, 2);
    sim_sightings_release(&sightings);
}

/* A repeat that comes before the search has refreshed makes a second one. */
static void test_refresh_delay(void **state)
{
    struct sim_sightings sightings = {0};
    struct sim_import import = {
        .place = "o|nam|", .any_counts = true, .now_ms = 1000, .refresh_ms = 500};
    uint8_t id[SIM_UUID_BYTES];
    (void)state;
    CHECK_U64(import_text(&sightings, &import, SIGHTING("\"m-1\""), id), SIM_CREATED);
    import.now_ms = 1499;
    CHECK_U64(import_text(&sightings, &import, SIGHTING("\"m-1\""), id), SIM_CREATED);
    CHECK_U64(sightings.doubled, 1);
    import.now_ms = 1500;
    CHECK_U64(import_text(&sightings, &import, SIGHTING("\"m-1\""), id), SIM_EXISTS);
    CHECK_U64(sightings.duplicates, 2);
    sim_sightings_release(&sightings);
}

static void test_many(void **state)
{
    enum { COUNT = 20000 };
    struct sim_sightings sightings = {0};
    struct sim_import import = {.place = "o|nam|"};
    (void)state;
    CHECK(sim_import_prefixes(&import, "m-"));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            char text[160];
            uint8_t id[SIM_UUID_BYTES];
            (void)snprintf(text, sizeof text, "{" TIME ",\"external_ids\":[\"m-%d\"]}", i);
            CHECK_U64(import_text(&sightings, &import, text, id),
                      round == 0 ? SIM_CREATED : SIM_EXISTS);
        }
    }
    CHECK_U64(sightings.by_external_id.count, COUNT);
    CHECK_U64(sightings.exists, COUNT);
    CHECK_U64(sightings.different, 0);
    sim_sightings_release(&sightings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_entities_max),
        cmocka_unit_test(test_long_texts_count_in_utf16),
        cmocka_unit_test(test_recognised),
        cmocka_unit_test(test_places_are_apart),
        cmocka_unit_test(test_refresh_delay),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
