/*
 * The command line of muster-feed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FEED_OPTIONS_H
#define FEED_OPTIONS_H

#include <stdbool.h>

#include "client/connection.h"
#include "mail_logs.h"

#define FEED_BATCH_DEFAULT 500
#define FEED_GIVE_UP_DEFAULT_S 60 /* Without --follow; with it, never. */
#define FEED_SECONDS_MAX 86400

struct feed_options {
    const char *path; /* "-": standard input. */
    const char *checkpoint_path;
    bool follow;
    bool dry_run; /* Read and count; submit nothing. */
    bool json;
    bool quiet;
    size_t batch;
    uint64_t give_up_after_s;
    bool give_up_is_given;
    struct mail_logs_options mail_logs;
    struct connection_options connection;
};

/* Exits with the program's usage, and code 2, if the command line is none. */
void feed_options_parse(int argc, char **argv, struct feed_options *out);

#endif
