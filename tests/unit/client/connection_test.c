/*
 * The connection against a peer that follows a script: answers in pieces, in any order, late, too
 * long, or no answers at all.
 *
 * A script is a string of steps, one letter each; the peer is a thread at the other end of a socket
 * pair. No step sleeps: a slow peer is one that does not answer until we have given up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/connection.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/skim.h"
#include "client/rpc_frame.h"
#include "scratch.h"

#define REQUESTS_MAX 128
#define SHORT_MS 50U
#define PATIENCE_MS 10000U

/*
 *   r  read one request          a  answer the oldest one read    z  answer the newest one read
 *   b  answer it byte by byte    e  answer it with an error       d  done with a sentence
 *   x  send garbage              l  send a frame that is too long u  answer a request never made
 *   t  answer with a wrong type  q  send a request                c  close
 *   w  wait until told to go on
 */
struct peer {
    int fd;
    const char *script;
    struct buffer in;
    uint32_t ids[REQUESTS_MAX];
    size_t first; /* Of those without an answer. */
    size_t count; /* Read so far. */
    int go;       /* Read end of a pipe: a byte for each w. */
    char last_method[RPC_METHOD_SIZE_MAX + 1];
    struct rpc_options last_options;
};

static void write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t count = send(fd, at, size, MSG_NOSIGNAL);
        if (count <= 0) {
            return;
        }
        at += count;
        size -= (size_t)count;
    }
}

static void take_request(struct peer *peer, size_t size)
{
    struct rpc_frame frame;
    struct arena arena = {0};
    bool id_known = false;
    struct slice bytes = {.data = peer->in.data, .size = size};
    if (failed(rpc_frame_parse(bytes, &frame, &id_known)) || frame.response) {
        abort();
    }
    if (failed(codec_decode(&rpc_options_codec, CODEC_NAMES, frame.params, &arena,
                            &peer->last_options))) {
        abort();
    }
    (void)slice_to_text(frame.method, peer->last_method, sizeof(peer->last_method));
    peer->ids[peer->count++] = frame.id;
    buffer_consume(&peer->in, size);
    arena_release(&arena);
}

static void read_request(struct peer *peer)
{
    static const struct skim_limits limits = {
        .size_max = RPC_FRAME_SIZE_MAX, .depth_max = RPC_DEPTH_MAX, .values_max = RPC_VALUES_MAX};
    for (;;) {
        size_t size = 0;
        if (skim_value(buffer_slice(&peer->in), &limits, &size) == SKIM_COMPLETE) {
            take_request(peer, size);
            return;
        }
        char piece[4096];
        ssize_t count = recv(peer->fd, piece, sizeof(piece), 0);
        if (count <= 0 || !buffer_append(&peer->in, piece, (size_t)count)) {
            return;
        }
    }
}

static void make_answer(uint32_t id, bool with_error, struct buffer *out)
{
    struct rpc_digest_view view = {.index = id, .digest = slice_of("00ff")};
    bool good = true;
    if (with_error) {
        good = rpc_frame_error(out, id, RPC_REFUSED + 5,
                               slice_of("[registered] it is registered\nDeregister it first"));
    } else {
        good = rpc_frame_begin_result(out, id) &&
               !failed(codec_encode(&rpc_digest_view_codec, CODEC_NAMES, &view, out));
    }
    if (!good) {
        abort();
    }
}

static void send_answer(struct peer *peer, uint32_t id, bool with_error, bool in_pieces)
{
    struct buffer bytes = {0};
    make_answer(id, with_error, &bytes);
    for (size_t i = 0; in_pieces && i + 1 < bytes.size; i++) {
        write_all(peer->fd, bytes.data + i, 1);
    }
    size_t rest = in_pieces ? 1 : bytes.size;
    write_all(peer->fd, bytes.data + bytes.size - rest, rest);
    buffer_release(&bytes);
}

static void send_too_long(struct peer *peer)
{
    /* [1, 1, nil, a text of 2 MiB], of which the header alone is enough. */
    static const char head[] = "\x94\x01\x01\xc0\xdb\x00\x20\x00\x00";
    write_all(peer->fd, head, sizeof(head) - 1);
}

static uint32_t oldest(struct peer *peer)
{
    return peer->ids[peer->first++];
}

static void do_step(struct peer *peer, char step)
{
    static const char wrong_type[] = "\x94\x01\x01\xc0\x81\xa5index\xa1x";
    static const char request[] = "\x94\x00\x01\xa1m\x90";
    char byte = 0;
    switch (step) {
    case 'r': read_request(peer); break;
    case 'a': send_answer(peer, oldest(peer), false, false); break;
    case 'z': send_answer(peer, peer->ids[--peer->count], false, false); break;
    case 'b': send_answer(peer, oldest(peer), false, true); break;
    case 'e': send_answer(peer, oldest(peer), true, false); break;
    case 'u': send_answer(peer, 77777, false, false); break;
    case 'x': write_all(peer->fd, "GET / HTTP/1.1\r\n", 16); break;
    case 'l': send_too_long(peer); break;
    case 't': write_all(peer->fd, wrong_type, sizeof(wrong_type) - 1); break;
    case 'q': write_all(peer->fd, request, sizeof(request) - 1); break;
    case 'c': (void)shutdown(peer->fd, SHUT_RDWR); break;
    case 'w': (void)!read(peer->go, &byte, 1); break;
    default: abort();
    }
}

static void *run_peer(void *data)
{
    struct peer *peer = data;
    for (const char *step = peer->script; *step != '\0'; step++) {
        do_step(peer, *step);
    }
    return NULL;
}

struct world {
    struct peer peer;
    pthread_t thread;
    struct connection *connection;
    struct arena arena;
    int go;
};

static void world_open(struct world *world, const char *script)
{
    int ends[2];
    int go[2];
    *world = (struct world){0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK(pipe(go) == 0);
    world->peer.fd = ends[1];
    world->peer.go = go[0];
    world->peer.script = script;
    world->go = go[1];
    CHECK_OK(connection_adopt(ends[0], &world->connection));
    CHECK(pthread_create(&world->thread, NULL, run_peer, &world->peer) == 0);
}

static void go_on(struct world *world)
{
    CHECK(write(world->go, "g", 1) == 1);
}

/* The peer's script must have come to its end. */
static void world_close(struct world *world)
{
    connection_close(world->connection);
    CHECK(pthread_join(world->thread, NULL) == 0);
    (void)close(world->peer.fd);
    (void)close(world->peer.go);
    (void)close(world->go);
    buffer_release(&world->peer.in);
    arena_release(&world->arena);
}

static struct status ask(struct world *world, enum rpc_method method, uint64_t deadline_ms,
                         struct rpc_digest_view *view, struct connection_error *error)
{
    static const struct rpc_digest digest = {.index = 9};
    static const struct rpc_name name;
    const void *params = method == RPC_NODE_DIGEST ? (const void *)&digest : &name;
    struct connection_request request = {
        .method = method, .params = params, .options = {.deadline_ms = deadline_ms}};
    return connection_call(world->connection, &request, &world->arena, view, error);
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *script;
        enum status_code code;
        uint64_t error;
        bool broken;
    } rows[] = {
        {"whole", "ra", STATUS_OK, RPC_OK, false},
        {"byte by byte", "rb", STATUS_OK, RPC_OK, false},
        {"error", "re", STATUS_REFUSED, RPC_REFUSED + 5, false},
        {"garbage", "rx", STATUS_CORRUPT, RPC_INTERNAL, true},
        {"too long", "rl", STATUS_CORRUPT, RPC_INTERNAL, true},
        {"answer to nothing", "ru", STATUS_CORRUPT, RPC_INTERNAL, true},
        {"wrong type", "rt", STATUS_CORRUPT, RPC_INTERNAL, false},
        {"a request", "rq", STATUS_CORRUPT, RPC_INTERNAL, true},
        {"closed", "rc", STATUS_UNREACHABLE, RPC_UNREACHABLE, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;
        struct rpc_digest_view view = {0};
        struct connection_error error;
        check_row(rows[i].name);
        world_open(&world, rows[i].script);
        CHECK_CODE(ask(&world, RPC_NODE_DIGEST, PATIENCE_MS, &view, &error), rows[i].code);
        CHECK_U64(error.code, rows[i].error);
        CHECK(connection_is_broken(world.connection) == rows[i].broken);
        CHECK((error.message[0] != '\0') == (rows[i].code != STATUS_OK));
        if (rows[i].code == STATUS_OK) {
            CHECK_U64(view.index, 1);
            CHECK_SLICE(view.digest, slice_of("00ff"));
        }
        world_close(&world);
        CHECK_U64(world.peer.last_options.deadline_ms, PATIENCE_MS);
        CHECK(strcmp(world.peer.last_method, "node.digest") == 0);
    }
}

/* A change whose answer is lost may have happened; before it was sent it cannot have. */
static void test_lost_changes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *script;
        enum status_code code;
    } rows[] = {
        {"closed after the request", "rc", STATUS_UNKNOWN},
        {"garbage after the request", "rx", STATUS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;
        struct rpc_digest_view view = {0};
        struct connection_error error;
        check_row(rows[i].name);
        world_open(&world, rows[i].script);
        CHECK_CODE(ask(&world, RPC_CLUSTER_TRANSFER, PATIENCE_MS, &view, &error), rows[i].code);
        CHECK_U64(error.code, RPC_OUTCOME_UNKNOWN);
        CHECK_CODE(ask(&world, RPC_CLUSTER_TRANSFER, PATIENCE_MS, &view, &error),
                   STATUS_UNREACHABLE);
        world_close(&world);
    }
}

/* An answer that comes after we gave up is thrown away, and the next one is the right one. */
static void test_late_answer(void **state)
{
    (void)state;
    struct world world;
    struct rpc_digest_view view = {0};
    struct connection_error error;
    world_open(&world, "rwara");
    struct connection_request request = {.method = RPC_NODE_DIGEST,
                                         .params = &(struct rpc_digest){0}};
    uint32_t id = 0;
    struct connection_reply reply;
    CHECK_OK(connection_send(world.connection, &request, &id));
    CHECK_CODE(connection_receive(world.connection, SHORT_MS, &reply), STATUS_TIMEOUT);
    CHECK(!connection_is_broken(world.connection));
    CHECK_U64(connection_in_flight(world.connection), 1);
    go_on(&world);
    CHECK_OK(connection_receive(world.connection, PATIENCE_MS, &reply));
    CHECK_U64(reply.id, id);
    CHECK_OK(ask(&world, RPC_NODE_DIGEST, PATIENCE_MS, &view, &error));
    CHECK_U64(view.index, 2);
    world_close(&world);
}

static void test_deadline(void **state)
{
    (void)state;
    struct world world;
    struct rpc_digest_view view = {0};
    struct connection_error error;
    world_open(&world, "rwara");
    uint64_t begin_ms = clock_monotonic_ms();
    CHECK_CODE(ask(&world, RPC_NODE_DIGEST, 1, &view, &error), STATUS_TIMEOUT);
    CHECK(clock_monotonic_ms() - begin_ms >= CONNECTION_GRACE_MS);
    CHECK_U64(error.code, RPC_TIMEOUT);
    CHECK_U64(connection_in_flight(world.connection), 0);
    go_on(&world);
    CHECK_OK(ask(&world, RPC_NODE_DIGEST, PATIENCE_MS, &view, &error));
    CHECK_U64(view.index, 2);
    world_close(&world);
}

static void test_any_order(void **state)
{
    (void)state;
    struct world world;
    uint32_t ids[3];
    world_open(&world, "rrrzzz");
    struct connection_request request = {.method = RPC_NODE_DIGEST,
                                         .params = &(struct rpc_digest){0}};
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(connection_send(world.connection, &request, &ids[i]));
    }
    for (size_t i = 3; i-- > 0;) {
        struct connection_reply reply;
        struct rpc_digest_view view = {0};
        CHECK_OK(connection_receive(world.connection, PATIENCE_MS, &reply));
        CHECK_U64(reply.id, ids[i]);
        CHECK_OK(connection_decode(&reply, &world.arena, &view));
        CHECK_U64(view.index, ids[i]);
    }
    struct connection_reply reply;
    CHECK_CODE(connection_receive(world.connection, 0, &reply), STATUS_INVALID);
    world_close(&world);
}

static void test_in_flight_limit(void **state)
{
    (void)state;
    struct world world;
    uint32_t id = 0;
    world_open(&world, "w");
    struct connection_request request = {.method = RPC_NODE_DIGEST,
                                         .params = &(struct rpc_digest){0}};
    for (size_t i = 0; i < CONNECTION_IN_FLIGHT_MAX; i++) {
        CHECK_OK(connection_send(world.connection, &request, &id));
    }
    CHECK_CODE(connection_send(world.connection, &request, &id), STATUS_BUSY);
    CHECK(!connection_is_broken(world.connection));
    CHECK_U64(connection_in_flight(world.connection), CONNECTION_IN_FLIGHT_MAX);
    go_on(&world);
    world_close(&world);
}

/* Params that break a limit are refused here, and nothing is sent. */
static void test_invalid_params(void **state)
{
    (void)state;
    char long_name[RPC_NAME_SIZE_MAX + 2] = "";
    memset(long_name, 'n', sizeof(long_name) - 1);
    struct world world;
    struct rpc_digest_view view = {0};
    struct connection_error error;
    world_open(&world, "ra");
    struct rpc_name name = {.name = slice_of(long_name)};
    struct connection_request request = {.method = RPC_CREDENTIALS_SELECT, .params = &name};
    CHECK_CODE(connection_call(world.connection, &request, &world.arena, &view, &error),
               STATUS_INVALID);
    CHECK(strstr(error.message, "name") != NULL);
    CHECK_OK(ask(&world, RPC_NODE_DIGEST, PATIENCE_MS, &view, &error));
    world_close(&world);
}

/* More bytes than the pipes hold, while the peer answers: neither side may wait for the other. */
static void test_bulk(void **state)
{
    (void)state;
    struct world world;
    uint32_t id = 0;
    struct slice subject = {.data = calloc(1, MESSAGE_SUBJECT_SIZE_MAX + 1),
                            .size = MESSAGE_SUBJECT_SIZE_MAX};
    CHECK(subject.data != NULL);
    char *fill;
    memcpy(&fill, &subject.data, sizeof(fill));
    memset(fill, 's', subject.size);
    static struct message_record records[RPC_RECORDS_MAX];
    for (size_t i = 0; i < 500; i++) {
        records[i] = (struct message_record){.serial = slice_of("A-1"),
                                             .mid = i,
                                             .revision = 1,
                                             .disposition = slice_of("delivered"),
                                             .subject = subject};
    }
    struct rpc_submit submit = {.records = {.items = records, .count = 500}};
    struct connection_request request = {.method = RPC_RECORDS_SUBMIT, .params = &submit};
    world_open(&world, "rararararara");
    for (size_t i = 0; i < 6; i++) {
        CHECK_OK(connection_send(world.connection, &request, &id));
    }
    for (size_t i = 0; i < 6; i++) {
        struct connection_reply reply;
        CHECK_OK(connection_receive(world.connection, PATIENCE_MS, &reply));
        CHECK_U64(reply.id, i + 1);
    }
    submit.records.count = RPC_RECORDS_MAX + 1;
    CHECK_CODE(connection_send(world.connection, &request, &id), STATUS_INVALID);
    submit.records.count = RPC_RECORDS_MAX;
    memcpy(&records[500], &records[0], 500 * sizeof(records[0]));
    CHECK_CODE(connection_send(world.connection, &request, &id), STATUS_INVALID); /* > 1 MiB */
    CHECK(!connection_is_broken(world.connection));
    free(fill);
    world_close(&world);
}

static void test_no_node(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 16];
    char long_path[200];
    struct connection *connection = NULL;
    scratch_make(folder);
    (void)snprintf(path, sizeof(path), "%s/rpc.sock", folder);
    struct connection_options options = {.socket_path = path, .timeout_ms = SHORT_MS};
    CHECK_CODE(connection_open(&options, &connection), STATUS_UNREACHABLE);
    memset(long_path, 'p', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    options.socket_path = long_path;
    CHECK_CODE(connection_open(&options, &connection), STATUS_INVALID);
    options.address = "127.0.0.1:1";
    CHECK_CODE(connection_open(&options, &connection), STATUS_INVALID); /* Without the files. */
    CHECK(connection == NULL);
    scratch_remove(folder);
}

/* A daemon that restarts: the socket is closed, and later another process listens on its path. */
static void test_reopen(void **state)
{
    (void)state;
    char folder[SCRATCH_PATH_SIZE];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct connection *connection = NULL;
    scratch_make(folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(listener, 4) == 0);
    struct connection_options options = {.socket_path = address.sun_path, .timeout_ms = 1000};
    CHECK_OK(connection_open(&options, &connection));
    int accepted = accept(listener, NULL, NULL);
    (void)close(accepted);
    (void)close(listener);
    CHECK_CODE(connection_reopen(connection, SHORT_MS), STATUS_UNREACHABLE);
    CHECK(connection_is_broken(connection));
    CHECK(unlink(address.sun_path) == 0);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(listener, 4) == 0);
    CHECK_OK(connection_reopen(connection, PATIENCE_MS));
    CHECK(!connection_is_broken(connection));
    connection_close(connection);
    (void)close(listener);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_lost_changes),
        cmocka_unit_test(test_late_answer),    cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_any_order),      cmocka_unit_test(test_in_flight_limit),
        cmocka_unit_test(test_invalid_params), cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_no_node),        cmocka_unit_test(test_reopen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
