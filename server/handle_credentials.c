/*
 * Handlers of credentials.*: API clients shared by the cluster. A password comes in once, is sealed
 * before it is proposed, and never goes out again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "region.h"
#include "scopes.h"
#include "store/seal.h"
#include "views.h"

static bool view_features(struct call *call, const struct credential_view *credential,
                          struct codec_list *out)
{
    struct rpc_feature *features = arena_alloc(&call->arena, FEATURE_COUNT, sizeof *features);
    if (features == NULL) {
        return false;
    }
    for (int feature = 0; feature < FEATURE_COUNT; feature++) {
        char missing[FEATURE_MISSING_SIZE] = ""; /* Of those that are refused it is not known. */
        bool available = credential->verified &&
                         feature_available((enum feature)feature, credential->scopes, missing);
        features[feature] = (struct rpc_feature){
            .feature = slice_of(feature_name((enum feature)feature)),
            .available = available,
            .missing = arena_copy(&call->arena, slice_of(missing)),
        };
    }
    *out = (struct codec_list){.items = features, .count = FEATURE_COUNT};
    return true;
}

static struct status view_credential(struct call *call, const struct credential_view *view,
                                     struct rpc_credential *out)
{
    *out = (struct rpc_credential){
        .name = view->name,
        .client_id = view->client_id,
        .region = view->region,
        .selected = view->selected,
        .verified = view->verified,
        .verified_at_ms = view->verified_at_ms,
        .scopes = view->scopes,
        .error = view->error,
        .put_at_ms = view->put_at_ms,
    };
    if (view->verified_at_ms != 0 && !view_features(call, view, &out->features)) {
        return fail(STATUS_NO_MEMORY, "describe credentials");
    }
    return OK;
}

void handle_credentials_list(struct call *call)
{
    struct codec_list credentials;
    struct status status = store_credentials(call->daemon->store, &call->arena, &credentials);
    struct rpc_credential *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, credentials.count, sizeof *rows);
    if (!failed(status) && rows == NULL) {
        status = fail(STATUS_NO_MEMORY, "list credentials");
    }
    for (size_t i = 0; !failed(status) && i < credentials.count; i++) {
        const struct credential_view *all = credentials.items;
        status = view_credential(call, &all[i], &rows[i]);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    const struct rpc_credentials view = {
        .credentials = {.items = rows, .count = credentials.count},
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}

/* Answer with the credentials of this name as they are now. */
static void reply_credential(struct call *call, struct slice name)
{
    struct credential_view view;
    struct rpc_credential answer;
    struct status status = store_credential(call->daemon->store, &call->arena, name, &view);
    if (!failed(status)) {
        status = view_credential(call, &view, &answer);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &answer);
    }
}

static void on_added(struct call *call, struct apply_outcome outcome)
{
    struct rpc_credential_add params;
    (void)outcome;
    if (call_params(call, &params)) {
        reply_credential(call, params.name);
    }
}

static void on_verified(void *argument, struct status status)
{
    struct call *call = argument;
    struct rpc_name params;
    if (call->answered) {
        /* Its deadline passed meanwhile. */
    } else if (failed(status)) {
        call_fail(call, status);
    } else if (call_params(call, &params)) {
        reply_credential(call, params.name);
    }
    call_release(call);
}

static struct status credential_region(struct call *call, struct slice wanted, struct slice *out)
{
    struct registration_view registration;
    enum region region;
    struct status status = OK;
    if (wanted.size == 0) {
        status = store_registration(call->daemon->store, &call->arena, &registration);
        wanted = registration.region;
    }
    if (!failed(status) && wanted.size == 0) {
        status =
            fail(STATUS_INVALID, "no region is given, and none is set: name one, or enable the "
                                 "registration in one first");
    }
    if (!failed(status)) {
        status = region_parse(wanted, &region);
    }
    if (!failed(status)) {
        *out = slice_of(region_name(region));
    }
    return status;
}

static struct status next_generation(struct call *call, const struct rpc_credential_add *params,
                                     uint64_t *out)
{
    struct credential_view present;
    struct status status =
        store_credential(call->daemon->store, &call->arena, params->name, &present);
    if (status.code == STATUS_NOT_FOUND) {
        *out = 1;
        return OK;
    }
    if (!failed(status) && !params->replace) {
        return fail(STATUS_REFUSED,
                    "credentials called %.*s exist\nGive another name, or --replace.",
                    SLICE_ARG(params->name));
    }
    *out = failed(status) ? 0 : present.generation + 1;
    return status;
}

void handle_credentials_add(struct call *call)
{
    struct rpc_credential_add params;
    uint64_t generation = 0;
    struct slice region = {0};
    struct buffer sealed = {0};
    if (!call_params(call, &params)) {
        return;
    }
    struct daemon *daemon = call->daemon;
    struct status status = credential_region(call, params.region, &region);
    if (!failed(status) &&
        (params.name.size == 0 || params.client_id.size == 0 || params.password.size == 0)) {
        status = fail(STATUS_INVALID, "name, client id and password cannot be empty");
    }
    if (!failed(status)) {
        status = next_generation(call, &params, &generation);
    }
    if (!failed(status)) {
        uint8_t nonce[SEAL_NONCE_SIZE];
        random_bytes(nonce, sizeof nonce);
        struct seal_purpose purpose = seal_purpose_of_credential(params.name, generation);
        status = seal_close(secret_slice(&daemon->identity.keys.key),
                            (uint32_t)daemon->identity.keys.epoch, &purpose, nonce, params.password,
                            &sealed);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else {
        struct command command = {
            .type = COMMAND_CREDENTIAL_PUT,
            .body.credential_put =
                {
                    .name = params.name,
                    .client_id = params.client_id,
                    .sealed_password = buffer_slice(&sealed),
                    .region = region,
                    .generation = generation,
                    .key_epoch = daemon->identity.keys.epoch,
                },
        };
        call_propose(call, &command, on_added);
    }
    buffer_release(&sealed);
}

void handle_credentials_verify(struct call *call)
{
    struct rpc_name params;
    if (!call_params(call, &params)) {
        return;
    }
    call_hold(call);
    cloud_verify(call->daemon->cloud, params.name, on_verified, call);
}

static void on_selected(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "selected");
}

void handle_credentials_select(struct call *call)
{
    struct rpc_name params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_CREDENTIAL_SELECT,
        .body.credential_select = {.name = params.name},
    };
    call_propose(call, &command, on_selected);
}

static void on_removed(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "removed");
}

void handle_credentials_remove(struct call *call)
{
    struct rpc_name params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_CREDENTIAL_REMOVE,
        .body.credential_remove = {.name = params.name},
    };
    call_propose(call, &command, on_removed);
}
