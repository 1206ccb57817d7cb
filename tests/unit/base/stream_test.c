/*
 * Streams: TLS and UNIX sockets against themselves, in one loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/stream.h"
#include "base/tls.h"
#include "base/x509.h"
#include "pki.h"
#include "scratch.h"

#define DEADLINE_MS 10000U

/* One end: what happened to it. */
struct end {
    struct stream *stream; /* NULL once closed. */
    struct buffer received;
    size_t received_size; /* Also what was counted only. */
    unsigned opened;
    unsigned drained;
    unsigned closed;
    bool counts_only;
    bool echoes;
    bool pauses; /* After each on_read. */
    bool shuts_when_open;
    struct status reason;
};

struct world {
    uv_loop_t loop;
    struct listener *listener;
    char address[STREAM_ADDRESS_SIZE];
    bool local;
    bool refuses;
    struct tls_context *tls;      /* The accepting side's. */
    struct stream_options accept; /* Options of the accepting side. */
    struct end server;
    struct end client;
    uv_timer_t deadline;
};

static struct pki_identity ca;
static struct pki_identity other_ca;
static struct pki_identity node_a;
static struct pki_identity node_b;

static void on_open(struct stream *stream, void *context)
{
    struct end *end = context;
    CHECK_U64(end->closed, 0);
    end->opened++;
    if (end->shuts_when_open) {
        stream_shutdown(stream);
    }
}

static void on_read(struct stream *stream, void *context, struct slice bytes)
{
    struct end *end = context;
    CHECK(end->opened == 1 && end->closed == 0 && bytes.size > 0);
    end->received_size += bytes.size;
    if (!end->counts_only) {
        CHECK(buffer_append(&end->received, bytes.data, bytes.size));
    }
    if (end->echoes) {
        CHECK_OK(stream_write(stream, &bytes, 1));
    }
    if (end->pauses) {
        stream_pause(stream);
    }
}

static void on_drain(struct stream *stream, void *context)
{
    struct end *end = context;
    CHECK_U64(stream_unsent_size(stream), 0);
    end->drained++;
}

static void on_close(struct stream *stream, void *context, struct status reason)
{
    struct end *end = context;
    CHECK(stream == end->stream || end->stream == NULL);
    end->stream = NULL;
    end->closed++;
    end->reason = reason;
}

static const struct stream_handlers handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_close = on_close,
};

static void on_connection(struct listener *listener, void *context)
{
    struct world *world = context;
    if (world->refuses) {
        listener_refuse(listener);
    } else if (world->local) {
        CHECK_OK(stream_accept_local(listener, &world->accept, &world->server.stream));
    } else {
        CHECK_OK(stream_accept_tls(listener, world->tls, &world->accept, &world->server.stream));
    }
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    bool in_time = false;
    CHECK(in_time); /* The condition that the loop runs for has not come. */
}

/* Run the loop until `condition` holds. */
#define RUN_UNTIL(world, condition)                                                                \
    while (!(condition)) {                                                                         \
        CHECK(uv_run(&(world)->loop, UV_RUN_ONCE) != 0);                                           \
    }

static bool times_ignored; /* By contexts made from now on. */

static struct tls_context *context_of(const struct pki_identity *anchor,
                                      const struct pki_identity *identity, enum tls_verify verify)
{
    struct tls_context *context = NULL;
    struct tls_options options = {.verify = verify, .times_ignored = times_ignored};
    if (anchor != NULL) {
        options.ca_pem = buffer_slice(&anchor->certificate);
    }
    if (identity != NULL) {
        options.certificate_pem = buffer_slice(&identity->certificate);
        options.key_pem = secret_slice(&identity->key);
    }
    CHECK_OK(tls_context_create(&options, &context));
    return context;
}

static void world_open(struct world *world, struct tls_context *tls)
{
    *world = (struct world){.tls = tls};
    CHECK(uv_loop_init(&world->loop) == 0);
    CHECK(uv_timer_init(&world->loop, &world->deadline) == 0);
    CHECK(uv_timer_start(&world->deadline, on_deadline, DEADLINE_MS, 0) == 0);
    world->accept = (struct stream_options){
        .loop = &world->loop, .handlers = &handlers, .context = &world->server};
    CHECK_OK(
        listener_open_tcp(&world->loop, "127.0.0.1:0", on_connection, world, &world->listener));
    listener_address(world->listener, world->address);
}

static struct stream_options client_options(struct world *world)
{
    return (struct stream_options){
        .loop = &world->loop, .handlers = &handlers, .context = &world->client};
}

static void connect_client(struct world *world, struct tls_context *tls, const char *server_name)
{
    struct stream_options options = client_options(world);
    CHECK_OK(stream_connect_tls(world->address, server_name, tls, &options, &world->client.stream));
}

static void world_close(struct world *world)
{
    if (world->client.stream != NULL) {
        stream_close(world->client.stream);
    }
    if (world->server.stream != NULL) {
        stream_close(world->server.stream);
    }
    if (world->listener != NULL) {
        listener_close(world->listener, NULL, NULL);
    }
    uv_close((uv_handle_t *)&world->deadline, NULL);
    CHECK(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    CHECK(world->client.closed <= 1 && world->server.closed <= 1);
    CHECK(uv_loop_close(&world->loop) == 0);
    buffer_release(&world->client.received);
    buffer_release(&world->server.received);
    tls_context_destroy(world->tls);
}

static void test_both_ways(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
    struct tls_context *tls = context_of(&ca, &node_b, TLS_VERIFY_REQUIRED);
    connect_client(&world, tls, "127.0.0.1");
    tls_context_destroy(tls); /* The stream keeps what it needs. */
    struct slice pieces[] = {slice_of("one "), slice_of(""), slice_of("two")};
    CHECK_OK(stream_write(world.client.stream, pieces, 3)); /* Before it is open. */
    CHECK_U64(world.client.opened, 0);
    world.server.echoes = true;
    RUN_UNTIL(&world, world.client.received_size == 7);
    CHECK_SLICE(buffer_slice(&world.client.received), slice_of("one two"));

    struct buffer pem = {0};
    uint8_t hash[32];
    uint8_t expected[32];
    char name[32];
    char address[STREAM_ADDRESS_SIZE];
    uid_t uid = 0;
    gid_t gid = 0;
    CHECK_OK(stream_peer_certificate(world.server.stream, &pem));
    CHECK_OK(x509_key_hash(buffer_slice(&pem), expected));
    CHECK_OK(stream_peer_key_hash(world.server.stream, hash));
    assert_memory_equal(hash, expected, sizeof hash);
    CHECK_OK(stream_peer_common_name(world.server.stream, name, sizeof name));
    assert_string_equal(name, "node-b");
    CHECK_CODE(stream_peer_user(world.server.stream, &uid, &gid, NULL), STATUS_NOT_FOUND);
    stream_peer_address(world.client.stream, address);
    assert_string_equal(address, world.address);
    buffer_release(&pem);

    stream_shutdown(world.client.stream);
    stream_shutdown(world.client.stream);
    CHECK_CODE(stream_write(world.client.stream, pieces, 1), STATUS_IO);
    RUN_UNTIL(&world, world.client.closed == 1 && world.server.closed == 1);
    CHECK_OK(world.client.reason);
    CHECK_OK(world.server.reason);
    world_close(&world);
}

enum identity {
    NONE,
    GOOD,
    STRANGER, /* Of another CA. */
    EXPIRED,
    EARLY,
    OPERATOR, /* For the connecting side only. */
};

static struct tls_context *context_of_row(enum identity kind, enum tls_verify verify)
{
    struct pki_identity made = {0};
    uint64_t now_ms = clock_now_ms();
    switch (kind) {
    case NONE: return context_of(&ca, NULL, verify);
    case GOOD: return context_of(&ca, &node_a, verify);
    case STRANGER: pki_issue_valid(&other_ca, "stranger", &made); break;
    case OPERATOR: pki_issue_client(&ca, "operator", &made); break;
    case EXPIRED: pki_issue(&ca, "old", now_ms - PKI_YEAR_MS, now_ms - 2000, &made); break;
    case EARLY: pki_issue(&ca, "new", now_ms + PKI_YEAR_MS, now_ms + 2 * PKI_YEAR_MS, &made); break;
    }
    struct tls_context *context = context_of(&ca, &made, verify);
    pki_release(&made);
    return context;
}

static void test_certificates(void **state)
{
    enum { TIMELESS = 4 }; /* The first rows: both sides ignore times. */
    static const struct {
        const char *name;
        enum identity server;
        enum identity client;
        enum tls_verify verify; /* The server's. */
        const char *server_name;
        enum status_code server_code;
        enum status_code client_code;
    } rows[] = {
        {"expired, times ignored", EXPIRED, EXPIRED, TLS_VERIFY_REQUIRED, NULL, STATUS_OK,
         STATUS_OK},
        {"not yet valid, times ignored", EARLY, EARLY, TLS_VERIFY_REQUIRED, NULL, STATUS_OK,
         STATUS_OK},
        {"times ignored, but nothing else", GOOD, STRANGER, TLS_VERIFY_REQUIRED, NULL,
         STATUS_UNAUTHORIZED, STATUS_UNAUTHORIZED},
        {"a poser, times ignored", OPERATOR, GOOD, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"both good", GOOD, GOOD, TLS_VERIFY_REQUIRED, NULL, STATUS_OK, STATUS_OK},
        {"none, requested", GOOD, NONE, TLS_VERIFY_REQUESTED, NULL, STATUS_OK, STATUS_OK},
        {"client shows none", GOOD, NONE, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"client of another CA", GOOD, STRANGER, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"the same, requested", GOOD, STRANGER, TLS_VERIFY_REQUESTED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"client expired", GOOD, EXPIRED, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"client not yet valid", GOOD, EARLY, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"server of another CA", STRANGER, GOOD, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"server expired", EXPIRED, GOOD, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"client for the connecting side only", GOOD, OPERATOR, TLS_VERIFY_REQUIRED, NULL,
         STATUS_OK, STATUS_OK},
        {"it poses as a server", OPERATOR, GOOD, TLS_VERIFY_REQUIRED, NULL, STATUS_UNAUTHORIZED,
         STATUS_UNAUTHORIZED},
        {"server of another name", GOOD, GOOD, TLS_VERIFY_REQUIRED, "elsewhere.example",
         STATUS_UNAUTHORIZED, STATUS_UNAUTHORIZED},
        {"server of this name", GOOD, GOOD, TLS_VERIFY_REQUIRED, "localhost", STATUS_OK, STATUS_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        struct world world;
        times_ignored = i < TIMELESS;
        world_open(&world, context_of_row(rows[i].server, rows[i].verify));
        struct tls_context *tls = context_of_row(rows[i].client, TLS_VERIFY_REQUIRED);
        connect_client(&world, tls, rows[i].server_name);
        tls_context_destroy(tls);
        struct slice hello = slice_of("hello");
        CHECK_OK(stream_write(world.client.stream, &hello, 1));
        world.server.echoes = true;
        bool good = rows[i].client_code == STATUS_OK;
        RUN_UNTIL(&world, good ? world.client.received_size == hello.size
                               : world.client.closed == 1 && world.server.closed == 1);
        if (!good) {
            CHECK_CODE(world.client.reason, rows[i].client_code);
            CHECK_CODE(world.server.reason, rows[i].server_code);
            CHECK_U64(world.server.received_size, 0);
        }
        world_close(&world);
    }
}

static void test_fingerprint(void **state)
{
    times_ignored = false;
    uint8_t right[32];
    uint8_t wrong[32];
    (void)state;
    CHECK_OK(x509_fingerprint(buffer_slice(&ca.certificate), right));
    CHECK_OK(x509_fingerprint(buffer_slice(&other_ca.certificate), wrong));
    for (int i = 0; i < 2; i++) {
        check_row(i == 0 ? "right" : "wrong");
        struct world world;
        struct tls_context *tls = NULL;
        struct tls_options options = {.verify = TLS_VERIFY_FINGERPRINT};
        memcpy(options.ca_fingerprint, i == 0 ? right : wrong, 32);
        CHECK_OK(tls_context_create(&options, &tls));
        world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUESTED));
        connect_client(&world, tls, NULL);
        tls_context_destroy(tls);
        struct slice secret = slice_of("the join token");
        CHECK_OK(stream_write(world.client.stream, &secret, 1));
        RUN_UNTIL(&world, i == 0 ? world.server.received_size == secret.size
                                 : world.client.closed == 1 && world.server.closed == 1);
        CHECK_U64(world.server.received_size, i == 0 ? secret.size : 0);
        CHECK(i == 0 || world.client.reason.code == STATUS_UNAUTHORIZED);
        CHECK_U64(world.client.opened, i == 0);
        world_close(&world);
    }
}

/* More than sockets hold: back-pressure, the cap, drain, and every byte in order. */
static void test_flow(void **state)
{
    struct world world;
    size_t size = 3U << 20U;
    (void)state;
    world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
    struct tls_context *tls = context_of(&ca, &node_b, TLS_VERIFY_REQUIRED);
    connect_client(&world, tls, NULL);
    tls_context_destroy(tls);
    RUN_UNTIL(&world, world.client.opened == 1 && world.server.opened == 1);
    world.server.pauses = true;
    char *block = malloc(size);
    assert_non_null(block);
    assert(block != NULL); /* For the analyzer, which does not know that the line above ends. */
    for (size_t i = 0; i < size; i++) {
        block[i] = (char)(i * 31 >> 7U);
    }
    struct slice piece = {.data = block, .size = size};
    unsigned taken = 0;
    struct status status = OK;
    while (!failed(status)) {
        status = stream_write(world.client.stream, &piece, 1);
        taken += !failed(status);
        (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    CHECK_CODE(status, STATUS_BUSY);
    CHECK(stream_unsent_size(world.client.stream) > 0 && taken > 0);
    size_t paused_at = world.server.received_size;
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    CHECK_U64(world.server.received_size, paused_at);
    while (world.server.received_size < taken * size) {
        stream_resume(world.server.stream);
        CHECK(uv_run(&world.loop, UV_RUN_NOWAIT) != 0);
    }
    CHECK(world.client.drained > 0);
    for (unsigned i = 0; i < taken; i++) {
        assert_memory_equal(world.server.received.data + i * size, block, size);
    }
    struct slice large = {.data = block, .size = STREAM_UNSENT_SIZE_DEFAULT + 1};
    CHECK_CODE(stream_write(world.client.stream, &large, 1), STATUS_BUSY);
    free(block);
    world_close(&world);
}

/* What was written before a shutdown arrives, although the reader is slow. */
static void test_shutdown_sends_all(void **state)
{
    struct world world;
    size_t size = STREAM_UNSENT_SIZE_DEFAULT;
    (void)state;
    world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
    struct tls_context *tls = context_of(&ca, &node_b, TLS_VERIFY_REQUIRED);
    connect_client(&world, tls, NULL);
    tls_context_destroy(tls);
    world.server.counts_only = true;
    char *block = calloc(1, size);
    CHECK(block != NULL);
    struct slice piece = {.data = block, .size = size};
    RUN_UNTIL(&world, world.client.opened == 1);
    CHECK_OK(stream_write(world.client.stream, &piece, 1));
    stream_shutdown(world.client.stream);
    RUN_UNTIL(&world, world.client.closed == 1 && world.server.closed == 1);
    CHECK_U64(world.server.received_size, size);
    CHECK_OK(world.client.reason);
    CHECK_OK(world.server.reason);
    free(block);
    world_close(&world);
}

static void test_not_tls(void **state)
{
    struct world world;
    struct sockaddr_in address;
    (void)state;
    world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
    int port = (int)strtoul(strrchr(world.address, ':') + 1, NULL, 10);
    CHECK(uv_ip4_addr("127.0.0.1", port, &address) == 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    CHECK(write(fd, garbage, sizeof garbage) == (ssize_t)sizeof garbage);
    RUN_UNTIL(&world, world.server.stream != NULL);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    RUN_UNTIL(&world, world.server.closed == 1);
    CHECK_CODE(world.server.reason, STATUS_INVALID);
    CHECK_U64(world.server.opened, 0);
    close(fd);
    world_close(&world);
}

/* A handshake that never comes, and a connection broken off. */
static void test_deadline(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct sockaddr_in address;
        (void)state;
        check_row(i == 0 ? "silent" : "broken off");
        world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
        world.accept.handshake_timeout_ms = i == 0 ? 50 : 5000;
        int port = (int)strtoul(strrchr(world.address, ':') + 1, NULL, 10);
        CHECK(uv_ip4_addr("127.0.0.1", port, &address) == 0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
        if (i == 1) {
            close(fd);
        }
        RUN_UNTIL(&world, world.server.closed == 1);
        CHECK_CODE(world.server.reason, i == 0 ? STATUS_TIMEOUT : STATUS_IO);
        if (i == 0) {
            close(fd);
        }
        world_close(&world);
    }
}

static void fail_to_connect(const char *address, enum status_code now, enum status_code later)
{
    struct world world;
    world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
    struct stream_options options = client_options(&world);
    CHECK_CODE(stream_connect_tls(address, NULL, world.tls, &options, &world.client.stream), now);
    if (now == STATUS_OK) {
        CHECK_U64(world.client.closed, 0);
        RUN_UNTIL(&world, world.client.closed == 1);
        CHECK_CODE(world.client.reason, later);
    }
    world_close(&world);
}

static void test_unreachable(void **state)
{
    static const struct {
        const char *address;
        enum status_code now;
        enum status_code later;
    } rows[] = {
        {"127.0.0.1:1", STATUS_OK, STATUS_UNREACHABLE},
        {"localhost:1", STATUS_OK, STATUS_UNREACHABLE},
        {"no..host:1", STATUS_OK, STATUS_UNREACHABLE},
        {"[::1]:1", STATUS_OK, STATUS_UNREACHABLE},
        {"127.0.0.1", STATUS_INVALID, STATUS_OK},
        {":1", STATUS_INVALID, STATUS_OK},
        {"127.0.0.1:65536", STATUS_INVALID, STATUS_OK},
        {"127.0.0.1:", STATUS_INVALID, STATUS_OK},
        {"127.0.0.1:-1", STATUS_INVALID, STATUS_OK},
        {"::1:1", STATUS_INVALID, STATUS_OK},
        {"[]:1", STATUS_INVALID, STATUS_OK},
        {"", STATUS_INVALID, STATUS_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].address);
        fail_to_connect(rows[i].address, rows[i].now, rows[i].later);
    }
}

/* Close after so many turns of the loop: on_close comes once, later, and nothing else after it. */
static void close_after(const char *address, int turns)
{
    struct world world;
    world_open(&world, context_of(&ca, &node_a, TLS_VERIFY_REQUIRED));
    struct stream_options options = client_options(&world);
    CHECK_OK(stream_connect_tls(address == NULL ? world.address : address, NULL, world.tls,
                                &options, &world.client.stream));
    for (int i = 0; i < turns; i++) {
        (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    if (world.client.stream != NULL) {
        CHECK_U64(world.client.closed, 0);
        stream_close(world.client.stream);
        stream_close(world.client.stream);
        CHECK_U64(world.client.closed, 0);
    }
    RUN_UNTIL(&world, world.client.closed == 1);
    world_close(&world);
}

static void test_close_early(void **state)
{
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        close_after(NULL, turns);
        close_after("localhost:1", turns);
        close_after("127.0.0.1:1", turns);
    }
}

static void test_local(void **state)
{
    struct world world;
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 8];
    char address[STREAM_ADDRESS_SIZE];
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    (void)state;
    scratch_make(folder);
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    world_open(&world, NULL);
    listener_close(world.listener, NULL, NULL);
    world.local = true;
    struct listener *second = NULL;
    CHECK_OK(listener_open_local(&world.loop, path, 0600, on_connection, &world, &world.listener));
    CHECK_CODE(listener_open_local(&world.loop, path, 0600, on_connection, &world, &second),
               STATUS_BUSY);
    RUN_UNTIL(&world, world.server.closed == 1); /* The probe of the second. */
    world.server = (struct end){.echoes = true};

    struct stream_options options = client_options(&world);
    CHECK_OK(stream_connect_local(path, &options, &world.client.stream));
    struct slice hello = slice_of("hello");
    CHECK_OK(stream_write(world.client.stream, &hello, 1));
    RUN_UNTIL(&world, world.client.received_size == hello.size);
    CHECK_OK(stream_peer_user(world.server.stream, &uid, &gid, &pid));
    CHECK(uid == getuid() && gid == getgid() && pid == getpid());
    stream_peer_address(world.server.stream, address);
    assert_string_equal(address, "local");
    struct buffer pem = {0};
    CHECK_CODE(stream_peer_certificate(world.server.stream, &pem), STATUS_NOT_FOUND);
    stream_shutdown(world.server.stream);
    RUN_UNTIL(&world, world.client.closed == 1 && world.server.closed == 1);
    CHECK_OK(world.client.reason);
    CHECK_OK(world.server.reason);

    buffer_release(&world.client.received);
    world.client = (struct end){0};
    CHECK_OK(stream_connect_local(path, &options, &world.client.stream));
    world.refuses = true;
    RUN_UNTIL(&world, world.client.closed == 1);
    CHECK_CODE(listener_open_local(&world.loop, folder, 0600, on_connection, &world, &second),
               STATUS_INVALID);
    world_close(&world);
    CHECK(access(path, F_OK) != 0);
    scratch_remove(folder);
}

static void test_stale_socket(void **state)
{
    struct world world;
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 8];
    (void)state;
    scratch_make(folder);
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd); /* The file stays, as after a crash. */
    world_open(&world, NULL);
    listener_close(world.listener, NULL, NULL);
    CHECK_OK(listener_open_local(&world.loop, path, 0660, on_connection, &world, &world.listener));
    world_close(&world);
    scratch_remove(folder);
}

static void test_context_refusals(void **state)
{
    struct tls_context *context = NULL;
    struct slice good_ca = buffer_slice(&ca.certificate);
    struct slice good = buffer_slice(&node_a.certificate);
    struct slice key = secret_slice(&node_a.key);
    struct slice other_key = secret_slice(&node_b.key);
    struct slice text = slice_of("hello");
    const struct {
        const char *name;
        struct tls_options options;
    } rows[] = {
        {"no CA", {.certificate_pem = good, .key_pem = key}},
        {"CA is not PEM", {.ca_pem = text, .certificate_pem = good, .key_pem = key}},
        {"certificate is not PEM", {.ca_pem = good_ca, .certificate_pem = text, .key_pem = key}},
        {"key is not PEM", {.ca_pem = good_ca, .certificate_pem = good, .key_pem = text}},
        {"no key", {.ca_pem = good_ca, .certificate_pem = good}},
        {"another's key", {.ca_pem = good_ca, .certificate_pem = good, .key_pem = other_key}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        CHECK_CODE(tls_context_create(&rows[i].options, &context), STATUS_INVALID);
        CHECK(context == NULL);
    }
}

static int set_up(void **state)
{
    (void)state;
    pki_make(&ca, "cluster");
    pki_make(&other_ca, "elsewhere");
    pki_issue_valid(&ca, "node-a", &node_a);
    pki_issue_valid(&ca, "node-b", &node_b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pki_release(&ca);
    pki_release(&other_ca);
    pki_release(&node_a);
    pki_release(&node_b);
    return 0;
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* As every program here must. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),          cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_fingerprint),        cmocka_unit_test(test_flow),
        cmocka_unit_test(test_shutdown_sends_all), cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_deadline),           cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_close_early),        cmocka_unit_test(test_local),
        cmocka_unit_test(test_stale_socket),       cmocka_unit_test(test_context_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
