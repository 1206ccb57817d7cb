/*
 * Asking the cloud whether it lists an appliance (rule 7).
 *
 *     asked for ──► next turn of the loop ──► with a token? ──no──► wait for one
 *                                                 │ yes                 │
 *                                                 └──► list by serial ◄─┘ ──► answered
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "cloud_state.h"

static void answer(struct cloud_lookup *lookup, enum cloud_check check, const char *reason)
{
    cloud_lookup_done done = lookup->done;
    void *argument = lookup->argument;

    if (lookup->token != NULL) {
        oauth_give_back(lookup->token);
    }
    *lookup = (struct cloud_lookup){0};
    done(argument, check, reason);
}

static void on_list(struct exchange_call *call, const struct exchange_answer *list)
{
    struct cloud_lookup *lookup = call->context;
    char device_id[REASON_SIZE];

    if (list->result != EXCHANGE_DONE) {
        answer(lookup, CLOUD_CHECK_UNREACHABLE, list->reason);
    } else if (!list->listed) {
        answer(lookup, CLOUD_CHECK_UNREGISTERED, "");
    } else {
        reason_say(device_id, "%.*s", SLICE_ARG(list->device_id));
        answer(lookup, CLOUD_CHECK_REGISTERED, device_id);
    }
}

static void on_token(struct oauth_waiter *waiter, const struct oauth_answer *token);

static struct status list_devices(struct cloud_lookup *lookup)
{
    struct cloud *cloud = lookup->cloud;
    struct exchange_target target = {
        .http = cloud->http,
        .region = lookup->region,
        .endpoints = cloud_endpoints(cloud, lookup->region),
    };

    lookup->token = oauth_take(&cloud->oauth);
    if (lookup->token == NULL) {
        lookup->waiting = true;
        lookup->waiter.context = lookup;
        return oauth_wait(&cloud->oauth, &lookup->waiter, on_token);
    }
    lookup->waiting = false;
    lookup->call.context = lookup;
    target.bearer = lookup->token->line.pages;
    return exchange_ask(&lookup->call, &target, EXCHANGE_LIST, slice_of(lookup->serial), on_list);
}

static void on_token(struct oauth_waiter *waiter, const struct oauth_answer *token)
{
    struct cloud_lookup *lookup = waiter->context;

    lookup->waiting = false;
    if (token->result != OAUTH_GRANTED) {
        answer(lookup, CLOUD_CHECK_UNREACHABLE, token->reason);
        return;
    }
    struct status status = list_devices(lookup);
    if (failed(status)) {
        answer(lookup, CLOUD_CHECK_UNREACHABLE, status.message);
    }
}

/* The credentials' own region: their token is good nowhere else. */
static struct status choose_region(struct cloud *cloud, enum region *out)
{
    struct arena arena = {0};
    struct credential_view credential;

    struct status status =
        store_credential(cloud->context.store, &arena, (struct slice){0}, &credential);
    if (!failed(status)) {
        status = region_parse(credential.region, out);
    }
    arena_release(&arena);
    if (status.code == STATUS_NOT_FOUND) {
        return fail(STATUS_UNREACHABLE, "there are no shared credentials to ask the cloud with");
    }
    return status;
}

static void begin(struct cloud_lookup *lookup)
{
    struct status status = lookup->cloud->leading
                               ? choose_region(lookup->cloud, &lookup->region)
                               : fail(STATUS_NOT_LEADER, "only the leader asks the cloud");

    lookup->begun = true;
    if (!failed(status)) {
        status = list_devices(lookup);
    }
    if (failed(status)) {
        answer(lookup, CLOUD_CHECK_UNREACHABLE, status.message);
    }
}

void cloud_begin_lookups(struct cloud *cloud)
{
    for (size_t i = 0; i < CLOUD_LOOKUPS_MAX; i++) {
        if (cloud->lookups[i].taken && !cloud->lookups[i].begun) {
            begin(&cloud->lookups[i]);
        }
    }
}

void cloud_end_lookups(struct cloud *cloud, const char *reason)
{
    for (size_t i = 0; i < CLOUD_LOOKUPS_MAX; i++) {
        struct cloud_lookup *lookup = &cloud->lookups[i];
        if (!lookup->taken) {
            continue;
        }
        if (lookup->waiting) {
            oauth_leave(&cloud->oauth, &lookup->waiter);
        }
        exchange_cancel(&lookup->call);
        answer(lookup, CLOUD_CHECK_UNREACHABLE, reason);
    }
}

/* ---- What could not begin ---- */

static void answer_deferred(const struct cloud_deferred *deferred)
{
    if (deferred->verified != NULL) {
        deferred->verified(deferred->argument, deferred->status);
    } else {
        deferred->looked_up(deferred->argument, CLOUD_CHECK_UNREACHABLE, deferred->status.message);
    }
}

void cloud_defer(struct cloud *cloud, struct cloud_deferred answer)
{
    struct cloud_deferred *deferred = alloc_bytes(sizeof *deferred);

    if (deferred == NULL) {
        answer_deferred(&answer);
        return;
    }
    *deferred = answer;
    deferred->next = cloud->deferred;
    cloud->deferred = deferred;
    cloud_on_applied(cloud);
}

void cloud_answer_deferred(struct cloud *cloud)
{
    while (cloud->deferred != NULL) {
        struct cloud_deferred *deferred = cloud->deferred;
        cloud->deferred = deferred->next;
        answer_deferred(deferred);
        free(deferred);
    }
}

/* ---- Questions ---- */

static struct status ask(struct cloud *cloud, struct slice serial, cloud_lookup_done done,
                         void *argument)
{
    size_t i = 0;

    while (i < CLOUD_LOOKUPS_MAX && cloud->lookups[i].taken) {
        i++;
    }
    if (i == CLOUD_LOOKUPS_MAX) {
        return fail(STATUS_BUSY, "too many questions to the cloud at once");
    }
    struct cloud_lookup *lookup = &cloud->lookups[i];
    if (!slice_to_text(serial, lookup->serial, sizeof lookup->serial)) {
        return fail(STATUS_INVALID, "not a serial number");
    }
    lookup->taken = true;
    lookup->cloud = cloud;
    lookup->done = done;
    lookup->argument = argument;
    cloud_on_applied(cloud); /* Begun at the end of this turn. */
    return OK;
}

void cloud_lookup(struct cloud *cloud, struct slice serial, cloud_lookup_done done, void *argument)
{
    struct status status = ask(cloud, serial, done, argument);

    if (failed(status)) {
        cloud_defer(cloud, (struct cloud_deferred){
                               .looked_up = done, .argument = argument, .status = status});
    }
}
