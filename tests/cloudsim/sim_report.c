/*
 * Handlers of the admin listener that tell what was received.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_json.h"
#include "sim_map.h"
#include "sim_route.h"

#define REQUESTS_DEFAULT 1000
#define STREAM_STEP 1000 /* External ids at a time. */

static uint64_t number_of(const struct sim_request *request, const char *name, uint64_t otherwise)
{
    char text[32];
    if (!sim_http_parameter(request->http->query, name, text, sizeof text)) {
        return otherwise;
    }
    return strtoull(text, NULL, 10);
}

static uint64_t registrations_of(const struct sim *sim, const struct sim_device *device)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sim->devices.count; i++) {
        count += strcmp(sim->devices.list[i]->serial, device->serial) == 0;
    }
    return count;
}

void sim_report_devices(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body, "{\"devices\":[");
    for (size_t i = 0; i < sim->devices.count; i++) {
        const struct sim_device *device = sim->devices.list[i];
        sim_print(body,
                  "%s{\"device_id\":\"%s\",\"registration_id\":\"%s\",\"state\":\"%s\","
                  "\"region\":\"%s\",\"revoked\":%s,\"registrations\":%" PRIu64
                  ",\"heartbeats\":%" PRIu64 ",\"renewals\":%" PRIu64 ",\"name\":",
                  i > 0 ? "," : "", device->id, device->registration_id,
                  sim_device_state_name(device->state), sim_region_name(device->region),
                  device->revoked ? "true" : "false", registrations_of(sim, device),
                  device->heartbeats, device->renewals);
        sim_json_text(body, device->name);
        sim_print(body, ",\"serial\":");
        sim_json_text(body, device->serial);
        sim_print(body, ",\"tenant\":");
        sim_json_text(body, device->org);
        sim_print(body, "}");
    }
    sim_print(body, "]}");
}

void sim_report_requests(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    char path[160] = "";
    (void)sim_http_parameter(request->http->query, "path", path, sizeof path);
    sim_records_write(&sim->records, number_of(request, "since", 0),
                      number_of(request, "limit", REQUESTS_DEFAULT), path,
                      sim_reply_begin(reply, 200));
}

void sim_report_summary(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    const struct sim_sightings *sightings = &sim->sightings;
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body,
              "{\"bundles\":%" PRIu64 ",\"received_entities\":%" PRIu64 ",\"created\":%" PRIu64
              ",\"exists\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"distinct_external_ids\":%zu"
              ",\"duplicates_within\":%" PRIu64 ",\"same_id_different_body\":%" PRIu64
              ",\"doubled\":%" PRIu64 ",\"without_external_id\":%" PRIu64
              ",\"other_entities\":%" PRIu64 ",\"by_source\":[",
              sightings->bundles, sightings->received, sightings->created, sightings->exists,
              sightings->errors, sightings->by_external_id.count, sightings->duplicates,
              sightings->different, sightings->doubled, sightings->unnamed,
              sightings->other_entities);
    for (size_t i = 0; i < sightings->source_count; i++) {
        sim_print(body, "%s{\"source\":", i > 0 ? "," : "");
        sim_json_text(body, sightings->sources[i].name);
        sim_print(body, ",\"entities\":%" PRIu64 "}", sightings->sources[i].entities);
    }
    sim_print(body, "]}");
}

static bool stream_external_ids(void *context, uint64_t *cursor, struct buffer *out)
{
    const struct sim *sim = context;
    size_t count = sim->sightings.by_external_id.count;
    for (size_t i = 0; i < STREAM_STEP && *cursor < count; i++, ++*cursor) {
        const struct sim_sighting *sighting = sim->sightings.list[*cursor];
        sim_need(buffer_append(out, sighting->key + sighting->place_size,
                               sighting->key_size - sighting->place_size) &&
                 buffer_append(out, "\n", 1));
    }
    return *cursor < count;
}

void sim_report_external_ids(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    (void)sim_reply_begin(reply, 200);
    reply->content_type = "text/plain; charset=utf-8";
    reply->stream = stream_external_ids;
    reply->stream_context = sim;
}

void sim_report_last(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const struct sim_sightings *sightings = &sim->sightings;
    size_t wanted = number_of(request, "count", SIM_RECENT_MAX);
    size_t count = wanted < sightings->recent_count ? wanted : sightings->recent_count;
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body, "[");
    for (size_t i = 0; i < count; i++) { /* The newest comes first. */
        size_t at = (sightings->recent_next + SIM_RECENT_MAX - 1 - i) % SIM_RECENT_MAX;
        struct slice raw = sightings->recent[at];
        sim_need((i == 0 || buffer_append(body, ",\n", 2)) &&
                 buffer_append(body, raw.data, raw.size));
    }
    sim_print(body, "]");
}

void sim_report_exporters(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    sim_exporters_write(&sim->exporters, sim_reply_begin(reply, 200));
}
