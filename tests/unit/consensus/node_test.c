/*
 * The node by its promises, with real logs and real TLS peers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cluster.h"

#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"

static struct cluster cluster;

static int remove_cluster(void **state)
{
    (void)state;
    (void)fault_reset();
    cluster_remove(&cluster);
    return 0;
}

static void test_alone(void **state)
{
    (void)state;
    cluster_make(&cluster, 1);
    cluster_start(&cluster, 1);
    unsigned answers = 0;
    CHECK_U64(cluster_propose(&cluster, 0, 1000, 40, &answers), 1000);
    CHECK_U64(answers, 1000);
    CHECK_U64(cluster.nodes[0].state.count, 1000);
    CHECK_OK(cluster_read(&cluster, 0));

    struct consensus_status status;
    consensus_status(cluster.nodes[0].consensus, &status);
    CHECK(status.quorum && status.event.ready && status.event.leader_id == cluster.nodes[0].id);
    CHECK_U64(status.member_count, 1);
    CHECK_U64(status.proposals, 1000);
    CHECK(status.entries > 0 && status.entries <= 1000);
    CHECK_SLICE(slice_of(status.library), slice_of("raft library 0.15.0, guarded"));
}

static void test_restart(void **state)
{
    (void)state;
    cluster_make(&cluster, 1);
    cluster_start(&cluster, 1);
    CHECK_U64(cluster_propose(&cluster, 0, 200, 40, NULL), 200);
    uint64_t term = cluster.nodes[0].event.term;
    cluster_close(&cluster, 0);
    cluster_open(&cluster, 0, true); /* The flag is for an empty log only. */
    CHECK(cluster_wait_leader(&cluster, -1) == 0);
    CHECK(cluster.nodes[0].event.term > term);
    CHECK_U64(cluster_propose(&cluster, 0, 10, 40, NULL), 10);
    CHECK_U64(cluster.nodes[0].state.count, 210);
    CHECK_U64(cluster.nodes[0].replays, 0);
}

static void test_three(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    CHECK_U64(cluster_propose(&cluster, 0, 10000, 128, NULL), 10000);
    cluster_wait_agreed(&cluster);
    CHECK_U64(cluster.nodes[2].state.count, 10000);

    cluster_close(&cluster, 0);
    int leader = cluster_wait_leader(&cluster, 0);
    CHECK_U64(cluster_propose(&cluster, leader, 500, 64, NULL), 500);
    CHECK_OK(cluster_read(&cluster, leader));
    cluster_open(&cluster, 0, false);
    cluster_wait_agreed(&cluster);
    CHECK_U64(cluster.nodes[0].state.count, 10500);
    for (int i = 0; i < 3; i++) {
        CHECK_U64(cluster.nodes[i].replays, 0);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    cluster_make(&cluster, 2);
    cluster_start(&cluster, 2);
    struct proposal proposal;
    struct read_barrier barrier;
    struct consensus *leader = cluster.nodes[0].consensus;
    struct consensus *follower = cluster.nodes[1].consensus;
    CHECK_CODE(consensus_propose(leader, &proposal, slice_of(""), NULL), STATUS_INVALID);
    CHECK_CODE(consensus_propose(follower, &proposal, slice_of("x"), NULL), STATUS_NOT_LEADER);
    CHECK_CODE(consensus_read(follower, &barrier, NULL), STATUS_NOT_LEADER);
    CHECK_CODE(cluster_add(&cluster, 1, 0), STATUS_NOT_LEADER);
    CHECK_CODE(cluster_add(&cluster, 0, 1), STATUS_INVALID);
    CHECK_CODE(cluster_assign(&cluster, 0, 1, MEMBER_VOTER), STATUS_INVALID);
    CHECK_CODE(cluster_transfer(&cluster, 0, 0), STATUS_NOT_FOUND);
}

static void test_members(void **state)
{
    (void)state;
    cluster_make(&cluster, 4);
    cluster_start(&cluster, 3);
    CHECK_U64(cluster_propose(&cluster, 0, 100, 64, NULL), 100);
    cluster_open(&cluster, 3, false);
    CHECK_CODE(cluster_assign(&cluster, 0, 3, MEMBER_VOTER), STATUS_NOT_FOUND);
    CHECK_OK(cluster_add(&cluster, 0, 3));
    CHECK_OK(cluster_assign(&cluster, 0, 3, MEMBER_STANDBY));
    cluster_wait_agreed(&cluster);
    CHECK_OK(cluster_assign(&cluster, 0, 3, MEMBER_VOTER));

    CHECK_OK(cluster_transfer(&cluster, 0, 3));
    CHECK(cluster_wait_leader(&cluster, 0) == 3);
    CHECK_CODE(cluster_take_out(&cluster, 3, 3), STATUS_INVALID);
    CHECK_CODE(cluster_assign(&cluster, 3, 3, MEMBER_STANDBY), STATUS_INVALID);
    CHECK_OK(cluster_take_out(&cluster, 3, 0));
    CHECK_OK(cluster_assign(&cluster, 3, 1, MEMBER_SPARE));
    cluster_close(&cluster, 0);
    CHECK_U64(cluster_propose(&cluster, 3, 100, 64, NULL), 100);

    struct consensus_status status;
    consensus_status(cluster.nodes[3].consensus, &status);
    CHECK_U64(status.member_count, 3);
    CHECK_CODE(cluster_take_out(&cluster, 3, 0), STATUS_NOT_FOUND);
    CHECK_OK(cluster_transfer(&cluster, 3, -1)); /* The only other voter is 2. */
    CHECK(cluster_wait_leader(&cluster, 3) == 2);
}

/* One voter becomes two, and both restart. */
static void test_grow_and_restart(void **state)
{
    (void)state;
    cluster_make(&cluster, 2);
    cluster_start(&cluster, 1);
    CHECK_CODE(cluster_transfer(&cluster, 0, -1), STATUS_NOT_FOUND);
    cluster_open(&cluster, 1, false);
    CHECK_OK(cluster_add(&cluster, 0, 1));
    CHECK_OK(cluster_assign(&cluster, 0, 1, MEMBER_VOTER));
    cluster_close(&cluster, 0);
    cluster_close(&cluster, 1);
    cluster_open(&cluster, 0, false);
    cluster_open(&cluster, 1, false);
    int leader = cluster_wait_leader(&cluster, -1);
    CHECK_U64(cluster_propose(&cluster, leader, 100, 64, NULL), 100);
    cluster_wait_agreed(&cluster);
}

/* Far more than one turn of the loop takes: the limit answers, and nothing accepted is lost. */
static void test_pending_limit(void **state)
{
    (void)state;
    cluster_make(&cluster, 1);
    cluster.options.pending_size_max = 64 << 10;
    cluster_start(&cluster, 1);
    static struct proposal proposal;
    static char command[1024];
    struct slice bytes = {.data = command, .size = sizeof command};
    unsigned accepted = cluster_propose(&cluster, 0, 99, sizeof command, NULL);
    CHECK(accepted >= 64 && accepted < 99);
    CHECK_U64(cluster.nodes[0].state.count, accepted);
    bytes.size = 0;
    CHECK_CODE(consensus_propose(cluster.nodes[0].consensus, &proposal, bytes, NULL),
               STATUS_INVALID);
}

static void test_image(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster.options.snapshot_after_size = 64 << 10;
    cluster.options.snapshot_trailing_count = 4;
    cluster.options.segment_size = 64 << 10;
    cluster_start(&cluster, 2);
    cluster.nodes[0].state.padding = 3 << 20;
    for (int i = 0; i < 10; i++) {
        CHECK_U64(cluster_propose(&cluster, 0, 200, 128, NULL), 200);
    }
    struct consensus_status status;
    consensus_status(cluster.nodes[0].consensus, &status);
    CHECK(status.snapshots_taken > 0);
    CHECK(status.first_index > 1);

    cluster.nodes[2].is_new = true;
    cluster_tell_address(&cluster, 0);
    cluster_open(&cluster, 2, false);
    CHECK_OK(cluster_add(&cluster, 0, 2));
    CHECK_OK(cluster_assign(&cluster, 0, 2, MEMBER_VOTER));
    cluster_wait_agreed(&cluster);
    CHECK_U64(cluster.nodes[2].installs, 1);
    CHECK_U64(cluster_propose(&cluster, 0, 10, 128, NULL), 10);
    cluster_wait_agreed(&cluster);
    cluster_close(&cluster, 2);
    cluster_open(&cluster, 2, false);
    cluster_wait_agreed(&cluster);
    CHECK_U64(cluster.nodes[2].replays, 0);
}

static bool serves(struct cluster *unused, void *context)
{
    struct consensus_status status;
    (void)unused;
    consensus_status(((struct cluster_node *)context)->consensus, &status);
    return status.transfer_count == 1 && status.transfers[0].sending &&
           status.transfers[0].done_size > 1 << 20;
}

/* Write until a node that was added has what the others have. */
static void write_until_caught_up(struct cluster_node *late)
{
    uint64_t deadline_ms = clock_monotonic_ms() + CLUSTER_WAIT_MS;
    while (late->state.count + 100 < cluster.nodes[0].state.count) {
        CHECK(clock_monotonic_ms() < deadline_ms);
        CHECK_U64(cluster_propose(&cluster, 0, 20, 1024, NULL), 20);
    }
}

/* The image takes far longer than the log between two snapshots, while the writes go on: it must be one
 * image, cut off and gone on with, and not one after the other for ever. */
static void test_image_under_load(void **state)
{
    struct consensus_status status;
    struct cluster_node *late = &cluster.nodes[2];
    (void)state;
    cluster_make(&cluster, 3);
    cluster.options.snapshot_after_size = 64 << 10;
    cluster.options.snapshot_trailing_count = 4;
    cluster.options.segment_size = 64 << 10;
    cluster.options.catch_up_rate_max = 2 << 20;
    cluster_start(&cluster, 2);
    cluster.nodes[0].state.padding = 4 << 20;
    CHECK_U64(cluster_propose(&cluster, 0, 200, 1024, NULL), 200);
    cluster_open(&cluster, 2, false);
    CHECK_OK(cluster_add(&cluster, 0, 2));
    CHECK_OK(cluster_assign(&cluster, 0, 2, MEMBER_STANDBY));

    CHECK(cluster_wait(&cluster, serves, &cluster.nodes[0]));
    consensus_status(cluster.nodes[0].consensus, &status);
    uint64_t taken = status.snapshots_taken;
    CHECK_U64(status.transfers[0].node_id, late->id);
    cluster_link(&cluster, 0, 2, false);
    CHECK_U64(cluster_propose(&cluster, 0, 200, 1024, NULL), 200);
    cluster_link(&cluster, 0, 2, true);
    write_until_caught_up(late);
    CHECK_U64(late->installs, 1);
    consensus_status(late->consensus, &status);
    CHECK(status.images_resumed > 0);
    consensus_status(cluster.nodes[0].consensus, &status);
    CHECK_U64(status.transfer_count, 0);

    /* It holds the log no longer than that. */
    uint64_t deadline_ms = clock_monotonic_ms() + CLUSTER_WAIT_MS;
    while (status.snapshots_taken == taken) {
        CHECK(clock_monotonic_ms() < deadline_ms);
        CHECK_U64(cluster_propose(&cluster, 0, 20, 1024, NULL), 20);
        consensus_status(cluster.nodes[0].consensus, &status);
    }
    cluster_wait_agreed(&cluster);
}

static void test_store_behind_log(void **state)
{
    (void)state;
    cluster_make(&cluster, 1);
    cluster.options.snapshot_after_size = 16 << 10;
    cluster_start(&cluster, 1);
    CHECK_U64(cluster_propose(&cluster, 0, 500, 128, NULL), 500);
    CHECK_U64(cluster_propose(&cluster, 0, 500, 128, NULL), 500);
    cluster_close(&cluster, 0);
    cluster.nodes[0].state = (struct cluster_state){0};
    CHECK_CODE(cluster_try_open(&cluster, 0, false), STATUS_CORRUPT);
}

static bool is_fatal(struct cluster *unused, void *context)
{
    (void)unused;
    return ((struct cluster_node *)context)->fatal_count > 0;
}

static void test_disk_fails(void **state)
{
    (void)state;
    static const enum fault_point points[] = {FAULT_WAL_WRITE, FAULT_WAL_SYNC};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        cluster_make(&cluster, 1);
        cluster_start(&cluster, 1);
        struct cluster_node *node = &cluster.nodes[0];
        CHECK_U64(cluster_propose(&cluster, 0, 10, 64, NULL), 10);
        fault_arm(points[i], 0, -1);
        unsigned answers = 0;
        CHECK_U64(cluster_propose(&cluster, 0, 50, 64, &answers), 0);
        CHECK_U64(answers, 50);
        CHECK(cluster_wait(&cluster, is_fatal, node));
        CHECK(node->event.role == CONSENSUS_STOPPED && !node->event.ready);
        CHECK_U64(node->fatal_count, 1);
        struct proposal proposal;
        CHECK_CODE(consensus_propose(node->consensus, &proposal, slice_of("x"), NULL),
                   STATUS_NOT_LEADER);
        CHECK(fault_reset() > 0);
        cluster_close(&cluster, 0);
        cluster_open(&cluster, 0, false);
        CHECK(cluster_wait_leader(&cluster, -1) == 0);
        CHECK_U64(cluster_propose(&cluster, 0, 10, 64, NULL), 10);
        CHECK_U64(node->replays, 0);
        if (i + 1 < sizeof points / sizeof points[0]) {
            cluster_remove(&cluster);
        }
    }
}

/* What fails is no append: libraft hears nothing of it. */
static void test_disk_fails_in_snapshot(void **state)
{
    (void)state;
    cluster_make(&cluster, 1);
    cluster.options.snapshot_after_size = 4 << 10;
    cluster_start(&cluster, 1);
    struct cluster_node *node = &cluster.nodes[0];
    fault_arm(FAULT_WAL_RENAME, 0, -1);
    for (unsigned i = 0; i < 200 && node->fatal_count == 0; i++) {
        (void)cluster_propose(&cluster, 0, 20, 64, NULL); /* Some entry will be due a snapshot. */
    }
    CHECK_U64(node->fatal_count, 1);
    CHECK(node->event.role == CONSENSUS_STOPPED);
    CHECK(fault_reset() > 0);
}

static void test_machine_fails(void **state)
{
    (void)state;
    cluster_make(&cluster, 1);
    cluster_start(&cluster, 1);
    struct cluster_node *node = &cluster.nodes[0];
    node->apply_fails = true;
    CHECK_U64(cluster_propose(&cluster, 0, 5, 64, NULL), 0);
    CHECK(cluster_wait(&cluster, is_fatal, node));
    CHECK_CODE(node->fatal, STATUS_FULL);
    node->apply_fails = false;
    cluster_close(&cluster, 0);
    cluster_open(&cluster, 0, false);
    CHECK(cluster_wait_leader(&cluster, -1) == 0);
    CHECK_U64(node->state.count, 5); /* It was in the log. */
}

/* A leader without room refuses, leads on, and can hand over. */
static void test_full_leader(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    struct proposal proposal;
    cluster.nodes[0].full = true;
    CHECK_CODE(consensus_propose(cluster.nodes[0].consensus, &proposal, slice_of("x"), NULL),
               STATUS_FULL);
    CHECK(cluster_leader(&cluster) == 0);
    CHECK_U64(cluster.nodes[0].fatal_count, 0);
    CHECK_OK(cluster_read(&cluster, 0));
    CHECK_OK(cluster_transfer(&cluster, 0, 1));
    CHECK(cluster_wait_leader(&cluster, 0) == 1);
    CHECK_U64(cluster_propose(&cluster, 1, 20, 64, NULL), 20);
    cluster_wait_agreed(&cluster); /* As a follower it still had room. */
}

struct lag {
    int leader;
    uint64_t id;
    uint64_t match_index;
    uint64_t last_index; /* Of the leader. */
};

/* The leader hears the lagging node, again and again. */
static bool is_heard(struct cluster *whole, void *context)
{
    struct lag *lag = context;
    static struct consensus_status status;
    consensus_status(whole->nodes[lag->leader].consensus, &status);
    for (size_t i = 0; i < status.member_count; i++) {
        if (status.members[i].node_id == lag->id) {
            lag->match_index = status.members[i].match_index;
            lag->last_index = status.last_index;
            return status.members[i].heard_ms_ago == 0;
        }
    }
    return false;
}

/* A follower without room lags, lives, and catches up; meanwhile the others are a quorum. */
static void test_full_follower(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    struct cluster_node *node = &cluster.nodes[2];
    cluster_wait_agreed(&cluster);
    uint64_t applied = node->state.applied;
    node->full = node->follower_full = true;
    struct lag lag = {.leader = 0, .id = node->id};
    CHECK(cluster_wait(&cluster, is_heard, &lag));
    uint64_t before = lag.last_index;
    for (int i = 0; i < 10; i++) {
        CHECK_U64(cluster_propose(&cluster, 0, 20, 64, NULL), 20);
        CHECK(cluster_wait(&cluster, is_heard, &lag));
    }
    CHECK_U64(node->state.applied, applied);
    CHECK(lag.match_index <= before && lag.last_index > before);
    CHECK(node->event.role == CONSENSUS_FOLLOWER && node->event.leader_id == cluster.nodes[0].id);
    CHECK_U64(node->fatal_count, 0);
    node->full = node->follower_full = false;
    cluster_wait_agreed(&cluster);
    CHECK(node->state.applied > applied);
}

/* Nobody has room: somebody is elected all the same, nobody fails, and it goes on when there is. */
static void test_all_full(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    CHECK_U64(cluster_propose(&cluster, 0, 10, 64, NULL), 10);
    for (int i = 0; i < 3; i++) {
        cluster.nodes[i].full = cluster.nodes[i].follower_full = true;
    }
    cluster_isolate(&cluster, 0, true);
    int leader = cluster_wait_leader(&cluster, 0);
    struct proposal proposal;
    CHECK_CODE(consensus_propose(cluster.nodes[leader].consensus, &proposal, slice_of("x"), NULL),
               STATUS_FULL);
    cluster_isolate(&cluster, 0, false);
    for (int i = 0; i < 3; i++) {
        CHECK_U64(cluster.nodes[i].fatal_count, 0);
        cluster.nodes[i].full = cluster.nodes[i].follower_full = false;
    }
    CHECK_U64(cluster_propose(&cluster, leader, 10, 64, NULL), 10);
    cluster_wait_agreed(&cluster);
}

static bool is_follower(struct cluster *unused, void *context)
{
    (void)unused;
    return ((struct cluster_node *)context)->event.role != CONSENSUS_LEADER;
}

static void test_partition(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    CHECK_U64(cluster_propose(&cluster, 0, 10, 64, NULL), 10);
    cluster_isolate(&cluster, 0, true);
    /* The old leader may believe in itself for an election time-out, but reads nothing. */
    struct status status = cluster_read(&cluster, 0);
    CHECK(status.code == STATUS_NO_QUORUM || status.code == STATUS_UNKNOWN);
    int leader = cluster_wait_leader(&cluster, 0);
    CHECK_U64(cluster_propose(&cluster, leader, 10, 64, NULL), 10);
    CHECK(cluster_wait(&cluster, is_follower, &cluster.nodes[0]));
    CHECK_CODE(cluster_read(&cluster, 0), STATUS_NOT_LEADER);
    CHECK_OK(cluster_read(&cluster, leader));
    cluster_isolate(&cluster, 0, false);
    cluster_wait_agreed(&cluster);
    CHECK_U64(cluster.nodes[0].state.count, 20);
}

static bool has_no_leader(struct cluster *unused, void *context)
{
    (void)unused;
    return ((struct cluster_node *)context)->event.leader_id == 0;
}

static bool has_leader(struct cluster *unused, void *context)
{
    (void)unused;
    return ((struct cluster_node *)context)->event.leader_id != 0;
}

/* A standby stands for no election, and notices all the same that its leader is gone. */
static void test_standby_without_leader(void **state)
{
    (void)state;
    cluster_make(&cluster, 2);
    cluster_start(&cluster, 1);
    cluster_open(&cluster, 1, false);
    CHECK_OK(cluster_add(&cluster, 0, 1));
    CHECK_OK(cluster_assign(&cluster, 0, 1, MEMBER_STANDBY));
    cluster_wait_agreed(&cluster);
    CHECK(cluster_wait(&cluster, has_leader, &cluster.nodes[1]));
    cluster_close(&cluster, 0);
    CHECK(cluster_wait(&cluster, has_no_leader, &cluster.nodes[1]));
    CHECK(cluster.nodes[1].event.role == CONSENSUS_FOLLOWER);
    cluster_open(&cluster, 0, false);
    CHECK(cluster_wait_leader(&cluster, -1) == 0);
    cluster_wait_agreed(&cluster);
}

/* Whose process ends is followed by another long before the time-out, which here is longer than this
 * test would wait. */
static void test_leader_gone(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster.options.election_timeout_ms = 2 * CLUSTER_WAIT_MS;
    cluster_start(&cluster, 3);
    CHECK_U64(cluster_propose(&cluster, 0, 10, 64, NULL), 10);
    cluster_close(&cluster, 0);
    int leader = cluster_wait_leader(&cluster, 0);
    CHECK(leader > 0);
    CHECK_U64(cluster_propose(&cluster, leader, 10, 64, NULL), 10);
    cluster_wait_agreed(&cluster);
    CHECK_U64(cluster.nodes[leader].state.count, 20);
}

static void test_close_answers(void **state)
{
    (void)state;
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    cluster_isolate(&cluster, 0, true);
    unsigned answers = 0;
    /* Accepted by a leader that cannot commit them: answered when it steps down. */
    unsigned good = cluster_propose(&cluster, 0, 50, 64, &answers);
    CHECK_U64(good, 0);
    cluster_isolate(&cluster, 0, false);
    int leader = cluster_wait_leader(&cluster, -1);
    CHECK_U64(cluster_propose(&cluster, leader, 10, 64, NULL), 10);
    cluster_wait_agreed(&cluster);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_alone, remove_cluster),
        cmocka_unit_test_teardown(test_restart, remove_cluster),
        cmocka_unit_test_teardown(test_three, remove_cluster),
        cmocka_unit_test_teardown(test_refusals, remove_cluster),
        cmocka_unit_test_teardown(test_members, remove_cluster),
        cmocka_unit_test_teardown(test_grow_and_restart, remove_cluster),
        cmocka_unit_test_teardown(test_pending_limit, remove_cluster),
        cmocka_unit_test_teardown(test_image, remove_cluster),
        cmocka_unit_test_teardown(test_image_under_load, remove_cluster),
        cmocka_unit_test_teardown(test_store_behind_log, remove_cluster),
        cmocka_unit_test_teardown(test_disk_fails, remove_cluster),
        cmocka_unit_test_teardown(test_disk_fails_in_snapshot, remove_cluster),
        cmocka_unit_test_teardown(test_machine_fails, remove_cluster),
        cmocka_unit_test_teardown(test_full_leader, remove_cluster),
        cmocka_unit_test_teardown(test_full_follower, remove_cluster),
        cmocka_unit_test_teardown(test_all_full, remove_cluster),
        cmocka_unit_test_teardown(test_partition, remove_cluster),
        cmocka_unit_test_teardown(test_standby_without_leader, remove_cluster),
        cmocka_unit_test_teardown(test_leader_gone, remove_cluster),
        cmocka_unit_test_teardown(test_close_answers, remove_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
