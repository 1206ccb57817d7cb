/*
 * The simulated cloud: time, quotas, and the way of a request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_cloud.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "sim_distort.h"
#include "sim_json.h"
#include "sim_map.h"
#include "sim_route.h"

struct status sim_init(struct sim *sim)
{
    *sim = (struct sim){
        .orgs = sim_alloc(SIM_ORGS_MAX * sizeof sim->orgs[0]),
        .quota_limit = SIM_QUOTA_LIMIT,
        .quota_window_ms = (uint64_t)SIM_QUOTA_WINDOW_S * 1000,
        .refresh_waits = true,
    };
    sim_bundle_init(&sim->bundle);
    sim_faults_init(&sim->faults);
    sim_exporters_init(&sim->exporters);
    struct status status = sim_oauth_init(&sim->oauth);
    return failed(status) ? status : sim_devices_init(&sim->devices);
}

void sim_release(struct sim *sim)
{
    for (size_t i = 0; i < sim->org_count; i++) {
        sim_quota_release(&sim->orgs[i].quota);
    }
    free(sim->orgs);
    sim_oauth_release(&sim->oauth);
    sim_sightings_release(&sim->sightings);
    sim_bundle_release(&sim->bundle);
    sim_devices_release(&sim->devices);
    sim_faults_release(&sim->faults);
    sim_records_release(&sim->records);
    sim_exporters_release(&sim->exporters);
}

uint64_t sim_now_ms(const struct sim *sim)
{
    return clock_now_ms() + sim->ahead_ms;
}

struct sim_quota *sim_quota_of(struct sim *sim, const char *org)
{
    for (size_t i = 0; i < sim->org_count; i++) {
        if (strcmp(sim->orgs[i].name, org) == 0) {
            return &sim->orgs[i].quota;
        }
    }
    if (sim->org_count == SIM_ORGS_MAX) {
        return &sim->orgs[SIM_ORGS_MAX - 1].quota;
    }
    struct sim_org *slot = &sim->orgs[sim->org_count++];
    (void)snprintf(slot->name, sizeof slot->name, "%s", org);
    sim_quota_set(&slot->quota, sim->quota_limit, sim->quota_window_ms);
    return &slot->quota;
}

void sim_set_quota(struct sim *sim, const char *org, size_t limit, uint64_t window_ms)
{
    if (org != NULL) {
        sim_quota_set(sim_quota_of(sim, org), limit, window_ms);
        return;
    }
    sim->quota_limit = limit;
    sim->quota_window_ms = window_ms;
    for (size_t i = 0; i < sim->org_count; i++) {
        sim_quota_set(&sim->orgs[i].quota, limit, window_ms);
    }
}

static void begin_record(struct sim *sim, struct sim_request *request)
{
    const struct sim_http *http = request->http;
    struct sim_record *record = &request->record;
    *record = (struct sim_record){
        .at_ms = sim_now_ms(sim),
        .family = request->family,
        .region = request->region,
        .remote_port = request->remote_port,
        .body_size = http->body.size,
    };
    struct slice agent = sim_http_header(http, "user-agent");
    struct slice credential = sim_http_header(http, "authorization");
    (void)snprintf(record->method, sizeof record->method, "%.*s", SLICE_ARG(http->method));
    (void)snprintf(record->path, sizeof record->path, "%.*s", SLICE_ARG(http->path));
    (void)snprintf(record->query, sizeof record->query, "%.*s", SLICE_ARG(http->query));
    (void)snprintf(record->user_agent, sizeof record->user_agent, "%.*s", SLICE_ARG(agent));
    if (credential.size > 0) { /* Without its scheme: the digest of the bearer itself. */
        const char *space = memchr(credential.data, ' ', credential.size);
        const char *begin = space == NULL ? credential.data : space + 1;
        const char *end = (const char *)credential.data + credential.size;
        sim_digest((struct slice){.data = begin, .size = (size_t)(end - begin)},
                   record->credential);
    }
}

static uint64_t latency_ms(const struct sim *sim, enum sim_family family)
{
    uint64_t jitter_ms = sim->jitter_ms[family];
    return sim->latency_ms[family] + (jitter_ms == 0 ? 0 : random_u64() % (jitter_ms + 1));
}

static uint64_t monotonic_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool is_sent(const struct sim_reply *reply)
{
    return reply->delivery != SIM_DELIVER_CLOSE && reply->delivery != SIM_DELIVER_RESET;
}

static void serve_cloud(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const struct sim_http *http = request->http;
    uint64_t started_us = monotonic_us();
    begin_record(sim, request);
    sim_devices_tick(&sim->devices, sim_now_ms(sim));
    request->fault = sim_faults_on_request(&sim->faults, request->family, request->region,
                                           http->method, http->path);
    reply->now_ms = sim_now_ms(sim);
    reply->delay_ms = latency_ms(sim, request->family);
    if (request->fault == NULL || !sim_distort_before(request->fault, request->family, reply)) {
        sim_route(sim, request, reply);
    }
    if (request->fault != NULL) {
        sim_distort_after(request->fault, reply);
        reply->delay_ms += request->fault->delay_ms;
        request->record.fault = sim_fault_name(request->fault->action);
    }
    request->record.status = is_sent(reply) ? reply->status : 0;
    request->record.duration_us = monotonic_us() - started_us;
    sim_records_add(&sim->records, &request->record);
}

void sim_serve(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    if (request->family == SIM_ADMIN) {
        sim_devices_tick(&sim->devices, sim_now_ms(sim));
        sim_route(sim, request, reply);
        return;
    }
    serve_cloud(sim, request, reply);
}
