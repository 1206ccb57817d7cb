/*
 * What is wrong with a field, in words; encoding and decoding refuse the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_CODEC_ERROR_H
#define BASE_CODEC_ERROR_H

#include "base/codec.h"

/* STATUS_INVALID, saying what the field has to be. */
MUST_USE struct status codec_bad_field(const struct codec *codec, const struct codec_field *field);

#endif
