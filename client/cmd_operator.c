/*
 * `muster operator`, `muster cluster certificates` and `muster audit`: who may call, and who called.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_output.h"
#include "cmd.h"

#define PATH_SIZE 4096

static struct status write_all(int fd, struct slice bytes)
{
    const char *at = bytes.data;
    size_t left = bytes.size;
    while (left > 0) {
        ssize_t count = write(fd, at, left);
        if (count < 0 && errno != EINTR) {
            return fail_errno(errno, "write");
        }
        at += count > 0 ? count : 0;
        left -= count > 0 ? (size_t)count : 0;
    }
    return fsync(fd) == 0 ? OK : fail_errno(errno, "sync");
}

/* A file that was not there before, readable by its owner only. */
static struct status write_new_file(const char *path, struct slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return fail_errno(errno, "create %s", path);
    }
    struct status status = write_all(fd, bytes);
    (void)close(fd);
    if (failed(status)) {
        (void)unlink(path);
        return wrap(status, "%s", path);
    }
    return OK;
}

static bool make_path(const struct cli *cli, const char *end, char out[PATH_SIZE])
{
    const char *folder = cli_has(cli, CLI_DIRECTORY) ? cli->values[CLI_DIRECTORY] : ".";
    int size = snprintf(out, PATH_SIZE, "%s/%s%s", folder, cli->arguments[0], end);
    return size > 0 && size < PATH_SIZE;
}

static int write_identity(struct cli *cli, const struct rpc_operator_added *added,
                          const char *certificate_path, const char *key_path)
{
    struct status status = write_new_file(key_path, added->key);
    if (!failed(status)) {
        status = write_new_file(certificate_path, added->certificate);
    }
    if (failed(status)) {
        int exit_code = cli_explain_status(cli, status);
        (void)fprintf(stderr,
                      "  the key is given only once: muster operator remove %s, then add "
                      "it again\n",
                      cli->arguments[0]);
        return exit_code;
    }
    char until[OUTPUT_TEXT_SIZE];
    (void)printf("Wrote %s and %s, good until %s. With them, from anywhere:\n"
                 "muster --address HOST:PORT --certificate %s --key %s status\n",
                 certificate_path, key_path, output_time(added->not_after_ms, until),
                 certificate_path, key_path);
    return 0;
}

int cmd_operator_add(struct cli *cli)
{
    struct rpc_operator_add add = {.name = cli_argument(cli, 0), .role = cli_argument(cli, 1)};
    struct rpc_operator_added added = {0};
    char certificate_path[PATH_SIZE];
    char key_path[PATH_SIZE];
    if (!cli_number(cli, CLI_DAYS, 0, &add.days)) {
        return CLI_EXIT_USAGE;
    }
    if (memchr(add.name.data, '/', add.name.size) != NULL ||
        !make_path(cli, ".crt", certificate_path) || !make_path(cli, ".key", key_path)) {
        return cli_usage(cli, "NAME is used for files: it has no / and is not too long");
    }
    /* Found out before the key exists, which is given only once. */
    if (access(key_path, F_OK) == 0 || access(certificate_path, F_OK) == 0) {
        return cli_usage(cli, "%s or %s exists already", certificate_path, key_path);
    }
    int exit_code = cli_call(cli, RPC_OPERATOR_ADD, &add, &added);
    return exit_code != 0 ? exit_code : write_identity(cli, &added, certificate_path, key_path);
}

static int show_operators(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"NAME", "name", COLUMN_TEXT},
        {"ROLE", "role", COLUMN_TEXT},
        {"CERTIFICATE UNTIL", "not_after_ms", COLUMN_TIME},
        {"FINGERPRINT", "fingerprint", COLUMN_TEXT},
    };
    const struct rpc_operators *operators = result;
    (void)compact;
    return output_list(cli, &rpc_operator_codec, &operators->operators, columns,
                       sizeof(columns) / sizeof(columns[0]),
                       "There are no operators; root on a node may do everything.");
}

int cmd_operator_list(struct cli *cli)
{
    struct rpc_operators operators = {0};
    return cmd_read(cli, RPC_OPERATOR_LIST, &operators, show_operators);
}

int cmd_operator_remove(struct cli *cli)
{
    struct rpc_name name = {.name = cli_argument(cli, 0)};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code, "Operator %.64s is refused from now on.",
                     cli->arguments[0])) {
        return exit_code;
    }
    return cli_call(cli, RPC_OPERATOR_REMOVE, &name, NULL);
}

static int show_certificates(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"OF", "kind", COLUMN_TEXT},
        {"NAME", "name", COLUMN_TEXT},
        {"STATE", "state", COLUMN_TEXT},
        {"UNTIL", "not_after_ms", COLUMN_TIME},
        {"DAYS LEFT", "days_left", COLUMN_COUNT},
        {"SINCE", "not_before_ms", COLUMN_TIME},
        {"FINGERPRINT", "fingerprint", COLUMN_TEXT},
    };
    const struct rpc_certificates *view = result;
    (void)compact;
    return output_list(cli, &rpc_certificate_codec, &view->certificates, columns,
                       sizeof(columns) / sizeof(columns[0]), "There are no certificates.");
}

int cmd_cluster_certificates(struct cli *cli)
{
    struct rpc_certificates view = {0};
    return cmd_read(cli, RPC_CLUSTER_CERTIFICATES, &view, show_certificates);
}

/* ---- audit ---- */

#define AUDIT_LIMIT_DEFAULT 100

/* The node looks at so many lines at a time; a page of few that fit may take several. */
static int read_audit(struct cli *cli, struct rpc_audit_query *query, struct rpc_audit *out)
{
    struct rpc_audit_line *rows = arena_alloc(&cli->arena, query->limit, sizeof(*rows));
    size_t count = 0;
    if (rows == NULL) {
        return cli_explain_status(cli, fail(STATUS_NO_MEMORY, "read the audit"));
    }
    do {
        struct rpc_audit page = {0};
        int exit_code = cli_call(cli, RPC_AUDIT_LIST, query, &page);
        if (exit_code != 0) {
            return exit_code;
        }
        size_t taken = page.lines.count < query->limit ? page.lines.count : (size_t)query->limit;
        if (taken > 0) { /* An empty list has no items. */
            memcpy(&rows[count], page.lines.items, taken * sizeof(*rows));
        }
        count += taken;
        query->limit -= taken;
        query->after = page.next;
        out->next = page.next;
        out->freshness = page.freshness;
    } while (query->limit > 0 && out->next != 0);
    out->lines = (struct codec_list){.items = rows, .count = count};
    return 0;
}

int cmd_audit_list(struct cli *cli)
{
    static const struct column columns[] = {
        {"SEQUENCE", "sequence", COLUMN_TEXT}, {"TIME", "at_ms", COLUMN_TIME},
        {"WHO", "actor", COLUMN_TEXT},         {"FROM", "origin", COLUMN_TEXT},
        {"WHAT", "command", COLUMN_TEXT},      {"TARGET", "target", COLUMN_TEXT},
        {"OUTCOME", "outcome", COLUMN_TEXT},   {"COMMENT", "comment", COLUMN_TEXT},
    };
    struct rpc_audit_query query = {.actor = cli_value(cli, CLI_ACTOR),
                                    .method = cli_value(cli, CLI_METHOD)};
    struct rpc_audit audit = {0};
    if (!cli_number(cli, CLI_AFTER, 0, &query.after) ||
        !cli_number(cli, CLI_LIMIT, AUDIT_LIMIT_DEFAULT, &query.limit) ||
        !cli_time_ms(cli, CLI_SINCE, &query.since_ms) ||
        !cli_time_ms(cli, CLI_UNTIL, &query.until_ms)) {
        return CLI_EXIT_USAGE;
    }
    if (query.limit == 0 || query.limit > RPC_LIST_MAX) {
        return cli_usage(cli, "--limit is 1 to %d", RPC_LIST_MAX);
    }
    int exit_code = read_audit(cli, &query, &audit);
    if (exit_code != 0 || output_json(cli, &rpc_audit_codec, &audit, &exit_code)) {
        return exit_code;
    }
    exit_code = output_list(cli, &rpc_audit_line_codec, &audit.lines, columns,
                            sizeof(columns) / sizeof(columns[0]), "The audit has no such lines.");
    if (audit.next != 0) {
        (void)fprintf(stderr, "there are more: --after %llu\n", (unsigned long long)audit.next);
    }
    return exit_code;
}

int cmd_audit_verify(struct cli *cli)
{
    struct rpc_empty empty = {0};
    struct rpc_audit_verified verified = {0};
    char lines[OUTPUT_TEXT_SIZE];
    int exit_code = cli_call(cli, RPC_AUDIT_VERIFY, &empty, &verified);
    if (exit_code == 0 && !output_json(cli, &rpc_audit_verified_codec, &verified, &exit_code)) {
        (void)printf("%s lines, %s%s%s\n", output_count(verified.lines, lines),
                     verified.good ? "the chain is whole" : "THE CHAIN IS BROKEN: ",
                     verified.good ? "" : output_safe(&cli->arena, verified.error),
                     verified.good ? "" : "; somebody changed the audit, or the disk did");
        if (verified.trimmed > 0) {
            (void)printf(
                "%s lines before them were let go (audit_trim); the chain goes on from %s\n",
                output_count(verified.trimmed, lines), output_safe(&cli->arena, verified.anchor));
        }
    }
    return exit_code == 0 && !verified.good ? CLI_EXIT_ERROR : exit_code;
}
