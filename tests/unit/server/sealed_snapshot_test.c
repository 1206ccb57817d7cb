/*
 * Snapshot files: what was packed unpacks to the same bytes at every size about a piece's edge;
 * a change anywhere is found, by the checksum or, if that was made to fit, by the key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sealed_snapshot.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "scratch.h"
#include "store/seal.h"

static const uint8_t key_bytes[SEAL_KEY_SIZE] = {1, 2, 3};
static const uint8_t other_bytes[SEAL_KEY_SIZE] = {9};

static struct slice cluster_key(void)
{
    return (struct slice){.data = key_bytes, .size = sizeof key_bytes};
}

static int make_file(const char *folder, const char *name)
{
    char path[SCRATCH_PATH_SIZE + 32];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    return fd;
}

/* Bytes that differ from piece to piece. */
static int make_image(const char *folder, size_t size)
{
    int fd = make_file(folder, "image");
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) {
        abort();
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 4096);
    }
    CHECK(pwrite(fd, bytes, size, 0) == (ssize_t)size);
    free(bytes);
    return fd;
}

static int make_snapshot(const char *folder, size_t size)
{
    struct arena arena = {0};
    struct snapshot_header header = {
        .cluster_id = slice_of("0123456789abcdef0123456789abcdef"),
        .cluster = slice_of("office"),
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
        .key_epoch = 1,
    };
    int image = make_image(folder, size);
    int out = make_file(folder, "snapshot");
    CHECK_OK(snapshot_pack(image, cluster_key(), &arena, &header, out));
    (void)close(image);
    arena_release(&arena);
    return out;
}

static size_t size_of(int fd)
{
    struct stat file;
    CHECK(fstat(fd, &file) == 0);
    return (size_t)file.st_size;
}

static uint8_t *content_of(int fd)
{
    size_t size = size_of(fd);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL || pread(fd, bytes, size, 0) != (ssize_t)size) {
        abort();
    }
    return bytes;
}

/* As a forger would leave it: the checksum fits. */
static void write_checked(int fd, uint8_t *bytes, size_t size)
{
    unsigned hash_size = 0;
    CHECK(EVP_Digest(bytes, size - SNAPSHOT_HASH_SIZE, bytes + size - SNAPSHOT_HASH_SIZE,
                     &hash_size, EVP_sha256(), NULL) == 1);
    CHECK(pwrite(fd, bytes, size, 0) == (ssize_t)size);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {1,
                                   4096,
                                   SNAPSHOT_PIECE_SIZE - 1,
                                   SNAPSHOT_PIECE_SIZE,
                                   SNAPSHOT_PIECE_SIZE + 1,
                                   3 * SNAPSHOT_PIECE_SIZE + 5};
    char folder[SCRATCH_PATH_SIZE];
    (void)state;
    scratch_make(folder);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct arena arena = {0};
        struct snapshot_header header;
        int snapshot = make_snapshot(folder, sizes[i]);
        int image = make_image(folder, sizes[i]);
        int out = make_file(folder, "out");
        CHECK_OK(snapshot_check(snapshot, &arena, &header));
        CHECK_U64(header.image_size, sizes[i]);
        CHECK_SLICE(header.cluster, slice_of("office"));
        CHECK_OK(snapshot_unpack(snapshot, cluster_key(), out));
        CHECK_U64(size_of(out), sizes[i]);
        uint8_t *left = content_of(out);
        uint8_t *right = content_of(image);
        CHECK(memcmp(left, right, sizes[i]) == 0);
        free(left);
        free(right);
        (void)close(snapshot);
        (void)close(image);
        (void)close(out);
        arena_release(&arena);
    }
    scratch_remove(folder);
}

static void test_changed(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    (void)state;
    scratch_make(folder);
    int fd = make_snapshot(folder, SNAPSHOT_PIECE_SIZE + 100);
    size_t size = size_of(fd);
    uint8_t *bytes = content_of(fd);
    for (size_t at = 0; at < size; at += at < 400 ? 1 : 997) {
        struct arena arena = {0};
        struct snapshot_header header;
        bytes[at] ^= 0x40;
        CHECK(pwrite(fd, bytes, size, 0) == (ssize_t)size);
        CHECK(failed(snapshot_check(fd, &arena, &header)));
        if (at < size - SNAPSHOT_HASH_SIZE) {
            write_checked(fd, bytes, size);
            CHECK(failed(snapshot_unpack(fd, cluster_key(), -1)));
        }
        bytes[at] ^= 0x40;
        arena_release(&arena);
    }
    write_checked(fd, bytes, size);
    CHECK_OK(snapshot_unpack(fd, cluster_key(), -1));
    free(bytes);
    (void)close(fd);
    scratch_remove(folder);
}

static void test_cut(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    (void)state;
    scratch_make(folder);
    int fd = make_snapshot(folder, 5000);
    size_t size = size_of(fd);
    for (size_t left = size; left > 0; left -= left > 600 ? 500 : 1) {
        struct arena arena = {0};
        struct snapshot_header header;
        CHECK(ftruncate(fd, (off_t)left - 1) == 0);
        CHECK(failed(snapshot_check(fd, &arena, &header)));
        arena_release(&arena);
    }
    (void)close(fd);
    scratch_remove(folder);
}

/* Two pieces of one size change places; the checksum is made to fit. */
static void test_moved(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    uint8_t kept[SNAPSHOT_PIECE_SIZE + SNAPSHOT_PIECE_OVERHEAD];
    struct arena arena = {0};
    struct snapshot_header header;
    size_t lead_size = 0;
    (void)state;
    scratch_make(folder);
    int fd = make_snapshot(folder, 2 * SNAPSHOT_PIECE_SIZE);
    size_t size = size_of(fd);
    uint8_t *bytes = content_of(fd);
    struct slice all = {.data = bytes, .size = size};
    CHECK_OK(snapshot_header_decode(all, &arena, &header, &lead_size));
    memcpy(kept, bytes + lead_size, sizeof kept);
    memcpy(bytes + lead_size, bytes + lead_size + sizeof kept, sizeof kept);
    memcpy(bytes + lead_size + sizeof kept, kept, sizeof kept);
    write_checked(fd, bytes, size);
    CHECK_CODE(snapshot_unpack(fd, cluster_key(), -1), STATUS_CORRUPT);
    free(bytes);
    arena_release(&arena);
    (void)close(fd);
    scratch_remove(folder);
}

static void test_keys(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    struct arena arena = {0};
    struct snapshot_header header;
    struct secret recovery = {0};
    struct secret foreign = {0};
    struct secret opened = {0};
    struct secret parsed = {0};
    struct buffer text = {0};
    struct slice other = {.data = other_bytes, .size = sizeof other_bytes};
    (void)state;
    scratch_make(folder);
    int fd = make_snapshot(folder, 100);
    CHECK_OK(snapshot_check(fd, &arena, &header));
    CHECK_OK(snapshot_recovery_key(cluster_key(), &recovery));
    CHECK_OK(snapshot_recovery_key(other, &foreign));
    CHECK(!secret_equal(secret_slice(&recovery), cluster_key()));
    CHECK_OK(recovery_key_format(secret_slice(&recovery), &text));
    CHECK_OK(recovery_key_parse(buffer_slice(&text), &parsed));
    CHECK_OK(snapshot_open_key(&header, secret_slice(&parsed), &opened));
    CHECK(secret_equal(secret_slice(&opened), cluster_key()));
    secret_release(&opened);
    CHECK_CODE(snapshot_open_key(&header, secret_slice(&foreign), &opened), STATUS_INVALID);
    CHECK_CODE(snapshot_unpack(fd, other, -1), STATUS_CORRUPT);
    for (size_t i = 0; i < text.size; i++) { /* Every mistyped letter is found. */
        struct secret wrong = {0};
        char *letter = (char *)text.data + i;
        *letter = (char)(*letter == 'A' ? 'B' : 'A');
        CHECK_CODE(recovery_key_parse(buffer_slice(&text), &wrong), STATUS_INVALID);
        secret_release(&wrong);
        buffer_clear(&text);
        CHECK_OK(recovery_key_format(secret_slice(&recovery), &text));
    }
    secret_release(&recovery);
    secret_release(&foreign);
    secret_release(&parsed);
    buffer_release(&text);
    arena_release(&arena);
    (void)close(fd);
    scratch_remove(folder);
}

/* A later muster's file says so, whatever else its header holds. */
static void test_newer(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    struct arena arena = {0};
    struct snapshot_header header;
    size_t lead_size = 0;
    (void)state;
    scratch_make(folder);
    int fd = make_snapshot(folder, 100);
    uint8_t *bytes = content_of(fd);
    struct slice all = {.data = bytes, .size = size_of(fd)};
    CHECK_OK(snapshot_header_decode(all, &arena, &header, &lead_size));
    header.format = SNAPSHOT_FORMAT + 1;
    struct buffer newer = {0};
    CHECK_OK(snapshot_header_encode(&header, &newer));
    struct status status =
        snapshot_header_decode(buffer_slice(&newer), &arena, &header, &lead_size);
    CHECK_CODE(status, STATUS_INVALID);
    CHECK(strstr(status.message, "upgrade") != NULL);
    newer.data[newer.size - 1] ^= 0x3F; /* And what this muster cannot read. */
    newer.data[SNAPSHOT_LEAD_SIZE + 10] ^= 0x3F;
    status = snapshot_header_decode(buffer_slice(&newer), &arena, &header, &lead_size);
    CHECK_CODE(status, STATUS_INVALID);
    free(bytes);
    buffer_release(&newer);
    arena_release(&arena);
    (void)close(fd);
    scratch_remove(folder);
}

/* What was saved with this version must be opened by every later one, with the key that people
 * have kept: a change of these bytes is a change of what can be read, and no reason to renew them. */
static void test_golden(void **state)
{
    static const char held[] =
#include "sealed_snapshot_golden.h"
        ;
    static const char kept_key[] =
        "muster-recovery1.FCw_yvCr5QshoS3cB4PaOG2W_pqSpqK1pHlEWgjjPS1io9RG";
    uint8_t bytes[sizeof held / 2];
    char folder[SCRATCH_PATH_SIZE];
    struct arena arena = {0};
    struct snapshot_header header;
    struct secret recovery = {0};
    struct secret opened = {0};
    (void)state;
    scratch_make(folder);
    int fd = make_file(folder, "snapshot");
    int image = make_image(folder, 100);
    int out = make_file(folder, "out");
    CHECK(hex_decode(slice_of(held), bytes, sizeof bytes));
    CHECK(write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes);
    CHECK_OK(snapshot_check(fd, &arena, &header));
    CHECK_SLICE(header.cluster, slice_of("office"));
    CHECK_SLICE(header.digest, slice_of("7:ab"));
    CHECK_U64(header.index, 7);
    CHECK_U64(header.pending, 4);
    CHECK_OK(recovery_key_parse(slice_of(kept_key), &recovery));
    CHECK_OK(snapshot_open_key(&header, secret_slice(&recovery), &opened));
    CHECK(secret_equal(secret_slice(&opened), cluster_key()));
    CHECK_OK(snapshot_unpack(fd, secret_slice(&opened), out));
    uint8_t *left = content_of(out);
    uint8_t *right = content_of(image);
    CHECK(size_of(out) == 100 && memcmp(left, right, 100) == 0);
    free(left);
    free(right);
    secret_release(&recovery);
    secret_release(&opened);
    arena_release(&arena);
    (void)close(fd);
    (void)close(image);
    (void)close(out);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_changed), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_moved),  cmocka_unit_test(test_keys),    cmocka_unit_test(test_newer),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
