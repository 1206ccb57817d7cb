/*
 * Handing over to a voter that cannot take over at once: it is waited for, asked again, and if that is in
 * vain the reason is told. Writes go on meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <string.h>

#include "cluster.h"

#define PATIENCE_MS 60000U /* Far more than is needed. */

static struct cluster cluster;

struct wish {
    struct membership_change change;
    struct status status;
    bool answered;
};

static void on_answer(struct membership_change *change, struct status status)
{
    struct wish *wish = change->context;
    CHECK(!wish->answered);
    wish->answered = true;
    wish->status = status;
}

static bool is_answered(struct cluster *whole, void *context)
{
    (void)whole;
    return ((struct wish *)context)->answered;
}

static void begin(struct wish *wish, int heir, uint64_t patience_ms)
{
    *wish = (struct wish){.change.context = wish};
    CHECK_OK(consensus_transfer(cluster.nodes[0].consensus, heir < 0 ? 0 : cluster.nodes[heir].id,
                                patience_ms, &wish->change, on_answer));
    CHECK(!wish->answered);
}

static void make_three(void)
{
    cluster_make(&cluster, 3);
    cluster_start(&cluster, 3);
    cluster_wait_agreed(&cluster);
}

static int remove_cluster(void **state)
{
    (void)state;
    cluster_remove(&cluster);
    return 0;
}

/* It restarts: it is asked as soon as it answers. */
static void test_restarting(void **state)
{
    struct wish wish;
    (void)state;
    make_three();
    cluster_close(&cluster, 1);
    begin(&wish, 1, PATIENCE_MS);
    CHECK_U64(cluster_propose(&cluster, 0, 50, 64, NULL), 50); /* Nobody is asked yet. */
    CHECK(!wish.answered);
    cluster_open(&cluster, 1, false);
    CHECK(cluster_wait(&cluster, is_answered, &wish));
    CHECK_OK(wish.status);
    CHECK(cluster_wait_leader(&cluster, 0) == 1);
    cluster_wait_agreed(&cluster);
}

/* As above, while the leader still thinks that all is well: whoever is asked then is asked in vain. */
static void test_asked_in_vain(void **state)
{
    struct wish wish;
    (void)state;
    make_three();
    cluster_isolate(&cluster, 1, true);
    begin(&wish, 1, 0);
    CHECK(cluster_wait(&cluster, is_answered, &wish));
    CHECK_CODE(wish.status, STATUS_TIMEOUT);
    begin(&wish, 1, PATIENCE_MS);
    cluster_isolate(&cluster, 1, false);
    CHECK(cluster_wait(&cluster, is_answered, &wish));
    CHECK_OK(wish.status);
    (void)cluster_wait_leader(&cluster, 0);
}

static void test_gone(void **state)
{
    struct wish wish;
    (void)state;
    make_three();
    cluster_close(&cluster, 1);
    uint64_t patience_ms = 2000;
    begin(&wish, 1, patience_ms);
    CHECK(cluster_wait(&cluster, is_answered, &wish));
    CHECK_CODE(wish.status, STATUS_TIMEOUT);
    CHECK(strstr(wish.status.message, "has not answered") != NULL);
    CHECK(cluster_leader(&cluster) == 0);
    CHECK_U64(cluster_propose(&cluster, 0, 50, 64, NULL), 50);
}

/* It answers, and takes no entries for now. */
static void test_behind(void **state)
{
    struct wish wish;
    (void)state;
    make_three();
    cluster.nodes[1].full = cluster.nodes[1].follower_full = true;
    for (int i = 0; i < 100; i++) {
        CHECK_U64(cluster_propose(&cluster, 0, 1, 64, NULL), 1);
    }
    for (int i = 0; i < 50; i++) { /* On a busy machine it may just not have been heard. */
        begin(&wish, 1, 500);
        CHECK(cluster_wait(&cluster, is_answered, &wish));
        CHECK_CODE(wish.status, STATUS_TIMEOUT);
        if (strstr(wish.status.message, "is catching up, it lacks 1") != NULL) {
            break;
        }
        CHECK(i < 49);
    }
    begin(&wish, 1, PATIENCE_MS);
    cluster.nodes[1].full = cluster.nodes[1].follower_full = false;
    CHECK(cluster_wait(&cluster, is_answered, &wish));
    CHECK_OK(wish.status);
    CHECK(cluster_wait_leader(&cluster, 0) == 1);
}

/* Whoever is best when the time has come. */
static void test_unnamed(void **state)
{
    struct wish wish;
    (void)state;
    make_three();
    begin(&wish, -1, PATIENCE_MS);
    CHECK(cluster_wait(&cluster, is_answered, &wish));
    CHECK_OK(wish.status);
    CHECK(cluster_wait_leader(&cluster, 0) != 0);
}

/* A leader that is closed, or loses its quorum, while it waits: answered all the same, once. */
static void test_ends_meanwhile(void **state)
{
    struct wish wish;
    struct membership_change other;
    (void)state;
    make_three();
    cluster_close(&cluster, 1);
    begin(&wish, 1, PATIENCE_MS);
    CHECK_CODE(
        consensus_transfer(cluster.nodes[0].consensus, cluster.nodes[2].id, 0, &other, on_answer),
        STATUS_BUSY);
    cluster_close(&cluster, 0);
    CHECK(wish.answered);
}

static void test_who_cannot(void **state)
{
    struct membership_change change;
    (void)state;
    make_three();
    CHECK_OK(cluster_assign(&cluster, 0, 2, MEMBER_STANDBY));
    struct consensus *leader = cluster.nodes[0].consensus;
    CHECK_CODE(consensus_transfer(leader, cluster.nodes[2].id, 0, &change, on_answer),
               STATUS_INVALID);
    CHECK_CODE(consensus_transfer(leader, cluster.nodes[0].id, 0, &change, on_answer),
               STATUS_NOT_FOUND);
    CHECK_CODE(consensus_transfer(leader, 42, 0, &change, on_answer), STATUS_NOT_FOUND);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_restarting, remove_cluster),
        cmocka_unit_test_teardown(test_asked_in_vain, remove_cluster),
        cmocka_unit_test_teardown(test_gone, remove_cluster),
        cmocka_unit_test_teardown(test_behind, remove_cluster),
        cmocka_unit_test_teardown(test_unnamed, remove_cluster),
        cmocka_unit_test_teardown(test_ends_meanwhile, remove_cluster),
        cmocka_unit_test_teardown(test_who_cannot, remove_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
