/*
 * Fuzzing what is sealed: secrets of the state, cluster keys wrapped to a member, snapshot files. Each is
 * made with keys that are known here, and changed as the input says.
 *
 * What was not changed opens to what was sealed; what was changed anywhere is STATUS_CORRUPT or
 * STATUS_INVALID, and gives nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/x509.h"
#include "fuzz_input.h"
#include "key_wrap.h"
#include "sealed_snapshot.h"
#include "store/seal.h"

#define BYTES_MAX 4096
#define CLUSTER "0123456789abcdef0123456789abcdef"

static const enum status_code refused[] = {STATUS_CORRUPT, STATUS_INVALID, STATUS_OK};

/* A key that is the same in every run. */
static struct slice key_of(uint8_t which)
{
    static uint8_t keys[256][SEAL_KEY_SIZE];
    memset(keys[which], which, SEAL_KEY_SIZE);
    return (struct slice){.data = keys[which], .size = SEAL_KEY_SIZE};
}

/* Opened, or not; `same`: nothing was changed. */
static void check_opened(struct status status, bool same, const struct secret *out,
                         struct slice plain)
{
    if (same) {
        fuzz_ok(status);
        fuzz_must(slice_equal(secret_slice(out), plain), "what was sealed is opened");
    } else {
        fuzz_must(failed(status) && out->size == 0, "what was changed does not open");
        fuzz_fails_as(status, refused);
    }
}

/* Change it; whether that left it as it was. */
static bool patch(struct fuzz_input *input, const struct buffer *whole, uint8_t bytes[BYTES_MAX],
                  struct slice *out)
{
    size_t size = whole->size;
    memcpy(bytes, whole->data, size);
    fuzz_patches(input, bytes, &size, BYTES_MAX);
    *out = (struct slice){.data = bytes, .size = size};
    return slice_equal(*out, buffer_slice(whole));
}

/* ---- Secrets ---- */

static void try_seal(struct fuzz_input *input)
{
    uint8_t bytes[BYTES_MAX];
    uint8_t nonce[SEAL_NONCE_SIZE] = {0};
    struct buffer sealed = {0};
    struct secret out = {0};
    struct slice changed;
    struct keyring ring = {.epoch = fuzz_u64(input) % UINT32_MAX + 1, .next_epoch = 7};
    struct slice plain = fuzz_bytes(input, 512);
    plain = plain.size == 0 ? slice_of("secret") : plain;
    unsigned how = fuzz_u8(input);
    struct seal_purpose purpose = seal_purpose_of(slice_of("credential/a"), 1);
    struct seal_purpose other = seal_purpose_of(slice_of("credential/a"), 2);
    fuzz_ok(secret_copy(&ring.key, key_of(1)));
    fuzz_ok(secret_copy(&ring.next, key_of(2)));
    fuzz_ok(seal_close(key_of(1), (uint32_t)ring.epoch, &purpose, nonce, plain, &sealed));
    bool same = patch(input, &sealed, bytes, &changed);
    check_opened(seal_open(key_of(1), how == 1 ? &other : &purpose, changed, &out),
                 same && how != 1, &out, plain);
    secret_release(&out);
    /* On the ring it is found by its epoch; epoch 7 may be both. */
    struct status status = keyring_open(&ring, &purpose, changed, &out);
    fuzz_must(same || failed(status), "what was changed does not open on a ring");
    fuzz_must(!same || ring.epoch == 7 || !failed(status), "what was sealed opens on its ring");
    secret_release(&out);
    keyring_release(&ring);
    buffer_release(&sealed);
}

/* ---- Cluster keys ---- */

static void try_wrap(struct fuzz_input *input)
{
    static struct secret member_key;
    static struct buffer certificate;
    static struct buffer wrapped;
    const struct key_wrap_purpose purpose = {
        .cluster_id = slice_of(CLUSTER), .node_id = 5, .epoch = 2};
    struct key_wrap_purpose asked = purpose;
    struct secret out = {0};
    uint8_t bytes[BYTES_MAX];
    struct slice changed;
    if (member_key.size == 0) {
        const struct x509_subject subject = {.common_name = slice_of("a"),
                                             .serial = slice_of("A"),
                                             .not_after_ms = UINT64_C(1900000000000)};
        fuzz_ok(x509_make_key(&member_key));
        fuzz_ok(x509_make_ca(secret_slice(&member_key), &subject, &certificate));
        fuzz_ok(key_wrap(buffer_slice(&certificate), &purpose, key_of(3), &wrapped));
    }
    unsigned how = fuzz_u8(input);
    asked.node_id += how == 1;
    asked.epoch += how == 2;
    asked.cluster_id.size -= how == 3;
    bool same = patch(input, &wrapped, bytes, &changed) && (how < 1 || how > 3);
    check_opened(key_unwrap(secret_slice(&member_key), &asked, changed, &out), same, &out,
                 key_of(3));
    secret_release(&out);
}

/* ---- Snapshots ---- */

static size_t size_of(int fd)
{
    struct stat file;
    fuzz_must(fstat(fd, &file) == 0, "a file has a size");
    return (size_t)file.st_size;
}

/* Two pieces and a bit, packed once; header and salt are the same for the whole run. */
static const struct buffer *snapshot_whole(void)
{
    static struct buffer whole;
    static char image[2 * SNAPSHOT_PIECE_SIZE + 77];
    if (whole.size > 0) {
        return &whole;
    }
    struct arena arena = {0};
    struct snapshot_header header = {.cluster_id = slice_of(CLUSTER),
                                     .cluster = slice_of("c"),
                                     .lineage = 1,
                                     .index = 7,
                                     .term = 2,
                                     .taken_at_ms = 5,
                                     .node = slice_of("a"),
                                     .version = slice_of("0.1"),
                                     .digest = slice_of("7:ab"),
                                     .members = 3,
                                     .produced = 10,
                                     .pending = 4,
                                     .key_epoch = 1};
    for (size_t i = 0; i < sizeof image; i++) {
        image[i] = (char)(i * 31 + i / 4096);
    }
    int in = fuzz_file(0, (struct slice){.data = image, .size = sizeof image});
    int out = fuzz_file(1, (struct slice){.data = "", .size = 0});
    fuzz_ok(snapshot_pack(in, key_of(4), &arena, &header, out));
    size_t size = size_of(out);
    fuzz_must(buffer_reserve(&whole, size) && pread(out, whole.data, size, 0) == (ssize_t)size,
              "the snapshot can be read");
    whole.size = size;
    arena_release(&arena);
    return &whole;
}

/* One patch anywhere: a small one says only where in 64 KiB, so the first byte tells the rest. */
static bool patch_snapshot(struct fuzz_input *input, const struct buffer *whole, uint8_t *bytes,
                           size_t *size)
{
    size_t parts[] = {0, SNAPSHOT_PIECE_SIZE, 2 * (size_t)SNAPSHOT_PIECE_SIZE};
    size_t from = parts[fuzz_u8(input) % 3U];
    memcpy(bytes, whole->data, whole->size);
    *size = whole->size - from;
    fuzz_patches(input, bytes + from, size, whole->size - from);
    *size += from;
    return *size == whole->size && memcmp(bytes, whole->data, *size) == 0;
}

static void try_snapshot(struct fuzz_input *input)
{
    static uint8_t bytes[4 * SNAPSHOT_PIECE_SIZE];
    const struct buffer *whole = snapshot_whole();
    unsigned how = fuzz_u8(input);
    unsigned hash_size = 0;
    size_t size = 0;
    bool same = patch_snapshot(input, whole, bytes, &size);
    if (how != 0 && size > SNAPSHOT_HASH_SIZE) { /* As a forger would leave it. */
        size_t at = size - SNAPSHOT_HASH_SIZE;
        fuzz_must(EVP_Digest(bytes, at, bytes + at, &hash_size, EVP_sha256(), NULL) == 1, "a hash");
        same = size == whole->size && memcmp(bytes, whole->data, size) == 0;
    }
    int in = fuzz_file(2, (struct slice){.data = bytes, .size = size});
    int out = fuzz_file(3, (struct slice){.data = "", .size = 0});
    struct status status = snapshot_unpack(in, key_of(4), out);
    fuzz_must(failed(status) != same, "a snapshot opens if nothing of it was changed");
    if (failed(status)) {
        fuzz_fails_as(status, refused);
    } else {
        fuzz_must(size_of(out) == 2 * SNAPSHOT_PIECE_SIZE + 77, "its image is whole");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    switch (fuzz_u8(&input) % 8U) {
    case 0:
    case 1: try_wrap(&input); break;
    case 2: try_snapshot(&input); break;
    default: try_seal(&input); break;
    }
    return 0;
}
