/*
 * An open-loop load of writes on several nodes at once, going on whatever they answer: how long a
 * cluster takes none is read from what was answered.
 *
 *     failover_probe --socket PATH [--socket PATH ...] [--every-us N] [--seconds S] [--run NUMBER]
 *
 * Each connection sends one records.submit of one record every N microseconds and does not wait. On
 * stdout one line for each write that was accepted: when it was sent and when its answer was there,
 * in microseconds of the wall clock. On stderr a count of those that were not, with the first error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "base/skim.h"
#include "base/stream.h"
#include "client/protocol.h"
#include "client/rpc_frame.h"
#include "load_request.h"

#define TARGETS_MAX 8U
#define WRITES_MAX (1U << 20U) /* A connection. */
#define NUMBERS_PER_TARGET UINT64_C(1000000000)
#define NUMBERS_PER_RUN (TARGETS_MAX * NUMBERS_PER_TARGET)
#define TICK_MS 1

struct probe;

struct target {
    struct probe *probe;
    const char *path;
    struct stream *stream;
    struct load_request request;
    struct buffer input;
    uint64_t next_number;
    uint32_t sent;
    uint64_t *sent_us; /* By request id - 1. */
};

struct probe {
    uv_loop_t loop;
    uv_timer_t timer;
    struct target targets[TARGETS_MAX];
    unsigned target_count;
    unsigned open;
    uint64_t every_us;
    uint64_t seconds;
    uint64_t began_us;
    uint64_t refused;
    char first_error[RPC_ERROR_SIZE_MAX];
};

static uint64_t wall_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

static void send_one(struct target *target)
{
    load_request_renew(&target->request, target->sent + 1, &target->next_number);
    struct slice bytes = buffer_slice(&target->request.bytes);
    target->sent_us[target->sent++] = wall_us();
    load_must(stream_write(target->stream, &bytes, 1), "send");
}

static void on_tick(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    uint64_t passed_us = wall_us() - probe->began_us;
    uint64_t due = passed_us / probe->every_us;
    bool over = passed_us >= probe->seconds * 1000000U;
    for (unsigned i = 0; i < probe->target_count; i++) {
        struct target *target = &probe->targets[i];
        while (!over && target->sent < due && target->sent < WRITES_MAX) {
            send_one(target);
        }
        if (over) {
            stream_close(target->stream);
        }
    }
    if (over) {
        uv_close((uv_handle_t *)timer, NULL);
    }
}

static void take_answer(struct target *target, struct slice bytes)
{
    struct probe *probe = target->probe;
    struct rpc_frame frame;
    bool id_known;
    load_must(rpc_frame_parse(bytes, &frame, &id_known), "answer");
    if (!frame.response || frame.id == 0 || frame.id > target->sent) {
        load_die("answer", "to a request that was never sent");
    }
    if (frame.error != 0) {
        if (probe->refused++ == 0) {
            (void)snprintf(probe->first_error, sizeof probe->first_error, "%.*s",
                           SLICE_ARG(frame.message));
        }
        return;
    }
    (void)printf("%" PRIu64 " %" PRIu64 "\n", target->sent_us[frame.id - 1], wall_us());
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX, .depth_max = RPC_DEPTH_MAX, .values_max = RPC_VALUES_MAX};
    struct target *target = context;
    (void)stream;
    if (!buffer_append(&target->input, bytes.data, bytes.size)) {
        load_die("answer", "no memory");
    }
    size_t used = 0;
    for (;;) {
        struct slice rest = {.data = (const char *)target->input.data + used,
                             .size = target->input.size - used};
        size_t size = 0;
        enum skim_result skimmed = skim_value(rest, &limits, &size);
        if (skimmed == SKIM_PARTIAL) {
            break;
        }
        if (skimmed != SKIM_COMPLETE) {
            load_die("answer", skim_explain(skimmed));
        }
        take_answer(target, (struct slice){.data = rest.data, .size = size});
        used += size;
    }
    buffer_consume(&target->input, used);
}

static void on_open(struct stream *stream, void *context)
{
    struct target *target = context;
    struct probe *probe = target->probe;
    (void)stream;
    if (++probe->open == probe->target_count) {
        probe->began_us = wall_us();
        (void)uv_timer_start(&probe->timer, on_tick, TICK_MS, TICK_MS);
    }
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    (void)stream;
    (void)context;
    if (failed(reason)) {
        load_die("connection", reason.message);
    }
}

static void open_target(struct probe *probe, struct target *target, uint64_t first)
{
    static const struct stream_handlers handlers = {
        .on_open = on_open, .on_read = on_read, .on_close = on_close};
    const struct stream_options options = {
        .loop = &probe->loop, .handlers = &handlers, .context = target};
    target->probe = probe;
    target->next_number = first;
    target->sent_us = calloc(WRITES_MAX, sizeof *target->sent_us);
    if (target->sent_us == NULL) {
        load_die("start", "no memory");
    }
    load_request_make(&target->request, LOAD_SUBMIT, 1, first);
    load_must(stream_connect_local(target->path, &options, &target->stream), "connect");
}

static void set_option(struct probe *probe, int letter, const char *value, uint64_t *run)
{
    switch (letter) {
    case 's':
        if (probe->target_count == TARGETS_MAX) {
            load_die("--socket", "there are too many");
        }
        probe->targets[probe->target_count++].path = value;
        return;
    case 'e': probe->every_us = strtoull(value, NULL, 10); return;
    case 'd': probe->seconds = strtoull(value, NULL, 10); return;
    case 'r': *run = strtoull(value, NULL, 10); return;
    default: load_die("usage", "see the first lines of failover_probe.c");
    }
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"socket", required_argument, NULL, 's'},
        {"every-us", required_argument, NULL, 'e'},
        {"seconds", required_argument, NULL, 'd'},
        {"run", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    static struct probe probe = {.every_us = 2000, .seconds = 5};
    uint64_t run = 0;
    int letter;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        set_option(&probe, letter, optarg, &run);
    }
    if (probe.target_count == 0 || probe.every_us == 0 || probe.seconds == 0 ||
        uv_loop_init(&probe.loop) != 0) {
        load_die("usage", "see the first lines of failover_probe.c");
    }
    (void)uv_timer_init(&probe.loop, &probe.timer);
    probe.timer.data = &probe;
    for (unsigned i = 0; i < probe.target_count; i++) {
        open_target(&probe, &probe.targets[i],
                    LOAD_NUMBER_MIN + run * NUMBERS_PER_RUN + i * NUMBERS_PER_TARGET);
    }
    (void)uv_run(&probe.loop, UV_RUN_DEFAULT);
    if (probe.refused > 0) {
        (void)fprintf(stderr, "%" PRIu64 " not accepted, the first: %s\n", probe.refused,
                      probe.first_error);
    }
    for (unsigned i = 0; i < probe.target_count; i++) {
        load_request_release(&probe.targets[i].request);
        buffer_release(&probe.targets[i].input);
        free(probe.targets[i].sent_us);
    }
    (void)uv_loop_close(&probe.loop);
    return 0;
}
