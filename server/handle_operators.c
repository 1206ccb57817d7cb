/*
 * Handlers of operator.* and audit.*.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/secret.h"
#include "base/x509.h"
#include "call.h"
#include "daemon.h"
#include "deep_read.h"
#include "handlers.h"
#include "issue.h"
#include "views.h"

#define OPERATOR_DAYS_DEFAULT 365
#define PAGE_LIMIT_DEFAULT 100
#define DAY_MS UINT64_C(86400000)

static bool role_parse(struct slice name, uint64_t *out)
{
    static const enum role roles[] = {ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (slice_equal(name, slice_of(rpc_role_name((enum rpc_role)roles[i])))) {
            *out = roles[i];
            return true;
        }
    }
    return false;
}

static void on_added(struct call *call, struct apply_outcome outcome)
{
    const struct rpc_operator_added *added = call->state;
    (void)outcome;
    call_reply(call, added);
}

/* The key is made here, given once, and kept nowhere. */
static struct status make_operator(struct call *call, const struct rpc_operator_add *params,
                                   uint8_t fingerprint[X509_HASH_SIZE],
                                   struct rpc_operator_added *out)
{
    struct daemon *daemon = call->daemon;
    struct secret key = {0};
    struct buffer request = {0};
    struct buffer chain = {0};
    uint64_t days = params->days == 0 ? OPERATOR_DAYS_DEFAULT : params->days;
    struct status status = x509_make_key(&key);
    if (!failed(status)) {
        status = x509_make_request(secret_slice(&key), params->name, &request);
    }
    if (!failed(status)) {
        status = issue_certificate(daemon, ISSUE_OPERATOR, buffer_slice(&request), params->name,
                                   days, &chain);
    }
    if (!failed(status)) {
        status = x509_fingerprint(buffer_slice(&chain), fingerprint);
    }
    if (!failed(status)) {
        status = x509_not_after_ms(buffer_slice(&chain), &out->not_after_ms);
    }
    if (!failed(status)) {
        const struct buffer *ca = &daemon->identity.ca_certificate;
        out->key = arena_copy(&call->arena, secret_slice(&key));
        status =
            buffer_append(&chain, ca->data, ca->size) ? OK : fail(STATUS_NO_MEMORY, "add operator");
        out->certificate = arena_copy(&call->arena, buffer_slice(&chain));
    }
    secret_release(&key);
    buffer_release(&request);
    buffer_release(&chain);
    return status;
}

void handle_operator_add(struct call *call)
{
    struct rpc_operator_add params;
    uint8_t fingerprint[X509_HASH_SIZE];
    uint64_t role = ROLE_NONE;
    struct rpc_operator_added *added = arena_alloc(&call->arena, 1, sizeof *added);
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = added == NULL ? fail(STATUS_NO_MEMORY, "add operator") : OK;
    if (!failed(status) && !role_parse(params.role, &role)) {
        status = fail(STATUS_INVALID, "a role is viewer, operator or admin");
    }
    if (!failed(status)) {
        status = make_operator(call, &params, fingerprint, added);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    call->state = added;
    struct command command = {
        .type = COMMAND_OPERATOR_PUT,
        .body.operator_put =
            {
                .name = params.name,
                .role = role,
                .fingerprint = {.data = fingerprint, .size = sizeof fingerprint},
                .not_after_ms = added->not_after_ms,
            },
    };
    call_propose(call, &command, on_added);
}

static struct slice hex_text(struct call *call, struct slice bytes)
{
    char *text = arena_alloc(&call->arena, 2 * bytes.size + 1, 1);
    if (text == NULL) {
        return (struct slice){0};
    }
    hex_encode(bytes, text);
    return slice_of(text);
}

void handle_operator_list(struct call *call)
{
    struct codec_list operators = {0};
    struct status status = store_operators(call->daemon->store, &call->arena, &operators);
    struct rpc_operator *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, operators.count, sizeof *rows);
    if (failed(status) || rows == NULL) {
        call_fail(call, failed(status) ? status : fail(STATUS_NO_MEMORY, "list operators"));
        return;
    }
    const struct operator_view *all = operators.items;
    for (size_t i = 0; i < operators.count; i++) {
        rows[i] = (struct rpc_operator){
            .name = all[i].name,
            .role = slice_of(rpc_role_name((enum rpc_role)all[i].role)),
            .fingerprint = hex_text(call, all[i].fingerprint),
            .not_after_ms = all[i].not_after_ms,
        };
    }
    const struct rpc_operators view = {
        .operators = {.items = rows, .count = operators.count},
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}

static void on_removed(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "removed; the certificate is worth nothing from now on");
}

void handle_operator_remove(struct call *call)
{
    struct rpc_name params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_OPERATOR_REMOVE,
        .body.operator_remove = {.name = params.name},
    };
    call_propose(call, &command, on_removed);
}

/* ---- Audit ---- */

static bool is_audited(struct slice method)
{
    for (unsigned type = 1; type < COMMAND_TYPE_COUNT; type++) {
        if (slice_equal(method, slice_of(command_name((enum command_type)type)))) {
            return true;
        }
    }
    return false;
}

void handle_audit_list(struct call *call)
{
    struct rpc_audit_query params;
    struct codec_list lines = {0};
    uint64_t next = 0;
    if (!call_params(call, &params)) {
        return;
    }
    if (params.method.size > 0 && !is_audited(params.method)) {
        call_fail(call,
                  fail(STATUS_INVALID,
                       "the audit has no method %.*s\n`muster audit list` shows them under WHAT, "
                       "such as registration_begin or export_pause.",
                       SLICE_ARG(params.method)));
        return;
    }
    const struct audit_filter filter = {
        .after_sequence = params.after,
        .since_ms = params.since_ms,
        .until_ms = params.until_ms,
        .actor = params.actor,
        .command = params.method,
    };
    struct status status =
        store_audit_find(call->daemon->store, &call->arena, &filter,
                         params.limit == 0 ? PAGE_LIMIT_DEFAULT : params.limit, &lines, &next);
    struct rpc_audit_line *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, lines.count, sizeof *rows);
    if (failed(status) || rows == NULL) {
        call_fail(call, failed(status) ? status : fail(STATUS_NO_MEMORY, "list the audit"));
        return;
    }
    const struct audit_view *all = lines.items;
    for (size_t i = 0; i < lines.count; i++) {
        rows[i] = (struct rpc_audit_line){
            .sequence = all[i].sequence,
            .at_ms = all[i].at_ms,
            .actor = all[i].actor,
            .origin = all[i].origin,
            .command = all[i].command,
            .target = all[i].target,
            .outcome = all[i].outcome,
            .comment = all[i].comment,
            .hash = hex_text(call, (struct slice){.data = all[i].hash, .size = STORE_HASH_SIZE}),
        };
    }
    const struct rpc_audit view = {
        .lines = {.items = rows, .count = lines.count},
        .next = next,
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}

static void on_verified(struct call *call, const struct deep_read *read)
{
    if (failed(read->status) && read->status.code != STATUS_CORRUPT) {
        call_fail(call, read->status);
        return;
    }
    const struct rpc_audit_verified verified = {
        .lines = read->audit.line_count,
        .good = !failed(read->status),
        .error = slice_of(read->status.message),
        .trimmed = read->audit.trimmed,
        .anchor = read->audit.trimmed == 0
                      ? (struct slice){0}
                      : hex_text(call, (struct slice){.data = read->audit.anchor,
                                                      .size = STORE_HASH_SIZE}),
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &verified);
}

void handle_audit_verify(struct call *call)
{
    deep_read_begin(call, DEEP_READ_AUDIT, on_verified);
}
