/*
 * `muster node saved`: what a node was before it joined, and the records of then.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "cli_output.h"
#include "cmd.h"

static int show_saved(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"LINEAGE", "lineage", COLUMN_TEXT},   {"STATE", "state", COLUMN_TEXT},
        {"SAVED", "saved_at_ms", COLUMN_TIME}, {"UNDELIVERED", "undelivered", COLUMN_COUNT},
        {"SUBMITTED", "given", COLUMN_COUNT},  {"FOLDER", "folder", COLUMN_TEXT},
        {"PROBLEM", "error", COLUMN_TEXT},
    };
    const struct rpc_saved *saved = result;
    (void)compact;
    return output_list(cli, &rpc_saved_life_codec, &saved->lives, columns,
                       sizeof(columns) / sizeof(columns[0]), "Nothing is kept aside.");
}

int cmd_saved_list(struct cli *cli)
{
    struct rpc_saved saved = {0};
    return cmd_read(cli, RPC_NODE_SAVED_LIST, &saved, show_saved);
}

int cmd_saved_submit(struct cli *cli)
{
    const struct rpc_lineage params = {.lineage = cli_argument(cli, 0)};
    return cli_call(cli, RPC_NODE_SAVED_SUBMIT, &params, NULL);
}

int cmd_saved_discard(struct cli *cli)
{
    const struct rpc_lineage params = {.lineage = cli_argument(cli, 0)};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code, "%.32s is removed, with records that exist nowhere else.",
                     cli->arguments[0])) {
        return exit_code;
    }
    return cli_call(cli, RPC_NODE_SAVED_DISCARD, &params, NULL);
}
