/*
 * Reset of a damaged node: one question, then the same end as every reset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "resetter.h"

#include <stdlib.h>

#include "ask.h"
#include "base/alloc.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "join.h"
#include "views.h"

struct resetter {
    struct daemon *daemon;
    struct ask *ask;
    struct call *call; /* Held while it is asked; else NULL. */
    bool check;
};

struct status resetter_create(struct daemon *daemon, struct resetter **out)
{
    struct resetter *resetter = alloc_zeroed(1, sizeof *resetter);
    if (resetter == NULL) {
        return fail(STATUS_NO_MEMORY, "start the resetter");
    }
    resetter->daemon = daemon;
    *out = resetter;
    return OK;
}

void resetter_destroy(struct resetter *resetter)
{
    if (resetter == NULL) {
        return;
    }
    ask_cancel(resetter->ask);
    if (resetter->call != NULL) {
        call_fail(resetter->call, fail(STATUS_UNREACHABLE, "musterd stops; nothing was changed"));
        call_release(resetter->call);
    }
    free(resetter);
}

static struct status write_view(const struct resetter *resetter, struct slice reason,
                                struct rpc_discarded *out)
{
    const struct identity *identity = &resetter->daemon->identity;
    struct arena *arena = &resetter->call->arena;
    struct slice *items = arena_alloc(arena, 3, sizeof *items);
    if (items == NULL) {
        return fail(STATUS_NO_MEMORY, "list what a reset discards");
    }
    items[0] = slice_of("its damaged copy of the cluster's state and log");
    items[1] = slice_of("its certificate and the cluster's key");
    items[2] = view_text(arena, "the folder %s", identity->path);
    *out = (struct rpc_discarded){
        .cluster = slice_of(identity->cluster_id),
        .reason = reason.size > 0 ? reason : slice_of("the cluster has removed this node"),
        .items = {.items = items, .count = 3},
        .message = slice_of(resetter->check ? "nothing was changed"
                                            : "reset; this node starts again as a standalone one"),
    };
    return OK;
}

/* No member any more: the damage is of a life that is over. */
static void reset(struct resetter *resetter, struct slice reason)
{
    struct rpc_discarded view;
    struct status status = write_view(resetter, reason, &view);
    if (!failed(status) && !resetter->check) {
        status = joiner_become_standalone(resetter->daemon);
    }
    if (failed(status)) {
        call_fail(resetter->call, status);
        return;
    }
    if (!resetter->check) {
        suspension_try(resetter->daemon->suspension);
    }
    call_reply(resetter->call, &view);
}

static void on_standing(void *context, struct status status, uint64_t error, struct slice result)
{
    struct resetter *resetter = context;
    struct rpc_standing answer = {0};
    struct arena arena = {0};
    (void)error;
    resetter->ask = NULL;
    if (!failed(status)) {
        status = codec_decode(&rpc_standing_codec, CODEC_NAMES, result, &arena, &answer);
    }
    if (failed(status)) {
        status.code = STATUS_UNREACHABLE;
        call_fail(resetter->call, wrap(status, "nobody could be asked whether this node is still "
                                               "a member; nothing was changed"));
    } else if (slice_equal(answer.standing, slice_of("none")) ||
               slice_equal(answer.standing, slice_of("removed"))) {
        reset(resetter, answer.reason);
    } else {
        call_error(resetter->call, RPC_REFUSED + REFUSAL_STILL_MEMBER,
                   slice_of("[still_member] This node is a member of its cluster.\n"
                            "`muster cluster rebuild` fetches its data anew; or remove it, with "
                            "`muster cluster remove NODE` on another member, then reset it."));
    }
    call_release(resetter->call);
    resetter->call = NULL;
    arena_release(&arena);
}

static bool believe_member(void *context, uint64_t node_id)
{
    const struct resetter *resetter = context;
    const struct identity *identity = &resetter->daemon->identity;
    for (size_t i = 0; i < identity->member_count; i++) {
        if (identity->members[i] == node_id) {
            return true;
        }
    }
    return false;
}

static struct status ask(struct resetter *resetter)
{
    struct daemon *daemon = resetter->daemon;
    const struct rpc_node_id self = {.node_id = daemon->identity.node_id};
    struct ask_question question = {
        .addresses = daemon->identity.contacts,
        .believe = believe_member,
        .done = on_standing,
        .context = resetter,
    };
    struct buffer request = {0};
    struct status status =
        rpc_frame_begin_request(&request, 1, rpc_methods[RPC_CLUSTER_STANDING].name)
            ? codec_encode(&rpc_node_id_codec, CODEC_NAMES, &self, &request)
            : fail(STATUS_NO_MEMORY, "ask for a standing");
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &resetter->ask);
    }
    buffer_release(&request);
    return status;
}

void resetter_begin(struct resetter *resetter, struct call *call)
{
    struct rpc_reset params;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = OK;
    if (resetter->call != NULL) {
        status = fail(STATUS_BUSY, "this node is being reset already");
    } else if (resetter->daemon->identity.contacts.count == 0) {
        status = fail(STATUS_REFUSED, "this node knows of no other member that could say whether "
                                      "it is one\nPut a backup of its data folder back.");
    } else {
        status = ask(resetter);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    resetter->check = params.check;
    resetter->call = call;
    call_hold(call);
}
