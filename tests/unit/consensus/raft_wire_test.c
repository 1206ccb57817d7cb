/*
 * Raft messages as bytes: every type there and back, every truncation and many a lie refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <raft.h>
#include <string.h>

#include "base/hex.h"
#include "raft_wire.h"
#include "scratch.h"

static char entry_bytes[3][24] = {"first entry", "second", "third one here"};

static struct raft_entry entries[] = {
    {.term = 3, .type = RAFT_COMMAND, .buf = {entry_bytes[0], 16}},
    {.term = 3, .type = RAFT_BARRIER, .buf = {entry_bytes[1], 8}},
    {.term = 7, .type = RAFT_COMMAND, .buf = {entry_bytes[2], 24}},
};

static char name_a[] = "192.0.2.1:4001";
static char name_b[] = "[2001:db8::2]:4001";
static char manifest[] = "manifest";

static struct raft_server servers[] = {
    {.id = 11, .address = name_a, .role = RAFT_VOTER},
    {.id = 12, .address = name_b, .role = RAFT_SPARE},
};

static const struct {
    const char *name;
    struct raft_wire_message message;
} rows[] = {
    {"vote",
     {.raft = {.type = RAFT_IO_REQUEST_VOTE,
               .request_vote = {.term = 5,
                                .candidate_id = 77,
                                .last_log_index = 10,
                                .last_log_term = 4,
                                .disrupt_leader = true}}}},
    {"pre-vote of an empty log",
     {.raft = {.type = RAFT_IO_REQUEST_VOTE,
               .request_vote = {.term = 1, .candidate_id = 77, .pre_vote = true}}}},
    {"vote granted",
     {.raft = {.type = RAFT_IO_REQUEST_VOTE_RESULT,
               .request_vote_result = {.term = 5,
                                       .vote_granted = true,
                                       .pre_vote = raft_tribool_false}}}},
    {"pre-vote refused",
     {.raft = {.type = RAFT_IO_REQUEST_VOTE_RESULT,
               .request_vote_result = {.term = 5, .pre_vote = raft_tribool_true}}}},
    {"vote of unknown kind",
     {.raft = {.type = RAFT_IO_REQUEST_VOTE_RESULT,
               .request_vote_result = {.term = 5, .vote_granted = true}}}},
    {"heartbeat",
     {.raft = {.type = RAFT_IO_APPEND_ENTRIES,
               .append_entries =
                   {.term = 7, .prev_log_index = 9, .prev_log_term = 3, .leader_commit = 8}},
      .round = 99}},
    {"entries",
     {.raft = {.type = RAFT_IO_APPEND_ENTRIES,
               .append_entries = {.term = 7,
                                  .prev_log_index = 9,
                                  .prev_log_term = 3,
                                  .leader_commit = 9,
                                  .entries = entries,
                                  .n_entries = 3}},
      .round = UINT64_MAX}},
    {"append result",
     {.raft = {.type = RAFT_IO_APPEND_ENTRIES_RESULT,
               .append_entries_result = {.term = 7, .rejected = 4, .last_log_index = 3}},
      .round = 99}},
    {"snapshot",
     {.raft = {.type = RAFT_IO_INSTALL_SNAPSHOT,
               .install_snapshot = {.term = 7,
                                    .last_index = 100,
                                    .last_term = 6,
                                    .conf_index = 50,
                                    .conf = {.servers = servers, .n = 2},
                                    .data = {manifest, sizeof manifest}}}}},
    {"timeout now",
     {.raft = {.type = RAFT_IO_TIMEOUT_NOW,
               .timeout_now = {.term = 7, .last_log_index = 10, .last_log_term = 7}}}},
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

/* The whole message in one buffer, as it goes over the wire. */
static void encode(const struct raft_wire_message *message, struct buffer *out)
{
    struct raft_wire_encoded encoded = {0};
    CHECK_OK(raft_wire_encode(message, &encoded));
    CHECK(buffer_append(out, encoded.head.data, encoded.head.size));
    for (unsigned i = 0; i < encoded.entry_count; i++) {
        const struct raft_entry *entry = &message->raft.append_entries.entries[i];
        CHECK(buffer_append(out, entry->buf.base, entry->buf.len));
    }
    CHECK_U64(out->size, encoded.size);
    buffer_release(&encoded.head);
}

/* Decode a copy; after a failure the copy is given back. */
static struct status decode(struct slice bytes, struct raft_wire_message *out)
{
    void *copy = raft_malloc(bytes.size == 0 ? 1 : bytes.size);
    CHECK(copy != NULL);
    memcpy(copy, bytes.data, bytes.size);
    struct status status = raft_wire_decode(copy, bytes.size, out);
    if (failed(status)) {
        raft_free(copy);
    }
    return status;
}

/* One line a row: a line that changed means that nodes of the version before do not understand this
 * one. A new form gets a new RAFT_WIRE_VERSION, and a version of the peer protocol that negotiates
 * it (peer_frame.h), instead of a new line. */
static const char *const goldens[] = {
#include "raft_wire_golden.h"
};

static void test_golden(void **state)
{
    (void)state;
    unsigned changed = 0;
    CHECK_U64(sizeof goldens / sizeof goldens[0], ROW_COUNT);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct buffer bytes = {0};
        char hex[2048] = "";
        encode(&rows[i].message, &bytes);
        CHECK(bytes.size < sizeof hex / 2);
        hex_encode(buffer_slice(&bytes), hex);
        if (strcmp(hex, goldens[i]) != 0) {
            print_error("%s is now\n\"%s\",\n", rows[i].name, hex);
            changed++;
        }
        buffer_release(&bytes);
    }
    CHECK_U64(changed, 0);
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct buffer first = {0};
        struct buffer second = {0};
        struct raft_wire_message message;
        check_row(rows[i].name);
        encode(&rows[i].message, &first);
        CHECK(first.size % 8 == 0);
        CHECK_OK(decode(buffer_slice(&first), &message));
        CHECK_U64(message.raft.type, rows[i].message.raft.type);
        CHECK_U64(message.round, rows[i].message.round);
        encode(&message, &second); /* Equal bytes: nothing was lost or changed. */
        CHECK_SLICE(buffer_slice(&second), buffer_slice(&first));
        if (message.raft.type == RAFT_IO_APPEND_ENTRIES) {
            const struct raft_append_entries *append = &message.raft.append_entries;
            for (unsigned j = 0; j < append->n_entries; j++) {
                CHECK(append->entries[j].batch == append->entries[0].batch);
                CHECK((uintptr_t)append->entries[j].buf.base % 8 == 0);
            }
        }
        raft_wire_release(&message);
        buffer_release(&first);
        buffer_release(&second);
    }
}

static void test_truncations(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct buffer whole = {0};
        struct raft_wire_message message;
        check_row(rows[i].name);
        encode(&rows[i].message, &whole);
        for (size_t size = 0; size < whole.size; size++) {
            CHECK_CODE(decode((struct slice){.data = whole.data, .size = size}, &message),
                       STATUS_INVALID);
        }
        CHECK(buffer_append(&whole, "\0\0\0\0\0\0\0\0", 8));
        CHECK_CODE(decode(buffer_slice(&whole), &message), STATUS_INVALID);
        buffer_release(&whole);
    }
}

/* Each byte of each message set to each of some values: refused, or a message that can be encoded
 * again to the very same bytes. */
static void test_lies(void **state)
{
    static const uint8_t values[] = {0x00, 0x01, 0x02, 0x07, 0x7F, 0x80, 0xFF};
    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        struct buffer whole = {0};
        check_row(rows[i].name);
        encode(&rows[i].message, &whole);
        for (size_t at = 0; at < whole.size * sizeof values; at++) {
            struct raft_wire_message message;
            char *byte = &whole.data[at / sizeof values];
            char kept = *byte;
            *byte = (char)values[at % sizeof values];
            struct status status = decode(buffer_slice(&whole), &message);
            if (!failed(status)) {
                struct buffer again = {0};
                encode(&message, &again);
                CHECK_SLICE(buffer_slice(&again), buffer_slice(&whole));
                buffer_release(&again);
                raft_wire_release(&message);
            }
            *byte = kept;
        }
        buffer_release(&whole);
    }
}

/* A configuration entry is looked into, for libraft reads it without checking where it ends. */
static void test_configuration_entry(void **state)
{
    struct raft_configuration configuration = {.servers = servers, .n = 2};
    struct raft_buffer bytes;
    (void)state;
    CHECK(raft_configuration_encode(&configuration, &bytes) == 0);
    struct raft_entry change = {.term = 1, .type = RAFT_CHANGE, .buf = bytes};
    struct raft_wire_message message = {
        .raft = {.type = RAFT_IO_APPEND_ENTRIES,
                 .append_entries = {.term = 1, .entries = &change, .n_entries = 1}}};
    struct buffer whole = {0};
    encode(&message, &whole);
    struct raft_wire_message decoded;
    CHECK_OK(decode(buffer_slice(&whole), &decoded));
    raft_wire_release(&decoded);
    struct raft_wire_encoded encoded = {0};
    uint8_t *count = (uint8_t *)bytes.base + 1;
    for (unsigned value = 0; value < 256; value++) {
        *count = (uint8_t)value;
        whole.data[whole.size - bytes.len + 1] = (char)value;
        buffer_clear(&encoded.head);
        enum status_code code = value == 2 ? STATUS_OK : STATUS_INVALID;
        CHECK_CODE(raft_wire_encode(&message, &encoded), code);
        CHECK_CODE(decode(buffer_slice(&whole), &decoded), code);
        if (value == 2) {
            raft_wire_release(&decoded);
        }
    }
    buffer_release(&encoded.head);
    buffer_release(&whole);
    raft_free(bytes.base);
}

static void test_refused_to_encode(void **state)
{
    static struct raft_entry odd = {.term = 1, .type = RAFT_COMMAND, .buf = {entry_bytes[0], 7}};
    static struct raft_entry huge = {
        .term = 1, .type = RAFT_COMMAND, .buf = {NULL, PEER_ENTRY_SIZE_MAX + 8}};
    static struct raft_entry late = {.term = 9, .type = RAFT_COMMAND, .buf = {entry_bytes[0], 8}};
    static const struct {
        const char *name;
        struct raft_message raft;
    } bad[] = {
        {"no type", {.type = 0}},
        {"unknown type", {.type = 7}},
        {"term 0", {.type = RAFT_IO_REQUEST_VOTE, .request_vote = {.candidate_id = 1}}},
        {"no candidate", {.type = RAFT_IO_REQUEST_VOTE, .request_vote = {.term = 1}}},
        {"index without term",
         {.type = RAFT_IO_APPEND_ENTRIES, .append_entries = {.term = 1, .prev_log_index = 4}}},
        {"odd size",
         {.type = RAFT_IO_APPEND_ENTRIES,
          .append_entries = {.term = 1, .entries = &odd, .n_entries = 1}}},
        {"too large",
         {.type = RAFT_IO_APPEND_ENTRIES,
          .append_entries = {.term = 1, .entries = &huge, .n_entries = 1}}},
        {"entry of a later term",
         {.type = RAFT_IO_APPEND_ENTRIES,
          .append_entries = {.term = 1, .entries = &late, .n_entries = 1}}},
        {"snapshot without servers",
         {.type = RAFT_IO_INSTALL_SNAPSHOT,
          .install_snapshot = {.term = 1, .last_index = 1, .last_term = 1}}},
        {"snapshot too large",
         {.type = RAFT_IO_INSTALL_SNAPSHOT,
          .install_snapshot = {.term = 1,
                               .last_index = 1,
                               .last_term = 1,
                               .conf = {servers, 2},
                               .data = {NULL, CONSENSUS_MANIFEST_SIZE_MAX + 1}}}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct raft_wire_message message = {.raft = bad[i].raft};
        struct raft_wire_encoded encoded = {0};
        check_row(bad[i].name);
        CHECK_CODE(raft_wire_encode(&message, &encoded), STATUS_INVALID);
        buffer_release(&encoded.head);
    }
}

/* More than fits goes out in part, and the commit index does not run ahead of it. */
static void test_cut(void **state)
{
    static struct raft_entry many[PEER_ENTRIES_MAX + 10];
    static char large[4U << 20U];
    struct raft_wire_encoded encoded = {0};
    struct raft_wire_message message = {.raft = {.type = RAFT_IO_APPEND_ENTRIES,
                                                 .append_entries = {.term = 1,
                                                                    .prev_log_index = 10,
                                                                    .prev_log_term = 1,
                                                                    .leader_commit = 100000,
                                                                    .entries = many,
                                                                    .n_entries = 5}}};
    (void)state;
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i] =
            (struct raft_entry){.term = 1, .type = RAFT_COMMAND, .buf = {large, sizeof large}};
    }
    check_row("by size");
    CHECK_OK(raft_wire_encode(&message, &encoded));
    CHECK_U64(encoded.entry_count, 3);
    CHECK(encoded.size <= PEER_MESSAGE_SIZE_MAX);
    uint64_t commit = 0;
    memcpy(&commit, encoded.head.data + 32, sizeof commit);
    CHECK_U64(commit, 13);

    check_row("by count");
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++) {
        many[i].buf.len = 8;
    }
    buffer_clear(&encoded.head);
    message.raft.append_entries.n_entries = PEER_ENTRIES_MAX + 10;
    CHECK_OK(raft_wire_encode(&message, &encoded));
    CHECK_U64(encoded.entry_count, PEER_ENTRIES_MAX);

    check_row("all of them");
    buffer_clear(&encoded.head);
    message.raft.append_entries.n_entries = 5;
    CHECK_OK(raft_wire_encode(&message, &encoded));
    CHECK_U64(encoded.entry_count, 5);
    memcpy(&commit, encoded.head.data + 32, sizeof commit);
    CHECK_U64(commit, 100000);
    buffer_release(&encoded.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_configuration_entry),
        cmocka_unit_test(test_refused_to_encode),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
