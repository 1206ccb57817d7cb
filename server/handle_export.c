/*
 * Handlers of export.*: the balance, pausing, and dead letters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdbool.h>

#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "views.h"

#define PAGE_LIMIT_DEFAULT 100

void handle_export_status(struct call *call)
{
    struct rpc_export view;
    struct status status = view_export(call->daemon, &call->arena, call->options.stale, &view);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &view);
    }
}

static void on_paused(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "paused; what is produced waits, `muster export resume` lets it go on");
}

void handle_export_pause(struct call *call)
{
    struct rpc_pause params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_EXPORT_PAUSE,
        .body.export_pause = {.paused = true, .reason = params.reason},
    };
    call_propose(call, &command, on_paused);
}

static void on_resumed(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "resumed");
}

void handle_export_resume(struct call *call)
{
    struct command command = {.type = COMMAND_EXPORT_PAUSE};
    call_propose(call, &command, on_resumed);
}

void handle_dead_letters(struct call *call)
{
    struct rpc_page params;
    struct codec_list letters = {0};
    if (!call_params(call, &params)) {
        return;
    }
    struct status status =
        store_dead_letters(call->daemon->store, &call->arena, params.after,
                           params.limit == 0 ? PAGE_LIMIT_DEFAULT : params.limit, &letters);
    struct rpc_dead_letter *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, letters.count, sizeof *rows);
    if (failed(status) || rows == NULL) {
        call_fail(call, failed(status) ? status : fail(STATUS_NO_MEMORY, "list dead letters"));
        return;
    }
    const struct dead_letter_view *all = letters.items;
    for (size_t i = 0; i < letters.count; i++) {
        rows[i] = (struct rpc_dead_letter){
            .sequence = all[i].record.sequence,
            .serial = all[i].record.serial,
            .id = all[i].record.id,
            .reason = all[i].reason,
            .at_ms = all[i].at_ms,
        };
    }
    const struct rpc_dead_letters view = {
        .dead_letters = {.items = rows, .count = letters.count},
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}

/* ---- Settling dead letters: one, or one after the other until none is left ---- */

struct settle_state {
    bool all;
    uint64_t after; /* The last one settled. */
    uint64_t count;
};

static void settle_next(struct call *call, uint64_t sequence);

static void on_settled(struct call *call, struct apply_outcome outcome)
{
    struct settle_state *state = call->state;
    struct codec_list letters = {0};
    struct arena arena = {0}; /* Not the call's: it would grow with the number of letters. */
    (void)outcome;
    state->count++;
    struct status status =
        state->all ? store_dead_letters(call->daemon->store, &arena, state->after, 1, &letters)
                   : OK;
    if (failed(status)) {
        call_fail(call, status);
    } else if (letters.count > 0 && !call->answered) {
        const struct dead_letter_view *next = letters.items;
        settle_next(call, next->record.sequence);
    } else {
        call_done(call, "%llu %s", (unsigned long long)state->count,
                  call->row == &rpc_methods[RPC_EXPORT_RETRY] ? "to go out again" : "discarded");
    }
    arena_release(&arena);
}

static void settle_next(struct call *call, uint64_t sequence)
{
    struct settle_state *state = call->state;
    struct command command = {0};
    state->after = sequence;
    if (call->row == &rpc_methods[RPC_EXPORT_RETRY]) {
        command.type = COMMAND_DEAD_LETTER_RETRY;
        command.body.dead_letter_retry.sequence = sequence;
    } else {
        command.type = COMMAND_DEAD_LETTER_DISCARD;
        command.body.dead_letter_discard.sequence = sequence;
    }
    call_propose(call, &command, on_settled);
}

static void settle(struct call *call)
{
    struct rpc_sequence params;
    struct codec_list letters = {0};
    struct settle_state *state = arena_alloc(&call->arena, 1, sizeof *state);
    if (!call_params(call, &params)) {
        return;
    }
    struct status status = state == NULL ? fail(STATUS_NO_MEMORY, "settle dead letters") : OK;
    if (!failed(status) && params.sequence == 0) {
        status = store_dead_letters(call->daemon->store, &call->arena, 0, 1, &letters);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    call->state = state;
    state->all = params.sequence == 0;
    const struct dead_letter_view *first = letters.items;
    if (state->all && letters.count == 0) {
        call_done(call, "there are no dead letters");
        return;
    }
    settle_next(call, state->all ? first->record.sequence : params.sequence);
}

void handle_dead_letter_retry(struct call *call)
{
    settle(call);
}

void handle_dead_letter_discard(struct call *call)
{
    settle(call);
}
