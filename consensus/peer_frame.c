/*
 * Frames.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer_frame.h"

#include <endian.h>
#include <raft.h>
#include <string.h>

#include "raft_wire.h"

static const size_t size_max[FRAME_KIND_COUNT] = {
    [FRAME_HELLO] = FRAME_HELLO_SIZE + sizeof(((struct frame_hello *)NULL)->address) - 1,
    [FRAME_REFUSED] = 1 + FRAME_TEXT_SIZE_MAX,
    [FRAME_PING] = 0,
    [FRAME_PONG] = 0,
    [FRAME_MESSAGE] = PEER_MESSAGE_SIZE_MAX,
    [FRAME_IMAGE_DATA] = FRAME_IMAGE_SIZE_MAX,
    [FRAME_IMAGE_END] = FRAME_IMAGE_END_SIZE,
    [FRAME_IMAGE_ASK] = FRAME_IMAGE_ASK_SIZE,
    [FRAME_IMAGE_BEGIN] = FRAME_IMAGE_BEGIN_SIZE,
};

static void take(struct slice *input, void *out, size_t size)
{
    memcpy(out, input->data, size);
    input->data = (const uint8_t *)input->data + size;
    input->size -= size;
}

static size_t smaller(size_t left, size_t right)
{
    return left < right ? left : right;
}

/* The header is complete: is it one that may come? Then make room for the frame. */
static struct status begin_frame(struct frame_reader *reader, unsigned allowed)
{
    uint32_t size = 0;
    uint8_t kind = reader->header[4];
    memcpy(&size, reader->header, sizeof size);
    size = le32toh(size);
    if (kind >= FRAME_KIND_COUNT || (allowed & FRAME_BIT(kind)) == 0 ||
        (reader->header[5] | reader->header[6] | reader->header[7]) != 0) {
        return fail(STATUS_INVALID, "a frame of kind %u must not come here", kind);
    }
    if (size > size_max[kind]) {
        return fail(STATUS_INVALID, "a frame of kind %u has %u bytes: at most %zu", kind, size,
                    size_max[kind]);
    }
    reader->frame = (struct frame){.kind = (enum frame_kind)kind, .size = size};
    reader->filled = 0;
    if (size > 0) {
        reader->frame.bytes = raft_malloc(size);
        if (reader->frame.bytes == NULL) {
            return fail(STATUS_NO_MEMORY, "receive a frame of %u bytes", size);
        }
    }
    return OK;
}

struct status frame_read(struct frame_reader *reader, unsigned allowed, struct slice *input,
                         struct frame *out)
{
    *out = (struct frame){0};
    if (reader->header_size < FRAME_HEADER_SIZE) {
        size_t size = smaller(FRAME_HEADER_SIZE - reader->header_size, input->size);
        take(input, reader->header + reader->header_size, size);
        reader->header_size += size;
        if (reader->header_size < FRAME_HEADER_SIZE) {
            return OK;
        }
        struct status status = begin_frame(reader, allowed);
        if (failed(status)) {
            return status;
        }
    }
    size_t size = smaller(reader->frame.size - reader->filled, input->size);
    if (size > 0) {
        take(input, (uint8_t *)reader->frame.bytes + reader->filled, size);
        reader->filled += size;
    }
    if (reader->filled == reader->frame.size) {
        *out = reader->frame; /* Its bytes are the caller's from here on. */
        *reader = (struct frame_reader){0};
    }
    return OK;
}

void frame_reader_release(struct frame_reader *reader)
{
    frame_release(&reader->frame);
    *reader = (struct frame_reader){0};
}

void frame_release(struct frame *frame)
{
    raft_free(frame->bytes);
    *frame = (struct frame){0};
}

void frame_header(enum frame_kind kind, size_t size, uint8_t out[FRAME_HEADER_SIZE])
{
    uint32_t little = htole32((uint32_t)size);
    memset(out, 0, FRAME_HEADER_SIZE);
    memcpy(out, &little, sizeof little);
    out[4] = (uint8_t)kind;
}

bool frame_put_hello(struct buffer *out, unsigned version, enum frame_purpose purpose,
                     const char *address)
{
    size_t address_size = strlen(address);
    size_t size = FRAME_HELLO_SIZE + address_size;
    uint8_t bytes[FRAME_HEADER_SIZE + FRAME_HELLO_SIZE];
    uint32_t magic = htole32(FRAME_HELLO_MAGIC);
    uint16_t little = htole16((uint16_t)version);
    frame_header(FRAME_HELLO, size, bytes);
    memcpy(bytes + FRAME_HEADER_SIZE, &magic, sizeof magic);
    memcpy(bytes + FRAME_HEADER_SIZE + 4, &little, sizeof little);
    bytes[FRAME_HEADER_SIZE + 6] = (uint8_t)purpose;
    bytes[FRAME_HEADER_SIZE + 7] = (uint8_t)address_size;
    return buffer_append(out, bytes, sizeof bytes) && buffer_append(out, address, address_size);
}

bool frame_put_ask(struct buffer *out, uint64_t size, const uint8_t digest[32])
{
    uint8_t bytes[FRAME_HEADER_SIZE + FRAME_IMAGE_ASK_SIZE];
    uint64_t little = htole64(size);
    frame_header(FRAME_IMAGE_ASK, FRAME_IMAGE_ASK_SIZE, bytes);
    memcpy(bytes + FRAME_HEADER_SIZE, &little, sizeof little);
    memcpy(bytes + FRAME_HEADER_SIZE + sizeof little, digest, 32);
    return buffer_append(out, bytes, sizeof bytes);
}

bool frame_put_begin(struct buffer *out, uint64_t offset, uint64_t size)
{
    uint8_t bytes[FRAME_HEADER_SIZE + FRAME_IMAGE_BEGIN_SIZE];
    uint64_t little[2] = {htole64(offset), htole64(size)};
    frame_header(FRAME_IMAGE_BEGIN, FRAME_IMAGE_BEGIN_SIZE, bytes);
    memcpy(bytes + FRAME_HEADER_SIZE, little, sizeof little);
    return buffer_append(out, bytes, sizeof bytes);
}

bool frame_put_refused(struct buffer *out, enum frame_refusal refusal, const char *words)
{
    size_t size = smaller(strlen(words), FRAME_TEXT_SIZE_MAX);
    uint8_t bytes[FRAME_HEADER_SIZE + 1];
    frame_header(FRAME_REFUSED, 1 + size, bytes);
    bytes[FRAME_HEADER_SIZE] = (uint8_t)refusal;
    return buffer_append(out, bytes, sizeof bytes) && buffer_append(out, words, size);
}

struct status frame_get_hello(const struct frame *frame, struct frame_hello *out)
{
    const uint8_t *bytes = frame->bytes;
    uint32_t magic = 0;
    uint16_t version = 0;
    if (frame->size < FRAME_HELLO_SIZE) {
        return fail(STATUS_INVALID, "a greeting is too short");
    }
    memcpy(&magic, bytes, sizeof magic);
    memcpy(&version, bytes + 4, sizeof version);
    struct slice address = {.data = bytes + FRAME_HELLO_SIZE, .size = bytes[7]};
    if (le32toh(magic) != FRAME_HELLO_MAGIC ||
        (bytes[6] != PURPOSE_MESSAGES && bytes[6] != PURPOSE_IMAGE) ||
        frame->size != FRAME_HELLO_SIZE + address.size ||
        !slice_to_text(address, out->address, sizeof out->address)) {
        return fail(STATUS_INVALID, "a greeting is malformed");
    }
    out->version = le16toh(version);
    out->purpose = (enum frame_purpose)bytes[6];
    return OK;
}

struct status frame_get_ask(const struct frame *frame, uint64_t *size, uint8_t digest[32])
{
    if (frame->size != FRAME_IMAGE_ASK_SIZE) {
        return fail(STATUS_INVALID, "a request for an image is malformed");
    }
    memcpy(size, frame->bytes, sizeof *size);
    memcpy(digest, (const uint8_t *)frame->bytes + sizeof *size, 32);
    *size = le64toh(*size);
    return OK;
}

struct status frame_get_begin(const struct frame *frame, uint64_t *offset, uint64_t *size)
{
    uint64_t little[2];
    if (frame->size != FRAME_IMAGE_BEGIN_SIZE) {
        return fail(STATUS_INVALID, "the beginning of an image is malformed");
    }
    memcpy(little, frame->bytes, sizeof little);
    *offset = le64toh(little[0]);
    *size = le64toh(little[1]);
    if (*offset > *size) {
        return fail(STATUS_INVALID, "an image begins behind its end");
    }
    return OK;
}

struct status frame_get_welcome(const struct frame *frame, struct frame_hello *out)
{
    struct status status = frame_get_hello(frame, out);
    if (!failed(status) &&
        (out->version < FRAME_HELLO_VERSION_MIN || out->version > FRAME_HELLO_VERSION)) {
        status = fail(STATUS_INVALID,
                      "the peer speaks version %u of the protocol, this node %u to "
                      "%u",
                      out->version, FRAME_HELLO_VERSION_MIN, FRAME_HELLO_VERSION);
    }
    return status;
}

static enum status_code code_of(enum frame_refusal refusal)
{
    switch (refusal) {
    case REFUSAL_NOT_MEMBER: return STATUS_UNAUTHORIZED;
    case REFUSAL_VERSION: return STATUS_INVALID;
    case REFUSAL_BUSY: return STATUS_BUSY;
    case REFUSAL_NO_IMAGES: return STATUS_NOT_FOUND;
    case REFUSAL_FAILED: return STATUS_IO;
    }
    return STATUS_INVALID;
}

struct status frame_get_refused(const struct frame *frame, enum frame_refusal *refusal)
{
    const uint8_t *bytes = frame->bytes;
    struct slice words = {0};
    if (frame->size > 0) {
        words = (struct slice){.data = bytes + 1, .size = frame->size - 1};
    }
    if (frame->size == 0 || bytes[0] < REFUSAL_NOT_MEMBER || bytes[0] > REFUSAL_FAILED ||
        !slice_is_text(words)) {
        return fail(STATUS_INVALID, "a refusal is malformed");
    }
    *refusal = (enum frame_refusal)bytes[0];
    return fail(code_of(*refusal), "refused by the peer: %.*s", SLICE_ARG(words));
}
