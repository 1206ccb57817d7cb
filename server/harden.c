/*
 * Hardening the process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "harden.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/secret.h"

#define SECURE_HEAP_SIZE                                                                           \
    ((size_t)256 << 10U)   /* Bytes, a power of two: some hundred private keys. */
#define SECURE_HEAP_MIN 32 /* The smallest piece of it. */

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return alloc_wiped_bytes(size);
}

static void *openssl_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return alloc_wiped_resize(memory, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    alloc_wiped_free(memory);
}

/* OpenSSL keeps the numbers of private keys on its secure heap: locked and left out of dumps, as
 * secret.h has it. Where it cannot be had they are on the other heap. */
struct status harden_libraries(void)
{
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1) {
        return fail(STATUS_IO, "OpenSSL was used before its memory was hardened");
    }
    (void)CRYPTO_secure_malloc_init(SECURE_HEAP_SIZE, SECURE_HEAP_MIN);
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, alloc_wiped_bytes, alloc_wiped_free,
                             alloc_wiped_resize, alloc_wiped_text,
                             alloc_wiped_zeroed) != CURLE_OK) {
        return fail(STATUS_IO, "start libcurl");
    }
    return OK;
}

static void look_at_locking(void)
{
    struct secret probe = {0};
    struct status status = secret_reserve(&probe, SECRET_SIZE_MAX);
    secret_release(&probe);
    if (failed(status) || !secret_all_locked()) {
        log_event(LOG_LEVEL_WARNING, "memory for secrets cannot be locked and may be swapped out",
                  log_text("remedy", "raise the limit of locked memory (LimitMEMLOCK, ulimit -l) "
                                     "to 16 MiB, or use no swap"));
    }
}

void harden_process(void)
{
    const struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__ /* The leak check at exit must look into the process. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    look_at_locking();
}
