/*
 * Taking inputs apart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_input.h"

#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILES_MAX 4
#define PATCHES_MAX 8
#define INSERT_MAX 64

uint8_t fuzz_u8(struct fuzz_input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

uint16_t fuzz_u16(struct fuzz_input *input)
{
    unsigned low = fuzz_u8(input);
    return (uint16_t)(low | (unsigned)fuzz_u8(input) << 8U);
}

uint64_t fuzz_u64(struct fuzz_input *input)
{
    static const uint64_t edges[] = {
        0,          1,          2,         7,          8,         UINT8_MAX,
        UINT16_MAX, 0x80000000, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX - 1,
        UINT64_MAX,
    };
    size_t choice = fuzz_u8(input);
    if (choice < sizeof edges / sizeof edges[0]) {
        return edges[choice];
    }
    uint64_t value = 0;
    for (size_t i = 0; i < choice % 9; i++) {
        value = value << 8U | fuzz_u8(input);
    }
    return value;
}

struct slice fuzz_bytes(struct fuzz_input *input, size_t size_max)
{
    size_t size = fuzz_u16(input);
    size = size > size_max ? size % (size_max + 1) : size;
    size = size > input->left ? input->left : size;
    struct slice bytes = {.data = input->at, .size = size};
    input->at += size;
    input->left -= size;
    return bytes;
}

struct slice fuzz_rest(struct fuzz_input *input)
{
    struct slice bytes = {.data = input->at, .size = input->left};
    input->at += input->left;
    input->left = 0;
    return bytes;
}

static void put_number(uint8_t *bytes, size_t size, size_t at, uint64_t number, unsigned how)
{
    size_t width = (size_t)1 << (how % 4U);
    uint64_t ordered = (how & 4U) != 0 ? htobe64(number << (8 * (8 - width))) : htole64(number);
    if (size - at >= width) {
        memcpy(bytes + at, &ordered, width);
    }
}

static void insert(uint8_t *bytes, size_t *size, size_t capacity, size_t at, struct slice added)
{
    if (added.size > 0 && added.size <= capacity - *size) {
        memmove(bytes + at + added.size, bytes + at, *size - at);
        memcpy(bytes + at, added.data, added.size);
        *size += added.size;
    }
}

void fuzz_patch(struct fuzz_input *input, uint8_t *bytes, size_t *size, size_t capacity)
{
    unsigned kind = fuzz_u8(input);
    size_t at = *size == 0 ? 0 : fuzz_u16(input) % *size;
    size_t other = fuzz_u8(input);
    if (*size == 0 || kind % 8U == 3) {
        insert(bytes, size, capacity, at, fuzz_bytes(input, INSERT_MAX));
        return;
    }
    switch (kind % 8U) {
    case 0: bytes[at] = (uint8_t)other; break;
    case 1: bytes[at] ^= (uint8_t)(1U << (other % 8)); break;
    case 2: put_number(bytes, *size, at, fuzz_u64(input), (unsigned)other); break;
    case 4:
        other = other > *size - at ? *size - at : other;
        memmove(bytes + at, bytes + at + other, *size - at - other);
        *size -= other;
        break;
    case 5: *size = at; break;
    case 6: /* From elsewhere in it. */
        other = other % (*size - at);
        memmove(bytes + at, bytes + fuzz_u16(input) % (*size - other), other);
        break;
    default: bytes[at] = (uint8_t)(bytes[at] + other); break;
    }
}

void fuzz_patches(struct fuzz_input *input, uint8_t *bytes, size_t *size, size_t capacity)
{
    for (int i = 0; i < PATCHES_MAX && input->left > 0; i++) {
        fuzz_patch(input, bytes, size, capacity);
    }
}

void fuzz_must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

void fuzz_ok(struct status status)
{
    fuzz_must(!failed(status), status.message);
}

void fuzz_fails_as(struct status status, const enum status_code *codes)
{
    while (*codes != STATUS_OK && *codes != status.code) {
        codes++;
    }
    if (*codes == STATUS_OK || status.message[0] == '\0') {
        (void)fprintf(stderr, "fails as it must not: %s, %s\n", status_name(status.code),
                      status.message);
        abort();
    }
}

const char *fuzz_folder(void)
{
    static char folder[PATH_MAX];
    const char *parent = getenv("TMPDIR");
    if (folder[0] == '\0') {
        int size =
            snprintf(folder, sizeof folder, "%s/fuzz-XXXXXX", parent == NULL ? "/tmp" : parent);
        fuzz_must(size > 0 && (size_t)size < sizeof folder && mkdtemp(folder) != NULL,
                  "a folder can be made under TMPDIR");
    }
    return folder;
}

static struct {
    int fd;
    char path[32];
} files[FILES_MAX];

int fuzz_file(unsigned number, struct slice content)
{
    if (files[number].path[0] == '\0') {
        files[number].fd = memfd_create("fuzz", MFD_CLOEXEC);
        fuzz_must(files[number].fd >= 0, "a file in memory can be made");
        (void)snprintf(files[number].path, sizeof files[number].path, "/proc/self/fd/%d",
                       files[number].fd);
    }
    int fd = files[number].fd;
    fuzz_must(ftruncate(fd, 0) == 0 &&
                  pwrite(fd, content.data, content.size, 0) == (ssize_t)content.size &&
                  lseek(fd, 0, SEEK_SET) == 0,
              "a file in memory takes bytes");
    return fd;
}

const char *fuzz_file_path(unsigned number)
{
    return files[number].path;
}
