/*
 * The peer network: messages between nodes, and everything that may be wrong with a peer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/stream.h"
#include "peer_frame.h"
#include "peer_harness.h"

static char bytes[] = "0123456789abcdef";
static struct raft_entry entry = {.term = 1, .type = RAFT_COMMAND, .buf = {bytes, 16}};
static char address_a[] = "192.0.2.1:1";
static struct raft_server server = {.id = 9, .address = address_a, .role = RAFT_VOTER};

static void test_messages(void **state)
{
    struct world world;
    struct sent sent;
    (void)state;
    world_open(&world, 2);
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(a);
    node_open(b);
    const struct raft_message rows[] = {
        {.type = RAFT_IO_REQUEST_VOTE, .request_vote = {.term = 2, .candidate_id = a->node_id}},
        {.type = RAFT_IO_REQUEST_VOTE_RESULT, .request_vote_result = {.term = 2}},
        {.type = RAFT_IO_APPEND_ENTRIES,
         .append_entries = {.term = 2, .entries = &entry, .n_entries = 1}},
        {.type = RAFT_IO_APPEND_ENTRIES_RESULT,
         .append_entries_result = {.term = 2, .last_log_index = 3}},
        {.type = RAFT_IO_INSTALL_SNAPSHOT,
         .install_snapshot = {.term = 2,
                              .last_index = 4,
                              .last_term = 1,
                              .conf = {&server, 1},
                              .data = {bytes, 5}}},
        {.type = RAFT_IO_TIMEOUT_NOW, .timeout_now = {.term = 2}},
    };
    node_connect(a, b);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned before = b->received[rows[i].type];
        node_send(a, b, (struct raft_wire_message){.raft = rows[i], .round = 0}, &sent);
        WORLD_RUN_UNTIL(&world, sent.answered == 1 && b->received[rows[i].type] == before + 1);
        CHECK_OK(sent.status);
        CHECK_U64(b->last.raft.server_id, a->node_id);
    }
    CHECK_U64(b->received_size, 16);
    struct peers_statistics statistics;
    peers_statistics(b->peers, &statistics);
    CHECK(statistics.messages_received >= 6 && statistics.bytes_received > 96);
    world_close(&world);
}

/* What is not AppendEntries with entries waits for the connection; those are refused at once. */
static void test_before_open(void **state)
{
    struct world world;
    struct sent vote;
    struct sent append;
    (void)state;
    world_open(&world, 2);
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(a);
    node_open(b);
    node_send(a, b,
              (struct raft_wire_message){
                  .raft = {.type = RAFT_IO_REQUEST_VOTE,
                           .request_vote = {.term = 1, .candidate_id = a->node_id}}},
              &vote);
    struct raft_wire_message message = {
        .raft = {.type = RAFT_IO_APPEND_ENTRIES,
                 .append_entries = {.term = 1, .entries = &entry, .n_entries = 1}}};
    node_send(a, b, message, &append);
    CHECK_CODE(append.status, STATUS_UNREACHABLE);
    WORLD_RUN_UNTIL(&world, b->received[RAFT_IO_REQUEST_VOTE] == 1);
    CHECK_U64(vote.answered, 1);
    CHECK_U64(append.answered, 0);
    CHECK_U64(b->received[RAFT_IO_APPEND_ENTRIES], 0);
    world_close(&world);
}

static void test_reconnect(void **state)
{
    struct world world;
    struct sent sent;
    (void)state;
    world_open(&world, 2);
    world.options.reconnect_max_ms = 60;
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(a);
    node_open(b);
    node_connect(a, b);
    node_close(b);
    WORLD_RUN_UNTIL(&world, !peers_connected(a->peers, b->node_id));
    WORLD_RUN_UNTIL(&world, a->gone == 1); /* Without anything to send. */
    node_send(a, b, heartbeat(), &sent);
    CHECK_CODE(sent.status, STATUS_UNREACHABLE);
    node_send(a, b,
              (struct raft_wire_message){
                  .raft = {.type = RAFT_IO_TIMEOUT_NOW, .timeout_now = {.term = 1}}},
              &sent);
    CHECK_OK(sent.status); /* Not AppendEntries: answered later. */
    WORLD_RUN_UNTIL(&world, sent.answered == 1);
    CHECK_CODE(sent.status, STATUS_UNREACHABLE);
    b->address[0] = '\0'; /* Another port: addresses are asked for each time. */
    node_open(b);
    node_connect(a, b);
    world_close(&world);
}

static void test_removed(void **state)
{
    struct world world;
    struct sent sent;
    (void)state;
    world_open(&world, 2);
    world.options.reconnect_max_ms = 60;
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(a);
    node_open(b);
    node_connect(a, b);
    a->banned = true;
    peers_review(b->peers);
    WORLD_RUN_UNTIL(&world, !peers_connected(a->peers, b->node_id));
    /* Cut in mid-connection it may or may not read why; at its next attempt it is told. */
    a->banned = false;
    world.nodes[0].refused = 0;
    node_connect(a, b);
    a->banned = true;
    peers_review(b->peers);
    while (a->refused == 0) {
        node_send(a, b, heartbeat(), &sent);
        bool accepted = !failed(sent.status);
        CHECK(uv_run(&world.loop, UV_RUN_ONCE) != 0);
        WORLD_RUN_UNTIL(&world, !accepted || sent.answered == 1);
    }
    node_send(a, b, heartbeat(), &sent);
    CHECK_CODE(sent.status, STATUS_UNAUTHORIZED);
    CHECK_U64(a->gone, 0); /* It cut us off, but it is there. */
    world_close(&world);
}

/* The node at the address is not the one that was meant, though a good member. */
static void test_wrong_id(void **state)
{
    struct world world;
    struct sent sent;
    (void)state;
    world_open(&world, 3);
    struct node *a = &world.nodes[0];
    struct node *c = &world.nodes[2];
    node_open(a);
    node_open(c);
    memcpy(world.nodes[1].address, c->address, sizeof c->address);
    node_send(a, &world.nodes[1], heartbeat(), &sent);
    WORLD_RUN_UNTIL(&world, a->troubles > 0);
    CHECK_CODE(a->trouble, STATUS_UNAUTHORIZED);
    CHECK_U64(c->received[RAFT_IO_APPEND_ENTRIES], 0);
    CHECK(!peers_connected(a->peers, world.nodes[1].node_id));
    world_close(&world);
}

/* A certificate that must not get through, seen from the node that is called. */
static void test_bad_certificate(void **state)
{
    struct world world;
    struct pki_identity other_ca;
    struct sent sent;
    (void)state;
    world_open(&world, 2);
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(b);
    pki_make(&other_ca, "cluster");
    pki_release(&a->identity);
    pki_issue_valid(&other_ca, "node-0", &a->identity);
    CHECK_OK(node_id_of_certificate(buffer_slice(&a->identity.certificate), &a->node_id));
    node_open(a);
    node_send(a, b, heartbeat(), &sent);
    WORLD_RUN_UNTIL(&world, a->troubles > 0 && b->troubles > 0);
    CHECK_CODE(a->trouble, STATUS_UNAUTHORIZED);
    CHECK_CODE(b->trouble, STATUS_UNAUTHORIZED);
    CHECK_U64(b->received[RAFT_IO_APPEND_ENTRIES], 0);
    world_close(&world);
    pki_release(&other_ca);
}

/* A member is who its key is, whatever the time: both were off for long, or a clock is wrong. */
static void test_untimely_certificates(void **state)
{
    static const char *const names[] = {"both expired", "one not valid yet"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        uint64_t now_ms = clock_now_ms();
        check_row(names[i]);
        world_open(&world, 2);
        for (int k = 0; k < 2; k++) {
            struct node *node = &world.nodes[k];
            uint64_t begin_ms = i == 0 ? now_ms - PKI_YEAR_MS : now_ms + PKI_YEAR_MS;
            if (i == 1 && k == 1) {
                continue;
            }
            pki_release(&node->identity);
            pki_issue(&world.ca, "node", begin_ms, begin_ms + PKI_YEAR_MS / 2, &node->identity);
            CHECK_OK(
                node_id_of_certificate(buffer_slice(&node->identity.certificate), &node->node_id));
        }
        node_open(&world.nodes[0]);
        node_open(&world.nodes[1]);
        node_connect(&world.nodes[0], &world.nodes[1]);
        node_connect(&world.nodes[1], &world.nodes[0]);
        world.nodes[0].banned = true; /* And nothing but the key: it is cut, and stays out. */
        peers_review(world.nodes[1].peers);
        WORLD_RUN_UNTIL(&world, world.nodes[0].refused > 0);
        world_close(&world);
    }
}

static void test_open_refusals(void **state)
{
    struct world world;
    struct peers *peers = NULL;
    (void)state;
    world_open(&world, 2);
    struct node *a = &world.nodes[0];
    node_open(a);
    struct peers_options options = {
        .loop = &world.loop,
        .node_id = world.nodes[1].node_id,
        .listen_address = "127.0.0.1:0",
        .ca_pem = buffer_slice(&world.ca.certificate),
        .certificate_pem = buffer_slice(&a->identity.certificate),
        .key_pem = secret_slice(&a->identity.key),
    };
    check_row("another's id");
    CHECK_CODE(peers_open(&options, &peers), STATUS_INVALID);
    check_row("a name to listen on");
    options.node_id = a->node_id;
    options.listen_address = "localhost:0";
    CHECK_CODE(peers_open(&options, &peers), STATUS_INVALID);
    check_row("an address in use");
    options.listen_address = a->address;
    CHECK_CODE(peers_open(&options, &peers), STATUS_BUSY);
    CHECK(peers == NULL);
    world_close(&world);
}

/* ---- A member that does not keep to the protocol: a bare stream with a good certificate ---- */

struct rogue {
    struct stream *stream;
    unsigned opened;
    unsigned closed;
    struct buffer received;
};

static void rogue_on_open(struct stream *stream, void *context)
{
    struct rogue *rogue = context;
    (void)stream;
    rogue->opened++;
}

static void rogue_on_read(struct stream *stream, void *context, struct slice received)
{
    struct rogue *rogue = context;
    (void)stream;
    CHECK(buffer_append(&rogue->received, received.data, received.size));
}

static void rogue_on_close(struct stream *stream, void *context, struct status reason)
{
    struct rogue *rogue = context;
    (void)stream;
    (void)failed(reason);
    rogue->closed++;
    rogue->stream = NULL;
}

static const struct stream_handlers rogue_handlers = {
    .on_open = rogue_on_open,
    .on_read = rogue_on_read,
    .on_close = rogue_on_close,
};

static void rogue_connect(struct rogue *rogue, struct node *as, const struct node *to)
{
    struct tls_context *tls = NULL;
    struct tls_options tls_options = {.ca_pem = buffer_slice(&as->world->ca.certificate),
                                      .certificate_pem = buffer_slice(&as->identity.certificate),
                                      .key_pem = secret_slice(&as->identity.key)};
    struct stream_options options = {
        .loop = &as->world->loop, .handlers = &rogue_handlers, .context = rogue};
    *rogue = (struct rogue){0};
    CHECK_OK(tls_context_create(&tls_options, &tls));
    CHECK_OK(stream_connect_tls(to->address, NULL, tls, &options, &rogue->stream));
    tls_context_destroy(tls);
    WORLD_RUN_UNTIL(as->world, rogue->opened == 1);
}

static void test_rogue(void **state)
{
    static const uint8_t oversized[FRAME_HEADER_SIZE] = {1, 0, 0, 1, FRAME_MESSAGE};
    static const uint8_t odd_kind[FRAME_HEADER_SIZE] = {0, 0, 0, 0, 99};
    static const uint8_t not_zero[FRAME_HEADER_SIZE] = {0, 0, 0, 0, FRAME_PING, 1};
    static const uint8_t image_data[FRAME_HEADER_SIZE + 1] = {1, 0, 0, 0, FRAME_IMAGE_DATA};
    static const uint8_t bad_message[FRAME_HEADER_SIZE + 8] = {8, 0, 0, 0, FRAME_MESSAGE};
    /* RequestVote of term 1 in the name of node 5. */
    static const uint8_t other_name[FRAME_HEADER_SIZE + 40] = {
        40, 0, 0, 0, FRAME_MESSAGE, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5};
    static const struct {
        const char *name;
        bool greets;
        struct slice sent;
    } rows[] = {
        {"not a frame", false, {"GET / HTTP/1.1\r\n\r\n", 18}},
        {"message before the greeting", false, {bad_message, sizeof bad_message}},
        {"oversized frame", true, {oversized, sizeof oversized}},
        {"unknown kind", true, {odd_kind, sizeof odd_kind}},
        {"header not zero", true, {not_zero, sizeof not_zero}},
        {"image to the wrong side", true, {image_data, sizeof image_data}},
        {"malformed message", true, {bad_message, sizeof bad_message}},
        {"votes in another's name", true, {other_name, sizeof other_name}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        struct rogue rogue;
        struct buffer hello = {0};
        check_row(rows[i].name);
        world_open(&world, 2);
        node_open(&world.nodes[1]);
        rogue_connect(&rogue, &world.nodes[0], &world.nodes[1]);
        CHECK(frame_put_hello(&hello, FRAME_HELLO_VERSION, PURPOSE_MESSAGES, ""));
        if (rows[i].greets) {
            struct slice piece = buffer_slice(&hello);
            CHECK_OK(stream_write(rogue.stream, &piece, 1));
            WORLD_RUN_UNTIL(&world, rogue.received.size >= FRAME_HEADER_SIZE);
        }
        CHECK_OK(stream_write(rogue.stream, &rows[i].sent, 1));
        WORLD_RUN_UNTIL(&world, rogue.closed == 1);
        CHECK(world.nodes[1].troubles > 0);
        CHECK_CODE(world.nodes[1].trouble, STATUS_INVALID);
        buffer_release(&hello);
        buffer_release(&rogue.received);
        world_close(&world);
    }
}

/* Greetings and refusals are understood by every version there will be. */
static void test_golden_frames(void **state)
{
    (void)state;
    static const char greeting[] = "\x0b\0\0\0\x01\0\0\0mstr\x01\0\x01\x03h:1";
    static const char refusal[] = "\x03\0\0\0\x02\0\0\0\x02no";
    struct buffer frames = {0};
    CHECK(frame_put_hello(&frames, 1, PURPOSE_MESSAGES, "h:1"));
    CHECK_SLICE(buffer_slice(&frames),
                ((struct slice){.data = greeting, .size = sizeof greeting - 1}));
    buffer_clear(&frames);
    CHECK(frame_put_refused(&frames, REFUSAL_VERSION, "no"));
    CHECK_SLICE(buffer_slice(&frames),
                ((struct slice){.data = refusal, .size = sizeof refusal - 1}));
    buffer_release(&frames);
}

/* Greet with a version; the answer's first frame is what comes back. */
static void greet(struct world *world, struct rogue *rogue, unsigned version)
{
    struct buffer hello = {0};
    world_open(world, 2);
    node_open(&world->nodes[1]);
    rogue_connect(rogue, &world->nodes[0], &world->nodes[1]);
    CHECK(frame_put_hello(&hello, version, PURPOSE_MESSAGES, ""));
    struct slice piece = buffer_slice(&hello);
    CHECK_OK(stream_write(rogue->stream, &piece, 1));
    WORLD_RUN_UNTIL(world, rogue->received.size >= FRAME_HEADER_SIZE + FRAME_HELLO_SIZE);
    buffer_release(&hello);
}

/* To a version to come the highest one is answered that both speak. */
static void test_next_version(void **state)
{
    struct world world;
    struct rogue rogue;
    (void)state;
    greet(&world, &rogue, FRAME_HELLO_VERSION + 1);
    CHECK_U64((uint8_t)rogue.received.data[4], FRAME_HELLO);
    CHECK_U64((uint8_t)rogue.received.data[FRAME_HEADER_SIZE + 4], FRAME_HELLO_VERSION);
    stream_close(rogue.stream);
    WORLD_RUN_UNTIL(&world, rogue.closed == 1);
    buffer_release(&rogue.received);
    world_close(&world);
}

/* A version that is not spoken any more is told so, in words. */
static void test_old_version(void **state)
{
    struct world world;
    struct rogue rogue;
    (void)state;
    greet(&world, &rogue, FRAME_HELLO_VERSION_MIN - 1);
    WORLD_RUN_UNTIL(&world, rogue.closed == 1);
    CHECK_U64((uint8_t)rogue.received.data[4], FRAME_REFUSED);
    CHECK_U64((uint8_t)rogue.received.data[FRAME_HEADER_SIZE], REFUSAL_VERSION);
    buffer_release(&rogue.received);
    world_close(&world);
}

/* Silent after TLS, silent after the greeting, and broken off within a frame. */
static void test_half_open(void **state)
{
    static const char *const names[] = {"no greeting", "no pings", "killed in mid-frame"};
    static const uint8_t half[FRAME_HEADER_SIZE + 3] = {200, 0, 0, 0, FRAME_MESSAGE};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct world world;
        struct rogue rogue;
        struct buffer hello = {0};
        check_row(names[i]);
        world_open(&world, 2);
        world.options.handshake_timeout_ms = 300;
        world.options.dead_ms = i == 1 ? 100 : 5000;
        node_open(&world.nodes[1]);
        rogue_connect(&rogue, &world.nodes[0], &world.nodes[1]);
        CHECK(frame_put_hello(&hello, FRAME_HELLO_VERSION, PURPOSE_MESSAGES, ""));
        if (i > 0) {
            struct slice piece = buffer_slice(&hello);
            CHECK_OK(stream_write(rogue.stream, &piece, 1));
        }
        if (i == 2) {
            struct slice piece = {.data = half, .size = sizeof half};
            CHECK_OK(stream_write(rogue.stream, &piece, 1));
            WORLD_RUN_UNTIL(&world, rogue.received.size > 0);
            stream_close(rogue.stream);
        }
        WORLD_RUN_UNTIL(&world, world.nodes[1].troubles > 0 && rogue.closed == 1);
        CHECK_CODE(world.nodes[1].trouble, i < 2 ? STATUS_TIMEOUT : STATUS_IO);
        buffer_release(&hello);
        buffer_release(&rogue.received);
        world_close(&world);
    }
}

/* Connect to a port of ours from 127.0.0.`from`; the connection says nothing. */
static int mute_connection(int port, int from)
{
    char text[32];
    struct sockaddr_in source;
    struct sockaddr_in address;
    (void)snprintf(text, sizeof text, "127.0.0.%d", from);
    CHECK(uv_ip4_addr(text, 0, &source) == 0);
    CHECK(uv_ip4_addr("127.0.0.1", port, &address) == 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&source, sizeof source) == 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* Connections that never shake hands are bounded in number, from one address and in all, and a member
 * gets in at once: silent ones from its own address give way by time, all others by number. */
static void test_flood(void **state)
{
    enum { FLOOD = PEER_UNKNOWN_MAX + 20 };
    static const struct {
        const char *name;
        int sources;
        unsigned timeout_ms; /* Of a handshake. */
        uint64_t refused;    /* At least. */
    } rows[] = {
        {"the member's own address", 1, 300, FLOOD - PEER_UNKNOWN_PER_SOURCE_MAX},
        {"seven other addresses", 7, 60000, FLOOD - PEER_UNKNOWN_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        struct peers_statistics statistics = {0};
        int fds[FLOOD];
        check_row(rows[i].name);
        world_open(&world, 2);
        world.options.handshake_timeout_ms = rows[i].timeout_ms;
        struct node *a = &world.nodes[0];
        struct node *b = &world.nodes[1];
        node_open(a);
        node_open(b);
        int port = (int)strtoul(strrchr(b->address, ':') + 1, NULL, 10);
        for (int k = 0; k < FLOOD; k++) {
            fds[k] = mute_connection(port, rows[i].sources == 1 ? 1 : 2 + k % rows[i].sources);
        }
        while (statistics.connections_refused < rows[i].refused) {
            CHECK(uv_run(&world.loop, UV_RUN_ONCE) != 0);
            peers_statistics(b->peers, &statistics);
        }
        node_connect(a, b);
        for (int k = 0; k < FLOOD; k++) {
            close(fds[k]);
        }
        world_close(&world);
    }
}

/* A peer that does not read: sends are refused at the bound, each answered once. */
static void test_queue_bound(void **state)
{
    struct world world;
    struct sent sent;
    static char large[8U << 20U];
    struct raft_entry big = {.term = 1, .type = RAFT_COMMAND, .buf = {large, sizeof large}};
    struct raft_wire_message message = {
        .raft = {.type = RAFT_IO_APPEND_ENTRIES,
                 .append_entries = {.term = 1, .entries = &big, .n_entries = 1}}};
    (void)state;
    world_open(&world, 2);
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(a);
    node_open(b);
    node_connect(a, b);
    size_t accepted = 0;
    for (int i = 0; i < 10; i++) { /* The loop does not run: nobody reads. */
        static struct sent each[10];
        node_send(a, b, message, &each[i]);
        accepted += !failed(each[i].status);
        CHECK(!failed(each[i].status) || each[i].status.code == STATUS_BUSY);
    }
    CHECK(accepted >= 2 && accepted < 10);
    WORLD_RUN_UNTIL(&world, b->received_size == accepted * sizeof large);
    node_send(a, b, message, &sent);
    CHECK_OK(sent.status);
    WORLD_RUN_UNTIL(&world,
                    sent.answered == 1 && b->received_size == (accepted + 1) * sizeof large);
    world_close(&world);
}

/* Outstanding sends are answered when the network closes. */
static void test_close_answers(void **state)
{
    struct world world;
    struct sent sent;
    (void)state;
    world_open(&world, 2);
    node_open(&world.nodes[0]);
    node_open(&world.nodes[1]);
    node_send(&world.nodes[0], &world.nodes[1],
              (struct raft_wire_message){
                  .raft = {.type = RAFT_IO_TIMEOUT_NOW, .timeout_now = {.term = 1}}},
              &sent);
    node_close(&world.nodes[0]);
    CHECK_U64(sent.answered, 1);
    CHECK_CODE(sent.status, STATUS_UNKNOWN);
    world_close(&world);
}

static void test_fault(void **state)
{
    struct world world;
    struct sent sent;
    (void)state;
    world_open(&world, 2);
    node_open(&world.nodes[0]);
    node_open(&world.nodes[1]);
    node_connect(&world.nodes[0], &world.nodes[1]);
    fault_arm(FAULT_PEER_SEND, 0, 1);
    node_send(&world.nodes[0], &world.nodes[1], heartbeat(), &sent);
    CHECK_CODE(sent.status, STATUS_UNREACHABLE);
    CHECK_U64((uint64_t)fault_reset(), 1);
    world_close(&world);
}

/* A renewed certificate of the same key: the old connections stay, new ones use it. */
static void test_reload(void **state)
{
    struct world world;
    (void)state;
    world_open(&world, 2);
    struct node *a = &world.nodes[0];
    struct node *b = &world.nodes[1];
    node_open(a);
    node_open(b);
    node_connect(a, b);
    struct slice ca = buffer_slice(&world.ca.certificate);
    CHECK_OK(peers_reload(a->peers, ca, buffer_slice(&a->identity.certificate),
                          secret_slice(&a->identity.key)));
    CHECK(peers_connected(a->peers, b->node_id));
    CHECK_CODE(peers_reload(a->peers, ca, buffer_slice(&b->identity.certificate),
                            secret_slice(&b->identity.key)),
               STATUS_INVALID);
    world_close(&world);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* As every program here must. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),      cmocka_unit_test(test_before_open),
        cmocka_unit_test(test_reconnect),     cmocka_unit_test(test_removed),
        cmocka_unit_test(test_wrong_id),      cmocka_unit_test(test_bad_certificate),
        cmocka_unit_test(test_open_refusals), cmocka_unit_test(test_rogue),
        cmocka_unit_test(test_golden_frames), cmocka_unit_test(test_next_version),
        cmocka_unit_test(test_old_version),   cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_flood),         cmocka_unit_test(test_queue_bound),
        cmocka_unit_test(test_close_answers), cmocka_unit_test(test_fault),
        cmocka_unit_test(test_reload),        cmocka_unit_test(test_untimely_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
