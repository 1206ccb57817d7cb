/*
 * Reading bundles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_bundle.h"

#include <stdlib.h>
#include <string.h>

#include "sim_json.h"
#include "sim_map.h"

/* The kinds of entities that a bundle can hold. There is no "casebooks" (KNOWN). */
static const char *const kinds[] = {
    "actors",        "assets",         "asset_mappings", "asset_properties", "attack_patterns",
    "campaigns",     "coas",           "data_tables",    "feedbacks",        "identity_assertions",
    "incidents",     "indicators",     "judgements",     "malwares",         "notes",
    "relationships", "target_records", "tools",          "verdicts",         "vulnerabilities",
    "weaknesses",
};

static const char *const plain_keys[] = {
    "id",
    "type",
    "schema_version",
    "revision",
    "external_ids",
    "timestamp",
    "language",
    "tlp",
    "title",
    "external_references",
    "description",
    "source_uri",
    "valid_time",
    "short_description",
};

void sim_bundle_init(struct sim_bundle *bundle)
{
    *bundle = (struct sim_bundle){
        .entities = sim_alloc(SIM_BUNDLE_ENTITIES_MAX * sizeof bundle->entities[0])};
}

void sim_bundle_release(struct sim_bundle *bundle)
{
    free(bundle->entities);
    *bundle = (struct sim_bundle){0};
}

static bool is(struct slice text, const char *word)
{
    return slice_equal(text, slice_of(word));
}

static bool is_plain(struct slice key)
{
    for (size_t i = 0; i < sizeof plain_keys / sizeof plain_keys[0]; i++) {
        if (is(key, plain_keys[i])) {
            return true;
        }
    }
    const char *at = key.data; /* References to entities: "sighting_refs" ... */
    return key.size > 5 && memcmp(at + key.size - 5, "_refs", 5) == 0;
}

static bool is_kind(struct slice key)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (is(key, kinds[i])) {
            return true;
        }
    }
    return false;
}

static bool read_sightings(struct sim_bundle *bundle, struct sim_scan *scan,
                           struct sim_schema_error *error)
{
    struct sim_entity surplus;
    if (!sim_scan_enter(scan, '[')) {
        return false;
    }
    while (sim_scan_item(scan)) {
        bool room = bundle->count < SIM_BUNDLE_ENTITIES_MAX;
        if (!sim_entity_read(scan, room ? &bundle->entities[bundle->count] : &surplus, error)) {
            return false;
        }
        bundle->count += room;
        bundle->other_count += !room; /* Enough to make it too many. */
    }
    return !scan->bad;
}

static bool count_others(struct sim_bundle *bundle, struct sim_scan *scan)
{
    if (!sim_scan_enter(scan, '[')) {
        return false;
    }
    while (sim_scan_item(scan)) {
        if (!sim_scan_skip(scan)) {
            return false;
        }
        bundle->other_count++;
    }
    return !scan->bad;
}

static bool read_member(struct sim_bundle *bundle, struct sim_scan *scan, struct slice key,
                        struct sim_schema_error *error)
{
    bool list = is(key, "sightings") || is_kind(key);
    bool text = is(key, "source");
    if (!list && !text && !is_plain(key)) {
        *error = (struct sim_schema_error){.key = key, .problem = "disallowed-key"};
        return false;
    }
    if (list && sim_scan_peek(scan) != '[') {
        *error = (struct sim_schema_error){.key = key, .problem = "(not (sequential?))"};
        return false;
    }
    if (text && sim_scan_peek(scan) != '"') {
        *error =
            (struct sim_schema_error){.key = key, .problem = "(not (instance? java.lang.String))"};
        return false;
    }
    if (text) {
        return sim_scan_string(scan, &bundle->source);
    }
    if (list) {
        return is_kind(key) ? count_others(bundle, scan) : read_sightings(bundle, scan, error);
    }
    return sim_scan_skip(scan);
}

static void write_errors(struct buffer *out, const struct sim_schema_error *error, bool inside)
{
    sim_print(out, inside ? "{\"errors\":{\"sightings\":[{" : "{\"errors\":{");
    sim_json_slice(out, error->key);
    sim_print(out, ":");
    sim_json_text(out, error->problem);
    sim_print(out, inside ? "}]}}" : "}}");
}

enum sim_bundle_result sim_bundle_read(struct sim_bundle *bundle, struct slice body,
                                       struct buffer *errors)
{
    struct sim_scan scan = sim_scan_open(body);
    struct sim_schema_error error = {0};
    struct slice key;
    bool more = true;
    bool inside = false;
    bundle->count = 0;
    bundle->other_count = 0;
    bundle->source = (struct slice){0};
    if (!sim_scan_enter(&scan, '{')) {
        return SIM_BUNDLE_NOT_JSON;
    }
    while (more && sim_scan_key(&scan, &key)) {
        inside = is(key, "sightings");
        more = read_member(bundle, &scan, key, &error);
    }
    if (error.problem == NULL && !sim_scan_finish(&scan)) {
        return SIM_BUNDLE_NOT_JSON;
    }
    if (error.problem == NULL && bundle->source.data == NULL) {
        inside = false;
        error =
            (struct sim_schema_error){.key = slice_of("source"), .problem = "missing-required-key"};
    }
    if (error.problem != NULL) {
        /* A key that is itself "sightings" but of the wrong kind is an error of the bundle. */
        write_errors(errors, &error, inside && !is(error.key, "sightings"));
        return SIM_BUNDLE_SCHEMA;
    }
    return bundle->count + bundle->other_count > SIM_BUNDLE_ENTITIES_MAX ? SIM_BUNDLE_TOO_MANY
                                                                         : SIM_BUNDLE_SOUND;
}
