/*
 * Checkpoints: replicas that agree say nothing, one that differs says at which index, and nothing of
 * it enters the state. Steps of a rebuild: which are taken, and which are of another life.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "store_fixture.h"
#include "store_state.h"

static struct command checkpoint_of(struct fixture *leader)
{
    static struct store_digest last;
    struct command command = {.type = COMMAND_CHECKPOINT};
    if (store_checkpoint_last(leader->store, &last)) {
        command.body.checkpoint = (struct checkpoint){
            .index = last.index, .digest = {.data = last.bytes, .size = sizeof last.bytes}};
    }
    return command;
}

struct replicas {
    struct fixture leader;
    struct fixture follower;
};

static void both(struct replicas *replicas, struct command command)
{
    CHECK_U64(fixture_apply(&replicas->leader, command), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&replicas->follower, command), REFUSAL_NONE);
}

static void replicas_open(struct replicas *replicas)
{
    fixture_open(&replicas->leader);
    fixture_open(&replicas->follower);
    fixture_form(&replicas->leader);
    fixture_form(&replicas->follower);
}

static void replicas_close(struct replicas *replicas)
{
    fixture_close(&replicas->leader);
    fixture_close(&replicas->follower);
}

static void test_agreeing(void **state)
{
    struct replicas replicas;
    struct divergence found;
    (void)state;
    replicas_open(&replicas);
    for (uint64_t i = 1; i <= 40; i++) {
        both(&replicas, record_command(i));
        both(&replicas, checkpoint_of(&replicas.leader));
    }
    CHECK(!store_divergence(replicas.leader.store, &found));
    CHECK(!store_divergence(replicas.follower.store, &found));
    replicas_close(&replicas);
}

/* The control: that the comparison can fail, and that it changes nothing but what is told. */
static void test_differing(void **state)
{
    struct replicas replicas;
    struct divergence found;
    struct store_digest before;
    (void)state;
    replicas_open(&replicas);
    both(&replicas, checkpoint_of(&replicas.leader));
    both(&replicas, checkpoint_of(&replicas.leader));
    CHECK(!store_divergence(replicas.follower.store, &found));
    CHECK_U64(fixture_apply(&replicas.leader, record_command(1)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&replicas.follower, record_command(2)), REFUSAL_NONE);
    both(&replicas,
         checkpoint_of(&replicas.leader)); /* Keeps what differs, compares what did not. */
    CHECK(!store_divergence(replicas.follower.store, &found));
    store_digest(replicas.leader.store, &before);
    both(&replicas, checkpoint_of(&replicas.leader));
    CHECK(store_divergence(replicas.follower.store, &found));
    CHECK_U64(found.index, before.index);
    CHECK(memcmp(found.ours, found.theirs, sizeof found.ours) != 0);
    CHECK(!store_divergence(replicas.leader.store, &found));
    CHECK_OK(store_digest_at(replicas.leader.store, before.index, &before));
    store_divergence_forget(replicas.follower.store);
    CHECK(!store_divergence(replicas.follower.store, &found));
    replicas_close(&replicas);
}

/* Two after the last change: then all is compared, and an idle cluster is quiet. */
static void test_due(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK(store_checkpoint_due(fixture.store));
    CHECK_U64(fixture_apply(&fixture, checkpoint_of(&fixture)), REFUSAL_NONE);
    CHECK(store_checkpoint_due(fixture.store));
    CHECK_U64(fixture_apply(&fixture, checkpoint_of(&fixture)), REFUSAL_NONE);
    CHECK(!store_checkpoint_due(fixture.store));
    CHECK_U64(fixture_apply(&fixture, record_command(1)), REFUSAL_NONE);
    CHECK(store_checkpoint_due(fixture.store));
    fixture_close(&fixture);
}

static void test_kept_over_restart(void **state)
{
    struct fixture fixture;
    struct store_digest before;
    struct store_digest after;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    CHECK_U64(fixture_apply(&fixture, checkpoint_of(&fixture)), REFUSAL_NONE);
    CHECK(store_checkpoint_last(fixture.store, &before));
    CHECK_OK(store_sync(fixture.store));
    fixture_reopen(&fixture);
    CHECK(store_checkpoint_last(fixture.store, &after));
    CHECK_U64(after.index, before.index);
    assert_memory_equal(after.bytes, before.bytes, sizeof after.bytes);
    struct command wrong = checkpoint_of(&fixture);
    wrong.body.checkpoint.digest.size = 3;
    CHECK_U64(fixture_apply(&fixture, wrong), REFUSAL_FIELD);
    fixture_close(&fixture);
}

static void test_steps(void **state)
{
    static const struct {
        const char *name;
        uint64_t node_id;
        uint64_t step;
        uint64_t life;
        enum refusal refusal;
        uint64_t then; /* Of node B. */
    } rows[] = {
        {"out before it asked", NODE_B, QUARANTINE_OUT, 1, REFUSAL_OTHER_REBUILD, 0},
        {"back before it asked", NODE_B, QUARANTINE_NONE, 1, REFUSAL_OTHER_REBUILD, 0},
        {"no life", NODE_B, QUARANTINE_ASKED, 0, REFUSAL_FIELD, 0},
        {"no such step", NODE_B, 9, 1, REFUSAL_FIELD, 0},
        {"no such node", 99, QUARANTINE_ASKED, 1, REFUSAL_MEMBER_UNKNOWN, 0},
        {"told", NODE_B, QUARANTINE_TOLD, 8, REFUSAL_NONE, QUARANTINE_TOLD},
        {"told, not asked", NODE_B, QUARANTINE_OUT, 8, REFUSAL_OTHER_REBUILD, QUARANTINE_TOLD},
        {"mended", NODE_B, QUARANTINE_NONE, 8, REFUSAL_NONE, 0},
        {"told once more", NODE_B, QUARANTINE_TOLD, 1, REFUSAL_NONE, QUARANTINE_TOLD},
        {"another node's", NODE_C, QUARANTINE_ASKED, 3, REFUSAL_NONE, QUARANTINE_TOLD},
        {"asked", NODE_B, QUARANTINE_ASKED, 1, REFUSAL_NONE, QUARANTINE_ASKED},
        {"asked again", NODE_B, QUARANTINE_ASKED, 1, REFUSAL_NONE, QUARANTINE_ASKED},
        {"told too late", NODE_B, QUARANTINE_TOLD, 9, REFUSAL_NONE, QUARANTINE_ASKED},
        {"back too early", NODE_B, QUARANTINE_NONE, 1, REFUSAL_OTHER_REBUILD, QUARANTINE_ASKED},
        {"out of another life", NODE_B, QUARANTINE_OUT, 2, REFUSAL_OTHER_REBUILD, QUARANTINE_ASKED},
        {"the last replica", NODE_A, QUARANTINE_ASKED, 5, REFUSAL_LAST_REPLICA, QUARANTINE_ASKED},
        {"out", NODE_B, QUARANTINE_OUT, 1, REFUSAL_NONE, QUARANTINE_OUT},
        {"asked late, again", NODE_B, QUARANTINE_ASKED, 1, REFUSAL_NONE, QUARANTINE_OUT},
        {"back", NODE_B, QUARANTINE_NONE, 1, REFUSAL_NONE, 0},
        {"back again", NODE_B, QUARANTINE_NONE, 1, REFUSAL_NONE, 0},
        {"an old life asks", NODE_B, QUARANTINE_ASKED, 1, REFUSAL_NONE, 0},
        {"an old life is out", NODE_B, QUARANTINE_OUT, 1, REFUSAL_OTHER_REBUILD, 0},
        {"a new life", NODE_B, QUARANTINE_ASKED, 2, REFUSAL_NONE, QUARANTINE_ASKED},
    };
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct member member;
        check_row(rows[i].name);
        const struct command command = {.type = COMMAND_MEMBER_QUARANTINE,
                                        .body.member_quarantine = {rows[i].node_id, rows[i].step,
                                                                   rows[i].life,
                                                                   slice_of("damaged")}};
        CHECK_U64(fixture_apply(&fixture, command), rows[i].refusal);
        CHECK_OK(store_member(fixture.store, &fixture.arena, NODE_B, &member));
        CHECK_U64(member.quarantine, rows[i].then);
    }
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreeing), cmocka_unit_test(test_differing),
        cmocka_unit_test(test_due),      cmocka_unit_test(test_kept_over_restart),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
