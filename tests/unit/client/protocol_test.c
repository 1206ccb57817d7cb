/*
 * The admin RPC's tables: the method table is complete, every message survives a round trip with
 * values at and within its limits and fails beyond them, and errors have their exit codes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "message_values.h"
#include "scratch.h"

static void test_methods_are_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        const struct rpc_method_row *row = &rpc_methods[i];
        CHECK(row->name != NULL);
        check_row(row->name);
        CHECK(strlen(row->name) <= RPC_METHOD_SIZE_MAX);
        CHECK(strchr(row->name, '.') != NULL);
        CHECK(row->params != NULL);
        CHECK((row->result != NULL) == (i != RPC_PEER_FORWARD));
        CHECK(row->summary != NULL && row->summary[strlen(row->summary) - 1] == '.');
        CHECK(strlen(row->summary) <= RPC_TEXT_SIZE_MAX);
        CHECK_U64(rpc_method_find(slice_of(row->name)), i);
        /* Nothing that changes the state is open to a viewer, and no read is a change. */
        CHECK(row->routing != RPC_LEADER || row->role != RPC_ROLE_VIEWER);
        CHECK(row->routing != RPC_READ || row->role <= RPC_ROLE_VIEWER);
        /* These two alone answer somebody without a certificate. */
        bool open = i == RPC_CLUSTER_ADMIT || i == RPC_CLUSTER_STANDING;
        CHECK(open == (row->role == RPC_ROLE_ANYONE));
    }
    CHECK_U64(rpc_method_find(slice_of("cluster.statu")), RPC_METHOD_COUNT);
    CHECK_U64(rpc_method_find(slice_of("")), RPC_METHOD_COUNT);
}

/* A params map also holds the options: no method may use their names for something else. */
static void test_options_do_not_collide(void **state)
{
    (void)state;
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        const struct codec *params = rpc_methods[i].params;
        check_row(rpc_methods[i].name);
        for (size_t k = 0; k < params->field_count; k++) {
            const char *name = params->fields[k].name;
            CHECK(strcmp(name, "stale") != 0);
            CHECK(strcmp(name, "comment") != 0);
            CHECK(strcmp(name, "deadline_ms") != 0 || i == RPC_PEER_FORWARD);
        }
    }
}

static void test_roles(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum rpc_role caller;
        enum rpc_method method;
        bool allowed;
    } rows[] = {
        {"anyone admits", RPC_ROLE_ANYONE, RPC_CLUSTER_ADMIT, true},
        {"anyone reads not", RPC_ROLE_ANYONE, RPC_CLUSTER_STATUS, false},
        {"viewer reads", RPC_ROLE_VIEWER, RPC_CLUSTER_STATUS, true},
        {"viewer submits not", RPC_ROLE_VIEWER, RPC_RECORDS_SUBMIT, false},
        {"operator submits", RPC_ROLE_OPERATOR, RPC_RECORDS_SUBMIT, true},
        {"operator registers not", RPC_ROLE_OPERATOR, RPC_REGISTRATION_REGISTER, false},
        {"admin registers", RPC_ROLE_ADMIN, RPC_REGISTRATION_REGISTER, true},
        {"admin forwards not", RPC_ROLE_ADMIN, RPC_PEER_FORWARD, false},
        {"peer forwards", RPC_ROLE_PEER, RPC_PEER_FORWARD, true},
        {"peer compares", RPC_ROLE_PEER, RPC_NODE_DIGEST, true},
        {"peer reads not", RPC_ROLE_PEER, RPC_CLUSTER_STATUS, false},
        {"peer removes not", RPC_ROLE_PEER, RPC_CLUSTER_REMOVE, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        CHECK(rpc_role_allows(rows[i].caller, rows[i].method) == rows[i].allowed);
    }
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum status_code code;
        enum rpc_error error;
        int exit_code;
    } rows[] = {
        {"ok", STATUS_OK, RPC_OK, 0},
        {"invalid", STATUS_INVALID, RPC_INVALID, 2},
        {"not found", STATUS_NOT_FOUND, RPC_NOT_FOUND, 3},
        {"refused", STATUS_REFUSED, RPC_REFUSED, 3},
        {"unauthorized", STATUS_UNAUTHORIZED, RPC_UNAUTHORIZED, 5},
        {"no quorum", STATUS_NO_QUORUM, RPC_NO_QUORUM, 4},
        {"unreachable", STATUS_UNREACHABLE, RPC_UNREACHABLE, 4},
        {"unknown", STATUS_UNKNOWN, RPC_OUTCOME_UNKNOWN, 6},
        {"busy", STATUS_BUSY, RPC_BUSY, 1},
        {"timeout", STATUS_TIMEOUT, RPC_TIMEOUT, 4},
        {"full", STATUS_FULL, RPC_FULL, 1},
        {"input/output", STATUS_IO, RPC_INTERNAL, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_row(rows[i].name);
        CHECK_U64(rpc_error_of_status(rows[i].code), rows[i].error);
        CHECK_U64(rpc_status_of_error(rows[i].error), rows[i].code);
        CHECK_U64((uint64_t)rpc_exit_code(rows[i].error), (uint64_t)rows[i].exit_code);
    }
    CHECK_U64((uint64_t)rpc_exit_code((enum rpc_error)(RPC_REFUSED + 5)), 3);
    CHECK_U64(rpc_status_of_error(RPC_REFUSED + 5), STATUS_REFUSED);
    CHECK_U64(rpc_status_of_error(500), STATUS_IO);
    CHECK_U64(rpc_error_of_status(STATUS_NOT_LEADER), RPC_UNREACHABLE);
}

#define SEEDS 20

static void check_round_trip(const struct codec *codec, enum message_fill fill, uint64_t seed)
{
    struct arena arena = {0};
    struct buffer bytes = {0};
    struct buffer again = {0};
    void *value = message_make(codec, fill, seed, &arena);
    void *decoded = arena_alloc(&arena, 1, codec->size);
    CHECK(decoded != NULL);
    CHECK_OK(codec_encode(codec, CODEC_NAMES, value, &bytes));
    CHECK_OK(codec_decode(codec, CODEC_NAMES, buffer_slice(&bytes), &arena, decoded));
    CHECK_OK(codec_encode(codec, CODEC_NAMES, decoded, &again));
    CHECK_SLICE(buffer_slice(&again), buffer_slice(&bytes));
    CHECK(message_equal(codec, value, decoded));
    buffer_release(&bytes);
    buffer_release(&again);
    arena_release(&arena);
}

static void check_round_trips(const struct codec *codec)
{
    check_row(codec->name);
    check_round_trip(codec, MESSAGE_FILL_EMPTY, 0);
    check_round_trip(codec, MESSAGE_FILL_MAX, 0);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        check_round_trip(codec, MESSAGE_FILL_RANDOM, seed);
    }
}

static void test_round_trips(void **state)
{
    (void)state;
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        check_round_trips(rpc_methods[i].params);
        if (rpc_methods[i].result != NULL) {
            check_round_trips(rpc_methods[i].result);
        }
    }
}

/* One step beyond the limit of each field in turn is refused, and the field is named. */
static void check_limits(const struct codec *codec)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        struct arena arena = {0};
        struct buffer bytes = {0};
        void *value = message_make(codec, MESSAGE_FILL_EMPTY, 0, &arena);
        if (message_exceed(&codec->fields[i], value, &arena)) {
            struct status status = codec_encode(codec, CODEC_NAMES, value, &bytes);
            check_row(codec->fields[i].name);
            CHECK_CODE(status, STATUS_INVALID);
            CHECK(strstr(status.message, codec->fields[i].name) != NULL);
            CHECK_U64(bytes.size, 0);
        }
        arena_release(&arena);
        buffer_release(&bytes);
    }
}

static void test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        check_limits(rpc_methods[i].params);
        if (rpc_methods[i].result != NULL) {
            check_limits(rpc_methods[i].result);
        }
    }
}

/* Bytes that another implementation must agree on: they never change. */
static void test_golden(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    struct rpc_remove removal = {.name = slice_of("esa2"), .force = true};
    CHECK_OK(codec_encode(&rpc_remove_codec, CODEC_NAMES, &removal, &bytes));
    CHECK_SLICE(buffer_slice(&bytes), slice_of("\x82\xa4name\xa4"
                                               "esa2\xa5"
                                               "force\xc3"));
    buffer_clear(&bytes);
    struct rpc_options options = {.deadline_ms = 300, .stale = true};
    CHECK_OK(codec_encode(&rpc_options_codec, CODEC_NAMES, &options, &bytes));
    struct slice expected = {.data = "\x82\xab"
                                     "deadline_ms\xcd\x01\x2c\xa5stale\xc3",
                             .size = 23};
    CHECK_SLICE(buffer_slice(&bytes), expected);
    buffer_release(&bytes);
}

static struct rpc_admit admit_sample(void)
{
    return (struct rpc_admit){
        .token_id = slice_of("00112233445566ff"),
        .secret = slice_of("0123456789abcdef0123456789abcdef"),
        .name = slice_of("esa2"),
        .serial = slice_of("564D-1"),
        .version = slice_of("0.1.0"),
        .peer_address = slice_of("10.0.0.2:7301"),
        .rpc_address = slice_of("10.0.0.2:7302"),
        .request = slice_of("PEM"),
        .registration = slice_of("disabled"),
        .stated_at_ms = 7,
    };
}

/* What is signed changes with everything that is stated, and with nothing else. */
static void test_statement(void **state)
{
    (void)state;
    struct rpc_admit admit = admit_sample();
    struct buffer base = {0};
    struct buffer other = {0};
    CHECK_OK(rpc_admit_statement(&admit, &base));

    admit.secret = slice_of("another");
    admit.check = true;
    admit.signature = slice_of("sig");
    CHECK_OK(rpc_admit_statement(&admit, &other));
    CHECK_SLICE(buffer_slice(&other), buffer_slice(&base));

    struct rpc_admit changed;
    struct slice *const texts[] = {
        &changed.token_id,     &changed.name,        &changed.serial,
        &changed.model,        &changed.version,     &changed.request,
        &changed.peer_address, &changed.rpc_address, &changed.registration};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        changed = admit_sample();
        *texts[i] = slice_of("changed");
        buffer_clear(&other);
        CHECK_OK(rpc_admit_statement(&changed, &other));
        CHECK(!slice_equal(buffer_slice(&other), buffer_slice(&base)));
    }
    changed = admit_sample();
    changed.stated_at_ms++;
    buffer_clear(&other);
    CHECK_OK(rpc_admit_statement(&changed, &other));
    CHECK(!slice_equal(buffer_slice(&other), buffer_slice(&base)));

    changed.name = (struct slice){.data = "\xff", .size = 1};
    size_t size = other.size;
    CHECK_CODE(rpc_admit_statement(&changed, &other), STATUS_INVALID);
    CHECK_U64(other.size, size);
    buffer_release(&base);
    buffer_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_are_complete),
        cmocka_unit_test(test_options_do_not_collide),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
