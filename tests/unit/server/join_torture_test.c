/*
 * Joining and leaving under failures: two daemons, one of which joins the other's cluster and leaves
 * it again, while a visit to a fault point of either fails. Whatever failed, the caller is told; the
 * node is a member or as it was, and not locked; the cluster lists it once; and without the fault the
 * same is done.
 *
 *     MUSTER_TORTURE_STEP=7    each visit to each point, and every seventh allocation (an hour)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "daemon_harness.h"

#define WAIT_MS 60000
#define CLUSTER 0
#define GUEST 1
#define VISITS 1            /* To each point, unless told. */
#define ALLOCATION_STEP 211 /* Likewise. */
#define ALLOCATIONS 500

static struct daemon_harness nodes[2];
static bool starving; /* It is memory that fails. */

static uint64_t ask(size_t node, enum rpc_method method, const void *params, struct arena *arena,
                    void *result)
{
    const struct connection_request request = {.method = method, .params = params};
    return daemon_harness_ask(&nodes[node], &request, arena, result, NULL);
}

/* ---- Faults of a daemon ---- */

static struct fault_row *rows_of(size_t node)
{
    char path[SCRATCH_PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/faults", nodes[node].folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    struct fault_row *rows =
        mmap(NULL, FAULT_COUNT * sizeof *rows, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(rows != MAP_FAILED);
    (void)close(fd);
    return rows;
}

static void arm(struct fault_row *row, uint64_t after)
{
    row->action = FAULT_FAILS;
    row->from = row->visits + after;
    row->times = 1;
}

/* Whether it has fired. */
static bool disarm(struct fault_row *row)
{
    row->times = 0;
    return row->visits > row->from;
}

/* ---- Looking ---- */

/* Without memory to apply an entry a node ends, by design, and whoever watches over it starts it
 * again. It may end of nothing else. */
static void revive(size_t node)
{
    int code = 0;
    if (waitpid(nodes[node].pid, &code, WNOHANG) != nodes[node].pid) {
        return;
    }
    CHECK(WIFEXITED(code) && WEXITSTATUS(code) == 1 && starving);
    daemon_harness_start(&nodes[node]);
}

static bool has_standing(size_t node, const char *standing)
{
    revive(CLUSTER);
    revive(GUEST);
    struct arena arena = {0};
    struct rpc_cluster_status status;
    const struct connection_request request = {
        .method = RPC_CLUSTER_STATUS, .params = &(struct rpc_empty){0}, .options.stale = true};
    bool reached = daemon_harness_ask(&nodes[node], &request, &arena, &status, NULL) == 0 &&
                   slice_equal(status.standing, slice_of(standing)) && status.leader.size > 0;
    arena_release(&arena);
    return reached;
}

/* How often the cluster lists the guest, with this standing, or with any but "removed". */
static size_t listed(const char *standing)
{
    struct arena arena = {0};
    struct rpc_members members = {0};
    size_t count = 0;
    if (ask(CLUSTER, RPC_CLUSTER_MEMBERS, &(struct rpc_empty){0}, &arena, &members) == 0) {
        const struct rpc_member *all = members.members.items;
        for (size_t i = 0; i < members.members.count; i++) {
            bool such = standing == NULL ? !slice_equal(all[i].standing, slice_of("removed"))
                                         : slice_equal(all[i].standing, slice_of(standing));
            count += slice_equal(all[i].name, slice_of(nodes[GUEST].config.name)) && such;
        }
    }
    arena_release(&arena);
    return count;
}

static bool is_member(void)
{
    return has_standing(GUEST, "member") && listed("member") == 1;
}

static bool is_alone(void)
{
    return has_standing(GUEST, "standalone") && listed(NULL) == 0;
}

static bool is_settled(void)
{
    return has_standing(GUEST, "member") || has_standing(GUEST, "standalone");
}

static void await(bool (*holds)(void), const char *what)
{
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    bool held = holds();
    while (!held && daemon_harness_now_ms() < deadline_ms) {
        (void)poll(NULL, 0, 20);
        held = holds();
    }
    if (!held) {
        (void)fprintf(stderr, "not in time: %s\n", what);
    }
    CHECK(held);
}

/* ---- What is done ---- */

static bool join(void)
{
    struct arena arena = {0};
    struct rpc_token_created created = {0};
    struct rpc_joined joined = {0};
    bool done = false;
    if (ask(CLUSTER, RPC_CLUSTER_TOKEN_CREATE, &(struct rpc_token_create){0}, &arena, &created) ==
        0) {
        const struct rpc_join params = {.token = created.token};
        done = ask(GUEST, RPC_CLUSTER_JOIN, &params, &arena, &joined) == 0;
    }
    arena_release(&arena);
    return done;
}

static bool leave(void)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    bool left = ask(GUEST, RPC_CLUSTER_LEAVE, &(struct rpc_empty){0}, &arena, &done) == 0;
    arena_release(&arena);
    return left;
}

static int patience = 1; /* So many half-finished joins are left to the cluster to roll back. */

static void forget_guest(void)
{
    const struct rpc_remove remove = {.name = slice_of(nodes[GUEST].config.name), .force = true};
    struct arena arena = {0};
    struct rpc_done done = {0};
    if (patience > 0) {
        patience--;
        await(is_alone, "the cluster has forgotten the guest by itself");
    } else {
        (void)ask(CLUSTER, RPC_CLUSTER_REMOVE, &remove, &arena, &done);
    }
    arena_release(&arena);
}

/* Again until it is so. */
static void insist(bool (*deed)(void), bool (*holds)(void), const char *what)
{
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    while (!holds() && daemon_harness_now_ms() < deadline_ms) {
        await(is_settled, "the guest answers");
        if (has_standing(GUEST, "standalone") && listed(NULL) > 0) {
            forget_guest();
        } else if (!holds()) {
            (void)deed();
        }
    }
    await(holds, what);
}

/* A join and a leave during which it fails once; false if it never came to it. */
static bool torture_once(struct fault_row *rows[2], size_t node, enum fault_point point,
                         uint64_t after)
{
    struct fault_row *row = &rows[node][point];
    char name[96];
    (void)snprintf(name, sizeof name, "%s of %s, visit %llu", fault_name(point),
                   node == GUEST ? "the guest" : "the cluster", (unsigned long long)after);
    check_row(name);
    arm(row, after);
    bool joined = join();
    if (joined) {
        await(is_member, "what was joined is a member");
    }
    await(is_settled, "the guest is a member, or as it was");
    CHECK(listed(NULL) <= 1);
    insist(join, is_member, "joined");
    bool left = leave();
    if (left) {
        await(is_alone, "what left is alone");
    }
    await(is_settled, "the guest is a member, or alone");
    insist(leave, is_alone, "left");
    return disarm(row);
}

/* ---- */

struct where {
    size_t node;
    enum fault_point point;
};

static const struct where places[] = {
    {GUEST, FAULT_JOIN_ASK},           {GUEST, FAULT_LEAVE_ASK},
    {GUEST, FAULT_FILE_WRITE},         {GUEST, FAULT_FILE_SYNC},
    {GUEST, FAULT_FILE_RENAME},        {GUEST, FAULT_FILE_SYNC_FOLDER},
    {GUEST, FAULT_FILE_MAKE_FOLDER},   {CLUSTER, FAULT_CALL_PROPOSE},
    {CLUSTER, FAULT_NODE_PROPOSE},     {CLUSTER, FAULT_NODE_CHANGE},
    {CLUSTER, FAULT_MEMBERSHIP_START}, {CLUSTER, FAULT_PEER_SEND},
};

static int step_given(void)
{
    const char *given = getenv("MUSTER_TORTURE_STEP");
    return given == NULL ? 0 : (int)strtol(given, NULL, 10);
}

static void test_points(void **state)
{
    struct fault_row *rows[2] = {rows_of(CLUSTER), rows_of(GUEST)};
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint64_t visits = 0;
        while ((step_given() > 0 || visits < VISITS) &&
               torture_once(rows, places[i].node, places[i].point, visits)) {
            visits++;
        }
        CHECK(visits > 0);
        (void)fprintf(stderr, "%s: %llu visits\n", fault_name(places[i].point),
                      (unsigned long long)visits);
    }
}

static void test_allocations(void **state)
{
    struct fault_row *rows[2] = {rows_of(CLUSTER), rows_of(GUEST)};
    starving = true;
    uint64_t step = step_given() > 0 ? (uint64_t)step_given() : ALLOCATION_STEP;
    (void)state;
    for (size_t node = 0; node < 2; node++) {
        uint64_t after = 0;
        while ((step_given() > 0 || after < ALLOCATIONS) &&
               torture_once(rows, node, FAULT_ALLOC, after)) {
            after += step;
        }
        CHECK(after > 0);
        (void)fprintf(stderr, "alloc: %llu visits\n", (unsigned long long)after);
    }
}

static int set_up(void **state)
{
    static const char *const names[2] = {"a", "b"};
    const struct rpc_cluster_init init = {.name = slice_of("test")};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        daemon_harness_make(&nodes[i], names[i]);
        CHECK_OK(config_set(&nodes[i].config, "join_timeout_s", "5"));
        daemon_harness_start(&nodes[i]);
    }
    CHECK_U64(ask(CLUSTER, RPC_CLUSTER_INIT, &init, NULL, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        if (nodes[i].pid != 0) {
            CHECK_U64((uint64_t)daemon_harness_stop(&nodes[i]), 0);
        }
        daemon_harness_release(&nodes[i]);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
