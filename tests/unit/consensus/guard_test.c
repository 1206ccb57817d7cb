/*
 * What the guard reads of libraft, and its table of rules; the rules themselves are held by the soak.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "raft_view.h"

static void test_names(void **state)
{
    (void)state;
    unsigned all = 0;
    for (unsigned i = 0; i < GUARD_RULE_COUNT; i++) {
        CHECK(guard_rule_name(i) != NULL);
        all |= 1U << i;
    }
    CHECK_U64(all, GUARD_ALL);
    CHECK(guard_rule_name(GUARD_RULE_COUNT) == NULL);
}

static void test_configuration_decoding(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    struct raft_configuration again;
    struct raft_buffer bytes;
    raft_configuration_init(&configuration);
    CHECK(raft_configuration_add(&configuration, 7, "a.example:1", RAFT_VOTER) == 0);
    CHECK(raft_configuration_add(&configuration, 9, "b.example:2", RAFT_STANDBY) == 0);
    CHECK(raft_configuration_encode(&configuration, &bytes) == 0);
    CHECK(raft_view_decode(bytes.base, bytes.len, &again) == 0);
    CHECK_U64(again.n, 2);
    CHECK_U64(again.servers[1].id, 9);
    CHECK(again.servers[1].role == RAFT_STANDBY);
    CHECK_SLICE(slice_of(again.servers[0].address), slice_of("a.example:1"));
    raft_configuration_close(&again);
    /* Every shorter prefix that cuts a server, and every wrong first byte, is refused. */
    const size_t whole = 1 + 8 + 2 * (8 + sizeof "a.example:1" + 1);
    for (size_t size = 0; size < whole; size++) {
        CHECK(raft_view_decode(bytes.base, size, &again) == RAFT_MALFORMED);
    }
    ((char *)bytes.base)[0] = 2;
    CHECK(raft_view_decode(bytes.base, bytes.len, &again) == RAFT_MALFORMED);
    raft_free(bytes.base);
    raft_configuration_close(&configuration);
}

static void test_alone_at_start(void **state)
{
    (void)state;
    struct raft_configuration configuration;
    struct raft_entry entry = {.term = 1, .type = RAFT_CHANGE};
    raft_configuration_init(&configuration);
    CHECK(raft_configuration_add(&configuration, 7, "a", RAFT_VOTER) == 0);
    CHECK(raft_configuration_encode(&configuration, &entry.buf) == 0);
    CHECK(raft_view_starts_alone(7, NULL, &entry, 1));
    CHECK(!raft_view_starts_alone(8, NULL, &entry, 1));
    CHECK(!raft_view_starts_alone(7, NULL, NULL, 0));
    struct raft_snapshot snapshot = {.configuration = configuration};
    CHECK(raft_view_starts_alone(7, &snapshot, NULL, 0));
    raft_free(entry.buf.base);
    CHECK(raft_configuration_add(&configuration, 8, "b", RAFT_VOTER) == 0);
    CHECK(raft_configuration_encode(&configuration, &entry.buf) == 0);
    CHECK(!raft_view_starts_alone(7, &snapshot, &entry, 1));
    raft_free(entry.buf.base);
    raft_configuration_close(&configuration);
}

/* ---- Rule COMPACT ---- */

struct below { /* The io below the guard; keeps how to hand in a message. */
    struct raft_io io;
    raft_io_recv_cb recv;
};

static struct raft_append_entries received; /* By what stands for libraft. */
static bool was_received;

static int below_start(struct raft_io *io, unsigned period_ms, raft_io_tick_cb tick,
                       raft_io_recv_cb recv)
{
    struct below *below = io->impl;
    (void)period_ms;
    (void)tick;
    below->recv = recv;
    return 0;
}

static raft_time below_time(struct raft_io *io)
{
    (void)io;
    return 1;
}

static void libraft_tick(struct raft_io *io)
{
    (void)io;
}

static void libraft_recv(struct raft_io *io, struct raft_message *message)
{
    (void)io;
    was_received = true;
    received = message->append_entries;
    raft_view_drop(message);
}

static struct raft_message entries_message(raft_index prev, unsigned count)
{
    struct raft_message message = {
        .type = RAFT_IO_APPEND_ENTRIES,
        .server_id = 2,
        .server_address = "b",
        .append_entries = {
            .term = 9, .prev_log_index = prev, .prev_log_term = 9, .n_entries = count}};
    if (count > 0) {
        struct raft_entry *entries = raft_calloc(count, sizeof *entries);
        void *batch = raft_calloc(count, 8);
        assert_non_null(entries);
        assert_non_null(batch);
        for (unsigned i = 0; i < count; i++) {
            entries[i] = (struct raft_entry){.term = 9, .type = RAFT_COMMAND, .batch = batch};
        }
        message.append_entries.entries = entries;
    }
    return message;
}

/* A follower whose log in memory begins behind `offset`, with a snapshot at 44, its commit index. */
static void test_compact(void **state)
{
    static const struct compact_row {
        const char *name;
        raft_index offset;
        raft_index prev;
        unsigned count;
        raft_index prev_after;
        unsigned count_after;
    } rows[] = {
        {"within the log", 40, 45, 3, 45, 3},
        {"before an entry that is in memory", 40, 41, 6, 41, 6},
        {"before the first entry in memory", 43, 43, 6, 44, 5},
        {"the snapshot's last entry", 44, 44, 4, 44, 4},
        {"long before the log", 43, 20, 30, 44, 6},
        {"nothing but what is committed", 43, 20, 10, 44, 0},
        {"a heartbeat before the log", 43, 30, 0, 44, 0},
        {"beyond the log", 43, 60, 2, 60, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct compact_row *row = &rows[i];
        struct raft_entry log[16] = {0};
        struct raft raft = {.state = RAFT_FOLLOWER, .current_term = 9, .commit_index = 44};
        struct below below = {.io = {.start = below_start, .time = below_time}};
        struct guard *guard = NULL;
        struct guard_options options = {
            .raft = &raft, .below = &below.io, .disabled = GUARD_ALL & ~(unsigned)GUARD_COMPACT};
        check_row(row->name);
        for (size_t k = 0; k < 16; k++) {
            log[k].term = 9;
        }
        raft.log.entries = log;
        raft.log.size = 16;
        raft.log.back = (size_t)(50 - row->offset); /* It ends at 50. */
        raft.log.offset = row->offset;
        raft.log.snapshot.last_index = 44;
        raft.log.snapshot.last_term = 9;
        below.io.impl = &below;
        CHECK_OK(guard_create(&options, &guard));
        CHECK(guard_io(guard)->start(guard_io(guard), 1, libraft_tick, libraft_recv) == 0);
        struct raft_message message = entries_message(row->prev, row->count);
        was_received = false;
        below.recv(&below.io, &message);
        CHECK(was_received);
        CHECK_U64(received.prev_log_index, row->prev_after);
        CHECK_U64(received.prev_log_term, 9);
        CHECK_U64(received.n_entries, row->count_after);
        guard_destroy(guard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_configuration_decoding),
        cmocka_unit_test(test_alone_at_start),
        cmocka_unit_test(test_compact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
