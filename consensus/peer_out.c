/*
 * The peer network: connections we open, and sending on them. The states are drawn in
 * peer_state.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "peer_state.h"

#define OUTS_MAX 100U                /* Peers remembered: the nodes of a cluster, twice. */
#define WAITING_SIZE_MAX (1U << 20U) /* Bytes that wait for a connection to open. */
#define SILENT_PINGS 3               /* Pings without an answer until a peer counts as away. */
#define GONE_PROBES 4U               /* A process that ends may close its listener last. */

static const unsigned moves[] = {
    [OUT_IDLE] = 1U << OUT_CONNECTING,
    [OUT_CONNECTING] = 1U << OUT_GREETING | 1U << OUT_ENDING,
    [OUT_GREETING] = 1U << OUT_OPEN | 1U << OUT_ENDING,
    [OUT_OPEN] = 1U << OUT_ENDING,
    [OUT_ENDING] = 1U << OUT_IDLE,
};

static void become(struct peer_out *out, enum peer_out_state state)
{
    assert((moves[out->state] & 1U << state) != 0 || out->state == state);
    out->state = state;
}

static uint64_t now(const struct peer_out *out)
{
    return uv_now(out->peers->options.loop);
}

void peer_out_end(struct peer_out *out, struct status reason)
{
    if (out->state == OUT_IDLE || out->state == OUT_ENDING) {
        return;
    }
    become(out, OUT_ENDING);
    stream_close_because(out->stream, reason);
}

/* Take the next pause: twice the last one, less up to half of it at random. */
static void pause_attempts(struct peer_out *out)
{
    const struct peers_options *options = &out->peers->options;
    unsigned pause_ms =
        out->backoff_ms < options->reconnect_min_ms ? options->reconnect_min_ms : out->backoff_ms;
    if (pause_ms > options->reconnect_max_ms) {
        pause_ms = options->reconnect_max_ms;
    }
    out->backoff_ms = pause_ms * 2;
    out->retry_at_ms = now(out) + pause_ms - random_u64() % (pause_ms / 2 + 1);
}

/* ---- What the stream says ---- */

static void on_open(struct stream *stream, void *context)
{
    struct peer_out *out = context;
    struct buffer hello = {0};
    uint64_t id = peers_id_of(stream);
    if (out->state == OUT_ENDING) {
        return;
    }
    if (id != out->node_id) {
        peer_out_end(out, fail(STATUS_UNAUTHORIZED, "node %016llx answers at this address",
                               (unsigned long long)id));
        return;
    }
    become(out, OUT_GREETING);
    out->alive_at_ms = now(out);
    struct status status = fail(STATUS_NO_MEMORY, "greet a peer");
    if (frame_put_hello(&hello, FRAME_HELLO_VERSION, PURPOSE_MESSAGES, out->peers->address)) {
        struct slice piece = buffer_slice(&hello);
        status = stream_write(stream, &piece, 1);
    }
    buffer_release(&hello);
    if (failed(status)) {
        peer_out_end(out, status);
    }
}

static void on_welcomed(struct peer_out *out)
{
    struct slice waiting = buffer_slice(&out->waiting);
    become(out, OUT_OPEN);
    out->backoff_ms = 0;
    out->refused = false;
    out->probes = 0;
    out->pinged_at_ms = now(out);
    struct status status = waiting.size == 0 ? OK : stream_write(out->stream, &waiting, 1);
    buffer_release(&out->waiting);
    if (failed(status)) {
        peer_out_end(out, status);
    }
}

static void on_refused(struct peer_out *out, const struct frame *frame)
{
    const struct peers_options *options = &out->peers->options;
    enum frame_refusal refusal = REFUSAL_FAILED;
    uint64_t node_id = out->node_id;
    struct status reason = frame_get_refused(frame, &refusal);
    out->refused = reason.code == STATUS_UNAUTHORIZED;
    out->backoff_ms = options->reconnect_max_ms;
    peer_out_end(out, reason);
    if (out->refused && options->on_refused != NULL && !out->peers->closing) {
        options->on_refused(options->context, node_id);
    }
}

static void on_frame(struct peer_out *out, const struct frame *frame)
{
    struct frame_hello hello;
    struct status status = OK;
    if (frame->kind == FRAME_REFUSED) {
        on_refused(out, frame);
    } else if (frame->kind == FRAME_HELLO && out->state == OUT_GREETING) {
        status = frame_get_welcome(frame, &hello);
        if (!failed(status)) {
            on_welcomed(out);
        }
    } /* Else a PONG: alive_at_ms is all there is to it. */
    if (failed(status)) {
        peer_out_end(out, status);
    }
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    struct peer_out *out = context;
    (void)stream;
    out->alive_at_ms = now(out);
    while (bytes.size > 0 && (out->state == OUT_GREETING || out->state == OUT_OPEN)) {
        struct frame frame;
        unsigned expected = out->state == OUT_GREETING ? FRAME_HELLO : FRAME_PONG;
        struct status status = frame_read(
            &out->reader, FRAME_BIT(expected) | FRAME_BIT(FRAME_REFUSED), &bytes, &frame);
        if (failed(status)) {
            peer_out_end(out, status);
        } else if (frame.kind != FRAME_NONE) {
            on_frame(out, &frame);
        }
        frame_release(&frame);
    }
}

static struct status attempt(struct peer_out *out, const char *fallback);

/* It broke off, or an attempt after that failed: is the process at the other end gone? */
static void look_whether_gone(struct peer_out *out, enum peer_out_state broke_in,
                              struct status reason)
{
    const struct peers_options *options = &out->peers->options;
    if (options->on_gone == NULL || out->peers->closing) {
        return;
    }
    if (broke_in == OUT_OPEN) {
        out->probes = GONE_PROBES;
        out->retry_at_ms = 0;
        (void)failed(attempt(out, NULL)); /* If it cannot begin now, the tick comes back to it. */
    } else if (out->probes > 0 && broke_in == OUT_CONNECTING && reason.code == STATUS_UNREACHABLE) {
        out->probes = 0;
        options->on_gone(options->context, out->node_id);
    } else if (out->probes > 0) {
        out->probes--;
    }
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct peer_out *out = context;
    struct peers *peers = out->peers;
    enum peer_out_state broke_in = out->state;
    (void)stream;
    if (out->state != OUT_ENDING) {
        become(out, OUT_ENDING);
    }
    become(out, OUT_IDLE);
    out->stream = NULL;
    frame_reader_release(&out->reader);
    buffer_release(&out->waiting);
    pause_attempts(out);
    look_whether_gone(out, broke_in, reason);
    if (failed(reason)) {
        peers_trouble(peers, out->node_id, wrap(reason, "connection to a peer"));
    }
    peers_unreference(peers);
}

static const struct stream_handlers handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

/* Begin an attempt, if it is time for one. */
static struct status attempt(struct peer_out *out, const char *fallback)
{
    struct peers *peers = out->peers;
    if (out->state != OUT_IDLE || now(out) < out->retry_at_ms) {
        return OK;
    }
    if (!peers->options.peer_allowed(peers->options.context, out->node_id)) {
        out->refused = true;
        pause_attempts(out);
        return OK;
    }
    out->refused = false;
    out->unsent_size = 0;
    struct status status =
        peers_connect(peers, out->node_id, fallback, &handlers, out, &out->stream);
    if (failed(status)) {
        pause_attempts(out);
        return status;
    }
    become(out, OUT_CONNECTING);
    peers_reference(peers);
    return OK;
}

/* ---- By the clock ---- */

static void ping(struct peer_out *out, uint64_t now_ms)
{
    uint8_t header[FRAME_HEADER_SIZE];
    struct slice piece = {.data = header, .size = sizeof header};
    frame_header(FRAME_PING, 0, header);
    out->pinged_at_ms = now_ms;
    /* If too much is unsent already, its progress shows that the peer lives. */
    (void)failed(stream_write(out->stream, &piece, 1));
}

void peer_out_tick(struct peer_out *out, uint64_t now_ms)
{
    if (out->state == OUT_IDLE && out->probes > 0 && now_ms >= out->retry_at_ms) {
        (void)failed(attempt(out, NULL));
        out->probes -= out->state == OUT_IDLE; /* It could not even begin: not for ever. */
    }
    if (out->state != OUT_GREETING && out->state != OUT_OPEN) {
        return; /* While CONNECTING the stream's own deadline holds. */
    }
    size_t unsent_size = stream_unsent_size(out->stream);
    if (unsent_size < out->unsent_size) {
        out->alive_at_ms = now_ms;
    }
    out->unsent_size = unsent_size;
    if (now_ms - out->alive_at_ms > out->peers->options.dead_ms) {
        peer_out_end(
            out, fail(STATUS_TIMEOUT, "nothing was heard for %u ms", out->peers->options.dead_ms));
    } else if (out->state == OUT_OPEN &&
               now_ms - out->pinged_at_ms >= out->peers->options.ping_ms) {
        ping(out, now_ms);
    }
}

/* ---- Sending ---- */

static struct peer_out *find(const struct peers *peers, uint64_t node_id)
{
    struct peer_out *out = peers->outs;
    while (out != NULL && out->node_id != node_id) {
        out = out->next;
    }
    return out;
}

/* A peer that nothing is sent to any more gives its place to a new one. */
static struct peer_out *reuse(struct peers *peers, uint64_t node_id)
{
    size_t count = 0;
    struct peer_out *idle = NULL;
    for (struct peer_out *out = peers->outs; out != NULL; out = out->next) {
        count++;
        idle = out->state == OUT_IDLE ? out : idle;
    }
    if (count < OUTS_MAX) {
        struct peer_out *made = alloc_zeroed(1, sizeof *made);
        if (made != NULL) {
            *made = (struct peer_out){.peers = peers, .next = peers->outs, .node_id = node_id};
            peers->outs = made;
        }
        return made;
    }
    if (idle != NULL) {
        *idle = (struct peer_out){.peers = peers, .next = idle->next, .node_id = node_id};
    }
    return idle;
}

static struct status put_waiting(struct peer_out *out, const struct slice *pieces, size_t count)
{
    if (out->waiting.size > WAITING_SIZE_MAX) {
        return fail(STATUS_BUSY, "too much waits for the connection");
    }
    size_t size_before = out->waiting.size;
    for (size_t i = 0; i < count; i++) {
        if (!buffer_append(&out->waiting, pieces[i].data, pieces[i].size)) {
            out->waiting.size = size_before; /* Half a frame would break all that follow. */
            return fail(STATUS_NO_MEMORY, "queue a message");
        }
    }
    return OK;
}

static struct status send_encoded(struct peer_out *out, const struct raft_wire_message *message)
{
    struct peers *peers = out->peers;
    const struct raft_append_entries *append = &message->raft.append_entries;
    unsigned entry_count = peers->encoded.entry_count;
    uint8_t header[FRAME_HEADER_SIZE];
    if (out->state != OUT_OPEN && entry_count > 0) {
        return fail(STATUS_UNREACHABLE, "the connection is being made");
    }
    frame_header(FRAME_MESSAGE, peers->encoded.size, header);
    peers->pieces[0] = (struct slice){.data = header, .size = sizeof header};
    peers->pieces[1] = buffer_slice(&peers->encoded.head);
    for (unsigned i = 0; i < entry_count; i++) {
        peers->pieces[i + 2] =
            (struct slice){.data = append->entries[i].buf.base, .size = append->entries[i].buf.len};
    }
    if (out->state != OUT_OPEN) {
        return put_waiting(out, peers->pieces, 2);
    }
    return stream_write(out->stream, peers->pieces, entry_count + 2U);
}

static struct status send_to(struct peers *peers, const struct raft_wire_message *message)
{
    uint64_t node_id = message->raft.server_id;
    struct peer_out *out = find(peers, node_id);
    out = out == NULL ? reuse(peers, node_id) : out;
    if (out == NULL) {
        return fail(STATUS_NO_MEMORY, "remember a peer");
    }
    if (node_id == peers->options.node_id || fault_fires(FAULT_PEER_SEND)) {
        return fail(STATUS_UNREACHABLE, "no connection");
    }
    struct status status = attempt(out, message->raft.server_address);
    if (failed(status)) {
        return fail(STATUS_UNREACHABLE, "%s", status.message);
    }
    if (out->refused) {
        return fail(STATUS_UNAUTHORIZED, "not a member of the same cluster any more");
    }
    if (out->state == OUT_IDLE || out->state == OUT_ENDING) {
        return fail(STATUS_UNREACHABLE, "no connection");
    }
    buffer_clear(&peers->encoded.head);
    status = raft_wire_encode(message, &peers->encoded);
    return failed(status) ? status : send_encoded(out, message);
}

struct status peers_send(struct peers *peers, struct peer_send *send,
                         const struct raft_wire_message *message, peer_send_done done)
{
    assert(!peers->closing);
    struct status status = send_to(peers, message);
    if (failed(status)) {
        peers->statistics.messages_dropped++;
        if (message->raft.type == RAFT_IO_APPEND_ENTRIES) {
            return wrap(status, "send to node %016llx", message->raft.server_id);
        }
    } else {
        peers->statistics.messages_sent++;
        peers->statistics.bytes_sent += FRAME_HEADER_SIZE + peers->encoded.size;
    }
    send->done = done;
    peers_answer(peers, send, status);
    return OK;
}

bool peers_connected(const struct peers *peers, uint64_t node_id)
{
    const struct peer_out *out = find(peers, node_id);
    return out != NULL && out->state == OUT_OPEN &&
           now(out) - out->alive_at_ms < (uint64_t)SILENT_PINGS * peers->options.ping_ms;
}

void peer_out_free_all(struct peers *peers)
{
    while (peers->outs != NULL) {
        struct peer_out *out = peers->outs;
        peers->outs = out->next;
        assert(out->state == OUT_IDLE);
        free(out);
    }
}
