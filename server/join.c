/*
 * Joining, step by step:
 *
 *     IDLE ──cluster.join──► LOCKING ──applied──► ASKING ──admitted──► staged: restart
 *      ▲                        │                   │
 *      │                        │ refused           │ refused, unreachable, unknown
 *      └────────────────────────┴──── UNLOCKING ◄───┘
 *
 *     IDLE ──cluster.join --check──► CHECKING ──► answered, IDLE; nothing is changed
 *     IDLE ──no member of the cluster that was joined, for long──► DOUBTING ──► IDLE, or restart
 *                                                                  in the lineage before
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
#include "base/clock.h"
#include "base/log.h"
#include "base/tls.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "join_request.h"

#define DOUBT_EVERY_MS 5000

enum joiner_state {
    JOINER_IDLE,
    JOINER_LOCKING,
    JOINER_ASKING,
    JOINER_CHECKING,
    JOINER_UNLOCKING,
    JOINER_DOUBTING,
    JOINER_STATE_COUNT,
};

#define TO(state) (1U << (state))

static const unsigned joiner_moves[JOINER_STATE_COUNT] = {
    [JOINER_IDLE] =
        TO(JOINER_LOCKING) | TO(JOINER_CHECKING) | TO(JOINER_UNLOCKING) | TO(JOINER_DOUBTING),
    [JOINER_LOCKING] = TO(JOINER_ASKING) | TO(JOINER_UNLOCKING) | TO(JOINER_IDLE),
    [JOINER_ASKING] = TO(JOINER_UNLOCKING) | TO(JOINER_IDLE),
    [JOINER_CHECKING] = TO(JOINER_IDLE),
    [JOINER_UNLOCKING] = TO(JOINER_IDLE),
    [JOINER_DOUBTING] = TO(JOINER_IDLE),
};

#undef TO

struct joiner {
    struct daemon *daemon;
    enum joiner_state state;
    struct call *call; /* Held; NULL when nobody waits. */
    struct join_token token;
    struct admission own; /* For a check: what this node itself says. */
    struct tls_context *tls;
    struct ask *ask;
    uint64_t next_doubt_ms; /* Monotonic. */
};

static void become(struct joiner *joiner, enum joiner_state next)
{
    assert((joiner_moves[joiner->state] & 1U << next) != 0);
    joiner->state = next;
}

struct status joiner_create(struct daemon *daemon, struct joiner **out)
{
    struct joiner *joiner = calloc(1, sizeof *joiner);
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
    log_event(LOG_LEVEL_NOTICE, "join failed", log_text("reason", status.message));
    if (call != NULL) {
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

void joiner_close(struct joiner *joiner)
{
    if (joiner == NULL) {
        return;
    }
    ask_cancel(joiner->ask);
    if (joiner->call != NULL) {
        answer_failure(joiner, fail(STATUS_UNKNOWN, "musterd stops; look at cluster status, then "
                                                    "try again"));
    }
    drop_connection(joiner);
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
    struct status status = daemon_propose(joiner->daemon, &command, on_unlocked, joiner);
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
        status = identity_switch(daemon->config.data_directory, staged->lineage);
    }
    return status;
}

static struct status follow(struct joiner *joiner, const struct rpc_admitted *admitted)
{
    struct identity staged = {0};
    struct status status = join_identity(joiner->daemon, &joiner->token, admitted, &staged);
    if (!failed(status)) {
        status = stage_and_switch(joiner->daemon, &staged);
    }
    identity_release(&staged);
    return failed(status) ? wrap(status, "follow the admission") : OK;
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
    };
    if (call != NULL) {
        call_reply(call, &joined);
        call_release(call);
    }
}

static void on_admitted(void *context, struct status status, uint64_t error, struct slice result)
{
    struct joiner *joiner = context;
    struct rpc_admitted admitted = {0};
    struct arena arena = {0};
    if (!failed(status)) {
        status = codec_decode(&rpc_admitted_codec, CODEC_NAMES, result, &arena, &admitted);
    }
    if (!failed(status)) {
        status = follow(joiner, &admitted);
    } else if (status.code == STATUS_UNKNOWN) {
        status = wrap(status, "the cluster did not answer; if it lists this node as joining, it "
                              "forgets it by itself: try again then, with a new token");
    }
    if (!failed(status)) {
        answer_admitted(joiner, &admitted);
        become(joiner, JOINER_IDLE);
        drop_connection(joiner);
        daemon_stop(joiner->daemon, true, "this node joined a cluster");
    } else {
        struct call *call = take_call(joiner);
        if (call != NULL && error != 0) {
            call_error(call, error, slice_of(status.message));
            call_release(call);
        } else if (call != NULL) {
            call_fail(call, status);
            call_release(call);
        }
        log_event(LOG_LEVEL_NOTICE, "join failed", log_text("reason", status.message));
        drop_connection(joiner);
        unlock(joiner);
    }
    arena_release(&arena);
}

/* Both lists, each problem once. */
static void merge_problems(const struct codec_list *own, const struct codec_list *theirs,
                           struct arena *arena, struct codec_list *out)
{
    const struct codec_list *lists[] = {own, theirs};
    struct rpc_problem *all = arena_alloc(arena, own->count + theirs->count, sizeof *all);
    size_t count = 0;
    for (size_t i = 0; all != NULL && i < 2; i++) {
        const struct rpc_problem *problems = lists[i]->items;
        for (size_t j = 0; j < lists[i]->count; j++) {
            bool known = false;
            for (size_t k = 0; k < count; k++) {
                known = known || slice_equal(all[k].what, problems[j].what);
            }
            if (!known) {
                all[count++] = problems[j];
            }
        }
    }
    *out = (struct codec_list){.items = all, .count = count};
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
    if (!failed(status)) {
        status = codec_decode(&rpc_admitted_codec, CODEC_NAMES, result, &arena, &admitted);
    }
    struct codec_list own = {0};
    if (!failed(status) && !admission_problems(&joiner->own, &arena, &own)) {
        status = fail(STATUS_NO_MEMORY, "check a join");
    }
    if (failed(status) && error != 0) {
        call_error(call, error, slice_of(status.message));
    } else if (failed(status)) {
        call_fail(call, status);
    } else {
        struct codec_list all = {0};
        merge_problems(&own, &admitted.problems, &arena, &all);
        joined.cluster = admitted.cluster_name;
        joined.problems = all;
        joined.message =
            slice_of(all.count == 0 ? "this node can join; nothing was changed"
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
    struct ask_addresses addresses = {.count = joiner->token.address_count};
    for (size_t i = 0; i < addresses.count; i++) {
        (void)snprintf(addresses.texts[i], ASK_ADDRESS_SIZE, "%s", joiner->token.addresses[i]);
    }
    struct buffer request = {0};
    struct status status = tls_context_create(&options, &joiner->tls);
    if (!failed(status)) {
        status = join_request(joiner->daemon, &joiner->token, check, &request);
    }
    if (!failed(status)) {
        status = ask_start(joiner->daemon->loop, joiner->tls, &addresses, buffer_slice(&request),
                           check ? on_checked : on_admitted, joiner, &joiner->ask);
    }
    if (request.data != NULL) {
        secret_wipe(request.data, request.capacity);
    }
    buffer_release(&request);
    return status;
}

static void on_locked(void *argument, struct status status, struct apply_outcome outcome)
{
    struct joiner *joiner = argument;
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
        become(joiner, JOINER_ASKING);
        status = ask_cluster(joiner, false);
    }
    if (failed(status)) {
        answer_failure(joiner, status);
        drop_connection(joiner);
        unlock(joiner);
    }
}

static void refuse_all(struct call *call, const struct admission *admission)
{
    char message[RPC_ERROR_SIZE_MAX];
    admission_message(admission, message, sizeof message);
    call_error(call, RPC_REFUSED + (uint64_t)admission->reasons[0], slice_of(message));
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
    struct status status = OK;
    if (!call_params(call, &join)) {
        return;
    }
    if (joiner->state != JOINER_IDLE) {
        status = fail(STATUS_BUSY, "a join is under way on this node; ask again when it is over");
    } else if (!daemon_leads(joiner->daemon)) {
        status = daemon_no_leader(joiner->daemon);
        if (joiner->daemon->identity.previous[0] != '\0') {
            status = fail(STATUS_REFUSED, "this node is in a cluster already; `muster cluster "
                                          "leave` makes it standalone");
        }
    }
    if (!failed(status)) {
        status = admission_of_self(joiner->daemon->store, &joiner->own);
    }
    if (!failed(status) && joiner->own.count > 0 && !join.check) {
        refuse_all(call, &joiner->own); /* Before any question is asked of anyone. */
        return;
    }
    if (!failed(status)) {
        status = join_token_parse(join.token, &joiner->token);
    }
    if (!failed(status)) {
        joiner->call = call;
        call_hold(call);
        call->deadline_at_ms = clock_monotonic_ms() + RPC_DEADLINE_MAX_MS;
        status = join.check ? begin_check(joiner) : begin_lock(joiner);
        if (failed(status)) {
            joiner->call = NULL;
            call_fail(call, status);
            call_release(call);
        }
        return;
    }
    call_fail(call, status);
}

/* ---- In doubt: admitted, and nothing is heard ---- */

static void on_standing(void *context, struct status status, uint64_t error, struct slice result)
{
    struct joiner *joiner = context;
    struct daemon *daemon = joiner->daemon;
    struct rpc_standing standing;
    struct arena arena = {0};
    (void)error;
    joiner->ask = NULL;
    become(joiner, JOINER_IDLE);
    if (!failed(status)) {
        status = codec_decode(&rpc_standing_codec, CODEC_NAMES, result, &arena, &standing);
    }
    bool forgotten = !failed(status) && (slice_equal(standing.standing, slice_of("none")) ||
                                         slice_equal(standing.standing, slice_of("removed")));
    arena_release(&arena);
    if (!forgotten) {
        return;
    }
    status = identity_switch(daemon->config.data_directory, daemon->identity.previous);
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "could not return to the standalone lineage",
                  log_text("error", status.message));
        return;
    }
    daemon_stop(daemon, true, "the cluster did not keep this node; it is standalone again");
}

static void doubt(struct joiner *joiner)
{
    struct daemon *daemon = joiner->daemon;
    const struct rpc_node_id question = {.node_id = daemon->identity.node_id};
    struct buffer request = {0};
    if (!rpc_frame_begin_request(&request, 1, rpc_methods[RPC_CLUSTER_STANDING].name)) {
        buffer_release(&request);
        return;
    }
    struct status status = codec_encode(&rpc_node_id_codec, CODEC_NAMES, &question, &request);
    become(joiner, JOINER_DOUBTING);
    if (!failed(status)) {
        status = ask_start(daemon->loop, daemon->tls_client, &daemon->identity.contacts,
                           buffer_slice(&request), on_standing, joiner, &joiner->ask);
    }
    if (failed(status)) {
        become(joiner, JOINER_IDLE);
    }
    buffer_release(&request);
}

static uint64_t own_standing(struct daemon *daemon)
{
    struct arena arena = {0};
    struct member member;
    struct status status = store_member(daemon->store, &arena, daemon->identity.node_id, &member);
    uint64_t standing = failed(status) ? 0 : member.standing;
    arena_release(&arena);
    return standing;
}

void joiner_on_applied(struct joiner *joiner)
{
    struct daemon *daemon = joiner->daemon;
    struct arena arena = {0};
    struct cluster_view cluster;
    /* Left over from a join that a crash cut short: nothing was staged, so nothing was joined. */
    if (joiner->state == JOINER_IDLE && daemon->identity.bootstrap && daemon_leads(daemon) &&
        !failed(store_cluster(daemon->store, &arena, &cluster)) &&
        cluster.standing == STANDING_JOINING) {
        unlock(joiner);
    }
    arena_release(&arena);
}

void joiner_on_tick(struct joiner *joiner)
{
    struct daemon *daemon = joiner->daemon;
    uint64_t now_ms = clock_monotonic_ms();
    if (joiner->state != JOINER_IDLE || daemon->identity.previous[0] == '\0' ||
        daemon->event.leader_id != 0 || now_ms < joiner->next_doubt_ms ||
        now_ms < daemon->started_at_ms + daemon->config.join_timeout_s * 1000 ||
        own_standing(daemon) == STANDING_MEMBER) {
        return;
    }
    joiner->next_doubt_ms = now_ms + DOUBT_EVERY_MS;
    doubt(joiner);
}

/* ---- Leaving ---- */

struct status joiner_become_standalone(struct joiner *joiner)
{
    struct daemon *daemon = joiner->daemon;
    struct identity fresh = {0};
    struct status status = identity_make_standalone(secret_slice(&daemon->identity.node_key),
                                                    daemon->config.name, clock_now_ms(), &fresh);
    if (!failed(status)) {
        status = stage_and_switch(daemon, &fresh);
    }
    identity_release(&fresh);
    if (!failed(status)) {
        daemon_stop(daemon, true, "this node left its cluster and is standalone");
    }
    return failed(status) ? wrap(status, "become standalone") : OK;
}
