/*
 * Fuzzing join_token_parse(): any text is refused or is the one text of its token. Text as it comes, or
 * bytes with their checksum behind them, in the token's clothes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <endian.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/hex.h"
#include "client/protocol.h"
#include "fuzz_input.h"

#define FIXED_SIZE 88 /* Id, secret, fingerprint, cluster. */

static void try_text(struct slice text)
{
    static const struct join_token zero;
    struct join_token token;
    struct buffer again = {0};
    if (failed(join_token_parse(text, &token))) {
        fuzz_must(memcmp(&token, &zero, sizeof token) == 0, "what is refused leaves nothing");
        return;
    }
    fuzz_must(token.address_count > 0 && token.address_count <= RPC_JOIN_TOKEN_ADDRESSES_MAX,
              "there is somebody to ask, and not too many");
    fuzz_ok(join_token_format(&token, &again));
    fuzz_must(slice_equal(buffer_slice(&again), text), "a token has one form");
    buffer_release(&again);
}

/* A token's bytes: the fixed part the same, behind it what the input says. */
static void try_bytes(struct fuzz_input *input)
{
    uint8_t fixed[FIXED_SIZE] = {1, 2, 3};
    struct buffer bytes = {0};
    struct buffer text = {0};
    size_t size = fuzz_u8(input) == 0 ? fuzz_u8(input) % FIXED_SIZE : FIXED_SIZE;
    bool good = buffer_append(&bytes, fixed, size);
    for (unsigned i = fuzz_u8(input) % 8U; i > 0; i--) {
        static const char *const addresses[] = {"192.0.2.1:7670", "[2001:db8::1]:1", "a.example:0"};
        struct slice address = slice_of(addresses[fuzz_u8(input) % 3U]);
        uint8_t address_size = (uint8_t)(address.size + (fuzz_u8(input) == 255));
        good = good && buffer_append(&bytes, &address_size, 1) &&
               buffer_append(&bytes, address.data, address.size);
    }
    struct slice rest = fuzz_rest(input);
    good = good && buffer_append(&bytes, rest.data, rest.size);
    uint32_t sum = htobe32(crc32c(0, buffer_slice(&bytes)));
    fuzz_must(good && buffer_append(&bytes, &sum, sizeof sum) &&
                  buffer_append(&text, "muster1.", 8) &&
                  base64url_encode(buffer_slice(&bytes), &text),
              "there is memory");
    try_text(buffer_slice(&text));
    buffer_release(&bytes);
    buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    if (fuzz_u8(&input) < 64) {
        try_text(fuzz_rest(&input));
    } else {
        try_bytes(&input);
    }
    return 0;
}
