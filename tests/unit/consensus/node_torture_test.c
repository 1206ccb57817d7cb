/*
 * Whole nodes under failures: the first visit to a fault point fails, in another run the fourth, while
 * three nodes write, take snapshots, come back and hand over. One node at most fails of it; it may
 * stop itself, and is opened again. Every proposal is answered once, what was answered well is there,
 * no entry is applied twice, and the three agree.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>

#include "base/fault.h"
#include "cluster.h"

#define NODES 3
#define ALLOCATION_STEP 251 /* Of some 1,700 that a run comes by. */

static struct cluster cluster;

static bool opens(struct cluster *whole, void *context)
{
    return !failed(cluster_try_open(whole, *(const int *)context, false));
}

/* A failure may also meet the opening, which is tried again: what a failed one began ends in the loop. */
static void open_again(int number)
{
    CHECK(cluster_wait(&cluster, opens, &number));
}

static void revive(void)
{
    for (int i = 0; i < NODES; i++) {
        if (cluster.nodes[i].consensus != NULL && cluster.nodes[i].fatal_count > 0) {
            cluster_close(&cluster, i);
            open_again(i);
        }
    }
}

static int leader(void)
{
    revive();
    return cluster_wait_leader(&cluster, -1);
}

/* Returns how many were answered well. */
static unsigned write_some(void)
{
    unsigned good = 0;
    for (int i = 0; i < 24; i++) {
        good += cluster_propose(&cluster, leader(), 10, 1024, NULL);
    }
    return good;
}

static bool torture_once(enum fault_point point, int after)
{
    cluster_make(&cluster, NODES);
    cluster.options.snapshot_after_size = 32 << 10;
    cluster.options.snapshot_trailing_count = 4;
    cluster.options.segment_size = 64 << 10;
    cluster_start(&cluster, NODES);

    fault_arm(point, after, 1);
    unsigned good = write_some();
    int away = (leader() + 1) % NODES;
    cluster_close(&cluster, away);
    good += write_some();
    open_again(away);
    good += write_some();
    int heir = (leader() + 1) % NODES;
    (void)failed(cluster_transfer(&cluster, leader(), heir)); /* It is an offer. */
    good += write_some();
    bool fired = fault_reset() != 0;

    (void)leader();
    cluster_wait_agreed(&cluster);
    CHECK(cluster_propose(&cluster, leader(), 20, 64, NULL) == 20);
    cluster_wait_agreed(&cluster);
    for (int i = 0; i < NODES; i++) {
        CHECK_U64(cluster.nodes[i].replays, 0);
        CHECK(cluster.nodes[i].state.count >= good + 20);
    }
    cluster_remove(&cluster);
    return fired;
}

static void test_failures(void **state)
{
    static const enum fault_point points[] = {
        FAULT_NODE_APPEND, FAULT_NODE_SNAPSHOT_TAKE, FAULT_NODE_SNAPSHOT_PUT, FAULT_NODE_PROPOSE,
        FAULT_NODE_CHANGE, FAULT_PEER_SEND,          FAULT_WAL_OPEN,          FAULT_WAL_ALLOCATE,
        FAULT_WAL_WRITE,   FAULT_WAL_SYNC,           FAULT_WAL_RENAME,
    };
    static const int visits[] = {0, 3};
    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        bool fired = true;
        check_row(fault_name(points[i]));
        for (size_t k = 0; fired && k < sizeof visits / sizeof visits[0]; k++) {
            fired = torture_once(points[i], visits[k]);
            CHECK(fired || k > 0);
        }
    }
}

/* Whoever allocates has an answer to NULL, or is one of the libraries that docs/verification.md
 * names. MUSTER_TORTURE_STEP=1 comes to every allocation. */
static void test_allocations(void **state)
{
    const char *given = getenv("MUSTER_TORTURE_STEP");
    int step = given == NULL ? ALLOCATION_STEP : (int)strtol(given, NULL, 10);
    int after = 0;
    (void)state;
    check_row(fault_name(FAULT_ALLOC));
    while (torture_once(FAULT_ALLOC, after)) {
        after += step > 0 ? step : 1;
    }
    CHECK(after > 0);
}

static int remove_cluster(void **state)
{
    (void)state;
    (void)fault_reset();
    return 0;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* As musterd does. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_failures, remove_cluster),
        cmocka_unit_test_teardown(test_allocations, remove_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
