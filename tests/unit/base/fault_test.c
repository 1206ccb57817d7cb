/*
 * Fault points: names, visits, what the environment may say and what it may not, and that a kill
 * kills. The rows run in a child process each, as fault_open() changes the process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "scratch.h"

#ifdef FAULTS

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < FAULT_COUNT; i++) {
        const char *name = fault_name((enum fault_point)i);
        check_row(name);
        CHECK(name != NULL);
        CHECK(strlen(name) < FAULT_NAME_SIZE);
        for (int other = 0; other < i; other++) {
            CHECK(strcmp(name, fault_name((enum fault_point)other)) != 0);
        }
    }
}

static void test_visits(void **state)
{
    (void)state;
    CHECK(!fault_fires(FAULT_WAL_SYNC));
    fault_arm(FAULT_WAL_SYNC, 1, 2);
    CHECK(!fault_fires(FAULT_WAL_SYNC));
    CHECK(!fault_fires(FAULT_WAL_WRITE));
    CHECK(fault_fires(FAULT_WAL_SYNC));
    CHECK(fault_fires(FAULT_WAL_SYNC));
    CHECK(!fault_fires(FAULT_WAL_SYNC));
    CHECK_U64((uint64_t)fault_reset(), 2);
    fault_arm(FAULT_WAL_SYNC, 0, -1);
    for (int i = 0; i < 100; i++) {
        CHECK(fault_fires(FAULT_WAL_SYNC));
    }
    CHECK_U64((uint64_t)fault_reset(), 100);
    CHECK(!fault_fires(FAULT_WAL_SYNC));
    fault_arm(FAULT_JOIN_LOCKED, 0, 1);
    CHECK(!fault_fires(FAULT_JOIN_LOCKED)); /* A step does not fail, whoever armed it. */
    (void)fault_reset();
}

/* What a child does: exits with 1 if the environment was refused, with 2 if the first visit of
 * wal.sync failed, with 3 if the second did. */
static int play(const char *faults)
{
    if (setenv("MUSTER_FAULT", faults, 1) != 0) {
        return 9;
    }
    struct status status = fault_open();
    if (failed(status)) {
        return strstr(status.message, "MUSTER_FAULT") != NULL ? 1 : 9;
    }
    fault_step(FAULT_JOIN_LOCKED);
    if (fault_fires(FAULT_WAL_SYNC)) {
        return 2;
    }
    return fault_fires(FAULT_WAL_SYNC) ? 3 : 0;
}

static void test_environment(void **state)
{
    static const struct {
        const char *faults;
        int exit_code; /* Or -SIGKILL. */
    } rows[] = {
        {"wal.sync:0:fail", 2},
        {"wal.sync:1:fail", 3},
        {"wal.sync:1:fail-forever", 3},
        {"wal.sync:2:fail", 0},
        {"wal.sync:1:kill", -SIGKILL},
        {"join.locked:0:kill", -SIGKILL},
        {"join.locked:1:kill,wal.sync:0:fail", 2},
        {"alloc:7:fail,wal.sync:0:fail", 2},
        {"", 1},
        {"wal.sync", 1},
        {"wal.sync:0", 1},
        {"wal.sync:0:", 1},
        {"wal.sync::fail", 1},
        {"wal.sync:-1:fail", 1},
        {"wal.sync:1x:fail", 1},
        {"wal.sync:99999999999999999999:fail", 1},
        {"wal.sync:0:stop", 1},
        {"wal.sync:0:fail,", 1},
        {"wal.nothing:0:fail", 1},
        {"join.locked:0:fail", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int how = 0;
        check_row(rows[i].faults);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            _exit(play(rows[i].faults));
        }
        CHECK(waitpid(child, &how, 0) == child);
        CHECK_U64((uint64_t)(WIFSIGNALED(how) ? -WTERMSIG(how) : WEXITSTATUS(how)),
                  (uint64_t)rows[i].exit_code);
    }
}

/* A killed process leaves its visits in the table, and the next one counts on. */
static void test_table(void **state)
{
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 8];
    (void)state;
    scratch_make(folder);
    (void)snprintf(path, sizeof path, "%s/table", folder);
    for (int life = 1; life <= 2; life++) {
        int how = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            (void)setenv("MUSTER_FAULT_TABLE", path, 1);
            _exit(play("wal.sync:1:kill"));
        }
        CHECK(waitpid(child, &how, 0) == child);
        CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        size_t size = FAULT_COUNT * sizeof(struct fault_row);
        const struct fault_row *rows = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(rows != MAP_FAILED);
        CHECK(strcmp(rows[FAULT_WAL_SYNC].name, "wal.sync") == 0);
        CHECK_U64(rows[FAULT_WAL_SYNC].visits, (uint64_t)life * 2);
        CHECK_U64(rows[FAULT_JOIN_LOCKED].visits, (uint64_t)life);
        (void)munmap((void *)(uintptr_t)rows, size);
        (void)close(fd);
    }
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_visits),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return fault_fires(FAULT_ALLOC) ? 1 : 0; /* A release has none. */
}
#endif
