/*
 * Certificates: when they are renewed, when they are warned of, and, of real daemons, that a node whose
 * certificate has ended comes back with its key, and a new one is issued, written down and used; and that
 * an operator whose certificate has ended is told so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/x509.h"
#include "daemon_harness.h"
#include "identity.h"
#include "renewal.h"
#include "rpc_caller.h"

#define WAIT_MS 30000
#define DAY_MS UINT64_C(86400000)

/* ---- A clock that goes ahead ---- */

static _Atomic uint64_t *ahead_ms; /* Of this process and of the daemon, which is its child. */

/* The linker's names. NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */

uint64_t __real_clock_now_ms(void);
uint64_t __wrap_clock_now_ms(void);

uint64_t __wrap_clock_now_ms(void)
{
    return __real_clock_now_ms() + (ahead_ms == NULL ? 0 : atomic_load(ahead_ms));
}

/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static void share_clock(void)
{
    void *page =
        mmap(NULL, sizeof *ahead_ms, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    ahead_ms = page;
}

/* ---- Rows ---- */

static void test_due(void **state)
{
    static const struct {
        const char *name;
        uint64_t begin; /* Days. */
        uint64_t end;
        uint64_t now;
        bool due;
    } rows[] = {
        {"new", 100, 190, 100, false},          {"after half", 100, 190, 145, false},
        {"a day before", 100, 190, 159, false}, {"after two thirds", 100, 190, 160, true},
        {"at its end", 100, 190, 190, true},    {"long after", 100, 190, 1000, true},
        {"not valid yet", 100, 190, 99, true},  {"of no time", 100, 100, 100, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK(renewal_is_due(rows[i].begin * DAY_MS, rows[i].end * DAY_MS, rows[i].now * DAY_MS) ==
              rows[i].due);
    }
}

static void test_warnings(void **state)
{
    static const struct {
        uint64_t left_ms;
        unsigned days;
    } rows[] = {
        {31 * DAY_MS, RENEWAL_FAR},
        {30 * DAY_MS + 1, RENEWAL_FAR},
        {30 * DAY_MS, 30},
        {7 * DAY_MS + 1, 30},
        {7 * DAY_MS, 7},
        {DAY_MS + 1, 7},
        {DAY_MS, 1},
        {1, 1},
        {0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_U64(renewal_warning_days(1000 * DAY_MS, 1000 * DAY_MS - rows[i].left_ms),
                  rows[i].days);
    }
    CHECK_U64(renewal_warning_days(DAY_MS, 5 * DAY_MS), 0);
}

static void test_socket_roles(void **state)
{
    enum { OTHERS = 4000, OPERATORS = 4001 };
    const gid_t own = getegid();
    const struct {
        const char *name;
        uid_t uid;
        gid_t groups[2];
        gid_t operators;
        enum rpc_role role;
    } rows[] = {
        {"root", 0, {OTHERS, OTHERS}, OPERATORS, RPC_ROLE_ADMIN},
        {"the daemon's user", geteuid(), {OTHERS, OTHERS}, OPERATORS, RPC_ROLE_ADMIN},
        {"an operator", 4242, {OTHERS, OPERATORS}, OPERATORS, RPC_ROLE_OPERATOR},
        {"an operator of our group", 4242, {own, OPERATORS}, OPERATORS, RPC_ROLE_OPERATOR},
        {"of our group", 4242, {own, OTHERS}, OPERATORS, RPC_ROLE_VIEWER},
        {"our group is the operators'", 4242, {OTHERS, own}, own, RPC_ROLE_OPERATOR},
        {"of no group that counts", 4242, {OTHERS, OTHERS}, OPERATORS, RPC_ROLE_ANYONE},
        {"without operators", 4242, {OTHERS, OPERATORS}, (gid_t)-1, RPC_ROLE_ANYONE},
        {"of the group that is none", 4242, {OTHERS, (gid_t)-1}, (gid_t)-1, RPC_ROLE_ANYONE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK(rpc_caller_role(rows[i].uid, rows[i].groups, 2, rows[i].operators) == rows[i].role);
    }
    gid_t found = 0;
    CHECK_OK(rpc_caller_group("", &found));
    CHECK(found == (gid_t)-1);
    CHECK_OK(rpc_caller_group("root", &found));
    CHECK(found == 0);
    CHECK_CODE(rpc_caller_group("no-such-group-here", &found), STATUS_INVALID);
}

/* ---- Daemons ---- */

static struct daemon_harness node;

static struct rpc_certificate row_of(struct arena *arena, const char *kind)
{
    const struct connection_request request = {.method = RPC_CLUSTER_CERTIFICATES,
                                               .params = &(struct rpc_empty){0}};
    struct rpc_certificates view;
    CHECK_U64(daemon_harness_ask(&node, &request, arena, &view, NULL), 0);
    const struct rpc_certificate *rows = view.certificates.items;
    for (size_t i = 0; i < view.certificates.count; i++) {
        if (slice_equal(rows[i].kind, slice_of(kind))) {
            return rows[i];
        }
    }
    return (struct rpc_certificate){0};
}

static uint64_t written_until(void)
{
    struct identity identity = {0};
    uint64_t until_ms = 0;
    CHECK_OK(identity_open(node.config.data_directory, "", "a", 0, &identity));
    CHECK_OK(x509_not_after_ms(buffer_slice(&identity.certificate), &until_ms));
    identity_release(&identity);
    return until_ms;
}

static bool has_problem(const char *words)
{
    const struct connection_request request = {.method = RPC_CLUSTER_STATUS,
                                               .params = &(struct rpc_empty){0}};
    struct arena arena = {0};
    struct rpc_cluster_status view;
    bool found = false;
    char text[RPC_TEXT_SIZE_MAX + 1] = "";
    CHECK_U64(daemon_harness_ask(&node, &request, &arena, &view, NULL), 0);
    const struct rpc_problem *problems = view.problems.items;
    for (size_t i = 0; i < view.problems.count; i++) {
        (void)slice_to_text(problems[i].what, text, sizeof text);
        found = found || strstr(text, words) != NULL;
    }
    arena_release(&arena);
    return found;
}

static void add_operator(const char *name, uint64_t days)
{
    const struct rpc_operator_add params = {
        .name = slice_of(name), .role = slice_of("viewer"), .days = days};
    const struct connection_request request = {.method = RPC_OPERATOR_ADD, .params = &params};
    struct rpc_operator_added added;
    struct arena arena = {0};
    CHECK_U64(daemon_harness_ask(&node, &request, &arena, &added, NULL), 0);
    daemon_harness_write(&node, "operator.crt", added.certificate);
    daemon_harness_write(&node, "operator.key", added.key);
    arena_release(&arena);
}

/* A node that was made a hundred days ago, and is started now: its certificate has ended. It renews it by
 * itself, on disk and in use: an operator's tool, which looks at times, is let down before and not after. */
static void test_renewal(void **state)
{
    struct identity old = {0};
    struct arena arena = {0};
    uint64_t now_ms = clock_now_ms();
    (void)state;
    daemon_harness_make(&node, "a");
    CHECK_OK(identity_open(node.config.data_directory, "", "a", now_ms - 100 * DAY_MS, &old));
    CHECK(written_until() < now_ms);
    daemon_harness_start(&node);
    daemon_harness_write(&node, "ca", buffer_slice(&old.ca_certificate));
    add_operator("short", 5);
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    while (written_until() < now_ms + 80 * DAY_MS) {
        CHECK(daemon_harness_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    struct rpc_certificate row = row_of(&arena, "node");
    CHECK_SLICE(row.name, slice_of("a"));
    CHECK_SLICE(row.state, slice_of("good"));
    CHECK(row.days_left >= 89 && row.days_left <= 90);
    CHECK(row.not_before_ms < now_ms); /* For clocks that lag. */
    row = row_of(&arena, "ca");
    CHECK(row.days_left > 19U * 365 && row.days_left < 20U * 366);
    row = row_of(&arena, "operator");
    CHECK_SLICE(row.state, slice_of("ending"));
    CHECK(has_problem("the certificate of operator short ends within 7 days"));
    CHECK(!has_problem("the certificate of node"));
    struct connection *connection =
        daemon_harness_connect_tls(&node, "operator.crt", "operator.key");
    CHECK(connection != NULL); /* The tool judges the time of the node's certificate. */
    connection_close(connection);

    /* The same again from the disk; and the key, and with it the id, is what it was. */
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    struct identity renewed = {0};
    CHECK_OK(identity_open(node.config.data_directory, "", "a", 0, &renewed));
    CHECK_U64(renewed.node_id, old.node_id);
    CHECK_OK(x509_check_key(buffer_slice(&renewed.certificate), secret_slice(&old.node_key)));
    CHECK_OK(
        x509_check_issuer(buffer_slice(&renewed.certificate), buffer_slice(&old.ca_certificate)));
    daemon_harness_start(&node);
    CHECK(!has_problem("the certificate of node"));
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    identity_release(&renewed);
    identity_release(&old);
    arena_release(&arena);
    daemon_harness_release(&node);
}

static uint64_t ask_by_tls(struct connection *connection, struct connection_error *error)
{
    const struct connection_request request = {.method = RPC_CLUSTER_CERTIFICATES,
                                               .params = &(struct rpc_empty){0}};
    struct arena arena = {0};
    struct rpc_certificates view;
    *error = (struct connection_error){0};
    struct status status = connection_call(connection, &request, &arena, &view, error);
    CHECK(!failed(status) || error->code != 0);
    arena_release(&arena);
    return error->code;
}

static void check_told(const struct connection_error *error)
{
    CHECK_U64(error->code, RPC_UNAUTHORIZED);
    CHECK(strstr(error->message, "the certificate of operator anna ended 2") == error->message);
    CHECK(strstr(error->message, "\nask for another: `muster operator add anna viewer`") != NULL);
}

/* On a connection that is open, and on a new one: TLS takes it, and the answer says what is wrong. */
static void test_expired_operator(void **state)
{
    struct identity identity = {0};
    struct connection_error error;
    (void)state;
    share_clock();
    daemon_harness_make(&node, "a");
    CHECK_OK(identity_open(node.config.data_directory, "", "a", clock_now_ms(), &identity));
    daemon_harness_start(&node);
    daemon_harness_write(&node, "ca", buffer_slice(&identity.ca_certificate));
    add_operator("anna", 5);
    struct connection *open = daemon_harness_connect_tls(&node, "operator.crt", "operator.key");
    CHECK(open != NULL);
    CHECK_U64(ask_by_tls(open, &error), 0);
    atomic_store(ahead_ms, 6 * DAY_MS);
    struct connection *another = daemon_harness_connect_tls(&node, "operator.crt", "operator.key");
    CHECK(another != NULL);
    (void)ask_by_tls(another, &error);
    check_told(&error);
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    while (ask_by_tls(open, &error) == 0) { /* It is looked at again a second later. */
        CHECK(daemon_harness_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    check_told(&error);
    connection_close(another);
    connection_close(open);
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    identity_release(&identity);
    daemon_harness_release(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_socket_roles),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_expired_operator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
