/*
 * `muster cluster settings` and `muster cluster set`: what all members do alike.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_output.h"
#include "cmd.h"

static int show_settings(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"voters", "voters", COLUMN_TEXT},
    };
    (void)compact;
    return output_facts(cli, &rpc_settings_codec, result, columns,
                        sizeof(columns) / sizeof(columns[0]));
}

int cmd_cluster_settings(struct cli *cli)
{
    struct rpc_settings settings = {0};
    return cmd_read(cli, RPC_CLUSTER_SETTINGS, &settings, show_settings);
}

int cmd_cluster_set(struct cli *cli)
{
    const char *text = cli->arguments[1];
    char *end = NULL;
    if (strcmp(cli->arguments[0], "voters") != 0) {
        return cli_explain_status(
            cli,
            fail(STATUS_INVALID, "there is no setting %.64s; there is: voters", cli->arguments[0]));
    }
    struct rpc_settings_set set = {.voters = strtoull(text, &end, 10)};
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || set.voters == 0 ||
        set.voters > RPC_MEMBERS_MAX) {
        return cli_explain_status(cli,
                                  fail(STATUS_INVALID, "voters is 1, 3, 5 or 7, not %.64s", text));
    }
    return cli_call(cli, RPC_CLUSTER_SET, &set, NULL);
}
