/*
 * The peer network: connections we accept.
 *
 *    SHAKING --TLS, allowed--> GREETED --HELLO--> MESSAGES | ASKING --ASK--> IMAGE --> ENDING --> gone
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "peer_state.h"

#define LINKS_PER_PEER_MAX 5U /* Messages, its replacement, PEER_IMAGES_MAX images, one more. */

static uint64_t now(const struct link *link)
{
    return uv_now(link->peers->options.loop);
}

void link_end(struct link *link, struct status reason)
{
    link->state = LINK_ENDING;
    stream_close_because(link->stream, reason);
}

void link_refuse(struct link *link, enum frame_refusal refusal, const char *words)
{
    struct buffer frame = {0};
    if (link->state == LINK_ENDING) {
        return;
    }
    link->state = LINK_ENDING;
    link->peers->statistics.connections_refused++;
    if (frame_put_refused(&frame, refusal, words)) {
        struct slice piece = buffer_slice(&frame);
        (void)failed(stream_write(link->stream, &piece, 1)); /* It is told as far as it goes. */
    }
    buffer_release(&frame);
    stream_shutdown(link->stream);
}

/* ---- What the stream says ---- */

static size_t count_links(const struct peers *peers, uint64_t node_id)
{
    size_t count = 0;
    for (const struct link *link = peers->links; link != NULL; link = link->next) {
        count += link->node_id == node_id;
    }
    return count;
}

static void become_known(struct link *link)
{
    if (link->unknown) {
        link->unknown = false;
        link->peers->unknown_count--;
        gate_leave(link->peers->gate, link->origin);
    }
}

static void on_open(struct stream *stream, void *context)
{
    struct link *link = context;
    const struct peers_options *options = &link->peers->options;
    if (link->state != LINK_SHAKING) {
        return;
    }
    link->node_id = peers_id_of(stream);
    link->alive_at_ms = now(link);
    become_known(link);
    if (link->node_id == 0 || link->node_id == options->node_id ||
        !options->peer_allowed(options->context, link->node_id)) {
        peers_trouble(link->peers, link->node_id,
                      fail(STATUS_UNAUTHORIZED, "a node that is not a member was turned away"));
        link_refuse(link, REFUSAL_NOT_MEMBER, "this node is not a member of the cluster");
    } else if (count_links(link->peers, link->node_id) > LINKS_PER_PEER_MAX) {
        link_refuse(link, REFUSAL_BUSY, "too many connections of this node");
    } else {
        link->state = LINK_GREETED;
    }
}

/* One connection for messages per peer: the new one replaces the old, which may be dead. */
static void replace_older(struct link *newer)
{
    for (struct link *link = newer->peers->links; link != NULL; link = link->next) {
        if (link != newer && link->node_id == newer->node_id && link->state == LINK_MESSAGES) {
            link_end(link, OK);
        }
    }
}

static void welcome(struct link *link)
{
    struct buffer frame = {0};
    struct status status = fail(STATUS_NO_MEMORY, "greet a peer");
    if (frame_put_hello(&frame, link->version, PURPOSE_MESSAGES, "")) {
        struct slice piece = buffer_slice(&frame);
        status = stream_write(link->stream, &piece, 1);
    }
    buffer_release(&frame);
    if (failed(status)) {
        link_end(link, status);
    }
}

static void on_hello(struct link *link, const struct frame *frame)
{
    struct frame_hello hello;
    struct status status = frame_get_hello(frame, &hello);
    if (failed(status)) {
        link_end(link, status);
        return;
    }
    if (hello.version < FRAME_HELLO_VERSION_MIN) {
        link_refuse(link, REFUSAL_VERSION,
                    "this version of the peer protocol is not spoken here any more");
        return;
    }
    link->version = hello.version < FRAME_HELLO_VERSION ? hello.version : FRAME_HELLO_VERSION;
    (void)snprintf(link->address, sizeof link->address, "%s", hello.address);
    if (hello.purpose == PURPOSE_IMAGE) {
        link->state = LINK_ASKING;
        return;
    }
    link->state = LINK_MESSAGES;
    replace_older(link);
    welcome(link);
}

static struct status on_ask(struct link *link, const struct frame *frame)
{
    uint64_t size = 0;
    uint8_t digest[32];
    struct status status = frame_get_ask(frame, &size, digest);
    if (!failed(status)) {
        link->state = LINK_IMAGE;
        image_source_begin(link, size, digest);
    }
    return status;
}

/* Takes the frame's bytes when it is a sound message. */
static struct status on_message(struct link *link, struct frame *frame)
{
    struct peers *peers = link->peers;
    struct raft_wire_message message;
    struct status status = raft_wire_decode(frame->bytes, frame->size, &message);
    if (failed(status)) {
        return status;
    }
    peers->statistics.messages_received++;
    peers->statistics.bytes_received += FRAME_HEADER_SIZE + frame->size;
    frame->bytes = NULL; /* The message's now. */
    if (message.raft.type == RAFT_IO_REQUEST_VOTE &&
        message.raft.request_vote.candidate_id != link->node_id) {
        return fail(STATUS_INVALID, "a node asks for votes in the name of another");
    }
    message.raft.server_id = link->node_id;
    message.raft.server_address = link->address;
    peers->options.on_message(peers->options.context, &message);
    return OK;
}

static struct status on_frame(struct link *link, struct frame *frame)
{
    uint8_t header[FRAME_HEADER_SIZE];
    struct slice pong = {.data = header, .size = sizeof header};
    switch (frame->kind) {
    case FRAME_HELLO: on_hello(link, frame); return OK;
    case FRAME_MESSAGE: return on_message(link, frame);
    case FRAME_IMAGE_ASK: return on_ask(link, frame);
    case FRAME_PING:
        frame_header(FRAME_PONG, 0, header);
        return stream_write(link->stream, &pong, 1);
    case FRAME_NONE:
    case FRAME_REFUSED:
    case FRAME_PONG:
    case FRAME_IMAGE_DATA:
    case FRAME_IMAGE_END:
    case FRAME_IMAGE_BEGIN:
    case FRAME_KIND_COUNT: break;
    }
    return OK;
}

static unsigned allowed_frames(enum link_state state)
{
    switch (state) {
    case LINK_GREETED: return FRAME_BIT(FRAME_HELLO);
    case LINK_MESSAGES: return FRAME_BIT(FRAME_MESSAGE) | FRAME_BIT(FRAME_PING);
    case LINK_ASKING: return FRAME_BIT(FRAME_IMAGE_ASK);
    case LINK_IMAGE: return FRAME_BIT(FRAME_PING);
    case LINK_SHAKING:
    case LINK_ENDING: break;
    }
    return 0;
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    struct link *link = context;
    (void)stream;
    link->alive_at_ms = now(link);
    while (bytes.size > 0 && link->state != LINK_ENDING) {
        struct frame frame;
        struct status status =
            frame_read(&link->reader, allowed_frames(link->state), &bytes, &frame);
        if (!failed(status) && frame.kind != FRAME_NONE) {
            status = on_frame(link, &frame);
        }
        frame_release(&frame);
        if (failed(status) && link->state != LINK_ENDING) {
            link_end(link, status);
        }
    }
}

static void on_drain(struct stream *stream, void *context)
{
    struct link *link = context;
    (void)stream;
    if (link->source != NULL) {
        image_source_on_drain(link);
    }
}

static void unlink_link(struct link *link)
{
    struct link **at = &link->peers->links;
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct link *link = context;
    struct peers *peers = link->peers;
    (void)stream;
    if (link->source != NULL) {
        image_source_end(link);
    }
    if (link->unknown) {
        become_known(link);
        peers->statistics.connections_refused++;
    }
    unlink_link(link);
    frame_reader_release(&link->reader);
    if (failed(reason)) {
        peers_trouble(peers, link->node_id, wrap(reason, "connection from a peer"));
    }
    free(link);
    peers_unreference(peers);
}

static const struct stream_handlers handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* ---- By the clock, and from the listener ---- */

void link_tick(struct link *link, uint64_t now_ms)
{
    const struct peers_options *options = &link->peers->options;
    bool greeting = link->state == LINK_GREETED || link->state == LINK_ASKING;
    bool silent = link->state == LINK_MESSAGES || link->state == LINK_IMAGE;
    unsigned patience_ms = greeting ? options->handshake_timeout_ms : options->dead_ms;
    if ((greeting || silent) && now_ms - link->alive_at_ms > patience_ms) {
        link_end(link, fail(STATUS_TIMEOUT, "nothing was heard for %u ms", patience_ms));
    }
}

static bool admit(void *context, uint64_t source)
{
    struct link *link = context;
    struct peers *peers = link->peers;
    if (gate_enter(peers->gate, source, now(link)) != GATE_OPEN) {
        return false;
    }
    link->origin = source;
    link->unknown = true;
    peers->unknown_count++;
    return true;
}

/* The oldest link whose handshake is not done. */
static void drop_unknown(struct peers *peers)
{
    struct link *oldest = NULL;
    for (struct link *link = peers->links; link != NULL; link = link->next) {
        oldest = link->state == LINK_SHAKING ? link : oldest; /* New ones stand first. */
    }
    if (oldest != NULL) {
        link_end(oldest, fail(STATUS_BUSY, "too many connections that do not say who they are"));
    }
}

void peer_in_on_connection(struct listener *listener, void *context)
{
    struct peers *peers = context;
    struct link *link = peers->closing ? NULL : alloc_zeroed(1, sizeof *link);
    if (link == NULL) {
        peers->statistics.connections_refused++;
        listener_refuse(listener);
        return;
    }
    if (peers->unknown_count >= PEER_UNKNOWN_MAX) {
        drop_unknown(peers);
    }
    struct stream_options options = {
        .loop = peers->options.loop,
        .handlers = &handlers,
        .context = link,
        .handshake_timeout_ms = peers->options.handshake_timeout_ms,
        .user_timeout_ms = peers->options.dead_ms,
        .admit = admit,
    };
    *link = (struct link){.peers = peers};
    struct status status = stream_accept_tls(listener, peers->tls, &options, &link->stream);
    if (failed(status)) {
        become_known(link);
        free(link);
        peers->statistics.connections_refused++;
        peers_trouble(peers, 0, status);
        return;
    }
    link->next = peers->links;
    peers->links = link;
    peers_reference(peers);
}
