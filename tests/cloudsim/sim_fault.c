/*
 * Fault scripts: reading, matching, listing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_json.h"
#include "sim_map.h"

#define DELAY_MS_MAX 600000
#define SIZE_MAX_OF_BODY (64UL << 20)

static const char *const names[SIM_FAULT_ACTION_COUNT] = {
    [SIM_FAULT_DELAY] = "delay",
    [SIM_FAULT_STATUS] = "status",
    [SIM_FAULT_RATE_LIMIT] = "rate_limit",
    [SIM_FAULT_UNAUTHORIZED] = "unauthorized",
    [SIM_FAULT_RESET] = "reset",
    [SIM_FAULT_CLOSE] = "close",
    [SIM_FAULT_CLOSE_AFTER_APPLY] = "close_after_apply",
    [SIM_FAULT_RESET_AFTER_APPLY] = "reset_after_apply",
    [SIM_FAULT_TLS_FAILURE] = "tls_failure",
    [SIM_FAULT_WRONG_CERTIFICATE] = "wrong_certificate",
    [SIM_FAULT_STALL] = "stall",
    [SIM_FAULT_CUT_BODY] = "cut_body",
    [SIM_FAULT_TRUNCATE_JSON] = "truncate_json",
    [SIM_FAULT_HTML_200] = "html_200",
    [SIM_FAULT_GZIP] = "gzip",
    [SIM_FAULT_CHUNKED] = "chunked",
    [SIM_FAULT_LARGE_BODY] = "large_body",
    [SIM_FAULT_ENTITY_ERROR] = "entity_error",
    [SIM_FAULT_STUCK] = "stuck",
    [SIM_FAULT_REGISTRATION_FAILED] = "registration_failed",
};

const char *sim_fault_name(enum sim_fault_action action)
{
    return names[action];
}

void sim_faults_init(struct sim_faults *faults)
{
    *faults = (struct sim_faults){.list = sim_alloc(SIM_FAULTS_MAX * sizeof faults->list[0])};
}

void sim_faults_release(struct sim_faults *faults)
{
    free(faults->list);
    *faults = (struct sim_faults){0};
}

static bool is_connection_fault(const struct sim_fault *fault)
{
    return fault->action == SIM_FAULT_TLS_FAILURE || fault->action == SIM_FAULT_WRONG_CERTIFICATE;
}

/* The texts of a script as its JSON gives them, before they are copied. */
struct texts {
    const char *family;
    const char *region;
    const char *method;
    const char *path;
    const char *action;
    const char *body;
    const char *retry_after;
    const char *variant;
    const char *error;
    const char *error_type;
    const char *prefix;
};

static void copy(char *out, size_t out_size, const char *text)
{
    (void)snprintf(out, out_size, "%s", text == NULL ? "" : text);
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

static struct status check_words(const struct sim_fault *fault)
{
    static const char *const bodies[] = {"json", "html", "empty", NULL};
    static const char *const variants[] = {"seconds", "seconds_s", "date", "none", "message", NULL};
    if (!one_of(fault->body, bodies)) {
        return fail(STATUS_INVALID, "body is json, html or empty");
    }
    if (!one_of(fault->variant, variants)) {
        return fail(STATUS_INVALID, "variant is seconds, seconds_s, date, none or message");
    }
    if (fault->status < 200 || fault->status > 599) {
        return fail(STATUS_INVALID, "status is 200 to 599");
    }
    if (is_connection_fault(fault) && (fault->method[0] != '\0' || fault->path[0] != '\0')) {
        return fail(STATUS_INVALID, "%s happens before there is a method or a path",
                    names[fault->action]);
    }
    if (fault->action == SIM_FAULT_ENTITY_ERROR && fault->prefix[0] == '\0') {
        return fail(STATUS_INVALID, "entity_error needs external_id_prefix");
    }
    return OK;
}

/* Actions that mean something for one route only apply to that route. */
static const char *default_path(enum sim_fault_action action)
{
    if (action == SIM_FAULT_ENTITY_ERROR) {
        return "/ctia/bundle/import";
    }
    bool registers = action == SIM_FAULT_STUCK || action == SIM_FAULT_REGISTRATION_FAILED;
    return registers ? "/sim/v1/devices:register" : "";
}

static struct status take_texts(struct sim_fault *fault, const struct texts *texts)
{
    enum sim_family family;
    enum sim_region region;
    fault->family = -1;
    fault->region = -1;
    if (texts->family != NULL) {
        if (!sim_family_parse(texts->family, &family)) {
            return fail(STATUS_INVALID, "family is visibility, private-intel or sse");
        }
        fault->family = (int)family;
    }
    if (texts->region != NULL) {
        if (!sim_region_parse(texts->region, &region)) {
            return fail(STATUS_INVALID, "region is nam or eu");
        }
        fault->region = (int)region;
    }
    unsigned action = 0;
    while (action < SIM_FAULT_ACTION_COUNT && strcmp(names[action], texts->action) != 0) {
        action++;
    }
    if (action == SIM_FAULT_ACTION_COUNT) {
        return fail(STATUS_INVALID, "unknown action %.40s", texts->action);
    }
    fault->action = (enum sim_fault_action)action;
    const char *error = fault->action == SIM_FAULT_ENTITY_ERROR ? texts->error_type : texts->error;
    const char *error_default =
        fault->action == SIM_FAULT_ENTITY_ERROR ? "unknown-error" : "jwt_revoked";
    copy(fault->method, sizeof fault->method, texts->method);
    copy(fault->path, sizeof fault->path,
         texts->path == NULL ? default_path(fault->action) : texts->path);
    copy(fault->body, sizeof fault->body, texts->body == NULL ? "json" : texts->body);
    copy(fault->retry_after, sizeof fault->retry_after, texts->retry_after);
    copy(fault->variant, sizeof fault->variant,
         texts->variant == NULL ? "seconds" : texts->variant);
    copy(fault->error, sizeof fault->error, error == NULL ? error_default : error);
    copy(fault->prefix, sizeof fault->prefix, texts->prefix);
    return check_words(fault);
}

static struct status read_script(json_t *object, struct sim_fault *fault)
{
    struct texts texts = {0};
    uint64_t text_max = SIM_FAULT_TEXT_SIZE - 1;
    uint64_t seed = 1;
    *fault = (struct sim_fault){
        .nth = 1, .count = 1, .probability = 1, .status = 503, .seconds = 30, .size = 1UL << 20};
    const struct sim_field fields[] = {
        {"family", SIM_FIELD_TEXT, false, text_max, &texts.family},
        {"region", SIM_FIELD_TEXT, false, text_max, &texts.region},
        {"method", SIM_FIELD_TEXT, false, sizeof fault->method - 1, &texts.method},
        {"path", SIM_FIELD_TEXT, false, text_max, &texts.path},
        {"action", SIM_FIELD_TEXT, true, text_max, &texts.action},
        {"body", SIM_FIELD_TEXT, false, text_max, &texts.body},
        {"retry_after", SIM_FIELD_TEXT, false, text_max, &texts.retry_after},
        {"variant", SIM_FIELD_TEXT, false, text_max, &texts.variant},
        {"error", SIM_FIELD_TEXT, false, text_max, &texts.error},
        {"error_type", SIM_FIELD_TEXT, false, text_max, &texts.error_type},
        {"external_id_prefix", SIM_FIELD_TEXT, false, text_max, &texts.prefix},
        {"nth", SIM_FIELD_U64, false, 0, &fault->nth},
        {"count", SIM_FIELD_U64, false, 0, &fault->count},
        {"seed", SIM_FIELD_U64, false, 0, &seed},
        {"probability", SIM_FIELD_REAL, false, 1, &fault->probability},
        {"delay_ms", SIM_FIELD_U64, false, DELAY_MS_MAX, &fault->delay_ms},
        {"stall_ms", SIM_FIELD_U64, false, DELAY_MS_MAX, &fault->stall_ms},
        {"status", SIM_FIELD_U64, false, 599, &fault->status},
        {"seconds", SIM_FIELD_U64, false, 0, &fault->seconds},
        {"size", SIM_FIELD_U64, false, SIZE_MAX_OF_BODY, &fault->size},
    };
    struct status status = SIM_FIELDS_READ(object, fields);
    if (failed(status)) {
        return status;
    }
    fault->random = seed * 0x9E3779B97F4A7C15U + 1;
    return take_texts(fault, &texts);
}

struct status sim_faults_add(struct sim_faults *faults, struct slice json, uint64_t *id)
{
    if (faults->count == SIM_FAULTS_MAX) {
        return fail(STATUS_FULL, "more than %d fault scripts", SIM_FAULTS_MAX);
    }
    json_t *object = sim_json_object(json);
    if (object == NULL) {
        return fail(STATUS_INVALID, "not a JSON object");
    }
    struct sim_fault *fault = &faults->list[faults->count];
    struct status status = read_script(object, fault);
    json_decref(object);
    if (failed(status)) {
        return status;
    }
    faults->count++;
    fault->id = ++faults->last_id;
    *id = fault->id;
    return OK;
}

bool sim_faults_remove(struct sim_faults *faults, uint64_t id)
{
    if (id == 0) {
        faults->count = 0;
        return true;
    }
    for (size_t i = 0; i < faults->count; i++) {
        if (faults->list[i].id == id) {
            faults->count--;
            memmove(&faults->list[i], &faults->list[i + 1],
                    (faults->count - i) * sizeof faults->list[0]);
            return true;
        }
    }
    return false;
}

/* 0 to 1 (xorshift64*: enough to choose requests with, the same on every run). */
static double draw(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 0x2545F4914F6CDD1DU) >> 11) / (double)(1UL << 53);
}

static bool fires(struct sim_fault *fault)
{
    fault->matched++;
    if (fault->matched < fault->nth || (fault->count > 0 && fault->fired >= fault->count) ||
        (fault->probability < 1 && draw(&fault->random) >= fault->probability)) {
        return false;
    }
    fault->fired++;
    return true;
}

static bool is_place(const struct sim_fault *fault, enum sim_family family, enum sim_region region)
{
    return (fault->family < 0 || fault->family == (int)family) &&
           (fault->region < 0 || fault->region == (int)region);
}

const struct sim_fault *sim_faults_on_request(struct sim_faults *faults, enum sim_family family,
                                              enum sim_region region, struct slice method,
                                              struct slice path)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct sim_fault *fault = &faults->list[i];
        size_t size = strlen(fault->path);
        if (is_connection_fault(fault) || !is_place(fault, family, region) ||
            (fault->method[0] != '\0' && !slice_equal(method, slice_of(fault->method))) ||
            path.size < size || memcmp(path.data, fault->path, size) != 0) {
            continue;
        }
        if (fires(fault)) {
            return fault;
        }
    }
    return NULL;
}

const struct sim_fault *sim_faults_on_connection(struct sim_faults *faults, enum sim_family family,
                                                 enum sim_region region)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct sim_fault *fault = &faults->list[i];
        if (is_connection_fault(fault) && is_place(fault, family, region) && fires(fault)) {
            return fault;
        }
    }
    return NULL;
}

void sim_faults_write(const struct sim_faults *faults, struct buffer *out)
{
    sim_print(out, "{\"faults\":[");
    for (size_t i = 0; i < faults->count; i++) {
        const struct sim_fault *fault = &faults->list[i];
        sim_print(out, "%s{\"fault_id\":%" PRIu64 ",\"action\":\"%s\",\"path\":", i > 0 ? "," : "",
                  fault->id, names[fault->action]);
        sim_json_text(out, fault->path);
        sim_print(out, ",\"matched\":%" PRIu64 ",\"fired\":%" PRIu64 "}", fault->matched,
                  fault->fired);
    }
    sim_print(out, "]}");
}
