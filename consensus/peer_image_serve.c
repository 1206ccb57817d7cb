/*
 * The peer network: sending an image of our state to a peer that asks for one.
 *
 * The machine writes the image into a pipe, on a thread of its own because it blocks for as long as
 * the peer is slow. The loop reads the pipe and sends frames; when much is unsent, or the rate is
 * used up, it stops reading, the pipe fills, and the machine waits. Nothing else is held in memory.
 * A thread of libuv's pool would be wrong: two slow peers would take half of it.
 *
 * The end is known when both the pipe has ended and the thread has said how it went.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "peer_state.h"

#define UNSENT_SIZE_MAX (1U << 20U) /* Bytes: above it the pipe is not read. */
#define RATE_WINDOW_MS 10U          /* The rate is kept over this long. */

struct image_source {
    struct peers *peers;
    struct link *link; /* NULL once it is closed. */
    uv_thread_t thread;
    uv_async_t async; /* The thread is done. */
    uv_pipe_t pipe;
    uv_timer_t timer;    /* Reads on, when the rate allows. */
    unsigned references; /* The three handles. */
    int write_fd;        /* The thread's. */
    struct status (*write)(void *context, int fd);
    void *context;
    struct status result; /* Of the thread, valid once `joined`. */
    bool joined;
    bool ended; /* The pipe. */
    bool closing;
    bool reading;
    EVP_MD_CTX *digest;
    uint64_t size;
    uint64_t began_at_ms;
    char bytes[FRAME_IMAGE_SIZE_MAX];
};

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
    uint64_t size = htole64(source->size);
    unsigned digest_size = 0;
    frame_header(FRAME_IMAGE_END, FRAME_IMAGE_END_SIZE, frame);
    memcpy(frame + FRAME_HEADER_SIZE + 32, &size, sizeof size);
    struct slice piece = {.data = frame, .size = sizeof frame};
    if (EVP_DigestFinal_ex(source->digest, frame + FRAME_HEADER_SIZE, &digest_size) != 1 ||
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
    if (!source->joined || !source->ended || source->closing) {
        return;
    }
    struct link *link = source->link;
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

static void send_data(struct image_source *source, const char *data, size_t size)
{
    uint8_t header[FRAME_HEADER_SIZE];
    frame_header(FRAME_IMAGE_DATA, size, header);
    struct slice pieces[] = {{.data = header, .size = sizeof header}, {.data = data, .size = size}};
    if (EVP_DigestUpdate(source->digest, data, size) != 1) {
        link_end(source->link, fail(STATUS_NO_MEMORY, "hash an image"));
        return;
    }
    source->size += size;
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
static uint64_t rate_pause_ms(const struct image_source *source)
{
    uint64_t rate = source->peers->options.image_rate_max;
    if (rate == 0) {
        return 0;
    }
    uint64_t due_ms = source->began_at_ms + source->size * 1000U / rate;
    uint64_t now_ms = uv_now(source->peers->options.loop);
    return due_ms > now_ms + RATE_WINDOW_MS ? due_ms - now_ms : 0;
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
    if (source->closing || source->reading || source->ended || source->link == NULL ||
        source->link->state != LINK_IMAGE ||
        stream_unsent_size(source->link->stream) > UNSENT_SIZE_MAX) {
        return;
    }
    uint64_t pause_ms = rate_pause_ms(source);
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

/* ---- The thread ---- */

static void run(void *argument)
{
    struct image_source *source = argument;
    sigset_t pipe_signal;
    (void)sigemptyset(&pipe_signal);
    (void)sigaddset(&pipe_signal, SIGPIPE); /* A peer that goes away is EPIPE, not our death. */
    (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    source->result = source->write(source->context, source->write_fd);
    (void)close(source->write_fd);
    (void)uv_async_send(&source->async);
}

static void on_thread_done(uv_async_t *async)
{
    struct image_source *source = async->data;
    (void)uv_thread_join(&source->thread);
    source->joined = true;
    if (source->closing) {
        close_all(source);
        return;
    }
    finish_if_done(source);
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
    int error = uv_thread_create(&source->thread, run, source);
    if (error != 0) {
        (void)close(source->write_fd);
        source->joined = true;
        close_all(source);
        return fail(STATUS_IO, "start a thread: %s", uv_strerror(error));
    }
    return OK;
}

static struct status begin(struct link *link)
{
    struct peers *peers = link->peers;
    struct image_source *source = fault_fires(FAULT_IMAGE_SERVE) ? NULL : calloc(1, sizeof *source);
    if (source == NULL) {
        return fail(STATUS_NO_MEMORY, "serve an image");
    }
    source->peers = peers;
    source->write = peers->options.image_write;
    source->context = peers->options.context;
    source->began_at_ms = uv_now(peers->options.loop);
    source->digest = EVP_MD_CTX_new();
    peers->source_count++;
    peers_reference(peers);
    if (source->digest == NULL || EVP_DigestInit_ex(source->digest, EVP_sha256(), NULL) != 1) {
        release(source);
        return fail(STATUS_NO_MEMORY, "serve an image");
    }
    int error = uv_async_init(peers->options.loop, &source->async, on_thread_done);
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
    read_on(source);
    return OK;
}

void image_source_begin(struct link *link)
{
    struct peers *peers = link->peers;
    struct buffer hello = {0};
    if (peers->options.image_write == NULL) {
        link_refuse(link, REFUSAL_NO_IMAGES, "this node serves no images");
        return;
    }
    if (peers->source_count >= PEER_IMAGES_MAX) {
        link_refuse(link, REFUSAL_BUSY, "this node serves as many images as it may: ask again");
        return;
    }
    struct status status = begin(link);
    if (failed(status)) {
        link_refuse(link, REFUSAL_FAILED, status.message);
        return;
    }
    struct slice piece = {0};
    if (frame_put_hello(&hello, PURPOSE_IMAGE, "")) {
        piece = buffer_slice(&hello);
    }
    status = piece.size == 0 ? fail(STATUS_NO_MEMORY, "greet a peer")
                             : stream_write(link->stream, &piece, 1);
    buffer_release(&hello);
    if (failed(status)) {
        link_end(link, status);
    }
}
