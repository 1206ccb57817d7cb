/*
 * Handlers of the private-intel family: bundle import, version, status.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "sim_json.h"
#include "sim_map.h"
#include "sim_route.h"

#define PREFIXES_SIZE 1024

enum row_result { ROW_CREATED, ROW_EXISTS, ROW_ERROR };

static const char *const result_names[] = {
    [ROW_CREATED] = "created", [ROW_EXISTS] = "exists", [ROW_ERROR] = "error"};

/* What became of each entity of the bundle. */
struct outcome {
    enum row_result result;
    const char *error_type;
    uint8_t id[SIM_UUID_BYTES];
};

static bool has_prefix(const struct sim_entity *entity, const char *prefix)
{
    size_t size = strlen(prefix);
    for (size_t i = 0; i < entity->external_id_count; i++) {
        if (entity->external_ids[i].size >= size &&
            memcmp(entity->external_ids[i].data, prefix, size) == 0) {
            return true;
        }
    }
    return false;
}

static void import_one(struct sim *sim, const struct sim_request *request,
                       const struct sim_import *import, const struct sim_entity *entity,
                       struct outcome *outcome)
{
    const struct sim_fault *fault = request->fault;
    if (entity->too_long) {
        *outcome = (struct outcome){.result = ROW_ERROR, .error_type = "spec-validation-error"};
    } else if (fault != NULL && fault->action == SIM_FAULT_ENTITY_ERROR &&
               has_prefix(entity, fault->prefix)) {
        *outcome = (struct outcome){.result = ROW_ERROR, .error_type = fault->error};
    } else {
        enum sim_outcome done = sim_sightings_import(&sim->sightings, import, entity, outcome->id);
        outcome->result = done == SIM_CREATED ? ROW_CREATED : ROW_EXISTS;
    }
    sim->sightings.errors += outcome->result == ROW_ERROR;
}

static void append(struct buffer *out, const char *text)
{
    sim_need(buffer_append(out, text, strlen(text)));
}

/* "https://private.intel.amp.cisco.com:443/ctia/sighting/sighting-<uuid>": the port is explicit
 * (KNOWN, recorded). */
static void write_id(struct buffer *out, enum sim_region region, const uint8_t id[SIM_UUID_BYTES])
{
    char hex[2 * SIM_UUID_BYTES + 1];
    char text[160];
    hex_encode((struct slice){.data = id, .size = SIM_UUID_BYTES}, hex);
    (void)snprintf(text, sizeof text,
                   "\"id\":\"https://%s:443/ctia/sighting/sighting-%.8s-%.4s-%.4s-%.4s-%.12s\",",
                   sim_family_host(SIM_PRIVATE_INTEL, region), hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
    append(out, text);
}

static void write_row(struct buffer *out, enum sim_region region, const struct sim_entity *entity,
                      const struct outcome *outcome)
{
    static const char transient[] = "transient:";
    append(out, "{");
    if (outcome->result != ROW_ERROR) {
        write_id(out, region, outcome->id);
    }
    if (entity->id.size > sizeof transient - 1 &&
        memcmp(entity->id.data, transient, sizeof transient - 1) == 0) {
        append(out, "\"original_id\":\"");
        sim_need(buffer_append(out, entity->id.data, entity->id.size));
        append(out, "\",");
    }
    if (entity->external_raw.size > 0) {
        append(out, "\"external_ids\":");
        sim_need(buffer_append(out, entity->external_raw.data, entity->external_raw.size));
        append(out, ",");
    }
    append(out, "\"result\":\"");
    append(out, result_names[outcome->result]);
    append(out, "\",\"type\":\"sighting\"");
    if (outcome->result == ROW_ERROR) { /* Only the type leaves the server (KNOWN). */
        append(out, ",\"error\":{\"type\":");
        sim_json_text(out, outcome->error_type);
        append(out, "}");
    }
    append(out, "}");
}

/* The rows of the entities that were known, or of those that were not, backwards. */
static void write_group(const struct sim *sim, enum sim_region region,
                        const struct outcome *outcomes, bool known, struct buffer *out)
{
    for (size_t i = sim->bundle.count; i-- > 0;) {
        if ((outcomes[i].result == ROW_EXISTS) == known) {
            append(out, out->data[out->size - 1] == '[' ? "" : ",");
            write_row(out, region, &sim->bundle.entities[i], &outcomes[i]);
        }
    }
}

/* New ones first, then the others, each group backwards: nobody shall match by position. */
static void write_results(const struct sim *sim, enum sim_region region,
                          const struct outcome *outcomes, struct buffer *out)
{
    append(out, "{\"results\":[");
    write_group(sim, region, outcomes, false, out);
    write_group(sim, region, outcomes, true, out);
    append(out, "]}");
}

static void apply(struct sim *sim, struct sim_request *request, const struct sim_import *import,
                  struct sim_reply *reply)
{
    static struct outcome outcomes[SIM_BUNDLE_ENTITIES_MAX]; /* One thread; too big for a stack. */
    const struct sim_bundle *bundle = &sim->bundle;
    memset(outcomes, 0, bundle->count * sizeof outcomes[0]);
    for (size_t i = 0; i < bundle->count; i++) {
        import_one(sim, request, import, &bundle->entities[i], &outcomes[i]);
        if (bundle->count - i <= SIM_RECENT_MAX) {
            sim_sightings_keep(&sim->sightings, bundle->entities[i].raw);
        }
    }
    sim_sightings_on_bundle(&sim->sightings, bundle->source, bundle->count, bundle->other_count);
    sim_exporters_on_bundle(&sim->exporters, &request->record, bundle->count);
    write_results(sim, request->region, outcomes, sim_reply_begin(reply, 200));
    reply->delay_ms += sim->refresh_waits ? sim->refresh_ms : 0;
}

void sim_answer_import(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    char prefixes[PREFIXES_SIZE] = "";
    char place[SIM_NAME_SIZE + 16];
    struct sim_import import = {
        .place = place, .now_ms = sim_now_ms(sim), .refresh_ms = sim->refresh_ms};
    (void)sim_http_parameter(request->http->query, "external-key-prefixes", prefixes,
                             sizeof prefixes);
    (void)snprintf(place, sizeof place, "%s|%s|", request->token->org,
                   sim_region_name(request->region));
    if (!sim_import_prefixes(&import, prefixes)) {
        sim_reply_text(reply, 400, NULL,
                       "{\"errors\":{\"external-key-prefixes\":\"too many prefixes\"}}");
        return;
    }
    struct buffer errors = {0};
    switch (sim_bundle_read(&sim->bundle, request->http->body, &errors)) {
    case SIM_BUNDLE_SOUND: apply(sim, request, &import, reply); break;
    case SIM_BUNDLE_NOT_JSON:
        sim_reply_text(reply, 400, NULL,
                       "{\"type\":\"json-parse-exception\",\"message\":\"Malformed JSON\"}");
        break;
    case SIM_BUNDLE_SCHEMA:
        sim_need(buffer_append(sim_reply_begin(reply, 400), errors.data, errors.size));
        break;
    case SIM_BUNDLE_TOO_MANY:
        sim_reply_text(reply, 400, "text/plain; charset=utf-8", "Bundle max nb of entities: 2000");
        break;
    }
    buffer_release(&errors);
}

void sim_answer_version(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)sim;
    (void)request;
    sim_reply_text(reply, 200, NULL,
                   "{\"base\":\"/ctia\",\"version\":\"cloudsim\",\"ctim-version\":\"1.3.29\","
                   "\"beta\":false,\"supported_features\":[]}");
}

void sim_answer_ctia_status(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)sim;
    (void)request;
    sim_reply_text(reply, 200, NULL, "{\"status\":\"ok\"}");
}
