/*
 * Handlers of registration.*: rules 5 and 6 of the design. What goes to the cloud is written down
 * by one command (intent before effect); the registrar carries it out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/x509.h"
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "region.h"
#include "store/seal.h"
#include "views.h"

#define REGISTRATION_TOKEN_DIGITS 32

void handle_registration_status(struct call *call)
{
    struct rpc_registration view;
    struct status status = view_registration(call->daemon, &call->arena, &view);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        view.freshness = daemon_freshness(call->daemon, call->options.stale);
        call_reply(call, &view);
    }
}

static void on_enabled(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "enabled; `muster registration register` takes the token from the portal");
}

void handle_registration_enable(struct call *call)
{
    struct rpc_enable params;
    enum region region;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = region_parse(params.region, &region);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    struct command command = {
        .type = COMMAND_REGISTRATION_ENABLE,
        .body.registration_enable = {.region = slice_of(region_name(region))},
    };
    call_propose(call, &command, on_enabled);
}

static void on_disabled(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "disabled");
}

void handle_registration_disable(struct call *call)
{
    struct command command = {.type = COMMAND_REGISTRATION_DISABLE};
    call_propose(call, &command, on_disabled);
}

/* ---- Registering ---- */

static bool is_registration_token(struct slice token)
{
    const char *at = token.data;
    if (token.size != REGISTRATION_TOKEN_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < token.size; i++) {
        if (!isdigit((unsigned char)at[i]) && !(at[i] >= 'a' && at[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

/* R6. The machine is the node that the caller is connected to, whoever leads. */
static struct status check_machine(struct call *call, const struct rpc_register *params,
                                   struct member *machine)
{
    struct status status =
        store_member(call->daemon->store, &call->arena, call->caller.node_id, machine);
    if (failed(status)) {
        return fail(STATUS_REFUSED, "the node that you are connected to is not known here");
    }
    if (params->mode.size > 0 && !slice_equal(params->mode, slice_of("machine"))) {
        return fail(STATUS_REFUSED,
                    "registration is possible in machine mode only, not in %.*s mode\nLeave the "
                    "mode out: `muster registration register` on %.*s registers that machine.",
                    (int)(params->mode.size > 16 ? 16 : params->mode.size),
                    (const char *)params->mode.data, SLICE_ARG(machine->name));
    }
    if (params->machine.size > 0 && !slice_equal(params->machine, machine->name)) {
        return fail(STATUS_REFUSED,
                    "you are connected to %.*s, and only that machine can be registered\nLog in to "
                    "%.*s and run `muster registration register` there.",
                    SLICE_ARG(machine->name),
                    (int)(params->machine.size > 64 ? 64 : params->machine.size),
                    (const char *)params->machine.data);
    }
    if (!is_registration_token(params->token)) {
        return fail(STATUS_INVALID,
                    "a registration token has %d digits of 0-9 and a-f; fetch one "
                    "from the portal and paste it whole",
                    REGISTRATION_TOKEN_DIGITS);
    }
    return OK;
}

static struct status seal_secret(struct daemon *daemon, const char *what, uint64_t epoch,
                                 struct slice plain, struct buffer *out)
{
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct seal_purpose purpose = seal_purpose_of(slice_of(what), epoch);
    random_bytes(nonce, sizeof nonce);
    return seal_close(secret_slice(&daemon->identity.keys.key),
                      (uint32_t)daemon->identity.keys.epoch, &purpose, nonce, plain, out);
}

/* What was begun goes on by itself: the answer is the state as it is now. */
static void on_begun(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    handle_registration_status(call);
}

struct registration_parts {
    struct buffer sealed_token;
    struct buffer sealed_key;
    struct buffer csr;
};

static struct status make_parts(struct daemon *daemon, const struct rpc_register *params,
                                const struct member *machine, uint64_t epoch,
                                struct registration_parts *out)
{
    struct secret key = {0};
    struct status status = x509_make_key(&key);
    if (!failed(status)) {
        status = x509_make_request(secret_slice(&key), machine->name, &out->csr);
    }
    if (!failed(status)) {
        status = seal_secret(daemon, "device_key", epoch, secret_slice(&key), &out->sealed_key);
    }
    if (!failed(status)) {
        status =
            seal_secret(daemon, "registration_token", epoch, params->token, &out->sealed_token);
    }
    secret_release(&key);
    return status;
}

void handle_registration_register(struct call *call)
{
    struct rpc_register params;
    struct member machine;
    struct registration_view present;
    struct registration_parts parts = {0};
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = check_machine(call, &params, &machine);
    if (!failed(status)) {
        status = store_registration(call->daemon->store, &call->arena, &present);
    }
    if (!failed(status)) {
        status = make_parts(call->daemon, &params, &machine, present.epoch + 1, &parts);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else {
        struct command command = {
            .type = COMMAND_REGISTRATION_BEGIN,
            .body.registration_begin =
                {
                    .mode = slice_of("machine"),
                    .node_id = machine.node_id,
                    .serial = machine.serial,
                    .sealed_token = buffer_slice(&parts.sealed_token),
                    .sealed_key = buffer_slice(&parts.sealed_key),
                    .csr = buffer_slice(&parts.csr),
                    .epoch = present.epoch + 1,
                    .key_epoch = call->daemon->identity.keys.epoch,
                },
        };
        call_propose(call, &command, on_begun);
    }
    buffer_release(&parts.sealed_token);
    buffer_release(&parts.sealed_key);
    buffer_release(&parts.csr);
}

void handle_registration_deregister(struct call *call)
{
    struct registration_view present;
    struct status status = store_registration(call->daemon->store, &call->arena, &present);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    struct command command = {
        .type = COMMAND_DEREGISTRATION_BEGIN,
        .body.deregistration_begin = {.epoch = present.epoch},
    };
    call_propose(call, &command, on_begun);
}
