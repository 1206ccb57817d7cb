/*
 * The cloud's workers, together: creation, events, proposals, the end. What is the loop's is in
 * cloud_loop.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cloud_state.h"

/* ---- Helpers for all ---- */

uint64_t cloud_now_ms(void *context)
{
    const struct cloud *cloud = context;
    return cloud->context.ops->now_ms(cloud->context.context);
}

const struct endpoints *cloud_endpoints(const struct cloud *cloud, enum region region)
{
    return &cloud->endpoints[region].row;
}

/* One proposal on its way. */
struct cloud_proposal {
    struct cloud *cloud;
    cloud_done done;
};

static void on_proposed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct cloud_proposal *proposal = argument;
    struct cloud *cloud = proposal->cloud;
    cloud_done done = proposal->done;

    free(proposal);
    cloud->proposals--;
    if (done != NULL) {
        done(cloud, !failed(status) && outcome.refusal == REFUSAL_NONE);
    }
    cloud_finish_closing(cloud);
}

struct status cloud_propose(struct cloud *cloud, const struct command *command, cloud_done done)
{
    struct command stamped = *command;
    struct cloud_proposal *proposal = alloc_bytes(sizeof *proposal);

    if (proposal == NULL) {
        return fail(STATUS_NO_MEMORY, "propose");
    }
    *proposal = (struct cloud_proposal){.cloud = cloud, .done = done};
    stamped.stamp = (struct stamp){
        .at_ms = cloud_now_ms(cloud),
        .actor = slice_of("muster"),
        .origin = slice_of("local"),
    };
    struct status status =
        cloud->context.ops->propose(cloud->context.context, &stamped, on_proposed, proposal);
    if (failed(status)) {
        free(proposal);
        return status;
    }
    cloud->proposals++;
    return OK;
}

struct status cloud_open_to_us(struct cloud *cloud)
{
    struct arena arena = {0};
    struct export_view export;
    char until[CLOCK_TEXT_SIZE];
    struct status status = store_export(cloud->context.store, &arena, &export);
    if (!failed(status) && export.cloud_pause_until_ms > cloud_now_ms(cloud)) {
        status = fail(STATUS_BUSY, "the cloud is left alone until %s: %.*s",
                      clock_format(export.cloud_pause_until_ms, until),
                      SLICE_ARG(export.cloud_pause_reason));
    }
    arena_release(&arena);
    return status;
}

/* A pause that is under way already is never made shorter. */
static bool is_longer(struct cloud *cloud, uint64_t until_ms)
{
    struct arena arena = {0};
    struct export_view export;
    bool known = !failed(store_export(cloud->context.store, &arena, &export));
    arena_release(&arena);
    return !known || until_ms > export.cloud_pause_until_ms;
}

void cloud_propose_pause(struct cloud *cloud, uint64_t until_ms, const char *reason)
{
    if (!is_longer(cloud, until_ms)) {
        return;
    }
    struct command command = {
        .type = COMMAND_CLOUD_PAUSE,
        .body.cloud_pause = {.until_ms = until_ms, .reason = slice_of(reason)},
    };
    /* Without it the others find out for themselves, at the price of a call each. */
    struct status status = cloud_propose(cloud, &command, NULL);
    (void)status;
}

/* ---- Events ---- */

void cloud_on_timer(struct cloud *cloud, enum cloud_timer timer)
{
    switch (timer) {
    case CLOUD_TIMER_EXPORT: exporter_on_timer(&cloud->exporter); break;
    case CLOUD_TIMER_REGISTRATION: registrar_on_timer(&cloud->registrar); break;
    case CLOUD_TIMER_VERIFICATION: verifier_on_timer(&cloud->verifier); break;
    case CLOUD_TIMER_DRAIN: cloud_on_drained(cloud); break;
    case CLOUD_TIMER_CALLS: cloud_tell_calls(cloud); break;
    case CLOUD_TIMER_COUNT: break;
    }
}

void cloud_look(struct cloud *cloud)
{
    cloud_answer_deferred(cloud);
    cloud_begin_lookups(cloud);
    if (!cloud->leading) {
        return;
    }
    cloud_follow_account(cloud);
    registrar_on_change(&cloud->registrar);
    verifier_on_change(&cloud->verifier);
    exporter_on_change(&cloud->exporter);
}

void cloud_on_applied(struct cloud *cloud)
{
    if (!cloud->closing) {
        cloud_look_later(cloud);
    }
}

void cloud_on_leader(struct cloud *cloud, bool ready)
{
    if (!ready || cloud->leading || cloud->closing) {
        return;
    }
    cloud->leading = true;
    cloud_follow_account(cloud);
    registrar_on_leader(&cloud->registrar);
    verifier_on_leader(&cloud->verifier);
    exporter_on_leader(&cloud->exporter);
}

void cloud_on_follower(struct cloud *cloud)
{
    if (!cloud->leading) {
        return;
    }
    cloud->leading = false;
    exporter_on_follower(&cloud->exporter);
    verifier_on_follower(&cloud->verifier);
    registrar_on_follower(&cloud->registrar);
    cloud_end_lookups(cloud, "this node is no longer the leader");
    oauth_reset(&cloud->oauth);
    cloud_forget_calls(cloud);
}

void cloud_export_state(struct cloud *cloud, struct cloud_export_state *out)
{
    struct calls_view calls;
    cloud_view_calls(cloud, &calls);
    *out = (struct cloud_export_state){
        .state = exporter_state(&cloud->exporter),
        .bundles_sent = cloud->exporter.bundles_sent,
        .quota_remaining = cloud->exporter.quota_remaining,
        .quota_limit = calls.limit,
        .calls_last_hour = calls.last_hour,
    };
    (void)snprintf(out->last_error, sizeof out->last_error, "%s", cloud->exporter.last_error);
}

void cloud_on_drained(struct cloud *cloud)
{
    void (*drained)(void *) = cloud->drained;

    cloud->drained = NULL;
    cloud_stop_timer(cloud, CLOUD_TIMER_DRAIN);
    if (drained != NULL) {
        drained(cloud->drained_context);
    }
}

void cloud_drain(struct cloud *cloud, void (*drained)(void *context), void *context)
{
    cloud->drained = drained;
    cloud->drained_context = context;
    cloud_tell_calls(cloud);
    cloud_start_timer(cloud, CLOUD_TIMER_DRAIN, CLOUD_DRAIN_MS);
    exporter_drain(&cloud->exporter);
}

/* ---- Creation ---- */

static struct status copy_url(const char *url, char out[REGION_URL_SIZE], const char **row)
{
    if (url == NULL) {
        return OK;
    }
    struct status status = region_url_check(url);
    if (failed(status)) {
        return status;
    }
    (void)snprintf(out, REGION_URL_SIZE, "%s", url);
    *row = out;
    return OK;
}

static struct status copy_endpoints(struct cloud_endpoints *copy, const struct endpoints *from)
{
    struct status status =
        copy_url(from->visibility_url, copy->urls[FAMILY_VISIBILITY], &copy->row.visibility_url);
    if (!failed(status)) {
        status = copy_url(from->ctia_url, copy->urls[FAMILY_PRIVATE_INTEL], &copy->row.ctia_url);
    }
    if (!failed(status)) {
        status = copy_url(from->sse_url, copy->urls[FAMILY_EXCHANGE], &copy->row.sse_url);
    }
    if (failed(status)) {
        return status;
    }
    if (from->ca_pem.size > 0 &&
        !buffer_append(&copy->ca_pem, from->ca_pem.data, from->ca_pem.size)) {
        return fail(STATUS_NO_MEMORY, "keep an endpoint's CA");
    }
    copy->row.ca_pem = buffer_slice(&copy->ca_pem);
    return OK;
}

static void free_cloud(struct cloud *cloud)
{
    for (size_t i = 0; i < REGION_COUNT; i++) {
        buffer_release(&cloud->endpoints[i].ca_pem);
    }
    secret_release(&cloud->device_key);
    free(cloud);
}

static struct status prepare_cloud(struct cloud *cloud, const struct cloud_context *context)
{
    for (size_t i = 0; i < REGION_COUNT; i++) {
        struct status status = copy_endpoints(&cloud->endpoints[i], &context->endpoints[i]);
        if (failed(status)) {
            return wrap(status, "endpoints of region %s", region_name((enum region)i));
        }
    }
    return cloud_open_loop(cloud, context);
}

struct status cloud_create(const struct cloud_context *context, struct cloud **out)
{
    struct cloud *cloud = alloc_zeroed(1, sizeof *cloud);

    if (cloud == NULL) {
        return fail(STATUS_NO_MEMORY, "create the cloud's workers");
    }
    cloud->context = *context;
    struct status status = prepare_cloud(cloud, context);
    if (failed(status)) {
        free_cloud(cloud);
        return status;
    }
    oauth_init(&cloud->oauth, &cloud_oauth_ops, cloud);
    exporter_init(&cloud->exporter, &cloud_exporter_ops, cloud);
    registrar_init(&cloud->registrar, &cloud_registrar_ops, cloud);
    if (context->device_heartbeat_ms != 0) {
        cloud->registrar.heartbeat_ms = context->device_heartbeat_ms;
    }
    verifier_init(&cloud->verifier, &cloud_verifier_ops, cloud);
    *out = cloud;
    return OK;
}

/* ---- The end ---- */

void cloud_finish_closing(struct cloud *cloud)
{
    if (!cloud->closing || cloud->handles > 0 || cloud->proposals > 0) {
        return;
    }
    void (*closed)(void *) = cloud->closed;
    void *context = cloud->closed_context;
    exporter_release(&cloud->exporter);
    free_cloud(cloud);
    closed(context);
}

void cloud_destroy(struct cloud *cloud, void (*closed)(void *context), void *context)
{
    assert(!cloud->closing);
    cloud_on_follower(cloud);
    cloud_end_lookups(cloud, "this node is stopping");
    cloud_answer_deferred(cloud);
    cloud->closed = closed;
    cloud->closed_context = context;
    cloud->closing = true;
    cloud_close_loop(cloud);
}
