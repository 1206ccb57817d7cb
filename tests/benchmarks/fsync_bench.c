/*
 * What one durable write of this disk costs, with nothing else around it: overwrites of an
 * allocated file, each followed by fdatasync(). Everything a replicated log does stands on this.
 *
 *     fsync_bench DIRECTORY [SECONDS] [SIZE]
 *
 * One JSON object on stdout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

#define FILE_SIZE ((off_t)64 << 20U)
#define WRITE_SIZE_MAX 1048576U
#define SECONDS_DEFAULT 2.0
#define WRITE_SIZE_DEFAULT 4096U /* A page; both logs write a few hundred bytes within one. */

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int fail_with(const char *what)
{
    perror(what);
    return 1;
}

static int measure(int file, double seconds, size_t size)
{
    static char bytes[WRITE_SIZE_MAX];
    static struct histogram latency_us;
    uint64_t begin_ns = now_ns();
    uint64_t at_ns = begin_ns;
    off_t offset = 0;
    memset(bytes, 'b', size);
    while ((double)(at_ns - begin_ns) < seconds * 1e9) {
        if (pwrite(file, bytes, size, offset) != (ssize_t)size || fdatasync(file) != 0) {
            return fail_with("fsync_bench: write");
        }
        uint64_t done_ns = now_ns();
        histogram_add(&latency_us, (done_ns - at_ns) / 1000);
        at_ns = done_ns;
        offset = offset + 2 * (off_t)size > FILE_SIZE ? 0 : offset + (off_t)size;
    }
    (void)printf("{\"size\": %zu, \"per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", size,
                 (double)latency_us.count * 1e9 / (double)(at_ns - begin_ns),
                 (double)histogram_quantile(&latency_us, 0.5) / 1e3,
                 (double)histogram_quantile(&latency_us, 0.99) / 1e3);
    return 0;
}

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? strtod(argv[2], NULL) : SECONDS_DEFAULT;
    size_t size = argc > 3 ? strtoul(argv[3], NULL, 10) : WRITE_SIZE_DEFAULT;
    char path[4096];
    if (argc < 2 || seconds <= 0 || size == 0 || size > WRITE_SIZE_MAX) {
        (void)fprintf(stderr, "usage: fsync_bench DIRECTORY [SECONDS] [SIZE]\n");
        return 2;
    }
    (void)snprintf(path, sizeof path, "%s/fsync_bench.data", argv[1]);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || posix_fallocate(file, 0, FILE_SIZE) != 0) {
        return fail_with("fsync_bench: open");
    }
    /* Written once, so that the loop does not pay for turning allocated blocks into written ones. */
    static const char zeros[65536];
    for (off_t at = 0; at < FILE_SIZE; at += (off_t)sizeof zeros) {
        if (pwrite(file, zeros, sizeof zeros, at) != (ssize_t)sizeof zeros) {
            return fail_with("fsync_bench: write");
        }
    }
    int code = fsync(file) == 0 ? measure(file, seconds, size) : fail_with("fsync_bench: fsync");
    (void)close(file);
    (void)unlink(path);
    return code;
}
