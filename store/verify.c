/*
 * Verification: a child process reads the store, and the parent takes its word, or its death.
 *
 * The child writes one struct to a pipe. It is forked, not executed: it shares the parent's code and
 * nothing else, touches no descriptor but the pipe and the data file, and ends with _exit().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

/* How long a child may take: beyond what a slow disk needs to read the file, so that only one that
 * runs in circles in damaged pages is ended. */
#define VERIFY_MS_MIN 60000U
#define VERIFY_BYTES_PER_MS 4096U

struct verdict {
    struct status status;
    struct store_report report;
};

static void write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t count = write(fd, at, size);
        if (count < 0 && errno != EINTR) {
            return;
        }
        at += count < 0 ? 0 : count;
        size -= count < 0 ? 0 : (size_t)count;
    }
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

static bool is_crash(int number)
{
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        if (crashes[i] == number) {
            return true;
        }
    }
    return false;
}

/* Crashes are expected of it: they are the kernel's word to the parent, and nobody else's. */
_Noreturn static void be_child(const struct store_options *options, int fd)
{
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        (void)signal(crashes[i], SIG_DFL);
    }
    fault_leave();
    struct verdict verdict = {0};
    verdict.status = verify_here(options, &verdict.report);
    write_all(fd, &verdict, sizeof verdict);
    _exit(0);
}

/* False when it closed the pipe, or time ran out (`*late`), before the whole verdict came. */
static bool read_verdict(int fd, uint64_t limit_ms, struct verdict *out, bool *late)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char *at = (char *)out;
    size_t size = 0;
    while (size < sizeof *out) {
        int timeout_ms = limit_ms > 0x7FFFFFFFU ? 0x7FFFFFFF : (int)limit_ms;
        int rv = poll(&wait, 1, timeout_ms);
        if (rv < 0 && errno == EINTR) {
            continue;
        }
        *late = rv == 0;
        ssize_t count = rv <= 0 ? 0 : read(fd, at + size, sizeof *out - size);
        if (count <= 0) {
            return false;
        }
        size += (size_t)count;
    }
    return true;
}

static struct status judge(pid_t child, int fd, uint64_t limit_ms, struct store_report *out)
{
    struct verdict verdict;
    int how = 0;
    bool late = false;
    bool spoke = read_verdict(fd, limit_ms, &verdict, &late);
    if (late) {
        (void)kill(child, SIGKILL);
    }
    while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
    }
    if (spoke) {
        verdict.status.message[sizeof verdict.status.message - 1] = '\0';
        *out = verdict.report;
        return verdict.status;
    }
    if (WIFSIGNALED(how) && is_crash(WTERMSIG(how))) {
        return fail(STATUS_CORRUPT, "its pages are damaged: reading them ends with signal %d",
                    WTERMSIG(how));
    }
    if (WIFSIGNALED(how) && !late) {
        /* Somebody else's doing, the kernel's when memory is short: it tells nothing of the data. */
        return fail(STATUS_NO_MEMORY, "the process that read it was ended by signal %d",
                    WTERMSIG(how));
    }
    return fail(STATUS_CORRUPT, "its pages are damaged: reading them comes to no end");
}

struct status store_verify(const struct store_options *options, struct store_report *out)
{
    char path[512];
    struct stat file;
    int ends[2];
    *out = (struct store_report){0};
    (void)snprintf(path, sizeof path, "%.490s/data.mdb", options->directory);
    if (stat(path, &file) != 0) {
        return fail_errno(errno, "verify %s", path);
    }
    if (file.st_size == 0) {
        return fail(STATUS_CORRUPT, "data.mdb is empty, and was not");
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fail_errno(errno, "verify %s", path);
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        be_child(options, ends[1]);
    }
    (void)close(ends[1]);
    struct status status =
        child < 0 ? fail_errno(errno, "verify %s", path)
                  : judge(child, ends[0],
                          VERIFY_MS_MIN + (uint64_t)file.st_size / VERIFY_BYTES_PER_MS, out);
    (void)close(ends[0]);
    return failed(status) ? wrap(status, "data.mdb") : OK;
}
