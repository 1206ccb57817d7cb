/*
 * What only a program has that pretends to be the next version: tests/system/upgrade_test.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "handlers.h"

static void on_probed(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "probed");
}

void handle_next_probe(struct call *call)
{
    struct rpc_name params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_NEXT_PROBE,
        .body.next_probe = {.text = params.name},
    };
    call_propose(call, &command, on_probed);
}
