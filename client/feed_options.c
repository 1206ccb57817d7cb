/*
 * Parsing the command line of muster-feed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "feed_batch.h"
#include "text_scan.h"

#define EXIT_USAGE 2

enum option_key {
    OPTION_FORMAT = 0x100,
    OPTION_SOCKET,
    OPTION_ADDRESS,
    OPTION_CA,
    OPTION_CERTIFICATE,
    OPTION_KEY,
    OPTION_BATCH,
    OPTION_STATE,
    OPTION_SERIAL,
    OPTION_FLUSH_AFTER,
    OPTION_YEAR,
    OPTION_GIVE_UP_AFTER,
    OPTION_DRY_RUN,
};

const char *argp_program_version = "muster-feed " MUSTER_VERSION;

static const struct argp_option options[] = {
    {"format", OPTION_FORMAT, "NAME", 0, "What is read: mail_logs (the default)", 0},
    {"follow", 'f', NULL, 0, "Go on when the end is reached, across rotations", 0},
    {"state", OPTION_STATE, "FILE", 0, "Remember there how far the log is submitted", 0},
    {"serial", OPTION_SERIAL, "TEXT", 0, "Serial number of the appliance, whatever the log says",
     0},
    {"flush-after", OPTION_FLUSH_AFTER, "SECONDS", 0,
     "Submit a message as incomplete after so long without a line of it (600)", 0},
    {"year", OPTION_YEAR, "YEAR", 0, "Of times that show none (the current one)", 0},
    {"batch", OPTION_BATCH, "N", 0, "Records in one request, up to 1000 (500)", 0},
    {"give-up-after", OPTION_GIVE_UP_AFTER, "SECONDS", 0,
     "Of tries without success; 0: never (60, never with --follow)", 0},
    {"dry-run", OPTION_DRY_RUN, NULL, 0, "Read and count, submit nothing", 0},
    {"socket", OPTION_SOCKET, "PATH", 0, "Socket of the node (" CONNECTION_SOCKET_DEFAULT ")", 1},
    {"address", OPTION_ADDRESS, "HOST:PORT", 0, "A node far away, instead of --socket", 1},
    {"ca", OPTION_CA, "FILE", 0,
     "With --address: the cluster's CA, if it is not in the certificate's file", 1},
    {"certificate", OPTION_CERTIFICATE, "FILE", 0, "With --address: our certificate", 1},
    {"key", OPTION_KEY, "FILE", 0, "With --address: key of our certificate", 1},
    {"output", 'o', "table|json", 0, "Form of the summary", 2},
    {"quiet", 'q', NULL, 0, "No progress and no summary", 2},
    {0},
};

static const char doc[] =
    "Read an appliance's log and submit what it says to the cluster."
    "\vFILE may be - for standard input. A record that is known already is not stored again, so "
    "reading a log twice does no harm. Ends with 0 if all is submitted, 1 on an error, 2 on a "
    "wrong "
    "command line, 4 if no node could be reached, 5 if we are not authorised.";

/* A number in range, or the end of the program. */
static uint64_t number_of(struct argp_state *state, const char *text, const char *what,
                          uint64_t min, uint64_t max)
{
    struct slice rest = slice_of(text);
    uint64_t number = 0;
    if (!scan_number(&rest, max, &number) || rest.size > 0 || number < min) {
        argp_error(state, "%s must be a number from %llu to %llu, not '%s'", what,
                   (unsigned long long)min, (unsigned long long)max, text);
    }
    return number;
}

static void set_output(struct argp_state *state, const char *text, struct feed_options *out)
{
    out->json = strcmp(text, "json") == 0;
    if (!out->json && strcmp(text, "table") != 0) {
        argp_error(state, "--output must be table or json, not '%s'", text);
    }
}

static error_t parse_connection(int key, const char *text, struct feed_options *out)
{
    switch (key) {
    case OPTION_SOCKET: out->connection.socket_path = text; return 0;
    case OPTION_ADDRESS: out->connection.address = text; return 0;
    case OPTION_CA: out->connection.ca_path = text; return 0;
    case OPTION_CERTIFICATE: out->connection.certificate_path = text; return 0;
    case OPTION_KEY: out->connection.key_path = text; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void check_whole(struct argp_state *state, const struct feed_options *out)
{
    if (out->path == NULL) {
        argp_error(state, "which file?");
        return; /* Not reached; the analyser does not know. */
    }
    if (strcmp(out->path, "-") == 0 && (out->follow || out->checkpoint_path != NULL)) {
        argp_error(state, "standard input can neither be followed nor resumed");
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct feed_options *out = state->input;
    switch (key) {
    case OPTION_FORMAT:
        if (strcmp(text, "mail_logs") != 0) {
            argp_error(state, "--format must be mail_logs, not '%s'", text);
        }
        return 0;
    case 'f': out->follow = true; return 0;
    case 'q': out->quiet = true; return 0;
    case 'o': set_output(state, text, out); return 0;
    case OPTION_DRY_RUN: out->dry_run = true; return 0;
    case OPTION_STATE: out->checkpoint_path = text; return 0;
    case OPTION_SERIAL: out->mail_logs.serial = text; return 0;
    case OPTION_FLUSH_AFTER:
        out->mail_logs.flush_after_s = number_of(state, text, "--flush-after", 1, FEED_SECONDS_MAX);
        return 0;
    case OPTION_YEAR:
        out->mail_logs.context.year = number_of(state, text, "--year", 1971, 9998);
        return 0;
    case OPTION_BATCH: out->batch = number_of(state, text, "--batch", 1, RPC_RECORDS_MAX); return 0;
    case OPTION_GIVE_UP_AFTER:
        out->give_up_after_s = number_of(state, text, "--give-up-after", 0, FEED_SECONDS_MAX);
        out->give_up_is_given = true;
        return 0;
    case ARGP_KEY_ARG:
        if (out->path != NULL) {
            argp_error(state, "one file at a time");
        }
        out->path = text;
        return 0;
    case ARGP_KEY_END: check_whole(state, out); return 0;
    default: return parse_connection(key, text, out);
    }
}

static uint64_t current_year(void)
{
    char text[CLOCK_TEXT_SIZE];
    struct slice rest = slice_of(clock_format(clock_now_ms(), text));
    uint64_t year = 0;
    return scan_number(&rest, 9998, &year) ? year : 1971;
}

void feed_options_parse(int argc, char **argv, struct feed_options *out)
{
    static const struct argp argp = {options, parse_option, "FILE", doc, NULL, NULL, NULL};
    *out = (struct feed_options){.batch = FEED_BATCH_DEFAULT};
    out->mail_logs.context.year = current_year();
    argp_err_exit_status = EXIT_USAGE;
    error_t error = argp_parse(&argp, argc, argv, 0, NULL, out);
    if (error != 0) {
        exit(EXIT_USAGE);
    }
    if (!out->give_up_is_given) {
        out->give_up_after_s = out->follow ? 0 : FEED_GIVE_UP_DEFAULT_S;
    }
}
