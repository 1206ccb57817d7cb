/*
 * `muster records` and `muster export`: what was seen, and what became of it in the cloud.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_output.h"
#include "cmd.h"

/* ---- records search ---- */

/* A row of the table: the record's own fields beside those of the cluster. */
struct found {
    uint64_t sequence;
    uint64_t start_ms;
    struct slice serial;
    uint64_t mid;
    struct slice sender;
    struct slice recipient;
    struct slice subject;
    struct slice disposition;
    struct slice fate;
};

static const struct codec_field found_fields[] = {
    CODEC_FIELD(struct found, 1, sequence, CODEC_U64, 0),
    CODEC_FIELD(struct found, 2, start_ms, CODEC_U64, 0),
    CODEC_FIELD(struct found, 3, serial, CODEC_TEXT, 0),
    CODEC_FIELD(struct found, 4, mid, CODEC_U64, 0),
    CODEC_FIELD(struct found, 5, sender, CODEC_TEXT, 0),
    CODEC_FIELD(struct found, 6, recipient, CODEC_TEXT, 0),
    CODEC_FIELD(struct found, 7, subject, CODEC_TEXT, 0),
    CODEC_FIELD(struct found, 8, disposition, CODEC_TEXT, 0),
    CODEC_FIELD(struct found, 9, fate, CODEC_TEXT, 0),
};
static const struct codec found_codec = CODEC(struct found, "found", found_fields);

static void fill_found(const struct rpc_record *record, struct found *out)
{
    const struct slice *recipients = record->record.recipients.items;
    *out = (struct found){
        .sequence = record->sequence,
        .start_ms = record->record.start_ms,
        .serial = record->record.serial,
        .mid = record->record.mid,
        .sender = record->record.sender,
        .subject = record->record.subject,
        .disposition = record->record.disposition,
        .fate = record->fate,
    };
    if (record->record.recipients.count > 0) {
        out->recipient = recipients[0];
    }
}

static int show_records(struct cli *cli, const struct rpc_records *records)
{
    static const struct column columns[] = {
        {"SEQUENCE", "sequence", COLUMN_TEXT}, {"TIME", "start_ms", COLUMN_TIME},
        {"SERIAL", "serial", COLUMN_TEXT},     {"MID", "mid", COLUMN_TEXT},
        {"FROM", "sender", COLUMN_TEXT},       {"TO", "recipient", COLUMN_TEXT},
        {"SUBJECT", "subject", COLUMN_TEXT},   {"RESULT", "disposition", COLUMN_TEXT},
        {"EXPORT", "fate", COLUMN_TEXT},
    };
    int exit_code = 0;
    if (output_json(cli, &rpc_records_codec, records, &exit_code)) {
        return exit_code;
    }
    size_t count = records->records.count;
    struct found *rows = arena_alloc(&cli->arena, count, sizeof(*rows));
    if (rows == NULL) {
        return cli_explain_status(cli, fail(STATUS_NO_MEMORY, "show the records"));
    }
    for (size_t i = 0; i < count; i++) {
        fill_found((const struct rpc_record *)records->records.items + i, &rows[i]);
    }
    struct codec_list list = {.items = rows, .count = count};
    exit_code = output_list(cli, &found_codec, &list, columns, sizeof(columns) / sizeof(columns[0]),
                            "There are no such records.");
    if (records->more) {
        (void)fprintf(stderr, "There are more: --before %llu\n",
                      (unsigned long long)rows[count - 1].sequence);
    }
    return exit_code;
}

int cmd_records_search(struct cli *cli)
{
    struct rpc_search search = {.key = cli_argument(cli, 0), .value = cli_argument(cli, 1)};
    struct rpc_records records = {0};
    enum record_key_kind kind;
    if (cli->argument_count == 1) {
        return cli_usage(cli, "a KEY needs a VALUE");
    }
    if (search.key.size > 0 && !record_key_kind_parse(search.key, &kind)) {
        return cli_usage(cli, "KEY is one of ip, domain, url, sha256, sender, recipient, mid and "
                              "message_id");
    }
    if (!cli_time_ms(cli, CLI_SINCE, &search.since_ms) ||
        !cli_time_ms(cli, CLI_UNTIL, &search.until_ms) ||
        !cli_number(cli, CLI_BEFORE, 0, &search.before_sequence) ||
        !cli_number(cli, CLI_LIMIT, 0, &search.limit)) {
        return CLI_EXIT_USAGE;
    }
    int exit_code = cli_call(cli, RPC_RECORDS_SEARCH, &search, &records);
    return exit_code != 0 ? exit_code : show_records(cli, &records);
}

/* ---- export ---- */

int cmd_export_status(struct cli *cli)
{
    struct rpc_export export = {0};
    return cmd_read(cli, RPC_EXPORT_STATUS, &export, cmd_show_export);
}

int cmd_export_pause(struct cli *cli)
{
    struct rpc_pause pause = {.reason = cli_value(cli, CLI_REASON)};
    return cli_call(cli, RPC_EXPORT_PAUSE, &pause, NULL);
}

int cmd_export_resume(struct cli *cli)
{
    struct rpc_empty empty = {0};
    return cli_call(cli, RPC_EXPORT_RESUME, &empty, NULL);
}

int cmd_dead_letters_list(struct cli *cli)
{
    static const struct column columns[] = {
        {"SEQUENCE", "sequence", COLUMN_TEXT}, {"REFUSED", "at_ms", COLUMN_TIME},
        {"SERIAL", "serial", COLUMN_TEXT},     {"RECORD", "id", COLUMN_TEXT},
        {"REASON", "reason", COLUMN_TEXT},
    };
    struct rpc_page page = {0};
    struct rpc_dead_letters letters = {0};
    if (!cli_number(cli, CLI_AFTER, 0, &page.after) ||
        !cli_number(cli, CLI_LIMIT, 0, &page.limit)) {
        return CLI_EXIT_USAGE;
    }
    int exit_code = cli_call(cli, RPC_EXPORT_DEAD_LETTERS, &page, &letters);
    if (exit_code != 0 || output_json(cli, &rpc_dead_letters_codec, &letters, &exit_code)) {
        return exit_code;
    }
    return output_list(cli, &rpc_dead_letter_codec, &letters.dead_letters, columns,
                       sizeof(columns) / sizeof(columns[0]), "There are no dead letters.");
}

/* "all" is 0 on the wire, so that a forgotten number cannot mean it. */
static bool read_sequence(struct cli *cli, struct rpc_sequence *out)
{
    const char *text = cli->arguments[0];
    char *end = NULL;
    *out = (struct rpc_sequence){0};
    if (strcmp(text, "all") == 0) {
        return true;
    }
    out->sequence = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || out->sequence == 0 || text[0] == '-') {
        (void)cli_usage(cli, "SEQUENCE is a number of `muster export dead-letters list`, or all");
        return false;
    }
    return true;
}

int cmd_dead_letters_retry(struct cli *cli)
{
    struct rpc_sequence sequence;
    return read_sequence(cli, &sequence) ? cli_call(cli, RPC_EXPORT_RETRY, &sequence, NULL)
                                         : CLI_EXIT_USAGE;
}

int cmd_dead_letters_discard(struct cli *cli)
{
    struct rpc_sequence sequence;
    int exit_code = CLI_EXIT_USAGE;
    if (!read_sequence(cli, &sequence) ||
        !cli_confirm(cli, &exit_code, "%s given up for good.",
                     sequence.sequence == 0 ? "All dead letters are" : "This dead letter is")) {
        return exit_code;
    }
    return cli_call(cli, RPC_EXPORT_DISCARD, &sequence, NULL);
}
