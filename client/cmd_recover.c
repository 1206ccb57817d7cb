/*
 * `muster cluster recover`: going on without a quorum. Without --yes it only shows what would
 * happen; with it, on a terminal, the cluster's name has to be typed.
 *
 *     cluster   mail-eu, lineage 2 would begin on esa2
 *     from      this node's own state and log, up to entry 812 of term 7
 *
 *     NAME  ROLE     ENTRY  TERM  SAYS
 *     esa1  voter        -     -  does not answer: ...
 *     esa2  voter      812     7  member, log up to ...
 *
 *     What may be lost, and what follows
 *     - ...
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli_output.h"
#include "client/recovery.h"
#include "cmd.h"
#include "cmd_recovery.h"

#define RECOVER_PATIENCE_MS 45000U /* Members that do not answer are waited for. */

static void print_losses(struct cli *cli, const struct codec_list *losses)
{
    const struct slice *items = losses->items;
    (void)printf("\n%sWhat may be lost, and what follows%s\n", output_colour(cli, COLOUR_BOLD),
                 output_plain(cli));
    for (size_t i = 0; i < losses->count; i++) {
        (void)printf("- %s\n", output_safe(&cli->arena, items[i]));
    }
}

static void print_head(struct cli *cli, const struct rpc_recovery *plan)
{
    char at[OUTPUT_TEXT_SIZE];
    char produced[OUTPUT_TEXT_SIZE];
    char pending[OUTPUT_TEXT_SIZE];
    (void)printf("cluster   %s (%s), lineage %llu would begin on %s\n",
                 plan->cluster.size > 0 ? output_safe(&cli->arena, plan->cluster) : "none",
                 output_safe(&cli->arena, plan->cluster_id), (unsigned long long)plan->lineage,
                 output_safe(&cli->arena, plan->node));
    (void)printf("from      %s, up to entry %llu of term %llu\n",
                 output_safe(&cli->arena, plan->source), (unsigned long long)plan->index,
                 (unsigned long long)plan->term);
    if (plan->taken_at_ms > 0) {
        (void)printf("taken     %s\n", output_time(plan->taken_at_ms, at));
    }
    (void)printf("records   %s, %s of them not delivered\n", output_count(plan->produced, produced),
                 output_count(plan->pending, pending));
}

int recovery_show(struct cli *cli, const struct rpc_recovery *plan)
{
    static const struct column columns[] = {
        {"NAME", "name", COLUMN_TEXT},        {"ROLE", "role", COLUMN_TEXT},
        {"ENTRY", "last_index", COLUMN_TEXT}, {"TERM", "last_term", COLUMN_TEXT},
        {"SAYS", "says", COLUMN_TEXT},
    };
    int exit_code = 0;
    bool refused = plan->problems.count > 0;
    if (output_json(cli, &rpc_recovery_codec, plan, &exit_code)) {
        return refused ? CLI_EXIT_REFUSED : exit_code;
    }
    print_head(cli, plan);
    if (plan->members.count > 0) { /* Of a snapshot none are asked. */
        (void)printf("\n");
        exit_code = output_list(cli, &rpc_survivor_codec, &plan->members, columns,
                                sizeof(columns) / sizeof(columns[0]), "");
    }
    print_losses(cli, &plan->losses);
    if (refused) {
        (void)printf("\n%sWhy not%s\n", output_colour(cli, COLOUR_BOLD), output_plain(cli));
        cmd_print_problems(cli, &plan->problems);
        return CLI_EXIT_REFUSED;
    }
    return exit_code;
}

bool recovery_confirm(struct slice name, int *exit_code)
{
    char typed[RPC_NAME_SIZE_MAX + 2] = "";
    if (isatty(STDIN_FILENO) == 0) {
        return true; /* --yes was given, by a program. */
    }
    (void)fprintf(stderr, "\nThis cannot be undone. Type the cluster's name to go on: ");
    if (fgets(typed, sizeof typed, stdin) != NULL) {
        typed[strcspn(typed, "\n")] = '\0';
        if (slice_equal(slice_of(typed), name)) {
            return true;
        }
    }
    (void)fprintf(stderr, "muster: that is another name; nothing was changed\n");
    *exit_code = CLI_EXIT_ERROR;
    return false;
}

/* ---- Waiting for the node to come back ---- */

static int tell_outcome(struct cli *cli, const struct rpc_cluster_status *status, uint64_t lineage)
{
    const struct rpc_problem *problems = status->problems.items;
    if (status->lineage >= lineage) {
        if (!cli->json) {
            (void)printf("%s goes on as the only member of %s, lineage %llu.\n",
                         output_safe(&cli->arena, status->node_name),
                         output_safe(&cli->arena, status->name),
                         (unsigned long long)status->lineage);
        }
        return 0;
    }
    cmd_print_problems(cli, &(struct codec_list){
                                .items = (void *)(uintptr_t)problems,
                                .count = status->problems.count,
                            });
    return cli_explain_status(cli, fail(STATUS_IO, "the node came back as it was: nothing was "
                                                   "changed; its log says why"));
}

/* It has started again since, and says what it is now. */
static bool has_come_back(struct cli *cli, uint64_t begun_ms, struct rpc_cluster_status *status)
{
    struct rpc_empty empty = {0};
    struct rpc_version version = {0};
    struct connection_error error;
    return !failed(cli_try(cli, RPC_NODE_VERSION, &empty, &version, &error)) &&
           version.uptime_ms < clock_monotonic_ms() - begun_ms &&
           !failed(cli_try(cli, RPC_CLUSTER_STATUS, &empty, status, &error));
}

int recovery_wait(struct cli *cli, uint64_t lineage, uint64_t patience_ms)
{
    char last[CMD_PROGRESS_SIZE] = "";
    uint64_t begun_ms = clock_monotonic_ms();
    cli->stale = true; /* What this node is, it knows by itself. */
    while (clock_monotonic_ms() - begun_ms < patience_ms) {
        struct rpc_cluster_status status = {0};
        cmd_pause(RECOVERY_LOOK_MS);
        if (has_come_back(cli, begun_ms, &status)) {
            cmd_progress_end(last);
            return tell_outcome(cli, &status, lineage);
        }
        cmd_progress(last, "Waiting for the node to come back as lineage %llu ...",
                     (unsigned long long)lineage);
    }
    cmd_progress_end(last);
    return cli_explain_status(
        cli, fail(STATUS_UNKNOWN, "the node has not come back yet; look at its log"));
}

/* ---- The command ---- */

int cmd_cluster_recover(struct cli *cli)
{
    struct rpc_recover recover = {0};
    struct rpc_recovery plan = {0};
    if (cli->timeout_ms == 0) {
        cli->timeout_ms = RECOVER_PATIENCE_MS;
    }
    int exit_code = cli_call(cli, RPC_CLUSTER_RECOVER, &recover, &plan);
    if (exit_code != 0) {
        return exit_code;
    }
    bool asked = cli_has(cli, CLI_YES) && !cli_has(cli, CLI_DRY_RUN);
    if (!asked || plan.problems.count > 0 || !cli->json) {
        exit_code = recovery_show(cli, &plan);
    }
    if (exit_code != 0 || !asked) {
        if (exit_code == 0 && !cli->json) {
            (void)printf("\nNothing was changed. To do it: muster cluster recover --yes\n");
        }
        return exit_code;
    }
    if (!recovery_confirm(plan.cluster, &exit_code)) {
        return exit_code;
    }
    struct rpc_recovery begun = {0};
    recover = (struct rpc_recover){.proceed = true, .cluster = plan.cluster};
    exit_code = cli_call(cli, RPC_CLUSTER_RECOVER, &recover, &begun);
    if (exit_code == 0 && (!begun.begun || cli->json)) {
        exit_code = recovery_show(cli, &begun);
    }
    return exit_code == 0 && begun.begun ? recovery_wait(cli, begun.lineage, RECOVERY_PATIENCE_MS)
                                         : exit_code;
}
