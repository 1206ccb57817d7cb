/*
 * Memory that may not be there: the one home of malloc and its kin, so that a test can make the
 * nth allocation of a process fail (FAULT_ALLOC). Whoever allocates has an answer to NULL; who could
 * have none is named, with the reason, in docs/verification.md.
 *
 * All of it is freed with free().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

#include "base/status.h"

/* Bytes of any value; NULL when memory runs out, as of the others. */
MUST_USE __attribute__((malloc, alloc_size(1))) void *alloc_bytes(size_t size);

MUST_USE __attribute__((malloc, alloc_size(1, 2))) void *alloc_zeroed(size_t count, size_t size);

/* As realloc does: on NULL the old memory is as it was. */
MUST_USE __attribute__((alloc_size(2))) void *alloc_resize(void *memory, size_t size);

MUST_USE __attribute__((malloc)) char *alloc_text(const char *text);

/*
 * The same for libraries that free what held a secret without wiping it: freeing and resizing wipe the
 * old memory. They never fail on purpose (no fault point), and NULL may be given as to the C library's.
 */
MUST_USE void *alloc_wiped_bytes(size_t size);
MUST_USE void *alloc_wiped_zeroed(size_t count, size_t size);
MUST_USE void *alloc_wiped_resize(void *memory, size_t size);
MUST_USE char *alloc_wiped_text(const char *text);
void alloc_wiped_free(void *memory);

/* Text by a format; NULL also when the format fails. */
MUST_USE __attribute__((malloc)) char *alloc_print(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
