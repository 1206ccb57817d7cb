/*
 * Join tokens as text: what a person carries from the cluster to the node that shall join it. The
 * format stands in protocol.h. A token is read strictly, for it decides whom a node trusts: the one
 * text that join_token_format() writes for a token is the only one that parses into it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/crc32c.h"
#include "base/hex.h"
#include "base/secret.h"
#include "client/protocol.h"

#define PREFIX "muster1."
#define PREFIX_SIZE (sizeof(PREFIX) - 1)
#define FAMILY "muster" /* What tokens of every version begin with. */
#define FIXED_SIZE (sizeof(((struct join_token *)NULL)->id) + 64 + RPC_CLUSTER_ID_SIZE)
#define CRC_SIZE 4
#define PORT_DIGITS_MAX 5
#define PORT_MAX 65535U

/* host:port with printable characters; whether the host exists is not for us to know. */
static bool address_is_valid(const char *address, size_t size)
{
    size_t colon = size;
    for (size_t i = 0; i < size; i++) {
        if (address[i] <= ' ' || address[i] > '~') {
            return false;
        }
        colon = address[i] == ':' ? i : colon;
    }
    size_t digits = size - colon;
    if (colon == 0 || digits < 2 || digits > PORT_DIGITS_MAX + 1) {
        return false;
    }
    unsigned port = 0;
    for (size_t i = colon + 1; i < size; i++) {
        if (address[i] < '0' || address[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(address[i] - '0');
    }
    return port > 0 && port <= PORT_MAX;
}

static bool append_addresses(const struct join_token *token, struct buffer *out)
{
    for (size_t i = 0; i < token->address_count; i++) {
        uint8_t size = (uint8_t)strnlen(token->addresses[i], sizeof(token->addresses[i]));
        if (!buffer_append(out, &size, 1) || !buffer_append(out, token->addresses[i], size)) {
            return false;
        }
    }
    return true;
}

static bool append_bytes(const struct join_token *token, struct buffer *out)
{
    if (!buffer_append(out, token->id, sizeof(token->id)) ||
        !buffer_append(out, token->secret, sizeof(token->secret)) ||
        !buffer_append(out, token->ca_fingerprint, sizeof(token->ca_fingerprint)) ||
        !buffer_append(out, token->cluster_id, sizeof(token->cluster_id)) ||
        !append_addresses(token, out)) {
        return false;
    }
    uint32_t crc = crc32c(0, buffer_slice(out));
    uint8_t crc_bytes[CRC_SIZE] = {(uint8_t)(crc >> 24U), (uint8_t)(crc >> 16U),
                                   (uint8_t)(crc >> 8U), (uint8_t)crc};
    return buffer_append(out, crc_bytes, sizeof(crc_bytes));
}

static void wipe_and_release(struct buffer *bytes)
{
    if (bytes->data != NULL) {
        secret_wipe(bytes->data, bytes->capacity);
    }
    buffer_release(bytes);
}

struct status join_token_format(const struct join_token *token, struct buffer *out)
{
    if (token->address_count == 0 || token->address_count > RPC_JOIN_TOKEN_ADDRESSES_MAX) {
        return fail(STATUS_INVALID, "format a join token: it needs 1 to %d addresses",
                    RPC_JOIN_TOKEN_ADDRESSES_MAX);
    }
    for (size_t i = 0; i < token->address_count; i++) {
        size_t size = strnlen(token->addresses[i], sizeof(token->addresses[i]));
        if (size == sizeof(token->addresses[i]) || !address_is_valid(token->addresses[i], size)) {
            return fail(STATUS_INVALID, "format a join token: address %zu is not host:port", i + 1);
        }
    }
    size_t size_before = out->size;
    struct buffer bytes = {0};
    /* All of it at once, so that growing leaves no copy of the secret behind. */
    bool done = buffer_reserve(&bytes, RPC_JOIN_TOKEN_SIZE_MAX) &&
                buffer_reserve(out, RPC_JOIN_TOKEN_SIZE_MAX) && append_bytes(token, &bytes) &&
                buffer_append(out, PREFIX, PREFIX_SIZE) &&
                base64url_encode(buffer_slice(&bytes), out);
    wipe_and_release(&bytes);
    if (!done) {
        out->size = size_before;
        return fail(STATUS_NO_MEMORY, "format a join token");
    }
    return OK;
}

static struct status parse_addresses(const uint8_t *bytes, size_t size, struct join_token *out)
{
    size_t at = 0;
    while (at < size) {
        size_t address_size = bytes[at++];
        if (out->address_count == RPC_JOIN_TOKEN_ADDRESSES_MAX || address_size > size - at ||
            address_size >= sizeof(out->addresses[0])) {
            return fail(STATUS_INVALID, "join token: its list of addresses is damaged");
        }
        const char *address = (const char *)bytes + at;
        if (!address_is_valid(address, address_size)) {
            return fail(STATUS_INVALID, "join token: address %zu in it is not host:port",
                        out->address_count + 1);
        }
        memcpy(out->addresses[out->address_count++], address, address_size);
        at += address_size;
    }
    if (out->address_count == 0) {
        return fail(STATUS_INVALID, "join token: it has no address to connect to");
    }
    return OK;
}

static struct status parse_bytes(const uint8_t *bytes, size_t size, struct join_token *out)
{
    if (size < FIXED_SIZE + CRC_SIZE) {
        return fail(STATUS_INVALID, "join token: the end is missing; copy the whole line");
    }
    struct slice body = {.data = bytes, .size = size - CRC_SIZE};
    const uint8_t *crc = bytes + body.size;
    uint32_t stated =
        (uint32_t)crc[0] << 24U | (uint32_t)crc[1] << 16U | (uint32_t)crc[2] << 8U | crc[3];
    if (crc32c(0, body) != stated) {
        return fail(STATUS_INVALID, "join token: it is mistyped or cut; copy the whole line");
    }
    const uint8_t *at = bytes;
    memcpy(out->id, at, sizeof(out->id));
    at += sizeof(out->id);
    memcpy(out->secret, at, sizeof(out->secret));
    at += sizeof(out->secret);
    memcpy(out->ca_fingerprint, at, sizeof(out->ca_fingerprint));
    at += sizeof(out->ca_fingerprint);
    memcpy(out->cluster_id, at, sizeof(out->cluster_id));
    return parse_addresses(bytes + FIXED_SIZE, size - FIXED_SIZE - CRC_SIZE, out);
}

struct status join_token_parse(struct slice text, struct join_token *out)
{
    *out = (struct join_token){0};
    if (text.size < PREFIX_SIZE || memcmp(text.data, PREFIX, PREFIX_SIZE) != 0) {
        bool other_version =
            text.size > sizeof(FAMILY) - 1 && memcmp(text.data, FAMILY, sizeof(FAMILY) - 1) == 0;
        return fail(STATUS_INVALID, other_version ? "join token: it is of another version of muster"
                                                  : "join token: it does not begin with \"" PREFIX
                                                    "\"");
    }
    if (text.size > RPC_JOIN_TOKEN_SIZE_MAX) {
        return fail(STATUS_INVALID, "join token: it is longer than %d bytes",
                    RPC_JOIN_TOKEN_SIZE_MAX);
    }
    struct slice encoded = {.data = (const char *)text.data + PREFIX_SIZE,
                            .size = text.size - PREFIX_SIZE};
    struct buffer bytes = {0};
    if (!buffer_reserve(&bytes, RPC_JOIN_TOKEN_SIZE_MAX)) {
        return fail(STATUS_NO_MEMORY, "read a join token");
    }
    struct status status = base64url_decode(encoded, &bytes);
    if (status.code == STATUS_INVALID) {
        status = fail(STATUS_INVALID, "join token: it has a character that no token has, or is "
                                      "cut; copy the whole line");
    }
    if (!failed(status)) {
        status = parse_bytes((const uint8_t *)bytes.data, bytes.size, out);
    }
    wipe_and_release(&bytes);
    if (failed(status)) {
        secret_wipe(out, sizeof(*out));
    }
    return status;
}
