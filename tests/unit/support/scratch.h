/*
 * What unit tests share: cmocka with its headers in order, scratch folders, and checks that print
 * the status or the row that failed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SCRATCH_H
#define SCRATCH_H

/* cmocka wants these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* Ours makes a status; use the checks below. */

#include "base/slice.h"
#include "base/status.h"

#define SCRATCH_PATH_SIZE 64

/* Make a fresh empty folder under $TMPDIR or /tmp; aborts if it cannot. */
void scratch_make(char path[SCRATCH_PATH_SIZE]);

/* Remove a folder and all that is in it. */
void scratch_remove(const char *path);

/* Name the row of a table that runs; printed with every failure below until the next call. */
void check_row(const char *name);

/* Has any check of this program failed? Then what helps to find out why is shown. */
bool check_has_failed(void);

/* Fail the test unless the status is OK, or has the code; prints its message. */
#define CHECK_OK(status) check_code((status), STATUS_OK, #status, __FILE__, __LINE__)
#define CHECK_CODE(status, code) check_code((status), (code), #status, __FILE__, __LINE__)
void check_code(struct status status, enum status_code code, const char *text, const char *file,
                int line);

/* Fail the test unless both are equal; prints both. */
#define CHECK_SLICE(actual, expected) check_slice((actual), (expected), #actual, __FILE__, __LINE__)
void check_slice(struct slice actual, struct slice expected, const char *text, const char *file,
                 int line);
#define CHECK_U64(actual, expected) check_u64((actual), (expected), #actual, __FILE__, __LINE__)
void check_u64(uint64_t actual, uint64_t expected, const char *text, const char *file, int line);
#define CHECK(condition) check_true((condition), #condition, __FILE__, __LINE__)
void check_true(int condition, const char *text, const char *file, int line);

#endif
