/*
 * The admin RPC of one standalone daemon, from outside: who may call what, what is not a message,
 * how much at once, deadlines, and stopping under load.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/skim.h"
#include "client/rpc_frame.h"
#include "daemon_harness.h"
#include "identity.h"

#define WAIT_MS 10000

static struct daemon_harness node;

static int set_up(void **state)
{
    (void)state;
    daemon_harness_make(&node, "a");
    if (geteuid() == 0) {
        const struct group *operators = getgrgid(1);
        CHECK(operators != NULL);
        CHECK_OK(config_set(&node.config, "socket_operator_group", operators->gr_name));
    }
    daemon_harness_start(&node);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    daemon_harness_release(&node);
    return 0;
}

/* ---- Raw connections ---- */

static int raw_connect(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", node.config.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Append what comes within the time; false at the end of the stream. */
static bool raw_read(int fd, struct buffer *in)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK(poll(&ready, 1, WAIT_MS) == 1);
    CHECK(buffer_reserve(in, 65536));
    ssize_t size = read(fd, in->data + in->size, 65536);
    if (size > 0) {
        in->size += (size_t)size;
    }
    return size > 0;
}

/* Send all, reading meanwhile, until `wanted` answers or the end; how many answers came. */
static size_t raw_exchange(int fd, struct slice out, size_t wanted, struct buffer *in,
                           size_t *errors)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX, .depth_max = RPC_DEPTH_MAX, .values_max = RPC_VALUES_MAX};
    size_t sent = 0;
    size_t answers = 0;
    bool open = true;
    while (open && answers < wanted) {
        struct pollfd ready = {.fd = fd, .events = POLLIN | (sent < out.size ? POLLOUT : 0)};
        CHECK(poll(&ready, 1, WAIT_MS) == 1);
        if ((ready.revents & POLLOUT) != 0) {
            ssize_t put = send(fd, (const char *)out.data + sent, out.size - sent,
                               MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += put > 0 ? (size_t)put : 0;
        }
        if ((ready.revents & (POLLIN | POLLHUP)) != 0) {
            open = raw_read(fd, in);
        }
        size_t size = 0;
        while (skim_value(buffer_slice(in), &limits, &size) == SKIM_COMPLETE) {
            struct rpc_frame frame;
            bool id_known;
            CHECK_OK(
                rpc_frame_parse((struct slice){.data = in->data, .size = size}, &frame, &id_known));
            if (frame.error != 0 && *errors == 0) {
                (void)fprintf(stderr, "%.*s\n", SLICE_ARG(frame.message));
            }
            *errors += frame.error != 0;
            answers++;
            buffer_consume(in, size);
        }
    }
    return answers;
}

static void put_request(struct buffer *out, uint32_t id, const char *method)
{
    static const char empty_map = (char)0x80;
    CHECK(rpc_frame_begin_request(out, id, method) && buffer_append(out, &empty_map, 1));
}

/* ---- What is not a message ---- */

static void test_garbage(void **state)
{
    static const uint8_t deep[] = {0x94, 0x00, 0x01, 0xA1, 'x',  0x91, 0x91, 0x91, 0x91,
                                   0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0x91, 0xC0};
    static const struct {
        const char *name;
        const void *bytes;
        size_t size;
    } rows[] = {
        {"never used byte", "\xC1", 1},
        {"a number", "\x05", 1},
        {"three of four", "\x93\x00\x01\xA1x", 5},
        {"a response", "\x94\x01\x01\xC0\xC0", 5},
        {"an unknown type", "\x94\x02\x01\xA1x\x90", 6},
        {"two params", "\x94\x00\x01\xA1x\x92\x80\x80", 8},
        {"params no map", "\x94\x00\x01\xA1x\x91\x05", 7},
        {"method no text", "\x94\x00\x01\xC4\x01x\x90", 7},
        {"id too large", "\x94\x00\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xA1x\x90", 14},
        {"an extension", "\x94\x00\x01\xC7\x01\x05\x05", 7},
        {"text of 4 GiB", "\x94\x00\x01\xDB\xFF\xFF\xFF\xFF", 8},
        {"array of 4 G", "\xDD\xFF\xFF\xFF\xFF", 5},
        {"too deep", deep, sizeof deep},
        {"HTTP", "GET / HTTP/1.1\r\n\r\n", 18},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        int fd = raw_connect();
        struct buffer in = {0};
        size_t errors = 0;
        struct slice out = {.data = rows[i].bytes, .size = rows[i].size};
        /* A typed error, then the end. */
        CHECK_U64(raw_exchange(fd, out, 2, &in, &errors), 1);
        CHECK_U64(errors, 1);
        buffer_release(&in);
        (void)close(fd);
    }
}

static void test_unknown_method(void **state)
{
    int fd = raw_connect();
    struct buffer out = {0};
    struct buffer in = {0};
    size_t errors = 0;
    (void)state;
    put_request(&out, 1, "no.such");
    put_request(&out, 2, "a.name.that.is.longer.than.any.method.could.be.\xC3\xA4\xC3\xA4");
    put_request(&out, 3, "node.version");
    CHECK_U64(raw_exchange(fd, buffer_slice(&out), 3, &in, &errors), 3);
    CHECK_U64(errors, 2);
    buffer_release(&out);
    buffer_release(&in);
    (void)close(fd);
}

/* ---- Much at once ---- */

static void test_pipeline(void **state)
{
    static const struct {
        const char *name;
        const char *method;
        uint32_t count; /* Some above what one connection may have under way. */
    } rows[] = {
        {"answered at once", "node.version", 1000},
        {"after a read barrier", "cluster.members", 5000},
        {"after a commit", "export.resume", 3000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        int fd = raw_connect();
        struct buffer out = {0};
        struct buffer in = {0};
        size_t errors = 0;
        for (uint32_t id = 0; id < rows[i].count; id++) {
            put_request(&out, id, rows[i].method);
        }
        CHECK_U64(raw_exchange(fd, buffer_slice(&out), rows[i].count, &in, &errors), rows[i].count);
        CHECK_U64(errors, 0);
        buffer_release(&out);
        buffer_release(&in);
        (void)close(fd);
    }
}

static void submit_records(struct message_record *records, size_t count)
{
    const struct rpc_submit params = {.feed = slice_of("test"),
                                      .records = {.items = records, .count = count}};
    const struct connection_request request = {.method = RPC_RECORDS_SUBMIT, .params = &params};
    struct rpc_submitted submitted;
    struct arena arena = {0};
    struct connection_error error = {0};
    if (daemon_harness_ask(&node, &request, &arena, &submitted, &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.message);
    }
    CHECK_U64(error.code, 0);
    CHECK_U64(submitted.accepted, count);
    arena_release(&arena);
}

/* An answer that no message can hold is an error that says what helps, and the connection stays. */
static void test_oversize_answer(void **state)
{
    enum { BATCH = 100, BATCHES = 10 };
    static char subject[1000];
    static struct message_record records[BATCH];
    (void)state;
    memset(subject, 'x', sizeof subject);
    for (size_t batch = 0; batch < BATCHES; batch++) {
        for (size_t i = 0; i < BATCH; i++) {
            records[i] = (struct message_record){
                .serial = slice_of("SERIAL-a"),
                .mid = 1 + batch * BATCH + i,
                .revision = 1700000000000,
                .start_ms = 1700000000000,
                .last_ms = 1700000000000,
                .disposition = slice_of("delivered"),
                .message_id = {.data = subject, .size = 900},
                .subject = {.data = subject, .size = sizeof subject},
            };
        }
        submit_records(records, BATCH);
    }
    struct connection *connection = daemon_harness_connect(&node);
    struct rpc_search search = {.limit = RPC_LIST_MAX};
    const struct connection_request request = {.method = RPC_RECORDS_SEARCH, .params = &search};
    struct rpc_records found;
    struct arena arena = {0};
    struct connection_error error = {0};
    CHECK_CODE(connection_call(connection, &request, &arena, &found, &error), STATUS_BUSY);
    CHECK(strstr(error.message, "fewer rows") != NULL);
    search.limit = 10;
    CHECK_OK(connection_call(connection, &request, &arena, &found, &error));
    CHECK_U64(found.records.count, 10);
    arena_release(&arena);
    connection_close(connection);
}

/* ---- Who may call what ---- */

static void add_operator(const char *name, const char *role)
{
    const struct rpc_operator_add params = {.name = slice_of(name), .role = slice_of(role)};
    const struct connection_request request = {.method = RPC_OPERATOR_ADD, .params = &params};
    struct rpc_operator_added added;
    struct arena arena = {0};
    char file[64];
    CHECK_U64(daemon_harness_ask(&node, &request, &arena, &added, NULL), 0);
    (void)snprintf(file, sizeof file, "%s.crt", name);
    daemon_harness_write(&node, file, added.certificate);
    (void)snprintf(file, sizeof file, "%s.key", name);
    daemon_harness_write(&node, file, added.key);
    arena_release(&arena);
}

static void write_identity(struct identity *identity)
{
    CHECK_OK(identity_open(node.config.data_directory, "", "a", 0, identity));
    daemon_harness_write(&node, "ca", buffer_slice(&identity->ca_certificate));
    daemon_harness_write(&node, "a.crt", buffer_slice(&identity->certificate));
    daemon_harness_write(&node, "a.key", secret_slice(&identity->node_key));
}

/* Send one request; the answer's error, 0 for a result. */
static uint64_t error_of(struct connection *connection, const struct connection_request *request)
{
    uint32_t id = 0;
    struct connection_reply reply = {0};
    CHECK_OK(connection_send(connection, request, &id));
    CHECK_OK(connection_receive(connection, WAIT_MS, &reply));
    CHECK_U64(reply.id, id);
    return reply.error;
}

/* Call with params of zeroes: whether it was refused for the caller's role. */
static bool is_denied(struct connection *connection, enum rpc_method method)
{
    struct arena arena = {0};
    struct message_record record = {.serial = slice_of("SERIAL-a"), .mid = 1, .revision = 1};
    const struct rpc_submit submit = {.feed = slice_of("test"),
                                      .records = {.items = &record, .count = 1}};
    const struct connection_request request = {
        .method = method,
        .params = method == RPC_RECORDS_SUBMIT
                      ? (const void *)&submit /* Not without a record. */
                      : arena_alloc(&arena, 1, rpc_methods[method].params->size),
    };
    uint64_t error = error_of(connection, &request);
    arena_release(&arena);
    return error == RPC_UNAUTHORIZED;
}

static void test_roles(void **state)
{
    static const struct {
        const char *name;
        enum rpc_role role;
    } rows[] = {{"viewer", RPC_ROLE_VIEWER},
                {"operator", RPC_ROLE_OPERATOR},
                {"admin", RPC_ROLE_ADMIN},
                {"a", RPC_ROLE_PEER}};
    struct identity identity = {0};
    (void)state;
    write_identity(&identity);
    for (size_t i = 0; i < 3; i++) {
        add_operator(rows[i].name, rows[i].name);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char certificate[32];
        char key[32];
        (void)snprintf(certificate, sizeof certificate, "%s.crt", rows[i].name);
        (void)snprintf(key, sizeof key, "%s.key", rows[i].name);
        struct connection *connection = daemon_harness_connect_tls(&node, certificate, key);
        CHECK(connection != NULL);
        for (int method = 0; method < RPC_METHOD_COUNT; method++) {
            char row[128];
            (void)snprintf(row, sizeof row, "%s as %s", rpc_methods[method].name, rows[i].name);
            check_row(row);
            CHECK(is_denied(connection, (enum rpc_method)method) ==
                  !rpc_role_allows(rows[i].role, (enum rpc_method)method));
        }
        connection_close(connection);
    }
    identity_release(&identity);
}

/* Wait until the connection is cut. */
static void await_cut(struct connection *connection)
{
    const struct connection_request request = {.method = RPC_NODE_VERSION,
                                               .params = &(struct rpc_empty){0}};
    struct connection_reply reply = {0};
    uint64_t deadline_ms = daemon_harness_now_ms() + WAIT_MS;
    uint32_t id = 0;
    while (!failed(connection_send(connection, &request, &id)) &&
           !failed(connection_receive(connection, WAIT_MS, &reply))) {
        CHECK(daemon_harness_now_ms() < deadline_ms);
        (void)poll(NULL, 0, 20);
    }
    connection_close(connection);
}

/* A removed operator's connection is cut, and with the certificate he is nobody. */
static void test_removed_operator(void **state)
{
    struct identity identity = {0};
    const struct rpc_name name = {.name = slice_of("gone")};
    const struct connection_request request = {.method = RPC_OPERATOR_REMOVE, .params = &name};
    (void)state;
    write_identity(&identity);
    identity_release(&identity);
    add_operator("gone", "admin");
    struct connection *stays = daemon_harness_connect_tls(&node, "admin.crt", "admin.key");
    struct connection *connection = daemon_harness_connect_tls(&node, "gone.crt", "gone.key");
    CHECK(connection != NULL && !is_denied(connection, RPC_NODE_VERSION));
    CHECK(stays != NULL && !is_denied(stays, RPC_NODE_VERSION));
    CHECK_U64(daemon_harness_ask(&node, &request, NULL, NULL, NULL), 0);
    await_cut(connection);
    CHECK(!is_denied(stays, RPC_NODE_VERSION));
    connection_close(stays);
    connection = daemon_harness_connect_tls(&node, "gone.crt", "gone.key");
    CHECK(connection != NULL);
    for (int method = 0; method < RPC_METHOD_COUNT; method++) {
        check_row(rpc_methods[method].name);
        CHECK(is_denied(connection, (enum rpc_method)method) ==
              (rpc_methods[method].role != RPC_ROLE_ANYONE));
    }
    connection_close(connection);
}

/* Who removes himself is told that it is done, and then cut. */
static void test_removes_himself(void **state)
{
    struct rpc_done done;
    struct arena arena = {0};
    struct connection_error error = {0};
    const struct rpc_name name = {.name = slice_of("selfless")};
    const struct connection_request request = {.method = RPC_OPERATOR_REMOVE, .params = &name};
    (void)state;
    add_operator("selfless", "admin");
    struct connection *connection =
        daemon_harness_connect_tls(&node, "selfless.crt", "selfless.key");
    CHECK(connection != NULL);
    CHECK_OK(connection_call(connection, &request, &arena, &done, &error));
    await_cut(connection);
    arena_release(&arena);
}

/* ---- Users of the socket ---- */

#define OTHER_UID 54321 /* Nobody's. */

/* In a child that is this user, with these groups: does `act` find what it should? */
static void as_user(const gid_t *groups, size_t count, bool (*act)(enum rpc_role role),
                    enum rpc_role role)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        bool other =
            setgroups(count, groups) == 0 && setgid(OTHER_UID) == 0 && setuid(OTHER_UID) == 0;
        _exit(other && act(role) ? 0 : 1);
    }
    int code = 0;
    CHECK(waitpid(child, &code, 0) == child);
    CHECK(WIFEXITED(code) && WEXITSTATUS(code) == 0);
}

static bool walk_methods(enum rpc_role role)
{
    struct connection *connection = daemon_harness_connect(&node);
    bool good = true;
    for (int method = 0; method < RPC_METHOD_COUNT; method++) {
        bool right = is_denied(connection, (enum rpc_method)method) ==
                     !rpc_role_allows(role, (enum rpc_method)method);
        if (!right) {
            (void)fprintf(stderr, "%s as %s\n", rpc_methods[method].name, rpc_role_name(role));
        }
        good = good && right;
    }
    connection_close(connection);
    return good;
}

/* Connections without end, and requests without end, of one user: both are told to wait. */
static bool open_many(enum rpc_role role)
{
    int fds[200];
    struct buffer out = {0};
    struct buffer in = {0};
    size_t errors = 0;
    size_t refused = 0;
    (void)role;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = raw_connect();
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        struct pollfd ready = {.fd = fds[i], .events = POLLIN};
        struct buffer said = {0};
        if (poll(&ready, 1, 20) == 1) { /* An error, and the end. */
            refused += raw_exchange(fds[i], (struct slice){0}, 1, &said, &errors);
        }
        buffer_release(&said);
    }
    CHECK(refused > 0 && refused == errors);
    for (uint32_t id = 0; id < 5000; id++) {
        put_request(&out, id, "node.version");
    }
    errors = 0;
    CHECK_U64(raw_exchange(fds[0], buffer_slice(&out), 5000, &in, &errors), 5000);
    CHECK(errors > 0 && errors < 4000);
    return true;
}

static void test_socket_users(void **state)
{
    const gid_t operators[] = {0, 1}; /* Ours, and the one configured. */
    const gid_t viewers[] = {0};
    const gid_t others[] = {2};
    (void)state;
    if (geteuid() != 0) {
        (void)fprintf(stderr, "needs root to be another user: skipped\n");
        skip();
    }
    CHECK(chmod(node.folder, 0711) == 0);
    as_user(operators, 2, walk_methods, RPC_ROLE_OPERATOR);
    as_user(viewers, 1, walk_methods, RPC_ROLE_VIEWER);
    CHECK(chmod(node.config.socket, 0666) == 0); /* Even if somebody opened it to all. */
    as_user(others, 1, walk_methods, RPC_ROLE_ANYONE);
    as_user(viewers, 1, open_many, RPC_ROLE_VIEWER);
    struct connection *connection = daemon_harness_connect(&node);
    CHECK(!is_denied(connection, RPC_NODE_VERSION));
    connection_close(connection);
    CHECK(walk_methods(RPC_ROLE_ADMIN)); /* Root. */
    CHECK(chmod(node.config.socket, 0660) == 0);
}

/* ---- What a member passes on ---- */

/* Does the audit name them? */
static bool is_audited(const char *actor, const char *origin)
{
    struct rpc_audit_query page = {.limit = RPC_LIST_MAX};
    const struct connection_request request = {.method = RPC_AUDIT_LIST, .params = &page};
    bool named = false;
    bool more = true;
    while (more && !named) {
        struct rpc_audit audit;
        struct arena arena = {0};
        CHECK_U64(daemon_harness_ask(&node, &request, &arena, &audit, NULL), 0);
        const struct rpc_audit_line *lines = audit.lines.items;
        more = audit.lines.count > 0;
        for (size_t i = 0; i < audit.lines.count; i++) {
            page.after = lines[i].sequence;
            named = named || (slice_equal(lines[i].actor, slice_of(actor)) &&
                              slice_equal(lines[i].origin, slice_of(origin)));
        }
        arena_release(&arena);
    }
    return named;
}

static void test_forwarded(void **state)
{
    static const struct {
        const char *name;
        const char *method;
        const char *actor;
        uint64_t role;
        uint64_t node_id; /* Added to the member's own. */
        uint64_t error;
    } rows[] = {
        {"as it should be", "export.pause", "operator eve", RPC_ROLE_ADMIN, 0, 0},
        {"of too low a role", "export.pause", "operator eve", RPC_ROLE_VIEWER, 0, RPC_UNAUTHORIZED},
        {"for another node", "export.pause", "operator eve", RPC_ROLE_ADMIN, 1, RPC_INVALID},
        {"by nobody", "export.pause", "", RPC_ROLE_ADMIN, 0, RPC_INVALID},
        {"asked of the node itself", "cluster.leave", "operator eve", RPC_ROLE_ADMIN, 0,
         RPC_INVALID},
        {"passed on twice", "peer.forward", "operator eve", RPC_ROLE_ADMIN, 0, RPC_INVALID},
        {"no method", "no.such", "operator eve", RPC_ROLE_ADMIN, 0, RPC_INVALID},
    };
    struct identity identity = {0};
    struct buffer out = {0};
    (void)state;
    write_identity(&identity);
    const struct rpc_pause pause = {.reason = slice_of("test")};
    CHECK_OK(codec_encode(&rpc_pause_codec, CODEC_NAMES, &pause, &out));
    struct connection *connection = daemon_harness_connect_tls(&node, "a.crt", "a.key");
    CHECK(connection != NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        const struct rpc_forward forward = {
            .method = slice_of(rows[i].method),
            .params = buffer_slice(&out),
            .actor = slice_of(rows[i].actor),
            .origin = slice_of("192.0.2.1:4"),
            .role = rows[i].role,
            .node_id = identity.node_id + rows[i].node_id,
            .deadline_ms = 5000,
        };
        const struct connection_request request = {.method = RPC_PEER_FORWARD, .params = &forward};
        CHECK_U64(error_of(connection, &request), rows[i].error);
    }
    connection_close(connection);
    buffer_release(&out);
    identity_release(&identity);

    CHECK(is_audited("operator eve", "192.0.2.1:4"));
}

/* ---- Deadlines, and stopping under load ---- */

/* Where the cloud should be: it takes connections and says nothing. */
static int mute_cloud(void)
{
    unsigned port = (unsigned)strtoul(strrchr(node.config.visibility_url, ':') + 1, NULL, 10);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0);
    return fd;
}

static void add_credentials(void)
{
    const struct rpc_credential_add params = {.name = slice_of("c"),
                                              .client_id = slice_of("client-1"),
                                              .password = slice_of("secret"),
                                              .region = slice_of("AMERICAS"),
                                              .replace = true};
    const struct connection_request request = {.method = RPC_CREDENTIALS_ADD, .params = &params};
    struct connection_error error = {0};
    CHECK_U64(daemon_harness_ask(&node, &request, NULL, NULL, &error), 0);
}

static void test_deadline(void **state)
{
    int cloud = mute_cloud();
    const struct rpc_name name = {.name = slice_of("c")};
    const struct connection_request request = {
        .method = RPC_CREDENTIALS_VERIFY, .params = &name, .options.deadline_ms = 300};
    struct connection_error error = {0};
    (void)state;
    add_credentials();
    uint64_t start_ms = daemon_harness_now_ms();
    CHECK_U64(daemon_harness_ask(&node, &request, NULL, NULL, &error), RPC_TIMEOUT);
    CHECK(strstr(error.message, "nothing was changed") != NULL);
    CHECK(daemon_harness_now_ms() - start_ms < 2000);
    (void)close(cloud);
}

/* Calls of every kind are under way when it is told to stop: it stops in time, with code 0 and
 * without a leak, and each call is answered or its connection ended. */
static void test_stop_under_load(void **state)
{
    int cloud = mute_cloud();
    int fds[4];
    struct buffer out = {0};
    struct buffer in = {0};
    size_t errors = 0;
    (void)state;
    add_credentials();
    const struct rpc_name name = {.name = slice_of("c")};
    CHECK(rpc_frame_begin_request(&out, 1, "credentials.verify"));
    CHECK_OK(codec_encode(&rpc_name_codec, CODEC_NAMES, &name, &out));
    for (uint32_t id = 2; id < 600; id++) {
        put_request(&out, id, id % 3 == 0 ? "cluster.members" : "export.resume");
    }
    for (size_t i = 0; i < 4; i++) {
        fds[i] = raw_connect();
        CHECK(send(fds[i], out.data, out.size, MSG_NOSIGNAL) == (ssize_t)out.size);
    }
    /* One answer shows that it has begun with them. */
    CHECK(raw_exchange(fds[3], (struct slice){0}, 1, &in, &errors) >= 1);
    uint64_t start_ms = daemon_harness_now_ms();
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    /* Clients that do not read hold it for 5 s at most; the rest is for a busy machine. */
    CHECK(daemon_harness_now_ms() - start_ms < 18000);
    for (size_t i = 0; i < 4; i++) {
        (void)close(fds[i]);
    }
    (void)close(cloud);
    buffer_release(&out);
    buffer_release(&in);
    daemon_harness_start(&node);
}

/* ---- Starting ---- */

static void test_socket_mode(void **state)
{
    struct stat about;
    (void)state;
    CHECK(stat(node.config.socket, &about) == 0);
    CHECK_U64(about.st_mode & 0777U, 0660);
}

/* A start that fails half way undoes what it made. */
static void test_failed_start(void **state)
{
    static const struct {
        const char *name;
        const char *option;
        const char *value;
    } rows[] = {
        {"the port is taken", "rpc_listen", NULL},
        {"no folder for the socket", "socket", "/nonexistent/rpc.sock"},
        {"the peer port is no address", "peer_listen", "no.such.host:1"},
        {"no CA for the cloud", "cloud_ca_file", "/nonexistent/ca.pem"},
        {"no such group", "socket_operator_group", "no-such-group-here"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        struct daemon_harness other;
        daemon_harness_make(&other, "b");
        const char *value = rows[i].value == NULL ? node.config.rpc_listen : rows[i].value;
        CHECK_OK(config_set(&other.config, rows[i].option, value));
        int code = daemon_harness_run(&other);
        CHECK(code == 1 || code == 78);
        daemon_harness_release(&other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_socket_mode),      cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_unknown_method),   cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_oversize_answer),  cmocka_unit_test(test_roles),
        cmocka_unit_test(test_removed_operator), cmocka_unit_test(test_removes_himself),
        cmocka_unit_test(test_socket_users),     cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_deadline),         cmocka_unit_test(test_stop_under_load),
        cmocka_unit_test(test_failed_start),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
