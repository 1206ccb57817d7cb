/*
 * Summaries and progress of muster-feed.
 *
 * Both forms of the summary are made from one list of rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "feed_summary.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

struct row {
    const char *name;  /* In JSON. */
    const char *title; /* In the table. */
    uint64_t value;
    bool is_trouble; /* Left out of the table if it is 0. */
};

#define ROWS_MAX 24

static size_t rows_of(const struct feed_summary *summary, struct row rows[ROWS_MAX])
{
    const struct mail_logs_counts *log = summary->log;
    const struct log_follow_counts no_files = {0};
    const struct log_follow_counts *files = summary->files != NULL ? summary->files : &no_files;
    const struct feed_link no_link = {0};
    const struct feed_link *link = summary->link != NULL ? summary->link : &no_link;
    const struct row all[] = {
        {"lines", "Lines read", log->lines, false},
        {"lines_bad", "  no log lines", log->lines_bad, true},
        {"lines_unknown", "  of unknown shape", log->lines_unknown, true},
        {"lines_cut", "  too long, cut", log->lines_cut, true},
        {"lines_repaired", "  with bytes that are no text", log->lines_repaired, true},
        {"lines_no_serial", "  before any serial number", log->lines_no_serial, true},
        {"records", "Records", log->records, false},
        {"complete", "  complete", log->complete, false},
        {"incomplete", "  incomplete", log->records - log->complete, false},
        {"accepted", "Accepted by the cluster", link->accepted, false},
        {"duplicates", "  known already", link->duplicates, false},
        {"rejected", "  rejected as invalid", link->rejected, true},
        {"retries", "Tries repeated", link->retries, true},
        {"rotations", "Rotations of the file", files->rotations, true},
        {"truncations", "Truncations of the file", files->truncations, true},
        {"gaps", "Files missing since the last run", files->gaps, true},
    };
    size_t count = sizeof(all) / sizeof(all[0]);
    for (size_t i = 0; i < count; i++) {
        rows[i] = all[i];
    }
    return count;
}

void feed_summary_table(const struct feed_summary *summary)
{
    struct row rows[ROWS_MAX];
    size_t count = rows_of(summary, rows);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].value > 0 || !rows[i].is_trouble) {
            printf("%-34s %12llu\n", rows[i].title, (unsigned long long)rows[i].value);
        }
    }
    if (summary->log->lines_no_serial > 0 && summary->log->records == 0) {
        printf("The log names no serial number: give --serial.\n");
    }
    for (size_t i = 0; i < summary->log->sample_count; i++) {
        printf("%s%s\n", i == 0 ? "Not understood, masked:\n  " : "  ", summary->log->samples[i]);
    }
}

void feed_summary_json(const struct feed_summary *summary)
{
    struct row rows[ROWS_MAX];
    size_t count = rows_of(summary, rows);
    json_t *object = json_object();
    json_t *samples = json_array();
    for (size_t i = 0; i < count; i++) {
        (void)json_object_set_new(object, rows[i].name, json_integer((json_int_t)rows[i].value));
    }
    for (size_t i = 0; i < summary->log->sample_count; i++) {
        (void)json_array_append_new(samples, json_string(summary->log->samples[i]));
    }
    (void)json_object_set_new(object, "samples", samples);
    (void)json_object_set_new(object, "took_ms", json_integer((json_int_t)summary->took_ms));
    (void)json_object_set_new(object, "ok", json_boolean(!failed(summary->outcome)));
    (void)json_object_set_new(object, "error", json_string(summary->outcome.message));
    if (json_dumpf(object, stdout, JSON_INDENT(2)) == 0) {
        printf("\n");
    }
    json_decref(object);
}

void feed_progress(const struct feed_summary *summary, uint64_t remaining_bytes)
{
    const struct feed_link *link = summary->link;
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    fprintf(stderr, "\r%llu lines, %llu records, %llu accepted, %.1f MB to go \033[K",
            (unsigned long long)summary->log->lines, (unsigned long long)summary->log->records,
            (unsigned long long)(link != NULL ? link->accepted + link->duplicates : 0),
            (double)remaining_bytes / 1e6);
    if (link != NULL && failed(link->last_problem) && link->retries > 0) {
        fprintf(stderr, "(%s)", status_name(link->last_problem.code));
    }
}

void feed_progress_end(void)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K");
    }
}
