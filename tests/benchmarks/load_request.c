/*
 * Requests of rpc_load. What makes a record unique stands in the template as a mark; where the
 * marks are is found once, and written over for each request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "load_request.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/protocol.h"
#include "client/rpc_frame.h"

#define ID_AT 3U /* Of a frame that rpc_frame_begin_request() began: 0x94, type, 0xCE, id. */

/* What stands in a template where a record's own number goes: as a number, and as 16 digits. */
#define NUMBER_MARK UINT64_C(0x001234567890ABCD)
#define DIGITS_MARK "9182736450918273"
#define DIGITS_SIZE 16U

_Noreturn void load_die(const char *what, const char *why)
{
    (void)fprintf(stderr, "rpc_load: %s: %s\n", what, why);
    exit(1);
}

void load_must(struct status status, const char *what)
{
    if (failed(status)) {
        load_die(what, status.message);
    }
}

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

/* The subject makes up for what is missing to LOAD_BODY_SIZE. */
static void pad_subject(char subject[LOAD_BODY_SIZE])
{
    struct buffer body = {0};
    memset(subject, 0, LOAD_BODY_SIZE);
    memset(subject, 's', 32); /* From 32 bytes on a text's header is one byte longer. */
    struct message_record record = record_template(subject);
    load_must(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body), "encode a record");
    if (body.size > LOAD_BODY_SIZE) {
        load_die("encode a record", "the template is larger than the body may be");
    }
    memset(subject + 32, 's', LOAD_BODY_SIZE - body.size);
    buffer_clear(&body);
    record = record_template(subject);
    load_must(codec_encode(&message_record_codec, CODEC_TAGS, &record, &body), "encode a record");
    if (body.size != LOAD_BODY_SIZE) {
        load_die("encode a record", "the body has not the size it should");
    }
    buffer_release(&body);
}

static void encode_submit(unsigned batch, struct buffer *out)
{
    char subject[LOAD_BODY_SIZE];
    pad_subject(subject);
    struct message_record *records = calloc(batch, sizeof *records);
    if (records == NULL) {
        load_die("encode a request", "no memory");
    }
    for (unsigned i = 0; i < batch; i++) {
        records[i] = record_template(subject);
    }
    const struct rpc_submit submit = {.feed = slice_of("rpc_load"),
                                      .records = {.items = records, .count = batch}};
    load_must(codec_encode(&rpc_submit_codec, CODEC_NAMES, &submit, out), "encode a request");
    free(records);
}

static void encode_search(const char *key, const char *value, uint64_t limit, struct buffer *out)
{
    const struct rpc_search search = {
        .key = slice_of(key), .value = slice_of(value), .limit = limit};
    load_must(codec_encode(&rpc_search_codec, CODEC_NAMES, &search, out), "encode a request");
}

static void encode_get(uint64_t number, struct buffer *out)
{
    char mid[DIGITS_SIZE + 1];
    (void)snprintf(mid, sizeof mid, "%" PRIu64, number);
    encode_search("mid", mid, 1, out);
}

static void encode_request(enum load_call call, unsigned batch, uint64_t first, struct buffer *out)
{
    static const char *const methods[] = {
        [LOAD_SUBMIT] = "records.submit",
        [LOAD_STATUS] = "export.status",
        [LOAD_SEARCH] = "records.search",
        [LOAD_GET] = "records.search",
    };
    const struct rpc_empty empty = {0};
    if (!rpc_frame_begin_request(out, 0, methods[call])) {
        load_die("encode a request", "no memory");
    }
    switch (call) {
    case LOAD_SUBMIT: encode_submit(batch, out); return;
    case LOAD_STATUS:
        load_must(codec_encode(&rpc_empty_codec, CODEC_NAMES, &empty, out), "encode a request");
        return;
    case LOAD_SEARCH: encode_search("domain", "sender.example.com", 10, out); return;
    case LOAD_GET: encode_get(first, out); return;
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
            load_die("encode a request", "a mark is missing");
        }
        offsets[i] = (size_t)(at - (const char *)request->data);
        at += size;
    }
    if (offsets == NULL) {
        load_die("encode a request", "no memory");
    }
    return offsets;
}

void load_request_make(struct load_request *request, enum load_call call, unsigned batch,
                       uint64_t first)
{
    request->batch = batch;
    encode_request(call, batch, first, &request->bytes);
    if (call == LOAD_SUBMIT) {
        uint64_t number = htobe64(NUMBER_MARK);
        request->numbers = find_marks(&request->bytes, &number, sizeof number, batch);
        request->digits = find_marks(&request->bytes, DIGITS_MARK, DIGITS_SIZE, batch);
    }
}

void load_request_renew(struct load_request *request, uint32_t id, uint64_t *next_number)
{
    char *bytes = request->bytes.data;
    uint32_t wire_id = htobe32(id);
    memcpy(bytes + ID_AT, &wire_id, sizeof wire_id);
    for (unsigned i = 0; request->numbers != NULL && i < request->batch; i++) {
        uint64_t number = (*next_number)++;
        uint64_t wire = htobe64(number);
        memcpy(bytes + request->numbers[i], &wire, sizeof wire);
        char *first = bytes + request->digits[i];
        for (char *at = first + DIGITS_SIZE; at > first; number /= 10) {
            *--at = (char)('0' + number % 10);
        }
    }
}

void load_request_release(struct load_request *request)
{
    buffer_release(&request->bytes);
    free(request->numbers);
    free(request->digits);
}
