/*
 * Appends per second of the write-ahead log beside a bare loop of pwrite and fdatasync.
 *
 *     wal_bench DIRECTORY [SECONDS]
 *
 * The directory must be empty or a log; it should be on the disk that is to be measured. Each row
 * keeps so many appends of one 256-byte entry under way at once, and appends again when one is
 * answered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "wal.h"

#define ENTRY_SIZE 256
#define CONCURRENT_MAX 256
#define SNAPSHOT_AFTER 50000U /* Entries; then the log is cut, so that files are recycled. */

struct bench {
    uv_loop_t loop;
    struct wal *wal;
    uint64_t end_ns;
    uint64_t answered;
    unsigned under_way;
    struct wal_request requests[CONCURRENT_MAX];
    uint64_t begun_ns[CONCURRENT_MAX];
    uint64_t latency_sum_ns;
    uint64_t latency_max_ns;
    struct wal_request snapshot;
    bool snapshot_under_way;
    uint64_t snapshot_at;
};

static uint8_t payload[ENTRY_SIZE];
static const struct raft_entry entry = {
    .term = 1, .type = RAFT_COMMAND, .buf = {.base = payload, .len = ENTRY_SIZE}};

static void must(struct status status)
{
    if (failed(status)) {
        (void)fprintf(stderr, "wal_bench: %s\n", status.message);
        exit(1);
    }
}

static void on_snapshot(struct wal_request *request, struct status status)
{
    must(status);
    ((struct bench *)request->context)->snapshot_under_way = false;
}

static void cut_log(struct bench *bench)
{
    struct wal_stats stats;
    wal_stats(bench->wal, &stats);
    if (bench->snapshot_under_way || stats.last_index < bench->snapshot_at + SNAPSHOT_AFTER) {
        return;
    }
    struct raft_snapshot snapshot = {.index = stats.last_index, .term = 1};
    bench->snapshot_at = stats.last_index;
    bench->snapshot.context = bench;
    bench->snapshot_under_way = true;
    must(wal_snapshot_put(bench->wal, &bench->snapshot, &snapshot, 1, on_snapshot));
}

static void on_appended(struct wal_request *request, struct status status)
{
    must(status);
    struct bench *bench = request->context;
    size_t slot = (size_t)(request - bench->requests);
    uint64_t now_ns = uv_hrtime();
    uint64_t latency_ns = now_ns - bench->begun_ns[slot];
    bench->latency_sum_ns += latency_ns;
    if (latency_ns > bench->latency_max_ns) {
        bench->latency_max_ns = latency_ns;
    }
    bench->answered++;
    if (now_ns >= bench->end_ns) {
        bench->under_way--;
        return;
    }
    bench->begun_ns[slot] = now_ns;
    must(wal_append(bench->wal, request, &entry, 1, on_appended));
    if (slot == 0) {
        cut_log(bench);
    }
}

static void run_row(struct bench *bench, unsigned concurrent, uint64_t seconds)
{
    struct wal_stats before;
    struct wal_stats after;
    wal_stats(bench->wal, &before);
    uint64_t begin_ns = uv_hrtime();
    bench->end_ns = begin_ns + seconds * UINT64_C(1000000000);
    bench->answered = bench->latency_sum_ns = bench->latency_max_ns = 0;
    bench->under_way = concurrent;
    for (unsigned i = 0; i < concurrent; i++) {
        bench->requests[i].context = bench;
        bench->begun_ns[i] = uv_hrtime();
        must(wal_append(bench->wal, &bench->requests[i], &entry, 1, on_appended));
    }
    while (bench->under_way > 0 || bench->snapshot_under_way) {
        (void)uv_run(&bench->loop, UV_RUN_ONCE);
    }
    double took = (double)(uv_hrtime() - begin_ns) / 1e9;
    wal_stats(bench->wal, &after);
    uint64_t syncs = after.syncs - before.syncs;
    (void)printf("%3u at once: %8.0f appends/s, %6.0f fdatasync/s of %4.0f us, mean %.2f ms, "
                 "max %.1f ms\n",
                 concurrent, (double)bench->answered / took, (double)syncs / took,
                 (double)(after.sync_time_us - before.sync_time_us) / (double)syncs,
                 (double)bench->latency_sum_ns / (double)bench->answered / 1e6,
                 (double)bench->latency_max_ns / 1e6);
}

/* One pwrite and one fdatasync at a time, into an allocated file; a second pass overwrites. */
static void run_bare(const char *directory, uint64_t seconds)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/bare", directory);
    const off_t size = 16 << 20;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || posix_fallocate(file, 0, size) != 0) {
        must(fail(STATUS_IO, "allocate %s", path));
    }
    for (int pass = 0; pass < 2; pass++) {
        uint64_t begin_ns = uv_hrtime();
        uint64_t count = 0;
        off_t at = 0;
        while (uv_hrtime() < begin_ns + seconds * UINT64_C(1000000000) && at < size) {
            if (pwrite(file, payload, ENTRY_SIZE, at) != ENTRY_SIZE || fdatasync(file) != 0) {
                must(fail(STATUS_IO, "write %s", path));
            }
            at += ENTRY_SIZE;
            count++;
        }
        double took = (double)(uv_hrtime() - begin_ns) / 1e9;
        (void)printf("bare loop, %-9s: %8.0f writes/s\n", pass == 0 ? "allocated" : "overwrite",
                     (double)count / took);
    }
    (void)close(file);
    (void)unlink(path);
}

static void on_closed(void *context, struct status status)
{
    (void)context;
    must(status);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: wal_bench DIRECTORY [SECONDS]\n");
        return 2;
    }
    uint64_t seconds = argc > 2 ? strtoull(argv[2], NULL, 10) : 3;
    memset(payload, 0xab, sizeof payload);
    (void)uv_loop_init(&bench.loop);
    struct wal_options options = {.directory = argv[1], .loop = &bench.loop};
    must(wal_open(&options, &bench.wal));
    run_bare(argv[1], seconds);
    struct wal_stats stats;
    wal_stats(bench.wal, &stats);
    bench.snapshot_at = stats.last_index;
    static const unsigned rows[] = {1, 32, CONCURRENT_MAX};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run_row(&bench, rows[i], seconds);
    }
    wal_close(bench.wal, on_closed, NULL);
    (void)uv_run(&bench.loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&bench.loop);
    return 0;
}
