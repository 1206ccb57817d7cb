/*
 * The peer network: sending an image of our state to a peer that asks for one. The loop's side: it
 * reads the pipe that a thread fills (peer_image_source.h) and sends frames; when much is unsent, or
 * the rate is used up, it stops reading, the pipe fills, and the thread waits. Nothing else is held
 * in memory.
 *
 * The end is known when both the pipe has ended and the thread has said how it went.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "peer_image_source.h"

#define UNSENT_SIZE_MAX (1U << 20U) /* Bytes: above it the pipe is not read. */
#define RATE_WINDOW_US 10000U       /* The rate is kept over this long. */
#define WORDS_SIZE 160

static void release(struct image_source *source)
{
    struct peers *peers = source->peers;
    EVP_MD_CTX_free(source->digest);
    peers->source_count--;
    free(source);
    peers_unreference(peers);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct image_source *source = handle->data;
    if (--source->references == 0) {
        release(source);
    }
}

/* The pipe goes at once, so that a thread that still writes fails; the rest once it is joined. */
static void close_all(struct image_source *source)
{
    if (!source->closing) {
        source->closing = true;
        atomic_store(&source->cancelled, true);
        uv_close((uv_handle_t *)&source->pipe, on_handle_closed);
        uv_close((uv_handle_t *)&source->timer, on_handle_closed);
    }
    if (source->joined && !uv_is_closing((uv_handle_t *)&source->async)) {
        uv_close((uv_handle_t *)&source->async, on_handle_closed);
    }
}

static void stop_reading(struct image_source *source)
{
    if (source->reading) {
        source->reading = false;
        (void)uv_read_stop((uv_stream_t *)&source->pipe);
    }
}

static void send_end(struct image_source *source)
{
    struct link *link = source->link;
    uint8_t frame[FRAME_HEADER_SIZE + FRAME_IMAGE_END_SIZE];
    uint64_t size = htole64(source->total);
    frame_header(FRAME_IMAGE_END, FRAME_IMAGE_END_SIZE, frame);
    memcpy(frame + FRAME_HEADER_SIZE + IMAGE_DIGEST_SIZE, &size, sizeof size);
    struct slice piece = {.data = frame, .size = sizeof frame};
    if (failed(image_bytes_digest(source->digest, frame + FRAME_HEADER_SIZE)) ||
        failed(stream_write(link->stream, &piece, 1))) {
        link_refuse(link, REFUSAL_FAILED, "the image could not be finished");
        return;
    }
    source->peers->statistics.images_served++;
    link->state = LINK_ENDING;
    stream_shutdown(link->stream);
}

static void finish_if_done(struct image_source *source)
{
    bool all_read = source->ended || failed(source->result);
    if (!source->joined || !all_read || source->closing) {
        return;
    }
    struct link *link = source->link;
    stop_reading(source);
    if (failed(source->result)) {
        peers_trouble(source->peers, link->node_id, wrap(source->result, "write an image"));
        link_refuse(link, REFUSAL_FAILED, source->result.message);
    } else {
        send_end(source);
    }
    link->source = NULL;
    source->link = NULL;
    close_all(source);
}

/* All images share the rate. What was not used of it is lost, so there are no bursts. */
static void charge(struct peers *peers, size_t size)
{
    uint64_t rate = peers->options.image_rate_max;
    uint64_t now_us = uv_now(peers->options.loop) * 1000U;
    if (rate > 0) {
        peers->image_due_us = peers->image_due_us < now_us ? now_us : peers->image_due_us;
        peers->image_due_us += size * UINT64_C(1000000) / rate;
    }
}

static void send_data(struct image_source *source, const char *data, size_t size)
{
    uint8_t header[FRAME_HEADER_SIZE];
    frame_header(FRAME_IMAGE_DATA, size, header);
    struct slice pieces[] = {{.data = header, .size = sizeof header}, {.data = data, .size = size}};
    source->size += size;
    charge(source->peers, size);
    source->peers->statistics.bytes_sent += sizeof header + size;
    struct status status = stream_write(source->link->stream, pieces, 2);
    if (failed(status)) {
        link_end(source->link, status);
    }
}

static void read_on(struct image_source *source);

static void on_rate_timer(uv_timer_t *timer)
{
    read_on(timer->data);
}

/* How long to wait until the rate allows more; 0 if it does. */
static uint64_t rate_pause_ms(const struct peers *peers)
{
    uint64_t now_us = uv_now(peers->options.loop) * 1000U;
    uint64_t due_us = peers->image_due_us;
    bool is_due = peers->options.image_rate_max == 0 || due_us <= now_us + RATE_WINDOW_US;
    return is_due ? 0 : (due_us - now_us) / 1000U;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct image_source *source = handle->data;
    (void)suggested;
    *out = (uv_buf_t){.base = source->bytes, .len = sizeof source->bytes};
}

static void on_piped(uv_stream_t *pipe, ssize_t size, const uv_buf_t *bytes)
{
    struct image_source *source = pipe->data;
    if (size == 0 || source->link == NULL || source->link->state != LINK_IMAGE) {
        return;
    }
    if (size < 0) {
        source->ended = true;
        stop_reading(source);
        finish_if_done(source);
        return;
    }
    send_data(source, bytes->base, (size_t)size);
    stop_reading(source);
    read_on(source);
}

/* Read on, unless too much is unsent (on_drain goes on then) or the rate is used up. */
static void read_on(struct image_source *source)
{
    if (!source->begun || source->closing || source->reading || source->ended ||
        source->link == NULL || source->link->state != LINK_IMAGE ||
        stream_unsent_size(source->link->stream) > UNSENT_SIZE_MAX) {
        return;
    }
    uint64_t pause_ms = rate_pause_ms(source->peers);
    if (pause_ms > 0) {
        (void)uv_timer_start(&source->timer, on_rate_timer, pause_ms, 0);
        return;
    }
    source->reading = true;
    if (uv_read_start((uv_stream_t *)&source->pipe, on_alloc, on_piped) != 0) {
        link_end(source->link, fail(STATUS_IO, "read an image"));
    }
}

void image_source_on_drain(struct link *link)
{
    read_on(link->source);
}

void image_source_end(struct link *link)
{
    struct image_source *source = link->source;
    link->source = NULL;
    source->link = NULL;
    close_all(source);
}

/* ---- What the thread says ---- */

static void tell(const struct image_source *source)
{
    const struct peers_options *options = &source->peers->options;
    char words[WORDS_SIZE];
    if (options->on_image == NULL) {
        return;
    }
    if (source->offset > 0) {
        (void)snprintf(words, sizeof words, "sending an image, from byte %llu of %llu on",
                       (unsigned long long)source->offset, (unsigned long long)source->total);
    } else {
        (void)snprintf(words, sizeof words, "sending an image of %llu bytes%s",
                       (unsigned long long)source->total,
                       source->asked_size > 0 ? "; what the node had is of another" : "");
    }
    options->on_image(options->context, source->link->node_id, words);
}

static void send_begin(struct image_source *source)
{
    struct link *link = source->link;
    struct buffer frame = {0};
    struct status status = fail(STATUS_NO_MEMORY, "begin an image");
    source->begun = true;
    source->began_at_ms = uv_now(source->peers->options.loop);
    tell(source);
    if (frame_put_begin(&frame, source->offset, source->total)) {
        struct slice piece = buffer_slice(&frame);
        status = stream_write(link->stream, &piece, 1);
    }
    buffer_release(&frame);
    if (failed(status)) {
        link_end(link, status);
        return;
    }
    read_on(source);
}

static void on_thread_moved(uv_async_t *async)
{
    struct image_source *source = async->data;
    enum source_phase phase = (enum source_phase)atomic_load(&source->phase);
    bool is_linked = source->link != NULL && source->link->state == LINK_IMAGE;
    bool is_done = phase == SOURCE_DONE && !source->joined;
    if (is_done) {
        (void)uv_thread_join(&source->thread);
        source->joined = true;
    }
    bool sends = phase == SOURCE_SENDING || (is_done && !failed(source->result));
    if (sends && !source->begun && !source->closing && is_linked) {
        send_begin(source);
    }
    if (is_done && source->closing) {
        close_all(source);
    } else if (is_done && is_linked) {
        finish_if_done(source);
    }
}

struct peer_transfer image_source_progress(const struct link *link)
{
    const struct image_source *source = link->source;
    const struct peers *peers = link->peers;
    struct peer_transfer transfer = {.node_id = link->node_id, .sending = true};
    if (source->begun) {
        size_t unsent_size = stream_unsent_size(link->stream);
        uint64_t sent_size = source->size < unsent_size ? 0 : source->size - unsent_size;
        uint64_t for_ms = uv_now(peers->options.loop) - source->began_at_ms;
        transfer.done_size = source->offset + sent_size;
        transfer.total_size = source->total;
        transfer.rate = sent_size * 1000U / (for_ms + 1);
    }
    return transfer;
}

/* ---- The beginning ---- */

static struct status open_pipe(struct image_source *source, uv_loop_t *loop)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return fail_errno(errno, "make a pipe");
    }
    (void)uv_pipe_init(loop, &source->pipe, 0); /* Always 0. */
    source->pipe.data = source;
    int error = uv_pipe_open(&source->pipe, fds[0]);
    if (error != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        uv_close((uv_handle_t *)&source->pipe, on_handle_closed);
        return fail(STATUS_IO, "make a pipe: %s", uv_strerror(error));
    }
    source->write_fd = fds[1];
    return OK;
}

/* The thread starts last, when all handles are there: so one way of closing serves. */
static struct status start(struct image_source *source)
{
    uv_loop_t *loop = source->peers->options.loop;
    source->async.data = source;
    (void)uv_timer_init(loop, &source->timer);
    source->timer.data = source;
    source->references = 3;
    struct status status = open_pipe(source, loop);
    if (failed(status)) {
        source->references -= uv_is_closing((uv_handle_t *)&source->pipe) ? 0 : 1;
        source->closing = true;
        uv_close((uv_handle_t *)&source->timer, on_handle_closed);
        uv_close((uv_handle_t *)&source->async, on_handle_closed);
        return status;
    }
    int error = uv_thread_create(&source->thread, image_source_run, source);
    if (error != 0) {
        (void)close(source->write_fd);
        source->joined = true;
        close_all(source);
        return fail(STATUS_IO, "start a thread: %s", uv_strerror(error));
    }
    return OK;
}

static struct status make(struct link *link, uint64_t size, const uint8_t digest[IMAGE_DIGEST_SIZE])
{
    struct peers *peers = link->peers;
    const struct peers_options *options = &peers->options;
    struct image_source *source =
        fault_fires(FAULT_IMAGE_SERVE) ? NULL : alloc_zeroed(1, sizeof *source);
    if (source == NULL) {
        return fail(STATUS_NO_MEMORY, "serve an image");
    }
    source->peers = peers;
    source->version = options->image_version(options->context);
    source->asked_size = size;
    memcpy(source->asked_digest, digest, IMAGE_DIGEST_SIZE);
    source->digest = EVP_MD_CTX_new();
    peers->source_count++;
    peers_reference(peers);
    if (source->digest == NULL || failed(image_source_restart_digest(source))) {
        release(source);
        return fail(STATUS_NO_MEMORY, "serve an image");
    }
    int error = uv_async_init(options->loop, &source->async, on_thread_moved);
    if (error != 0) {
        release(source);
        return fail(STATUS_IO, "make a thread's signal: %s", uv_strerror(error));
    }
    struct status status = start(source);
    if (failed(status)) {
        return status;
    }
    source->link = link;
    link->source = source;
    return OK;
}

void image_source_begin(struct link *link, uint64_t size, const uint8_t digest[IMAGE_DIGEST_SIZE])
{
    struct peers *peers = link->peers;
    struct buffer hello = {0};
    if (peers->options.image_open == NULL) {
        link_refuse(link, REFUSAL_NO_IMAGES, "this node serves no images");
        return;
    }
    if (peers->source_count >= PEER_IMAGES_MAX) {
        link_refuse(link, REFUSAL_BUSY, "this node serves as many images as it may: ask again");
        return;
    }
    struct status status = make(link, size, digest);
    if (failed(status)) {
        link_refuse(link, REFUSAL_FAILED, status.message);
        return;
    }
    struct slice piece = {0};
    if (frame_put_hello(&hello, link->version, PURPOSE_IMAGE, "")) {
        piece = buffer_slice(&hello);
    }
    status = piece.size == 0 ? fail(STATUS_NO_MEMORY, "greet a peer")
                             : stream_write(link->stream, &piece, 1);
    buffer_release(&hello);
    if (failed(status)) {
        link_end(link, status);
    }
}
