/*
 * Handlers of registration.*: rules 5, 6 and 9 of the design. What goes to the cloud is written down
 * by one command (intent before effect); the registrar carries it out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "call.h"
#include "daemon.h"
#include "device_secrets.h"
#include "handlers.h"
#include "region.h"
#include "views.h"

#define REGISTRATION_TOKEN_DIGITS 32

/* ---- R6: which machine, in which mode ---- */

/* What a request says of it, and what it is about. */
struct scope {
    const char *verb; /* Of `muster registration`. */
    struct slice mode;
    struct slice machine;
};

static int shown(struct slice text, size_t size_max)
{
    return (int)(text.size > size_max ? size_max : text.size);
}

static void refuse_mode(struct call *call, const struct scope *scope, const struct member *machine)
{
    char message[RPC_ERROR_SIZE_MAX];
    (void)snprintf(message, sizeof message,
                   "in machine mode only, not in %.*s mode, and you are connected to %.*s\nRun on "
                   "%.*s: muster registration %s --mode machine",
                   shown(scope->mode, RPC_WORD_SIZE_MAX), (const char *)scope->mode.data,
                   SLICE_ARG(machine->name), SLICE_ARG(machine->name), scope->verb);
    call_error(call, RPC_REFUSED, slice_of(message));
}

static void refuse_machine(struct call *call, const struct scope *scope,
                           const struct member *machine)
{
    char message[RPC_ERROR_SIZE_MAX];
    int size = shown(scope->machine, RPC_NAME_SIZE_MAX);
    const char *wanted = scope->machine.data;
    (void)snprintf(message, sizeof message,
                   "you are connected to %.*s, and in machine mode only that machine can be meant, "
                   "not %.*s\nLog in to %.*s and run there: muster registration %s",
                   SLICE_ARG(machine->name), size, wanted, size, wanted, scope->verb);
    call_error(call, RPC_REFUSED, slice_of(message));
}

/* The machine is the node that the caller is connected to, whoever leads. False if it was answered. */
static bool check_scope(struct call *call, const struct scope *scope, struct member *machine)
{
    struct status status =
        store_member(call->daemon->store, &call->arena, call->caller.node_id, machine);
    if (status.code == STATUS_NOT_FOUND && call->caller.node_id == call->daemon->identity.node_id) {
        /* Its first entry says who it is, and is not applied yet. */
        call_fail(call, fail(STATUS_NO_QUORUM, "this node has just begun\nAsk again."));
        return false;
    }
    if (failed(status)) {
        call_fail(call,
                  fail(STATUS_REFUSED, "the node that you are connected to is not known here"));
        return false;
    }
    if (scope->mode.size > 0 && !slice_equal(scope->mode, slice_of("machine"))) {
        refuse_mode(call, scope, machine);
        return false;
    }
    if (scope->machine.size > 0 && !slice_equal(scope->machine, machine->name)) {
        refuse_machine(call, scope, machine);
        return false;
    }
    return true;
}

/* ---- Status, enabling, disabling ---- */

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
    struct member machine;
    enum region region;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = region_parse(params.region, &region);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    char verb[32]; /* The command that helps is to be complete. */
    (void)snprintf(verb, sizeof verb, "enable %s", region_name(region));
    const struct scope scope = {verb, params.mode, params.machine};
    if (!check_scope(call, &scope, &machine)) {
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
    struct rpc_disable params;
    struct member machine;
    if (!call_params(call, &params)) {
        return;
    }
    const struct scope scope = {"disable", params.mode, params.machine};
    if (check_scope(call, &scope, &machine)) {
        struct command command = {.type = COMMAND_REGISTRATION_DISABLE};
        call_propose(call, &command, on_disabled);
    }
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

static bool check_register(struct call *call, struct rpc_register *params, struct member *machine)
{
    if (!call_params(call, params)) {
        return false;
    }
    const struct scope scope = {"register", params->mode, params->machine};
    if (!check_scope(call, &scope, machine)) {
        return false;
    }
    if (!is_registration_token(params->token)) {
        call_fail(call, fail(STATUS_INVALID,
                             "a registration token has %d digits of 0-9 and a-f; fetch one "
                             "from the portal and paste it whole",
                             REGISTRATION_TOKEN_DIGITS));
        return false;
    }
    return true;
}

bool check_registration_register(struct call *call)
{
    struct rpc_register params;
    struct member machine;
    return check_register(call, &params, &machine);
}

/* What was begun goes on by itself: the answer is the state as it is now. */
static void on_begun(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    handle_registration_status(call);
}

static void propose_begin(struct call *call, const struct rpc_register *params,
                          const struct member *machine, uint64_t epoch)
{
    const struct identity *identity = &call->daemon->identity;
    struct device_secrets secrets = {0};
    struct buffer sealed_token = {0};
    const struct device_sealer sealer = {.keys = &identity->keys, .registration_epoch = epoch};
    struct status status = device_secrets_make(&sealer, machine->name, &secrets);
    if (!failed(status)) {
        status = device_seal(&sealer, "registration_token", params->token, &sealed_token);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else {
        struct command command = {
            .type = COMMAND_REGISTRATION_BEGIN,
            .body.registration_begin = {.mode = slice_of("machine"),
                                        .node_id = machine->node_id,
                                        .serial = machine->serial,
                                        .sealed_token = buffer_slice(&sealed_token),
                                        .sealed_key = buffer_slice(&secrets.sealed_key),
                                        .csr = buffer_slice(&secrets.csr),
                                        .epoch = epoch,
                                        .key_epoch = identity->keys.epoch},
        };
        call_propose(call, &command, on_begun);
    }
    device_secrets_release(&secrets);
    buffer_release(&sealed_token);
}

void handle_registration_register(struct call *call)
{
    struct rpc_register params;
    struct member machine;
    struct registration_view present;
    if (!check_register(call, &params, &machine)) {
        return;
    }
    struct status status = store_registration(call->daemon->store, &call->arena, &present);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    propose_begin(call, &params, &machine, present.epoch + 1);
}

/* ---- Deregistering, forgetting ---- */

/* Any member may end the cluster's registration, for its machine may be the one that is lost; but who
 * names a machine must name the registered one, and be logged in to it. */
static bool check_registered_machine(struct call *call, const struct scope *scope,
                                     const struct registration_view *present)
{
    struct member machine;
    if (!check_scope(call, scope, &machine)) {
        return false;
    }
    if (scope->machine.size > 0 && present->node_id != 0 && present->node_id != machine.node_id) {
        call_fail(call, fail(STATUS_REFUSED,
                             "the cluster is registered in machine mode as another machine than "
                             "%.*s\nLeave the machine out: muster registration %s",
                             SLICE_ARG(machine.name), scope->verb));
        return false;
    }
    return true;
}

void handle_registration_deregister(struct call *call)
{
    struct rpc_deregister params;
    struct registration_view present;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = store_registration(call->daemon->store, &call->arena, &present);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    const struct scope scope = {params.forget ? "deregister --forget" : "deregister", params.mode,
                                params.machine};
    if (!check_registered_machine(call, &scope, &present)) {
        return;
    }
    struct command command = {
        .type = COMMAND_DEREGISTRATION_BEGIN,
        .body.deregistration_begin = {.epoch = present.epoch},
    };
    if (params.forget) {
        command = (struct command){
            .type = COMMAND_REGISTRATION_FORGET,
            .body.registration_forget = {.epoch = present.epoch},
        };
    }
    call_propose(call, &command, on_begun);
}

/* ---- Handing over ---- */

static void on_handed_over(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "handed over; the registration goes on as it is, and the machine that had it "
                    "may leave");
}

void handle_registration_hand_over(struct call *call)
{
    struct rpc_name params;
    struct member heir;
    struct registration_view present;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = view_member_named(call->daemon, &call->arena, params.name, &heir);
    if (!failed(status)) {
        status = store_registration(call->daemon->store, &call->arena, &present);
    }
    if (failed(status)) {
        call_fail(call, status);
    } else if (present.state == REGISTRATION_REGISTERED && present.node_id == heir.node_id) {
        call_done(call, "%.*s is the registered machine already", SLICE_ARG(heir.name));
    } else {
        struct command command = {
            .type = COMMAND_REGISTRATION_HAND_OVER,
            .body.registration_hand_over = {.epoch = present.epoch,
                                            .node_id = heir.node_id,
                                            .serial = heir.serial},
        };
        call_propose(call, &command, on_handed_over);
    }
}
