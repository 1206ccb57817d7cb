/*
 * How fast the exporter empties the outbox into the simulated cloud, and what it costs the leader:
 * store, bundles, HTTPS and the mark, all on one thread. Prints one line.
 *
 *     export_bench [RECORDS]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cloud_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"

#define RECORDS_DEFAULT 60000

static double cpu_s(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
           (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    static struct world world;
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : RECORDS_DEFAULT;
    struct command pause = {
        .type = COMMAND_EXPORT_PAUSE,
        .body.export_pause = {.paused = true, .reason = slice_of("to begin together")},
    };

    world_open(&world);
    world_enrol(&world);
    if (world_apply(&world, pause) != REFUSAL_NONE) {
        return 1;
    }
    world_put_records(&world, count);
    pause.body.export_pause.paused = false;
    double cpu_before_s = cpu_s();
    uint64_t start_ms = clock_monotonic_ms();
    if (world_apply(&world, pause) != REFUSAL_NONE) {
        return 1;
    }
    world_until(&world, world_exported, "exported");
    double wall_s = (double)(clock_monotonic_ms() - start_ms) / 1000;
    double spent_s = cpu_s() - cpu_before_s;
    (void)printf("%zu records in %.2f s: %.0f records/s; leader's CPU %.2f s (%.1f us a record); "
                 "doubled %llu\n",
                 count, wall_s, (double)count / wall_s, spent_s, spent_s * 1e6 / (double)count,
                 (unsigned long long)world_summary(&world, "doubled"));
    world_close(&world);
    return 0;
}
