/*
 * What the fuzzers share: taking an input apart, and patching something that was whole.
 *
 * A decoder behind a checksum, a seal or a strict format is hardly ever reached by bytes made up from
 * nothing. So a fuzzer may make something whole itself and let the input say what is changed in it; then
 * it puts the checksums right, and what comes is as deep as a real file that somebody has changed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of an input. At its end numbers are 0 and bytes are none. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *input);
uint16_t fuzz_u16(struct fuzz_input *input);

/* One of the numbers that lie at the edges, or any. */
uint64_t fuzz_u64(struct fuzz_input *input);

/* At most `size_max` bytes; two bytes of the input say how many. */
struct slice fuzz_bytes(struct fuzz_input *input, size_t size_max);

/* All that is left. */
struct slice fuzz_rest(struct fuzz_input *input);

/* Change `bytes` at one place: a byte or a number written over, bytes inserted, taken out or copied, the
 * end cut off. `capacity` is what it may grow to. */
void fuzz_patch(struct fuzz_input *input, uint8_t *bytes, size_t *size, size_t capacity);

/* As many as the rest of the input tells, 8 at most. */
void fuzz_patches(struct fuzz_input *input, uint8_t *bytes, size_t *size, size_t capacity);

/* The assertion of a fuzzer: says what does not hold, and aborts. */
void fuzz_must(bool holds, const char *what);

/* The same of something that cannot fail here. */
void fuzz_ok(struct status status);

/* A failure has one of these codes (STATUS_OK ends the list), and says something. */
void fuzz_fails_as(struct status status, const enum status_code *codes);

/* A folder of this process under TMPDIR, made at the first call. */
const char *fuzz_folder(void);

/* A file in memory, made at the first call of each `number` (0 to 3), with this content and nothing else;
 * the path is of /proc. */
int fuzz_file(unsigned number, struct slice content);
const char *fuzz_file_path(unsigned number);

#endif
