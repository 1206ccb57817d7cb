/*
 * What muster-feed says while it works and when it is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FEED_SUMMARY_H
#define FEED_SUMMARY_H

#include "feed_link.h"
#include "log_follow.h"
#include "mail_logs.h"

struct feed_summary {
    const struct mail_logs_counts *log;
    const struct log_follow_counts *files; /* NULL: standard input. */
    const struct feed_link *link;          /* NULL: nothing was to be submitted. */
    struct status outcome;
    uint64_t took_ms;
};

/* On standard output. */
void feed_summary_table(const struct feed_summary *summary);
void feed_summary_json(const struct feed_summary *summary);

/* One line on standard error, over the last one; only for a terminal. */
void feed_progress(const struct feed_summary *summary, uint64_t remaining_bytes);
void feed_progress_end(void);

#endif
