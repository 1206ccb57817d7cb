/*
 * What `muster` reads from a person: arguments, confirmations and secrets.
 *
 * Secrets are never taken from the command line, where every user of the machine can read them in
 * the list of processes and the shell keeps them in its history.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli.h"

#define SECRET_TEXT_SIZE_MAX 4096 /* Bytes of a file or a line with a secret. */
#define ANSWER_SIZE 16
#define SPAN_MAX_S UINT64_C(315360000) /* Ten years. */

/* ---- Arguments ---- */

bool cli_has(const struct cli *cli, enum cli_option option)
{
    return cli->values[option] != NULL;
}

struct slice cli_value(const struct cli *cli, enum cli_option option)
{
    return slice_of(cli->values[option]);
}

struct slice cli_argument(const struct cli *cli, size_t index)
{
    return index < cli->argument_count ? slice_of(cli->arguments[index]) : (struct slice){0};
}

/* Digits at the front; what follows them is `*rest`. */
static bool read_digits(const char *text, uint64_t *out, const char **rest)
{
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    *out = number;
    *rest = end;
    return errno == 0;
}

bool cli_number(const struct cli *cli, enum cli_option option, uint64_t otherwise, uint64_t *out)
{
    const char *text = cli->values[option];
    const char *rest = "";
    *out = otherwise;
    if (text == NULL || (read_digits(text, out, &rest) && rest[0] == '\0')) {
        return true;
    }
    (void)cli_usage(cli, "--%s wants a number", cli_options[option].name);
    return false;
}

static bool read_span_s(const char *text, uint64_t *out)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    const char *rest = "";
    uint64_t number = 0;
    if (!read_digits(text, &number, &rest)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(rest, units[i].unit) == 0) {
            *out = number * units[i].seconds;
            return number <= SPAN_MAX_S / units[i].seconds;
        }
    }
    return false;
}

bool cli_span_s(const struct cli *cli, enum cli_option option, uint64_t otherwise, uint64_t *out)
{
    const char *text = cli->values[option];
    *out = otherwise;
    if (text == NULL || read_span_s(text, out)) {
        return true;
    }
    (void)cli_usage(cli, "--%s wants a span of time: 90s, 15m, 2h or 7d", cli_options[option].name);
    return false;
}

bool cli_time_ms(const struct cli *cli, enum cli_option option, uint64_t *out)
{
    const char *text = cli->values[option];
    uint64_t span_s = 0;
    *out = 0;
    if (text == NULL || clock_parse(slice_of(text), out)) {
        return true;
    }
    if (read_span_s(text, &span_s)) {
        uint64_t now_ms = clock_now_ms();
        *out = now_ms > span_s * 1000 ? now_ms - span_s * 1000 : 0;
        return true;
    }
    (void)cli_usage(cli, "--%s wants a time, 2026-01-31T08:00:00Z, or a span before now, 2h",
                    cli_options[option].name);
    return false;
}

/* ---- Confirmation ---- */

bool cli_confirm(const struct cli *cli, int *exit_code, const char *format, ...)
{
    if (cli_has(cli, CLI_YES)) {
        return true;
    }
    char text[RPC_ERROR_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    *exit_code = CLI_EXIT_USAGE;
    if (isatty(STDIN_FILENO) == 0) {
        (void)fprintf(stderr,
                      "muster: %s This needs a person's yes, and there is no terminal to ask on.\n"
                      "  what helps: --yes\n",
                      text);
        return false;
    }
    (void)fprintf(stderr, "%s Really? [yes/no] ", text);
    char answer[ANSWER_SIZE] = "";
    if (fgets(answer, sizeof(answer), stdin) != NULL &&
        (strcasecmp(answer, "yes\n") == 0 || strcasecmp(answer, "y\n") == 0)) {
        return true;
    }
    (void)fprintf(stderr, "muster: nothing was changed\n");
    *exit_code = CLI_EXIT_ERROR;
    return false;
}

/* ---- Secrets ---- */

/* All of a small file, up to its end or, of a terminal, to the end of the line. */
static struct status read_secret_text(int fd, bool line, char *out, size_t *size)
{
    *size = 0;
    while (*size < SECRET_TEXT_SIZE_MAX) {
        ssize_t count = read(fd, out + *size, SECRET_TEXT_SIZE_MAX - *size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "read it");
        }
        if (count == 0) {
            return OK;
        }
        *size += (size_t)count;
        if (line && out[*size - 1] == '\n') {
            return OK;
        }
    }
    return fail(STATUS_INVALID, "it has more than %d bytes", SECRET_TEXT_SIZE_MAX - 1);
}

static struct status read_secret_prompt(const char *prompt, char *out, size_t *size)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios before;
    if (fd < 0 || tcgetattr(fd, &before) != 0) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return fail(STATUS_INVALID, "there is no terminal to ask on");
    }
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ICANON;
    (void)tcsetattr(fd, TCSAFLUSH, &silent); /* Before the prompt, which invites to type. */
    (void)fprintf(stderr, "%s: ", prompt);
    struct status status = read_secret_text(fd, true, out, size);
    (void)tcsetattr(fd, TCSAFLUSH, &before);
    (void)fprintf(stderr, "\n");
    (void)close(fd);
    return status;
}

static struct status read_secret_file(const char *path, char *out, size_t *size)
{
    if (strcmp(path, "-") == 0) {
        return read_secret_text(STDIN_FILENO, false, out, size);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno, "open %s", path);
    }
    struct stat facts;
    if (fstat(fd, &facts) == 0 && (facts.st_mode & (S_IRGRP | S_IROTH)) != 0 &&
        S_ISREG(facts.st_mode)) {
        (void)fprintf(stderr, "muster: warning: %s can be read by others (chmod 600 %s)\n", path,
                      path);
    }
    struct status status = read_secret_text(fd, false, out, size);
    (void)close(fd);
    return status;
}

static struct slice trim(const char *text, size_t size)
{
    size_t begin = 0;
    while (begin < size && isspace((unsigned char)text[begin])) {
        begin++;
    }
    while (size > begin && isspace((unsigned char)text[size - 1])) {
        size--;
    }
    return (struct slice){.data = text + begin, .size = size - begin};
}

bool cli_secret(const struct cli *cli, enum cli_option file_option, const char *prompt,
                struct secret *out, int *exit_code)
{
    char text[SECRET_TEXT_SIZE_MAX];
    size_t size = 0;
    const char *path = cli->values[file_option];
    struct status status = path != NULL ? read_secret_file(path, text, &size)
                                        : read_secret_prompt(prompt, text, &size);
    if (!failed(status)) {
        struct slice bytes = trim(text, size);
        status = bytes.size == 0 ? fail(STATUS_INVALID, "it is empty") : secret_copy(out, bytes);
    }
    secret_wipe(text, sizeof(text));
    if (failed(status)) {
        (void)fprintf(stderr, "muster: read the secret: %s\n", status.message);
        (void)fprintf(stderr, "  what helps: --%s FILE, or --%s - for standard input\n",
                      cli_options[file_option].name, cli_options[file_option].name);
        *exit_code = CLI_EXIT_USAGE;
        return false;
    }
    return true;
}
