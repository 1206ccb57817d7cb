/*
 * Messages as JSON: every kind of field, and what a reader relies on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/json_view.h"

#include <jansson.h>
#include <string.h>

#include "client/protocol.h"
#include "message_values.h"
#include "scratch.h"

static void check_view(const struct codec *codec, const void *value, const char *expected)
{
    struct buffer out = {0};
    CHECK_OK(json_view(codec, value, false, &out));
    CHECK_SLICE(buffer_slice(&out), slice_of(expected));
    buffer_release(&out);
}

static void test_rows(void **state)
{
    (void)state;
    struct rpc_operator person = {.name = slice_of("mari\"e"), .not_after_ms = 86400000};
    check_view(&rpc_operator_codec, &person,
               "{\"name\":\"mari\\\"e\",\"role\":\"\",\"fingerprint\":\"\","
               "\"not_after\":\"1970-01-02T00:00:00.000Z\"}");
    struct rpc_freshness freshness = {.index = UINT64_MAX - 1, .stale = true, .age_ms = UINT64_MAX};
    check_view(&rpc_freshness_codec, &freshness,
               "{\"index\":\"18446744073709551614\",\"stale\":true,\"age_ms\":null}");
    struct slice texts[] = {slice_of("a: number"), slice_of("b")};
    struct rpc_method_view method = {.method = slice_of("m"),
                                     .params = {.items = texts, .count = 2}};
    check_view(&rpc_method_view_codec, &method,
               "{\"method\":\"m\",\"role\":\"\",\"routing\":\"\",\"summary\":\"\","
               "\"params\":[\"a: number\",\"b\"],\"results\":[]}");
    struct rpc_token token = {.used_by = 9007199254740993, .created_at_ms = 0};
    check_view(&rpc_token_codec, &token,
               "{\"token_id\":\"\",\"state\":\"\",\"created_at\":null,\"expires_at\":null,"
               "\"used_at\":null,\"used_by\":\"9007199254740993\",\"for_name\":\"\","
               "\"created_by\":\"\"}");
    struct rpc_forward forward = {.method = slice_of("x"),
                                  .params = {.data = "\x80\xff", .size = 2}};
    check_view(&rpc_forward_codec, &forward,
               "{\"method\":\"x\",\"params\":\"gP8\",\"actor\":\"\",\"origin\":\"\",\"role\":0,"
               "\"node_id\":\"0\",\"deadline_ms\":0}");
}

/* Whatever the values, it is JSON, with one member for each field. */
static void test_any_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        const struct codec *codec = rpc_methods[i].result;
        for (uint64_t seed = 1; codec != NULL && seed <= 10; seed++) {
            struct arena arena = {0};
            struct buffer out = {0};
            void *value = message_make(codec, MESSAGE_FILL_RANDOM, seed, &arena);
            check_row(codec->name);
            CHECK_OK(json_view(codec, value, seed % 2 == 0, &out));
            json_error_t error;
            json_t *read = json_loadb(out.data, out.size, JSON_REJECT_DUPLICATES, &error);
            CHECK(read != NULL);
            CHECK_U64(json_object_size(read), codec->field_count);
            json_decref(read);
            buffer_release(&out);
            arena_release(&arena);
        }
    }
}

static void test_bad_text(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct rpc_done done = {.message = {.data = "\xff", .size = 1}};
    CHECK(buffer_append(&out, "keep", 4));
    CHECK_CODE(json_view(&rpc_done_codec, &done, false, &out), STATUS_INVALID);
    CHECK_SLICE(buffer_slice(&out), slice_of("keep"));
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_any_message),
        cmocka_unit_test(test_bad_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
