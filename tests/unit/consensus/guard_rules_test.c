/*
 * Rules of the guard that no weather of the simulation brings to harm, because what they repair needs
 * a disk without order, or load, or two rare things at once: that each does what it says, and that
 * without it nobody does. What stands for libraft takes what it is given.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "raft_view.h"

#define LOG_OFFSET 40U
#define LOG_END 50U
#define TERM 9U

struct bench {
    struct raft raft;
    struct raft_entry log[16];
    struct raft_server servers[3];
    struct raft_io below;
    struct guard *guard;

    raft_io_recv_cb recv; /* How to hand a message to the guard. */
    raft_io_tick_cb tick; /* How time passes. */
    unsigned ticks;       /* That reached libraft. */
    unsigned received;    /* Messages that reached libraft. */
    struct raft_io_append *append;
    raft_io_append_cb append_done;
    struct raft_io_snapshot_put *put;
    raft_io_snapshot_put_cb put_done;
    int put_code; /* At once. */
    int fatal_code;
    struct raft_io_send *send;
    raft_io_send_cb send_done;
};

static struct bench bench;
static char address[] = "a";

/* ---- The io below, and what stands for libraft ---- */

static int below_start(struct raft_io *io, unsigned period_ms, raft_io_tick_cb tick,
                       raft_io_recv_cb recv)
{
    (void)io;
    (void)period_ms;
    bench.tick = tick;
    bench.recv = recv;
    return 0;
}

static raft_time below_time(struct raft_io *io)
{
    (void)io;
    return 1;
}

static int below_append(struct raft_io *io, struct raft_io_append *request,
                        const struct raft_entry *entries, unsigned count,
                        raft_io_append_cb callback)
{
    (void)io;
    (void)entries;
    (void)count;
    bench.append = request;
    bench.append_done = callback;
    return 0;
}

static int below_truncate(struct raft_io *io, raft_index index)
{
    (void)io;
    (void)index;
    return 0;
}

static int below_put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *request,
                     const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback)
{
    (void)io;
    (void)trailing;
    (void)snapshot;
    bench.put = request;
    bench.put_done = callback;
    return bench.put_code;
}

static int below_send(struct raft_io *io, struct raft_io_send *request,
                      const struct raft_message *message, raft_io_send_cb callback)
{
    (void)io;
    (void)message;
    bench.send = request;
    bench.send_done = callback;
    return 0;
}

static void libraft_tick(struct raft_io *io)
{
    (void)io;
    bench.ticks++;
}

static void libraft_recv(struct raft_io *io, struct raft_message *message)
{
    (void)io;
    bench.received++;
    raft_view_drop(message);
}

static void libraft_appended(struct raft_io_append *request, int status)
{
    (void)request;
    (void)status;
}

static void libraft_put(struct raft_io_snapshot_put *request, int status)
{
    (void)request;
    (void)status;
}

static void libraft_sent(struct raft_io_send *request, int status)
{
    (void)status;
    request->data = NULL;
}

static void on_fatal(void *context, const char *action, int code)
{
    (void)context;
    (void)action;
    bench.fatal_code = code;
}

/* A follower in term 9 with entries 41 to 50 in memory, with this rule alone or with none. */
static void bench_make(unsigned rule)
{
    memset(&bench, 0, sizeof bench);
    struct raft *raft = &bench.raft;
    *raft = (struct raft){.id = 1,
                          .state = RAFT_FOLLOWER,
                          .current_term = TERM,
                          .commit_index = 44,
                          .last_stored = 50};
    for (size_t i = 0; i < 16; i++) {
        bench.log[i] = (struct raft_entry){.term = TERM, .type = RAFT_COMMAND};
    }
    raft->log.entries = bench.log;
    raft->log.size = 16;
    raft->log.back = LOG_END - LOG_OFFSET;
    raft->log.offset = LOG_OFFSET;
    for (unsigned i = 0; i < 3; i++) {
        bench.servers[i] =
            (struct raft_server){.id = i + 1, .address = address, .role = RAFT_VOTER};
    }
    raft->configuration = (struct raft_configuration){.servers = bench.servers, .n = 3};
    bench.below = (struct raft_io){.start = below_start,
                                   .time = below_time,
                                   .append = below_append,
                                   .truncate = below_truncate,
                                   .snapshot_put = below_put,
                                   .send = below_send};
    struct guard_options options = {
        .raft = raft, .below = &bench.below, .disabled = GUARD_ALL & ~rule, .on_fatal = on_fatal};
    CHECK_OK(guard_create(&options, &bench.guard));
    struct raft_io *io = guard_io(bench.guard);
    CHECK(io->start(io, 1, libraft_tick, libraft_recv) == 0);
}

/* True if libraft was given it. */
static bool hand_in(struct raft_message *message)
{
    unsigned before = bench.received;
    bench.recv(&bench.below, message);
    return bench.received > before;
}

/* ---- What may be under way, for TRUNCATE and INSTALL ---- */

static struct raft_io_append append_request;
static struct raft_io_snapshot_put put_request;
static struct raft_io_send send_request;
static struct raft_snapshot snapshot = {.index = 44, .term = TERM};

static void begin_append(void)
{
    struct raft_io *io = guard_io(bench.guard);
    CHECK(io->append(io, &append_request, bench.log, 1, libraft_appended) == 0);
}

static void end_append(void)
{
    bench.append_done(bench.append, 0);
}

static void begin_put(void)
{
    struct raft_io *io = guard_io(bench.guard);
    CHECK(io->snapshot_put(io, 1, &put_request, &snapshot, libraft_put) == 0);
}

static void end_put(void)
{
    bench.put_done(bench.put, 0);
}

static void begin_truncation(void)
{
    struct raft_io *io = guard_io(bench.guard);
    CHECK(io->truncate(io, 50) == 0);
}

static void end_truncation(void)
{
    begin_append(); /* Its answer tells that all before it is on disk. */
    end_append();
}

static void begin_send(void)
{
    struct raft_io *io = guard_io(bench.guard);
    struct raft_message message = {
        .type = RAFT_IO_APPEND_ENTRIES,
        .server_id = 2,
        .server_address = "b",
        .append_entries = {.term = TERM, .entries = bench.log, .n_entries = 1}};
    CHECK(io->send(io, &send_request, &message, libraft_sent) == 0);
}

static void end_send(void)
{
    bench.send_done(bench.send, 0);
}

static const struct under_way {
    const char *name;
    void (*begin)(void);
    void (*end)(void);
    bool installs; /* Rule INSTALL waits for it, too. */
} under_ways[] = {
    {"a write of entries", begin_append, end_append, true},
    {"a snapshot", begin_put, end_put, true},
    {"a truncation", begin_truncation, end_truncation, true},
    {"a send that refers to entries", begin_send, end_send, false},
};

/* Entries of a later leader that differ from 46 on. */
static struct raft_message conflict(void)
{
    struct raft_message message = {
        .type = RAFT_IO_APPEND_ENTRIES,
        .server_id = 2,
        .server_address = "b",
        .append_entries = {
            .term = TERM + 1, .prev_log_index = 45, .prev_log_term = TERM, .n_entries = 1}};
    struct raft_entry *entry = raft_calloc(1, sizeof *entry);
    void *batch = raft_calloc(1, 8);
    assert_non_null(entry);
    assert_non_null(batch);
    *entry = (struct raft_entry){.term = TERM + 1, .type = RAFT_COMMAND, .batch = batch};
    message.append_entries.entries = entry;
    return message;
}

static struct raft_message install(void)
{
    struct raft_message message = {
        .type = RAFT_IO_INSTALL_SNAPSHOT,
        .server_id = 2,
        .server_address = "b",
        .install_snapshot = {.term = TERM, .last_index = 60, .last_term = TERM}};
    return message;
}

static void check_waits(unsigned rule, struct raft_message (*make)(void), bool installs)
{
    for (size_t i = 0; i < sizeof under_ways / sizeof under_ways[0]; i++) {
        const struct under_way *under_way = &under_ways[i];
        check_row(under_way->name);
        if (installs && !under_way->installs) {
            continue;
        }
        bench_make(rule);
        struct raft_message message = make();
        CHECK(hand_in(&message)); /* Nothing is under way. */
        under_way->begin();
        message = make();
        CHECK(!hand_in(&message));
        under_way->end();
        message = make();
        CHECK(hand_in(&message));
        guard_destroy(bench.guard);

        bench_make(0);
        under_way->begin();
        message = make();
        CHECK(hand_in(&message)); /* Nobody else holds it up. */
        under_way->end();
        guard_destroy(bench.guard);
    }
}

static void test_truncate(void **state)
{
    (void)state;
    check_waits(GUARD_TRUNCATE, conflict, false);
}

static void test_install(void **state)
{
    (void)state;
    check_waits(GUARD_INSTALL, install, true);
}

/* ---- ELECTION ---- */

/* Our log has all that was asked of it on disk when it has stored a term, so that no seed comes to
 * harm by the first of these. */
static void test_election(void **state)
{
    (void)state;
    static struct raft_snapshot installed = {.index = 60, .term = TERM};
    struct raft_message vote = {
        .type = RAFT_IO_REQUEST_VOTE,
        .server_id = 2,
        .server_address = "b",
        .request_vote = {.term = TERM + 1, .candidate_id = 2, .last_log_index = 60}};
    for (unsigned i = 0; i < 2; i++) {
        bool rule = i == 0;
        bench_make(rule ? GUARD_ELECTION : 0);
        begin_append();
        bench.tick(&bench.below);
        CHECK_U64(bench.ticks, rule ? 0 : 1);
        CHECK(hand_in(&vote)); /* It may vote; libraft compares what is stored. */
        end_append();
        bench.tick(&bench.below);
        CHECK_U64(bench.ticks, rule ? 1 : 2);
        struct raft_io *io = guard_io(bench.guard);
        CHECK(io->snapshot_put(io, 0, &put_request, &installed, libraft_put) == 0);
        CHECK(hand_in(&vote) == !rule);
        end_put();
        CHECK(hand_in(&vote));
        guard_destroy(bench.guard);
    }
}

/* ---- VOTE ---- */

static void test_vote(void **state)
{
    static const struct vote_row {
        const char *name;
        raft_id candidate;
        raft_term term;
        bool pre_vote;
        bool transfers;
        bool passes;
    } rows[] = {
        {"a second candidate of the term", 3, TERM, false, true, false},
        {"the one that was voted for", 2, TERM, false, true, true},
        {"of a later term", 3, TERM + 1, false, true, true},
        {"only asking", 3, TERM, true, true, true},
        {"nothing is handed over", 3, TERM, false, false, true},
    };
    (void)state;
    static struct raft_transfer transfer;
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof rows[0]); i++) {
        const struct vote_row *row = &rows[i / 2];
        unsigned rule = i % 2 == 0 ? GUARD_VOTE : 0;
        check_row(row->name);
        bench_make(rule);
        bench.raft.voted_for = 2;
        bench.raft.transfer = row->transfers ? &transfer : NULL;
        struct raft_message message = {.type = RAFT_IO_REQUEST_VOTE,
                                       .server_id = row->candidate,
                                       .server_address = "c",
                                       .request_vote = {.term = row->term,
                                                        .candidate_id = row->candidate,
                                                        .pre_vote = row->pre_vote}};
        CHECK(hand_in(&message) == (rule == 0 || row->passes));
        guard_destroy(bench.guard);
    }
}

/* ---- XFER ---- */

/* libraft's request of a handover is gone when the handover ends, which may be before the send. */
static void test_transfer(void **state)
{
    (void)state;
    struct raft_message message = {.type = RAFT_IO_TIMEOUT_NOW,
                                   .server_id = 2,
                                   .server_address = "b",
                                   .timeout_now = {.term = TERM}};
    for (unsigned i = 0; i < 2; i++) {
        bench_make(i == 0 ? GUARD_XFER : 0);
        struct raft_io_send *request = malloc(sizeof *request);
        struct raft_io *io = guard_io(bench.guard);
        assert_non_null(request);
        CHECK(io->send(io, request, &message, NULL) == 0);
        CHECK((bench.send == request) == (i == 1));
        free(request);
        if (i == 0) {
            bench.send_done(bench.send, 0); /* Touches nothing of what was freed. */
        }
        guard_destroy(bench.guard);
    }
}

/* ---- FLOW ---- */

/* A leader whose own write is long on disk hears that a quorum has the entries, too. */
static void test_flow(void **state)
{
    static const struct flow_row {
        const char *name;
        raft_index acknowledged;
        raft_term log_term;
        raft_index commit;
    } rows[] = {
        {"all of it", 50, TERM, 50},
        {"some of it", 47, TERM, 47},
        {"more than this disk has", 52, TERM, 50},
        {"of an earlier term: not by counting", 50, TERM - 1, 44},
        {"nothing new", 44, TERM, 44},
    };
    (void)state;
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof rows[0]); i++) {
        const struct flow_row *row = &rows[i / 2];
        unsigned rule = i % 2 == 0 ? GUARD_FLOW : 0;
        struct raft_progress progress[3] = {{.match_index = 50}, {.match_index = 44}, {0}};
        check_row(row->name);
        bench_make(rule);
        for (size_t k = 0; k < 16; k++) {
            bench.log[k].term = row->log_term;
        }
        bench.raft.state = RAFT_LEADER;
        bench.raft.leader_state.progress = progress;
        struct raft_message message = {
            .type = RAFT_IO_APPEND_ENTRIES_RESULT,
            .server_id = 2,
            .server_address = "b",
            .append_entries_result = {.term = TERM, .last_log_index = row->acknowledged}};
        bench.recv(&bench.below, &message);
        CHECK_U64(bench.raft.commit_index, rule == 0 ? 44 : row->commit);
        bench.raft.leader_state.progress = NULL;
        guard_destroy(bench.guard);
    }
}

/* ---- FAILSTOP ---- */

/* The log has no room for a snapshot that is installed. libraft, which has dropped its own by then, stops
 * itself and does not say why: the guard has said it before. One that it takes of itself may fail. */
static void test_refused_install(void **state)
{
    static struct raft_snapshot installed = {.index = 60, .term = TERM};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        bool rule = i != 1;
        bool own = i == 2;
        bench_make(rule ? GUARD_FAILSTOP : 0);
        bench.put_code = RAFT_NOSPACE;
        struct raft_io *io = guard_io(bench.guard);
        const struct raft_snapshot *given = own ? &bench.raft.snapshot.pending : &installed;
        CHECK(io->snapshot_put(io, own, &put_request, given, libraft_put) == RAFT_NOSPACE);
        CHECK_U64((uint64_t)bench.fatal_code, rule && !own ? RAFT_NOSPACE : 0);
        guard_destroy(bench.guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_install),
        cmocka_unit_test(test_vote),
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_flow),
        cmocka_unit_test(test_election),
        cmocka_unit_test(test_refused_install),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
