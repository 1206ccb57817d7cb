/*
 * Join tokens: one text per token, and every mistake a person makes with one has its sentence.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "client/protocol.h"
#include "scratch.h"

static struct join_token sample(size_t address_count)
{
    struct join_token token = {.address_count = address_count};
    memset(token.id, 0x11, sizeof(token.id));
    memset(token.secret, 0x22, sizeof(token.secret));
    memset(token.ca_fingerprint, 0x33, sizeof(token.ca_fingerprint));
    memset(token.cluster_id, 0x44, sizeof(token.cluster_id));
    static const char *const addresses[] = {"10.0.0.1:7302", "esa2.example.com:7302",
                                            "[2001:db8::1]:65535", "a:1", "b:2"};
    for (size_t i = 0; i < address_count; i++) {
        CHECK(
            slice_to_text(slice_of(addresses[i]), token.addresses[i], sizeof(token.addresses[i])));
    }
    return token;
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t count = 1; count <= RPC_JOIN_TOKEN_ADDRESSES_MAX; count++) {
        struct join_token token = sample(count);
        struct join_token parsed;
        struct buffer text = {0};
        CHECK_OK(join_token_format(&token, &text));
        CHECK(text.size <= RPC_JOIN_TOKEN_SIZE_MAX);
        CHECK_OK(join_token_parse(buffer_slice(&text), &parsed));
        CHECK(memcmp(&parsed, &token, sizeof(token)) == 0);
        buffer_release(&text);
    }
}

static void test_largest(void **state)
{
    (void)state;
    struct join_token token = sample(RPC_JOIN_TOKEN_ADDRESSES_MAX);
    for (size_t i = 0; i < RPC_JOIN_TOKEN_ADDRESSES_MAX; i++) {
        memset(token.addresses[i], 'a', sizeof(token.addresses[i]) - 1);
        memcpy(token.addresses[i] + sizeof(token.addresses[i]) - 3, ":1", 3);
    }
    struct join_token parsed;
    struct buffer text = {0};
    CHECK_OK(join_token_format(&token, &text));
    CHECK(text.size <= RPC_JOIN_TOKEN_SIZE_MAX);
    CHECK_OK(join_token_parse(buffer_slice(&text), &parsed));
    CHECK(memcmp(&parsed, &token, sizeof(token)) == 0);
    buffer_release(&text);
}

/* Every change of one character and every cut is noticed, and leaves nothing of the secret. */
static void test_damage(void **state)
{
    (void)state;
    struct join_token token = sample(2);
    static const struct join_token zero;
    struct join_token parsed;
    struct buffer text = {0};
    CHECK_OK(join_token_format(&token, &text));
    for (size_t i = 0; i < text.size; i++) {
        struct slice cut = {.data = text.data, .size = i};
        CHECK_CODE(join_token_parse(cut, &parsed), STATUS_INVALID);
        CHECK(memcmp(&parsed, &zero, sizeof(zero)) == 0);
        char kept = text.data[i];
        text.data[i] = kept == 'A' ? 'B' : 'A';
        CHECK_CODE(join_token_parse(buffer_slice(&text), &parsed), STATUS_INVALID);
        CHECK(memcmp(&parsed, &zero, sizeof(zero)) == 0);
        text.data[i] = kept;
    }
    buffer_release(&text);
}

static void test_explanations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *explanation;
    } rows[] = {
        {"", "does not begin with"},
        {"eyJhbGciOi", "does not begin with"},
        {"muster2.AAAA", "another version"},
        {"muster1.", "the end is missing"},
        {"muster1.AAAA", "the end is missing"},
        {"muster1.A A", "a character that no token has"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct join_token parsed;
        check_row(rows[i].text);
        struct status status = join_token_parse(slice_of(rows[i].text), &parsed);
        CHECK_CODE(status, STATUS_INVALID);
        CHECK(strstr(status.message, rows[i].explanation) != NULL);
    }
    char long_text[RPC_JOIN_TOKEN_SIZE_MAX + 2];
    (void)snprintf(long_text, sizeof(long_text), "muster1.%0*d", RPC_JOIN_TOKEN_SIZE_MAX - 7, 0);
    struct join_token parsed;
    struct slice too_long = {.data = long_text, .size = sizeof(long_text) - 1};
    CHECK_CODE(join_token_parse(too_long, &parsed), STATUS_INVALID);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "host",     ":1",    "host:", "host:0",
                                      "h:65536", "h:123456", "h o:1", "h:1x",  "h\x7f:1"};
    struct buffer text = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct join_token token = sample(2);
        check_row(bad[i]);
        CHECK(slice_to_text(slice_of(bad[i]), token.addresses[1], sizeof(token.addresses[1])));
        CHECK_CODE(join_token_format(&token, &text), STATUS_INVALID);
        CHECK_U64(text.size, 0);
    }
    struct join_token none = sample(0);
    CHECK_CODE(join_token_format(&none, &text), STATUS_INVALID);
    none.address_count = RPC_JOIN_TOKEN_ADDRESSES_MAX + 1;
    CHECK_CODE(join_token_format(&none, &text), STATUS_INVALID);
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
