/*
 * Calls of the node and words for what goes wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli_output.h"
#include "client/json_view.h"

/* What the tool says of an error, whatever the node said. */
struct explanation {
    enum rpc_error error;
    const char *words;
    const char *remedy; /* If the node named none. */
};

static const struct explanation explanations[] = {
    {RPC_INVALID, "invalid", NULL},
    {RPC_UNKNOWN_METHOD, "not known to this node", "update musterd on the node you are asking"},
    {RPC_NOT_FOUND, "not found", NULL},
    {RPC_UNAUTHORIZED, "not authorised",
     "call as root on the node, or with an operator's certificate of the needed role"},
    {RPC_NO_QUORUM, "no quorum",
     "bring voters back (`muster cluster status --stale` shows which are missing)"},
    {RPC_UNREACHABLE, "not reachable",
     "see that musterd runs (systemctl status musterd), or name it with --socket or --address"},
    {RPC_OUTCOME_UNKNOWN, "outcome unknown",
     "look whether it took effect (`muster status`, `muster audit list`) before you repeat it"},
    {RPC_BUSY, "busy", "try again in a moment"},
    {RPC_TIMEOUT, "no answer in time", "try again, with a longer --timeout if it is slow"},
    {RPC_FULL, "no space left", "free space on the node's disk"},
    {RPC_SUSPENDED, "suspended", "`muster node status` says more"},
    {RPC_INTERNAL, "error", NULL},
    {RPC_REFUSED, "refused", NULL},
};

static const struct explanation *explanation_of(uint64_t code)
{
    const size_t count = sizeof(explanations) / sizeof(explanations[0]);
    for (size_t i = 0; i < count; i++) {
        if ((uint64_t)explanations[i].error == code) {
            return &explanations[i];
        }
    }
    return &explanations[code > RPC_REFUSED ? count - 1 : count - 2];
}

/* Take "[registered] " off; it is for programs. */
static struct slice strip_name(struct slice message, struct slice *name)
{
    const char *text = message.data;
    const char *end = message.size > 0 && text[0] == '[' ? memchr(text, ']', message.size) : NULL;
    *name = (struct slice){0};
    if (end == NULL) {
        return message;
    }
    *name = (struct slice){.data = text + 1, .size = (size_t)(end - text) - 1};
    size_t skip = (size_t)(end - text) + 1;
    while (skip < message.size && text[skip] == ' ') {
        skip++;
    }
    return (struct slice){.data = text + skip, .size = message.size - skip};
}

static struct slice split_remedy(struct slice *message, const char *otherwise)
{
    const char *text = message->data;
    const char *newline = message->size > 0 ? memchr(text, '\n', message->size) : NULL;
    if (newline == NULL) {
        return slice_of(otherwise);
    }
    size_t size = (size_t)(newline - text);
    struct slice remedy = {.data = newline + 1, .size = message->size - size - 1};
    message->size = size;
    return remedy;
}

/* An error as a struct, so that it can be shown as JSON by a table. */
struct error_view {
    uint64_t code;
    uint64_t exit_code;
    struct slice name;
    struct slice message;
    struct slice remedy;
};

static const struct codec_field error_view_fields[] = {
    CODEC_FIELD(struct error_view, 1, code, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct error_view, 2, exit_code, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct error_view, 3, name, CODEC_TEXT, RPC_ERROR_SIZE_MAX),
    CODEC_FIELD(struct error_view, 4, message, CODEC_TEXT, RPC_ERROR_SIZE_MAX),
    CODEC_FIELD(struct error_view, 5, remedy, CODEC_TEXT, RPC_ERROR_SIZE_MAX),
};
static const struct codec error_view_codec = CODEC(struct error_view, "error", error_view_fields);

static void print_error(const struct cli *cli, const struct error_view *view, const char *words)
{
    struct arena arena = {0};
    struct buffer json = {0};
    if (cli->json && !failed(json_view(&error_view_codec, view, false, &json))) {
        (void)fprintf(stderr, "%.*s\n", SLICE_ARG(buffer_slice(&json)));
    } else {
        (void)fprintf(stderr, "muster: %s: %s\n", words, output_safe(&arena, view->message));
        if (view->remedy.size > 0) {
            (void)fprintf(stderr, "  what helps: %s\n", output_safe(&arena, view->remedy));
        }
    }
    buffer_release(&json);
    arena_release(&arena);
}

int cli_explain(const struct cli *cli, const struct connection_error *error)
{
    const struct explanation *explanation = explanation_of(error->code);
    struct slice name;
    struct slice message = strip_name(slice_of(error->message), &name);
    struct slice remedy = split_remedy(&message, explanation->remedy);
    int exit_code =
        error->code >= RPC_REFUSED ? CLI_EXIT_REFUSED : rpc_exit_code((enum rpc_error)error->code);
    struct error_view view = {
        .code = error->code,
        .exit_code = (uint64_t)exit_code,
        .name = name.size > 0 ? name : slice_of(explanation->words),
        .message = message,
        .remedy = remedy,
    };
    print_error(cli, &view, explanation->words);
    return exit_code;
}

int cli_explain_status(const struct cli *cli, struct status status)
{
    struct connection_error error = {.code = rpc_error_of_status(status.code)};
    (void)snprintf(error.message, sizeof(error.message), "%s", status.message);
    return cli_explain(cli, &error);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    char text[RPC_ERROR_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "muster: %s\n", text);
    if (cli->command != NULL) {
        (void)fprintf(stderr, "  what helps: muster %s --help\n", cli->command->words);
    } else {
        (void)fprintf(stderr, "  what helps: muster --help\n");
    }
    return CLI_EXIT_USAGE;
}

/* ---- Calling ---- */

static struct status connect_once(struct cli *cli)
{
    if (cli->connection == NULL) {
        cli->connect.timeout_ms = cli->timeout_ms;
        return connection_open(&cli->connect, &cli->connection);
    }
    if (connection_is_broken(cli->connection)) {
        return connection_reopen(cli->connection, 1);
    }
    return OK;
}

struct status cli_try(struct cli *cli, enum rpc_method method, const void *params, void *result,
                      struct connection_error *error)
{
    struct status status = connect_once(cli);
    if (failed(status)) {
        error->code = rpc_error_of_status(status.code);
        (void)snprintf(error->message, sizeof(error->message), "%s", status.message);
        return status;
    }
    uint64_t deadline_ms =
        cli->timeout_ms < RPC_DEADLINE_MAX_MS ? cli->timeout_ms : RPC_DEADLINE_MAX_MS;
    struct connection_request request = {
        .method = method,
        .params = params,
        .options =
            {
                .deadline_ms = deadline_ms,
                .stale = cli->stale && rpc_methods[method].routing == RPC_READ,
                .comment = slice_of(cli->comment),
            },
    };
    return connection_call(cli->connection, &request, &cli->arena, result, error);
}

/* A stale answer says how old it is, beside what it says. */
static void say_age(const struct codec *codec, const void *result)
{
    char room[OUTPUT_TEXT_SIZE];
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        if (field->of != &rpc_freshness_codec) {
            continue;
        }
        const struct rpc_freshness *freshness =
            (const void *)((const char *)result + field->offset);
        if (freshness->stale && freshness->age_ms == UINT64_MAX) {
            (void)fprintf(stderr, "stale: no leader was heard since the node started\n");
        } else if (freshness->stale) {
            (void)fprintf(stderr, "stale: as of %s ago\n", output_span(freshness->age_ms, room));
        }
    }
}

int cli_call(struct cli *cli, enum rpc_method method, const void *params, void *result)
{
    struct connection_error error;
    struct rpc_done done = {0};
    bool is_done = rpc_methods[method].result == &rpc_done_codec && result == NULL;
    assert(is_done || result != NULL);
    struct status status = cli_try(cli, method, params, is_done ? &done : result, &error);
    if (failed(status)) {
        return cli_explain(cli, &error);
    }
    if (result != NULL && !cli->json &&
        method != RPC_CLUSTER_STATUS) { /* Which says it in its page. */
        say_age(rpc_methods[method].result, result);
    }
    int exit_code = 0;
    if (is_done && !output_json(cli, &rpc_done_codec, &done, &exit_code) && done.message.size > 0) {
        (void)printf("%s\n", output_safe(&cli->arena, done.message));
    }
    return exit_code;
}
