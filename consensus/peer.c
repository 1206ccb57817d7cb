/*
 * The peer network: opening, closing, and what happens by the clock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "node_id.h"
#include "peer_state.h"

#define TROUBLE_EVERY_MS 1000U
#define QUEUED_SIZE_MIN (PEER_MESSAGE_SIZE_MAX + 65536U) /* One message must always fit. */

/* ---- Shared with the other files of the network ---- */

static void free_all(struct peers *peers)
{
    void (*closed)(void *context) = peers->closed;
    void *context = peers->closed_context;
    assert(peers->links == NULL && peers->fetches == NULL && peers->answers == NULL);
    peer_out_free_all(peers);
    tls_context_destroy(peers->tls);
    gate_destroy(peers->gate);
    buffer_release(&peers->encoded.head);
    free(peers);
    if (closed != NULL) {
        closed(context);
    }
}

void peers_reference(struct peers *peers)
{
    peers->references++;
}

void peers_unreference(struct peers *peers)
{
    assert(peers->references > 0);
    if (--peers->references == 0) {
        free_all(peers);
    }
}

void peers_trouble(struct peers *peers, uint64_t node_id, struct status reason)
{
    uint64_t now_ms = uv_now(peers->options.loop);
    if (peers->closing || peers->options.on_trouble == NULL ||
        (peers->troubled && now_ms - peers->trouble_at_ms < TROUBLE_EVERY_MS)) {
        return;
    }
    peers->troubled = true;
    peers->trouble_at_ms = now_ms;
    peers->options.on_trouble(peers->options.context, node_id, reason);
}

uint64_t peers_id_of(const struct stream *stream)
{
    uint8_t hash[32];
    return failed(stream_peer_key_hash(stream, hash)) ? 0 : node_id_of_key_hash(hash);
}

struct status peers_connect(struct peers *peers, uint64_t node_id, const char *fallback,
                            const struct stream_handlers *handlers, void *context,
                            struct stream **out)
{
    char address[CONSENSUS_ADDRESS_SIZE] = "";
    struct status status = peers->options.address_of(peers->options.context, node_id, address);
    if (failed(status) && status.code != STATUS_NOT_FOUND) {
        return status;
    }
    const char *chosen = failed(status) ? fallback : address;
    if (chosen == NULL || chosen[0] == '\0') {
        return fail(STATUS_NOT_FOUND, "no address is known of node %016llx",
                    (unsigned long long)node_id);
    }
    struct stream_options options = {
        .loop = peers->options.loop,
        .handlers = handlers,
        .context = context,
        .handshake_timeout_ms = peers->options.handshake_timeout_ms,
        .user_timeout_ms = peers->options.dead_ms,
        .unsent_size_max = peers->options.queued_size_max,
    };
    return stream_connect_tls(chosen, NULL, peers->tls, &options, out);
}

/* ---- By the clock ---- */

static void on_tick(uv_timer_t *timer)
{
    struct peers *peers = timer->data;
    uint64_t now_ms = uv_now(peers->options.loop);
    for (struct peer_out *out = peers->outs; out != NULL; out = out->next) {
        peer_out_tick(out, now_ms);
    }
    for (struct link *link = peers->links; link != NULL; link = link->next) {
        link_tick(link, now_ms);
    }
    for (struct image_fetch *fetch = peers->fetches; fetch != NULL;) {
        fetch = image_fetch_tick(fetch, now_ms);
    }
}

void peers_review(struct peers *peers)
{
    const struct peers_options *options = &peers->options;
    struct status reason = fail(STATUS_UNAUTHORIZED, "the node is not a member any more");
    for (struct link *link = peers->links; link != NULL; link = link->next) {
        if (link->node_id != 0 && !options->peer_allowed(options->context, link->node_id)) {
            link_refuse(link, REFUSAL_NOT_MEMBER, "this node was removed from the cluster");
        }
    }
    for (struct peer_out *out = peers->outs; out != NULL; out = out->next) {
        if (!options->peer_allowed(options->context, out->node_id)) {
            peer_out_end(out, reason);
        }
    }
}

/* ---- Closing ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    peers_unreference(handle->data);
}

static void on_listener_closed(void *context)
{
    peers_unreference(context);
}

void peers_close(struct peers *peers, void (*closed)(void *context), void *context)
{
    assert(!peers->closing);
    peers->closing = true;
    peers->closed = closed;
    peers->closed_context = context;
    struct status reason = fail(STATUS_UNKNOWN, "the peer network is closing");
    for (struct link *link = peers->links; link != NULL; link = link->next) {
        link_end(link, reason);
    }
    for (struct peer_out *out = peers->outs; out != NULL; out = out->next) {
        peer_out_end(out, reason);
    }
    image_fetch_cancel_all(peers);
    listener_close(peers->listener, on_listener_closed, peers);
    uv_close((uv_handle_t *)&peers->tick, on_timer_closed);
    if (peers->answers == NULL) {
        uv_close((uv_handle_t *)&peers->answer, on_timer_closed);
    } /* Otherwise when they are given. */
}

/* ---- Answers ---- */

static void on_answer(uv_timer_t *timer)
{
    struct peers *peers = timer->data;
    struct peer_send *send = peers->answers;
    peers->answers = NULL;
    peers->answers_end = &peers->answers;
    while (send != NULL) {
        struct peer_send *next = send->next; /* The caller may reuse it in `done`. */
        struct status status = send->status;
        if (peers->closing) {
            status = fail(STATUS_UNKNOWN, "send: the peer network is closing");
        }
        send->done(send, status);
        send = next;
    }
    if (peers->closing && !uv_is_closing((uv_handle_t *)timer)) {
        uv_close((uv_handle_t *)timer, on_timer_closed);
    }
}

void peers_answer(struct peers *peers, struct peer_send *send, struct status status)
{
    send->status = status;
    send->next = NULL;
    if (peers->answers == NULL) {
        (void)uv_timer_start(&peers->answer, on_answer, 0, 0);
    }
    *peers->answers_end = send;
    peers->answers_end = &send->next;
}

/* ---- Images ---- */

void peers_set_image_rate(struct peers *peers, uint64_t bytes_per_s)
{
    peers->options.image_rate_max = bytes_per_s;
    peers->image_due_us = 0;
}

size_t peers_transfers(const struct peers *peers, struct peer_transfer out[PEER_TRANSFERS_MAX])
{
    size_t count = 0;
    const struct image_fetch *fetch = peers->fetches;
    while (fetch != NULL && count < PEER_TRANSFERS_MAX) {
        fetch = image_fetch_progress(fetch, &out[count++]);
    }
    for (const struct link *link = peers->links; link != NULL && count < PEER_TRANSFERS_MAX;
         link = link->next) {
        if (link->source != NULL) {
            out[count++] = image_source_progress(link);
        }
    }
    return count;
}

/* ---- Opening ---- */

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value == 0 ? otherwise : value;
}

static void take_defaults(struct peers_options *options)
{
    options->handshake_timeout_ms = or_default(options->handshake_timeout_ms, 5000);
    options->ping_ms = or_default(options->ping_ms, 1000);
    options->dead_ms = or_default(options->dead_ms, 5000);
    options->reconnect_min_ms = or_default(options->reconnect_min_ms, 50);
    options->reconnect_max_ms = or_default(options->reconnect_max_ms, 2000);
    if (options->queued_size_max == 0) {
        options->queued_size_max = 32U << 20U;
    } else if (options->queued_size_max < QUEUED_SIZE_MIN) {
        options->queued_size_max = QUEUED_SIZE_MIN;
    }
}

static struct status make_context(uint64_t node_id, const struct tls_options *tls,
                                  struct tls_context **out)
{
    uint64_t id = 0;
    struct status status = node_id_of_certificate(tls->certificate_pem, &id);
    if (failed(status)) {
        return status;
    }
    if (id != node_id) {
        return fail(STATUS_INVALID, "the certificate is of node %016llx, not of %016llx",
                    (unsigned long long)id, (unsigned long long)node_id);
    }
    return tls_context_create(tls, out);
}

struct status peers_reload(struct peers *peers, struct slice ca_pem, struct slice certificate_pem,
                           struct slice key_pem)
{
    struct tls_context *context = NULL;
    /* A member is who its key is (docs/adr/0025-certificates.md): a node that was off for long comes
     * back, and one whose clock is wrong stays in. */
    struct tls_options tls = {.verify = TLS_VERIFY_REQUIRED,
                              .times_ignored = true,
                              .ca_pem = ca_pem,
                              .certificate_pem = certificate_pem,
                              .key_pem = key_pem};
    struct status status = make_context(peers->options.node_id, &tls, &context);
    if (failed(status)) {
        return wrap(status, "peer network");
    }
    tls_context_destroy(peers->tls);
    peers->tls = context;
    return OK;
}

/* From here on peers_close() is needed to give things back. */
static void start_timers(struct peers *peers)
{
    uv_loop_t *loop = peers->options.loop;
    unsigned dead_ms = peers->options.dead_ms;
    unsigned ping_ms = peers->options.ping_ms;
    unsigned period_ms = (dead_ms / 4 < ping_ms ? dead_ms / 4 : ping_ms) / 2 + 1;
    (void)uv_timer_init(loop, &peers->tick);
    (void)uv_timer_init(loop, &peers->answer);
    peers->tick.data = peers;
    peers->answer.data = peers;
    peers->references = 3; /* Two timers and the listener. */
    (void)uv_timer_start(&peers->tick, on_tick, period_ms, period_ms);
}

static struct status listen_and_name(struct peers *peers, const struct peers_options *options)
{
    char bound[STREAM_ADDRESS_SIZE];
    if (options->address != NULL && strlen(options->address) >= sizeof peers->address) {
        return fail(STATUS_INVALID, "an address has at most %zu bytes", sizeof peers->address - 1);
    }
    struct status status = listener_open_tcp(options->loop, options->listen_address,
                                             peer_in_on_connection, peers, &peers->listener);
    if (failed(status)) {
        return status;
    }
    listener_address(peers->listener, bound);
    (void)snprintf(peers->address, sizeof peers->address, "%s",
                   options->address != NULL ? options->address : bound);
    return OK;
}

static const struct gate_options gate_options = {
    .sources_max = 1024,
    .open_max = PEER_UNKNOWN_PER_SOURCE_MAX,
    .per_s = PEER_CONNECTIONS_PER_S,
    .burst = PEER_CONNECTIONS_BURST,
};

struct status peers_open(const struct peers_options *options, struct peers **out)
{
    struct peers *peers = alloc_zeroed(1, sizeof *peers);
    if (peers == NULL) {
        return fail(STATUS_NO_MEMORY, "peer network");
    }
    peers->options = *options;
    peers->answers_end = &peers->answers;
    take_defaults(&peers->options);
    struct status status =
        peers_reload(peers, options->ca_pem, options->certificate_pem, options->key_pem);
    if (!failed(status)) {
        status = gate_create(&gate_options, &peers->gate);
    }
    if (!failed(status)) {
        status = listen_and_name(peers, options);
    }
    if (failed(status)) {
        tls_context_destroy(peers->tls);
        gate_destroy(peers->gate);
        free(peers);
        return status;
    }
    start_timers(peers);
    *out = peers;
    return OK;
}

void peers_address(const struct peers *peers, char out[CONSENSUS_ADDRESS_SIZE])
{
    listener_address(peers->listener, out);
}

void peers_statistics(const struct peers *peers, struct peers_statistics *out)
{
    *out = peers->statistics;
}
