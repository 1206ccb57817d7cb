/*
 * `muster cluster key` and `muster cluster rotate-key`.
 *
 *     key 2 is being introduced, waiting for esa3
 *     reason     asked for, since 2026-01-31T08:00:00Z
 *     sealed     3 secrets under key 1
 *
 *     MEMBER  GIVEN  HOLDS  SILENT
 *     esa1    yes    yes    no
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/clock.h"
#include "cli_output.h"
#include "client/cluster_key.h"
#include "cmd.h"

#define LOOK_MS 500U
#define CALL_DEADLINE_MS 10000U
#define WAIT_DEFAULT_MS 60000U /* A member that is down may take for ever. */

static int show_key(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"MEMBER", "name", COLUMN_TEXT},
        {"GIVEN", "given", COLUMN_YES_NO},
        {"HOLDS", "held", COLUMN_YES_NO},
        {"SILENT", "silent", COLUMN_YES_NO},
    };
    const struct rpc_cluster_key *key = result;
    char at[OUTPUT_TEXT_SIZE];
    int exit_code = 0;
    if (output_json(cli, &rpc_cluster_key_codec, key, &exit_code)) {
        return exit_code;
    }
    (void)printf("%s\n", output_safe(&cli->arena, key->message));
    if (compact) {
        return 0;
    }
    if (key->reason.size > 0) {
        (void)printf("reason     %s%s%s\n", output_safe(&cli->arena, key->reason),
                     key->began_at_ms == 0 ? "" : ", since ",
                     key->began_at_ms == 0 ? "" : output_time(key->began_at_ms, at));
    }
    (void)printf("sealed     %llu secrets under key %llu\n\n", (unsigned long long)key->sealed,
                 (unsigned long long)key->key_epoch);
    return output_list(cli, &rpc_key_holder_codec, &key->holders, columns,
                       sizeof(columns) / sizeof(columns[0]), "There are no members.");
}

int cmd_cluster_key(struct cli *cli)
{
    struct rpc_cluster_key key = {0};
    return cmd_read(cli, RPC_CLUSTER_KEY, &key, show_key);
}

/* Follow the rotation until it is done, or our patience ends: it goes on without us. */
static struct status follow(struct cli *cli, uint64_t deadline_ms, struct rpc_cluster_key *key)
{
    char last[CMD_PROGRESS_SIZE] = "";
    struct status status = OK;
    while (key->next_epoch != 0) {
        cmd_progress(last, "%.150s", output_safe(&cli->arena, key->message));
        if (clock_monotonic_ms() >= deadline_ms) {
            status = fail(STATUS_UNKNOWN, "the rotation is not over and goes on by itself; `muster "
                                          "cluster key` says which members it waits for");
            break;
        }
        cmd_pause(LOOK_MS);
        struct rpc_empty empty = {0};
        struct rpc_cluster_key next = {0};
        struct connection_error error;
        /* A change of leader in between is no reason to give up. */
        if (!failed(cli_try(cli, RPC_CLUSTER_KEY, &empty, &next, &error))) {
            *key = next;
        }
    }
    cmd_progress_end(last);
    return status;
}

int cmd_cluster_rotate_key(struct cli *cli)
{
    struct rpc_rotate_key rotate = {.check = cli_has(cli, CLI_CHECK)};
    struct rpc_cluster_key key = {0};
    int exit_code = 0;
    uint64_t patience_ms = cli->timeout_ms > 0 ? cli->timeout_ms : WAIT_DEFAULT_MS;
    uint64_t deadline_ms = clock_monotonic_ms() + patience_ms;
    if (!rotate.check &&
        !cli_confirm(cli, &exit_code,
                     "The cluster key is replaced. Snapshots made from now on need a new recovery "
                     "key.")) {
        return exit_code;
    }
    if (cli->timeout_ms == 0 || cli->timeout_ms > CALL_DEADLINE_MS) {
        cli->timeout_ms = CALL_DEADLINE_MS;
    }
    exit_code = cli_call(cli, RPC_CLUSTER_ROTATE_KEY, &rotate, &key);
    if (exit_code != 0) {
        return exit_code;
    }
    if (!rotate.check && !cli_has(cli, CLI_NO_WAIT)) {
        struct status status = follow(cli, deadline_ms, &key);
        if (failed(status)) {
            return cli_explain_status(cli, status);
        }
        if (!cli->json) {
            (void)fprintf(stderr, "Take a new recovery key: muster cluster recovery-key FILE\n");
        }
    }
    return show_key(cli, &key, false);
}
