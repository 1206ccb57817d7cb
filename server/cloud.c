/*
 * The cloud's workers, together: creation, events, timers, proposals, the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "cloud_state.h"

#define USER_AGENT_SIZE (STORE_NAME_SIZE_MAX + 64)

/* ---- Helpers for all ---- */

uint64_t cloud_now_ms(void *context)
{
    const struct cloud *cloud = context;
    return cloud->context.ops->now_ms(cloud->context.context);
}

uint64_t cloud_monotonic_ms(void *context)
{
    (void)context;
    return clock_monotonic_ms();
}

uint64_t cloud_random(void *context)
{
    (void)context;
    return random_u64();
}

const struct endpoints *cloud_endpoints(const struct cloud *cloud, enum region region)
{
    return &cloud->endpoints[region].row;
}

static void finish_closing(struct cloud *cloud);

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
    finish_closing(cloud);
}

struct status cloud_propose(struct cloud *cloud, const struct command *command, cloud_done done)
{
    struct command stamped = *command;
    struct cloud_proposal *proposal = malloc(sizeof *proposal);

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

void cloud_propose_pause(struct cloud *cloud, uint64_t until_ms, const char *reason)
{
    struct command command = {
        .type = COMMAND_CLOUD_PAUSE,
        .body.cloud_pause = {.until_ms = until_ms, .reason = slice_of(reason)},
    };
    /* Without it the others find out for themselves, at the price of a call each. */
    struct status status = cloud_propose(cloud, &command, NULL);
    (void)status;
}

/* ---- Timers ---- */

static void on_timer(uv_timer_t *timer)
{
    struct cloud *cloud = timer->data;

    switch ((enum cloud_timer)(timer - cloud->timers)) {
    case CLOUD_TIMER_EXPORT: exporter_on_timer(&cloud->exporter); break;
    case CLOUD_TIMER_REGISTRATION: registrar_on_timer(&cloud->registrar); break;
    case CLOUD_TIMER_VERIFICATION: verifier_on_timer(&cloud->verifier); break;
    case CLOUD_TIMER_DRAIN: cloud_on_drained(cloud); break;
    case CLOUD_TIMER_COUNT: break;
    }
}

void cloud_start_timer(struct cloud *cloud, enum cloud_timer timer, uint64_t delay_ms)
{
    if (!cloud->closing) {
        (void)uv_timer_start(&cloud->timers[timer], on_timer, delay_ms, 0);
    }
}

void cloud_stop_timer(struct cloud *cloud, enum cloud_timer timer)
{
    if (!cloud->closing) {
        (void)uv_timer_stop(&cloud->timers[timer]);
    }
}

/* ---- Looking at the store again ---- */

static void on_look(uv_prepare_t *prepare)
{
    struct cloud *cloud = prepare->data;

    (void)uv_prepare_stop(prepare);
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
        (void)uv_prepare_start(&cloud->look, on_look);
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
}

void cloud_export_state(const struct cloud *cloud, struct cloud_export_state *out)
{
    *out = (struct cloud_export_state){
        .state = exporter_state(&cloud->exporter),
        .bundles_sent = cloud->exporter.bundles_sent,
        .quota_remaining = cloud->exporter.quota_remaining,
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
    char user_agent[USER_AGENT_SIZE];

    for (size_t i = 0; i < REGION_COUNT; i++) {
        struct status status = copy_endpoints(&cloud->endpoints[i], &context->endpoints[i]);
        if (failed(status)) {
            return wrap(status, "endpoints of region %s", region_name((enum region)i));
        }
    }
    (void)snprintf(user_agent, sizeof user_agent, "muster/" MUSTER_VERSION " (%.64s)",
                   context->node_name);
    return http_client_open(context->loop, user_agent, context->proxy_url, &cloud->http);
}

static void start_handles(struct cloud *cloud)
{
    for (size_t i = 0; i < CLOUD_TIMER_COUNT; i++) {
        (void)uv_timer_init(cloud->context.loop, &cloud->timers[i]); /* Cannot fail. */
        cloud->timers[i].data = cloud;
    }
    (void)uv_prepare_init(cloud->context.loop, &cloud->look); /* Nor this. */
    cloud->look.data = cloud;
    cloud->handles = CLOUD_TIMER_COUNT + 2; /* The timers, the look, the HTTPS client. */
}

struct status cloud_create(const struct cloud_context *context, struct cloud **out)
{
    struct cloud *cloud = calloc(1, sizeof *cloud);

    if (cloud == NULL) {
        return fail(STATUS_NO_MEMORY, "create the cloud's workers");
    }
    cloud->context = *context;
    struct status status = prepare_cloud(cloud, context);
    if (failed(status)) {
        free_cloud(cloud);
        return status;
    }
    start_handles(cloud);
    oauth_init(&cloud->oauth, &cloud_oauth_ops, cloud);
    exporter_init(&cloud->exporter, &cloud_exporter_ops, cloud);
    registrar_init(&cloud->registrar, &cloud_registrar_ops, cloud);
    verifier_init(&cloud->verifier, &cloud_verifier_ops, cloud);
    *out = cloud;
    return OK;
}

/* ---- The end ---- */

static void finish_closing(struct cloud *cloud)
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

static void on_handle_closed(uv_handle_t *handle)
{
    struct cloud *cloud = handle->data;
    cloud->handles--;
    finish_closing(cloud);
}

static void on_http_closed(void *context)
{
    struct cloud *cloud = context;
    cloud->handles--;
    finish_closing(cloud);
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
    for (size_t i = 0; i < CLOUD_TIMER_COUNT; i++) {
        uv_close((uv_handle_t *)&cloud->timers[i], on_handle_closed);
    }
    uv_close((uv_handle_t *)&cloud->look, on_handle_closed);
    http_client_close(cloud->http, on_http_closed, cloud);
}
