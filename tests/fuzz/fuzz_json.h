/*
 * JSON such as the cloud answers with: objects of the keys that are looked for, with values of all types,
 * as an input says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_JSON_H
#define FUZZ_JSON_H

#include <jansson.h>

#include "fuzz_input.h"

/* Texts that one of the values may be, besides those that every answer may have. */
struct fuzz_texts {
    const struct slice *items;
    size_t count;
};

/* A value of any type, never NULL; the caller's. `depth`: how deep it may nest. */
json_t *fuzz_json(struct fuzz_input *input, const struct fuzz_texts *texts, unsigned depth);

/* Its text, to be freed by the caller. */
char *fuzz_json_text(const json_t *value);

#endif
