/*
 * What the membership worker decides, by rows, and a simulation by seed: whatever joins, dies and
 * leaves, following its decisions ends with odd voters that are alive, one change at a time.
 *
 * A row describes each node by letters: state (m member, j joining, r removed, - none), raft role
 * (v voter, s standby, p spare, - none), and health (a alive and caught up, l alive and lagging,
 * d dead). The first node is the leader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_worker.h"

#include <stdlib.h>
#include <string.h>

#include "scratch.h"

#define NODES_MAX 10
#define LAST_INDEX 100000
#define NOW_MS 1000000
#define JOIN_TIMEOUT_MS 60000
#define DEAD_AFTER_MS 20000

struct world {
    struct member members[NODES_MAX];
    size_t member_count;
    struct consensus_status raft;
};

static void add_node(struct world *world, uint64_t node_id, const char *letters)
{
    if (letters[0] != '-') {
        world->members[world->member_count++] = (struct member){
            .node_id = node_id,
            .standing = letters[0] == 'm'   ? STANDING_MEMBER
                        : letters[0] == 'j' ? STANDING_JOINING
                                            : STANDING_REMOVED,
            .since_ms = NOW_MS - 1000,
        };
    }
    if (letters[1] != '-') {
        bool alive = letters[2] != 'd';
        world->raft.members[world->raft.member_count++] = (struct consensus_member){
            .node_id = node_id,
            .role = letters[1] == 'v'   ? MEMBER_VOTER
                    : letters[1] == 's' ? MEMBER_STANDBY
                                        : MEMBER_SPARE,
            .match_index = letters[2] == 'a' ? LAST_INDEX : 1,
            .heard_ms_ago = alive ? 50 : DEAD_AFTER_MS + 1000 + node_id,
            .connected = alive,
        };
    }
}

static void make_world(struct world *world, const char *letters)
{
    *world = (struct world){.raft = {.last_index = LAST_INDEX}};
    uint64_t node_id = 1;
    for (const char *at = letters; *at != '\0'; at += at[3] == ' ' ? 4 : 3) {
        add_node(world, node_id++, at);
    }
}

static struct membership_action decide(const struct world *world, uint64_t voters, uint64_t now_ms)
{
    const struct membership_view view = {
        .members = world->members,
        .member_count = world->member_count,
        .raft = &world->raft,
        .self_id = 1,
        .voters_wanted = voters,
        .now_ms = now_ms,
        .join_timeout_ms = JOIN_TIMEOUT_MS,
        .dead_after_ms = DEAD_AFTER_MS,
    };
    return membership_decide(&view);
}

static void test_rows(void **state)
{
    static const struct {
        const char *name;
        const char *nodes;
        enum membership_step step;
        uint64_t node_id;
    } rows[] = {
        {"alone", "mva", MEMBERSHIP_NOTHING, 0},
        {"three that are settled", "mva mva mva", MEMBERSHIP_NOTHING, 0},
        {"admitted, not yet in raft", "mva j-d", MEMBERSHIP_ADD, 2},
        {"a spare gets the data", "mva jpd", MEMBERSHIP_STANDBY, 2},
        {"it has not caught up", "mva jsl", MEMBERSHIP_NOTHING, 0},
        {"it has caught up", "mva jsa", MEMBERSHIP_CONFIRM, 2},
        {"two members: one votes", "mva msa", MEMBERSHIP_NOTHING, 0},
        {"three members: a second votes", "mva msa msa", MEMBERSHIP_VOTER, 2},
        {"and a third", "mva mva msa", MEMBERSHIP_VOTER, 3},
        {"a fourth stands by", "mva mva mva msa", MEMBERSHIP_NOTHING, 0},
        {"one that joins does not vote yet", "mva msa jsl", MEMBERSHIP_NOTHING, 0},
        {"a dead voter makes room", "mva mvd mva msa", MEMBERSHIP_STANDBY, 2},
        {"then the standby votes", "mva msd mva msa", MEMBERSHIP_VOTER, 4},
        {"no standby to take its place", "mva mvd mva", MEMBERSHIP_NOTHING, 0},
        {"nor one that lags", "mva mvd mva msl", MEMBERSHIP_NOTHING, 0},
        {"removed from the state", "mva rva mva", MEMBERSHIP_DROP, 2},
        {"unknown to the state", "mva -va mva", MEMBERSHIP_DROP, 2},
        {"two voters left: one too many", "mva mva", MEMBERSHIP_STANDBY, 2},
        {"the leader itself is removed", "rva mva mva", MEMBERSHIP_HAND_OVER, 1},
        {"removal goes before arrival", "mva rva j-d", MEMBERSHIP_DROP, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        make_world(&world, rows[i].nodes);
        struct membership_action action = decide(&world, 3, NOW_MS);
        check_row(rows[i].name);
        CHECK_U64(action.step, rows[i].step);
        CHECK_U64(action.node_id, rows[i].node_id);
    }
}

static void test_never_came(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, "mva jpd");
    struct membership_action action = decide(&world, 3, NOW_MS + JOIN_TIMEOUT_MS);
    CHECK_U64(action.step, MEMBERSHIP_ROLL_BACK);
    CHECK_U64(action.node_id, 2);
}

static void test_voter_counts(void **state)
{
    static const struct {
        uint64_t members;
        uint64_t wanted;
        uint64_t voters;
    } rows[] = {{1, 3, 1}, {2, 3, 1}, {3, 3, 3},  {4, 3, 3},
                {4, 5, 3}, {5, 5, 5}, {20, 7, 7}, {0, 3, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_U64(membership_voters(rows[i].members, rows[i].wanted), rows[i].voters);
    }
}

static struct consensus_member *raft_find(struct world *world, uint64_t node_id)
{
    for (size_t i = 0; i < world->raft.member_count; i++) {
        if (world->raft.members[i].node_id == node_id) {
            return &world->raft.members[i];
        }
    }
    return NULL;
}

static void carry_out(struct world *world, struct membership_action action)
{
    struct consensus_member *node = raft_find(world, action.node_id);
    switch (action.step) {
    case MEMBERSHIP_ADD:
        world->raft.members[world->raft.member_count++] = (struct consensus_member){
            .node_id = action.node_id,
            .role = MEMBER_SPARE,
            .connected = true,
        };
        break;
    case MEMBERSHIP_STANDBY:
        assert_non_null(node);
        node->role = MEMBER_STANDBY;
        if (node->connected) {
            node->match_index = LAST_INDEX;
        }
        break;
    case MEMBERSHIP_VOTER:
        assert_non_null(node);
        assert_true(node->connected);
        node->role = MEMBER_VOTER;
        break;
    case MEMBERSHIP_DROP:
        assert_non_null(node);
        assert_true(action.node_id != 1);
        *node = world->raft.members[--world->raft.member_count];
        break;
    case MEMBERSHIP_CONFIRM:
        for (size_t i = 0; i < world->member_count; i++) {
            if (world->members[i].node_id == action.node_id) {
                world->members[i].standing = STANDING_MEMBER;
            }
        }
        break;
    case MEMBERSHIP_NOTHING:
    case MEMBERSHIP_HAND_OVER:
    case MEMBERSHIP_ROLL_BACK: assert_true(action.step == MEMBERSHIP_ADD); /* Not expected here. */
    }
}

static void check_settled(struct world *world)
{
    uint64_t voters = 0;
    uint64_t alive = 0;
    uint64_t members = 0;
    for (size_t i = 0; i < world->raft.member_count; i++) {
        const struct consensus_member *node = &world->raft.members[i];
        voters += node->role == MEMBER_VOTER;
        alive += node->node_id == 1 || node->connected;
    }
    for (size_t i = 0; i < world->member_count; i++) {
        members += world->members[i].standing == STANDING_MEMBER;
    }
    /* As many as are wanted, or all that are alive and the dead that nobody can replace. */
    CHECK(voters == membership_voters(members, 3) || alive < membership_voters(members, 3));
}

/* Nodes come, die and are removed at random; between, the worker works until it has nothing to do. */
static void test_settles_by_seed(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct world world;
        uint64_t next_id = 2;
        unsigned random = seed;
        make_world(&world, "mva");
        for (int event = 0; event < 12; event++) {
            size_t pick = (size_t)rand_r(&random) % NODES_MAX;
            if (pick < 5 && world.member_count < NODES_MAX) {
                add_node(&world, next_id++, "j-a");
            } else if (pick < 8 && pick < world.raft.member_count &&
                       world.raft.members[pick].node_id != 1) {
                world.raft.members[pick].connected = false;
                world.raft.members[pick].heard_ms_ago = DEAD_AFTER_MS + 1;
            } else if (pick < world.member_count && world.members[pick].node_id != 1) {
                world.members[pick].standing = STANDING_REMOVED;
            }
            int steps = 0;
            struct membership_action action = decide(&world, 3, NOW_MS);
            for (; action.step != MEMBERSHIP_NOTHING && steps < 50; steps++) {
                carry_out(&world, action);
                action = decide(&world, 3, NOW_MS);
            }
            CHECK(steps < 50); /* It comes to an end. */
            check_settled(&world);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_never_came),
        cmocka_unit_test(test_voter_counts),
        cmocka_unit_test(test_settles_by_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
