/*
 * How fast the store applies records, what a record costs on disk, and how long a search takes.
 *
 *     store_bench DIRECTORY [RECORDS]
 *
 * Records have a body of 256 bytes and 4 search keys, one record a command, as the feed's worst
 * case; entries hold 1, 32 or 256 commands; the store is flushed every 10 ms, as the server does.
 * The rate counts the time on this thread, encoding not included. The directory must not exist; it
 * is made and left behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "store/store.h"

#define BODY_SIZE 256
#define KEY_COUNT 4
#define CHUNK_COUNT 4096U /* Commands that are encoded ahead. */
#define FLUSH_EVERY_S 0.01
#define SEARCHES 200
#define MAP_SIZE ((size_t)8 << 30U)

static double seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void must(struct status status)
{
    if (failed(status)) {
        (void)fprintf(stderr, "store_bench: %s\n", status.message);
        exit(1);
    }
}

static void encode(const struct command *command, struct buffer *out)
{
    buffer_clear(out);
    must(command_encode(command, out));
}

static void encode_init(struct buffer *out)
{
    const struct command command = {
        .type = COMMAND_CLUSTER_INIT,
        .stamp = {.at_ms = 1, .actor = slice_of("bench")},
        .body.cluster_init =
            {
                .cluster_id = slice_of("0123456789abcdef0123456789abcdef"),
                .ca_certificate = slice_of("ca"),
                .sealed_ca_key = slice_of("key"),
                .key_epoch = 1,
                .member = {.node_id = 1, .name = slice_of("A"), .serial = slice_of("SA")},
            },
    };
    encode(&command, out);
}

/* 20 appliances, each with MIDs of its own; 1,000 domains, 50,000 addresses, own Message-IDs. */
static void encode_record(uint64_t number, struct buffer *out)
{
    static uint8_t body[BODY_SIZE];
    char serial[40];
    char id[24];
    char values[KEY_COUNT][64];
    struct index_key keys[KEY_COUNT];
    (void)snprintf(serial, sizeof serial, "564D7A1B2C3D4E5F6071-%012" PRIu64, number % 20);
    (void)snprintf(id, sizeof id, "%" PRIu64, 1000000 + number / 20);
    (void)snprintf(values[0], sizeof values[0], "host%" PRIu64 ".example.com",
                   number * 2654435761U % 1000);
    (void)snprintf(values[1], sizeof values[1], "10.%" PRIu64 ".2.3", number * 40503U % 50000);
    (void)snprintf(values[2], sizeof values[2], "%" PRIx64 "@mail.example.com",
                   number * UINT64_C(0x9E3779B97F4A7C15));
    (void)snprintf(values[3], sizeof values[3], "%s", id);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        keys[i] = (struct index_key){.kind = i + 1, .value = slice_of(values[i])};
    }
    memcpy(body, &number, sizeof number);
    struct record_put record = {
        .kind = 1,
        .serial = slice_of(serial),
        .id = slice_of(id),
        .revision = 1700000000000 + number,
        .observed_at_ms = 1700000000000 + number,
        .body = {.data = body, .size = sizeof body},
        .keys = {.items = keys, .count = KEY_COUNT},
    };
    const struct command command = {
        .type = COMMAND_RECORDS_PUT,
        .stamp = {.at_ms = 1700000000000 + number,
                  .actor = slice_of("muster-feed"),
                  .origin = slice_of("local")},
        .body.records_put = {.feed = slice_of("mail_logs"), .records = {&record, 1}},
    };
    encode(&command, out);
}

struct run {
    struct store *store;
    uint64_t index;
    uint64_t flushes;
    double flushed_at;
    double apply_s;
    double flush_s;
};

static void flush_if_due(struct run *run)
{
    double now = seconds(CLOCK_MONOTONIC);
    if (now - run->flushed_at < FLUSH_EVERY_S) {
        return;
    }
    must(store_flush(run->store));
    run->flushed_at = seconds(CLOCK_MONOTONIC);
    run->flush_s += run->flushed_at - now;
    run->flushes++;
}

static void apply_chunk(struct run *run, const struct slice *commands, size_t count, size_t batch)
{
    static struct apply_outcome outcomes[CHUNK_COUNT];
    double before = seconds(CLOCK_MONOTONIC);
    double flush_before = run->flush_s;
    for (size_t i = 0; i < count; i += batch) {
        size_t size = count - i < batch ? count - i : batch;
        must(store_apply(run->store, ++run->index, commands + i, size, outcomes));
        flush_if_due(run);
    }
    run->apply_s += seconds(CLOCK_MONOTONIC) - before - (run->flush_s - flush_before);
}

static void apply_all(struct run *run, uint64_t first, uint64_t count, size_t batch)
{
    static struct buffer encoded[CHUNK_COUNT];
    static struct slice commands[CHUNK_COUNT];
    *run = (struct run){.store = run->store, .index = run->index};
    run->flushed_at = seconds(CLOCK_MONOTONIC);
    double cpu = 0;
    for (uint64_t done = 0; done < count;) {
        size_t chunk = count - done < CHUNK_COUNT ? (size_t)(count - done) : CHUNK_COUNT;
        for (size_t i = 0; i < chunk; i++) {
            encode_record(first + done + i, &encoded[i]);
            commands[i] = buffer_slice(&encoded[i]);
        }
        double cpu_before = seconds(CLOCK_THREAD_CPUTIME_ID);
        apply_chunk(run, commands, chunk, batch);
        cpu += seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
        done += chunk;
    }
    printf("batch %4zu: %8.0f records/s; %.2f us CPU, %.2f us apply and %.2f us flush a record, "
           "%" PRIu64 " flushes\n",
           batch, (double)count / (run->apply_s + run->flush_s), cpu * 1e6 / (double)count,
           run->apply_s * 1e6 / (double)count, run->flush_s * 1e6 / (double)count, run->flushes);
}

static int compare_times(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

struct question {
    const char *what;
    uint64_t kind;
    const char *before;
    uint64_t base;
    uint64_t modulus;
    const char *after;
};

static void search(struct store *store, const struct question *question)
{
    static double times[SEARCHES];
    size_t found = 0;
    for (uint64_t i = 0; i < SEARCHES; i++) {
        struct arena arena = {0};
        struct codec_list list;
        bool more;
        char value[64];
        (void)snprintf(value, sizeof value, "%s%" PRIu64 "%s", question->before,
                       question->base + i * 7919 % question->modulus, question->after);
        const struct record_search wanted = {
            .key = {.kind = question->kind, .value = slice_of(value)}, .count_max = 50};
        double before = seconds(CLOCK_MONOTONIC);
        must(store_search(store, &arena, &wanted, &list, &more));
        times[i] = seconds(CLOCK_MONOTONIC) - before;
        found += list.count;
        arena_release(&arena);
    }
    qsort(times, SEARCHES, sizeof times[0], compare_times);
    printf("search by %s: p50 %.2f ms, p99 %.2f ms, %.1f found\n", question->what,
           times[SEARCHES / 2] * 1e3, times[SEARCHES * 99 / 100] * 1e3, (double)found / SEARCHES);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2 || mkdir(arguments[1], 0700) != 0) {
        (void)fprintf(stderr, "usage: store_bench NEW_DIRECTORY [RECORDS]\n");
        return 2;
    }
    uint64_t count = argument_count > 2 ? strtoull(arguments[2], NULL, 10) : 1000000;
    const struct store_options options = {
        .directory = arguments[1], .map_size_max = MAP_SIZE, .outbox_max = UINT64_MAX};
    struct run run = {0};
    struct buffer init = {0};
    struct apply_outcome outcome;
    must(store_open(&options, &run.store));
    encode_init(&init);
    struct slice command = buffer_slice(&init);
    must(store_apply(run.store, ++run.index, &command, 1, &outcome));

    apply_all(&run, 0, count / 10, 1);
    apply_all(&run, count / 10, count / 10, 32);
    apply_all(&run, count / 5, count - count / 5, 256);
    must(store_sync(run.store));

    struct store_size size;
    store_size(run.store, &size);
    printf("%" PRIu64 " records: %.0f bytes used and %.0f on disk a record\n", size.record_count,
           (double)size.used / (double)size.record_count,
           (double)size.on_disk / (double)size.record_count);
    const struct question questions[] = {
        {"domain (of 1,000)", 1, "host", 0, 1000, ".example.com"},
        {"address (of 50,000)", 2, "10.", 0, 50000, ".2.3"},
        {"MID (20 appliances)", 4, "", 1000000, count / 20, ""},
        {"what is not there", 3, "none", 0, 1000000, ""},
    };
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        search(run.store, &questions[i]);
    }
    store_close(run.store);
    buffer_release(&init);
    return 0;
}
