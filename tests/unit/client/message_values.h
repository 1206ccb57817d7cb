/*
 * Values for any message, made from its table of fields: what round-trip tests are generated from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef MESSAGE_VALUES_H
#define MESSAGE_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/codec.h"

enum message_fill {
    MESSAGE_FILL_EMPTY,  /* The least that is valid: zeros, and one item where one must be. */
    MESSAGE_FILL_MAX,    /* Every scalar at its limit; lists short, for their product explodes. */
    MESSAGE_FILL_RANDOM, /* Within limits, by seed. */
};

/* A struct of the type that the codec describes; aborts without memory. */
void *message_make(const struct codec *codec, enum message_fill fill, uint64_t seed,
                   struct arena *arena);

/* Put a field one step beyond its limit; false if it has none that a value could pass. */
bool message_exceed(const struct codec_field *field, void *message, struct arena *arena);

bool message_equal(const struct codec *codec, const void *left, const void *right);

#endif
