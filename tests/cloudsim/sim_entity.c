/*
 * Checking sightings while scanning them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_entity.h"

#include <string.h>

#include "base/clock.h"

enum kind {
    ANY,
    TEXT,
    BOOLEAN,
    COUNT,
    OBSERVABLE,
    OBSERVABLES,
    RELATIONS,
    TARGETS,
    INTERVAL,
    INSTANT,
    EXTERNAL_IDS,
    ID,
    WORD,
};

/* A key of an object. */
struct row {
    const char *name;
    enum kind kind;
    bool required;
    size_t length_max;        /* TEXT: UTF-16 units; 0: no limit. */
    const char *const *words; /* WORD: what it may be. */
};

struct schema {
    const struct row *rows;
    size_t count;
};

#define ROWS(table)                                                                                \
    {                                                                                              \
        (table), sizeof(table) / sizeof((table)[0])                                                \
    }

static const char *const confidences[] = {"High", "Info", "Low", "Medium", "None", "Unknown", NULL};
static const char *const severities[] = {"Critical", "High", "Info",    "Low",
                                         "Medium",   "None", "Unknown", NULL};
static const char *const tlps[] = {"white", "green", "amber", "red", NULL};
static const char *const types[] = {"sighting", NULL};

static const struct row interval_rows[] = {{"start_time", INSTANT, true, 0, NULL},
                                           {"end_time", INSTANT, false, 0, NULL}};
static const struct row relation_rows[] = {
    {"origin", TEXT, true, 0, NULL},       {"origin_uri", TEXT, false, 0, NULL},
    {"relation", TEXT, true, 0, NULL},     {"relation_info", ANY, false, 0, NULL},
    {"source", OBSERVABLE, true, 0, NULL}, {"related", OBSERVABLE, true, 0, NULL},
};
static const struct row target_rows[] = {
    {"type", TEXT, true, 0, NULL},
    {"observables", OBSERVABLES, true, 0, NULL},
    {"observed_time", INTERVAL, true, 0, NULL},
    {"os", TEXT, false, 0, NULL},
    {"properties_data_tables", TEXT, false, 0, NULL},
    {"internal", BOOLEAN, false, 0, NULL},
    {"source_uri", TEXT, false, 0, NULL},
};
static const struct row sighting_rows[] = {
    {"type", WORD, false, 0, types},
    {"id", ID, false, 0, NULL},
    {"external_ids", EXTERNAL_IDS, false, 0, NULL},
    {"observed_time", INTERVAL, true, 0, NULL},
    {"observables", OBSERVABLES, false, 0, NULL},
    {"relations", RELATIONS, false, 0, NULL},
    {"targets", TARGETS, false, 0, NULL},
    {"confidence", WORD, false, 0, confidences},
    {"severity", WORD, false, 0, severities},
    {"tlp", WORD, false, 0, tlps},
    {"count", COUNT, false, 0, NULL},
    {"internal", BOOLEAN, false, 0, NULL},
    {"sensor", TEXT, false, 0, NULL},
    {"resolution", TEXT, false, 0, NULL},
    {"source", TEXT, false, 2048, NULL},
    {"source_uri", TEXT, false, 2048, NULL},
    {"title", TEXT, false, 1024, NULL},
    {"short_description", TEXT, false, 2048, NULL},
    {"description", TEXT, false, 5000, NULL},
    {"language", TEXT, false, 1024, NULL},
    {"schema_version", TEXT, false, 0, NULL},
    {"timestamp", INSTANT, false, 0, NULL},
    {"revision", COUNT, false, 0, NULL},
    {"external_references", ANY, false, 0, NULL},
    {"sensor_coordinates", ANY, false, 0, NULL},
    {"data", ANY, false, 0, NULL},
    {"context", ANY, false, 0, NULL},
    {"detection_interval", ANY, false, 0, NULL},
    {"activity_interval", ANY, false, 0, NULL},
    {"modification_interval", ANY, false, 0, NULL},
    {"authorized_users", ANY, false, 0, NULL},
    {"authorized_groups", ANY, false, 0, NULL},
};

static const struct schema interval_schema = ROWS(interval_rows);
static const struct schema relation_schema = ROWS(relation_rows);
static const struct schema target_schema = ROWS(target_rows);
static const struct schema sighting_schema = ROWS(sighting_rows);

/* The 63 types of the published vocabulary. */
static const char *const observable_types[] = {
    "ip",
    "domain",
    "url",
    "email",
    "sha256",
    "cisco_mid",
    "email_messageid",
    "email_subject",
    "file_name",
    "user",
    "user_agent",
    "ipv6",
    "md5",
    "sha1",
    "hostname",
    "acudid",
    "amp_computer_guid",
    "certificate_common_name",
    "certificate_issuer",
    "certificate_serial",
    "cisco_cm_id",
    "cisco_uc_id",
    "cortex_agent_id",
    "crowdstrike_id",
    "cvm_id",
    "cybereason_id",
    "darktrace_id",
    "device",
    "file_path",
    "google_chromebook_id",
    "google_cloud_id",
    "imei",
    "imsi",
    "intune_id",
    "jamf_management_id",
    "mac_address",
    "meraki_network_id",
    "meraki_node_sn",
    "meraki_org_id",
    "ms_machine_id",
    "mutex",
    "ngfw_id",
    "ngfw_name",
    "odns_identity",
    "odns_identity_label",
    "orbital_node_id",
    "pki_serial",
    "process_args",
    "process_hash",
    "process_name",
    "process_path",
    "process_uid",
    "process_username",
    "processor_id",
    "registry_key",
    "registry_name",
    "registry_path",
    "s1_agent_id",
    "secure_access_id",
    "serial_number",
    "service_now_id",
    "swc_device_id",
    "trend_micro_id",
};

static bool is(struct slice text, const char *word)
{
    return slice_equal(text, slice_of(word));
}

bool sim_observable_type(struct slice name)
{
    for (size_t i = 0; i < sizeof observable_types / sizeof observable_types[0]; i++) {
        if (is(name, observable_types[i])) {
            return true;
        }
    }
    return false;
}

/* What one check works on. */
struct check {
    struct sim_scan *scan;
    struct sim_entity *entity;
    struct sim_schema_error *error;
};

static bool wrong(const struct check *check, struct slice key, const char *problem)
{
    if (!check->scan->bad) {
        *check->error = (struct sim_schema_error){.key = key, .problem = problem};
    }
    return false;
}

static bool check_string(const struct check *check, struct slice key, struct slice *text)
{
    if (sim_scan_peek(check->scan) != '"') {
        return wrong(check, key, "(not (instance? java.lang.String))");
    }
    return sim_scan_string(check->scan, text);
}

static bool check_text(const struct check *check, const struct row *row, struct slice key)
{
    struct slice text = {0};
    if (!check_string(check, key, &text)) {
        return false;
    }
    /* Bytes are never fewer than UTF-16 units; only long texts need to be counted. */
    if (row->length_max > 0 && text.size > row->length_max &&
        sim_scan_length_utf16(text) > row->length_max) {
        check->entity->too_long = true;
    }
    return true;
}

static bool check_word(const struct check *check, const struct row *row, struct slice key)
{
    struct slice text = {0};
    if (!check_string(check, key, &text)) {
        return false;
    }
    for (const char *const *word = row->words; *word != NULL; word++) {
        if (is(text, *word)) {
            return true;
        }
    }
    return wrong(check, key, "(not (enum value))");
}

static bool check_instant(const struct check *check, struct slice key)
{
    struct slice text = {0};
    uint64_t at_ms;
    if (sim_scan_peek(check->scan) != '"') {
        return wrong(check, key, "(not (instance? java.util.Date))");
    }
    if (!sim_scan_string(check->scan, &text)) {
        return false;
    }
    return clock_parse(text, &at_ms) ? true : wrong(check, key, "(not (instance? java.util.Date))");
}

static bool check_plain(const struct check *check, enum kind kind, struct slice key)
{
    struct slice raw = {0};
    if (!sim_scan_raw(check->scan, &raw)) {
        return false;
    }
    const char *text = raw.data;
    if (kind == BOOLEAN && !is(raw, "true") && !is(raw, "false")) {
        return wrong(check, key, "(not (instance? java.lang.Boolean))");
    }
    if (kind == COUNT && (raw.size > 18 || strspn(text, "0123456789") < raw.size)) {
        return wrong(check, key, "(not (integer?))");
    }
    return true;
}

static bool check_external_ids(const struct check *check, struct slice key)
{
    struct sim_scan *scan = check->scan;
    struct sim_entity *entity = check->entity;
    if (sim_scan_peek(scan) != '[') {
        return wrong(check, key, "(not (sequential?))");
    }
    const char *begin = scan->at;
    if (!sim_scan_enter(scan, '[')) {
        return false;
    }
    while (sim_scan_item(scan)) {
        struct slice text = {0};
        if (!check_string(check, key, &text)) {
            return false;
        }
        if (entity->external_id_count < SIM_EXTERNAL_IDS_MAX) {
            entity->external_ids[entity->external_id_count++] = text;
        }
    }
    entity->external_raw =
        (struct slice){.data = begin, .size = scan->bad ? 0 : (size_t)(scan->at - begin)};
    return !scan->bad;
}

static bool check_observable(const struct check *check, struct slice key)
{
    struct sim_scan *scan = check->scan;
    struct slice name;
    struct slice value = {0};
    unsigned seen = 0;
    if (sim_scan_peek(scan) != '{') {
        return wrong(check, key, "(not (map?))");
    }
    if (!sim_scan_enter(scan, '{')) {
        return false;
    }
    while (sim_scan_key(scan, &name)) {
        bool is_type = is(name, "type");
        if (!is_type && !is(name, "value")) {
            return wrong(check, key, "disallowed-key");
        }
        if (!check_string(check, key, &value)) {
            return false;
        }
        if (is_type && !sim_observable_type(value)) {
            return wrong(check, key, "(not (enum observable-type))");
        }
        seen |= is_type ? 1U : 2U;
    }
    return seen == 3 || wrong(check, key, "missing-required-key");
}

/* Which of the rows have been seen, one bit each; false at an unknown key. */
static const struct row *find_row(const struct schema *schema, struct slice key, uint64_t *seen)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (is(key, schema->rows[i].name)) {
            *seen |= (uint64_t)1 << i;
            return &schema->rows[i];
        }
    }
    return NULL;
}

static bool check_required(const struct check *check, const struct schema *schema, uint64_t seen)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (schema->rows[i].required && (seen >> i & 1) == 0) {
            return wrong(check, slice_of(schema->rows[i].name), "missing-required-key");
        }
    }
    return !check->scan->bad;
}

static bool check_interval(const struct check *check, struct slice outer)
{
    struct slice key;
    uint64_t seen = 0;
    if (sim_scan_peek(check->scan) != '{') {
        return wrong(check, outer, "(not (map?))");
    }
    if (!sim_scan_enter(check->scan, '{')) {
        return false;
    }
    while (sim_scan_key(check->scan, &key)) {
        if (find_row(&interval_schema, key, &seen) == NULL) {
            return wrong(check, key, "disallowed-key");
        }
        if (!check_instant(check, key)) {
            return false;
        }
    }
    return check_required(check, &interval_schema, seen);
}

static bool check_observables(const struct check *check, struct slice key)
{
    if (sim_scan_peek(check->scan) != '[') {
        return wrong(check, key, "(not (sequential?))");
    }
    if (!sim_scan_enter(check->scan, '[')) {
        return false;
    }
    while (sim_scan_item(check->scan)) {
        if (!check_observable(check, key)) {
            return false;
        }
    }
    return !check->scan->bad;
}

/* A value that holds no object of rows. */
static bool check_leaf(const struct check *check, const struct row *row, struct slice key)
{
    switch (row->kind) {
    case TEXT: return check_text(check, row, key);
    case WORD: return check_word(check, row, key);
    case INSTANT: return check_instant(check, key);
    case OBSERVABLE: return check_observable(check, key);
    case OBSERVABLES: return check_observables(check, key);
    case INTERVAL: return check_interval(check, key);
    case EXTERNAL_IDS: return check_external_ids(check, key);
    case ID:
        return sim_scan_peek(check->scan) == '"' ? sim_scan_string(check->scan, &check->entity->id)
                                                 : wrong(check, key, "(not (uri?))");
    case BOOLEAN:
    case COUNT:
    case ANY: return check_plain(check, row->kind, key);
    case RELATIONS:
    case TARGETS: break;
    }
    return wrong(check, key, "disallowed-key");
}

/* An object of a schema of leaves. */
static bool check_object(const struct check *check, const struct schema *schema, struct slice outer)
{
    struct slice key;
    uint64_t seen = 0;
    if (sim_scan_peek(check->scan) != '{') {
        return wrong(check, outer, "(not (map?))");
    }
    if (!sim_scan_enter(check->scan, '{')) {
        return false;
    }
    while (sim_scan_key(check->scan, &key)) {
        const struct row *row = find_row(schema, key, &seen);
        if (!(row == NULL ? wrong(check, key, "disallowed-key") : check_leaf(check, row, key))) {
            return false;
        }
    }
    return check_required(check, schema, seen);
}

static bool check_objects(const struct check *check, const struct schema *schema,
                          struct slice outer)
{
    if (sim_scan_peek(check->scan) != '[') {
        return wrong(check, outer, "(not (sequential?))");
    }
    if (!sim_scan_enter(check->scan, '[')) {
        return false;
    }
    while (sim_scan_item(check->scan)) {
        if (!check_object(check, schema, outer)) {
            return false;
        }
    }
    return !check->scan->bad;
}

static bool check_member(const struct check *check, const struct row *row, struct slice key)
{
    if (row->kind == RELATIONS) {
        return check_objects(check, &relation_schema, key);
    }
    if (row->kind == TARGETS) {
        return check_objects(check, &target_schema, key);
    }
    return check_leaf(check, row, key);
}

bool sim_entity_read(struct sim_scan *scan, struct sim_entity *entity,
                     struct sim_schema_error *error)
{
    struct check check = {.scan = scan, .entity = entity, .error = error};
    uint64_t seen = 0;
    struct slice key;
    *entity = (struct sim_entity){0};
    if (sim_scan_peek(scan) != '{') {
        return wrong(&check, slice_of("sightings"), "(not (map?))");
    }
    const char *begin = scan->at;
    if (!sim_scan_enter(scan, '{')) {
        return false;
    }
    while (sim_scan_key(scan, &key)) {
        const struct row *row = find_row(&sighting_schema, key, &seen);
        if (!(row == NULL ? wrong(&check, key, "disallowed-key")
                          : check_member(&check, row, key))) {
            return false;
        }
    }
    entity->raw = (struct slice){.data = begin, .size = (size_t)(scan->at - begin)};
    return check_required(&check, &sighting_schema, seen);
}
