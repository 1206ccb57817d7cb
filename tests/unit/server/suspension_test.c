/*
 * Suspension: when it is tried again, what it says, and what the probe of a folder finds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "suspension.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/protocol.h"
#include "scratch.h"

#define NOW_MS UINT64_C(1800000000000)

static void test_times(void **state)
{
    (void)state;
    struct suspension suspension = {0};
    const struct status full = fail(STATUS_FULL, "write: no room");
    suspension_begin(&suspension, SUSPENSION_DISK_FULL, full, NOW_MS, 1000);
    CHECK(suspension.active);
    CHECK_U64(suspension.next_try_ms, 1000 + SUSPENSION_RETRY_MIN_MS);

    uint64_t wait_ms = SUSPENSION_RETRY_MIN_MS;
    for (int i = 0; i < 20; i++) {
        suspension_put_off(&suspension, full, SUSPENSION_READ_ONLY, 2000);
        CHECK(suspension.wait_ms >= wait_ms && suspension.wait_ms <= SUSPENSION_RETRY_MAX_MS);
        wait_ms = suspension.wait_ms;
        CHECK_U64(suspension.next_try_ms, 2000 + wait_ms);
    }
    CHECK_U64(wait_ms, SUSPENSION_RETRY_MAX_MS);
    CHECK_U64(suspension.kind, SUSPENSION_READ_ONLY); /* What the last probe found. */
    CHECK_U64(suspension.attempts, 20);

    /* A try that fails goes on with the same suspension. */
    suspension_try(&suspension);
    CHECK(suspension.active && suspension.trying);
    suspension_begin(&suspension, SUSPENSION_DISK_FULL, full, NOW_MS + 9, 3000);
    CHECK(!suspension.trying);
    CHECK_U64(suspension.since_ms, NOW_MS);
    CHECK_U64(suspension.wait_ms, SUSPENSION_RETRY_MAX_MS);

    /* One that comes soon after the node took part again waits as long; a later one does not. */
    suspension_end(&suspension, 4000);
    CHECK(!suspension.active);
    suspension_begin(&suspension, SUSPENSION_DISK_FULL, full, NOW_MS + 10, 5000);
    CHECK_U64(suspension.wait_ms, SUSPENSION_RETRY_MAX_MS);
    CHECK_U64(suspension.since_ms, NOW_MS + 10);
    suspension_end(&suspension, 6000);
    suspension_begin(&suspension, SUSPENSION_DISK_FULL, full, NOW_MS, 6000 + SUSPENSION_SETTLED_MS);
    CHECK_U64(suspension.wait_ms, SUSPENSION_RETRY_MIN_MS);
    CHECK_U64(suspension.attempts, 0);
}

/* Waiting does not mend damaged data. */
static void test_damaged_waits_for_a_person(void **state)
{
    (void)state;
    struct suspension suspension = {0};
    const struct status damage = fail(STATUS_CORRUPT, "page 7");
    CHECK_U64(suspension_kind_of(damage, "/"), SUSPENSION_DAMAGED);
    suspension_begin(&suspension, SUSPENSION_DAMAGED, damage, NOW_MS, 1000);
    CHECK_U64(suspension.next_try_ms, 0);
    suspension_put_off(&suspension, damage, SUSPENSION_DISK_FULL, 2000);
    CHECK_U64(suspension.next_try_ms, 0);
    CHECK_U64(suspension.kind, SUSPENSION_DAMAGED);
}

static void test_words(void **state)
{
    (void)state;
    char words[SUSPENSION_WORDS_SIZE];
    struct suspension suspension = {0};
    suspension_begin(&suspension, SUSPENSION_NO_INODES, fail(STATUS_FULL, "make a file"), NOW_MS,
                     1000);
    suspension_explain(&suspension, 2500, words);
    CHECK(strncmp(words, "[no-inodes] ", 12) == 0);
    CHECK(strstr(words, "make a file") != NULL);
    CHECK(strstr(words, "next try in 4 s") != NULL);
    CHECK(strstr(words, "\nRemove files") != NULL);
    CHECK(strlen(words) < RPC_ERROR_SIZE_MAX);
}

static void test_which_failures_suspend(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum status_code code;
        bool suits;
    } rows[] = {
        {"no room", STATUS_FULL, true},         {"disk", STATUS_IO, true},
        {"damaged", STATUS_CORRUPT, true},      {"libraft stopped itself", STATUS_UNKNOWN, true},
        {"no memory", STATUS_NO_MEMORY, false}, {"bad configuration", STATUS_INVALID, false},
        {"in use", STATUS_BUSY, false},         {"not there", STATUS_NOT_FOUND, false},
        {"network", STATUS_UNREACHABLE, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK(suspension_suits(fail(rows[i].code, "x")) == rows[i].suits);
    }
}

static void test_probe(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    char path[2 * SCRATCH_PATH_SIZE];
    enum suspension_kind kind = SUSPENSION_DAMAGED;
    scratch_make(folder);
    CHECK_OK(suspension_probe(folder, 4096, &kind));
    CHECK(rmdir(folder) == 0); /* It left nothing behind. */
    CHECK_CODE(suspension_probe(folder, 4096, &kind), STATUS_NOT_FOUND);
    CHECK_U64(kind, SUSPENSION_DISK_ERROR);

    scratch_make(folder);
    struct status status = suspension_probe(folder, UINT64_C(1) << 62U, &kind);
    CHECK_CODE(status, STATUS_FULL);
    CHECK_U64(kind, SUSPENSION_DISK_FULL);
    CHECK(strstr(status.message, "MiB are needed") != NULL);

    /* Something that cannot be a probe stands in its way. */
    (void)snprintf(path, sizeof path, "%s/.probe.new", folder);
    CHECK(mkdir(path, 0700) == 0);
    CHECK_CODE(suspension_probe(folder, 4096, &kind), STATUS_IO);
    CHECK_U64(kind, SUSPENSION_DISK_ERROR);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times), cmocka_unit_test(test_damaged_waits_for_a_person),
        cmocka_unit_test(test_words), cmocka_unit_test(test_which_failures_suspend),
        cmocka_unit_test(test_probe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
