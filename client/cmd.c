/*
 * What several commands do: watch a read, show progress, wait.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cmd.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_output.h"

void cmd_pause(uint64_t pause_ms)
{
    (void)poll(NULL, 0, (int)pause_ms);
}

static int show(struct cli *cli, enum rpc_method method, const void *result, bool compact,
                cmd_show *words)
{
    int exit_code = 0;
    const struct codec *codec = rpc_methods[method].result;
    bool done = compact ? output_json_line(cli, codec, result, &exit_code)
                        : output_json(cli, codec, result, &exit_code);
    return done ? exit_code : words(cli, result, compact);
}

/* One round of watching. A node that is away for a while is no reason to stop. */
static void watch_once(struct cli *cli, enum rpc_method method, void *result, cmd_show *words)
{
    struct rpc_empty empty = {0};
    struct connection_error error;
    bool redraw = cli->terminal && !cli->json;
    struct status status = cli_try(cli, method, &empty, result, &error);
    if (redraw) {
        (void)printf("\033[H\033[J");
    }
    if (failed(status)) {
        (void)cli_explain(cli, &error);
    } else {
        (void)show(cli, method, result, !redraw, words);
    }
    (void)fflush(stdout);
}

int cmd_read(struct cli *cli, enum rpc_method method, void *result, cmd_show *words)
{
    struct rpc_empty empty = {0};
    if (!cli_has(cli, CLI_WATCH)) {
        int exit_code = cli_call(cli, method, &empty, result);
        return exit_code != 0 ? exit_code : show(cli, method, result, false, words);
    }
    size_t size = rpc_methods[method].result->size;
    while (ferror(stdout) == 0) {
        memset(result, 0, size);
        watch_once(cli, method, result, words);
        arena_release(&cli->arena);
        cmd_pause(CLI_WATCH_MS);
    }
    return 0;
}

void cmd_progress(char last[CMD_PROGRESS_SIZE], const char *format, ...)
{
    char text[CMD_PROGRESS_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (strcmp(text, last) == 0) {
        return;
    }
    if (isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\r\033[K%s", text);
    } else {
        (void)fprintf(stderr, "%s\n", text);
    }
    (void)fflush(stderr);
    memcpy(last, text, sizeof(text));
}

void cmd_progress_end(const char last[CMD_PROGRESS_SIZE])
{
    if (last[0] != '\0' && isatty(STDERR_FILENO) != 0) {
        (void)fprintf(stderr, "\n");
    }
}
