/*
 * Pages of secrets: locked, left out of dumps and empty in a child, as the kernel itself says; and used
 * all the same where they cannot be locked. Plain memory, looked at the same way, is none of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "scratch.h"

/* The VmFlags of the mapping that holds the address. */
static void flags_of(const void *address, char out[256])
{
    char line[512];
    bool inside = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    assert_non_null(file);
    out[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long from;
        unsigned long to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
            inside = (unsigned long)address >= from && (unsigned long)address < to;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            (void)snprintf(out, 256, "%.200s", line);
        }
    }
    (void)fclose(file);
    assert_true(out[0] != '\0');
}

static bool has(const char *flags, const char *flag)
{
    char word[8];
    (void)snprintf(word, sizeof word, " %s ", flag);
    return strstr(flags, word) != NULL;
}

static void test_pages(void **state)
{
    struct secret secret = {0};
    char flags[256];
    (void)state;
    CHECK_OK(secret_copy(&secret, slice_of("a secret")));
    flags_of(secret.pages, flags);
    CHECK(has(flags, "dd")); /* Not dumped. */
    CHECK(has(flags, "wf")); /* Wiped on fork. */
#ifndef __SANITIZE_ADDRESS__ /* Which lets nobody lock anything. */
    CHECK(has(flags, "lo") == secret_all_locked());
#endif
    secret_release(&secret);

    void *plain = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    flags_of(plain, flags);
    CHECK(!has(flags, "dd") && !has(flags, "wf") && !has(flags, "lo"));
    CHECK(munmap(plain, 4096) == 0);
}

/* The child's answer, as its exit code. */
static int in_child(bool (*good)(const struct secret *secret), const struct secret *secret)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        _exit(good(secret) ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool is_empty(const struct secret *secret)
{
    static const char zeros[8];
    return memcmp(secret->pages, zeros, sizeof zeros) == 0;
}

static bool is_usable_unlocked(const struct secret *unused)
{
    const struct rlimit none = {0};
    struct secret secret = {0};
    (void)unused;
    (void)setrlimit(RLIMIT_MEMLOCK, &none);
    bool privileged = geteuid() == 0; /* Whom the limit does not bind, if it may lock at all. */
    bool good = !failed(secret_copy(&secret, slice_of("a secret"))) &&
                slice_equal(secret_slice(&secret), slice_of("a secret"));
    return good && (privileged || !secret_all_locked());
}

static void test_child(void **state)
{
    struct secret secret = {0};
    (void)state;
    CHECK_OK(secret_copy(&secret, slice_of("a secret")));
    CHECK_U64((uint64_t)in_child(is_empty, &secret), 0);
    CHECK(!is_empty(&secret));
    CHECK_U64((uint64_t)in_child(is_usable_unlocked, &secret), 0);
    secret_release(&secret);
}

/* What the wiping allocator gives is what the C library would. */
static void test_wiped(void **state)
{
    (void)state;
    char *text = alloc_wiped_text("twelve bytes");
    char *zeroed = alloc_wiped_zeroed(3, 5);
    char *bytes = alloc_wiped_bytes(4);
    CHECK(text != NULL && zeroed != NULL && bytes != NULL);
    for (size_t i = 0; i < 15; i++) {
        CHECK(zeroed[i] == 0);
    }
    memcpy(bytes, "abc", 4);
    bytes = alloc_wiped_resize(bytes, 100000);
    CHECK(bytes != NULL && strcmp(bytes, "abc") == 0);
    bytes = alloc_wiped_resize(bytes, 2);
    CHECK(bytes != NULL && memcmp(bytes, "ab", 2) == 0);
    text = alloc_wiped_resize(text, 13);
    CHECK(text != NULL && strcmp(text, "twelve bytes") == 0);
    char *fresh = alloc_wiped_resize(NULL, 1);
    CHECK(fresh != NULL);
    alloc_wiped_free(text);
    alloc_wiped_free(zeroed);
    alloc_wiped_free(bytes);
    alloc_wiped_free(fresh);
    alloc_wiped_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_child),
        cmocka_unit_test(test_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
