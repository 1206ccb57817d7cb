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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_verify_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
