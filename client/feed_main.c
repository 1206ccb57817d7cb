/*
 * muster-feed: reads an appliance's log and submits its records to the cluster.
 *
 *     log file -> log_follow -> mail_logs -> batch -> node
 *                     ^                        |
 *                     +------ checkpoint <-----+
 *
 * The checkpoint moves only over what the cluster has, so a crash at any moment costs nothing but
 * reading some lines again. At the end of input, messages that are still open are submitted as
 * incomplete; the checkpoint stays before them, so that a later run finds the rest of their lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "feed_batch.h"
#include "feed_link.h"
#include "feed_options.h"
#include "feed_summary.h"
#include "log_files.h"
#include "log_follow.h"
#include "mail_context.h"
#include "mail_logs.h"

#define SAVE_EVERY_MS 1000
#define PROGRESS_EVERY_MS 200
#define POLL_EVERY_MS 1000 /* Besides inotify, which network file systems do not have. */

static volatile sig_atomic_t stop;

struct feed {
    struct feed_options options;
    struct log_follow *follow; /* NULL: standard input. */
    struct mail_logs *logs;
    struct feed_batch batch;
    struct feed_link link;
    int watch; /* inotify, -1: none. */
    uint64_t start_ms;
    uint64_t saved_ms;
    uint64_t saved_position; /* In the stream; UINT64_MAX: nothing saved yet. */
    uint64_t progress_ms;
};

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* -------------------------------------------------------------------------------- submitting */

static struct status submit(struct feed *feed)
{
    struct status status = OK;
    if (!feed->options.dry_run) {
        status = feed_link_submit(&feed->link, &feed->batch);
    }
    if (!failed(status)) {
        feed_batch_clear(&feed->batch);
    }
    return status;
}

static struct status on_record(void *context, const struct message_record *record,
                               uint64_t position)
{
    struct feed *feed = context;
    struct status status = feed_batch_add(&feed->batch, record, position);
    if (status.code != STATUS_FULL) {
        return status;
    }
    status = submit(feed);
    return failed(status) ? status : feed_batch_add(&feed->batch, record, position);
}

/* -------------------------------------------------------------------------------- checkpoints */

static struct status save(struct feed *feed)
{
    struct mail_logs_context context;
    struct buffer bytes = {0};
    if (feed->follow == NULL || feed->options.dry_run) {
        return OK;
    }
    uint64_t position = mail_logs_checkpoint(feed->logs, feed->batch.position, &context);
    feed->saved_ms = clock_monotonic_ms();
    if (position == feed->saved_position) {
        return OK; /* Writing it would also wake us up again, if it lies in the log's folder. */
    }
    struct status status = mail_context_encode(&context, &bytes);
    if (!failed(status)) {
        status = log_follow_save(feed->follow, position, buffer_slice(&bytes));
    }
    if (!failed(status)) {
        feed->saved_position = position;
    }
    buffer_release(&bytes);
    return status;
}

static struct feed_summary summary_of(struct feed *feed, struct status outcome)
{
    return (struct feed_summary){
        .log = mail_logs_counts(feed->logs),
        .files = feed->follow != NULL ? log_follow_counts(feed->follow) : NULL,
        .link = feed->options.dry_run ? NULL : &feed->link,
        .outcome = outcome,
        .took_ms = clock_monotonic_ms() - feed->start_ms,
    };
}

static struct status after_chunk(struct feed *feed)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (!feed->options.quiet && now_ms - feed->progress_ms >= PROGRESS_EVERY_MS) {
        struct feed_summary summary = summary_of(feed, OK);
        feed_progress(&summary, feed->follow != NULL ? log_follow_remaining(feed->follow) : 0);
        feed->progress_ms = now_ms;
    }
    return now_ms - feed->saved_ms >= SAVE_EVERY_MS ? save(feed) : OK;
}

/* ------------------------------------------------------------------------------------ reading */

static struct status take_chunk(struct feed *feed, struct slice chunk)
{
    struct status status = mail_logs_read(feed->logs, chunk);
    return failed(status) ? status : after_chunk(feed);
}

static struct status read_input(struct feed *feed)
{
    static char chunk[LOG_FOLLOW_CHUNK_SIZE];
    struct status status = OK;
    while (stop == 0 && !failed(status)) {
        ssize_t got = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (got == 0) {
            break;
        }
        if (got > 0) {
            status = take_chunk(feed, (struct slice){.data = chunk, .size = (size_t)got});
        } else if (errno != EINTR) {
            status = fail_errno(errno, "read standard input");
        }
    }
    return status;
}

/* Until something happens in the log's folder, or for a second. */
static void wait_for_more(struct feed *feed)
{
    char events[4096];
    struct pollfd watched = {.fd = feed->watch, .events = POLLIN};
    if (poll(&watched, 1, POLL_EVERY_MS) > 0 && feed->watch >= 0) {
        (void)!read(feed->watch, events, sizeof(events)); /* That there are some is all we ask. */
    }
}

/* All that is there is read: nothing must wait in the batch for more to come. */
static struct status catch_up(struct feed *feed)
{
    struct status status = submit(feed);
    if (!failed(status)) {
        status = save(feed);
    }
    if (!failed(status)) {
        wait_for_more(feed);
    }
    return status;
}

static struct status read_file(struct feed *feed)
{
    while (stop == 0) {
        struct slice chunk;
        struct status status = log_follow_read(feed->follow, &chunk);
        if (failed(status)) {
            return status;
        }
        if (chunk.size == 0 && !feed->options.follow) {
            break;
        }
        status = chunk.size > 0 ? take_chunk(feed, chunk) : catch_up(feed);
        if (failed(status)) {
            return status;
        }
    }
    return OK;
}

/* The checkpoint is taken before the open messages are given up: see the top of the file. */
static struct status finish(struct feed *feed)
{
    struct status status = submit(feed);
    if (!failed(status)) {
        status = save(feed);
    }
    if (failed(status) || feed->options.follow || stop != 0) {
        return status;
    }
    status = mail_logs_finish(feed->logs);
    return failed(status) ? status : submit(feed);
}

static struct status run(struct feed *feed)
{
    struct status status = feed->follow != NULL ? read_file(feed) : read_input(feed);
    return failed(status) ? status : finish(feed);
}

/* ------------------------------------------------------------------------------------ opening */

static void watch_folder(struct feed *feed)
{
    struct log_files files;
    feed->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (feed->watch < 0 || failed(log_files_init(&files, feed->options.path, NULL))) {
        return; /* We look once a second anyway. */
    }
    (void)inotify_add_watch(feed->watch, files.folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
}

static struct status open_log(struct feed *feed)
{
    struct buffer context = {0};
    uint64_t position = 0;
    struct status status = OK;
    if (strcmp(feed->options.path, "-") != 0) {
        status = log_follow_open(feed->options.path, feed->options.checkpoint_path, &context,
                                 &feed->follow);
        if (!failed(status)) {
            position = log_follow_position(feed->follow);
        }
    }
    if (!failed(status) && context.size > 0) {
        status = mail_context_decode(buffer_slice(&context), &feed->options.mail_logs.context);
    }
    if (!failed(status)) {
        status = mail_logs_create(&feed->options.mail_logs, position, feed, on_record, &feed->logs);
    }
    buffer_release(&context);
    return status;
}

static int exit_code(struct status status)
{
    return failed(status) ? rpc_exit_code(rpc_error_of_status(status.code)) : EXIT_SUCCESS;
}

static void report(struct feed *feed, struct status outcome)
{
    struct feed_summary summary = summary_of(feed, outcome);
    feed_progress_end();
    if (!feed->options.quiet && feed->options.json) {
        feed_summary_json(&summary);
    } else if (!feed->options.quiet) {
        feed_summary_table(&summary);
    }
}

int main(int argc, char **argv)
{
    struct feed feed = {
        .watch = -1, .start_ms = clock_monotonic_ms(), .saved_position = UINT64_MAX};
    struct sigaction action = {.sa_handler = on_signal}; /* No SA_RESTART: waits must end. */
    feed_options_parse(argc, argv, &feed.options);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    feed_batch_init(&feed.batch, feed.options.batch);
    feed.link = (struct feed_link){
        .options = &feed.options.connection,
        .feed = slice_of("mail_logs"),
        .give_up_after_ms = feed.options.give_up_after_s * 1000,
        .stop = &stop,
    };
    struct status status = open_log(&feed);
    if (!failed(status)) {
        if (feed.options.follow) {
            watch_folder(&feed);
        }
        status = run(&feed);
        report(&feed, status);
    }
    if (failed(status)) {
        fprintf(stderr, "muster-feed: %s\n", status.message);
    }
    feed_link_close(&feed.link);
    feed_batch_release(&feed.batch);
    mail_logs_destroy(feed.logs);
    log_follow_close(feed.follow);
    if (feed.watch >= 0) {
        close(feed.watch);
    }
    return exit_code(status);
}
