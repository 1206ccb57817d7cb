/*
 * `muster node`, `version`, `describe`, `digest` and `completion`: about the tool, the node and their
 * protocol.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli_completion.h"
#include "cli_output.h"
#include "cmd.h"

static int show_version(struct cli *cli, const void *result, bool compact)
{
    const struct rpc_version *version = result;
    char uptime[OUTPUT_TEXT_SIZE];
    (void)compact;
    (void)printf("muster   %s, protocol %d\n", MUSTER_VERSION, RPC_PROTOCOL_VERSION);
    (void)printf("musterd  %s, protocol %llu, %s, process %llu, up %s\n",
                 output_safe(&cli->arena, version->version), (unsigned long long)version->protocol,
                 output_safe(&cli->arena, version->library), (unsigned long long)version->pid,
                 output_span(version->uptime_ms, uptime));
    return 0;
}

int cmd_version(struct cli *cli)
{
    struct rpc_version version = {0};
    return cmd_read(cli, RPC_NODE_VERSION, &version, show_version);
}

static int show_node_status(struct cli *cli, const void *result, bool compact)
{
    const struct rpc_node_status *status = result;
    char free_size[OUTPUT_TEXT_SIZE];
    char size[OUTPUT_TEXT_SIZE];
    char next[OUTPUT_TEXT_SIZE] = "not by itself";
    char since[CLOCK_TEXT_SIZE];
    if (status->next_try_in_ms != UINT64_MAX) {
        (void)output_span(status->next_try_in_ms, next);
    }
    (void)printf("%s %s; its disk has %s free of %s\n", output_safe(&cli->arena, status->name),
                 status->suspended ? "takes no part" : "takes part",
                 output_size(status->disk_free, free_size), output_size(status->disk_size, size));
    if (!status->suspended || compact) {
        return 0;
    }
    (void)printf("  since      %s (%s)\n  reason     %s\n  next try   %s, %llu so far\n",
                 clock_format(status->since_ms, since), output_safe(&cli->arena, status->kind),
                 output_safe(&cli->arena, status->reason), next,
                 (unsigned long long)status->attempts);
    if (status->last_try.size > 0) {
        (void)printf("  last try   %s\n", output_safe(&cli->arena, status->last_try));
    }
    (void)printf("  reads      %s\n  what helps %s\n",
                 status->readable ? "stale ones are answered (--stale)" : "none",
                 output_safe(&cli->arena, status->remedy));
    return 0;
}

int cmd_node_status(struct cli *cli)
{
    struct rpc_node_status status = {0};
    return cmd_read(cli, RPC_NODE_STATUS, &status, show_node_status);
}

int cmd_node_retry(struct cli *cli)
{
    struct rpc_empty empty = {0};
    return cli_call(cli, RPC_NODE_RETRY, &empty, NULL);
}

int cmd_digest(struct cli *cli)
{
    struct rpc_digest params = {.deep = cli_has(cli, CLI_DEEP)};
    struct rpc_digest_view view = {0};
    int exit_code = cli_call(cli, RPC_NODE_DIGEST, &params, &view);
    if (exit_code == 0 && !output_json(cli, &rpc_digest_view_codec, &view, &exit_code)) {
        (void)printf("%llu:%s\n", (unsigned long long)view.index,
                     output_safe(&cli->arena, view.digest));
    }
    return exit_code;
}

static void print_fields(struct cli *cli, const char *title, const struct codec_list *fields)
{
    const struct slice *texts = fields->items;
    for (size_t i = 0; i < fields->count; i++) {
        (void)printf("    %-8s %s\n", i == 0 ? title : "", output_safe(&cli->arena, texts[i]));
    }
}

static void print_method(struct cli *cli, const struct rpc_method_view *method)
{
    (void)printf("%s%s%s (role %s, routing %s)\n    %s\n", output_colour(cli, COLOUR_BOLD),
                 output_safe(&cli->arena, method->method), output_plain(cli),
                 output_safe(&cli->arena, method->role), output_safe(&cli->arena, method->routing),
                 output_safe(&cli->arena, method->summary));
    print_fields(cli, "params", &method->params);
    print_fields(cli, "result", &method->results);
}

int cmd_describe(struct cli *cli)
{
    struct rpc_empty empty = {0};
    struct rpc_description description = {0};
    int exit_code = cli_call(cli, RPC_DESCRIBE, &empty, &description);
    if (exit_code != 0 || output_json(cli, &rpc_description_codec, &description, &exit_code)) {
        return exit_code;
    }
    const struct rpc_method_view *methods = description.methods.items;
    struct slice wanted = cli_argument(cli, 0);
    size_t shown = 0;
    for (size_t i = 0; i < description.methods.count; i++) {
        if (wanted.size == 0 || slice_equal(wanted, methods[i].method)) {
            print_method(cli, &methods[i]);
            shown++;
        }
    }
    return shown > 0 ? 0 : cli_usage(cli, "the node has no method of this name");
}

int cmd_completion(struct cli *cli)
{
    return cli_completion_print(stdout, cli->arguments[0])
               ? 0
               : cli_usage(cli, "completions exist for bash, zsh and fish");
}
