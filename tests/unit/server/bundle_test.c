/*
 * Bundles: what is delivered and what becomes a dead letter, whatever the cloud cannot stand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bundle.h"

#include <string.h>

#include "outbox_rows.h"

/* A cloud that refuses every request with a poisoned entity in it: those of whose sequences are
 * multiples of `every`, from `first` to `last`. */
struct poison {
    uint64_t every;
    uint64_t first;
    uint64_t last;
};

static bool is_poisoned(const struct poison *poison, uint64_t sequence)
{
    return poison->every > 0 && sequence >= poison->first && sequence <= poison->last &&
           sequence % poison->every == 0;
}

static bool has_poison(const struct bundle *bundle, const struct poison *poison)
{
    const struct bundle_range *range = &bundle->ranges[bundle->range_count - 1];

    for (size_t i = range->first; i < range->end; i++) {
        if (!bundle->entities[i].settled && is_poisoned(poison, bundle->entities[i].sequence)) {
            return true;
        }
    }
    return false;
}

/* Send until it is settled or says that it cannot go on. */
static enum bundle_progress run(struct bundle *bundle, const struct poison *poison,
                                size_t *requests)
{
    enum bundle_progress progress = BUNDLE_GOES_ON;
    struct buffer request = {0};
    struct buffer answer = {0};

    *requests = 0;
    while (!bundle_settled(bundle) && progress == BUNDLE_GOES_ON) {
        bool poisoned = has_poison(bundle, poison);
        CHECK_OK(bundle_request(bundle, &request));
        ++*requests;
        if (poisoned) {
            progress = bundle_on_refused(bundle, "refused");
        } else {
            outbox_answer(buffer_slice(&request), "created", &answer);
            progress = bundle_on_taken(bundle, buffer_slice(&answer));
        }
    }
    buffer_release(&request);
    buffer_release(&answer);
    return progress;
}

static const struct {
    const char *name;
    size_t count;
    struct poison poison;
    enum bundle_progress progress;
    size_t rejects;
    size_t requests_max;
} rows[] = {
    {"none", 2000, {0, 0, 0}, BUNDLE_GOES_ON, 0, 1},
    {"one record, good", 1, {0, 0, 0}, BUNDLE_GOES_ON, 0, 1},
    {"one record, bad", 1, {1, 1, 1}, BUNDLE_GOES_ON, 1, 1},
    {"the first", 2000, {1, 1, 1}, BUNDLE_GOES_ON, 1, 24},
    {"the last", 2000, {1, 2000, 2000}, BUNDLE_GOES_ON, 1, 24},
    {"one in the middle", 1999, {1, 1000, 1000}, BUNDLE_GOES_ON, 1, 24},
    {"twenty neighbours", 2000, {1, 1, 20}, BUNDLE_GOES_ON, 20, 80},
    {"every hundredth", 2000, {100, 1, 2000}, BUNDLE_GOES_ON, 20, 350},
    {"all of ten", 10, {1, 1, 10}, BUNDLE_GOES_ON, 10, 20},
    {"all of two thousand", 2000, {1, 1, 2000}, BUNDLE_SYSTEMATIC, 0, 200},
    {"every second", 2000, {2, 1, 2000}, BUNDLE_EXHAUSTED, 0, 500},
};

static void test_refused_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena = {0};
        struct bundle bundle = {0};
        struct codec_list rejects = {0};
        size_t requests = 0;
        check_row(rows[i].name);
        struct codec_list records = outbox_rows(&arena, 1, rows[i].count);
        CHECK_OK(bundle_fill(&bundle, slice_of(OUTBOX_CLUSTER), 0, &records));
        CHECK_U64(bundle.to, rows[i].count);
        enum bundle_progress progress = run(&bundle, &rows[i].poison, &requests);
        CHECK_U64(progress, rows[i].progress);
        CHECK(requests <= rows[i].requests_max);
        CHECK_OK(bundle_rejects(&bundle, &arena, &rejects));
        if (progress == BUNDLE_GOES_ON) {
            const struct export_reject *items = rejects.items;
            CHECK_U64(rejects.count, rows[i].rejects);
            for (size_t k = 0; k < rejects.count; k++) {
                CHECK(is_poisoned(&rows[i].poison, items[k].sequence));
                CHECK_SLICE(items[k].reason, slice_of("refused"));
            }
        }
        if (progress == BUNDLE_SYSTEMATIC) {
            CHECK_U64(rejects.count, 0);
            CHECK_U64(bundle.settled_count, 0);
        }
        bundle_release(&bundle);
        arena_release(&arena);
    }
}

/* A bundle that needed too many requests goes on where it stopped, and comes to its end. */
static void test_exhausted_goes_on(void **state)
{
    struct arena arena = {0};
    struct bundle bundle = {0};
    struct codec_list rejects = {0};
    const struct poison poison = {2, 1, 2000};
    size_t requests = 0;
    (void)state;

    struct codec_list records = outbox_rows(&arena, 1, 500);
    CHECK_OK(bundle_fill(&bundle, slice_of(OUTBOX_CLUSTER), 0, &records));
    for (unsigned i = 0; i < 10 && !bundle_settled(&bundle); i++) {
        (void)run(&bundle, &poison, &requests);
    }
    CHECK(bundle_settled(&bundle));
    CHECK_OK(bundle_rejects(&bundle, &arena, &rejects));
    CHECK_U64(rejects.count, 250);
    bundle_release(&bundle);
    arena_release(&arena);
}

static void test_answers(void **state)
{
    static const struct {
        const char *name;
        const char *body;
        enum bundle_progress progress;
    } answers[] = {
        {"nothing", "", BUNDLE_UNREADABLE},
        {"a page", "<html></html>", BUNDLE_UNREADABLE},
        {"half of an answer", "{\"results\":[{\"resu", BUNDLE_UNREADABLE},
        {"another shape", "{\"results\":{}}", BUNDLE_UNREADABLE},
        {"an array", "[]", BUNDLE_UNREADABLE},
        {"no results", "{\"results\":[]}", BUNDLE_UNANSWERED},
        {"results that name nobody", "{\"results\":[{\"result\":\"created\"},{},7,null]}",
         BUNDLE_UNANSWERED},
        {"ids of others",
         "{\"results\":[{\"result\":\"created\",\"external_ids\":[\"x\",1,null]}]}",
         BUNDLE_GOES_ON}, /* The third time: rejected, so that the export goes on. */
    };
    struct arena arena = {0};
    struct bundle bundle = {0};
    struct buffer request = {0};
    struct codec_list rejects = {0};
    (void)state;

    struct codec_list records = outbox_rows(&arena, 1, 3);
    CHECK_OK(bundle_fill(&bundle, slice_of(OUTBOX_CLUSTER), 0, &records));
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        check_row(answers[i].name);
        CHECK_OK(bundle_request(&bundle, &request));
        CHECK_U64(bundle_on_taken(&bundle, slice_of(answers[i].body)), answers[i].progress);
    }
    CHECK(bundle_settled(&bundle));
    CHECK_OK(bundle_rejects(&bundle, &arena, &rejects));
    CHECK_U64(rejects.count, 3);
    buffer_release(&request);
    bundle_release(&bundle);
    arena_release(&arena);
}

/* Errors inside a 200, for all of a large bundle: not the records' fault. */
static void test_all_in_error(void **state)
{
    struct arena arena = {0};
    struct bundle bundle = {0};
    struct buffer request = {0};
    struct buffer answer = {0};
    (void)state;

    struct codec_list records = outbox_rows(&arena, 1, BUNDLE_REJECTS_ALONE_MAX);
    CHECK_OK(bundle_fill(&bundle, slice_of(OUTBOX_CLUSTER), 0, &records));
    CHECK_OK(bundle_request(&bundle, &request));
    outbox_answer(buffer_slice(&request), "error", &answer);
    CHECK_U64(bundle_on_taken(&bundle, buffer_slice(&answer)), BUNDLE_SYSTEMATIC);
    CHECK_U64(bundle.settled_count, 0);
    outbox_answer(buffer_slice(&request), "exists", &answer);
    CHECK_U64(bundle_on_taken(&bundle, buffer_slice(&answer)), BUNDLE_GOES_ON);
    CHECK(bundle_settled(&bundle));
    buffer_release(&request);
    buffer_release(&answer);
    bundle_release(&bundle);
    arena_release(&arena);
}

/* What cannot be sent at all never holds up the rest. */
static void test_records_without_a_form(void **state)
{
    struct arena arena = {0};
    struct bundle bundle = {0};
    struct codec_list rejects = {0};
    struct buffer request = {0};
    (void)state;

    struct codec_list records = outbox_rows(&arena, 7, 4);
    struct record_view *rows_of = records.items;
    rows_of[0].kind = 99;
    rows_of[2].body = slice_of("not a record");
    CHECK_OK(bundle_fill(&bundle, slice_of(OUTBOX_CLUSTER), 6, &records));
    CHECK_OK(bundle_request(&bundle, &request));
    CHECK_U64(outbox_count(buffer_slice(&request)), 2);
    CHECK_OK(bundle_rejects(&bundle, &arena, &rejects));
    CHECK_U64(rejects.count, 2);
    CHECK_U64(((struct export_reject *)rejects.items)[1].sequence, 9);
    buffer_release(&request);
    bundle_release(&bundle);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_whole),
        cmocka_unit_test(test_exhausted_goes_on),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_all_in_error),
        cmocka_unit_test(test_records_without_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
