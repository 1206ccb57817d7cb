/*
 * Handlers of node.saved.*: the lives that this node had before it joined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "saved.h"

static const char *state_name(const struct saved_life *life)
{
    if (!life->note.looked) {
        return life->error[0] == '\0' ? "looking" : "unread";
    }
    if (life->note.undelivered == 0) {
        return "empty";
    }
    if (life->note.phase == SAVED_DONE) {
        return "submitted";
    }
    return life->note.submit ? "submitting" : "kept";
}

void handle_saved_list(struct call *call)
{
    size_t count;
    const struct saved_life *lives = saved_lives(call->daemon->saved, &count);
    struct rpc_saved_life *rows = arena_alloc(&call->arena, count, sizeof *rows);
    if (rows == NULL) {
        call_fail(call, fail(STATUS_NO_MEMORY, "list saved lives"));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct rpc_saved_life){
            .lineage = slice_of(lives[i].lineage),
            .folder = slice_of(lives[i].path),
            .state = slice_of(state_name(&lives[i])),
            .saved_at_ms = lives[i].note.saved_at_ms,
            .undelivered = lives[i].note.undelivered,
            .given = lives[i].note.given,
            .error = slice_of(lives[i].error),
        };
    }
    const struct rpc_saved view = {.lives = {.items = rows, .count = count}};
    call_reply(call, &view);
}

void handle_saved_submit(struct call *call)
{
    struct rpc_lineage params;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = saved_submit(call->daemon->saved, params.lineage);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_done(call, "the records are being submitted; `muster node saved list` says how far");
    }
}

void handle_saved_discard(struct call *call)
{
    struct rpc_lineage params;
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = saved_discard(call->daemon->saved, params.lineage);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_done(call, "removed");
    }
}
