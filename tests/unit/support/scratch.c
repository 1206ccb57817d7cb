/*
 * Scratch folders and checks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *row = "";
static bool has_failed;

void scratch_make(char path[SCRATCH_PATH_SIZE])
{
    const char *parent = getenv("TMPDIR");
    int size = snprintf(path, SCRATCH_PATH_SIZE, "%s/muster-test-XXXXXX",
                        parent == NULL ? "/tmp" : parent);
    if (size >= SCRATCH_PATH_SIZE || mkdtemp(path) == NULL) {
        abort();
    }
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void scratch_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void check_row(const char *name)
{
    row = name;
}

bool check_has_failed(void)
{
    return has_failed;
}

static void give_up(const char *file, int line)
{
    has_failed = true;
    _fail(file, line);
}

void check_code(struct status status, enum status_code code, const char *text, const char *file,
                int line)
{
    if (status.code == code) {
        return;
    }
    print_error("%s: %s is %s (%s), not %s\n", row, text, status_name(status.code), status.message,
                status_name(code));
    give_up(file, line);
}

void check_slice(struct slice actual, struct slice expected, const char *text, const char *file,
                 int line)
{
    if (slice_equal(actual, expected)) {
        return;
    }
    print_error("%s: %s is \"%.*s\", not \"%.*s\"\n", row, text, SLICE_ARG(actual),
                SLICE_ARG(expected));
    give_up(file, line);
}

void check_u64(uint64_t actual, uint64_t expected, const char *text, const char *file, int line)
{
    if (actual == expected) {
        return;
    }
    print_error("%s: %s is %llu, not %llu\n", row, text, (unsigned long long)actual,
                (unsigned long long)expected);
    give_up(file, line);
}

void check_true(int condition, const char *text, const char *file, int line)
{
    if (condition) {
        return;
    }
    print_error("%s: %s does not hold\n", row, text);
    give_up(file, line);
}
