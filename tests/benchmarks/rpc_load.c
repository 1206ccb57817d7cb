/*
 * A closed-loop load on the admin RPC: N connections, each sends a request, waits for its answer
 * and sends the next.
 *
 *     rpc_load --socket PATH | --tls HOST:PORT --ca FILE --certificate FILE --key FILE
 *              [--call submit|status|search] [--writers N] [--batch N]
 *              [--warm S] [--seconds S] [--run NUMBER]
 *
 * `submit` writes message records whose stored body (CODEC_TAGS, what etcd's value is to etcd) is
 * exactly RECORD_BODY_SIZE bytes, with five search keys; no two of one run, nor of runs with
 * different --run numbers, are the same message. Requests are encoded once; what makes a record
 * unique is then written over in place, so that the load costs little beside what it measures.
 *
 * One JSON object on stdout. Latency is from just before a request is written until its answer is
 * parsed; requests count that began after --warm and were answered before the end. Exits with 1 if
 * any answer was an error or any record was a duplicate: such a run measured something else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
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

#define RECORD_BODY_SIZE 256U /* Bytes of a record as stored. */
#define WRITERS_MAX 4096U
#define FILE_SIZE_MAX 65536U
#define ID_AT 3U /* Of a frame that rpc_frame_begin_request() began: 0x94, type, 0xCE, id. */

/* What stands in a template where a record's own number goes: as a number, and as 16 digits. */
#define NUMBER_MARK UINT64_C(0x001234567890ABCD)
#define DIGITS_MARK "9182736450918273"
#define DIGITS_SIZE 16U

enum call_kind {
    CALL_SUBMIT,
    CALL_STATUS,
    CALL_SEARCH,
};

struct options {
    const char *socket;
    const char *tls;
    const char *ca;
    const char *certificate;
    const char *key;
    enum call_kind call;
    unsigned writers;
    unsigned batch;
    double warm_s;
    double seconds;
    uint64_t run;
};

struct writer {
    struct load *load;
    struct stream *stream;
    struct buffer request;
    size_t *numbers; /* Offsets in the request where a record's number stands. */
    size_t *digits;  /* The same as text. */
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

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "rpc_load: %s: %s\n", what, why);
    exit(1);
}

static void must(struct status status, const char *what)
{
    if (failed(status)) {
        die(what, status.message);
    }
}

/* ---- Requests ---- */

static struct message_record record_template(const char *subject)
{
    static struct slice recipient;
    static struct record_observable domain;
    recipient = slice_of("user@example.org");
    domain = (struct record_observable){.type = slice_of("domain"),
                                        .value = slice_of("sender.example.com")};
    return (struct message_record){
        .serial = slice_of("564D7A1B2C3D-B1"),
        .mid = NUMBER_MARK,
        .revision = 1,
        .start_ms = 1700000000000,
        .last_ms = 1700000001000,
        .complete = true,
        .disposition = slice_of("delivered"),
        .direction = slice_of("incoming"),
        .sender = slice_of("someone@sender.example.com"),
        .recipients = {.items = &recipient, .count = 1},
        .recipient_count = 1,
        .subject = slice_of(subject),
        .message_id = slice_of("<" DIGITS_MARK "@sender.example.com>"),
        .size = 41234,
        .sender_ip = slice_of("198.51.100.7"),
        .observables = {.items = &domain, .count = 1},
    };
}

/* The subject makes up for what is missing to RECORD_BODY_SIZE. */
static void pad_subject(char subject[RECORD_BODY_SIZE])
{
    struct buffer body = {0};
    memset(subject, 0, RECORD_BODY_SIZE);
    memset(subject, 's', 32); /* From 32 bytes on a text's header is one byte longer. */
    struct message_record record = record_template(subject);
    must(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body), "encode a record");
    if (body.size > RECORD_BODY_SIZE) {
        die("encode a record", "the template is larger than the body may be");
    }
    memset(subject + 32, 's', RECORD_BODY_SIZE - body.size);
    buffer_clear(&body);
    record = record_template(subject);
    must(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body), "encode a record");
    if (body.size != RECORD_BODY_SIZE) {
        die("encode a record", "the body has not the size it should");
    }
    buffer_release(&body);
}

static void encode_submit(const struct options *options, struct buffer *out)
{
    char subject[RECORD_BODY_SIZE];
    pad_subject(subject);
    struct message_record *records = calloc(options->batch, sizeof *records);
    if (records == NULL) {
        die("encode a request", "no memory");
    }
    for (unsigned i = 0; i < options->batch; i++) {
        records[i] = record_template(subject);
    }
    const struct rpc_submit submit = {.feed = slice_of("rpc_load"),
                                      .records = {.items = records, .count = options->batch}};
    must(codec_encode(&rpc_submit_codec, CODEC_NAMES, &submit, out), "encode a request");
    free(records);
}

static void encode_request(const struct options *options, struct buffer *out)
{
    static const char *const methods[] = {
        [CALL_SUBMIT] = "records.submit",
        [CALL_STATUS] = "export.status",
        [CALL_SEARCH] = "records.search",
    };
    const struct rpc_search search = {
        .key = slice_of("domain"), .value = slice_of("sender.example.com"), .limit = 10};
    const struct rpc_empty empty = {0};
    if (!rpc_frame_begin_request(out, 0, methods[options->call])) {
        die("encode a request", "no memory");
    }
    switch (options->call) {
    case CALL_SUBMIT: encode_submit(options, out); return;
    case CALL_STATUS:
        must(codec_encode(&rpc_empty_codec, CODEC_NAMES, &empty, out), "encode a request");
        return;
    case CALL_SEARCH:
        must(codec_encode(&rpc_search_codec, CODEC_NAMES, &search, out), "encode a request");
        return;
    }
}

/* Where the mark stands, once for each record of the batch. */
static size_t *find_marks(const struct buffer *request, const void *mark, size_t size,
                          unsigned count)
{
    size_t *offsets = calloc(count, sizeof *offsets);
    const char *at = request->data;
    const char *end = at + request->size;
    for (unsigned i = 0; offsets != NULL && i < count; i++) {
        at = memmem(at, (size_t)(end - at), mark, size);
        if (at == NULL) {
            die("encode a request", "a mark is missing");
        }
        offsets[i] = (size_t)(at - (const char *)request->data);
        at += size;
    }
    if (offsets == NULL) {
        die("encode a request", "no memory");
    }
    return offsets;
}

static void make_request(struct writer *writer)
{
    const struct options *options = &writer->load->options;
    encode_request(options, &writer->request);
    if (options->call == CALL_SUBMIT) {
        uint64_t number = htobe64(NUMBER_MARK);
        writer->numbers = find_marks(&writer->request, &number, sizeof number, options->batch);
        writer->digits = find_marks(&writer->request, DIGITS_MARK, DIGITS_SIZE, options->batch);
    }
}

/* Make the request one that was never sent before. */
static void renew_request(struct writer *writer)
{
    struct load *load = writer->load;
    char *bytes = writer->request.data;
    uint32_t id = htobe32(++writer->id);
    memcpy(bytes + ID_AT, &id, sizeof id);
    for (unsigned i = 0; writer->numbers != NULL && i < load->options.batch; i++) {
        uint64_t number = load->next_number++;
        uint64_t wire = htobe64(number);
        memcpy(bytes + writer->numbers[i], &wire, sizeof wire);
        for (char *at = bytes + writer->digits[i] + DIGITS_SIZE; at > bytes + writer->digits[i];
             number /= 10) {
            *--at = (char)('0' + number % 10);
        }
    }
}

/* ---- Writers ---- */

static void send_next(struct writer *writer)
{
    renew_request(writer);
    struct slice bytes = buffer_slice(&writer->request);
    writer->sent_ns = uv_hrtime();
    must(stream_write(writer->stream, &bytes, 1), "send");
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
    must(codec_decode(&rpc_submitted_codec, CODEC_NAMES, result, &arena, &submitted), "answer");
    arena_release(&arena);
    if (submitted.accepted != load->options.batch) {
        note_error(load, slice_of("a record was there before: give each run its own --run number"));
    }
}

static void take_answer(struct writer *writer, struct slice bytes)
{
    struct load *load = writer->load;
    struct rpc_frame frame;
    bool id_known;
    must(rpc_frame_parse(bytes, &frame, &id_known), "answer");
    if (!frame.response || frame.id != writer->id) {
        die("answer", "it is not the one that was waited for");
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
    if (load->options.call == CALL_SUBMIT) {
        check_submitted(load, frame.result);
    }
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX, .depth_max = RPC_DEPTH_MAX, .values_max = RPC_VALUES_MAX};
    struct writer *writer = context;
    size_t size = 0;
    if (!buffer_append(&writer->input, bytes.data, bytes.size)) {
        die("answer", "no memory");
    }
    enum skim_result skimmed = skim_value(buffer_slice(&writer->input), &limits, &size);
    if (skimmed == SKIM_PARTIAL) {
        return;
    }
    if (skimmed != SKIM_COMPLETE) {
        die("answer", skim_explain(skimmed));
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
        die("connection", failed(reason) ? reason.message : "it was closed");
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
    make_request(writer);
    must(load->tls == NULL
             ? stream_connect_local(load->options.socket, &options, &writer->stream)
             : stream_connect_tls(load->options.tls, NULL, load->tls, &options, &writer->stream),
         "connect");
}

static void close_writer(struct writer *writer)
{
    buffer_release(&writer->request);
    buffer_release(&writer->input);
    free(writer->numbers);
    free(writer->digits);
}

/* ---- Running ---- */

static struct slice read_file(const char *path, struct buffer *out)
{
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file == NULL || !buffer_reserve(out, FILE_SIZE_MAX)) {
        die("--tls needs readable files for --ca, --certificate and --key",
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
    must(tls_context_create(&options, &load->tls), "TLS");
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
    /* 2^49 is above what real appliances count to and keeps every number's encoding at nine
     * bytes and sixteen digits, with 10^11 numbers for each of 512 runs. */
    load->next_number = (UINT64_C(1) << 49U) + options->run % 512 * UINT64_C(10000000000);
    load->writers = calloc(options->writers, sizeof *load->writers);
    if (load->writers == NULL || uv_loop_init(&load->loop) != 0) {
        die("start", "no memory");
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

static enum call_kind call_of(const char *name)
{
    if (strcmp(name, "submit") == 0) {
        return CALL_SUBMIT;
    }
    if (strcmp(name, "status") == 0) {
        return CALL_STATUS;
    }
    if (strcmp(name, "search") != 0) {
        die("--call", "it is submit, status or search");
    }
    return CALL_SEARCH;
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
    default: die("usage", "see the first lines of rpc_load.c");
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
        die("usage", "see the first lines of rpc_load.c");
    }
    return run(&load);
}
