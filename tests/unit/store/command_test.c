/*
 * Commands on the wire: one golden line for each type, so that no format changes by accident, and
 * strictness.
 *
 * A line that changed means that logs and peers of the version before can no longer be read: give
 * the field a new tag, or the command a new type, instead of a new line here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/hex.h"
#include "scratch.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .size = sizeof(literal) - 1                                             \
    }
#define MEMBER                                                                                     \
    {                                                                                              \
        .node_id = 0x1122334455667788, .name = TEXT("A"), .serial = TEXT("S"),                     \
        .model = TEXT("C100V"), .version = TEXT("0.1"), .peer_address = TEXT("h:1"),               \
        .rpc_address = TEXT("h:2"), .certificate = TEXT("PEM"), .standing = STANDING_MEMBER,       \
        .since_ms = 5                                                                              \
    }

static struct index_key keys[] = {{.kind = 2, .value = TEXT("a.example")}};
static struct record_put records[] = {{
    .kind = 1,
    .serial = TEXT("S"),
    .id = TEXT("42"),
    .revision = 3,
    .observed_at_ms = 4,
    .body = TEXT("body"),
    .keys = {.items = keys, .count = 1},
}};
static struct export_reject rejects[] = {{.sequence = 8, .reason = TEXT("bad")}};

static struct key_holder holders[] = {{.node_id = 7, .wrapped = TEXT("wrapped"), .held = true}};
static struct resealed values[] = {{.sealed = TEXT("sealed")}};

static const struct golden {
    struct command command; /* The stamp is added. */
    const char *hex;
} goldens[] = {
#include "command_golden.h"
};

#define GOLDEN_COUNT (sizeof goldens / sizeof goldens[0])

static struct command stamped(const struct golden *golden)
{
    struct command command = golden->command;
    command.stamp = (struct stamp){
        .at_ms = 1,
        .actor = TEXT("me"),
        .origin = TEXT("local"),
        .comment = TEXT("why"),
    };
    return command;
}

static char *hex_of(const struct buffer *bytes)
{
    char *text = malloc(2 * bytes->size + 1);
    if (text == NULL) {
        abort();
    }
    hex_encode(buffer_slice(bytes), text);
    return text;
}

static void test_golden(void **state)
{
    (void)state;
    bool seen[COMMAND_TYPE_COUNT] = {false};
    int changed = 0;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct command command = stamped(&goldens[i]);
        struct buffer bytes = {0};
        check_row(command_name(command.type));
        seen[command.type] = true;
        CHECK_OK(command_encode(&command, &bytes));
        char *hex = hex_of(&bytes);
        if (hex != NULL && strcmp(hex, goldens[i].hex) != 0) {
            print_error("%s is now\n\"%s\"\n", command_name(command.type), hex);
            changed++;
        }
        free(hex);
        buffer_release(&bytes);
    }
    CHECK_U64((uint64_t)changed, 0);
    for (unsigned type = 1; type < COMMAND_TYPE_COUNT; type++) {
        const char *name = command_name((enum command_type)type);
        check_row(name);
        CHECK(seen[type]);
    }
}

/* What is decoded encodes to the same bytes; every prefix and every changed byte is either refused
 * or still a command, and never more than that. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        struct command command = stamped(&goldens[i]);
        struct command decoded;
        struct arena arena = {0};
        struct buffer bytes = {0};
        struct buffer again = {0};
        check_row(command_name(command.type));
        CHECK_OK(command_encode(&command, &bytes));
        CHECK_OK(command_decode(buffer_slice(&bytes), &arena, &decoded));
        CHECK_U64(decoded.type, command.type);
        CHECK_OK(command_encode(&decoded, &again));
        CHECK(slice_equal(buffer_slice(&bytes), buffer_slice(&again)));
        for (size_t size = 0; size < bytes.size; size++) {
            struct slice prefix = {.data = bytes.data, .size = size};
            CHECK_CODE(command_decode(prefix, &arena, &decoded), STATUS_INVALID);
        }
        for (size_t at = 0; at < bytes.size; at++) {
            bytes.data[at] ^= 0x41;
            struct status status = command_decode(buffer_slice(&bytes), &arena, &decoded);
            CHECK(status.code == STATUS_OK || status.code == STATUS_INVALID);
            bytes.data[at] ^= 0x41;
        }
        arena_release(&arena);
        buffer_release(&bytes);
        buffer_release(&again);
    }
}

static void test_strictness(void **state)
{
    static const struct {
        const char *name;
        const char *bytes;
        size_t size;
        enum status_code code;
    } rows[] = {
#define ROW(name, literal, code) {name, literal, sizeof(literal) - 1, code}
        ROW("good", "\x01\x02\x82\x01\x01\x02\xa1u\x81\x01\xa1n", STATUS_OK),
        ROW("empty", "", STATUS_INVALID),
        ROW("no type", "\x01", STATUS_INVALID),
        ROW("newer format", "\x02\x02\x82\x01\x01\x02\xa1u\x81\x01\xa1n", STATUS_INVALID),
        ROW("type 0", "\x01\x00\x82\x01\x01\x02\xa1u\x80", STATUS_INVALID),
        ROW("unknown type", "\x01\x7f\x82\x01\x01\x02\xa1u\x80", STATUS_INVALID),
        ROW("no stamp", "\x01\x02\x81\x01\xa1n", STATUS_INVALID),
        ROW("no body", "\x01\x02\x82\x01\x01\x02\xa1u", STATUS_INVALID),
        ROW("unknown field", "\x01\x02\x82\x01\x01\x02\xa1u\x82\x01\xa1n\x09\x01", STATUS_INVALID),
        ROW("followed by a byte", "\x01\x02\x82\x01\x01\x02\xa1u\x81\x01\xa1n\xc0", STATUS_INVALID),
        ROW("name not text", "\x01\x02\x82\x01\x01\x02\xa1u\x81\x01\xa1\xff", STATUS_INVALID),
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command command;
        struct arena arena = {0};
        check_row(rows[i].name);
        struct slice bytes = {.data = rows[i].bytes, .size = rows[i].size};
        CHECK_CODE(command_decode(bytes, &arena, &command), rows[i].code);
        arena_release(&arena);
    }
}

static void test_encode_fails_whole(void **state)
{
    (void)state;
    struct buffer out = {0};
    CHECK(buffer_append(&out, "keep", 4));
    struct command command = {.type = COMMAND_CLUSTER_FORM};
    char name[STORE_NAME_SIZE_MAX + 1];
    memset(name, 'n', sizeof name);
    command.body.cluster_form.name = (struct slice){.data = name, .size = sizeof name};
    CHECK_CODE(command_encode(&command, &out), STATUS_INVALID);
    command.type = (enum command_type)0;
    CHECK_CODE(command_encode(&command, &out), STATUS_INVALID);
    CHECK_SLICE(buffer_slice(&out), slice_of("keep"));
    buffer_release(&out);
    for (int after = 0;; after++) {
        command = stamped(&goldens[0]);
        fault_arm(FAULT_ALLOC, after, 1);
        struct status status = command_encode(&command, &out);
        if (fault_reset() == 0) {
            CHECK_OK(status);
            break;
        }
        CHECK_CODE(status, STATUS_NO_MEMORY);
        CHECK_U64(out.size, 0);
        buffer_release(&out);
    }
    buffer_release(&out);
}

static void test_names(void **state)
{
    (void)state;
    CHECK_SLICE(slice_of(command_name((enum command_type)99)), slice_of("unknown"));
    for (unsigned i = 0; i < REFUSAL_COUNT; i++) {
        enum refusal refusal = (enum refusal)i;
        const char *name = refusal_name(refusal);
        check_row(name == NULL ? "none" : name);
        CHECK(name != NULL && name[0] != '\0');
        for (unsigned k = 0; k < i; k++) {
            CHECK(strcmp(name, refusal_name((enum refusal)k)) != 0);
        }
        const char *reason = refusal_reason(refusal);
        const char *remedy = refusal_remedy(refusal);
        CHECK(reason[0] >= 'A' && reason[0] <= 'Z' && reason[strlen(reason) - 1] == '.');
        CHECK(remedy[0] >= 'A' && remedy[0] <= 'Z' && remedy[strlen(remedy) - 1] == '.');
    }
    check_row("out of range");
    CHECK_SLICE(slice_of(refusal_name(REFUSAL_COUNT)), slice_of("unknown"));
    CHECK_SLICE(slice_of(refusal_remedy(REFUSAL_REGISTERED)),
                slice_of("Deregister it first: muster registration deregister."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_strictness), cmocka_unit_test(test_encode_fails_whole),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
