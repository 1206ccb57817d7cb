/*
 * Skimming: deciding, without allocating, whether bytes from outside are one complete msgpack
 * value within limits. msgpack-c itself reserves memory from a header's word alone (five bytes can
 * ask for gigabytes), so nothing untrusted reaches it unskimmed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_SKIM_H
#define BASE_SKIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct skim_limits {
    size_t size_max;    /* Bytes of the whole value. */
    unsigned depth_max; /* Arrays and maps within each other; at most SKIM_DEPTH_MAX. */
    size_t values_max;  /* Values in all, containers included. */
};

#define SKIM_DEPTH_MAX 16

enum skim_result {
    SKIM_COMPLETE, /* `*size` is the size of the first value; bytes may follow it. */
    SKIM_PARTIAL,  /* Sound so far: more bytes are needed. */
    SKIM_TOO_LARGE,
    SKIM_TOO_DEEP,
    SKIM_TOO_MANY,
    SKIM_INVALID, /* Not msgpack, or an extension type, which we never use. */
};

/* Skim the first value in `bytes`. `*size` is written for SKIM_COMPLETE only. */
enum skim_result skim_value(struct slice bytes, const struct skim_limits *limits, size_t *size);

/* What is wrong, as a phrase: "nested too deep". */
const char *skim_explain(enum skim_result result);

#endif
