/*
 * Completions: one list of "words of a command|its options", and a few lines for each shell that
 * look the next word up in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli_completion.h"

#include <string.h>

#include "cli.h"

static const char global_options[] =
    "--socket --address --ca --certificate --key --timeout --stale --output --comment --help";

static void print_options(FILE *out, const struct cli_command *command)
{
    for (size_t i = 0; i < CLI_OPTION_COUNT; i++) {
        if ((command->options & CLI_TAKES(i)) != 0) {
            (void)fprintf(out, " --%s", cli_options[i].name);
        }
    }
}

static void print_list(FILE *out, const char *indent)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        (void)fprintf(out, "%s%s|%s", indent, cli_commands[i].words, global_options);
        print_options(out, &cli_commands[i]);
        (void)fprintf(out, "\n");
    }
}

static const char generated[] = "# Made by `muster completion`; do not edit.\n";

/* The words so far, options left out, are looked up: what may follow them, or their options. */
static const char shell_lookup[] =
    "_muster_next() { # words so far -> words that may follow\n"
    "    local so_far=\"$1\" current=\"$2\" line words\n"
    "    while IFS= read -r line; do\n"
    "        words=\"${line%%|*}\"\n"
    "        if [[ \"$current\" == -* ]]; then\n"
    "            [[ \"$words\" == \"$so_far\" ]] && printf '%s\\n' ${=line#*|}\n"
    "        elif [[ -z \"$so_far\" ]]; then\n"
    "            printf '%s\\n' \"${words%% *}\"\n"
    "        elif [[ \"$words\" == \"$so_far \"* ]]; then\n"
    "            words=\"${words#\"$so_far \"}\"\n"
    "            printf '%s\\n' \"${words%% *}\"\n"
    "        fi\n"
    "    done <<<\"$_muster_commands\" | sort -u\n"
    "}\n";

static void print_lookup(FILE *out, bool zsh)
{
    /* zsh splits a parameter into words only when it is told to. */
    const char *marker = strstr(shell_lookup, "${=line");
    (void)fprintf(out, "%.*s%s%s", (int)(marker - shell_lookup), shell_lookup,
                  zsh ? "${=line" : "${line", marker + strlen("${=line"));
}

static void print_bash(FILE *out)
{
    (void)fprintf(out, "%s_muster_commands='", generated);
    print_list(out, "");
    (void)fprintf(out, "'\n");
    print_lookup(out, false);
    (void)fprintf(out, "_muster() {\n"
                       "    local current=\"${COMP_WORDS[COMP_CWORD]}\" so_far=\"\" i\n"
                       "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                       "        [[ \"${COMP_WORDS[i]}\" == -* ]] || "
                       "so_far+=\"${so_far:+ }${COMP_WORDS[i]}\"\n"
                       "    done\n"
                       "    mapfile -t COMPREPLY < <(compgen -W "
                       "\"$(_muster_next \"$so_far\" \"$current\")\" -- \"$current\")\n"
                       "}\n"
                       "complete -o default -F _muster muster\n");
}

static void print_zsh(FILE *out)
{
    (void)fprintf(out, "#compdef muster\n%s_muster_commands='", generated);
    print_list(out, "");
    (void)fprintf(out, "'\n");
    print_lookup(out, true);
    (void)fprintf(out,
                  "_muster() {\n"
                  "    local so_far=\"\" i\n"
                  "    for ((i = 2; i < CURRENT; i++)); do\n"
                  "        [[ \"${words[i]}\" == -* ]] || "
                  "so_far+=\"${so_far:+ }${words[i]}\"\n"
                  "    done\n"
                  "    compadd -- ${(f)\"$(_muster_next \"$so_far\" \"${words[CURRENT]}\")\"}\n"
                  "}\n"
                  "compdef _muster muster\n");
}

/* Text between single quotes of fish. */
static void print_quoted(FILE *out, const char *text)
{
    (void)fputc('\'', out);
    for (; *text != '\0'; text++) {
        (void)fprintf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    (void)fputs("'\n", out);
}

static void print_fish_options(FILE *out, const struct cli_command *command)
{
    for (size_t i = 0; i < CLI_OPTION_COUNT; i++) {
        if ((command->options & CLI_TAKES(i)) != 0) {
            (void)fprintf(out, "complete -c muster -n '__muster_at \"%s\"' -l %s%s -d ",
                          command->words, cli_options[i].name,
                          cli_options[i].argument != NULL ? " -r" : "");
            print_quoted(out, cli_options[i].summary);
        }
    }
}

/* Each word of a command is offered after the words before it. */
static void print_fish_words(FILE *out, const char *words)
{
    for (const char *at = words; at != NULL;) {
        int before = at == words ? 0 : (int)(at - words) - 1;
        (void)fprintf(out, "complete -c muster -n '__muster_at \"%.*s\"' -a '%.*s'", before, words,
                      (int)strcspn(at, " "), at);
        const char *space = strchr(at, ' ');
        at = space == NULL ? NULL : space + 1;
        (void)fputs(at == NULL ? " -d " : "\n", out);
    }
}

static void print_fish(FILE *out)
{
    (void)fprintf(out,
                  "%sfunction __muster_at\n"
                  "    set -l words (commandline -opc)\n"
                  "    set -l so_far (string join ' ' -- (string match -v -- '-*' $words[2..]))\n"
                  "    test \"$so_far\" = \"$argv[1]\"\n"
                  "end\n"
                  "complete -c muster -f\n",
                  generated);
    for (size_t i = 0; i < cli_command_count; i++) {
        print_fish_words(out, cli_commands[i].words);
        print_quoted(out, cli_commands[i].summary);
        print_fish_options(out, &cli_commands[i]);
    }
}

bool cli_completion_print(FILE *out, const char *shell)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *out);
    } rows[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].shell, shell) == 0) {
            rows[i].print(out);
            return true;
        }
    }
    return false;
}
