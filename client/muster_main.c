/*
 * muster: the tool with which a cluster is built, registered and looked at.
 *
 *     muster [OPTION...] NOUN VERB [ARGUMENT...] [OPTION...]
 *
 * First the words that name a command are found (options may stand between them), then argp reads
 * the rest against what that command takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_output.h"

#define WORDS_SIZE 64
#define TIMEOUT_MAX_S 86400ULL

/* Keys of argp options that have no letter. */
enum {
    KEY_SOCKET = 0x100,
    KEY_ADDRESS,
    KEY_CA,
    KEY_CERTIFICATE,
    KEY_KEY,
    KEY_TIMEOUT,
    KEY_STALE,
    KEY_COMMENT,
    KEY_SECRET, /* --token, --password: never taken */
    KEY_HELP,
    KEY_VERSION,
    KEY_COMMAND = 0x200, /* + enum cli_option */
};

static const struct argp_option global_options[] = {
    {NULL, 0, NULL, 0, "Which node to ask:", 10},
    {"socket", KEY_SOCKET, "PATH", 0,
     "Its UNIX socket (default " CONNECTION_SOCKET_DEFAULT ", or $MUSTER_SOCKET)", 10},
    {"address", KEY_ADDRESS, "HOST:PORT", 0, "Its address, with the files below", 10},
    {"ca", KEY_CA, "FILE", 0,
     "The cluster's CA, if it is not in the certificate's file, as it is in one of `muster "
     "operator add`",
     10},
    {"certificate", KEY_CERTIFICATE, "FILE", 0, "Your certificate", 10},
    {"key", KEY_KEY, "FILE", 0, "Its key", 10},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "How long to wait", 10},
    {"stale", KEY_STALE, NULL, 0, "Read what the node itself has, whoever leads", 10},
    {NULL, 0, NULL, 0, "What to show:", 11},
    {"output", 'o', "FORMAT", 0, "table (default) or json", 11},
    {"comment", KEY_COMMENT, "TEXT", 0, "Your words for the audit", 11},
    {"token", KEY_SECRET, "", OPTION_HIDDEN, NULL, 11},
    {"password", KEY_SECRET, "", OPTION_HIDDEN, NULL, 11},
    {"secret", KEY_SECRET, "", OPTION_HIDDEN, NULL, 11},
    {0},
};

static _Noreturn void refuse_secret(const char *what)
{
    (void)fprintf(
        stderr,
        "muster: %s is not taken from the command line: every user of this machine could "
        "read it in the list of processes, and the shell keeps it in its history\n"
        "  what helps: run the command without it and you are asked, or give it in a file "
        "(--token-file or --password-file FILE, - for standard input)\n",
        what);
    exit(CLI_EXIT_USAGE);
}

static error_t parse_timeout(struct cli *cli, const char *text, struct argp_state *state)
{
    char *end = NULL;
    errno = 0;
    unsigned long long seconds = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || seconds == 0 || seconds > TIMEOUT_MAX_S) {
        argp_error(state, "--timeout wants seconds, 1 to %llu", TIMEOUT_MAX_S);
    }
    cli->timeout_ms = seconds * 1000;
    return 0;
}

static error_t parse_output(struct cli *cli, const char *text, struct argp_state *state)
{
    cli->json = strcmp(text, "json") == 0;
    if (!cli->json && strcmp(text, "table") != 0) {
        argp_error(state, "--output wants table or json");
    }
    return 0;
}

static error_t parse_global(int key, char *value, struct argp_state *state)
{
    struct cli *cli = state->input;
    switch (key) {
    case KEY_SOCKET: cli->connect.socket_path = value; return 0;
    case KEY_ADDRESS: cli->connect.address = value; return 0;
    case KEY_CA: cli->connect.ca_path = value; return 0;
    case KEY_CERTIFICATE: cli->connect.certificate_path = value; return 0;
    case KEY_KEY: cli->connect.key_path = value; return 0;
    case KEY_TIMEOUT: return parse_timeout(cli, value, state);
    case KEY_STALE: cli->stale = true; return 0;
    case KEY_COMMENT: cli->comment = value; return 0;
    case KEY_SECRET: refuse_secret("a secret");
    case 'o': return parse_output(cli, value, state);
    default: return ARGP_ERR_UNKNOWN; /* Keys are numbers of argp's, not an enumeration of ours. */
    }
}

static const struct argp global_argp = {.options = global_options, .parser = parse_global};

/* ---- The words that name a command ---- */

struct word_search {
    struct cli *cli;
    char words[WORDS_SIZE];
    bool help;
    int next; /* argv index after the last word. */
};

static const struct cli_command *find_command(const char *words)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].words, words) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

static bool begins_a_command(const char *words)
{
    size_t size = strlen(words);
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *of = cli_commands[i].words;
        if (strncmp(of, words, size) == 0 && (of[size] == ' ' || of[size] == '\0')) {
            return true;
        }
    }
    return false;
}

/* The commands that begin with these words; all of them if there are none. */
static void print_commands(FILE *out, const char *words)
{
    size_t size = strlen(words);
    size_t width = 0;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        size_t used = strlen(command->words) +
                      (command->arguments != NULL ? strlen(command->arguments) + 1 : 0);
        width = used > width ? used : width;
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        const char *arguments = command->arguments != NULL ? command->arguments : "";
        if (strncmp(command->words, words, size) == 0) {
            int pad = (int)(width - strlen(command->words));
            (void)fprintf(out, "  muster %s %-*s %s\n", command->words, pad, arguments,
                          command->summary);
        }
    }
}

static _Noreturn void print_help(const char *words)
{
    (void)printf("Usage: muster [OPTION...] COMMAND [ARGUMENT...]\n\n"
                 "Builds, registers and shows a cluster of security appliances that share one "
                 "identity in the cloud.\n\n");
    print_commands(stdout, words);
    (void)printf("\nEvery command has --help. Common options: --socket PATH, --address HOST:PORT "
                 "--ca FILE --certificate FILE --key FILE, -o table|json, --timeout SECONDS, "
                 "--stale, --comment TEXT.\n"
                 "\nExit codes: 0 ok, 1 error, 2 usage, 3 refused by the state, 4 not reachable or "
                 "no quorum, 5 not authorised, 6 outcome unknown, 7 warnings (doctor), 78 bad "
                 "configuration.\n");
    exit(0);
}

static error_t take_word(struct word_search *search, const char *word, struct argp_state *state)
{
    size_t used = strlen(search->words);
    int size = snprintf(search->words + used, sizeof(search->words) - used, "%s%s",
                        used > 0 ? " " : "", word);
    if (strncmp(word, "muster1.", strlen("muster1.")) == 0) {
        refuse_secret("a join token");
    }
    if (size < 0 || (size_t)size >= sizeof(search->words) - used ||
        !begins_a_command(search->words)) {
        search->words[used] = '\0';
        (void)fprintf(stderr, "muster: there is no command \"%s%s%.40s\"\n", search->words,
                      used > 0 ? " " : "", word);
        (void)fprintf(stderr, "  what helps, one of:\n");
        print_commands(stderr, search->words);
        exit(CLI_EXIT_USAGE);
    }
    search->cli->command = find_command(search->words);
    if (search->cli->command != NULL) {
        search->next = state->next;
        state->next = state->argc;
    }
    return 0;
}

static error_t parse_word(int key, char *value, struct argp_state *state)
{
    struct word_search *search = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = search->cli; return 0;
    case ARGP_KEY_ARG: return take_word(search, value, state);
    case KEY_HELP: search->help = true; return 0;
    case KEY_VERSION: (void)printf("muster %s\n", MUSTER_VERSION); exit(0);
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The command that argv names, and where in argv its arguments begin. */
static int find_words(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option help_options[] = {
        {"help", KEY_HELP, NULL, 0, "Give this help list", 0},
        {"version", KEY_VERSION, NULL, 0, "Print the version of this tool", 0},
        {0},
    };
    static const struct argp_child children[] = {{&global_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = help_options, .parser = parse_word, .children = children};
    struct word_search search = {.cli = cli};
    error_t error = argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &search);
    if (search.help) {
        print_help(search.words);
    }
    if (error != 0 || cli->command == NULL) {
        (void)fprintf(stderr, "muster: %s\n  what helps, one of:\n",
                      search.words[0] == '\0' ? "no command was given"
                                              : "the command is not complete");
        print_commands(stderr, search.words);
        exit(CLI_EXIT_USAGE);
    }
    return search.next;
}

/* ---- What the command takes ---- */

static error_t take_argument(struct cli *cli, const char *value, struct argp_state *state)
{
    bool is_token = strncmp(value, "muster1.", strlen("muster1.")) == 0;
    bool too_many = cli->argument_count == cli->command->arguments_max;
    if (is_token || (too_many && cli->command->secret != NULL)) {
        refuse_secret(is_token ? "a join token" : cli->command->secret);
    }
    if (too_many) {
        argp_error(state, "too many arguments");
    }
    cli->arguments[cli->argument_count++] = value;
    return 0;
}

static error_t parse_command(int key, char *value, struct argp_state *state)
{
    struct cli *cli = state->input;
    if (key >= KEY_COMMAND && key < KEY_COMMAND + CLI_OPTION_COUNT) {
        cli->values[key - KEY_COMMAND] = value != NULL ? value : "";
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = cli; return 0;
    case ARGP_KEY_ARG: return take_argument(cli, value, state);
    case ARGP_KEY_END:
        if (cli->argument_count < cli->command->arguments_min) {
            argp_error(state, "%s is missing", cli->command->arguments);
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* argv[0] and what follows the command's words, with the options that stood between them left out:
 * they have been taken. */
static void read_arguments(struct cli *cli, int argc, char **argv, int first)
{
    struct argp_option options[CLI_OPTION_COUNT + 1] = {0};
    size_t used = 0;
    for (size_t i = 0; i < CLI_OPTION_COUNT; i++) {
        const struct cli_option_row *row = &cli_options[i];
        if ((cli->command->options & CLI_TAKES(i)) != 0) {
            options[used++] = (struct argp_option){.name = row->name,
                                                   .key = KEY_COMMAND + (int)i,
                                                   .arg = row->argument,
                                                   .doc = row->summary,
                                                   .group = 1};
        }
    }
    static const struct argp_child children[] = {{&global_argp, 0, NULL, 0}, {0}};
    struct argp argp = {.options = options,
                        .parser = parse_command,
                        .args_doc = cli->command->arguments,
                        .doc = cli->command->summary,
                        .children = children};
    static char name[WORDS_SIZE + 8];
    (void)snprintf(name, sizeof(name), "muster %s", cli->command->words);
    argv[first - 1] = name;
    error_t error = argp_parse(&argp, argc - first + 1, argv + first - 1, 0, NULL, cli);
    if (error != 0) {
        exit(CLI_EXIT_USAGE);
    }
}

static bool wants_colours(bool terminal)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    return terminal && (no_colour == NULL || no_colour[0] == '\0') &&
           (kind == NULL || strcmp(kind, "dumb") != 0);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    argp_err_exit_status = CLI_EXIT_USAGE;
    cli.connect.socket_path = getenv("MUSTER_SOCKET");
    cli.terminal = isatty(STDOUT_FILENO) != 0;
    cli.colours = wants_colours(cli.terminal);

    int first = find_words(&cli, argc, argv);
    read_arguments(&cli, argc, argv, first);
    int exit_code = cli.command->run(&cli);
    connection_close(cli.connection);
    arena_release(&cli.arena);
    if (fflush(stdout) != 0 && exit_code == 0) {
        (void)fprintf(stderr, "muster: write to standard output: %s\n", strerror(errno));
        exit_code = CLI_EXIT_ERROR;
    }
    return exit_code;
}
