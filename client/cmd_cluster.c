/*
 * `muster cluster`: beginning, joining and leaving a cluster, and join tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli_output.h"
#include "cmd.h"

#define JOIN_PATIENCE_MS 120000U /* A node that restarts its consensus and catches up. */
#define JOIN_LOOK_MS 1000U
#define JOIN_STANDALONE_LOOKS 5U /* So long it may be on its way to another standing. */
#define TOKEN_TTL_DEFAULT_S 3600U
#define RESET_PATIENCE_MS 30000U /* A node that has no leader asks the members first. */
#define RETURN_PATIENCE_MS 30000U
#define RETURN_LOOK_MS 200U

int cmd_cluster_init(struct cli *cli)
{
    struct rpc_cluster_init init = {.name = cli_argument(cli, 0)};
    return cli_call(cli, RPC_CLUSTER_INIT, &init, NULL);
}

/* Only the registered machine has something to hand over. */
static int hand_over(struct cli *cli)
{
    struct rpc_empty empty = {0};
    struct rpc_node_status node = {0}; /* Which node is asked: it answers itself. */
    struct rpc_registration registration = {0};
    struct rpc_name heir = {.name = cli_value(cli, CLI_HAND_OVER)};
    int exit_code = cli_call(cli, RPC_NODE_STATUS, &empty, &node);
    if (exit_code == 0) {
        exit_code = cli_call(cli, RPC_REGISTRATION_STATUS, &empty, &registration);
    }
    if (exit_code != 0 || !slice_equal(registration.machine, node.name)) {
        return exit_code;
    }
    return cli_call(cli, RPC_REGISTRATION_HAND_OVER, &heir, NULL);
}

/* A node that left is standalone already; until its daemon has started again it answers nothing. Far
 * away nothing is awaited: with another CA it would not know its caller any more. */
static void await_return(struct cli *cli)
{
    char last[CMD_PROGRESS_SIZE] = "";
    uint64_t deadline_ms = clock_monotonic_ms() + RETURN_PATIENCE_MS;
    bool back = cli->connect.address != NULL;
    cli->stale = true; /* What this node is, it knows by itself. */
    while (!back && clock_monotonic_ms() < deadline_ms) {
        struct rpc_cluster_status status = {0};
        struct rpc_empty empty = {0};
        struct connection_error error;
        back = !failed(cli_try(cli, RPC_CLUSTER_STATUS, &empty, &status, &error)) &&
               slice_equal(status.standing, slice_of("standalone"));
        if (!back) {
            cmd_progress(last, "Waiting for the node to come back ...");
            cmd_pause(RETURN_LOOK_MS);
        }
    }
    cmd_progress_end(last);
    if (!back) {
        (void)fprintf(stderr, "It has not come back yet; the log of musterd says why.\n");
    }
}

int cmd_cluster_leave(struct cli *cli)
{
    struct rpc_empty empty = {0};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code,
                     "This node leaves its cluster: it stands alone afterwards, without the "
                     "cluster's registration, credentials and records.")) {
        return exit_code;
    }
    if (cli_has(cli, CLI_HAND_OVER)) {
        exit_code = hand_over(cli);
        if (exit_code != 0) {
            return exit_code;
        }
    }
    exit_code = cli_call(cli, RPC_CLUSTER_LEAVE, &empty, NULL);
    if (exit_code == 0) {
        await_return(cli);
    }
    return exit_code;
}

static void print_discarded(struct cli *cli, const struct rpc_discarded *discarded)
{
    const struct slice *items = discarded->items.items;
    (void)fprintf(stderr, "%s\nA reset throws away, of the cluster %s:\n",
                  output_safe(&cli->arena, discarded->reason),
                  output_safe(&cli->arena, discarded->cluster));
    for (size_t i = 0; i < discarded->items.count; i++) {
        (void)fprintf(stderr, "  - %s\n", output_safe(&cli->arena, items[i]));
    }
}

int cmd_cluster_reset(struct cli *cli)
{
    struct rpc_reset reset = {.check = true};
    struct rpc_discarded discarded = {0};
    cli->timeout_ms = cli->timeout_ms == 0 ? RESET_PATIENCE_MS : cli->timeout_ms;
    int exit_code = cli_call(cli, RPC_CLUSTER_RESET, &reset, &discarded);
    if (exit_code != 0) {
        return exit_code;
    }
    print_discarded(cli, &discarded);
    reset.check = cli_has(cli, CLI_CHECK);
    if (!reset.check) {
        if (!cli_confirm(cli, &exit_code, "This node becomes standalone.")) {
            return exit_code;
        }
        exit_code = cli_call(cli, RPC_CLUSTER_RESET, &reset, &discarded);
    }
    if (exit_code == 0 && !output_json(cli, &rpc_discarded_codec, &discarded, &exit_code)) {
        (void)printf("%s\n", output_safe(&cli->arena, discarded.message));
    }
    if (exit_code == 0 && !reset.check) {
        await_return(cli);
    }
    return exit_code;
}

int cmd_cluster_rebuild(struct cli *cli)
{
    struct rpc_rebuild rebuild = {.check = cli_has(cli, CLI_CHECK)};
    int exit_code = 0;
    if (!rebuild.check &&
        !cli_confirm(cli, &exit_code,
                     "This node's log and state are moved aside and fetched anew from the other "
                     "members; until then it takes no part.")) {
        return exit_code;
    }
    return cli_call(cli, RPC_CLUSTER_REBUILD, &rebuild, NULL);
}

int cmd_cluster_remove(struct cli *cli)
{
    struct rpc_remove removal = {.name = cli_argument(cli, 0), .force = cli_has(cli, CLI_FORCE)};
    int exit_code = 0;
    if (!cli_confirm(
            cli, &exit_code, "Node %.64s is taken out of the cluster.%s", cli->arguments[0],
            removal.force ? " By force: it is not asked, and what only it had is lost." : "")) {
        return exit_code;
    }
    return cli_call(cli, RPC_CLUSTER_REMOVE, &removal, NULL);
}

int cmd_cluster_transfer(struct cli *cli)
{
    struct rpc_name name = {.name = cli_argument(cli, 0)};
    return cli_call(cli, RPC_CLUSTER_TRANSFER, &name, NULL);
}

/* ---- Join tokens ---- */

int cmd_token_create(struct cli *cli)
{
    struct rpc_token_create create = {.for_name = cli_value(cli, CLI_FOR)};
    struct rpc_token_created created = {0};
    char until[OUTPUT_TEXT_SIZE];
    if (!cli_span_s(cli, CLI_TTL, TOKEN_TTL_DEFAULT_S, &create.ttl_s)) {
        return CLI_EXIT_USAGE;
    }
    int exit_code = cli_call(cli, RPC_CLUSTER_TOKEN_CREATE, &create, &created);
    if (exit_code != 0 || output_json(cli, &rpc_token_created_codec, &created, &exit_code)) {
        return exit_code;
    }
    const char *token = output_safe(&cli->arena, created.token);
    (void)fprintf(stderr, "Good once, until %s; id %s. On the node that shall join:\n",
                  output_time(created.expires_at_ms, until),
                  output_safe(&cli->arena, created.token_id));
    /* The token is no argument: those can be read by everybody on that node. A shell that heeds
     * HISTCONTROL keeps no line that begins with a space. */
    (void)printf(cli->terminal ? " muster cluster join --yes --token-file - <<'END'\n%s\nEND\n"
                               : "%s\n",
                 token);
    return 0;
}

static int show_tokens(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"ID", "token_id", COLUMN_TEXT},     {"STATE", "state", COLUMN_TEXT},
        {"FOR", "for_name", COLUMN_TEXT},    {"CREATED", "created_at_ms", COLUMN_TIME},
        {"BY", "created_by", COLUMN_TEXT},   {"EXPIRES", "expires_at_ms", COLUMN_TIME},
        {"USED", "used_at_ms", COLUMN_TIME},
    };
    const struct rpc_tokens *tokens = result;
    (void)compact;
    return output_list(cli, &rpc_token_codec, &tokens->tokens, columns,
                       sizeof(columns) / sizeof(columns[0]), "There are no join tokens.");
}

int cmd_token_list(struct cli *cli)
{
    struct rpc_tokens tokens = {0};
    return cmd_read(cli, RPC_CLUSTER_TOKEN_LIST, &tokens, show_tokens);
}

int cmd_token_revoke(struct cli *cli)
{
    struct rpc_token_id token = {.token_id = cli_argument(cli, 0)};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code, "Join token %.16s becomes worthless.", cli->arguments[0])) {
        return exit_code;
    }
    return cli_call(cli, RPC_CLUSTER_TOKEN_REVOKE, &token, NULL);
}

/* ---- Joining ---- */

static int show_joined(struct cli *cli, const struct rpc_joined *joined)
{
    int exit_code = 0;
    bool refused = joined->problems.count > 0;
    if (output_json(cli, &rpc_joined_codec, joined, &exit_code)) {
        return refused ? CLI_EXIT_REFUSED : exit_code;
    }
    if (refused) {
        (void)printf("This node cannot join%s%s:\n", joined->cluster.size > 0 ? " " : "",
                     output_safe(&cli->arena, joined->cluster));
        cmd_print_problems(cli, &joined->problems);
        return CLI_EXIT_REFUSED;
    }
    if (slice_equal(joined->cloud_check, slice_of("unreachable"))) {
        (void)fprintf(stderr,
                      "muster: the cloud could not be asked whether it lists this appliance; "
                      "what the appliance says of itself is believed\n");
    }
    if (joined->check && joined->undelivered > 0) {
        (void)fprintf(stderr,
                      "%llu of its own records were not delivered: they would be kept aside "
                      "in %s, or submitted to the cluster with --keep-records.\n",
                      (unsigned long long)joined->undelivered,
                      output_safe(&cli->arena, joined->saved));
    }
    if (joined->message.size > 0) {
        (void)printf("%s\n", output_safe(&cli->arena, joined->message));
    } else if (joined->check) {
        (void)printf("Nothing stands in the way: this node would join %s.\n",
                     output_safe(&cli->arena, joined->cluster));
    } else {
        (void)printf("This node is a member of %s.\n", output_safe(&cli->arena, joined->cluster));
    }
    return exit_code;
}

/* What was seen of a node after its answer to the join was lost. */
struct join_watch {
    struct slice cloud_check;  /* As the answer had it, if it came. */
    bool joining_seen;         /* It was admitted: if it is standalone now, that was undone. */
    unsigned standalone_looks; /* In a row. */
};

/* Whether what the node says of itself decides the matter; `*exit_code` then. */
static bool judge_join(struct cli *cli, const struct rpc_cluster_status *status,
                       struct join_watch *watch, int *exit_code)
{
    struct rpc_joined joined = {.cluster = status->name, .cloud_check = watch->cloud_check};
    if (slice_equal(status->standing, slice_of("member"))) {
        *exit_code = show_joined(cli, &joined);
        return true;
    }
    if (slice_equal(status->standing, slice_of("joining"))) {
        watch->joining_seen = true;
        watch->standalone_looks = 0;
        return false;
    }
    if (watch->joining_seen) {
        *exit_code = cli_explain_status(
            cli, fail(STATUS_REFUSED, "the join did not finish and was undone; the log of musterd "
                                      "says why"));
        return true;
    }
    if (++watch->standalone_looks < JOIN_STANDALONE_LOOKS) {
        return false;
    }
    *exit_code = cli_explain_status(
        cli, fail(STATUS_REFUSED, "the node went away before it had joined, and is standalone; the "
                                  "token may be used up"));
    return true;
}

/* The life before the join, if the node tells of it and has looked into it; false while it has not, or
 * while its records are being submitted and that is to be awaited. */
static bool judge_saved(struct cli *cli, bool keep, char last[CMD_PROGRESS_SIZE],
                        struct rpc_saved_life *out)
{
    struct rpc_saved saved = {0};
    struct rpc_empty empty = {0};
    struct connection_error error;
    *out = (struct rpc_saved_life){0};
    if (failed(cli_try(cli, RPC_NODE_SAVED_LIST, &empty, &saved, &error)) ||
        saved.lives.count == 0) {
        return true;
    }
    *out = ((const struct rpc_saved_life *)saved.lives.items)[saved.lives.count - 1];
    if (keep && slice_equal(out->state, slice_of("submitting"))) {
        cmd_progress(last, "Own records: %llu of %llu submitted ...",
                     (unsigned long long)out->given, (unsigned long long)out->undelivered);
        return false;
    }
    return !slice_equal(out->state, slice_of("looking"));
}

/* What became of the records that were the node's own. */
static void tell_saved(struct cli *cli, bool keep, char last[CMD_PROGRESS_SIZE],
                       uint64_t deadline_ms)
{
    struct rpc_saved_life life;
    while (!judge_saved(cli, keep, last, &life) && clock_monotonic_ms() < deadline_ms) {
        cmd_pause(JOIN_LOOK_MS);
    }
    cmd_progress_end(last);
    unsigned long long left = life.undelivered - life.given;
    const char *folder = output_safe(&cli->arena, life.folder);
    if (slice_equal(life.state, slice_of("submitted"))) {
        (void)fprintf(stderr, "All %llu of its own undelivered records are in the cluster.\n",
                      (unsigned long long)life.undelivered);
    } else if (slice_equal(life.state, slice_of("submitting"))) {
        (void)fprintf(stderr,
                      "%llu of its own records are still to be submitted; the node goes on "
                      "by itself: muster node saved list\n",
                      left);
    } else if (left > 0) {
        (void)fprintf(stderr,
                      "%llu of its own records were never delivered, and are not in the "
                      "cluster: they are kept aside in %s.\n"
                      "  what helps: muster node saved submit, or muster node saved discard\n",
                      left, folder);
    } else if (folder[0] != '\0') {
        (void)fprintf(stderr, "What it was before is kept aside in %s.\n", folder);
    }
}

/* The daemon starts again as a member of the cluster, or went away before it could say so: look
 * what became of it. */
static int look_after_join(struct cli *cli, char last[CMD_PROGRESS_SIZE], uint64_t deadline_ms,
                           struct join_watch watch)
{
    cli->stale = true; /* What this node is, it knows by itself. */
    while (clock_monotonic_ms() < deadline_ms) {
        struct rpc_cluster_status status = {0};
        struct rpc_empty empty = {0};
        struct connection_error error;
        int exit_code = 0;
        if (failed(cli_try(cli, RPC_CLUSTER_STATUS, &empty, &status, &error))) {
            cmd_progress(last, "Waiting for the node to come back ...");
        } else if (judge_join(cli, &status, &watch, &exit_code)) {
            if (exit_code == 0) {
                tell_saved(cli, cli_has(cli, CLI_KEEP_RECORDS), last, deadline_ms);
            }
            cmd_progress_end(last);
            return exit_code;
        } else {
            cmd_progress(last, "This node is %s ...", output_safe(&cli->arena, status.standing));
        }
        cmd_pause(JOIN_LOOK_MS);
    }
    cmd_progress_end(last);
    return cli_explain_status(
        cli, fail(STATUS_UNKNOWN, "the node has not said yet whether it is a member"));
}

static int join_with(struct cli *cli, struct slice token)
{
    struct rpc_join join = {
        .token = token,
        .check = cli_has(cli, CLI_CHECK),
        .keep_records = cli_has(cli, CLI_KEEP_RECORDS),
    };
    struct rpc_joined joined = {0};
    struct connection_error error;
    char last[CMD_PROGRESS_SIZE] = "";
    if (cli->timeout_ms == 0) {
        cli->timeout_ms = JOIN_PATIENCE_MS;
    }
    uint64_t deadline_ms = clock_monotonic_ms() + cli->timeout_ms;
    if (!join.check) {
        cmd_progress(last, "Joining; this takes some seconds ...");
    }
    struct status status = cli_try(cli, RPC_CLUSTER_JOIN, &join, &joined, &error);
    if (!join.check && (status.code == STATUS_UNKNOWN || !failed(status))) {
        return look_after_join(cli, last, deadline_ms,
                               (struct join_watch){.joining_seen = !failed(status),
                                                   .cloud_check = joined.cloud_check});
    }
    cmd_progress_end(last);
    return failed(status) ? cli_explain(cli, &error) : show_joined(cli, &joined);
}

int cmd_cluster_join(struct cli *cli)
{
    struct secret token = {0};
    struct join_token parsed;
    int exit_code = 0;
    if (!cli_secret(cli, CLI_TOKEN_FILE, "Join token", &token, &exit_code)) {
        return exit_code;
    }
    /* A mistyped token is told from a refused one without asking anybody. */
    struct status status = join_token_parse(secret_slice(&token), &parsed);
    secret_wipe(&parsed, sizeof(parsed));
    if (failed(status)) {
        exit_code = cli_explain_status(cli, status);
    } else if (cli_has(cli, CLI_CHECK) ||
               cli_confirm(cli, &exit_code,
                           "This node joins the cluster of the token: its own records and "
                           "credentials are kept aside, and the cluster's take their place.%s",
                           cli_has(cli, CLI_KEEP_RECORDS)
                               ? " Records that were not delivered are submitted to the cluster."
                               : "")) {
        exit_code = join_with(cli, secret_slice(&token));
    }
    secret_release(&token);
    return exit_code;
}
