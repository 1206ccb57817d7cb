/*
 * An image that is being sent: what the loop (peer_image_serve.c) and the thread that reads the
 * image's file (peer_image_source.c) share.
 *
 * The thread opens the file (which may have to be written first), hashes as much of it as the peer
 * says it has, and writes the rest, or all of it, into a pipe. A thread of libuv's pool would be
 * wrong: two slow peers would take half of it.
 *
 *    OPENING --the file, and where to begin, are known--> SENDING --all is in the pipe--> DONE
 *       \____________________________ failed, or cancelled _____________________________^
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_IMAGE_SOURCE_H
#define PEER_IMAGE_SOURCE_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "image_bytes.h"
#include "peer_state.h"

/* Of the thread; it alone moves it. */
enum source_phase {
    SOURCE_OPENING,
    SOURCE_SENDING,
    SOURCE_DONE,
};

struct image_source {
    struct peers *peers;
    struct link *link; /* NULL once it is closed. */
    uv_thread_t thread;
    uv_async_t async; /* The phase has changed. */
    uv_pipe_t pipe;
    uv_timer_t timer;    /* Reads on, when the rate allows. */
    unsigned references; /* The three handles. */
    int write_fd;        /* The thread's. */
    uint64_t version;
    uint64_t asked_size; /* What the peer has, by its own words. */
    uint8_t asked_digest[IMAGE_DIGEST_SIZE];
    atomic_int phase;
    atomic_bool cancelled;

    /* The thread's until SOURCE_SENDING, then only read. */
    uint64_t offset; /* Not sent again. */
    uint64_t total;

    /* The thread's until it is joined. */
    EVP_MD_CTX *digest;
    struct status result;

    bool begun;  /* FRAME_IMAGE_BEGIN has gone. */
    bool joined; /* The thread. */
    bool ended;  /* The pipe. */
    bool closing;
    bool reading;
    uint64_t size; /* Read from the pipe. */
    uint64_t began_at_ms;
    char bytes[FRAME_IMAGE_SIZE_MAX];
};

/* The thread. */
void image_source_run(void *argument);

MUST_USE struct status image_source_restart_digest(struct image_source *source);

#endif
