/*
 * What the guard reads of libraft, and its table of rules; the rules themselves are held by the soak.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "raft_view.h"

static void test_names(void **state)
{
    (void)state;
    unsigned all = 0;
    for (unsigned i = 0; i < GUARD_RULE_COUNT; i++) {
        CHECK(guard_rule_name(i) != NULL);
        all |= 1U << i;
    }
    CHECK_U64(all, GUARD_ALL);
    CHECK(guard_rule_name(GUARD_RULE_COUNT) == NULL);
}

static void test_configuration_decoding(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    struct raft_configuration again;
    struct raft_buffer bytes;
    raft_configuration_init(&configuration);
    CHECK(raft_configuration_add(&configuration, 7, "a.example:1", RAFT_VOTER) == 0);
    CHECK(raft_configuration_add(&configuration, 9, "b.example:2", RAFT_STANDBY) == 0);
    CHECK(raft_configuration_encode(&configuration, &bytes) == 0);
    CHECK(raft_view_decode(bytes.base, bytes.len, &again) == 0);
    CHECK_U64(again.n, 2);
    CHECK_U64(again.servers[1].id, 9);
    CHECK(again.servers[1].role == RAFT_STANDBY);
    CHECK_SLICE(slice_of(again.servers[0].address), slice_of("a.example:1"));
    raft_configuration_close(&again);
    /* Every shorter prefix that cuts a server, and every wrong first byte, is refused. */
    const size_t whole = 1 + 8 + 2 * (8 + sizeof "a.example:1" + 1);
    for (size_t size = 0; size < whole; size++) {
        CHECK(raft_view_decode(bytes.base, size, &again) == RAFT_MALFORMED);
    }
    ((char *)bytes.base)[0] = 2;
    CHECK(raft_view_decode(bytes.base, bytes.len, &again) == RAFT_MALFORMED);
    raft_free(bytes.base);
    raft_configuration_close(&configuration);
}

static void test_alone_at_start(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    struct raft_entry entry = {.term = 1, .type = RAFT_CHANGE};
    raft_configuration_init(&configuration);
    CHECK(raft_configuration_add(&configuration, 7, "a", RAFT_VOTER) == 0);
    CHECK(raft_configuration_encode(&configuration, &entry.buf) == 0);
    CHECK(raft_view_starts_alone(7, NULL, &entry, 1));
    CHECK(!raft_view_starts_alone(8, NULL, &entry, 1));
    CHECK(!raft_view_starts_alone(7, NULL, NULL, 0));
    struct raft_snapshot snapshot = {.configuration = configuration};
    CHECK(raft_view_starts_alone(7, &snapshot, NULL, 0));
    raft_free(entry.buf.base);
    CHECK(raft_configuration_add(&configuration, 8, "b", RAFT_VOTER) == 0);
    CHECK(raft_configuration_encode(&configuration, &entry.buf) == 0);
    CHECK(!raft_view_starts_alone(7, &snapshot, &entry, 1));
    raft_free(entry.buf.base);
    raft_configuration_close(&configuration);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_configuration_decoding),
        cmocka_unit_test(test_alone_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
