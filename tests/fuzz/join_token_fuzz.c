/*
 * Fuzzing join_token_parse(): any text is refused or is the one text of its token.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "client/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct join_token token;
    struct buffer again = {0};
    struct slice text = {.data = data, .size = size};
    if (failed(join_token_parse(text, &token))) {
        static const struct join_token zero;
        if (memcmp(&token, &zero, sizeof(token)) != 0) {
            abort();
        }
        return 0;
    }
    if (failed(join_token_format(&token, &again)) || !slice_equal(buffer_slice(&again), text)) {
        abort();
    }
    buffer_release(&again);
    return 0;
}
