/*
 * The peer network: fetching an image of another node's state into a file.
 *
 *    LOOKING --what is there is known--> CONNECTING --TLS, id--> ASKING --their HELLO--> WAITING
 *                                                                                          |
 *         ENDING <--any of them failed, or-- FINISHING <--END-- RECEIVING <---BEGIN--------+
 *            |
 *            +-- stream and file are both gone: answered
 *
 * WAITING lasts as long as the other side writes its image to a file; it answers our pings meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "image_file.h"
#include "peer_state.h"

#define WORDS_SIZE 160

enum fetch_state {
    FETCH_LOOKING,
    FETCH_CONNECTING,
    FETCH_ASKING,
    FETCH_WAITING,
    FETCH_RECEIVING,
    FETCH_FINISHING,
    FETCH_ENDING,
};

struct image_fetch {
    struct peers *peers;
    struct image_fetch *next;
    struct peer_image *image;
    uint64_t node_id;
    enum fetch_state state;
    struct stream *stream;   /* NULL once closed. */
    struct image_file *file; /* NULL once closed. */
    struct frame_reader reader;
    uint64_t alive_at_ms;
    uint64_t part_size; /* There already, by an earlier attempt. */
    uint8_t part_digest[IMAGE_DIGEST_SIZE];
    uint64_t offset; /* Not sent again. */
    uint64_t size;   /* Received. */
    uint64_t total;
    uint64_t began_at_ms;
    bool paused; /* The file does not keep up. */
    bool complete;
    struct status result;
};

static uint64_t now(const struct image_fetch *fetch)
{
    return uv_now(fetch->peers->options.loop);
}

/* ---- The end ---- */

static void answer_if_gone(struct image_fetch *fetch)
{
    struct peers *peers = fetch->peers;
    struct image_fetch **at = &peers->fetches;
    if (fetch->stream != NULL || fetch->file != NULL) {
        return;
    }
    while (*at != fetch) {
        at = &(*at)->next;
    }
    *at = fetch->next;
    peers->statistics.images_fetched += fetch->complete;
    frame_reader_release(&fetch->reader);
    fetch->image->fetch = NULL;
    fetch->image->done(fetch->image, fetch->result);
    free(fetch);
    peers_unreference(peers);
}

static void on_file_closed(void *context)
{
    struct image_fetch *fetch = context;
    fetch->file = NULL;
    answer_if_gone(fetch);
}

static void end(struct image_fetch *fetch, struct status result)
{
    if (fetch->state == FETCH_ENDING) {
        return;
    }
    fetch->state = FETCH_ENDING;
    fetch->result = result;
    if (fetch->stream != NULL) {
        stream_close(fetch->stream);
    }
    image_file_close(fetch->file, result.code != STATUS_CORRUPT, on_file_closed);
}

/* ---- What the file says ---- */

static void connect_to_it(struct image_fetch *fetch);

static void on_file_looked(void *context, uint64_t size, const uint8_t digest[IMAGE_DIGEST_SIZE])
{
    struct image_fetch *fetch = context;
    fetch->part_size = size;
    memcpy(fetch->part_digest, digest, IMAGE_DIGEST_SIZE);
    connect_to_it(fetch);
}

static void on_file_progress(void *context, struct status status)
{
    struct image_fetch *fetch = context;
    if (failed(status)) {
        end(fetch, status);
    } else if (fetch->paused && fetch->state == FETCH_RECEIVING) {
        fetch->paused = false;
        fetch->alive_at_ms = now(fetch);
        stream_resume(fetch->stream);
    }
}

static void on_file_finished(void *context, struct status status)
{
    struct image_fetch *fetch = context;
    fetch->complete = !failed(status);
    end(fetch, status);
}

static const struct image_file_handlers file_handlers = {
    .on_looked = on_file_looked,
    .on_progress = on_file_progress,
    .on_finished = on_file_finished,
};

/* ---- What the stream says ---- */

static void on_open(struct stream *stream, void *context)
{
    struct image_fetch *fetch = context;
    struct buffer hello = {0};
    if (fetch->state != FETCH_CONNECTING) {
        return;
    }
    uint64_t id = peers_id_of(stream);
    if (id != fetch->node_id) {
        end(fetch, fail(STATUS_UNAUTHORIZED, "node %016llx answers at this address",
                        (unsigned long long)id));
        return;
    }
    fetch->state = FETCH_ASKING;
    fetch->alive_at_ms = now(fetch);
    struct status status = fail(STATUS_NO_MEMORY, "ask for an image");
    if (frame_put_hello(&hello, FRAME_HELLO_VERSION, PURPOSE_IMAGE, fetch->peers->address) &&
        frame_put_ask(&hello, fetch->part_size, fetch->part_digest)) {
        struct slice piece = buffer_slice(&hello);
        status = stream_write(stream, &piece, 1);
    }
    buffer_release(&hello);
    if (failed(status)) {
        end(fetch, status);
    }
}

static void tell(const struct image_fetch *fetch)
{
    const struct peers_options *options = &fetch->peers->options;
    char words[WORDS_SIZE];
    if (options->on_image == NULL) {
        return;
    }
    if (fetch->offset > 0) {
        (void)snprintf(words, sizeof words, "receiving an image, from byte %llu of %llu on",
                       (unsigned long long)fetch->offset, (unsigned long long)fetch->total);
    } else {
        (void)snprintf(
            words, sizeof words, "receiving an image of %llu bytes%s",
            (unsigned long long)fetch->total,
            fetch->part_size > 0 ? "; the part that was here is of another, and thrown away" : "");
    }
    options->on_image(options->context, fetch->node_id, words);
}

static struct status on_begin(struct image_fetch *fetch, const struct frame *frame)
{
    struct status status = frame_get_begin(frame, &fetch->offset, &fetch->total);
    if (!failed(status) && fetch->offset != 0 && fetch->offset != fetch->part_size) {
        status = fail(STATUS_INVALID, "an image goes on where nothing ended");
    }
    if (failed(status)) {
        return status;
    }
    fetch->state = FETCH_RECEIVING;
    fetch->began_at_ms = now(fetch);
    fetch->peers->statistics.images_resumed += fetch->offset > 0;
    image_file_begin(fetch->file, fetch->offset > 0);
    tell(fetch);
    return OK;
}

static struct status on_data(struct image_fetch *fetch, const struct frame *frame)
{
    bool full = false;
    fetch->peers->statistics.bytes_received += FRAME_HEADER_SIZE + frame->size;
    fetch->alive_at_ms = now(fetch);
    fetch->size += frame->size;
    if (fetch->size > fetch->total - fetch->offset) {
        return fail(STATUS_CORRUPT, "an image is larger than it was said to be");
    }
    struct status status = image_file_add(
        fetch->file, (struct slice){.data = frame->bytes, .size = frame->size}, &full);
    if (!failed(status) && full && !fetch->paused) {
        fetch->paused = true;
        stream_pause(fetch->stream);
    }
    return status;
}

static struct status on_image_end(struct image_fetch *fetch, const struct frame *frame)
{
    uint64_t size = 0;
    if (frame->size != FRAME_IMAGE_END_SIZE) {
        return fail(STATUS_INVALID, "the end of an image is malformed");
    }
    memcpy(&size, (const uint8_t *)frame->bytes + 32, sizeof size);
    fetch->state = FETCH_FINISHING;
    image_file_finish(fetch->file, le64toh(size), frame->bytes);
    return OK;
}

static struct status on_frame(struct image_fetch *fetch, const struct frame *frame)
{
    enum frame_refusal refusal = REFUSAL_FAILED;
    struct frame_hello hello;
    struct status status;
    switch (frame->kind) {
    case FRAME_REFUSED: return frame_get_refused(frame, &refusal);
    case FRAME_HELLO:
        status = frame_get_welcome(frame, &hello);
        if (!failed(status)) {
            fetch->state = FETCH_WAITING;
        }
        return status;
    case FRAME_IMAGE_BEGIN: return on_begin(fetch, frame);
    case FRAME_IMAGE_DATA: return on_data(fetch, frame);
    case FRAME_IMAGE_END: return on_image_end(fetch, frame);
    case FRAME_NONE:
    case FRAME_PING:
    case FRAME_PONG:
    case FRAME_MESSAGE:
    case FRAME_IMAGE_ASK:
    case FRAME_KIND_COUNT: break;
    }
    return OK;
}

static unsigned allowed_frames(enum fetch_state state)
{
    switch (state) {
    case FETCH_ASKING: return FRAME_BIT(FRAME_HELLO) | FRAME_BIT(FRAME_REFUSED);
    case FETCH_WAITING:
        return FRAME_BIT(FRAME_IMAGE_BEGIN) | FRAME_BIT(FRAME_PONG) | FRAME_BIT(FRAME_REFUSED);
    case FETCH_RECEIVING:
        return FRAME_BIT(FRAME_IMAGE_DATA) | FRAME_BIT(FRAME_IMAGE_END) | FRAME_BIT(FRAME_PONG) |
               FRAME_BIT(FRAME_REFUSED);
    case FETCH_LOOKING:
    case FETCH_CONNECTING:
    case FETCH_FINISHING:
    case FETCH_ENDING: break;
    }
    return 0;
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    struct image_fetch *fetch = context;
    (void)stream;
    if (fetch->state != FETCH_RECEIVING) {
        fetch->alive_at_ms = now(fetch); /* Once it has begun, only bytes of it count. */
    }
    while (bytes.size > 0 && allowed_frames(fetch->state) != 0) {
        struct frame frame;
        struct status status =
            frame_read(&fetch->reader, allowed_frames(fetch->state), &bytes, &frame);
        if (!failed(status) && frame.kind != FRAME_NONE) {
            status = on_frame(fetch, &frame);
        }
        frame_release(&frame);
        if (failed(status)) {
            end(fetch, status);
        }
    }
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct image_fetch *fetch = context;
    (void)stream;
    fetch->stream = NULL;
    if (fetch->state == FETCH_FINISHING) {
        return; /* All of it is here; the file will say how it went. */
    }
    if (fetch->state != FETCH_ENDING) {
        end(fetch, failed(reason) ? reason : fail(STATUS_IO, "the image ended half way"));
    }
    answer_if_gone(fetch);
}

static const struct stream_handlers handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

/* ---- By the clock ---- */

/* A ping keeps the other side, which hears nothing else from us, from cutting us off. */
static void ping(struct image_fetch *fetch)
{
    uint8_t header[FRAME_HEADER_SIZE];
    struct slice piece = {.data = header, .size = sizeof header};
    frame_header(FRAME_PING, 0, header);
    (void)failed(stream_write(fetch->stream, &piece, 1)); /* on_close tells. */
}

struct image_fetch *image_fetch_tick(struct image_fetch *fetch, uint64_t now_ms)
{
    struct image_fetch *next = fetch->next;
    unsigned dead_ms = fetch->peers->options.dead_ms;
    bool waits = fetch->state == FETCH_WAITING || fetch->state == FETCH_RECEIVING;
    if (fetch->state != FETCH_ASKING && !waits) {
        return next;
    }
    if (!fetch->paused && now_ms - fetch->alive_at_ms > dead_ms) {
        end(fetch, fail(STATUS_TIMEOUT, "fetch an image: nothing came for %u ms", dead_ms));
    } else if (waits) {
        ping(fetch);
    }
    return next;
}

void image_fetch_cancel_all(struct peers *peers)
{
    for (struct image_fetch *fetch = peers->fetches; fetch != NULL; fetch = fetch->next) {
        end(fetch, fail(STATUS_UNKNOWN, "fetch an image: the peer network is closing"));
    }
}

struct image_fetch *image_fetch_progress(const struct image_fetch *fetch, struct peer_transfer *out)
{
    uint64_t for_ms = now(fetch) - fetch->began_at_ms;
    *out = (struct peer_transfer){.node_id = fetch->node_id};
    if (fetch->total > 0) {
        out->done_size = fetch->offset + fetch->size;
        out->total_size = fetch->total;
        out->rate = fetch->size * 1000U / (for_ms + 1);
    }
    return fetch->next;
}

/* ---- The beginning ---- */

static void connect_to_it(struct image_fetch *fetch)
{
    fetch->state = FETCH_CONNECTING;
    struct status status =
        peers_connect(fetch->peers, fetch->node_id, NULL, &handlers, fetch, &fetch->stream);
    if (failed(status)) {
        end(fetch, status);
    }
}

struct status peer_image_fetch(struct peers *peers, struct peer_image *image, uint64_t node_id,
                               const char *path, peer_image_done done)
{
    struct image_fetch *fetch =
        fault_fires(FAULT_IMAGE_FETCH) ? NULL : alloc_zeroed(1, sizeof *fetch);
    if (fetch == NULL) {
        return fail(STATUS_NO_MEMORY, "fetch an image");
    }
    *fetch = (struct image_fetch){.peers = peers, .image = image, .node_id = node_id};
    struct status status =
        image_file_open(peers->options.loop, path, &file_handlers, fetch, &fetch->file);
    if (failed(status)) {
        free(fetch);
        return wrap(status, "fetch an image");
    }
    image->done = done;
    image->fetch = fetch;
    fetch->next = peers->fetches;
    peers->fetches = fetch;
    peers_reference(peers);
    return OK;
}

void peer_image_cancel(struct peer_image *image)
{
    if (image->fetch != NULL) {
        end(image->fetch, fail(STATUS_UNKNOWN, "fetch an image: cancelled"));
    }
}
