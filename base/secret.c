/*
 * Secrets: anonymous mappings, locked, undumpable, and empty in a child process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/secret.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_bool unlocked; /* Of the whole process, as is the limit. */

bool secret_all_locked(void)
{
    return !atomic_load(&unlocked);
}

struct status secret_reserve(struct secret *secret, size_t size)
{
    assert(secret->pages == NULL);
    if (size == 0 || size > SECRET_SIZE_MAX) {
        return fail(STATUS_INVALID, "a secret has 1 to %d bytes, not %zu", SECRET_SIZE_MAX, size);
    }
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages_size = (size + page_size - 1) / page_size * page_size;
    void *pages =
        mmap(NULL, pages_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return fail(STATUS_NO_MEMORY, "map memory for a secret");
    }
    if (mlock(pages, pages_size) != 0) {
        atomic_store(&unlocked, true);
    }
    (void)madvise(pages, pages_size, MADV_DONTDUMP);
    (void)madvise(pages, pages_size, MADV_WIPEONFORK);
    *secret = (struct secret){.pages = pages, .size = size, .pages_size = pages_size};
    return OK;
}

struct status secret_copy(struct secret *secret, struct slice bytes)
{
    struct status status = secret_reserve(secret, bytes.size);
    if (!failed(status)) {
        memcpy(secret->pages, bytes.data, bytes.size);
    }
    return status;
}

struct slice secret_slice(const struct secret *secret)
{
    return (struct slice){.data = secret->pages, .size = secret->size};
}

void secret_release(struct secret *secret)
{
    if (secret->pages == NULL) {
        return;
    }
    secret_wipe(secret->pages, secret->pages_size);
    (void)munmap(secret->pages, secret->pages_size);
    *secret = (struct secret){0};
}

void secret_wipe(void *data, size_t size)
{
    explicit_bzero(data, size);
}

void secret_wipe_buffer(struct buffer *buffer)
{
    if (buffer->data != NULL) {
        secret_wipe(buffer->data, buffer->capacity);
    }
    buffer_release(buffer);
}

void secret_consume(struct buffer *buffer, size_t size)
{
    buffer_consume(buffer, size);
    if (size > 0) {
        secret_wipe(buffer->data + buffer->size, size);
    }
}

bool secret_equal(struct slice left, struct slice right)
{
    if (left.size != right.size) {
        return false;
    }
    const unsigned char *a = left.data;
    const unsigned char *b = right.data;
    unsigned char difference = 0;
    for (size_t i = 0; i < left.size; i++) {
        difference |= (unsigned char)(a[i] ^ b[i]);
    }
    return difference == 0;
}
