/*
 * Handlers of cluster.rebuild and peer.quarantine: what the operator of a damaged node asks of it, and
 * what that node asks of the leader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "membership_worker.h"
#include "names.h"
#include "rebuild.h"
#include "views.h"

void handle_cluster_rebuild(struct call *call)
{
    struct rpc_rebuild params;
    struct daemon *daemon = call->daemon;
    if (!call_params(call, &params)) {
        return;
    }
    enum damage_state before = daemon->damage.state;
    struct status status = rebuild_begin(daemon, params.check);
    if (failed(status)) {
        call_fail(call, status);
    } else if (params.check) {
        call_done(call,
                  "%s%s; a rebuild takes this node out of the cluster's configuration, moves "
                  "its log and state aside and fetches them from the other members",
                  before == DAMAGE_NONE ? "nothing is known to be damaged" : "damaged: ",
                  daemon->damage.reason);
    } else if (before != DAMAGE_NONE && before != DAMAGE_WAITING) {
        call_done(call, "the rebuild is under way: %s", damage_state_name(before));
    } else {
        call_done(call, "the rebuild has begun; `muster status` says where it stands");
    }
}

struct quarantine_state {
    uint64_t node_id;
    enum quarantine step;
    uint64_t life;
};

/* The node's row as it is now: what was asked, or more. */
static void reply(struct call *call)
{
    const struct quarantine_state *state = call->state;
    struct member member;
    struct status status = store_member(call->daemon->store, &call->arena, state->node_id, &member);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    struct rpc_quarantined answer = {.step = slice_of(quarantine_name(member.quarantine))};
    if (member.quarantine == QUARANTINE_ASKED) {
        answer.why = membership_why_not_out(call->daemon->membership, state->node_id);
    }
    call_reply(call, &answer);
}

static void on_applied(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    reply(call);
}

/* The member speaks of itself, over its own certificate; nobody else can. */
void handle_peer_quarantine(struct call *call)
{
    struct rpc_quarantine params;
    struct quarantine_state *state = arena_alloc(&call->arena, 1, sizeof *state);
    struct member member;
    if (state == NULL) {
        call_fail(call, fail(STATUS_NO_MEMORY, "quarantine a node"));
        return;
    }
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = OK;
    if (!daemon_leads(call->daemon) || call->daemon->stopping) {
        status =
            fail(STATUS_UNREACHABLE, "this node does not lead; nothing was changed, ask again");
    } else if (!quarantine_parse(params.step, &state->step) || state->step == QUARANTINE_OUT) {
        status = fail(STATUS_INVALID, "a member asks for told, asked or none");
    } else {
        state->node_id = call->caller.peer_id;
        state->life = params.life;
        status = store_member(call->daemon->store, &call->arena, state->node_id, &member);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    call->state = state;
    if (member.quarantine_life == state->life && member.quarantine != QUARANTINE_TOLD &&
        state->step == QUARANTINE_ASKED && member.quarantine != QUARANTINE_NONE) {
        reply(call); /* It was taken, and what came of it is committed. */
        return;
    }
    struct command command = {
        .type = COMMAND_MEMBER_QUARANTINE,
        .body.member_quarantine =
            {
                .node_id = state->node_id,
                .step = (uint64_t)state->step,
                .life = state->life,
                .reason = params.reason,
            },
    };
    call_propose(call, &command, on_applied);
}
