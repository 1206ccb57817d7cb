/*
 * Leaving, step by step:
 *
 *     IDLE ──leads──► HANDING_OVER ──another leads──► WAITING ──leader known──► ASKING ──removed──► restart
 *      │                                                 ▲  ▲                     ├─refused─► IDLE
 *      ├──follows────────────────────────────────────────┘  └──── not the leader ─┤
 *      ├──was removed──► restart                            └──── a member ──┐    │ it does not know us
 *      └──is alone──► REMOVING ──applied──► restart     restart ◄──gone── CONFIRMING
 *
 *     IDLE ──reset──► DOUBTING ──was removed──► restart, or only told
 *      ▲                 │ there is a leader, nobody says so
 *      └─────────────────┘
 *
 * A leader that does not know us may have removed us, or lag behind: what it says of our standing,
 * which is linearizable, decides. Who was removed has no leader to wait for, and finds that out while it
 * waits (doubt.h): then it is gone. After leaver_stop() whatever comes back changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "leave.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "doubt.h"
#include "join.h"
#include "membership_worker.h"
#include "reset_view.h"

#define LEAVE_DEADLINE_MS 30000U
#define GIVE_UP_MS 15000U        /* Before the deadline, so that the reason is told. */
#define ASK_AGAIN_MS 500U        /* Of a leader that cannot let us go yet. */
#define RESET_PATIENCE_MS 20000U /* Until a question to the members is answered. */

enum leaver_state {
    LEAVER_IDLE,
    LEAVER_HANDING_OVER,
    LEAVER_WAITING,
    LEAVER_ASKING,
    LEAVER_CONFIRMING,
    LEAVER_REMOVING,
    LEAVER_DOUBTING,
    LEAVER_STATE_COUNT,
};

#define TO(state) (1U << (state))

static const unsigned leaver_moves[LEAVER_STATE_COUNT] = {
    [LEAVER_IDLE] =
        TO(LEAVER_HANDING_OVER) | TO(LEAVER_WAITING) | TO(LEAVER_REMOVING) | TO(LEAVER_DOUBTING),
    [LEAVER_HANDING_OVER] = TO(LEAVER_WAITING) | TO(LEAVER_IDLE),
    [LEAVER_WAITING] =
        TO(LEAVER_ASKING) | TO(LEAVER_CONFIRMING) | TO(LEAVER_HANDING_OVER) | TO(LEAVER_IDLE),
    [LEAVER_ASKING] = TO(LEAVER_WAITING) | TO(LEAVER_IDLE),
    [LEAVER_CONFIRMING] = TO(LEAVER_WAITING) | TO(LEAVER_IDLE),
    [LEAVER_REMOVING] = TO(LEAVER_IDLE),
    [LEAVER_DOUBTING] = TO(LEAVER_IDLE),
};

#undef TO

struct leaver {
    struct daemon *daemon;
    enum leaver_state state;
    struct call *call; /* Held. */
    struct ask *ask;
    uint64_t leader_id; /* Who is asked. */
    bool unknown;       /* The leader does not know us: confirm that. */
    bool stopped;
    uint64_t not_before_ms; /* Monotonic. */
    bool check;             /* Of a reset: only tell. */
    struct membership_change change;
};

static void become(struct leaver *leaver, enum leaver_state next)
{
    assert((leaver_moves[leaver->state] & 1U << next) != 0);
    leaver->state = next;
}

struct status leaver_create(struct daemon *daemon, struct leaver **out)
{
    struct leaver *leaver = alloc_zeroed(1, sizeof *leaver);
    if (leaver == NULL) {
        return fail(STATUS_NO_MEMORY, "start the leaver");
    }
    leaver->daemon = daemon;
    *out = leaver;
    return OK;
}

static void give_up(struct leaver *leaver, uint64_t error, struct slice message)
{
    struct call *call = leaver->call;
    leaver->call = NULL;
    become(leaver, LEAVER_IDLE);
    call_error(call, error, message);
    call_release(call);
}

static void give_up_status(struct leaver *leaver, struct status status)
{
    give_up(leaver, rpc_error_of_status(status.code), slice_of(status.message));
}

void leaver_stop(struct leaver *leaver)
{
    if (leaver == NULL) {
        return;
    }
    leaver->stopped = true;
    ask_cancel(leaver->ask);
    if (leaver->call != NULL) {
        struct call *call = leaver->call;
        leaver->call = NULL;
        call_fail(call, fail(STATUS_UNKNOWN, "musterd stops; look at cluster status, then again"));
        call_release(call);
    }
}

void leaver_destroy(struct leaver *leaver)
{
    free(leaver);
}

/* The cluster has let this node go. */
static void go(struct leaver *leaver)
{
    struct call *call = leaver->call;
    fault_step(FAULT_LEAVE_GONE);
    struct status status = joiner_become_standalone(leaver->daemon);
    fault_step(FAULT_LEAVE_LEFT);
    leaver->call = NULL;
    become(leaver, LEAVER_IDLE);
    if (failed(status)) {
        call_fail(call, wrap(status, "the cluster has let this node go, but"));
    } else {
        call_done(
            call,
            "left; this node starts again as a standalone one. The cluster rotates its key; it "
            "names the API clients to be renewed in its status");
    }
    call_release(call);
}

static void on_asked(void *context, struct status status, uint64_t error, struct slice result)
{
    struct leaver *leaver = context;
    leaver->ask = NULL;
    if (!failed(status)) {
        go(leaver);
    } else if (error == RPC_NOT_FOUND || error == RPC_UNAUTHORIZED ||
               error == RPC_REFUSED + REFUSAL_MEMBER_UNKNOWN) {
        leaver->unknown = true;
        become(leaver, LEAVER_WAITING);
    } else if ((error == RPC_REFUSED + REFUSAL_QUORUM_AT_RISK || error == RPC_NO_QUORUM) &&
               clock_monotonic_ms() + GIVE_UP_MS < leaver->call->deadline_at_ms) {
        leaver->not_before_ms = clock_monotonic_ms() + ASK_AGAIN_MS;
        become(leaver,
               LEAVER_WAITING); /* Another may have left, or led, just now: let it settle. */
    } else if (error >= RPC_REFUSED || error == RPC_INVALID || error == RPC_NO_QUORUM) {
        give_up(leaver, error, result);
    } else {
        become(leaver, LEAVER_WAITING); /* Until the call's deadline. */
    }
}

static void on_confirmed(void *context, struct status status, uint64_t error, struct slice result)
{
    struct leaver *leaver = context;
    struct rpc_standing answer = {0};
    struct arena arena = {0};
    (void)error;
    leaver->ask = NULL;
    leaver->unknown = false;
    if (!failed(status)) {
        status = codec_decode(&rpc_standing_codec, CODEC_NAMES, result, &arena, &answer);
    }
    bool gone = !failed(status) && (slice_equal(answer.standing, slice_of("none")) ||
                                    slice_equal(answer.standing, slice_of("removed")));
    arena_release(&arena);
    if (gone) {
        go(leaver);
    } else {
        become(leaver, LEAVER_WAITING);
    }
}

static struct status write_request(struct leaver *leaver, struct buffer *out)
{
    const struct caller *caller = &leaver->call->caller;
    struct arena arena = {0};
    struct member self;
    struct buffer params = {0};
    /* The name by which the cluster knows this node, whatever its configuration says now. */
    struct status status =
        store_member(leaver->daemon->store, &arena, leaver->daemon->identity.node_id, &self);
    if (!failed(status)) {
        const struct rpc_remove remove = {.name = self.name};
        status = codec_encode(&rpc_remove_codec, CODEC_NAMES, &remove, &params);
    }
    if (!failed(status)) {
        const struct rpc_forward forward = {
            .method = slice_of(rpc_methods[RPC_CLUSTER_REMOVE].name),
            .params = buffer_slice(&params),
            .actor = slice_of(caller->actor),
            .origin = slice_of(caller->origin),
            .role = caller->role,
            .node_id = leaver->daemon->identity.node_id,
            .deadline_ms = RPC_DEADLINE_DEFAULT_MS,
        };
        status = rpc_frame_begin_request(out, 1, rpc_methods[RPC_PEER_FORWARD].name)
                     ? codec_encode(&rpc_forward_codec, CODEC_NAMES, &forward, out)
                     : fail(STATUS_NO_MEMORY, "ask to leave");
    }
    buffer_release(&params);
    arena_release(&arena);
    return status;
}

static struct status write_question(const struct leaver *leaver, struct buffer *out)
{
    const struct rpc_node_id self = {.node_id = leaver->daemon->identity.node_id};
    return rpc_frame_begin_request(out, 1, rpc_methods[RPC_CLUSTER_STANDING].name)
               ? codec_encode(&rpc_node_id_codec, CODEC_NAMES, &self, out)
               : fail(STATUS_NO_MEMORY, "ask to leave");
}

static bool believe_leader(void *context, uint64_t node_id)
{
    const struct leaver *leaver = context;
    return node_id == leaver->leader_id;
}

static void ask_leader(struct leaver *leaver, uint64_t leader_id)
{
    struct daemon *daemon = leaver->daemon;
    struct buffer request = {0};
    struct ask_question question = {
        .addresses = {.count = 1},
        .believe = believe_leader,
        .done = leaver->unknown ? on_confirmed : on_asked,
        .context = leaver,
    };
    struct status status = daemon_rpc_address(daemon, leader_id, question.addresses.texts[0]);
    if (!failed(status)) {
        status =
            leaver->unknown ? write_question(leaver, &request) : write_request(leaver, &request);
    }
    if (!failed(status)) {
        status = fault_fires(FAULT_LEAVE_ASK) ? fail(STATUS_NO_MEMORY, "ask to leave") : OK;
    }
    if (!failed(status)) {
        leaver->leader_id = leader_id;
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &leaver->ask);
    }
    if (failed(status)) {
        give_up_status(leaver, status);
    } else {
        leaver->call->changing = true;
        become(leaver, leaver->unknown ? LEAVER_CONFIRMING : LEAVER_ASKING);
    }
    buffer_release(&request);
}

static void on_handed_over(struct membership_change *change, struct status status)
{
    struct leaver *leaver = change->context;
    if (leaver->stopped) {
        return;
    }
    if (failed(status)) {
        give_up_status(leaver, wrap(status, "let another node lead first"));
        return;
    }
    fault_step(FAULT_LEAVE_HANDED_OVER);
    become(leaver, LEAVER_WAITING);
}

static void hand_over(struct leaver *leaver)
{
    become(leaver, LEAVER_HANDING_OVER);
    leaver->change.context = leaver;
    struct status status =
        consensus_transfer(leaver->daemon->consensus, 0, call_patience_ms(leaver->call) / 2,
                           &leaver->change, on_handed_over);
    if (status.code == STATUS_BUSY ||
        (status.code == STATUS_NOT_FOUND && membership_make_heir(leaver->daemon->membership))) {
        become(leaver, LEAVER_WAITING); /* Another change is under way: again at the next tick. */
    } else if (failed(status)) {
        give_up_status(leaver, wrap(status, "let another node lead first"));
    }
}

static void on_self_removed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct leaver *leaver = argument;
    if (leaver->stopped) {
        return;
    }
    if (!failed(status) && outcome.refusal == REFUSAL_NONE) {
        go(leaver);
    } else if (failed(status)) {
        give_up_status(leaver, status);
    } else {
        struct call *call = leaver->call;
        leaver->call = NULL;
        become(leaver, LEAVER_IDLE);
        call_refuse(call, (enum refusal)outcome.refusal);
        call_release(call);
    }
}

static void remove_self(struct leaver *leaver)
{
    const struct command command = {
        .type = COMMAND_MEMBER_REMOVE,
        .body.member_remove = {.node_id = leaver->daemon->identity.node_id},
    };
    become(leaver, LEAVER_REMOVING);
    leaver->call->changing = true;
    struct status status = daemon_propose(leaver->daemon, &command, on_self_removed, leaver);
    if (failed(status)) {
        on_self_removed(leaver, status, (struct apply_outcome){0});
    }
}

static struct status count_others(struct daemon *daemon, bool *in_cluster, size_t *others)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct codec_list members;
    struct status status = store_cluster(daemon->store, &arena, &cluster);
    if (!failed(status)) {
        status = store_members(daemon->store, &arena, &members);
    }
    if (!failed(status)) {
        const struct member *all = members.items;
        *in_cluster = cluster.name.size > 0;
        *others = 0;
        for (size_t i = 0; i < members.count; i++) {
            *others +=
                all[i].node_id != daemon->identity.node_id && all[i].standing != STANDING_REMOVED;
        }
    }
    arena_release(&arena);
    return status;
}

/* Take the call, unless this node is leaving already or is in no cluster: then it is answered. */
static bool take_call(struct leaver *leaver, struct call *call, size_t *others)
{
    bool in_cluster = false;
    struct status status = count_others(leaver->daemon, &in_cluster, others);
    if (!failed(status) && leaver->state != LEAVER_IDLE) {
        status = fail(STATUS_BUSY, "this node is leaving already");
    }
    if (failed(status)) {
        call_fail(call, status);
        return false;
    }
    if (!in_cluster && leaver->daemon->identity.previous[0] == '\0') {
        call_refuse(call, REFUSAL_NOT_IN_CLUSTER);
        return false;
    }
    leaver->call = call;
    call_hold(call);
    call->deadline_at_ms = clock_monotonic_ms() + LEAVE_DEADLINE_MS;
    return true;
}

void leaver_begin(struct leaver *leaver, struct call *call)
{
    struct rpc_empty params;
    size_t others = 0;
    if (!call_params(call, &params) || !take_call(leaver, call, &others)) {
        return;
    }
    leaver->unknown = false;
    leaver->not_before_ms = 0;
    if (leaver->daemon->removed) {
        become(leaver, LEAVER_WAITING);
        go(leaver);
    } else if (others == 0) {
        remove_self(leaver);
    } else if (leaver->daemon->event.role == CONSENSUS_LEADER) {
        hand_over(leaver);
    } else {
        become(leaver, LEAVER_WAITING);
    }
}

/* ---- Reset ---- */

void leaver_reset(struct leaver *leaver, struct call *call)
{
    struct rpc_reset params;
    size_t others = 0;
    if (!call_params(call, &params) || !take_call(leaver, call, &others)) {
        return;
    }
    leaver->check = params.check;
    leaver->not_before_ms = clock_monotonic_ms() + RESET_PATIENCE_MS;
    become(leaver, LEAVER_DOUBTING);
    doubt_hurry(leaver->daemon->doubt);
    leaver_on_tick(leaver);
}

static void reset(struct leaver *leaver)
{
    struct call *call = leaver->call;
    struct rpc_discarded view;
    struct status status = reset_view(leaver->daemon, &call->arena, leaver->check, &view);
    if (!failed(status) && !leaver->check) {
        status = joiner_become_standalone(leaver->daemon);
    }
    leaver->call = NULL;
    become(leaver, LEAVER_IDLE);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &view);
    }
    call_release(call);
}

static void refuse_reset(struct leaver *leaver)
{
    struct call *call = leaver->call;
    leaver->call = NULL;
    become(leaver, LEAVER_IDLE);
    call_refuse(call, REFUSAL_STILL_MEMBER);
    call_release(call);
}

static void doubt_further(struct leaver *leaver)
{
    const struct daemon *daemon = leaver->daemon;
    if (daemon->removed) {
        reset(leaver);
    } else if (daemon->event.leader_id != 0 || !doubt_is_hurried(daemon->doubt) ||
               clock_monotonic_ms() > leaver->not_before_ms) {
        refuse_reset(leaver);
    }
}

void leaver_on_tick(struct leaver *leaver)
{
    const struct daemon *daemon = leaver->daemon;
    if (leaver->state == LEAVER_DOUBTING) {
        doubt_further(leaver);
        return;
    }
    if (leaver->state != LEAVER_WAITING) {
        return;
    }
    if (leaver->call->answered) { /* By its deadline. */
        call_release(leaver->call);
        leaver->call = NULL;
        become(leaver, LEAVER_IDLE);
    } else if (daemon->removed) {
        go(leaver);
    } else if (clock_monotonic_ms() < leaver->not_before_ms) {
        return;
    } else if (daemon->event.role == CONSENSUS_LEADER) {
        hand_over(leaver);
    } else if (daemon->event.leader_id != 0) {
        ask_leader(leaver, daemon->event.leader_id);
    }
}
