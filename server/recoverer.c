/*
 * Recovering, step by step:
 *
 *     IDLE ──cluster.recover──► ASKING ──all answered, or did not──► judged
 *      ▲                                                              │
 *      └────── only asked, or refused ─────────────────────────────── ┤
 *              restart, with the succession ordered ◄──── may proceed ┘
 *
 * All members are asked at once where they stand. What they say is judged at one moment; nothing is
 * changed before the daemon has ended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "recoverer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "call.h"
#include "client/recovery.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "names.h"
#include "position.h"
#include "recovery_plan.h"

#define RECOVER_DEADLINE_MS (ASK_TIMEOUT_MS + 15000U)

/* A question to one member. */
struct inquiry {
    struct recoverer *recoverer;
    struct ask *ask; /* Under way, or NULL. */
    size_t row;      /* In the plan's members. */
};

struct recoverer {
    struct daemon *daemon;
    struct call *call; /* Held; NULL while idle. Its arena holds the plan. */
    struct rpc_recover params;
    struct plan plan;
    struct inquiry inquiries[PLAN_MEMBERS_MAX];
    size_t asked;
    bool starting; /* Questions are still being asked. */
};

struct status recoverer_create(struct daemon *daemon, struct recoverer **out)
{
    struct recoverer *recoverer = alloc_zeroed(1, sizeof *recoverer);
    if (recoverer == NULL) {
        return fail(STATUS_NO_MEMORY, "start the recoverer");
    }
    recoverer->daemon = daemon;
    *out = recoverer;
    return OK;
}

static struct call *take_call(struct recoverer *recoverer)
{
    struct call *call = recoverer->call;
    recoverer->call = NULL;
    for (size_t i = 0; i < recoverer->plan.count; i++) {
        ask_cancel(recoverer->inquiries[i].ask);
        recoverer->inquiries[i].ask = NULL;
    }
    return call;
}

void recoverer_stop(struct recoverer *recoverer)
{
    struct call *call = recoverer == NULL ? NULL : take_call(recoverer);
    if (call != NULL) {
        call_fail(call, fail(STATUS_UNREACHABLE, "musterd stops; nothing was changed"));
        call_release(call);
    }
}

void recoverer_destroy(struct recoverer *recoverer)
{
    free(recoverer);
}

/* ---- Judged ---- */

static void order(struct daemon *daemon, const struct call *call)
{
    struct succession *succession = &daemon->succession;
    *succession = (struct succession){
        .kind = SUCCESSION_RECOVER,
        .at_ms = clock_now_ms(),
        .by = call->caller,
    };
    (void)slice_to_text(call->options.comment, succession->comment, sizeof succession->comment);
    log_event(LOG_LEVEL_WARNING, "this node is to go on without the other members",
              log_text("actor", call->caller.actor), log_text("origin", call->caller.origin));
}

static void answer(struct recoverer *recoverer)
{
    struct daemon *daemon = recoverer->daemon;
    struct plan *plan = &recoverer->plan;
    struct call *call = take_call(recoverer);
    struct rpc_recovery view;
    bool proceed = recoverer->params.proceed;
    plan_judge(plan);
    if (proceed) {
        plan_check_name(plan, recoverer->params.cluster);
    }
    plan_view(plan, &view);
    bool begins = proceed && plan->problem_count == 0 && !call->answered;
    if (begins) {
        order(daemon, call);
        view.begun = true;
        view.message = slice_of("this node starts again as its cluster's only member");
    }
    call_reply(call, &view);
    call_release(call);
    if (begins) {
        daemon_stop(daemon, true, "it goes on without the other members");
    }
}

static void finish_one(struct recoverer *recoverer)
{
    recoverer->asked--;
    if (recoverer->asked == 0 && !recoverer->starting) {
        answer(recoverer);
    }
}

/* ---- Asking ---- */

static void on_position(void *context, struct status status, uint64_t error, struct slice result)
{
    struct inquiry *inquiry = context;
    struct recoverer *recoverer = inquiry->recoverer;
    struct arena *arena = recoverer->plan.arena;
    struct plan_member *member = &recoverer->plan.members[inquiry->row];
    (void)error;
    inquiry->ask = NULL;
    struct slice bytes = arena_copy(arena, result); /* What is decoded borrows from it. */
    if (!failed(status)) {
        status = codec_decode(&rpc_position_codec, CODEC_NAMES, bytes, arena, &member->position);
    }
    member->answered = !failed(status);
    if (failed(status)) {
        member->silence = status;
    }
    finish_one(recoverer);
}

static bool believe_member(void *context, uint64_t node_id)
{
    const struct inquiry *inquiry = context;
    return node_id == inquiry->recoverer->plan.members[inquiry->row].node_id;
}

static void ask_member(struct recoverer *recoverer, size_t row, struct slice request)
{
    struct inquiry *inquiry = &recoverer->inquiries[row];
    struct plan_member *member = &recoverer->plan.members[row];
    struct ask_question question = {
        .addresses = {.count = 1},
        .request = request,
        .believe = believe_member,
        .done = on_position,
        .context = inquiry,
    };
    *inquiry = (struct inquiry){.recoverer = recoverer, .row = row};
    struct status status = fail(STATUS_UNREACHABLE, "its address is not known");
    if (member->rpc_address.size > 0 &&
        slice_to_text(member->rpc_address, question.addresses.texts[0], ASK_ADDRESS_SIZE)) {
        status = ask_start(recoverer->daemon->loop, recoverer->daemon->tls_client, &question,
                           &inquiry->ask);
    }
    if (failed(status)) {
        inquiry->ask = NULL;
        member->silence = status;
    } else {
        recoverer->asked++;
    }
}

static struct status ask_all(struct recoverer *recoverer)
{
    const struct rpc_empty nothing = {0};
    struct buffer request = {0};
    struct status status =
        rpc_frame_begin_request(&request, 1, rpc_methods[RPC_CLUSTER_POSITION].name)
            ? codec_encode(&rpc_empty_codec, CODEC_NAMES, &nothing, &request)
            : fail(STATUS_NO_MEMORY, "ask the members");
    if (!failed(status)) {
        recoverer->starting = true;
        for (size_t i = 0; i < recoverer->plan.count; i++) {
            if (!recoverer->plan.members[i].self) {
                ask_member(recoverer, i, buffer_slice(&request));
            }
        }
        recoverer->starting = false;
    }
    buffer_release(&request);
    return status;
}

void recoverer_begin(struct recoverer *recoverer, struct call *call)
{
    struct rpc_recover params;
    if (!call_params(call, &params)) {
        return;
    }
    if (recoverer->call != NULL) {
        call_fail(call, fail(STATUS_BUSY, "a recovery is being looked at already; ask again"));
        return;
    }
    struct status status = plan_begin(&recoverer->plan, recoverer->daemon, &call->arena);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    recoverer->call = call;
    recoverer->params = params;
    recoverer->asked = 0;
    call_hold(call);
    call->deadline_at_ms = clock_monotonic_ms() + RECOVER_DEADLINE_MS;
    status = ask_all(recoverer);
    if (failed(status)) {
        (void)take_call(recoverer);
        call_fail(call, status);
        call_release(call);
    } else if (recoverer->asked == 0) {
        answer(recoverer);
    }
}
