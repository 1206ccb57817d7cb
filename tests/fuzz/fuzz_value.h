/*
 * A struct as its codec's table describes it, with the values that an input says: mostly within the
 * limits, so that what is behind them is reached, and now and then at one or beyond it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_VALUE_H
#define FUZZ_VALUE_H

#include "base/codec.h"
#include "fuzz_input.h"

/* Fill `out`, a zeroed struct of this codec. Everything it points to lives in the arena. */
void fuzz_value(struct fuzz_input *input, const struct codec *codec, struct arena *arena,
                void *out);

/* Decode; if that works, encode, decode and encode again: both encodings are the same. Returns whether
 * it was decoded, into `*out` (in the arena; NULL: nobody wants it). A failure is STATUS_INVALID. */
bool fuzz_codec(const struct codec *codec, enum codec_dialect dialect, struct slice bytes,
                struct arena *arena, void **out);

#endif
