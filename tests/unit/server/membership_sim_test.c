/*
 * The membership worker's decisions, carried out by seed on up to 50 nodes over a modelled raft:
 * nodes join, die, come back, lag and leave, leaders die in the middle of a change, and the number
 * of voters is changed. What must hold at each step:
 *
 *   - a change is proposed only when none is under way, and never one after which the voters that
 *     the leader hears are no quorum;
 *   - a leader leaves its own role alone, and whoever becomes a voter is a member, up and caught up;
 *   - when nothing happens any more it comes to an end: raft has the state's members and no others,
 *     voters are odd, as many as wanted as far as nodes are up, and none of them is dead if another
 *     could vote.
 *
 * In calm seeds things happen one at a time, with time to settle; the end is looked at after each, and
 * whoever leaves never takes the quorum with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "membership_decide.h"

#include <stdio.h>
#include <stdlib.h>

#include "scratch.h"

#define NODES_MAX 50
#define IDS_MAX 200 /* Who left never comes back under the same id here. */
#define TICK_MS 100
#define JOIN_TIMEOUT_MS 10000
#define SILENT_AFTER_MS 600
#define DEAD_AFTER_MS 6000
#define CHANGE_TICKS_MAX 5 /* Until a change is committed. */
#define EVENTS 60
#define SETTLE_TICKS 4000 /* 50 nodes, a few changes each, and those that are given up. */

struct node {
    bool up;
    bool joined;      /* It came, and follows. */
    uint64_t seen_ms; /* When the leader heard it last. */
    uint64_t lag;     /* Entries behind. */
};

struct world {
    unsigned random;
    uint64_t now_ms;
    uint64_t changed_at_ms;
    struct node nodes[IDS_MAX]; /* By id. */
    uint64_t ids;               /* Given out; from 1. */
    struct member members[IDS_MAX];
    size_t member_count;
    struct consensus_status raft;
    uint64_t leader_id; /* 0: none. */
    uint64_t voters;
    struct membership_action change; /* Under way. */
    unsigned change_ticks;
    bool calm;
};

static unsigned draw(struct world *world, unsigned below)
{
    return (unsigned)rand_r(&world->random) % below;
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

static struct member *state_find(struct world *world, uint64_t node_id)
{
    for (size_t i = 0; i < world->member_count; i++) {
        if (world->members[i].node_id == node_id &&
            world->members[i].standing != STANDING_REMOVED) {
            return &world->members[i];
        }
    }
    return NULL;
}

/* Of those that raft lets vote: how many there are, and how many are up. */
static void count_voters(struct world *world, unsigned *voters, unsigned *up)
{
    *voters = 0;
    *up = 0;
    for (size_t i = 0; i < world->raft.member_count; i++) {
        const struct consensus_member *node = &world->raft.members[i];
        *voters += node->role == MEMBER_VOTER;
        *up += node->role == MEMBER_VOTER && world->nodes[node->node_id].up;
    }
}

static bool has_quorum(struct world *world)
{
    unsigned voters;
    unsigned up;
    count_voters(world, &voters, &up);
    return up > voters / 2;
}

/* ---- The modelled raft ---- */

static void carry_out(struct world *world, struct membership_action action)
{
    struct consensus_member *node = raft_find(world, action.node_id);
    struct member *member = state_find(world, action.node_id);
    switch (action.step) {
    case MEMBERSHIP_ADD:
        assert_null(node);
        world->raft.members[world->raft.member_count++] =
            (struct consensus_member){.node_id = action.node_id, .role = MEMBER_SPARE};
        break;
    case MEMBERSHIP_STANDBY: node->role = MEMBER_STANDBY; break;
    case MEMBERSHIP_VOTER: node->role = MEMBER_VOTER; break;
    case MEMBERSHIP_DROP: *node = world->raft.members[--world->raft.member_count]; break;
    case MEMBERSHIP_CONFIRM: member->standing = STANDING_MEMBER; break;
    case MEMBERSHIP_ROLL_BACK: *member = world->members[--world->member_count]; break;
    case MEMBERSHIP_NOTHING:
    case MEMBERSHIP_OUT:
    case MEMBERSHIP_HAND_OVER: break;
    }
}

static void elect(struct world *world)
{
    uint64_t candidates[NODES_MAX];
    unsigned count = 0;
    world->leader_id = 0;
    if (!has_quorum(world)) {
        return;
    }
    for (size_t i = 0; i < world->raft.member_count; i++) {
        const struct consensus_member *node = &world->raft.members[i];
        if (node->role == MEMBER_VOTER && world->nodes[node->node_id].up) {
            candidates[count++] = node->node_id;
        }
    }
    world->leader_id = candidates[draw(world, count)];
    world->changed_at_ms = world->now_ms;
    for (uint64_t id = 1; id <= world->ids; id++) { /* It has heard nobody yet. */
        world->nodes[id].seen_ms = 0;
    }
}

static void lose_leader(struct world *world)
{
    if (world->change.step != MEMBERSHIP_NOTHING && draw(world, 2) == 0) {
        carry_out(world, world->change); /* Its successor had it already. */
    }
    world->change = (struct membership_action){0};
    world->leader_id = 0;
}

/* What the leader sees of the others at this time. */
static void refresh(struct world *world)
{
    for (size_t i = 0; i < world->raft.member_count; i++) {
        struct consensus_member *seen = &world->raft.members[i];
        struct node *node = &world->nodes[seen->node_id];
        bool follows = node->up && node->joined && seen->role != MEMBER_SPARE;
        if (follows) {
            node->seen_ms = world->now_ms;
            node->lag = node->lag > 500 ? node->lag - 500 : draw(world, 20);
        } else {
            node->lag += 5;
        }
        seen->connected = node->up && node->joined;
        seen->heard_ms_ago = node->seen_ms == 0 ? UINT64_MAX : world->now_ms - node->seen_ms;
        seen->match_index = node->seen_ms == 0 ? 0 : world->raft.last_index - node->lag;
    }
    world->raft.last_index += 5;
}

/* ---- What must hold of a decision ---- */

static void check_quorum_kept(struct world *world, struct membership_action action)
{
    unsigned voters = 0;
    unsigned heard = 0;
    for (size_t i = 0; i < world->raft.member_count; i++) {
        const struct consensus_member *node = &world->raft.members[i];
        bool voter = node->node_id == action.node_id ? action.step == MEMBERSHIP_VOTER
                                                     : node->role == MEMBER_VOTER;
        bool there = node->node_id == world->leader_id ||
                     (node->heard_ms_ago < SILENT_AFTER_MS && state_find(world, node->node_id));
        voters += voter;
        heard += voter && there;
    }
    CHECK(heard >= voters / 2 + 1);
    CHECK(voters <= 8); /* Seven, and an heir on the way. */
}

static void check_decision(struct world *world, struct membership_action action)
{
    struct consensus_member *node = raft_find(world, action.node_id);
    const struct member *member = state_find(world, action.node_id);
    switch (action.step) {
    case MEMBERSHIP_VOTER:
        CHECK(node != NULL && node->role == MEMBER_STANDBY && node->connected);
        CHECK(member != NULL && member->standing == STANDING_MEMBER);
        CHECK(node->match_index + 64 >= world->raft.last_index - 5);
        check_quorum_kept(world, action);
        break;
    case MEMBERSHIP_STANDBY:
    case MEMBERSHIP_DROP:
        CHECK(node != NULL && action.node_id != world->leader_id);
        if (node->role == MEMBER_VOTER) {
            check_quorum_kept(world, action);
        }
        break;
    case MEMBERSHIP_CONFIRM:
    case MEMBERSHIP_ROLL_BACK: CHECK(member->standing == STANDING_JOINING); break;
    case MEMBERSHIP_ADD:
        CHECK(member != NULL && world->raft.member_count < CONSENSUS_NODES_MAX);
        break;
    case MEMBERSHIP_OUT: CHECK(member->quarantine != QUARANTINE_NONE); break;
    case MEMBERSHIP_HAND_OVER:
    case MEMBERSHIP_NOTHING: break;
    }
}

static struct membership_view view_of(const struct world *world)
{
    return (struct membership_view){
        .members = world->members,
        .member_count = world->member_count,
        .raft = &world->raft,
        .self_id = world->leader_id,
        .voters_wanted = world->voters,
        .now_ms = world->now_ms,
        .join_timeout_ms = JOIN_TIMEOUT_MS,
        .quiet_ms = world->now_ms - world->changed_at_ms,
        .silent_after_ms = SILENT_AFTER_MS,
        .dead_after_ms = DEAD_AFTER_MS,
    };
}

static void finish_change(struct world *world)
{
    if (!has_quorum(world)) {
        return; /* It waits, like everything. */
    }
    if (world->change_ticks > 0) {
        world->change_ticks--;
        return;
    }
    carry_out(world, world->change);
    world->change = (struct membership_action){0};
    world->changed_at_ms = world->now_ms;
}

/* One tick; false if the leader had nothing to do. */
static bool tick(struct world *world)
{
    world->now_ms += TICK_MS;
    if (world->leader_id == 0 || !world->nodes[world->leader_id].up || !has_quorum(world)) {
        lose_leader(world);
        elect(world);
        return true;
    }
    refresh(world);
    if (world->change.step != MEMBERSHIP_NOTHING) {
        finish_change(world);
        return true;
    }
    struct membership_view view = view_of(world);
    struct membership_action action = membership_decide(&view);
    check_decision(world, action);
    if (action.step == MEMBERSHIP_HAND_OVER) {
        world->leader_id = 0;
        elect(world);
    } else if (action.step != MEMBERSHIP_NOTHING) {
        world->change = action;
        world->change_ticks = draw(world, CHANGE_TICKS_MAX);
    }
    return action.step != MEMBERSHIP_NOTHING;
}

/* ---- Things that happen ---- */

static unsigned present(const struct world *world)
{
    unsigned count = 0;
    for (size_t i = 0; i < world->member_count; i++) {
        count += world->members[i].standing != STANDING_REMOVED;
    }
    return count;
}

static void join(struct world *world)
{
    unsigned count = world->calm ? 1 : 1 + draw(world, 5);
    for (unsigned i = 0; i < count; i++) {
        if (present(world) >= NODES_MAX || world->ids + 1 >= IDS_MAX || world->leader_id == 0 ||
            world->raft.member_count + count >= NODES_MAX) {
            return;
        }
        uint64_t id = ++world->ids;
        world->nodes[id] =
            (struct node){.up = true, .joined = draw(world, 10) != 0, .lag = draw(world, 20000)};
        world->members[world->member_count++] =
            (struct member){.node_id = id, .standing = STANDING_JOINING, .since_ms = world->now_ms};
    }
}

/* As the leader's handler: no voter is let go that the others need, and it loses its vote first. */
static void leave(struct world *world, uint64_t id)
{
    struct member *member = state_find(world, id);
    struct membership_view view = view_of(world);
    if (member == NULL || member->standing != STANDING_MEMBER || id == world->leader_id ||
        world->leader_id == 0 || world->change.step != MEMBERSHIP_NOTHING ||
        !membership_may_go(&view, id)) {
        return;
    }
    struct consensus_member *node = raft_find(world, id);
    node->role = node->role == MEMBER_VOTER ? MEMBER_STANDBY : node->role;
    member->standing = STANDING_REMOVED;
    world->nodes[id].up = false;
    CHECK(!world->calm || has_quorum(world));
}

static void something_happens(struct world *world)
{
    static const uint64_t counts[] = {1, 3, 5, 7};
    uint64_t id = 1 + draw(world, (unsigned)world->ids);
    switch (draw(world, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: join(world); break;
    case 5:
    case 6: world->nodes[id].up = false; break;
    case 7: /* The leader dies. */ world->nodes[world->leader_id].up = world->leader_id == 0; break;
    case 8:
    case 9: world->nodes[id].up = state_find(world, id) != NULL; break;
    case 10: leave(world, id); break;
    default: world->voters = counts[draw(world, 4)]; break;
    }
}

static void recover(struct world *world)
{
    for (size_t i = 0; i < world->raft.member_count && !has_quorum(world); i++) {
        world->nodes[world->raft.members[i].node_id].up = true;
    }
}

/* In a calm seed nobody dies while the cluster could not bear it. */
static void keep_calm(struct world *world)
{
    if (world->calm) {
        recover(world);
    }
}

static void settle(struct world *world)
{
    unsigned quiet = 0;
    unsigned ticks = 0;
    /* Longer than it takes to call a node dead, and to give up one that never came. */
    for (; quiet < 2 * JOIN_TIMEOUT_MS / TICK_MS && ticks < SETTLE_TICKS; ticks++) {
        quiet = tick(world) ? 0 : quiet + 1;
    }
    CHECK(ticks < SETTLE_TICKS);
}

static void check_settled(struct world *world)
{
    uint64_t members = 0;
    uint64_t up = 0;
    unsigned voters;
    unsigned voters_up;
    count_voters(world, &voters, &voters_up);
    for (size_t i = 0; i < world->member_count; i++) {
        const struct member *member = &world->members[i];
        if (member->standing != STANDING_REMOVED) {
            CHECK(raft_find(world, member->node_id) != NULL);
            members += member->standing == STANDING_MEMBER;
            up += member->standing == STANDING_MEMBER && world->nodes[member->node_id].up;
        }
    }
    uint64_t wanted = membership_voters(members, world->voters);
    CHECK_U64(world->raft.member_count, present(world));
    CHECK(voters % 2 == 1 || (voters == 2 && up == 2 && wanted > 2));
    CHECK(voters <= wanted);
    if (up >= wanted) {
        CHECK_U64(voters, wanted);
        CHECK_U64(voters_up, wanted);
    } else { /* All that could vote do, but for an odd one. */
        CHECK(voters_up + 1 >= up);
    }
}

static struct world *make_world(unsigned seed, bool calm)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *world = (struct world){.random = seed,
                            .ids = 1,
                            .member_count = 1,
                            .leader_id = 1,
                            .voters = 3,
                            .calm = calm,
                            .now_ms = 1000000,
                            .changed_at_ms = 1000000};
    world->nodes[1] = (struct node){.up = true, .joined = true};
    world->members[0] = (struct member){.node_id = 1, .standing = STANDING_MEMBER};
    world->raft.member_count = 1;
    world->raft.last_index = 100000;
    world->raft.members[0] = (struct consensus_member){.node_id = 1, .role = MEMBER_VOTER};
    return world;
}

static void run_seed(unsigned seed, bool calm, unsigned *largest)
{
    char name[64];
    struct world *world = make_world(seed, calm);
    (void)snprintf(name, sizeof name, "seed %u, %s", seed, calm ? "calm" : "wild");
    check_row(name);
    for (int event = 0; event < EVENTS; event++) {
        something_happens(world);
        keep_calm(world);
        if (calm) {
            settle(world);
            check_settled(world);
        } else {
            for (unsigned ticks = draw(world, 80); ticks > 0; ticks--) {
                (void)tick(world);
            }
        }
        *largest = present(world) > *largest ? present(world) : *largest;
    }
    recover(world);
    settle(world);
    check_settled(world);
    free(world);
}

static void test_wild(void **state)
{
    (void)state;
    unsigned largest = 0;
    for (unsigned seed = 1; seed <= 300; seed++) {
        run_seed(seed, false, &largest);
    }
    CHECK_U64(largest, NODES_MAX); /* The limit was met. */
}

static void test_calm(void **state)
{
    (void)state;
    unsigned largest = 0;
    for (unsigned seed = 1; seed <= 40; seed++) {
        run_seed(seed, true, &largest);
    }
    CHECK(largest > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wild),
        cmocka_unit_test(test_calm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
