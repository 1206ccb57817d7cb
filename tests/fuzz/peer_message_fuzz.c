/*
 * Fuzzing what members send each other: the frames of a connection, the raft messages in them, and the
 * configurations in those; bytes from anywhere, or what was whole (every message of raft_wire_test.c, every
 * frame) and is changed as the input says.
 *
 * What is accepted is encoded again to the very same bytes: each has one form only. However a stream of
 * frames is cut, the same comes of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <raft.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/hex.h"
#include "fuzz_input.h"
#include "peer_frame.h"
#include "raft_view.h"
#include "raft_wire.h"

#define BYTES_MAX 4096

/* ---- Messages ---- */

static void check_again(const struct raft_wire_message *message, struct slice bytes)
{
    struct raft_wire_encoded encoded = {0};
    fuzz_ok(raft_wire_encode(message, &encoded));
    fuzz_must(encoded.size == bytes.size &&
                  memcmp(encoded.head.data, bytes.data, encoded.head.size) == 0,
              "a message has one form");
    buffer_release(&encoded.head);
}

static void try_message(struct slice bytes)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_OK};
    struct raft_wire_message message;
    void *copy = raft_malloc(bytes.size == 0 ? 1 : bytes.size);
    fuzz_must(copy != NULL, "there is memory");
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    struct status status = raft_wire_decode(copy, bytes.size, &message);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
        raft_free(copy);
        return;
    }
    check_again(&message, bytes);
    raft_wire_release(&message);
}

/* One of every kind, as it was recorded. */
static void try_recorded(struct fuzz_input *input)
{
    static const char *const recorded[] = {
#include "raft_wire_golden.h"
    };
    uint8_t bytes[BYTES_MAX];
    struct slice digits = slice_of(recorded[fuzz_u8(input) % (sizeof recorded / sizeof *recorded)]);
    size_t size = digits.size / 2;
    fuzz_must(hex_decode(digits, bytes, size), "what was recorded is hexadecimal");
    fuzz_patches(input, bytes, &size, sizeof bytes);
    try_message((struct slice){.data = bytes, .size = size});
}

/* ---- Configurations ---- */

static void try_configuration(struct fuzz_input *input)
{
    static const uint8_t whole[] = "\x01\x02\0\0\0\0\0\0\0"
                                   "\x0B\0\0\0\0\0\0\0"
                                   "192.0.2.1:1\0\x01"
                                   "\x0C\0\0\0\0\0\0\0"
                                   "a.example:1\0\x02";
    uint8_t bytes[BYTES_MAX];
    struct raft_configuration read;
    struct raft_configuration copy;
    size_t size = sizeof whole - 1;
    memcpy(bytes, whole, size);
    fuzz_patches(input, bytes, &size, sizeof bytes);
    if (raft_view_decode(bytes, size, &read) != 0) {
        return;
    }
    fuzz_must(read.n <= CONSENSUS_NODES_MAX, "a configuration is limited");
    fuzz_must(raft_view_copy(&read, &copy) == 0, "a configuration can be copied");
    for (unsigned i = 0; i < read.n; i++) {
        fuzz_must(read.servers[i].id == copy.servers[i].id &&
                      read.servers[i].role == copy.servers[i].role &&
                      strcmp(read.servers[i].address, copy.servers[i].address) == 0,
                  "a copy is the same");
    }
    raft_configuration_close(&read);
    raft_configuration_close(&copy);
}

/* ---- Frames ---- */

static void try_hello(const struct frame *frame)
{
    struct frame_hello hello;
    struct buffer again = {0};
    if (!failed(frame_get_hello(frame, &hello))) {
        fuzz_must(frame_put_hello(&again, hello.version, hello.purpose, hello.address) &&
                      again.size == FRAME_HEADER_SIZE + frame->size &&
                      memcmp(again.data + FRAME_HEADER_SIZE, frame->bytes, frame->size) == 0,
                  "a greeting has one form");
        (void)failed(frame_get_welcome(frame, &hello));
    }
    buffer_release(&again);
}

static void try_frame(const struct frame *frame)
{
    enum frame_refusal refusal = REFUSAL_FAILED;
    uint8_t digest[32];
    uint64_t offset = 0;
    uint64_t size = 0;
    if (frame->kind == FRAME_HELLO) {
        try_hello(frame);
    } else if (frame->kind == FRAME_REFUSED) {
        struct status status = frame_get_refused(frame, &refusal);
        fuzz_must(failed(status) && slice_is_text(slice_of(status.message)),
                  "a refusal is one, in words");
    } else if (frame->kind == FRAME_MESSAGE) {
        try_message((struct slice){.data = frame->bytes, .size = frame->size});
    } else if (frame->kind == FRAME_IMAGE_ASK) {
        (void)failed(frame_get_ask(frame, &size, digest));
    } else if (frame->kind == FRAME_IMAGE_BEGIN &&
               !failed(frame_get_begin(frame, &offset, &size))) {
        fuzz_must(offset <= size, "an image begins before its end");
    }
}

/* Read all frames, `step` bytes at a time; a checksum over what they were. */
static uint32_t read_frames(struct slice all, size_t step)
{
    struct frame_reader reader = {0};
    unsigned allowed = (1U << FRAME_KIND_COUNT) - 1;
    uint32_t sum = 0;
    bool sound = true;
    for (size_t at = 0; sound && at < all.size; at += step) {
        size_t size = all.size - at < step ? all.size - at : step;
        struct slice part = {.data = (const char *)all.data + at, .size = size};
        while (sound && part.size > 0) {
            struct frame frame;
            sound = !failed(frame_read(&reader, allowed, &part, &frame));
            if (sound && frame.kind != FRAME_NONE) {
                uint8_t kind = (uint8_t)frame.kind;
                sum = crc32c(sum, (struct slice){.data = &kind, .size = 1});
                sum = crc32c(sum, (struct slice){.data = frame.bytes, .size = frame.size});
                try_frame(&frame);
            }
            frame_release(&frame);
        }
    }
    frame_reader_release(&reader);
    return sum;
}

static void try_frames(struct slice bytes)
{
    fuzz_must(read_frames(bytes, bytes.size + 1) == read_frames(bytes, 3),
              "frames are the same however they come");
}

/* What a connection begins with, and an image. */
static void try_connection(struct fuzz_input *input)
{
    static const uint8_t digest[32] = {1};
    uint8_t bytes[BYTES_MAX];
    uint8_t header[FRAME_HEADER_SIZE];
    struct buffer frames = {0};
    unsigned which = fuzz_u8(input);
    bool good = (which & 1U) == 0 || frame_put_hello(&frames, 1, PURPOSE_IMAGE, "192.0.2.1:7671");
    good = good && ((which & 2U) == 0 || frame_put_ask(&frames, 4711, digest));
    good = good && ((which & 4U) == 0 || frame_put_begin(&frames, 1, 4711));
    good = good && ((which & 8U) == 0 || frame_put_refused(&frames, REFUSAL_BUSY, "too many"));
    frame_header((enum frame_kind)(which / 16U % FRAME_KIND_COUNT), 16, header);
    good =
        good && buffer_append(&frames, header, sizeof header) && buffer_append(&frames, digest, 16);
    fuzz_must(good && frames.size <= sizeof bytes, "frames are made");
    size_t size = frames.size;
    memcpy(bytes, frames.data, size);
    fuzz_patches(input, bytes, &size, sizeof bytes);
    try_frames((struct slice){.data = bytes, .size = size});
    buffer_release(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    switch (fuzz_u8(&input) % 8U) {
    case 0: try_message(fuzz_rest(&input)); break;
    case 1: try_frames(fuzz_rest(&input)); break;
    case 2: try_configuration(&input); break;
    case 3: try_connection(&input); break;
    default: try_recorded(&input); break;
    }
    return 0;
}
