/*
 * Frames: how bytes on a connection between nodes are cut into pieces.
 *
 *     u32 size of what follows the header, u8 kind, 3 zero bytes          (little-endian)
 *
 * A reader knows which kinds may come now; any other, and any size over the kind's limit, is
 * refused before memory is reserved for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_FRAME_H
#define PEER_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define FRAME_HEADER_SIZE 8U
#define FRAME_IMAGE_SIZE_MAX 65536U /* Bytes of an image in one frame. */
#define FRAME_TEXT_SIZE_MAX 200U    /* Bytes of a refusal's words. */

enum frame_kind {
    FRAME_NONE,
    FRAME_HELLO,       /* First in both directions: struct frame_hello. */
    FRAME_REFUSED,     /* u8 enum frame_refusal, then words for an operator. The last one. */
    FRAME_PING,        /* Empty; answered by PONG. */
    FRAME_PONG,        /* Empty. */
    FRAME_MESSAGE,     /* raft_wire.h. */
    FRAME_IMAGE_DATA,  /* Some bytes of an image. */
    FRAME_IMAGE_END,   /* SHA-256 of all of them, u64 their size. */
    FRAME_IMAGE_ASK,   /* u64 bytes that the asker has, SHA-256 of them. */
    FRAME_IMAGE_BEGIN, /* u64 bytes that are not sent again, u64 size of the image. */
    FRAME_KIND_COUNT,
};

#define FRAME_BIT(kind) (1U << (unsigned)(kind))

enum frame_purpose {
    PURPOSE_MESSAGES = 1, /* The opener sends raft messages. */
    PURPOSE_IMAGE,        /* The opener is sent an image; it says first how much it has. */
};

enum frame_refusal {
    REFUSAL_NOT_MEMBER = 1,
    REFUSAL_VERSION,
    REFUSAL_BUSY,
    REFUSAL_NO_IMAGES,
    REFUSAL_FAILED, /* The image could not be written. */
};

/* u32 magic, u16 version, u8 purpose, u8 size of the address, the address without zero byte. */
#define FRAME_HELLO_SIZE 8U
#define FRAME_HELLO_MAGIC 0x7274736dU /* "mstr" */
/* The opener's is the highest it speaks. The acceptor answers with the one that is spoken then: the
 * opener's or its own highest, whichever is less. */
#ifdef MUSTER_NEXT /* See store/command.h. */
#define FRAME_HELLO_VERSION 2U
#else
#define FRAME_HELLO_VERSION 1U
#endif
#define FRAME_HELLO_VERSION_MIN 1U
#define FRAME_IMAGE_END_SIZE 40U
#define FRAME_IMAGE_ASK_SIZE 40U
#define FRAME_IMAGE_BEGIN_SIZE 16U

struct frame_hello {
    unsigned version;
    enum frame_purpose purpose;
    char address[128]; /* What the opener wants to be called back at. */
};

struct frame {
    enum frame_kind kind;
    void *bytes; /* From raft_malloc; the taker's. NULL if size is 0. */
    size_t size;
};

/* Zero-initialised is at the beginning of a connection. */
struct frame_reader {
    uint8_t header[FRAME_HEADER_SIZE];
    size_t header_size;
    struct frame frame; /* Being filled. */
    size_t filled;
};

/*
 * Consume `*input` up to the end of one frame at most. `out->kind` is FRAME_NONE while more bytes
 * are needed. `allowed` has the FRAME_BIT of each kind that may come.
 * STATUS_INVALID (says what is wrong) or STATUS_NO_MEMORY: the connection is of no more use.
 */
MUST_USE struct status frame_read(struct frame_reader *reader, unsigned allowed,
                                  struct slice *input, struct frame *out);

void frame_reader_release(struct frame_reader *reader);
void frame_release(struct frame *frame);

/* A frame's header. */
void frame_header(enum frame_kind kind, size_t size, uint8_t out[FRAME_HEADER_SIZE]);

/* Whole frames, appended; false when memory runs out. */
bool frame_put_hello(struct buffer *out, unsigned version, enum frame_purpose purpose,
                     const char *address);
bool frame_put_ask(struct buffer *out, uint64_t size, const uint8_t digest[32]);
bool frame_put_begin(struct buffer *out, uint64_t offset, uint64_t size);
bool frame_put_refused(struct buffer *out, enum frame_refusal refusal, const char *words);

/* The bytes of a frame of that kind. */
MUST_USE struct status frame_get_hello(const struct frame *frame, struct frame_hello *out);

/* The same for the acceptor's, whose version must be one that is spoken here. */
MUST_USE struct status frame_get_welcome(const struct frame *frame, struct frame_hello *out);
MUST_USE struct status frame_get_ask(const struct frame *frame, uint64_t *size, uint8_t digest[32]);
MUST_USE struct status frame_get_begin(const struct frame *frame, uint64_t *offset, uint64_t *size);

/* A refusal as the status that it means to the refused. */
MUST_USE struct status frame_get_refused(const struct frame *frame, enum frame_refusal *refusal);

#endif
