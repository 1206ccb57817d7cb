/*
 * Joining, step by step:
 *
 *     IDLE ──cluster.join──► LOCKING ──applied──► ASKING ──admitted──► staged: restart
 *      ▲                        │                   │
 *      │                        │ refused           │ refused, unreachable, unknown
 *      └────────────────────────┴──── UNLOCKING ◄───┘
 *
 *     IDLE ──cluster.join --check──► CHECKING ──► answered, IDLE; nothing is changed
 *
 * After joiner_stop() whatever comes back changes the state and nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "join.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/tls.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "join_request.h"
#include "saved.h"

enum joiner_state {
    JOINER_IDLE,
    JOINER_LOCKING,
    JOINER_ASKING,
    JOINER_CHECKING,
    JOINER_UNLOCKING,
    JOINER_STATE_COUNT,
};

#define TO(state) (1U << (state))

static const unsigned joiner_moves[JOINER_STATE_COUNT] = {
    [JOINER_IDLE] = TO(JOINER_LOCKING) | TO(JOINER_CHECKING) | TO(JOINER_UNLOCKING),
    [JOINER_LOCKING] = TO(JOINER_ASKING) | TO(JOINER_UNLOCKING) | TO(JOINER_IDLE),
    [JOINER_ASKING] = TO(JOINER_UNLOCKING) | TO(JOINER_IDLE),
    [JOINER_CHECKING] = TO(JOINER_IDLE),
    [JOINER_UNLOCKING] = TO(JOINER_IDLE),
};

#undef TO

struct joiner {
    struct daemon *daemon;
    enum joiner_state state;
    struct call *call; /* Held; NULL when nobody waits. */
    struct join_token token;
    struct admission own; /* For a check: what this node itself says. */
    bool keep_records;
    struct tls_context *tls;
    struct ask *ask;
    bool stopped;
};

static void become(struct joiner *joiner, enum joiner_state next)
{
    assert((joiner_moves[joiner->state] & 1U << next) != 0);
    joiner->state = next;
}

struct status joiner_create(struct daemon *daemon, struct joiner **out)
{
    struct joiner *joiner = alloc_zeroed(1, sizeof *joiner);
    if (joiner == NULL) {
        return fail(STATUS_NO_MEMORY, "start the joiner");
    }
    joiner->daemon = daemon;
    *out = joiner;
    return OK;
}

/* The call, if somebody waits, so that it can be answered; the joiner forgets it. */
static struct call *take_call(struct joiner *joiner)
{
    struct call *call = joiner->call;
    joiner->call = NULL;
    return call;
}

static void answer_failure(struct joiner *joiner, struct status status)
{
    struct call *call = take_call(joiner);
    if (call != NULL) {
        log_event(LOG_LEVEL_NOTICE, "join failed", log_text("reason", status.message));
        call_fail(call, status);
        call_release(call);
    }
}

static void drop_connection(struct joiner *joiner)
{
    tls_context_destroy(joiner->tls);
    joiner->tls = NULL;
    joiner->ask = NULL;
    secret_wipe(&joiner->token, sizeof joiner->token);
}

void joiner_stop(struct joiner *joiner)
{
    if (joiner == NULL) {
        return;
    }
    joiner->stopped = true;
    ask_cancel(joiner->ask);
    answer_failure(joiner,
                   fail(STATUS_UNKNOWN, "musterd stops; look at cluster status, then try again"));
    drop_connection(joiner);
}

void joiner_destroy(struct joiner *joiner)
{
    free(joiner);
}

/* ---- Locking and unlocking ---- */

static void on_unlocked(void *argument, struct status status, struct apply_outcome outcome)
{
    struct joiner *joiner = argument;
    (void)outcome;
    if (failed(status)) {
        log_event(LOG_LEVEL_NOTICE, "not unlocked yet, will be tried again",
                  log_text("error", status.message));
    }
    become(joiner, JOINER_IDLE);
}

static void unlock(struct joiner *joiner)
{
    const struct command command = {
        .type = COMMAND_STANDING_SET,
        .body.standing_set = {.standing = STANDING_STANDALONE},
    };
    become(joiner, JOINER_UNLOCKING);
    struct status status = fault_fires(FAULT_JOIN_UNLOCK)
                               ? fail(STATUS_NO_MEMORY, "unlock")
                               : daemon_propose(joiner->daemon, &command, on_unlocked, joiner);
    if (failed(status)) {
        on_unlocked(joiner, status, (struct apply_outcome){0});
    }
}

/* ---- What the cluster answered ---- */

static struct status stage_and_switch(struct daemon *daemon, struct identity *staged)
{
    struct status status =
        identity_stage(daemon->config.data_directory, daemon->config.root_secret_file, staged);
    if (!failed(status)) {
        fault_step(FAULT_LINEAGE_STAGED);
        status = identity_switch(daemon->config.data_directory, staged->lineage);
        fault_step(FAULT_LINEAGE_SWITCHED);
    }
    return status;
}

static struct status follow(struct joiner *joiner, const struct rpc_admitted *admitted)
{
    struct identity staged = {0};
    struct status status = join_identity(joiner->daemon, &joiner->token, admitted, &staged);
    if (!failed(status)) {
        const struct saved_note note = {.submit = joiner->keep_records,
                                        .saved_at_ms = clock_now_ms()};
        status = saved_note_write(joiner->daemon->identity.path, &note);
    }
    if (!failed(status)) {
        status = stage_and_switch(joiner->daemon, &staged);
    }
    identity_release(&staged);
    return failed(status) ? wrap(status, "follow the admission") : OK;
}

/* Records of this node that were never delivered. */
static uint64_t count_undelivered(struct store *store)
{
    struct arena arena = {0};
    struct export_view export = {0};
    if (failed(store_export(store, &arena, &export))) {
        export = (struct export_view){0}; /* The saved life will tell. */
    }
    arena_release(&arena);
    return export.pending + export.dead_lettered;
}

static void answer_admitted(struct joiner *joiner, const struct rpc_admitted *admitted)
{
    struct call *call = take_call(joiner);
    char message[STATUS_MESSAGE_SIZE];
    (void)snprintf(message, sizeof message,
                   "admitted to the cluster %.*s; this node starts again as its member",
                   SLICE_ARG(admitted->cluster_name));
    const struct rpc_joined joined = {
        .cluster = admitted->cluster_name,
        .message = slice_of(message),
        .cloud_check = admitted->cloud_check,
        .saved = slice_of(joiner->daemon->identity.path),
        .undelivered = count_undelivered(joiner->daemon->store),
    };
    if (call != NULL) {
        call_reply(call, &joined);
        call_release(call);
    }
}

/* Not the caller lacks a right: somebody else than the cluster answered, and was told nothing. */
static struct status explain_impostor(struct status status)
{
    return status.code != STATUS_UNAUTHORIZED
               ? status
               : fail(STATUS_UNREACHABLE,
                      "%s; nothing secret was sent\nCheck that address, and who may stand in "
                      "between. Then join with a new token.",
                      status.message);
}

static void on_admitted(void *context, struct status status, uint64_t error, struct slice result)
{
    struct joiner *joiner = context;
    status = explain_impostor(status);
    struct rpc_admitted admitted = {0};
    struct arena arena = {0};
    if (!failed(status)) {
        status = codec_decode(&rpc_admitted_codec, CODEC_NAMES, result, &arena, &admitted);
    }
    if (!failed(status)) {
        fault_step(FAULT_JOIN_ADMITTED);
        status = follow(joiner, &admitted);
    } else if (status.code == STATUS_UNKNOWN) {
        status = wrap(status, "the cluster did not answer; if it lists this node as joining, it "
                              "forgets it by itself: try again then, with a new token");
    }
    if (!failed(status)) {
        answer_admitted(joiner, &admitted);
        fault_step(FAULT_JOIN_ANSWERED);
        become(joiner, JOINER_IDLE);
        drop_connection(joiner);
        daemon_stop(joiner->daemon, true, "this node joined a cluster");
    } else {
        struct call *call = take_call(joiner);
        if (call != NULL && error != 0) {
            call_error(call, error, result);
            call_release(call);
        } else if (call != NULL) {
            call_fail(call, status);
            call_release(call);
        }
        log_event(LOG_LEVEL_NOTICE, "join failed", log_text("reason", status.message));
        drop_connection(joiner);
        unlock(joiner);
    }
    arena_wipe(&arena);
}

static void on_checked(void *context, struct status status, uint64_t error, struct slice result)
{
    struct joiner *joiner = context;
    struct call *call = take_call(joiner);
    struct arena arena = {0};
    struct rpc_admitted admitted = {0};
    struct rpc_joined joined = {.check = true};
    become(joiner, JOINER_IDLE);
    drop_connection(joiner);
    status = explain_impostor(status);
    if (!failed(status)) {
        status = codec_decode(&rpc_admitted_codec, CODEC_NAMES, result, &arena, &admitted);
    }
    if (!failed(status) &&
        !admission_merge(&joiner->own, &admitted.problems, &arena, &joined.problems)) {
        status = fail(STATUS_NO_MEMORY, "check a join");
    }
    if (failed(status) && error != 0) {
        call_error(call, error, result);
    } else if (failed(status)) {
        call_fail(call, status);
    } else {
        joined.cluster = admitted.cluster_name;
        joined.cloud_check = admitted.cloud_check;
        joined.saved = slice_of(joiner->daemon->identity.path);
        joined.undelivered = count_undelivered(joiner->daemon->store);
        joined.message =
            slice_of(joined.problems.count == 0 ? "this node can join; nothing was changed"
                                                : "this node cannot join yet; nothing was changed");
        call_reply(call, &joined);
    }
    arena_release(&arena);
    call_release(call);
}

/* ---- Asking ---- */

static struct status ask_cluster(struct joiner *joiner, bool check)
{
    struct tls_options options = {
        .verify = TLS_VERIFY_FINGERPRINT,
    };
    memcpy(options.ca_fingerprint, joiner->token.ca_fingerprint, sizeof options.ca_fingerprint);
    struct ask_question question = {
        .addresses = {.count = joiner->token.address_count},
        .done = check ? on_checked : on_admitted,
        .context = joiner,
    };
    for (size_t i = 0; i < question.addresses.count; i++) {
        (void)snprintf(question.addresses.texts[i], ASK_ADDRESS_SIZE, "%s",
                       joiner->token.addresses[i]);
    }
    struct buffer request = {0};
    struct status status = tls_context_create(&options, &joiner->tls);
    if (!failed(status)) {
        status = join_request(joiner->daemon, &joiner->token, check, &request);
    }
    if (!failed(status) && fault_fires(FAULT_JOIN_ASK)) {
        status = fail(STATUS_NO_MEMORY, "ask to join");
    }
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(joiner->daemon->loop, joiner->tls, &question, &joiner->ask);
    }
    secret_wipe_buffer(&request);
    return status;
}

static void on_locked(void *argument, struct status status, struct apply_outcome outcome)
{
    struct joiner *joiner = argument;
    if (joiner->stopped) { /* The next start unlocks. */
        return;
    }
    if (!failed(status) && outcome.refusal != REFUSAL_NONE) {
        struct call *call = take_call(joiner);
        if (call != NULL) {
            call_refuse(call, (enum refusal)outcome.refusal);
            call_release(call);
        }
        drop_connection(joiner);
        become(joiner, JOINER_IDLE);
        return;
    }
    if (!failed(status)) {
        fault_step(FAULT_JOIN_LOCKED);
        become(joiner, JOINER_ASKING);
        status = ask_cluster(joiner, false);
    }
    if (failed(status)) {
        answer_failure(joiner, status);
        drop_connection(joiner);
        unlock(joiner);
    }
}

static struct status begin_check(struct joiner *joiner)
{
    become(joiner, JOINER_CHECKING);
    struct status status = ask_cluster(joiner, true);
    if (failed(status)) {
        drop_connection(joiner);
        become(joiner, JOINER_IDLE);
    }
    return status;
}

static struct status begin_lock(struct joiner *joiner)
{
    const struct command command = {
        .type = COMMAND_STANDING_SET,
        .body.standing_set = {.standing = STANDING_JOINING},
    };
    become(joiner, JOINER_LOCKING);
    struct status status = daemon_propose(joiner->daemon, &command, on_locked, joiner);
    if (failed(status)) {
        become(joiner, JOINER_IDLE);
    }
    return status;
}

void joiner_begin(struct joiner *joiner, struct call *call)
{
    struct rpc_join join;
    if (!call_params(call, &join)) {
        return;
    }
    struct status status = admission_of_self(joiner->daemon->store, &joiner->own);
    if (joiner->daemon->identity.previous[0] != '\0') {
        /* Though its entries may not be here yet. */
        admission_add(&joiner->own, REFUSAL_ALREADY_MEMBER);
        status = OK;
    } else if (saved_is_full(joiner->daemon->saved)) {
        admission_add(&joiner->own, REFUSAL_SAVED_FULL);
    }
    if (!failed(status) && joiner->own.count > 0 && !join.check) {
        admission_refuse(&joiner->own, call); /* Before any question is asked of anyone. */
        return;
    }
    if (joiner->state != JOINER_IDLE) {
        status = fail(STATUS_BUSY, "a join is under way on this node; ask again when it is over");
    } else if (!failed(status) && !daemon_leads(joiner->daemon)) {
        status = daemon_no_leader(joiner->daemon);
    }
    if (!failed(status)) {
        status = join_token_parse(join.token, &joiner->token);
    }
    if (!failed(status)) {
        joiner->call = call;
        joiner->keep_records = join.keep_records;
        call_hold(call);
        call->deadline_at_ms = clock_monotonic_ms() + RPC_DEADLINE_MAX_MS;
        call->changing = !join.check;
        status = join.check ? begin_check(joiner) : begin_lock(joiner);
        if (failed(status)) {
            joiner->call = NULL;
            drop_connection(joiner);
            call_fail(call, status);
            call_release(call);
        }
        return;
    }
    call_fail(call, status);
}

/* Left over from a join that a crash cut short: nothing was staged, so nothing was joined. */
static bool is_locked_in_vain(const struct daemon *daemon)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    bool locked = daemon->identity.bootstrap && daemon_leads(daemon) &&
                  !failed(store_cluster(daemon->store, &arena, &cluster)) &&
                  cluster.standing == STANDING_JOINING;
    arena_release(&arena);
    return locked;
}

void joiner_on_applied(struct joiner *joiner)
{
    if (joiner->state == JOINER_IDLE && is_locked_in_vain(joiner->daemon)) {
        unlock(joiner);
    }
}

/* ---- Leaving ---- */

struct status joiner_become_standalone(struct daemon *daemon)
{
    struct identity fresh = {0};
    struct status status = identity_make_standalone(secret_slice(&daemon->identity.node_key),
                                                    daemon->config.name, clock_now_ms(), &fresh);
    if (!failed(status)) {
        (void)snprintf(fresh.left, sizeof fresh.left, "%s", daemon->identity.lineage);
        status = stage_and_switch(daemon, &fresh);
    }
    if (!failed(status) && daemon->identity.aside[0] != '\0') { /* It has the cluster's keys too. */
        status = identity_remove(daemon->config.data_directory, daemon->identity.aside);
    }
    identity_release(&fresh);
    if (!failed(status)) {
        daemon_stop(daemon, true, "this node left its cluster and is standalone");
    }
    return failed(status) ? wrap(status, "become standalone") : OK;
}
