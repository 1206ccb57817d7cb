/*
 * Memory that may not be there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

void *alloc_bytes(size_t size)
{
    return fault_fires(FAULT_ALLOC) ? NULL : malloc(size);
}

void *alloc_zeroed(size_t count, size_t size)
{
    return fault_fires(FAULT_ALLOC) ? NULL : calloc(count, size);
}

void *alloc_resize(void *memory, size_t size)
{
    return fault_fires(FAULT_ALLOC) ? NULL : realloc(memory, size);
}

char *alloc_text(const char *text)
{
    return fault_fires(FAULT_ALLOC) ? NULL : strdup(text);
}

char *alloc_print(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    if (fault_fires(FAULT_ALLOC)) {
        return NULL;
    }
    va_start(arguments, format);
    int size = vasprintf(&text, format, arguments);
    va_end(arguments);
    return size < 0 ? NULL : text;
}

/* ---- Wiped when freed ---- */

void *alloc_wiped_bytes(size_t size)
{
    return malloc(size);
}

void *alloc_wiped_zeroed(size_t count, size_t size)
{
    return calloc(count, size);
}

void alloc_wiped_free(void *memory)
{
    if (memory != NULL) {
        explicit_bzero(memory, malloc_usable_size(memory));
    }
    free(memory);
}

/* realloc() might move the bytes and leave a copy behind. */
void *alloc_wiped_resize(void *memory, size_t size)
{
    size_t old_size = memory == NULL ? 0 : malloc_usable_size(memory);
    void *moved = malloc(size);
    if (moved == NULL) {
        return NULL;
    }
    if (old_size > 0) {
        memcpy(moved, memory, old_size < size ? old_size : size);
    }
    alloc_wiped_free(memory);
    return moved;
}

char *alloc_wiped_text(const char *text)
{
    return strdup(text);
}
