/*
 * Three daemons that join, pass calls on, lose a member and let one go: the ways on which the joiner,
 * the leaver, the forwarder and the doubt meet the cluster.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/x509.h"
#include "daemon_harness.h"
#include "identity.h"
#include "store/command.h"
#include "store/seal.h"

#define WAIT_MS 30000
#define DAY_MS UINT64_C(86400000)

static struct daemon_harness nodes[3];
static size_t left = 3; /* Who left in the last test but one. */

static uint64_t ask(size_t node, enum rpc_method method, const void *params, struct arena *arena,
                    void *result, struct connection_error *error)
{
    const struct connection_request request = {.method = method, .params = params};
    return daemon_harness_ask(&nodes[node], &request, arena, result, error);
}

/* As the node itself sees it, whoever leads; false when it does not answer. */
static bool status_of(size_t node, struct arena *arena, struct rpc_cluster_status *out)
{
    const struct connection_request request = {
        .method = RPC_CLUSTER_STATUS, .params = &(struct rpc_empty){0}, .options.stale = true};
    return daemon_harness_ask(&nodes[node], &request, arena, out, NULL) == 0;
}

/* Wait until the node's standing is this one, and a leader is known or is not. */
static void await_standing(size_t node, const char *standing, bool leader)
{
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    bool reached = false;
    char seen[64] = "";
    while (!reached && daemon_harness_now_ms() < deadline_ms) {
        struct arena arena = {0};
        struct rpc_cluster_status status;
        if (status_of(node, &arena, &status)) {
            reached = slice_equal(status.standing, slice_of(standing)) &&
                      (status.leader.size > 0) == leader;
            (void)slice_to_text(status.standing, seen, sizeof seen);
        }
        arena_release(&arena);
        (void)poll(NULL, 0, 20);
    }
    if (!reached) {
        (void)fprintf(stderr, "node %zu is %s\n", node, seen);
    }
    CHECK(reached);
}

static size_t index_of(struct slice name)
{
    for (size_t i = 0; i < 3; i++) {
        if (slice_equal(name, slice_of(nodes[i].config.name))) {
            return i;
        }
    }
    return 3;
}

static size_t leader_by(size_t node)
{
    size_t leader = 3;
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    while (leader == 3 && daemon_harness_now_ms() < deadline_ms) {
        struct arena arena = {0};
        struct rpc_cluster_status status;
        leader = status_of(node, &arena, &status) ? index_of(status.leader) : 3;
        arena_release(&arena);
        (void)poll(NULL, 0, 20);
    }
    CHECK(leader < 3);
    return leader;
}

/* Wait until so many vote, as the leader sees it. */
static void await_voters(size_t node, size_t wanted)
{
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    size_t voters = 0;
    while (voters != wanted && daemon_harness_now_ms() < deadline_ms) {
        struct arena arena = {0};
        struct rpc_members members = {0};
        voters = 0;
        if (ask(node, RPC_CLUSTER_MEMBERS, &(struct rpc_empty){0}, &arena, &members, NULL) == 0) {
            const struct rpc_member *all = members.members.items;
            for (size_t i = 0; i < members.members.count; i++) {
                voters += slice_equal(all[i].role, slice_of("voter"));
            }
        }
        arena_release(&arena);
        (void)poll(NULL, 0, 20);
    }
    CHECK_U64(voters, wanted);
}

static void join(size_t node)
{
    struct arena arena = {0};
    struct rpc_token_created created = {0};
    struct rpc_joined joined = {0};
    struct connection_error error = {0};
    CHECK_U64(
        ask(0, RPC_CLUSTER_TOKEN_CREATE, &(struct rpc_token_create){0}, &arena, &created, &error),
        0);
    const struct rpc_join params = {.token = created.token};
    if (ask(node, RPC_CLUSTER_JOIN, &params, &arena, &joined, &error) != 0) {
        (void)fprintf(stderr, "join: %s\n", error.message);
    }
    CHECK_U64(error.code, 0);
    arena_release(&arena);
    await_standing(node, "member", true);
}

static int set_up(void **state)
{
    static const char *const names[3] = {"a", "b", "c"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        daemon_harness_make(&nodes[i], names[i]);
        CHECK_OK(config_set(&nodes[i].config, "join_timeout_s", "10"));
        daemon_harness_start(&nodes[i]);
    }
    const struct rpc_cluster_init init = {.name = slice_of("test")};
    struct connection_error error = {0};
    CHECK_U64(ask(0, RPC_CLUSTER_INIT, &init, NULL, NULL, &error), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        if (nodes[i].pid != 0) {
            CHECK_U64((uint64_t)daemon_harness_stop(&nodes[i]), 0);
        }
        daemon_harness_release(&nodes[i]);
    }
    return 0;
}

/* ---- */

/* A bad token leaves nothing behind: the same node joins after it. */
static void test_join(void **state)
{
    static const char wrong[] = "muster1.AAAA";
    const struct rpc_join params = {.token = slice_of(wrong)};
    struct connection_error error = {0};
    (void)state;
    CHECK_U64(ask(1, RPC_CLUSTER_JOIN, &params, NULL, NULL, &error), RPC_INVALID);
    await_standing(1, "standalone", true);
    join(1);
    join(2);
    await_voters(0, 3);
    /* Who is in is told so, with the remedy, and not that an election is under way. */
    CHECK(ask(2, RPC_CLUSTER_JOIN, &params, NULL, NULL, &error) > RPC_REFUSED);
    CHECK(strstr(error.message, "[already_member]") != NULL);
}

/* A follower passes on; the answer, the refusal and the audit are as if the leader had been asked,
 * and R6 goes by the node that was asked. */
static void test_forward(void **state)
{
    struct arena arena = {0};
    struct connection_error error = {0};
    struct rpc_done done = {0};
    size_t follower = (leader_by(0) + 1) % 3;
    size_t other = (leader_by(0) + 2) % 3;
    (void)state;
    CHECK_U64(ask(follower, RPC_EXPORT_RESUME, &(struct rpc_empty){0}, &arena, &done, &error), 0);
    const struct rpc_register elsewhere = {
        .token = slice_of("0123456789abcdef0123456789abcdef"),
        .machine = slice_of(nodes[other].config.name),
    };
    CHECK_U64(ask(follower, RPC_REGISTRATION_REGISTER, &elsewhere, NULL, NULL, &error),
              RPC_REFUSED);
    CHECK(strstr(error.message, "you are connected to") != NULL);
    const struct rpc_register here = {
        .token = slice_of("0123456789abcdef0123456789abcdef"),
        .machine = slice_of(nodes[follower].config.name),
    };
    CHECK(ask(follower, RPC_REGISTRATION_REGISTER, &here, NULL, NULL, &error) > RPC_REFUSED);
    CHECK(strstr(error.message, "you are connected to") == NULL); /* Not enabled. */
    arena_release(&arena);
}

/* A deadline that was given to a follower holds on the leader: stopped, it answers nothing, and the
 * follower says what it knows when the time is up. */
static void test_forward_to_silent_leader(void **state)
{
    struct connection_error error = {0};
    size_t leader = leader_by(0);
    size_t follower = (leader + 1) % 3;
    const struct connection_request change = {
        .method = RPC_EXPORT_RESUME, .params = &(struct rpc_empty){0}, .options.deadline_ms = 300};
    (void)state;
    CHECK_U64(daemon_harness_ask(&nodes[follower], &change, NULL, NULL, &error), 0);
    (void)kill(nodes[leader].pid, SIGSTOP);
    uint64_t start_ms = daemon_harness_now_ms();
    CHECK_U64(daemon_harness_ask(&nodes[follower], &change, NULL, NULL, &error),
              RPC_OUTCOME_UNKNOWN);
    CHECK(daemon_harness_now_ms() - start_ms < 2000);
    (void)kill(nodes[leader].pid, SIGCONT);
    (void)leader_by(follower);
}

/* A leader that is told to stop lets another lead within a second. */
static void test_stop_hands_over(void **state)
{
    size_t leader = leader_by(0);
    size_t follower = (leader + 1) % 3;
    (void)state;
    (void)kill(nodes[leader].pid, SIGTERM);
    uint64_t start_ms = daemon_harness_now_ms();
    while (leader_by(follower) == leader) {
        CHECK(daemon_harness_now_ms() - start_ms < 2000);
        (void)poll(NULL, 0, 5);
    }
    (void)fprintf(stderr, "another led after %llu ms\n",
                  (unsigned long long)(daemon_harness_now_ms() - start_ms));
    CHECK_U64((uint64_t)daemon_harness_await_end(&nodes[leader]), 0);
    daemon_harness_start(&nodes[leader]);
    await_standing(leader, "member", true);
}

/* Whom the cluster counts on cannot be reset: not a follower, not the leader, nor a standalone node. */
static void test_no_reset_of_members(void **state)
{
    struct rpc_reset reset = {.check = false};
    struct connection_error error = {0};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        reset.check = i >= 3;
        CHECK_U64(ask(i % 3, RPC_CLUSTER_RESET, &reset, NULL, NULL, &error),
                  RPC_REFUSED + REFUSAL_STILL_MEMBER);
    }
}

/* Nobody who knows can be asked: cut off is not removed. */
static void test_no_reset_in_doubt(void **state)
{
    const struct rpc_reset reset = {0};
    struct connection_error error = {0};
    size_t leader = leader_by(0);
    size_t alone = (leader + 1) % 3;
    (void)state;
    CHECK_U64((uint64_t)daemon_harness_stop(&nodes[(leader + 2) % 3]), 0);
    daemon_harness_kill(&nodes[leader]);
    await_standing(alone, "member", false);
    const struct connection_request request = {
        .method = RPC_CLUSTER_RESET, .params = &reset, .options.deadline_ms = 30000};
    CHECK_U64(daemon_harness_ask(&nodes[alone], &request, NULL, NULL, &error),
              RPC_REFUSED + REFUSAL_STILL_MEMBER);
    for (size_t i = 0; i < 3; i++) {
        if (nodes[i].pid == 0) {
            daemon_harness_start(&nodes[i]);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        await_standing(i, "member", true);
    }
}

/* A connection to `to` with the certificate of another node. */
static struct connection *connect_as(size_t to, size_t as)
{
    struct identity identity = {0};
    CHECK_OK(identity_open(nodes[as].config.data_directory, "", "", 0, &identity));
    daemon_harness_write(&nodes[to], "ca", buffer_slice(&identity.ca_certificate));
    daemon_harness_write(&nodes[to], "as.crt", buffer_slice(&identity.certificate));
    daemon_harness_write(&nodes[to], "as.key", secret_slice(&identity.node_key));
    identity_release(&identity);
    struct connection *connection = daemon_harness_connect_tls(&nodes[to], "as.crt", "as.key");
    CHECK(connection != NULL);
    return connection;
}

/* A member may ask of a follower, too, what it stands for: the question is passed on as anybody's. */
static void test_member_asks_follower(void **state)
{
    size_t leader = leader_by(0);
    size_t follower = (leader + 1) % 3;
    size_t member = (leader + 2) % 3;
    struct arena arena = {0};
    struct rpc_standing standing = {0};
    struct connection_error error = {0};
    struct identity identity = {0};
    (void)state;
    CHECK_OK(identity_open(nodes[member].config.data_directory, "", "", 0, &identity));
    const struct rpc_node_id self = {.node_id = identity.node_id};
    const struct connection_request request = {.method = RPC_CLUSTER_STANDING, .params = &self};
    struct connection *connection = connect_as(follower, member);
    CHECK_OK(connection_call(connection, &request, &arena, &standing, &error));
    CHECK_SLICE(standing.standing, slice_of("member"));
    connection_close(connection);
    arena_release(&arena);
    identity_release(&identity);
}

/* The answer's error; UINT64_MAX when the connection has ended. */
static uint64_t node_status_error(struct connection *connection)
{
    const struct connection_request request = {.method = RPC_NODE_STATUS,
                                               .params = &(struct rpc_empty){0}};
    struct connection_reply reply = {0};
    uint32_t id = 0;
    bool ended = failed(connection_send(connection, &request, &id)) ||
                 failed(connection_receive(connection, WAIT_MS, &reply));
    return ended ? UINT64_MAX : reply.error;
}

/* As soon as a member has applied the removal, who is removed is cut off and nobody there. */
static void await_cut(size_t at, size_t removed, struct connection *open)
{
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    while (node_status_error(open) != UINT64_MAX) { /* Not applied yet. */
        CHECK(daemon_harness_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    connection_close(open);
    struct connection *again = connect_as(at, removed);
    CHECK_U64(node_status_error(again), RPC_UNAUTHORIZED);
    connection_close(again);
}

static void write_ended_certificate(size_t at, const struct identity *founder, struct slice ca_key)
{
    static const uint8_t serial[] = {0x40, 1};
    struct identity identity = {0};
    struct buffer ended = {0};
    uint64_t now_ms = clock_now_ms();
    CHECK_OK(identity_open(nodes[at].config.data_directory, "", "", 0, &identity));
    const struct x509_subject subject = {
        .common_name = slice_of(nodes[at].config.name),
        .serial = {.data = serial, .size = sizeof serial},
        .not_before_ms = now_ms - 100 * DAY_MS,
        .not_after_ms = now_ms - 10 * DAY_MS,
    };
    CHECK_OK(x509_issue(buffer_slice(&founder->ca_certificate), ca_key,
                        buffer_slice(&identity.certificate), &subject, &ended));
    CHECK_OK(identity_renew(nodes[at].config.data_directory, "", &identity, buffer_slice(&ended)));
    buffer_release(&ended);
    identity_release(&identity);
}

static bool has_good_certificate(size_t at)
{
    struct identity identity = {0};
    uint64_t until_ms = 0;
    CHECK_OK(identity_open(nodes[at].config.data_directory, "", "", 0, &identity));
    CHECK_OK(x509_not_after_ms(buffer_slice(&identity.certificate), &until_ms));
    identity_release(&identity);
    return until_ms > clock_now_ms();
}

/* All were off until their certificates had ended: they find each other by their keys, and each takes
 * what the state has for it. */
static void test_all_certificates_ended(void **state)
{
    struct identity founder = {0};
    struct secret ca_key = {0};
    struct seal_purpose purpose = seal_purpose_of(slice_of("ca_key"), 0);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        CHECK_U64((uint64_t)daemon_harness_stop(&nodes[i]), 0);
    }
    CHECK_OK(identity_open(nodes[0].config.data_directory, "", "", 0, &founder));
    CHECK_OK(keyring_open(&founder.keys, &purpose, buffer_slice(&founder.sealed_ca_key), &ca_key));
    for (size_t i = 0; i < 3; i++) {
        write_ended_certificate(i, &founder, secret_slice(&ca_key));
        CHECK(!has_good_certificate(i));
    }
    secret_release(&ca_key);
    identity_release(&founder);
    for (size_t i = 0; i < 3; i++) {
        daemon_harness_start(&nodes[i]);
    }
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    for (size_t i = 0; i < 3; i++) {
        await_standing(i, "member", true);
        while (!has_good_certificate(i)) {
            CHECK(daemon_harness_now_ms() < deadline_ms);
            (void)poll(NULL, 0, 20);
        }
    }
    await_voters(leader_by(0), 3);
}

/* Remove a follower while it is down, and start it again; gives its number. */
static size_t remove_while_down(void)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    struct connection_error error = {0};
    size_t gone = leader_by(0) == 1 ? 2 : 1; /* Node 0 lets it in again. */
    size_t stays = (gone + 1) % 3;
    size_t third = 3 - gone - stays;
    CHECK_U64((uint64_t)daemon_harness_stop(&nodes[gone]), 0);
    struct connection *opened[] = {connect_as(stays, gone), connect_as(third, gone)};
    CHECK_U64(node_status_error(opened[0]), 0);
    CHECK_U64(node_status_error(opened[1]), 0);
    const struct rpc_remove remove = {.name = slice_of(nodes[gone].config.name), .force = true};
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    while (ask(leader_by(stays), RPC_CLUSTER_REMOVE, &remove, &arena, &done, &error) != 0) {
        CHECK(daemon_harness_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 50);
    }
    await_cut(stays, gone, opened[0]);
    await_cut(third, gone, opened[1]);
    arena_release(&arena);
    daemon_harness_start(&nodes[gone]);
    return gone;
}

/* It finds out, says so, and can be reset. */
static void test_removed_finds_out(void **state)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    struct connection_error error = {0};
    size_t gone = remove_while_down();
    (void)state;
    await_standing(gone, "removed", false);
    CHECK_U64(ask(gone, RPC_EXPORT_RESUME, &(struct rpc_empty){0}, &arena, &done, &error),
              RPC_REFUSED);
    CHECK(strstr(error.message, "cluster reset") != NULL);
    struct rpc_reset reset = {.check = true};
    struct rpc_discarded discarded = {0};
    CHECK_U64(ask(gone, RPC_CLUSTER_RESET, &reset, &arena, &discarded, &error), 0);
    CHECK_SLICE(discarded.cluster, slice_of("test"));
    CHECK(discarded.items.count >= 3);
    await_standing(gone, "removed", false);
    reset.check = false;
    CHECK_U64(ask(gone, RPC_CLUSTER_RESET, &reset, &arena, &discarded, &error), 0);
    await_standing(gone, "standalone", true);
    CHECK_U64(ask(gone, RPC_CLUSTER_RESET, &reset, NULL, NULL, &error),
              RPC_REFUSED + REFUSAL_NOT_IN_CLUSTER);
    join(gone);
    arena_release(&arena);
}

/* It is asked to leave before it has found out: it does so then, and does not wait for a leader. */
static void test_removed_leaves_at_once(void **state)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    struct connection_error error = {0};
    size_t gone = remove_while_down();
    (void)state;
    CHECK_U64(ask(gone, RPC_CLUSTER_LEAVE, &(struct rpc_empty){0}, &arena, &done, &error), 0);
    await_standing(gone, "standalone", true);
    join(gone);
    arena_release(&arena);
}

/* The founder leaves while it leads: another leads first; what it led stays with the cluster. */
static void test_leave(void **state)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    struct connection_error error = {0};
    size_t leader = leader_by(1);
    (void)state;
    if (ask(leader, RPC_CLUSTER_LEAVE, &(struct rpc_empty){0}, &arena, &done, &error) != 0) {
        (void)fprintf(stderr, "leave: %s\n", error.message);
    }
    CHECK_U64(error.code, 0);
    await_standing(leader, "standalone", true);
    await_standing((leader + 1) % 3, "member", true);
    left = leader;
    arena_release(&arena);
}

/* Two are left, and one of them votes. It leads, and leaves: the other has to vote first. */
static void test_only_voter_leaves(void **state)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    struct connection_error error = {0};
    size_t stays = left == 1 ? 2 : 1;
    size_t leader = leader_by(stays);
    (void)state;
    if (leader == stays) {
        stays = 3 - left - leader;
    }
    await_voters(leader, 1);
    if (ask(leader, RPC_CLUSTER_LEAVE, &(struct rpc_empty){0}, &arena, &done, &error) != 0) {
        (void)fprintf(stderr, "leave: %s\n", error.message);
    }
    CHECK_U64(error.code, 0);
    await_standing(leader, "standalone", true);
    CHECK_U64(leader_by(stays), stays);
    arena_release(&arena);
}

/* The number of voters is the cluster's, asked of any node. */
static void test_settings(void **state)
{
    struct arena arena = {0};
    struct rpc_done done = {0};
    struct rpc_settings settings = {0};
    struct connection_error error = {0};
    const struct rpc_settings_set even = {.voters = 4};
    const struct rpc_settings_set one = {.voters = 1};
    const struct rpc_settings_set three = {.voters = 3};
    size_t follower = (leader_by(0) + 1) % 3;
    (void)state;
    CHECK_U64(
        ask(follower, RPC_CLUSTER_SETTINGS, &(struct rpc_empty){0}, &arena, &settings, &error), 0);
    CHECK_U64(settings.voters, 3);
    CHECK_U64(ask(follower, RPC_CLUSTER_SET, &even, &arena, &done, &error),
              RPC_REFUSED + REFUSAL_VOTERS);
    CHECK_U64(ask(follower, RPC_CLUSTER_SET, &one, &arena, &done, &error), 0);
    await_voters(0, 1);
    CHECK_U64(ask(follower, RPC_CLUSTER_SET, &three, &arena, &done, &error), 0);
    await_voters(0, 3);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_forward_to_silent_leader),
        cmocka_unit_test(test_stop_hands_over),
        cmocka_unit_test(test_member_asks_follower),
        cmocka_unit_test(test_no_reset_of_members),
        cmocka_unit_test(test_no_reset_in_doubt),
        cmocka_unit_test(test_all_certificates_ended),
        cmocka_unit_test(test_removed_finds_out),
        cmocka_unit_test(test_removed_leaves_at_once),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_only_voter_leaves),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
