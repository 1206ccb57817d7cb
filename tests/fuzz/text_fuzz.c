/*
 * Fuzzing the short texts of base: times, addresses, hexadecimal, base64. What is read can be written,
 * and is read the same again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hex.h"
#include "fuzz_input.h"
#include "socket_address.h"

#define TEXT_SIZE_MAX 512
#define END_MS UINT64_C(253402300800000) /* The year 10000. */

static void try_time(struct slice text)
{
    char written[CLOCK_TEXT_SIZE];
    uint64_t at_ms = 0;
    uint64_t again_ms = 0;
    if (clock_parse(text, &at_ms)) {
        fuzz_must(at_ms < END_MS, "a time is before the year 10000");
        (void)clock_format(at_ms, written);
        fuzz_must(clock_parse(slice_of(written), &again_ms) && again_ms == at_ms,
                  "a time that is written is read as the same");
    }
}

static void try_numeric(const struct socket_name *name)
{
    struct sockaddr_storage address;
    struct sockaddr_storage again;
    struct socket_name second;
    char written[128];
    if (!socket_name_numeric(name, &address)) {
        return;
    }
    socket_address_print(&address, written, sizeof written);
    fuzz_ok(socket_name_parse(written, &second));
    fuzz_must(socket_name_numeric(&second, &again) &&
                  socket_address_source(&address) == socket_address_source(&again) &&
                  strtoul(name->port, NULL, 10) == strtoul(second.port, NULL, 10),
              "an address that is written is read as the same");
}

static void try_address(struct slice text)
{
    char copy[TEXT_SIZE_MAX + 1];
    struct socket_name name;
    if (!slice_to_text(text, copy, sizeof copy) || failed(socket_name_parse(copy, &name))) {
        return;
    }
    fuzz_must(name.host[0] != '\0' && strlen(name.host) < sizeof name.host,
              "a host has some characters, and not too many");
    fuzz_must(strtoul(name.port, NULL, 10) <= UINT16_MAX, "a port is one");
    try_numeric(&name);
}

static void try_hex(struct slice text)
{
    uint8_t bytes[TEXT_SIZE_MAX / 2];
    char written[TEXT_SIZE_MAX + 1];
    const char *digits = text.data;
    size_t size = text.size / 2;
    if (!hex_decode(text, bytes, size)) {
        return;
    }
    fuzz_must(text.size % 2 == 0, "two digits are a byte");
    hex_encode((struct slice){.data = bytes, .size = size}, written);
    for (size_t i = 0; i < text.size; i++) {
        fuzz_must(tolower((unsigned char)digits[i]) == written[i],
                  "what is read of digits is written as them");
    }
}

static void try_base64(struct slice text)
{
    struct buffer bytes = {0};
    struct buffer written = {0};
    if (!failed(base64url_decode(text, &bytes))) {
        fuzz_must(base64url_encode(buffer_slice(&bytes), &written) &&
                      slice_equal(buffer_slice(&written), text),
                  "base64 has one form");
    } else {
        fuzz_must(bytes.size == 0, "a failure leaves the buffer");
    }
    buffer_release(&bytes);
    buffer_release(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {.data = data, .size = size > TEXT_SIZE_MAX ? TEXT_SIZE_MAX : size};
    try_time(text);
    try_address(text);
    try_hex(text);
    try_base64(text);
    return 0;
}
