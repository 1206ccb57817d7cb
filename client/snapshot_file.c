/*
 * Snapshot files: header, sizes and checksum. The bytes come from anywhere; nothing is believed
 * before it was compared.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/protocol.h"
#include "client/snapshot.h"

#define READ_SIZE 65536U
#define SEALED_KEY_SIZE_MAX 128

static const char magic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'S', 'N'};

static const struct codec_field header_fields[] = {
    CODEC_FIELD(struct snapshot_header, 1, format, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct snapshot_header, 2, cluster_id, CODEC_TEXT, RPC_ID_SIZE_MAX),
    CODEC_OPTIONAL(struct snapshot_header, 3, cluster, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct snapshot_header, 4, lineage, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct snapshot_header, 5, index, CODEC_U64, INT64_MAX),
    CODEC_FIELD(struct snapshot_header, 6, term, CODEC_U64, INT64_MAX),
    CODEC_FIELD(struct snapshot_header, 7, taken_at_ms, CODEC_U64, INT64_MAX),
    CODEC_FIELD(struct snapshot_header, 8, node, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct snapshot_header, 9, version, CODEC_TEXT, RPC_NAME_SIZE_MAX),
    CODEC_FIELD(struct snapshot_header, 10, digest, CODEC_TEXT, RPC_DIGEST_SIZE_MAX),
    CODEC_FIELD(struct snapshot_header, 11, members, CODEC_U64, RPC_MEMBERS_MAX),
    CODEC_FIELD(struct snapshot_header, 12, produced, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct snapshot_header, 13, pending, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct snapshot_header, 14, image_size, CODEC_U64, SNAPSHOT_IMAGE_SIZE_MAX),
    CODEC_FIELD(struct snapshot_header, 15, key_epoch, CODEC_U64, UINT32_MAX),
    CODEC_FIELD(struct snapshot_header, 16, salt, CODEC_BYTES, SNAPSHOT_SALT_SIZE),
    CODEC_FIELD(struct snapshot_header, 17, sealed_key, CODEC_BYTES, SEALED_KEY_SIZE_MAX),
};
const struct codec snapshot_header_codec =
    CODEC(struct snapshot_header, "snapshot_header", header_fields);

struct status snapshot_header_encode(const struct snapshot_header *header, struct buffer *out)
{
    struct buffer body = {0};
    struct status status = codec_encode(&snapshot_header_codec, CODEC_TAGS, header, &body);
    uint32_t size = htobe32((uint32_t)body.size);
    if (!failed(status) && body.size > SNAPSHOT_HEADER_SIZE_MAX) {
        status = fail(STATUS_INVALID, "a snapshot header of %zu bytes", body.size);
    }
    if (!failed(status) &&
        (!buffer_append(out, magic, sizeof magic) || !buffer_append(out, &size, sizeof size) ||
         !buffer_append(out, body.data, body.size))) {
        status = fail(STATUS_NO_MEMORY, "write a snapshot's header");
    }
    buffer_release(&body);
    return status;
}

/* The first field is the format: what a newer one means is not for us to guess. */
static struct status explain(struct slice body, struct status status)
{
    const uint8_t *bytes = body.data;
    if (status.code == STATUS_NO_MEMORY) {
        return status;
    }
    /* A map of fewer than 16 or up to 65,535 fields, its first tag 1, its value a small number. */
    size_t at = body.size > 0 && bytes[0] == 0xDE ? 3 : 1;
    if (body.size > at + 1 && bytes[at] == 1 && bytes[at + 1] > SNAPSHOT_FORMAT &&
        bytes[at + 1] < 0x80) {
        return fail(STATUS_INVALID,
                    "it is a snapshot of format %u, this muster reads up to %d: upgrade muster",
                    bytes[at + 1], SNAPSHOT_FORMAT);
    }
    return fail(STATUS_CORRUPT, "the snapshot's header was changed: %s", status.message);
}

struct status snapshot_header_decode(struct slice bytes, struct arena *arena,
                                     struct snapshot_header *out, size_t *size)
{
    uint32_t stored;
    if (bytes.size < sizeof magic || memcmp(bytes.data, magic, sizeof magic) != 0) {
        return fail(STATUS_INVALID, "it is not a snapshot of muster");
    }
    if (bytes.size < SNAPSHOT_LEAD_SIZE) {
        return fail(STATUS_CORRUPT, "the snapshot was cut within its header");
    }
    memcpy(&stored, (const char *)bytes.data + sizeof magic, sizeof stored);
    size_t header_size = be32toh(stored);
    if (header_size == 0 || header_size > SNAPSHOT_HEADER_SIZE_MAX) {
        return fail(STATUS_CORRUPT, "the snapshot's header was changed: it would have %zu bytes",
                    header_size);
    }
    if (bytes.size - SNAPSHOT_LEAD_SIZE < header_size) {
        return fail(STATUS_CORRUPT, "the snapshot was cut within its header");
    }
    struct slice body = {.data = (const char *)bytes.data + SNAPSHOT_LEAD_SIZE,
                         .size = header_size};
    struct status status = codec_decode(&snapshot_header_codec, CODEC_TAGS, body, arena, out);
    if (!failed(status) && out->format > SNAPSHOT_FORMAT) {
        return fail(STATUS_INVALID,
                    "it is a snapshot of format %llu, this muster reads up to %d: upgrade muster",
                    (unsigned long long)out->format, SNAPSHOT_FORMAT);
    }
    if (!failed(status) && (out->image_size == 0 || out->index == 0 || out->key_epoch == 0 ||
                            out->lineage == 0 || out->salt.size != SNAPSHOT_SALT_SIZE)) {
        status = fail(STATUS_CORRUPT, "its numbers contradict each other");
    }
    *size = SNAPSHOT_LEAD_SIZE + header_size;
    return failed(status) ? explain(body, status) : OK;
}

uint64_t snapshot_piece_count(const struct snapshot_header *header)
{
    return (header->image_size + SNAPSHOT_PIECE_SIZE - 1) / SNAPSHOT_PIECE_SIZE;
}

size_t snapshot_piece_size(const struct snapshot_header *header, uint64_t number)
{
    uint64_t left = header->image_size - number * SNAPSHOT_PIECE_SIZE;
    return (size_t)(left < SNAPSHOT_PIECE_SIZE ? left : SNAPSHOT_PIECE_SIZE) +
           SNAPSHOT_PIECE_OVERHEAD;
}

uint64_t snapshot_file_size(const struct snapshot_header *header, size_t lead_size)
{
    return lead_size + header->image_size + snapshot_piece_count(header) * SNAPSHOT_PIECE_OVERHEAD +
           SNAPSHOT_HASH_SIZE;
}

/* ---- The whole file ---- */

static struct status read_at(int fd, void *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "read the snapshot");
        }
        if (count == 0) {
            return fail(STATUS_CORRUPT, "the snapshot was cut");
        }
        done += (size_t)count;
    }
    return OK;
}

static struct status hash_file(int fd, uint64_t size, uint8_t out[SNAPSHOT_HASH_SIZE])
{
    uint8_t bytes[READ_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    struct status status = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1
                               ? OK
                               : fail(STATUS_NO_MEMORY, "hash the snapshot");
    for (uint64_t at = 0; at < size && !failed(status);) {
        size_t part = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        status = read_at(fd, bytes, part, at);
        if (!failed(status) && EVP_DigestUpdate(context, bytes, part) != 1) {
            status = fail(STATUS_NO_MEMORY, "hash the snapshot");
        }
        at += part;
    }
    if (!failed(status) && EVP_DigestFinal_ex(context, out, NULL) != 1) {
        status = fail(STATUS_NO_MEMORY, "hash the snapshot");
    }
    EVP_MD_CTX_free(context);
    return status;
}

static struct status read_header(int fd, uint64_t file_size, struct arena *arena,
                                 struct snapshot_header *out, size_t *lead_size)
{
    size_t most = SNAPSHOT_LEAD_SIZE + SNAPSHOT_HEADER_SIZE_MAX;
    size_t size = file_size < most ? (size_t)file_size : most;
    uint8_t *bytes = arena_alloc(arena, most, 1);
    if (bytes == NULL) {
        return fail(STATUS_NO_MEMORY, "read the snapshot");
    }
    struct status status = read_at(fd, bytes, size, 0);
    struct slice read = {.data = bytes, .size = size};
    return failed(status) ? status : snapshot_header_decode(read, arena, out, lead_size);
}

struct status snapshot_check(int fd, struct arena *arena, struct snapshot_header *out)
{
    struct stat file;
    size_t lead_size = 0;
    uint8_t stored[SNAPSHOT_HASH_SIZE];
    uint8_t computed[SNAPSHOT_HASH_SIZE];
    if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        return fail(STATUS_INVALID, "it is not a file");
    }
    uint64_t size = (uint64_t)file.st_size;
    struct status status = read_header(fd, size, arena, out, &lead_size);
    if (failed(status)) {
        return status;
    }
    uint64_t due = snapshot_file_size(out, lead_size);
    if (size != due) {
        return fail(STATUS_CORRUPT, "the snapshot was %s: it has %llu bytes, not %llu",
                    size < due ? "cut" : "appended to", (unsigned long long)size,
                    (unsigned long long)due);
    }
    status = read_at(fd, stored, sizeof stored, due - sizeof stored);
    if (!failed(status)) {
        status = hash_file(fd, due - sizeof stored, computed);
    }
    if (!failed(status) && memcmp(stored, computed, sizeof stored) != 0) {
        status = fail(STATUS_CORRUPT, "the snapshot was changed: its checksum does not fit");
    }
    return status;
}
