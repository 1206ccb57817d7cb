/*
 * Requests and answers over a transport.
 *
 * A slot remembers each request without an answer: its id and its method, so that an answer finds
 * its table. A request whose caller gave up keeps its slot, marked, until its late answer has come
 * and was thrown away.
 *
 *     free --send--> waiting --answer--> free
 *                    waiting --deadline of connection_call--> given up --answer--> free
 *
 * While a long request is sent, answers are taken in, or two full pipes would wait for each other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/connection.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/skim.h"
#include "client/rpc_frame.h"
#include "rpc_request.h"
#include "transport.h"

#define READ_SIZE ((size_t)64 << 10U)
#define INPUT_SIZE_MAX ((size_t)4 << 20U) /* Answers taken in while we send. */
#define RETRY_MS_MIN 100U
#define RETRY_MS_MAX 2000U

struct slot {
    bool used;
    bool given_up;
    uint32_t id;
    enum rpc_method method;
};

struct connection {
    struct connection_options options; /* Its texts are ours. */
    bool adopted;
    bool broken;
    struct transport *transport; /* NULL only while reopening failed. */
    struct buffer in;
    size_t taken;         /* Bytes of `in` that belong to the last reply. */
    bool taken_is_secret; /* They are wiped. */
    uint32_t next_id;
    struct slot slots[CONNECTION_IN_FLIGHT_MAX];
};

/* ---- Opening and closing ---- */

static bool copy_text(const char *text, const char **out)
{
    *out = text == NULL ? NULL : alloc_text(text);
    return text == NULL || *out != NULL;
}

static void release_text(const char *text)
{
    char *owned;
    memcpy(&owned, &text, sizeof(owned)); /* It was made by copy_text(). */
    free(owned);
}

void connection_close(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    transport_close(connection->transport);
    if (connection->in.data != NULL) {
        secret_wipe(connection->in.data, connection->in.capacity);
    }
    buffer_release(&connection->in);
    release_text(connection->options.socket_path);
    release_text(connection->options.address);
    release_text(connection->options.ca_path);
    release_text(connection->options.certificate_path);
    release_text(connection->options.key_path);
    free(connection);
}

static struct connection *make_connection(const struct connection_options *options)
{
    struct connection *connection = alloc_zeroed(1, sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    struct connection_options *copy = &connection->options;
    copy->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : RPC_DEADLINE_DEFAULT_MS;
    if (!copy_text(options->socket_path, &copy->socket_path) ||
        !copy_text(options->address, &copy->address) ||
        !copy_text(options->ca_path, &copy->ca_path) ||
        !copy_text(options->certificate_path, &copy->certificate_path) ||
        !copy_text(options->key_path, &copy->key_path)) {
        connection_close(connection);
        return NULL;
    }
    connection->next_id = 1;
    return connection;
}

struct status connection_open(const struct connection_options *options, struct connection **out)
{
    struct connection *connection = make_connection(options);
    if (connection == NULL) {
        return fail(STATUS_NO_MEMORY, "connect to the node");
    }
    uint64_t deadline_ms = clock_monotonic_ms() + connection->options.timeout_ms;
    struct status status =
        transport_open(&connection->options, deadline_ms, &connection->transport);
    if (failed(status)) {
        connection_close(connection);
        return status;
    }
    *out = connection;
    return OK;
}

struct status connection_adopt(int fd, struct connection **out)
{
    struct connection_options none = {0};
    struct connection *connection = make_connection(&none);
    struct transport *transport = connection == NULL ? NULL : transport_adopt(fd);
    if (transport == NULL) {
        connection_close(connection);
        return fail(STATUS_NO_MEMORY, "adopt a connection");
    }
    connection->adopted = true;
    connection->transport = transport;
    *out = connection;
    return OK;
}

static void forget_all(struct connection *connection)
{
    transport_close(connection->transport);
    connection->transport = NULL;
    if (connection->in.data != NULL) {
        secret_wipe(connection->in.data, connection->in.capacity);
    }
    buffer_clear(&connection->in);
    connection->taken = 0;
    memset(connection->slots, 0, sizeof(connection->slots));
    connection->broken = true;
}

struct status connection_reopen(struct connection *connection, uint64_t timeout_ms)
{
    forget_all(connection);
    if (connection->adopted) {
        return fail(STATUS_UNREACHABLE, "an adopted connection cannot be opened again");
    }
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    uint64_t pause_ms = RETRY_MS_MIN;
    for (;;) {
        struct status status =
            transport_open(&connection->options, deadline_ms, &connection->transport);
        if (!failed(status)) {
            connection->broken = false;
            return OK;
        }
        bool hopeless = status.code == STATUS_INVALID || status.code == STATUS_NO_MEMORY;
        if (hopeless || clock_monotonic_ms() + pause_ms >= deadline_ms) {
            return status;
        }
        (void)poll(NULL, 0, (int)pause_ms);
        pause_ms = pause_ms * 2 < RETRY_MS_MAX ? pause_ms * 2 : RETRY_MS_MAX;
    }
}

bool connection_is_broken(const struct connection *connection)
{
    return connection->broken;
}

/* ---- Slots ---- */

size_t connection_in_flight(const struct connection *connection)
{
    size_t count = 0;
    for (size_t i = 0; i < CONNECTION_IN_FLIGHT_MAX; i++) {
        count += connection->slots[i].used && !connection->slots[i].given_up;
    }
    return count;
}

static struct slot *find_free_slot(struct connection *connection)
{
    for (size_t i = 0; i < CONNECTION_IN_FLIGHT_MAX; i++) {
        if (!connection->slots[i].used) {
            return &connection->slots[i];
        }
    }
    return NULL;
}

static struct slot *find_slot(struct connection *connection, uint32_t id)
{
    for (size_t i = 0; i < CONNECTION_IN_FLIGHT_MAX; i++) {
        if (connection->slots[i].used && connection->slots[i].id == id) {
            return &connection->slots[i];
        }
    }
    return NULL;
}

/* ---- Sending ---- */

static struct status take_in(struct connection *connection)
{
    return connection->in.size >= INPUT_SIZE_MAX
               ? OK
               : transport_receive(connection->transport, READ_SIZE, &connection->in);
}

/* What fits now; if nothing did, take answers in and wait until something does. */
static struct status send_some(struct connection *connection, struct slice bytes,
                               uint64_t deadline_ms, size_t *sent)
{
    struct status status = transport_send(connection->transport, bytes, sent);
    if (failed(status) || *sent > 0) {
        return status;
    }
    status = take_in(connection);
    return failed(status) ? status : transport_wait(connection->transport, true, deadline_ms);
}

static struct status send_all(struct connection *connection, struct slice bytes,
                              uint64_t deadline_ms)
{
    while (bytes.size > 0) {
        size_t sent = 0;
        struct status status = send_some(connection, bytes, deadline_ms, &sent);
        if (failed(status)) {
            return status;
        }
        bytes = (struct slice){.data = (const char *)bytes.data + sent, .size = bytes.size - sent};
    }
    return OK;
}

static void drop_reply(struct connection *connection)
{
    if (connection->taken > 0) {
        if (connection->taken_is_secret) {
            secret_wipe(connection->in.data, connection->taken);
        }
        buffer_consume(&connection->in, connection->taken);
        connection->taken = 0;
    }
}

static uint64_t deadline_of(const struct rpc_options *options)
{
    uint64_t patience_ms =
        options->deadline_ms > 0 ? options->deadline_ms : RPC_DEADLINE_DEFAULT_MS;
    return clock_monotonic_ms() + patience_ms + CONNECTION_GRACE_MS;
}

struct status connection_send(struct connection *connection,
                              const struct connection_request *request, uint32_t *id)
{
    if (connection->broken) {
        return fail(STATUS_UNREACHABLE, "the connection to the node is closed");
    }
    drop_reply(connection);
    struct slot *slot = find_free_slot(connection);
    if (slot == NULL) {
        return fail(STATUS_BUSY, "%u requests are without an answer", CONNECTION_IN_FLIGHT_MAX);
    }
    struct buffer bytes = {0};
    uint32_t next = connection->next_id;
    struct status status = rpc_request_encode(request, next, &bytes);
    if (!failed(status)) {
        connection->next_id = next == UINT32_MAX ? 1 : next + 1;
        status = send_all(connection, buffer_slice(&bytes), deadline_of(&request->options));
        /* Half a request is none: the node cannot act on it, and nothing may follow it. */
        connection->broken = failed(status);
    }
    if (!failed(status)) {
        *slot = (struct slot){.used = true, .id = next, .method = request->method};
        *id = next;
    }
    if (rpc_methods[request->method].secret_params && bytes.data != NULL) {
        secret_wipe(bytes.data, bytes.capacity);
    }
    buffer_release(&bytes);
    return status;
}

/* ---- Receiving ---- */

/* One whole answer at the front of `in`: to whom it belongs. `*given_up`: to nobody any more. */
static struct status take_reply(struct connection *connection, size_t size,
                                struct connection_reply *out, bool *given_up)
{
    struct slice bytes = {.data = connection->in.data, .size = size};
    struct rpc_frame frame;
    bool id_known = false;
    struct status status = rpc_frame_parse(bytes, &frame, &id_known);
    if (failed(status) || !frame.response) {
        return fail(STATUS_CORRUPT, "the node sent something that is not an answer");
    }
    struct slot *slot = find_slot(connection, frame.id);
    if (slot == NULL) {
        return fail(STATUS_CORRUPT, "the node answered a request that was never made");
    }
    *given_up = slot->given_up;
    connection->taken = size;
    connection->taken_is_secret = rpc_methods[slot->method].secret_result;
    *out = (struct connection_reply){.id = frame.id,
                                     .method = slot->method,
                                     .error = frame.error,
                                     .message = frame.message,
                                     .result = frame.result};
    *slot = (struct slot){0};
    return OK;
}

/* Look for an answer in what was received. `*found` false: more bytes are needed. */
static struct status look_for_reply(struct connection *connection, struct connection_reply *out,
                                    bool *found)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX,
        .depth_max = RPC_DEPTH_MAX,
        .values_max = RPC_VALUES_MAX,
    };
    *found = false;
    for (;;) {
        drop_reply(connection);
        size_t size = 0;
        enum skim_result skimmed = skim_value(buffer_slice(&connection->in), &limits, &size);
        if (skimmed == SKIM_PARTIAL) {
            return OK;
        }
        if (skimmed != SKIM_COMPLETE) {
            return fail(STATUS_CORRUPT, "the node's answer is %s", skim_explain(skimmed));
        }
        bool given_up = false;
        struct status status = take_reply(connection, size, out, &given_up);
        if (failed(status) || !given_up) {
            *found = !failed(status);
            return status;
        }
    }
}

static struct status receive_by(struct connection *connection, uint64_t deadline_ms,
                                struct connection_reply *out)
{
    for (;;) {
        bool found = false;
        struct status status = look_for_reply(connection, out, &found);
        if (found) {
            return OK;
        }
        size_t size_before = connection->in.size;
        if (!failed(status)) {
            status = take_in(connection);
        }
        bool nothing = connection->in.size == size_before;
        if (!failed(status) && nothing) {
            status = transport_wait(connection->transport, false, deadline_ms);
        }
        if (failed(status)) {
            connection->broken = connection->broken || status.code != STATUS_TIMEOUT;
            return status;
        }
    }
}

struct status connection_receive(struct connection *connection, uint64_t timeout_ms,
                                 struct connection_reply *out)
{
    if (connection->broken) {
        return fail(STATUS_UNREACHABLE, "the connection to the node is closed");
    }
    if (connection_in_flight(connection) == 0) {
        return fail(STATUS_INVALID, "no request is without an answer");
    }
    return receive_by(connection, clock_monotonic_ms() + timeout_ms, out);
}

/* ---- Answers as structs ---- */

static struct status status_of_reply(const struct connection_reply *reply)
{
    return fail(rpc_status_of_error(reply->error), "%.*s", SLICE_ARG(reply->message));
}

struct status connection_decode(const struct connection_reply *reply, struct arena *arena,
                                void *result)
{
    if (reply->error != RPC_OK) {
        return status_of_reply(reply);
    }
    struct slice bytes = arena_copy(arena, reply->result);
    if (bytes.data == NULL) {
        return fail(STATUS_NO_MEMORY, "read the answer");
    }
    const struct rpc_method_row *row = &rpc_methods[reply->method];
    struct status status = codec_decode(row->result, CODEC_NAMES, bytes, arena, result);
    if (status.code == STATUS_INVALID) {
        return fail(STATUS_CORRUPT, "%s: the node's answer: %s", row->name, status.message);
    }
    return status;
}

static bool is_change(enum rpc_method method)
{
    return rpc_methods[method].routing == RPC_LEADER ||
           rpc_methods[method].role > RPC_ROLE_OPERATOR;
}

/* The connection or our patience ended after the request was sent. */
static struct status explain_lost_answer(enum rpc_method method, struct status status)
{
    bool lost = status.code == STATUS_TIMEOUT || status.code == STATUS_UNREACHABLE ||
                status.code == STATUS_CORRUPT;
    if (!lost || !is_change(method)) {
        return status;
    }
    return fail(STATUS_UNKNOWN, "%s was sent, but its answer did not come: %s",
                rpc_methods[method].name, status.message);
}

static void fill_error(struct connection_error *error, uint64_t code, struct slice message)
{
    if (error != NULL) {
        error->code = code;
        (void)snprintf(error->message, sizeof(error->message), "%.*s", SLICE_ARG(message));
    }
}

static struct status exchange(struct connection *connection,
                              const struct connection_request *request,
                              struct connection_reply *reply)
{
    uint64_t deadline_ms = deadline_of(&request->options);
    uint32_t id = 0;
    struct status status = connection_send(connection, request, &id);
    if (failed(status)) {
        return status;
    }
    status = receive_by(connection, deadline_ms, reply);
    if (status.code == STATUS_TIMEOUT) {
        find_slot(connection, id)->given_up = true;
    }
    return failed(status) ? explain_lost_answer(request->method, status) : OK;
}

struct status connection_call(struct connection *connection,
                              const struct connection_request *request, struct arena *arena,
                              void *result, struct connection_error *error)
{
    assert(connection->broken || connection_in_flight(connection) == 0);
    struct connection_reply reply = {0};
    fill_error(error, RPC_OK, slice_of(""));
    struct status status = exchange(connection, request, &reply);
    if (!failed(status)) {
        status = connection_decode(&reply, arena, result);
        if (reply.error != RPC_OK) {
            fill_error(error, reply.error, reply.message);
            return status;
        }
    }
    if (failed(status)) {
        fill_error(error, rpc_error_of_status(status.code), slice_of(status.message));
    }
    return status;
}
