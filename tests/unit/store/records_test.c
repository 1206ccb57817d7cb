/*
 * Records: taken in once, exported, refused, retried, discarded, trimmed and found. S4 is checked
 * by the fixture after every command.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "search_block.h"
#include "store_fixture.h"

#define MINUTE UINT64_C(60000)

static struct export_view export_of(struct fixture *fixture)
{
    struct arena arena = {0};
    struct export_view export;
    CHECK_OK(store_export(fixture->store, &arena, &export));
    arena_release(&arena);
    return export;
}

static struct command letter(enum command_type type, uint64_t sequence)
{
    struct command command = {.type = type};
    command.body.dead_letter_retry.sequence = sequence; /* All of these begin with it. */
    return command;
}

static struct command rejection(uint64_t from, uint64_t to, uint64_t sequence)
{
    static struct export_reject reject;
    struct command command = advance_command(from, to);
    reject = (struct export_reject){.sequence = sequence, .reason = slice_of("bad")};
    command.body.export_advance.rejects = (struct codec_list){.items = &reject, .count = 1};
    return command;
}

static void put_records(struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        CHECK_U64(fixture_apply(fixture, record_command(i)), REFUSAL_NONE);
    }
}

/* Put many at once, as a feed that catches up does. */
static void put_bulk(struct fixture *fixture, uint64_t first, uint64_t count)
{
    static struct record_put records[STORE_RECORDS_MAX];
    static struct index_key keys[STORE_RECORDS_MAX][2];
    static char ids[STORE_RECORDS_MAX][24];
    static char tens[STORE_RECORDS_MAX][24];
    for (uint64_t done = 0; done < count;) {
        size_t size = count - done < STORE_RECORDS_MAX ? (size_t)(count - done) : STORE_RECORDS_MAX;
        for (size_t i = 0; i < size; i++) {
            unsigned long long number = first + done + i;
            (void)snprintf(ids[i], sizeof ids[i], "%llu", number);
            (void)snprintf(tens[i], sizeof tens[i], "t%llu", number / 10);
            keys[i][0] = (struct index_key){.kind = 7, .value = slice_of(ids[i])};
            keys[i][1] = (struct index_key){.kind = 2, .value = slice_of(tens[i])};
            records[i] = (struct record_put){
                .kind = 1,
                .serial = slice_of("SA"),
                .id = slice_of(ids[i]),
                .observed_at_ms = number,
                .keys = {.items = keys[i], .count = 2},
            };
        }
        const struct command command = {
            .type = COMMAND_RECORDS_PUT,
            .body.records_put.records = {.items = records, .count = size},
        };
        CHECK_U64(fixture_apply(fixture, command), REFUSAL_NONE);
        CHECK_U64(fixture->outcome.value, size);
        done += size;
    }
}

static uint64_t find(struct fixture *fixture, const struct record_search *search, bool *more,
                     uint64_t *first)
{
    struct arena arena = {0};
    struct codec_list list;
    CHECK_OK(store_search(fixture->store, &arena, search, &list, more));
    const struct record_view *view = list.items;
    *first = list.count == 0 ? 0 : view[0].sequence;
    for (size_t i = 1; i < list.count; i++) {
        CHECK(view[i].sequence < view[i - 1].sequence);
    }
    arena_release(&arena);
    return list.count;
}

static uint64_t find_key(struct fixture *fixture, uint64_t kind, const char *value)
{
    bool more;
    uint64_t first;
    const struct record_search search = {.key = {.kind = kind, .value = slice_of(value)},
                                         .count_max = 100};
    return find(fixture, &search, &more, &first);
}

static enum record_fate fate_of(struct fixture *fixture, const char *id)
{
    struct arena arena = {0};
    struct codec_list list;
    bool more;
    const struct record_search search = {.key = {.kind = 7, .value = slice_of(id)}, .count_max = 1};
    CHECK_OK(store_search(fixture->store, &arena, &search, &list, &more));
    CHECK_U64(list.count, 1);
    enum record_fate fate = ((struct record_view *)list.items)[0].fate;
    arena_release(&arena);
    return fate;
}

static void test_life_of_a_letter(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct codec_list list;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    put_records(&fixture, 1, 5);
    CHECK_U64(fate_of(&fixture, "2"), RECORD_PENDING);
    CHECK_U64(fixture_apply(&fixture, rejection(0, 3, 2)), REFUSAL_NONE);
    CHECK_U64(fate_of(&fixture, "1"), RECORD_DELIVERED);
    CHECK_U64(fate_of(&fixture, "2"), RECORD_DEAD);
    CHECK_U64(fate_of(&fixture, "4"), RECORD_PENDING);
    CHECK_OK(store_dead_letters(fixture.store, &arena, 0, 10, &list));
    CHECK_U64(list.count, 1);
    const struct dead_letter_view *letters = list.items;
    CHECK_U64(letters[0].record.sequence, 2);
    CHECK_SLICE(letters[0].reason, slice_of("bad"));
    CHECK_SLICE(letters[0].record.body, slice_of("body of 2"));

    /* It goes out again under a new number, and is still known when it is offered once more. */
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_DEAD_LETTER_RETRY, 2)), REFUSAL_NONE);
    CHECK_U64(export_of(&fixture).last_sequence, 6);
    CHECK_U64(export_of(&fixture).pending, 3);
    CHECK_U64(fixture_apply(&fixture, record_command(2)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 0);
    CHECK_U64(export_of(&fixture).duplicates, 1);
    CHECK_U64(fate_of(&fixture, "2"), RECORD_PENDING);
    CHECK_OK(store_outbox(fixture.store, &arena, 5, 10, 1000, &list));
    CHECK_U64(list.count, 1);
    CHECK_SLICE(((struct record_view *)list.items)[0].id, slice_of("2"));

    CHECK_U64(fixture_apply(&fixture, rejection(3, 6, 6)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_DEAD_LETTER_DISCARD, 6)), REFUSAL_NONE);
    CHECK_U64(fate_of(&fixture, "2"), RECORD_DISCARDED);
    struct export_view export = export_of(&fixture);
    CHECK_U64(export.produced, 5);
    CHECK_U64(export.delivered, 4);
    CHECK_U64(export.discarded, 1);
    CHECK_U64(export.dead_lettered, 0);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_RECORDS_TRIM, 100)), REFUSAL_NONE);
    CHECK_U64(export_of(&fixture).retained, 0);
    arena_release(&arena);
    fixture_close(&fixture);
}

static void test_outbox_limits(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct codec_list list;
    (void)state;
    fixture_open(&fixture);
    fixture.options.outbox_max = 3;
    fixture_reopen(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    put_records(&fixture, 1, 3);
    CHECK_U64(fixture_apply(&fixture, record_command(4)), REFUSAL_OUTBOX_FULL);
    CHECK_U64(fixture.outcome.value, 0);
    check_row("a known record is no burden");
    CHECK_U64(fixture_apply(&fixture, record_command(2)), REFUSAL_NONE);
    check_row("nor is it when it is retried past the limit");
    CHECK_U64(fixture_apply(&fixture, rejection(0, 1, 1)), REFUSAL_NONE);
    put_records(&fixture, 4, 4);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_DEAD_LETTER_RETRY, 1)), REFUSAL_OUTBOX_FULL);
    CHECK_U64(fixture_apply(&fixture, advance_command(1, 2)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_DEAD_LETTER_RETRY, 1)), REFUSAL_NONE);

    check_row("pages by count and by size");
    CHECK_OK(store_outbox(fixture.store, &arena, 0, 2, 1000, &list));
    CHECK_U64(list.count, 2);
    CHECK_OK(store_outbox(fixture.store, &arena, 0, 10, 1, &list));
    CHECK_U64(list.count, 1);
    CHECK_OK(store_outbox(fixture.store, &arena, 0, 10, 18, &list));
    CHECK_U64(list.count, 2);
    CHECK_OK(store_outbox(fixture.store, &arena, UINT64_MAX, 10, 18, &list));
    CHECK_U64(list.count, 0);
    arena_release(&arena);
    fixture_close(&fixture);
}

static void test_search_across_blocks(void **state)
{
    const uint64_t count = 2 * SEARCH_BLOCK_COUNT + 100;
    struct fixture fixture;
    bool more;
    uint64_t first;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    put_bulk(&fixture, 1, count);
    for (uint64_t number = 1; number <= count; number += 97) {
        char id[24];
        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)number);
        check_row(id);
        CHECK_U64(find_key(&fixture, 7, id), 1);
    }
    check_row("ten of a kind, across the border of a block");
    CHECK_U64(find_key(&fixture, 2, "t409"), 10);
    CHECK_U64(find_key(&fixture, 2, "t8000"), 0);
    CHECK_U64(find_key(&fixture, 9, "409"), 0);

    check_row("pages over everything");
    struct record_search search = {.count_max = 1000};
    uint64_t seen = 0;
    do {
        uint64_t found = find(&fixture, &search, &more, &first);
        CHECK_U64(first, count - seen);
        seen += found;
        search.before_sequence = first - found + 1;
    } while (more);
    CHECK_U64(seen, count);

    check_row("by time");
    search = (struct record_search){.since_ms = 4000, .until_ms = 4199, .count_max = 1000};
    CHECK_U64(find(&fixture, &search, &more, &first), 200);
    CHECK_U64(first, 4199);
    CHECK(!more);
    search.key = (struct index_key){.kind = 2, .value = slice_of("t419")};
    CHECK_U64(find(&fixture, &search, &more, &first), 10);
    search.until_ms = 4195;
    CHECK_U64(find(&fixture, &search, &more, &first), 6);
    search.count_max = 5;
    CHECK_U64(find(&fixture, &search, &more, &first), 5);
    CHECK(more);
    fixture_close(&fixture);
}

static void test_trim(void **state)
{
    const uint64_t count = 2 * SEARCH_BLOCK_COUNT + 3000; /* More than one trim passes. */
    struct fixture fixture;
    struct store_size before;
    struct store_size after;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    put_bulk(&fixture, 1, count);
    check_row("nothing that waits is trimmed");
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_RECORDS_TRIM, count + 1)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 0);
    CHECK_U64(export_of(&fixture).retained, count);

    CHECK_U64(fixture_apply(&fixture, rejection(0, count - 10, 5)), REFUSAL_NONE);
    store_size(fixture.store, &before);
    check_row("so many at once");
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_RECORDS_TRIM, count + 1)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, STORE_TRIM_MAX);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_RECORDS_TRIM, count + 1)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, count - 10 - STORE_TRIM_MAX);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_RECORDS_TRIM, count + 1)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 0);
    store_size(fixture.store, &after);
    CHECK(after.used < before.used / 10);

    check_row("the dead letter and what waits are left, and found");
    CHECK_U64(export_of(&fixture).retained, 11);
    CHECK_U64(export_of(&fixture).oldest_sequence, 5);
    CHECK_U64(find_key(&fixture, 7, "5"), 1);
    CHECK_U64(find_key(&fixture, 7, "6"), 0);
    CHECK_U64(find_key(&fixture, 7, "4200"), 0);

    check_row("what was trimmed is new when it is offered again");
    CHECK_U64(fixture_apply(&fixture, record_command(4)), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 1);
    check_row("a dead letter is not");
    struct command again = record_command(5);
    ((struct record_put *)again.body.records_put.records.items)->revision = 0;
    CHECK_U64(fixture_apply(&fixture, again), REFUSAL_NONE);
    CHECK_U64(fixture.outcome.value, 0);

    check_row("given up below the trimmed, it goes at once");
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_DEAD_LETTER_DISCARD, 5)), REFUSAL_NONE);
    CHECK_U64(export_of(&fixture).oldest_sequence, count - 9);
    CHECK_U64(find_key(&fixture, 7, "5"), 0);
    fixture_close(&fixture);
}

static void test_retry_below_the_trimmed(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    put_bulk(&fixture, 1, SEARCH_BLOCK_COUNT + 1);
    CHECK_U64(fixture_apply(&fixture, rejection(0, SEARCH_BLOCK_COUNT, 5)), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_RECORDS_TRIM, UINT64_MAX)), REFUSAL_NONE);
    CHECK_U64(find_key(&fixture, 7, "5"), 1);
    CHECK_U64(fixture_apply(&fixture, letter(COMMAND_DEAD_LETTER_RETRY, 5)), REFUSAL_NONE);
    CHECK_U64(find_key(&fixture, 7, "5"), 1);
    CHECK_U64(export_of(&fixture).oldest_sequence, SEARCH_BLOCK_COUNT + 1);
    fixture_close(&fixture);
}

static void test_pauses(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct export_view export;
    const struct command pause = {
        .type = COMMAND_EXPORT_PAUSE,
        .body.export_pause = {.paused = true, .reason = slice_of("maintenance")},
    };
    const struct command cloud = {
        .type = COMMAND_CLOUD_PAUSE,
        .body.cloud_pause = {.until_ms = 77, .reason = slice_of("429")},
    };
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, pause), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&fixture, cloud), REFUSAL_NONE);
    CHECK_OK(store_export(fixture.store, &arena, &export));
    CHECK(export.paused);
    CHECK_SLICE(export.pause_reason, slice_of("maintenance"));
    CHECK_U64(export.cloud_pause_until_ms, 77);
    CHECK_SLICE(export.cloud_pause_reason, slice_of("429"));
    arena_release(&arena);
    fixture_close(&fixture);
}

/* A new leader goes on from what the others counted; what is an hour old is forgotten, and what a clock
 * that is ahead counted is not lost. */
static void test_calls(void **state)
{
    static const struct {
        const char *name;
        uint64_t at_ms;
        uint64_t count; /* 0: only looked at. */
        uint64_t limit;
        uint64_t sum;
        uint64_t limit_known;
    } rows[] = {
        {"nothing yet", 1000 * MINUTE, 0, 0, 0, 0},
        {"three", 1000 * MINUTE, 3, 8000, 3, 8000},
        {"two more in the same minute", 1000 * MINUTE + 59999, 2, 0, 5, 8000},
        {"one some minutes later", 1010 * MINUTE, 1, 9000, 6, 9000},
        {"the hour is not over", 1059 * MINUTE, 0, 0, 6, 9000},
        {"the first minute is forgotten", 1060 * MINUTE, 0, 0, 1, 9000},
        {"a leader whose clock is behind", 1005 * MINUTE, 4, 0, 10, 9000},
        {"the one before it again", 1010 * MINUTE, 1, 0, 11, 9000},
        {"an hour after all of them", 1070 * MINUTE, 0, 0, 0, 9000},
        {"and it begins anew", 1200 * MINUTE, 4, 0, 4, 9000},
    };
    struct fixture fixture;
    struct arena arena = {0};
    struct calls_view calls;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct command command = {
            .type = COMMAND_CLOUD_CALLS,
            .stamp.at_ms = rows[i].at_ms,
            .body.cloud_calls = {.count = rows[i].count, .limit = rows[i].limit},
        };
        check_row(rows[i].name);
        CHECK_U64(fixture_apply(&fixture, command),
                  rows[i].count == 0 ? REFUSAL_FIELD : REFUSAL_NONE);
        CHECK_OK(store_calls(fixture.store, &arena, rows[i].at_ms, &calls));
        CHECK_U64(calls.last_hour, rows[i].sum);
        CHECK_U64(calls.limit, rows[i].limit_known);
    }
    arena_release(&arena);
    fixture_close(&fixture);
}

/* Clocks that go anywhere do not make the row grow beyond what its codec takes. */
static void test_calls_of_many_clocks(void **state)
{
    struct fixture fixture;
    struct arena arena = {0};
    struct calls_view calls;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    for (uint64_t i = 0; i < 500; i++) {
        const struct command command = {
            .type = COMMAND_CLOUD_CALLS,
            .stamp.at_ms = (1000 + i * 37 % 160) * MINUTE,
            .body.cloud_calls.count = 1,
        };
        CHECK_U64(fixture_apply(&fixture, command), REFUSAL_NONE);
    }
    CHECK_OK(store_calls(fixture.store, &arena, 1080 * MINUTE, &calls));
    CHECK(calls.last_hour > 0 && calls.last_hour < 500);
    arena_release(&arena);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_of_a_letter),
        cmocka_unit_test(test_outbox_limits),
        cmocka_unit_test(test_search_across_blocks),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_retry_below_the_trimmed),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_calls_of_many_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
