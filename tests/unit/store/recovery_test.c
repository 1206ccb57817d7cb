/*
 * A recovery of the cluster, as the state sees it: one member, a new lineage, no open tokens, the
 * registration with the node that is left, an audit line; and that it is refused out of turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store_fixture.h"

#define TOKEN "00000000000000aa"

static struct command recovery(uint64_t lineage, uint64_t node_id, const char *name)
{
    return (struct command){
        .type = COMMAND_CLUSTER_RECOVER,
        .body.cluster_recover =
            {
                .lineage = lineage,
                .member = {.node_id = node_id, .name = slice_of(name), .serial = slice_of(name)},
                .source = slice_of("its own log up to entry 9 of term 2"),
                .from_index = 9,
            },
    };
}

static uint64_t standing_of(struct fixture *fixture, uint64_t node_id)
{
    struct member member;
    CHECK_OK(store_member(fixture->store, &fixture->arena, node_id, &member));
    return member.standing;
}

static void test_recovered(void **state)
{
    struct fixture fixture;
    struct cluster_view before;
    struct cluster_view after;
    struct join_token_view token;
    struct registration_view registration;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    CHECK_U64(fixture_apply(&fixture, token_command(TOKEN)), REFUSAL_NONE);
    CHECK_OK(store_cluster(fixture.store, &fixture.arena, &before));
    CHECK_U64(before.lineage, 1);

    CHECK_U64(fixture_apply(&fixture, recovery(2, NODE_B, "B")), REFUSAL_NONE);
    CHECK_U64(standing_of(&fixture, NODE_A), STANDING_REMOVED);
    CHECK_U64(standing_of(&fixture, NODE_B), STANDING_MEMBER);
    CHECK_U64(standing_of(&fixture, NODE_C), STANDING_REMOVED);
    CHECK_OK(store_cluster(fixture.store, &fixture.arena, &after));
    CHECK_U64(after.lineage, 2);
    CHECK(after.recovered_at_ms > 0);
    CHECK(slice_equal(after.recovered_on, slice_of("B")));
    CHECK_U64(after.recovered_from_index, 9);
    CHECK(slice_equal(after.cluster_id, slice_of(CLUSTER_ID)));
    CHECK_OK(store_join_token(fixture.store, &fixture.arena, slice_of(TOKEN), &token));
    CHECK(token.revoked_at_ms > 0);
    CHECK_OK(store_registration(fixture.store, &fixture.arena, &registration));
    CHECK_U64(registration.state, REGISTRATION_REGISTERED);
    CHECK_U64(registration.node_id, NODE_B);
    CHECK(slice_equal(registration.serial, slice_of("SA"))); /* As the cloud knows it. */

    struct codec_list lines;
    CHECK_OK(store_audit(fixture.store, &fixture.arena, 0, 100, &lines));
    const struct audit_view *line = (const struct audit_view *)lines.items + lines.count - 1;
    CHECK(slice_equal(line->command, slice_of("cluster_recover")));
    CHECK(slice_equal(line->target,
                      slice_of("lineage 2 on B from its own log up to entry 9 of term 2")));
    fixture_close(&fixture);
}

static void test_again(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK_U64(fixture_apply(&fixture, recovery(1, NODE_B, "B")), REFUSAL_FIELD);
    CHECK_U64(fixture_apply(&fixture, recovery(3, NODE_B, "B")), REFUSAL_FIELD);
    CHECK_U64(fixture_apply(&fixture, recovery(2, 0, "B")), REFUSAL_FIELD);
    CHECK_U64(fixture_apply(&fixture, recovery(2, NODE_B, "")), REFUSAL_FIELD);
    CHECK_U64(standing_of(&fixture, NODE_A), STANDING_MEMBER);
    CHECK_U64(fixture_apply(&fixture, recovery(2, NODE_B, "B")), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, recovery(2, NODE_C, "C")), REFUSAL_FIELD);
    CHECK_U64(fixture_apply(&fixture, recovery(3, NODE_C, "C")), REFUSAL_NONE);
    CHECK_U64(standing_of(&fixture, NODE_B), STANDING_REMOVED);
    CHECK_U64(standing_of(&fixture, NODE_C), STANDING_MEMBER);
    fixture_close(&fixture);
}

/* A registration that is under way is found in the cloud by what it was begun with. */
static void test_under_way(void **state)
{
    struct fixture fixture;
    struct registration_view registration;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK_U64(fixture_apply(&fixture, enable_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, begin_command(NODE_A, "SA", 1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, recovery(2, NODE_B, "B")), REFUSAL_NONE);
    CHECK_OK(store_registration(fixture.store, &fixture.arena, &registration));
    CHECK_U64(registration.state, REGISTRATION_REGISTERING);
    CHECK_U64(registration.node_id, NODE_A);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovered),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
