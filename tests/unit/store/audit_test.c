/*
 * The audit: who did what to what, and a chain in which a changed, missing or moved line shows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit.h"

#include <string.h>

#include "store_fixture.h"
#include "store_state.h"

static void test_lines(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct codec_list list;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    fixture_register(&fixture);
    struct command remove = {
        .type = COMMAND_MEMBER_REMOVE,
        .stamp = {.at_ms = 77,
                  .actor = slice_of("alice"),
                  .origin = slice_of("192.0.2.1"),
                  .comment = slice_of("it burnt down")},
        .body.member_remove = {.node_id = NODE_A, .force = true},
    };
    CHECK_U64(fixture_apply(&fixture, remove), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, remove), REFUSAL_MEMBER_UNKNOWN);
    CHECK_U64(fixture_apply(&fixture, record_command(1)), REFUSAL_NONE);
    CHECK_OK(store_audit(fixture.store, &arena, 0, 100, &list));
    CHECK_U64(list.count, 13);
    const struct audit_view *line = list.items;
    CHECK_SLICE(line[11].actor, slice_of("alice"));
    CHECK_SLICE(line[11].origin, slice_of("192.0.2.1"));
    CHECK_SLICE(line[11].comment, slice_of("it burnt down"));
    CHECK_SLICE(line[11].command, slice_of("member_remove"));
    CHECK_SLICE(line[11].target, slice_of("A (forced; the registration stays with the cluster)"));
    CHECK_SLICE(line[11].outcome, slice_of("done"));
    CHECK_U64(line[11].index, 12);
    CHECK_U64(line[11].at_ms, 77);
    CHECK_SLICE(line[12].outcome, slice_of("member_unknown"));
    CHECK_SLICE(line[3].command, slice_of("member_admit"));
    CHECK_SLICE(line[3].evidence, slice_of("signed"));

    CHECK_OK(store_audit(fixture.store, &arena, 11, 100, &list));
    CHECK_U64(list.count, 2);
    CHECK_OK(store_audit(fixture.store, &arena, 99, 100, &list));
    CHECK_U64(list.count, 0);
    arena_release(&arena);
    fixture_close(&fixture);
}

static struct slice line_of(struct fixture *fixture, uint64_t sequence, char room[512])
{
    uint64_t key;
    struct slice stored = {0};
    struct txn txn;
    reader_begin(&txn, fixture->store, NULL);
    CHECK(txn_get(&txn, TABLE_AUDIT, u64_key(sequence, &key), &stored));
    CHECK(stored.size <= 512);
    memcpy(room, stored.data, stored.size);
    reader_close(&txn, fixture->store);
    return (struct slice){.data = room, .size = stored.size};
}

static void put_line(struct fixture *fixture, uint64_t sequence, struct slice line)
{
    uint64_t key;
    txn_put(&fixture->store->writer, TABLE_AUDIT, u64_key(sequence, &key), line);
}

static void delete_line(struct fixture *fixture, uint64_t sequence)
{
    uint64_t key;
    txn_delete(&fixture->store->writer, TABLE_AUDIT, u64_key(sequence, &key));
}

/* The checker must be seen to fail. */
static void test_verify_fails(void **state)
{
    static const struct {
        const char *name;
        char what; /* c: change, d: delete, s: swap with the next, t: cut short, h: its hash. */
        uint64_t sequence;
        const char *words;
    } rows[] = {
        {"sound", ' ', 0, ""},
        {"changed", 'c', 3, "audit line 3 was changed or moved"},
        {"hash changed", 'h', 3, "audit line 3 was changed or moved"},
        {"missing", 'd', 3, "audit line 3 is missing"},
        {"first missing", 'd', 1, "audit line 1 is missing"},
        {"last missing", 'd', 8, "audit line 8 is missing"},
        {"reordered", 's', 3, "audit line 3 was changed or moved"},
        {"cut short", 't', 3, "audit line 3 is cut short"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture fixture;
        uint64_t count = 0;
        char room[2][512];
        check_row(rows[i].name);
        fixture_open(&fixture);
        fixture_form(&fixture);
        struct slice line =
            line_of(&fixture, rows[i].sequence == 0 ? 1 : rows[i].sequence, room[0]);
        switch (rows[i].what) {
        case 'c':
            room[0][line.size - 1] ^= 1;
            put_line(&fixture, rows[i].sequence, line);
            break;
        case 'h':
            room[0][0] ^= 1;
            put_line(&fixture, rows[i].sequence, line);
            break;
        case 'd': delete_line(&fixture, rows[i].sequence); break;
        case 's':
            put_line(&fixture, rows[i].sequence, line_of(&fixture, rows[i].sequence + 1, room[1]));
            put_line(&fixture, rows[i].sequence + 1, line);
            break;
        case 't':
            line.size = 10;
            put_line(&fixture, rows[i].sequence, line);
            break;
        default: break;
        }
        struct status status = store_audit_verify(fixture.store, &count);
        CHECK_CODE(status, rows[i].words[0] == '\0' ? STATUS_OK : STATUS_CORRUPT);
        CHECK_SLICE(slice_of(status.message), slice_of(rows[i].words));
        fixture_close(&fixture);
    }
}

static struct command trim_command(uint64_t sequence)
{
    return (struct command){.type = COMMAND_AUDIT_TRIM, .body.audit_trim.sequence = sequence};
}

/* Lines go, the chain stays: from the anchor on it verifies, after a reopening and an image as well, and
 * what is wrong with what is left is found. */
static void test_trim(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct codec_list list;
    struct audit_extent extent;
    uint64_t count = 0;
    char room[512];
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture); /* 8 lines. */
    uint8_t fifth[STORE_HASH_SIZE];
    memcpy(fifth, line_of(&fixture, 5, room).data, sizeof fifth);

    CHECK_U64(fixture_apply(&fixture, trim_command(5)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 5);
    store_audit_extent(fixture.store, &extent);
    CHECK_U64(extent.trimmed, 5);
    CHECK_U64(extent.line_count, 4); /* 6, 7, 8, and its own. */
    assert_memory_equal(extent.anchor, fifth, sizeof fifth);
    CHECK_OK(store_audit_verify(fixture.store, &count));
    CHECK_U64(count, 4);
    CHECK_OK(store_audit(fixture.store, &arena, 0, 100, &list));
    const struct audit_view *line = list.items;
    CHECK_U64(list.count, 4);
    CHECK_U64(line[0].sequence, 6);
    CHECK_SLICE(line[3].command, slice_of("audit_trim"));
    CHECK(memmem(line[3].target.data, line[3].target.size, "up to line 5, whose hash is ", 28) !=
          NULL);

    CHECK_U64(fixture_apply(&fixture, trim_command(3)), REFUSAL_NONE); /* Gone already. */
    CHECK_U64(fixture.outcome.value, 0);
    CHECK_OK(store_flush(fixture.store));
    fixture_reopen(&fixture);
    CHECK_OK(store_audit_verify(fixture.store, &count));
    CHECK_OK(store_audit_verify_flushed(fixture.store, &extent));
    CHECK_U64(extent.trimmed, 5);
    CHECK_U64(extent.line_count, 5);

    CHECK_U64(fixture_apply(&fixture, record_command(1)), REFUSAL_NONE); /* Begins a transaction. */
    delete_line(&fixture, 6); /* What follows the anchor. */
    struct status status = store_audit_verify(fixture.store, &count);
    CHECK_CODE(status, STATUS_CORRUPT);
    CHECK_SLICE(slice_of(status.message), slice_of("audit line 6 is missing"));
    arena_release(&arena);
    fixture_close(&fixture);
}

/* Between other commands, again and again, and more than there is: the newest line stays. */
static void test_trim_under_load(void **state)
{
    struct fixture fixture;
    uint64_t count = 0;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    for (uint64_t i = 0; i < 300; i++) {
        struct audit_extent extent;
        struct command pause = {.type = COMMAND_EXPORT_PAUSE,
                                .body.export_pause.paused = i % 2 == 0};
        CHECK_U64(fixture_apply(&fixture, pause), REFUSAL_NONE);
        store_audit_extent(fixture.store, &extent);
        uint64_t newest = extent.trimmed + extent.line_count;
        if (i % 7 == 0) {
            uint64_t up_to = i % 3 == 0 ? UINT64_MAX : newest - 3;
            CHECK_U64(fixture_apply(&fixture, trim_command(up_to)), REFUSAL_NONE);
            store_audit_extent(fixture.store, &extent);
            CHECK_U64(extent.line_count, i % 3 == 0 ? 2 : 4); /* And its own. */
            CHECK_OK(store_audit_verify(fixture.store, &count));
            CHECK_U64(count, extent.line_count);
        }
    }
    fixture_close(&fixture);
}

static void test_filters(void **state)
{
    static const struct {
        const char *name;
        uint64_t after;
        uint64_t since_ms;
        uint64_t until_ms;
        const char *actor;
        const char *command;
        size_t page;
        size_t count;
        bool more;
    } rows[] = {
        {"all", 0, 0, 0, "", "", 100, 48, false},
        {"a page", 0, 0, 0, "", "", 10, 10, true},
        {"the last page", 38, 0, 0, "", "", 10, 10, false},
        {"one actor", 0, 0, 0, "operator anna", "", 100, 20, false},
        {"a part of an actor", 0, 0, 0, "anna", "", 100, 20, false},
        {"nobody", 0, 0, 0, "eve", "", 100, 0, false},
        {"one method", 0, 0, 0, "", "export_pause", 100, 40, false},
        {"a part of a method is none", 0, 0, 0, "", "export", 100, 0, false},
        {"since", 0, 5020, 0, "", "", 100, 20, false},
        {"until", 0, 5000, 5020, "", "", 100, 20, false},
        {"all of them", 0, 5000, 5020, "bob", "export_pause", 100, 10, false},
        {"all of them, a page", 0, 5000, 5020, "bob", "export_pause", 5, 5, true},
    };
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    fixture_form(&fixture);
    for (uint64_t i = 0; i < 40; i++) {
        fixture.at_ms = 0;
        struct command pause = {.type = COMMAND_EXPORT_PAUSE,
                                .stamp = {.at_ms = 5000 + i,
                                          .actor = slice_of(i % 2 == 0 ? "operator anna" : "bob"),
                                          .origin = slice_of("local")},
                                .body.export_pause.paused = i % 2 == 0};
        CHECK_U64(fixture_apply(&fixture, pause), REFUSAL_NONE);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct codec_list list;
        uint64_t next = 0;
        check_row(rows[i].name);
        const struct audit_filter filter = {
            .after_sequence = rows[i].after,
            .since_ms = rows[i].since_ms,
            .until_ms = rows[i].until_ms,
            .actor = slice_of(rows[i].actor),
            .command = slice_of(rows[i].command),
        };
        CHECK_OK(store_audit_find(fixture.store, &arena, &filter, rows[i].page, &list, &next));
        CHECK_U64(list.count, rows[i].count);
        CHECK_U64(next != 0, rows[i].more);
        arena_release(&arena);
    }
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_verify_fails),
        cmocka_unit_test(test_trim),    cmocka_unit_test(test_trim_under_load),
        cmocka_unit_test(test_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
