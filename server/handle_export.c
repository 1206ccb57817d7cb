/*
 * Handlers of export.*: the balance, pausing, and dead letters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
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
    const struct rpc_dead_letters view = {.dead_letters = {.items = rows, .count = letters.count}};
    call_reply(call, &view);
}

static void on_settled(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call,
              call->row == &rpc_methods[RPC_EXPORT_RETRY] ? "it goes out again" : "discarded");
}

static void settle_dead_letter(struct call *call, enum command_type type)
{
    struct rpc_sequence params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {.type = type};
    if (type == COMMAND_DEAD_LETTER_RETRY) {
        command.body.dead_letter_retry.sequence = params.sequence;
    } else {
        command.body.dead_letter_discard.sequence = params.sequence;
    }
    call_propose(call, &command, on_settled);
}

void handle_dead_letter_retry(struct call *call)
{
    settle_dead_letter(call, COMMAND_DEAD_LETTER_RETRY);
}

void handle_dead_letter_discard(struct call *call)
{
    settle_dead_letter(call, COMMAND_DEAD_LETTER_DISCARD);
}
