/*
 * What the commands of `muster` share: the options of one call of the tool, the connection, how
 * errors become words and exit codes, and how a person is asked.
 *
 * A command is one row of cli_commands (cli_commands.c) and one function that returns the exit
 * code: 0 ok, 1 error, 2 usage, 3 refused by the state, 4 not reachable or no quorum, 5 not
 * authorised, 6 outcome unknown, 7 warnings (doctor), 78 bad configuration. Results go to stdout, everything else to
 * stderr.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/secret.h"
#include "base/slice.h"
#include "client/connection.h"
#include "client/protocol.h"

#define CLI_EXIT_ERROR 1
#define CLI_EXIT_USAGE 2
#define CLI_EXIT_REFUSED 3
#define CLI_EXIT_UNREACHABLE 4
#define CLI_EXIT_UNKNOWN 6
#define CLI_EXIT_WARNING 7 /* Of `muster doctor`. */
#define CLI_WORDS_MAX 3 /* Of a command: "cluster token create". */
#define CLI_ARGUMENTS_MAX 2
#define CLI_WATCH_MS 2000

/* Options of single commands; each command's row names those it takes. */
enum cli_option {
    CLI_CHECK,
    CLI_FORCE,
    CLI_TOKEN_FILE,
    CLI_PASSWORD_FILE,
    CLI_FOR,
    CLI_TTL,
    CLI_REGION,
    CLI_CLIENT_ID,
    CLI_REPLACE,
    CLI_WAIT,
    CLI_NO_WAIT,
    CLI_MODE,
    CLI_MACHINE,
    CLI_SINCE,
    CLI_UNTIL,
    CLI_BEFORE,
    CLI_AFTER,
    CLI_LIMIT,
    CLI_REASON,
    CLI_DAYS,
    CLI_DIRECTORY,
    CLI_DEEP,
    CLI_WATCH,
    CLI_YES,
    CLI_DRY_RUN,
    CLI_RECOVERY_KEY_FILE,
    CLI_CONFIG,
    CLI_ACTOR,
    CLI_METHOD,
    CLI_KEEP_RECORDS,
    CLI_FORGET,
    CLI_HAND_OVER,
    CLI_OPTION_COUNT,
};

#define CLI_TAKES(option) (UINT64_C(1) << (option))

struct cli;

struct cli_command {
    const char *words;     /* "cluster token create" */
    const char *arguments; /* "NAME", "[NAME]", "KEY VALUE"; NULL: none. */
    size_t arguments_min;
    size_t arguments_max;
    uint64_t options;    /* CLI_TAKES(...) | ... */
    const char *secret;  /* What a person might wrongly give as an argument: "a join token". */
    const char *summary; /* One sentence. */
    int (*run)(struct cli *cli);
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

struct cli_option_row {
    const char *name;
    const char *argument; /* NULL: a flag. */
    const char *summary;
};
extern const struct cli_option_row cli_options[CLI_OPTION_COUNT];

/* One call of the tool. */
struct cli {
    const struct cli_command *command;
    const char *arguments[CLI_ARGUMENTS_MAX];
    size_t argument_count;
    const char *values[CLI_OPTION_COUNT]; /* NULL: not given; a flag that is given: "". */

    struct connection_options connect;
    uint64_t timeout_ms; /* 0: not given. */
    bool json;
    bool stale;
    const char *comment;

    bool terminal; /* stdout is one. */
    bool colours;
    struct connection *connection; /* NULL until the first call. */
    struct arena arena;            /* Lives as long as the call of the tool. */
};

/* ---- Calling ---- */

/* Connect if need be, call, and say what went wrong. The exit code. `result` may be NULL for
 * methods whose result is struct rpc_done: its sentence is printed. */
int cli_call(struct cli *cli, enum rpc_method method, const void *params, void *result);

/* The same without words: the failure is in `error`. */
MUST_USE struct status cli_try(struct cli *cli, enum rpc_method method, const void *params,
                               void *result, struct connection_error *error);

/* Say on stderr what failed and what helps; the exit code. */
int cli_explain(const struct cli *cli, const struct connection_error *error);

/* The same of a failure on our side. */
int cli_explain_status(const struct cli *cli, struct status status);

/* A mistake in the words of the command line; CLI_EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- Arguments ---- */

bool cli_has(const struct cli *cli, enum cli_option option);
struct slice cli_value(const struct cli *cli, enum cli_option option); /* Empty if not given. */
struct slice cli_argument(const struct cli *cli, size_t index);        /* Empty if not given. */

/* A number of an option; `otherwise` if not given. False, after saying so, if it is none. */
bool cli_number(const struct cli *cli, enum cli_option option, uint64_t otherwise, uint64_t *out);

/* A span of an option, "90", "90s", "15m", "2h", "7d", in seconds. As above. */
bool cli_span_s(const struct cli *cli, enum cli_option option, uint64_t otherwise, uint64_t *out);

/* A time of an option: RFC 3339, or a span before now. As above. */
bool cli_time_ms(const struct cli *cli, enum cli_option option, uint64_t *out);

/* ---- Asking a person ---- */

/*
 * "What will happen. Really? [yes/no]", answered by a person on a terminal or by --yes. True to go
 * on; otherwise `*exit_code` is set and the reason said.
 */
bool cli_confirm(const struct cli *cli, int *exit_code, const char *format, ...) PRINTF_LIKE(3, 4);

/*
 * A secret: from the file that the option names ("-": stdin), otherwise asked for on the terminal
 * without echo. Space around it is taken off. False after saying why, with `*exit_code` set.
 */
bool cli_secret(const struct cli *cli, enum cli_option file_option, const char *prompt,
                struct secret *out, int *exit_code);

#endif
