/*
 * How fast mail_logs are read: parses a file, or many times the same, and prints what came out.
 *
 *     mail_logs_bench FILE [chunk size in bytes]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "mail_logs.h"

struct tally {
    uint64_t observables;
    uint64_t bytes;
    struct buffer body;
};

static struct status on_record(void *context, const struct message_record *record,
                               uint64_t position)
{
    struct tally *tally = context;
    (void)position;
    struct status status = message_record_check(record);
    if (failed(status)) {
        return status;
    }
    buffer_clear(&tally->body);
    status = codec_encode(&message_record_codec, CODEC_TAGS, record, &tally->body);
    tally->bytes += tally->body.size;
    tally->observables += record->observables.count;
    return status;
}

static struct status read_all(struct mail_logs *logs, int file, size_t chunk_size,
                              uint64_t *out_size)
{
    char *chunk = malloc(chunk_size);
    if (chunk == NULL) {
        return fail(STATUS_NO_MEMORY, "read the log");
    }
    struct status status = OK;
    ssize_t got = 0;
    while (!failed(status) && (got = read(file, chunk, chunk_size)) > 0) {
        *out_size += (uint64_t)got;
        status = mail_logs_read(logs, (struct slice){.data = chunk, .size = (size_t)got});
    }
    free(chunk);
    return failed(status) ? status : mail_logs_finish(logs);
}

static void print_counts(struct mail_logs *logs, const struct tally *tally)
{
    const struct mail_logs_counts *counts = mail_logs_counts(logs);
    printf("records %llu complete %llu by_age %llu by_number %llu at_end %llu\n",
           (unsigned long long)counts->records, (unsigned long long)counts->complete,
           (unsigned long long)counts->flushed_by_age,
           (unsigned long long)counts->flushed_by_number,
           (unsigned long long)counts->flushed_at_end);
    printf("lines %llu bad %llu unknown %llu cut %llu repaired %llu no_serial %llu\n",
           (unsigned long long)counts->lines, (unsigned long long)counts->lines_bad,
           (unsigned long long)counts->lines_unknown, (unsigned long long)counts->lines_cut,
           (unsigned long long)counts->lines_repaired, (unsigned long long)counts->lines_no_serial);
    printf("observables %llu body_bytes %llu\n", (unsigned long long)tally->observables,
           (unsigned long long)tally->bytes);
    for (unsigned i = 0; i < MAIL_EVENT_KIND_COUNT; i++) {
        if (counts->kinds[i] > 0) {
            printf("  %-16s %llu\n", mail_event_kind_name((enum mail_event_kind)i),
                   (unsigned long long)counts->kinds[i]);
        }
    }
    for (size_t i = 0; i < counts->sample_count; i++) {
        printf("  ? %s\n", counts->samples[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE [chunk size in bytes]\n", argv[0]);
        return 2;
    }
    size_t chunk_size = argc > 2 ? strtoul(argv[2], NULL, 10) : (size_t)64 << 10;
    int file = open(argv[1], O_RDONLY | O_CLOEXEC);
    struct mail_logs_options options = {.serial = NULL, .context.year = 2020};
    struct mail_logs *logs = NULL;
    struct tally tally = {0};
    if (file < 0 || chunk_size == 0 ||
        failed(mail_logs_create(&options, 0, &tally, on_record, &logs))) {
        fprintf(stderr, "cannot read %s\n", argv[1]);
        return 1;
    }
    uint64_t size = 0;
    uint64_t start_ms = clock_monotonic_ms();
    struct status status = read_all(logs, file, chunk_size, &size);
    uint64_t took_ms = clock_monotonic_ms() - start_ms + 1;
    if (failed(status)) {
        fprintf(stderr, "%s\n", status.message);
    }
    print_counts(logs, &tally);
    printf("%.1f MB in %llu ms: %.1f MB/s, %.0f lines/s, %.0f records/s\n", (double)size / 1e6,
           (unsigned long long)took_ms, (double)size / 1e3 / (double)took_ms,
           (double)mail_logs_counts(logs)->lines * 1e3 / (double)took_ms,
           (double)mail_logs_counts(logs)->records * 1e3 / (double)took_ms);
    mail_logs_destroy(logs);
    buffer_release(&tally.body);
    close(file);
    return failed(status) ? 1 : 0;
}
