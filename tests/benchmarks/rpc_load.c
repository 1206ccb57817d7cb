/*
 * A closed-loop load on the admin RPC: N connections, each sends a request, waits for its answer
 * and sends the next.
 *
 *     rpc_load --socket PATH | --tls HOST:PORT --ca FILE --certificate FILE --key FILE
 *              [--call submit|status|search|get] [--writers N] [--batch N]
 *              [--warm S] [--seconds S] [--run NUMBER]
 *
 * `submit` writes message records whose stored body (CODEC_TAGS, what etcd's value is to etcd) is
 * exactly LOAD_BODY_SIZE bytes, with five search keys; no two of one run, nor of runs with
 * different --run numbers, are the same message. `get` finds the first record of an earlier submit
 * with the same --run by its MID, and checks that it is there. Requests are encoded once; what makes a record
 * unique is then written over in place, so that the load costs little beside what it measures.
 *
 * One JSON object on stdout. Latency is from just before a request is written until its answer is
 * parsed; requests count that began after --warm and were answered before the end. Exits with 1 if
 * any answer was an error or any record was a duplicate: such a run measured something else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "base/clock.h"
#include "base/skim.h"
#include "base/stream.h"
#include "client/protocol.h"
#include "client/rpc_frame.h"
#include "histogram.h"
#include "load_request.h"

#define WRITERS_MAX 4096U
#define RUNS_MAX 512U /* Another --run after so many writes the same records again. */
#define NUMBERS_PER_RUN UINT64_C(10000000000)
#define FILE_SIZE_MAX 65536U

struct options {
    const char *socket;
    const char *tls;
    const char *ca;
    const char *certificate;
    const char *key;
    enum load_call call;
    unsigned writers;
    unsigned batch;
    double warm_s;
    double seconds;
    uint64_t run;
};

struct writer {
    struct load *load;
    struct stream *stream;
    struct load_request request;
    struct buffer input;
    uint32_t id;
    uint64_t sent_ns;
};

struct load {
    struct options options;
    uv_loop_t loop;
    uv_timer_t timer;
    struct tls_context *tls;
    struct writer *writers;
    unsigned open;
    bool ending;
    uint64_t next_number;
    uint64_t from_ns;
    uint64_t until_ns;
    uint64_t records;
    uint64_t errors;
    char first_error[RPC_ERROR_SIZE_MAX];
    struct histogram latency_us;
};

/* ---- Writers ---- */

static void send_next(struct writer *writer)
{
    load_request_renew(&writer->request, ++writer->id, &writer->load->next_number);
    struct slice bytes = buffer_slice(&writer->request.bytes);
    writer->sent_ns = uv_hrtime();
    load_must(stream_write(writer->stream, &bytes, 1), "send");
}

static void note_error(struct load *load, struct slice message)
{
    if (load->errors++ == 0) {
        (void)snprintf(load->first_error, sizeof load->first_error, "%.*s", SLICE_ARG(message));
    }
}

static void check_submitted(struct load *load, struct slice result)
{
    struct rpc_submitted submitted;
    struct arena arena = {0};
    load_must(codec_decode(&rpc_submitted_codec, CODEC_NAMES, result, &arena, &submitted),
              "answer");
    arena_release(&arena);
    if (submitted.accepted != load->options.batch) {
        note_error(load, slice_of("a record was there before: give each run its own --run number"));
    }
}

static void check_found(struct load *load, struct slice result)
{
    struct rpc_records records;
    struct arena arena = {0};
    load_must(codec_decode(&rpc_records_codec, CODEC_NAMES, result, &arena, &records), "answer");
    if (records.records.count != 1) {
        note_error(load, slice_of("the record is not there: submit with the same --run first"));
    }
    arena_release(&arena);
}

static void take_answer(struct writer *writer, struct slice bytes)
{
    struct load *load = writer->load;
    struct rpc_frame frame;
    bool id_known;
    load_must(rpc_frame_parse(bytes, &frame, &id_known), "answer");
    if (!frame.response || frame.id != writer->id) {
        load_die("answer", "it is not the one that was waited for");
    }
    if (frame.error != 0) {
        note_error(load, frame.message);
        return;
    }
    uint64_t now_ns = uv_hrtime();
    if (writer->sent_ns >= load->from_ns && now_ns < load->until_ns) {
        histogram_add(&load->latency_us, (now_ns - writer->sent_ns) / 1000);
        load->records += load->options.batch;
    }
    if (load->options.call == LOAD_SUBMIT) {
        check_submitted(load, frame.result);
    } else if (load->options.call == LOAD_GET) {
        check_found(load, frame.result);
    }
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX, .depth_max = RPC_DEPTH_MAX, .values_max = RPC_VALUES_MAX};
    struct writer *writer = context;
    size_t size = 0;
    if (!buffer_append(&writer->input, bytes.data, bytes.size)) {
        load_die("answer", "no memory");
    }
    enum skim_result skimmed = skim_value(buffer_slice(&writer->input), &limits, &size);
    if (skimmed == SKIM_PARTIAL) {
        return;
    }
    if (skimmed != SKIM_COMPLETE) {
        load_die("answer", skim_explain(skimmed));
    }
    take_answer(writer, (struct slice){.data = writer->input.data, .size = size});
    buffer_consume(&writer->input, size);
    if (writer->load->ending) {
        stream_close(stream);
    } else {
        send_next(writer);
    }
}

static void on_time(uv_timer_t *timer)
{
    struct load *load = timer->data;
    load->ending = true; /* Each writer waits for its last answer. */
    uv_close((uv_handle_t *)timer, NULL);
}

static void open_writer(struct load *load, struct writer *writer);

/* They open one after the other, not to overrun the listener; the last one starts them all. */
static void on_open(struct stream *stream, void *context)
{
    struct writer *writer = context;
    struct load *load = writer->load;
    (void)stream;
    if (++load->open < load->options.writers) {
        open_writer(load, &load->writers[load->open]);
        return;
    }
    load->from_ns = uv_hrtime() + (uint64_t)(load->options.warm_s * 1e9);
    load->until_ns = load->from_ns + (uint64_t)(load->options.seconds * 1e9);
    uv_update_time(&load->loop);
    (void)uv_timer_start(&load->timer, on_time,
                         (uint64_t)((load->options.warm_s + load->options.seconds) * 1e3) + 1, 0);
    for (unsigned i = 0; i < load->options.writers; i++) {
        send_next(&load->writers[i]);
    }
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    const struct writer *writer = context;
    (void)stream;
    if (!writer->load->ending) {
        load_die("connection", failed(reason) ? reason.message : "it was closed");
    }
}

static const struct stream_handlers handlers = {
    .on_open = on_open, .on_read = on_read, .on_close = on_close};

static void open_writer(struct load *load, struct writer *writer)
{
    const struct stream_options options = {.loop = &load->loop,
                                           .handlers = &handlers,
                                           .context = writer,
                                           .handshake_timeout_ms = 30000};
    writer->load = load;
    load_request_make(&writer->request, load->options.call, load->options.batch, load->next_number);
    load_must(
        load->tls == NULL
            ? stream_connect_local(load->options.socket, &options, &writer->stream)
            : stream_connect_tls(load->options.tls, NULL, load->tls, &options, &writer->stream),
        "connect");
}

static void close_writer(struct writer *writer)
{
    load_request_release(&writer->request);
    buffer_release(&writer->input);
}

/* ---- Running ---- */

static struct slice read_file(const char *path, struct buffer *out)
{
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file == NULL || !buffer_reserve(out, FILE_SIZE_MAX)) {
        load_die("--tls needs readable files for --ca, --certificate and --key",
                 path == NULL ? "one is missing" : path);
    }
    out->size = fread(out->data, 1, FILE_SIZE_MAX, file);
    (void)fclose(file);
    return buffer_slice(out);
}

static void open_tls(struct load *load)
{
    struct buffer ca = {0};
    struct buffer certificate = {0};
    struct buffer key = {0};
    const struct tls_options options = {
        .verify = TLS_VERIFY_REQUIRED,
        .ca_pem = read_file(load->options.ca, &ca),
        .certificate_pem = read_file(load->options.certificate, &certificate),
        .key_pem = read_file(load->options.key, &key),
    };
    load_must(tls_context_create(&options, &load->tls), "TLS");
    buffer_release(&ca);
    buffer_release(&certificate);
    buffer_release(&key);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void report(const struct load *load)
{
    const struct histogram *latency = &load->latency_us;
    const double seconds = load->options.seconds;
    (void)printf("{\"writers\": %u, \"batch\": %u, \"requests_per_s\": %.1f, "
                 "\"records_per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
                 "\"errors\": %" PRIu64 ", \"load_cpu_s\": %.2f}\n",
                 load->options.writers, load->options.batch, (double)latency->count / seconds,
                 (double)load->records / seconds, (double)histogram_quantile(latency, 0.5) / 1e3,
                 (double)histogram_quantile(latency, 0.99) / 1e3, (double)latency->max / 1e3,
                 load->errors, cpu_seconds());
    if (load->errors > 0) {
        (void)fprintf(stderr, "rpc_load: %" PRIu64 " errors, the first: %s\n", load->errors,
                      load->first_error);
    }
}

static int run(struct load *load)
{
    const struct options *options = &load->options;
    load->next_number = LOAD_NUMBER_MIN + options->run % RUNS_MAX * NUMBERS_PER_RUN;
    load->writers = calloc(options->writers, sizeof *load->writers);
    if (load->writers == NULL || uv_loop_init(&load->loop) != 0) {
        load_die("start", "no memory");
    }
    (void)uv_timer_init(&load->loop, &load->timer);
    load->timer.data = load;
    if (options->tls != NULL) {
        open_tls(load);
    }
    open_writer(load, &load->writers[0]);
    (void)uv_run(&load->loop, UV_RUN_DEFAULT);
    report(load);
    for (unsigned i = 0; i < options->writers; i++) {
        close_writer(&load->writers[i]);
    }
    free(load->writers);
    tls_context_destroy(load->tls);
    (void)uv_loop_close(&load->loop);
    return load->errors > 0 ? 1 : 0;
}

/* ---- Options ---- */

static enum load_call call_of(const char *name)
{
    if (strcmp(name, "submit") == 0) {
        return LOAD_SUBMIT;
    }
    if (strcmp(name, "status") == 0) {
        return LOAD_STATUS;
    }
    if (strcmp(name, "search") == 0) {
        return LOAD_SEARCH;
    }
    if (strcmp(name, "get") != 0) {
        load_die("--call", "it is submit, status, search or get");
    }
    return LOAD_GET;
}

static void set_option(struct options *options, int letter, const char *value)
{
    switch (letter) {
    case 's': options->socket = value; return;
    case 't': options->tls = value; return;
    case 'a': options->ca = value; return;
    case 'c': options->certificate = value; return;
    case 'k': options->key = value; return;
    case 'm': options->call = call_of(value); return;
    case 'w': options->writers = (unsigned)strtoul(value, NULL, 10); return;
    case 'b': options->batch = (unsigned)strtoul(value, NULL, 10); return;
    case 'u': options->warm_s = strtod(value, NULL); return;
    case 'd': options->seconds = strtod(value, NULL); return;
    case 'r': options->run = strtoull(value, NULL, 10); return;
    default: load_die("usage", "see the first lines of rpc_load.c");
    }
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"socket", required_argument, NULL, 's'},  {"tls", required_argument, NULL, 't'},
        {"ca", required_argument, NULL, 'a'},      {"certificate", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},     {"call", required_argument, NULL, 'm'},
        {"writers", required_argument, NULL, 'w'}, {"batch", required_argument, NULL, 'b'},
        {"warm", required_argument, NULL, 'u'},    {"seconds", required_argument, NULL, 'd'},
        {"run", required_argument, NULL, 'r'},     {NULL, 0, NULL, 0},
    };
    static struct load load = {.options = {.writers = 1, .batch = 1, .warm_s = 1, .seconds = 5}};
    struct options *options = &load.options;
    int letter;
    while ((letter = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        set_option(options, letter, optarg);
    }
    if ((options->socket == NULL) == (options->tls == NULL) || options->writers == 0 ||
        options->writers > WRITERS_MAX || options->batch == 0 || options->batch > RPC_RECORDS_MAX ||
        options->seconds <= 0 || options->warm_s < 0) {
        load_die("usage", "see the first lines of rpc_load.c");
    }
    return run(&load);
}
