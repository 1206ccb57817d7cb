/*
 * Any bytes as a raft message, and as the frames of a connection. A message that is accepted must
 * be encoded again to the very same bytes: the encoding has one form only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <raft.h>
#include <stdlib.h>
#include <string.h>

#include "peer_frame.h"
#include "raft_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct raft_wire_message *message, struct slice bytes)
{
    struct raft_wire_encoded encoded = {0};
    if (failed(raft_wire_encode(message, &encoded)) || encoded.size != bytes.size ||
        memcmp(encoded.head.data, bytes.data, encoded.head.size) != 0) {
        abort();
    }
    buffer_release(&encoded.head);
}

static void try_message(const void *data, size_t size)
{
    struct raft_wire_message message;
    void *copy = raft_malloc(size == 0 ? 1 : size);
    if (copy == NULL) {
        return;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    if (failed(raft_wire_decode(copy, size, &message))) {
        raft_free(copy);
        return;
    }
    check_again(&message, (struct slice){.data = data, .size = size});
    raft_wire_release(&message);
}

static void try_frame(const struct frame *frame)
{
    struct frame_hello hello;
    enum frame_refusal refusal = REFUSAL_FAILED;
    if (frame->kind == FRAME_HELLO) {
        (void)failed(frame_get_hello(frame, &hello));
    } else if (frame->kind == FRAME_REFUSED) {
        (void)failed(frame_get_refused(frame, &refusal));
    } else if (frame->kind == FRAME_MESSAGE) {
        try_message(frame->bytes, frame->size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader = {0};
    struct slice input = {.data = data, .size = size};
    unsigned allowed = (1U << FRAME_KIND_COUNT) - 1;
    bool sound = true;
    try_message(data, size);
    while (sound && input.size > 0) {
        struct frame frame;
        sound = !failed(frame_read(&reader, allowed, &input, &frame));
        if (sound && frame.kind != FRAME_NONE) {
            try_frame(&frame);
        }
        frame_release(&frame);
    }
    frame_reader_release(&reader);
    return 0;
}
