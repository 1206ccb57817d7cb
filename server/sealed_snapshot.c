/*
 * Snapshot files: sealing and opening.
 *
 * Each piece is bound to the hash of everything before the body and to its number, so that pieces of
 * two snapshots cannot be mixed, moved or left out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sealed_snapshot.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/random.h"
#include "store/seal.h"

#define RECOVERY_LABEL "muster recovery key 1"
#define BODY_LABEL "muster snapshot body 1"

_Static_assert(SNAPSHOT_PIECE_OVERHEAD == SEAL_OVERHEAD, "a piece is sealed as a secret is");
_Static_assert(SNAPSHOT_PIECE_SIZE <= SECRET_SIZE_MAX, "a piece is opened into a secret");

struct status snapshot_recovery_key(struct slice cluster_key, struct secret *out)
{
    return seal_derive(cluster_key, (struct slice){0}, RECOVERY_LABEL, out);
}

static struct seal_purpose key_purpose(const struct snapshot_header *header)
{
    return seal_purpose_of(slice_of("snapshot_key"), header->key_epoch);
}

/* ---- Bytes ---- */

static struct status read_all(int fd, void *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? fail_errno(errno, "read it")
                             : fail(STATUS_CORRUPT, "it ended at %llu",
                                    (unsigned long long)(offset + done));
        }
        done += (size_t)count;
    }
    return OK;
}

static struct status write_all(int fd, struct slice bytes)
{
    size_t done = 0;
    while (done < bytes.size) {
        ssize_t count = write(fd, (const char *)bytes.data + done, bytes.size - done);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_errno(errno, "write it");
        }
        done += (size_t)count;
    }
    return OK;
}

static struct status sync_file(int fd)
{
    return fsync(fd) == 0 ? OK : fail_errno(errno, "sync it");
}

/* What a piece is bound to: the hash of the header, and its number. */
static bool body_purpose(struct slice lead, char out[2 * SNAPSHOT_HASH_SIZE + 16])
{
    uint8_t hash[SNAPSHOT_HASH_SIZE];
    unsigned size = 0;
    if (EVP_Digest(lead.data, lead.size, hash, &size, EVP_sha256(), NULL) != 1) {
        return false;
    }
    memcpy(out, "snapshot ", 9);
    hex_encode((struct slice){.data = hash, .size = sizeof hash}, out + 9);
    return true;
}

/* ---- Sealing ---- */

struct pack {
    int out;
    EVP_MD_CTX *hash;
    struct secret body_key;
    char purpose[2 * SNAPSHOT_HASH_SIZE + 16];
};

static struct status put(struct pack *pack, struct slice bytes)
{
    if (EVP_DigestUpdate(pack->hash, bytes.data, bytes.size) != 1) {
        return fail(STATUS_NO_MEMORY, "hash the snapshot");
    }
    return write_all(pack->out, bytes);
}

static struct status put_pieces(struct pack *pack, int image, const struct snapshot_header *header)
{
    uint8_t plain[SNAPSHOT_PIECE_SIZE];
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct buffer sealed = {0};
    struct status status = OK;
    for (uint64_t i = 0; i < snapshot_piece_count(header) && !failed(status); i++) {
        size_t size = snapshot_piece_size(header, i) - SNAPSHOT_PIECE_OVERHEAD;
        struct seal_purpose purpose = seal_purpose_of(slice_of(pack->purpose), i);
        random_bytes(nonce, sizeof nonce);
        buffer_clear(&sealed);
        status = read_all(image, plain, size, i * SNAPSHOT_PIECE_SIZE);
        if (!failed(status)) {
            status =
                seal_close(secret_slice(&pack->body_key), (uint32_t)header->key_epoch, &purpose,
                           nonce, (struct slice){.data = plain, .size = size}, &sealed);
        }
        if (!failed(status)) {
            status = put(pack, buffer_slice(&sealed));
        }
    }
    secret_wipe(plain, sizeof plain);
    buffer_release(&sealed);
    return status;
}

static struct status put_all(struct pack *pack, int image, const struct snapshot_header *header)
{
    struct buffer lead = {0};
    uint8_t hash[SNAPSHOT_HASH_SIZE];
    struct status status = snapshot_header_encode(header, &lead);
    if (!failed(status) && (!body_purpose(buffer_slice(&lead), pack->purpose) ||
                            EVP_DigestInit_ex(pack->hash, EVP_sha256(), NULL) != 1)) {
        status = fail(STATUS_NO_MEMORY, "hash the snapshot");
    }
    if (!failed(status)) {
        status = put(pack, buffer_slice(&lead));
    }
    if (!failed(status)) {
        status = put_pieces(pack, image, header);
    }
    if (!failed(status) && EVP_DigestFinal_ex(pack->hash, hash, NULL) != 1) {
        status = fail(STATUS_NO_MEMORY, "hash the snapshot");
    }
    if (!failed(status)) {
        status = write_all(pack->out, (struct slice){.data = hash, .size = sizeof hash});
    }
    buffer_release(&lead);
    return failed(status) ? status : sync_file(pack->out);
}

/* Salt and the sealed cluster key. */
static struct status fill_keys(struct slice cluster_key, struct arena *arena,
                               struct snapshot_header *header)
{
    uint8_t salt[SNAPSHOT_SALT_SIZE];
    uint8_t nonce[SEAL_NONCE_SIZE];
    struct secret recovery_key = {0};
    struct buffer sealed = {0};
    struct seal_purpose purpose = key_purpose(header);
    random_bytes(salt, sizeof salt);
    random_bytes(nonce, sizeof nonce);
    struct status status = snapshot_recovery_key(cluster_key, &recovery_key);
    if (!failed(status)) {
        status = seal_close(secret_slice(&recovery_key), (uint32_t)header->key_epoch, &purpose,
                            nonce, cluster_key, &sealed);
    }
    header->salt = arena_copy(arena, (struct slice){.data = salt, .size = sizeof salt});
    header->sealed_key = arena_copy(arena, buffer_slice(&sealed));
    if (!failed(status) && (header->salt.data == NULL || header->sealed_key.data == NULL)) {
        status = fail(STATUS_NO_MEMORY, "seal the snapshot's key");
    }
    secret_release(&recovery_key);
    buffer_release(&sealed);
    return status;
}

struct status snapshot_pack(int image, struct slice cluster_key, struct arena *arena,
                            struct snapshot_header *header, int out)
{
    struct stat file;
    struct pack pack = {.out = out, .hash = EVP_MD_CTX_new()};
    if (pack.hash == NULL || fstat(image, &file) != 0 || file.st_size <= 0) {
        EVP_MD_CTX_free(pack.hash);
        return fail(STATUS_IO, "look at the image");
    }
    header->format = SNAPSHOT_FORMAT;
    header->image_size = (uint64_t)file.st_size;
    struct status status = fill_keys(cluster_key, arena, header);
    if (!failed(status)) {
        status = seal_derive(cluster_key, header->salt, BODY_LABEL, &pack.body_key);
    }
    if (!failed(status)) {
        status = put_all(&pack, image, header);
    }
    secret_release(&pack.body_key);
    EVP_MD_CTX_free(pack.hash);
    return failed(status) ? wrap(status, "write the snapshot") : OK;
}

/* ---- Opening ---- */

struct status snapshot_open_key(const struct snapshot_header *header, struct slice recovery_key,
                                struct secret *cluster_key)
{
    struct seal_purpose purpose = key_purpose(header);
    struct status status = seal_open(recovery_key, &purpose, header->sealed_key, cluster_key);
    if (status.code == STATUS_CORRUPT || (!failed(status) && cluster_key->size != SEAL_KEY_SIZE)) {
        secret_release(cluster_key);
        return fail(STATUS_INVALID, "the recovery key is not the one of this snapshot");
    }
    return status;
}

struct unpack {
    int file;
    int out;
    size_t lead_size;
    struct secret body_key;
    char purpose[2 * SNAPSHOT_HASH_SIZE + 16];
    struct snapshot_header header;
};

static struct status open_pieces(const struct unpack *unpack)
{
    uint8_t sealed[SNAPSHOT_PIECE_SIZE + SNAPSHOT_PIECE_OVERHEAD];
    uint64_t at = unpack->lead_size;
    struct status status = OK;
    for (uint64_t i = 0; i < snapshot_piece_count(&unpack->header) && !failed(status); i++) {
        size_t size = snapshot_piece_size(&unpack->header, i);
        struct seal_purpose purpose = seal_purpose_of(slice_of(unpack->purpose), i);
        struct secret plain = {0};
        status = read_all(unpack->file, sealed, size, at);
        if (!failed(status)) {
            status = seal_open(secret_slice(&unpack->body_key), &purpose,
                               (struct slice){.data = sealed, .size = size}, &plain);
        }
        if (status.code == STATUS_CORRUPT) {
            status = fail(STATUS_CORRUPT, "piece %llu of the snapshot was changed or moved",
                          (unsigned long long)i);
        }
        if (!failed(status) && unpack->out >= 0) {
            status = write_all(unpack->out, secret_slice(&plain));
        }
        secret_release(&plain);
        at += size;
    }
    return failed(status) || unpack->out < 0 ? status : sync_file(unpack->out);
}

/* The bytes before the body, as they stand in the file: the header's check has read them. */
static struct status read_lead(struct unpack *unpack)
{
    uint8_t bytes[SNAPSHOT_LEAD_SIZE + SNAPSHOT_HEADER_SIZE_MAX];
    struct stat file;
    struct arena arena = {0};
    struct snapshot_header header;
    if (fstat(unpack->file, &file) != 0) {
        return fail_errno(errno, "look at the snapshot");
    }
    size_t size = (size_t)file.st_size < sizeof bytes ? (size_t)file.st_size : sizeof bytes;
    struct status status = read_all(unpack->file, bytes, size, 0);
    if (!failed(status)) {
        struct slice read = {.data = bytes, .size = size};
        status = snapshot_header_decode(read, &arena, &header, &unpack->lead_size);
    }
    if (!failed(status) &&
        !body_purpose((struct slice){.data = bytes, .size = unpack->lead_size}, unpack->purpose)) {
        status = fail(STATUS_NO_MEMORY, "hash the snapshot's header");
    }
    arena_release(&arena);
    return status;
}

struct status snapshot_unpack(int file, struct slice cluster_key, int out)
{
    struct arena arena = {0};
    struct unpack unpack = {.file = file, .out = out};
    struct status status = snapshot_check(file, &arena, &unpack.header);
    if (!failed(status)) {
        status = read_lead(&unpack);
    }
    if (!failed(status)) {
        status = seal_derive(cluster_key, unpack.header.salt, BODY_LABEL, &unpack.body_key);
    }
    if (!failed(status)) {
        status = open_pieces(&unpack);
    }
    secret_release(&unpack.body_key);
    arena_release(&arena);
    return failed(status) ? wrap(status, "open the snapshot") : OK;
}
