/*
 * Agreement: the same log gives the same store, however it is cut into flushes, restarts and
 * crashes (S2); and random commands against a simple model of what the store promises.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fault.h"
#include "search_block.h"
#include "store_fixture.h"
#include "store_script.h"

#define LOG_COUNT 600
#define SEED_COUNT 12

/* A log: entries of one to four commands. */
struct log {
    struct arena arena;
    struct slice commands[LOG_COUNT];
    size_t entry_sizes[LOG_COUNT];
    size_t entry_count;
};

static void log_write(struct log *log, uint64_t seed)
{
    struct fixture fixture;
    struct script script = {.state = seed};
    *log = (struct log){0};
    fixture_open(&fixture);
    for (size_t i = 0; i < LOG_COUNT; i++) {
        struct slice bytes = fixture_encode(&fixture, script_next(&script, &fixture));
        log->commands[i] = arena_copy(&log->arena, bytes);
        CHECK_OK(store_apply(fixture.store, i + 1, &bytes, 1, &fixture.outcome));
        check_balance(&fixture);
    }
    for (size_t at = 0; at < LOG_COUNT;) {
        size_t size = 1 + (size_t)script_random(&script, 4);
        size = size < LOG_COUNT - at ? size : LOG_COUNT - at;
        log->entry_sizes[log->entry_count++] = size;
        at += size;
    }
    fixture_close(&fixture);
}

enum disturbance {
    DISTURB_NOTHING,
    DISTURB_FLUSH,   /* Flush and sync at random. */
    DISTURB_RESTART, /* Close after a flush. */
    DISTURB_CRASH,   /* Close without one: the log replays what was lost. */
    DISTURB_COUNT,
};

static void disturb(struct fixture *fixture, struct script *script, enum disturbance how)
{
    if (script_random(script, 10) != 0) {
        return;
    }
    switch (how) {
    case DISTURB_FLUSH:
        CHECK_OK(script_random(script, 2) == 0 ? store_flush(fixture->store)
                                               : store_sync(fixture->store));
        return;
    case DISTURB_RESTART:
        CHECK_OK(store_flush(fixture->store));
        fixture_reopen(fixture);
        return;
    case DISTURB_CRASH:
        if (script_random(script, 2) == 0) {
            CHECK_OK(store_flush(fixture->store));
        }
        fixture_reopen(fixture);
        return;
    case DISTURB_NOTHING:
    case DISTURB_COUNT: return;
    }
}

/* Play the log from where the store stands, again and again until it is through. */
static void log_play(const struct log *log, struct fixture *fixture, uint64_t seed,
                     enum disturbance how)
{
    struct script script = {.state = seed};
    struct apply_outcome outcomes[4];
    while (store_applied_index(fixture->store) < log->entry_count) {
        size_t at = 0;
        uint64_t before = store_applied_index(fixture->store);
        for (size_t i = 0; i < log->entry_count; i++) {
            if (i + 1 > before) {
                CHECK_OK(store_apply(fixture->store, i + 1, log->commands + at, log->entry_sizes[i],
                                     outcomes));
                disturb(fixture, &script, how);
            }
            at += log->entry_sizes[i];
            if (store_applied_index(fixture->store) < i + 1) {
                break; /* Something was lost: begin again. */
            }
        }
    }
}

static void test_same_log_same_store(void **state)
{
    static const char *const names[] = {"undisturbed", "flushes", "restarts", "crashes"};
    (void)state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct log log;
        struct store_digest digests[DISTURB_COUNT];
        struct store_digest deep[DISTURB_COUNT];
        log_write(&log, seed);
        for (int how = 0; how < DISTURB_COUNT; how++) {
            struct fixture fixture;
            fixture_open(&fixture);
            log_play(&log, &fixture, seed + 99, (enum disturbance)how);
            store_digest(fixture.store, &digests[how]);
            CHECK_OK(store_digest_deep(fixture.store, &deep[how]));
            check_row(names[how]);
            CHECK_U64(digests[how].index, log.entry_count);
            assert_memory_equal(digests[how].bytes, digests[0].bytes, sizeof digests[0].bytes);
            assert_memory_equal(deep[how].bytes, deep[0].bytes, sizeof deep[0].bytes);
            fixture_close(&fixture);
        }
        arena_release(&log.arena);
    }
}

/* The digest must be seen to differ: one byte of one record, or a command less. */
static void test_other_log_other_digest(void **state)
{
    struct fixture left;
    struct fixture right;
    struct store_digest ours;
    struct store_digest theirs;
    (void)state;
    fixture_open(&left);
    fixture_open(&right);
    CHECK_U64(fixture_apply(&left, cluster_init_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&right, cluster_init_command()), REFUSAL_NONE);
    CHECK_U64(fixture_apply(&left, record_command(1)), REFUSAL_NONE);
    struct command changed = record_command(1);
    ((struct record_put *)changed.body.records_put.records.items)->body = slice_of("Body of 1");
    CHECK_U64(fixture_apply(&right, changed), REFUSAL_NONE);
    store_digest(left.store, &ours);
    store_digest(right.store, &theirs);
    assert_memory_not_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
    CHECK_OK(store_digest_deep(left.store, &ours));
    CHECK_OK(store_digest_deep(right.store, &theirs));
    assert_memory_not_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
    fixture_close(&left);
    fixture_close(&right);
}

static void test_kept_digests(void **state)
{
    struct fixture left;
    struct fixture right;
    struct store_digest before;
    struct store_digest kept;
    const uint64_t every = STORE_DIGEST_EVERY;
    (void)state;
    fixture_open(&left);
    fixture_open(&right);
    CHECK_U64(fixture_apply(&left, cluster_init_command()), REFUSAL_NONE);
    store_digest(left.store, &before);
    check_row("the index passes a multiple that no entry bears");
    CHECK_CODE(store_digest_at(left.store, every, &kept), STATUS_NOT_FOUND);
    CHECK_OK(store_apply(left.store, every - 1, NULL, 0, NULL));
    struct slice bytes = fixture_encode(&left, record_command(1));
    CHECK_OK(store_apply(left.store, every + 1, &bytes, 1, &left.outcome));
    CHECK_OK(store_digest_at(left.store, every, &kept));
    CHECK_U64(kept.index, every);
    assert_memory_equal(kept.bytes, before.bytes, sizeof before.bytes);

    check_row("the same on a replica that was told of it");
    CHECK_U64(fixture_apply(&right, cluster_init_command()), REFUSAL_NONE);
    CHECK_OK(store_apply(right.store, every, NULL, 0, NULL));
    CHECK_OK(store_digest_at(right.store, every, &kept));
    assert_memory_equal(kept.bytes, before.bytes, sizeof before.bytes);

    check_row("an entry at a multiple counts");
    CHECK_OK(store_apply(left.store, 2 * every, &bytes, 1, &left.outcome));
    store_digest(left.store, &before);
    CHECK_OK(store_digest_at(left.store, 2 * every, &kept));
    assert_memory_equal(kept.bytes, before.bytes, sizeof before.bytes);

    check_row("sixteen are kept, also over a restart");
    CHECK_OK(store_apply(left.store, 18 * every + 5, NULL, 0, NULL));
    CHECK_OK(store_flush(left.store));
    fixture_reopen(&left);
    CHECK_CODE(store_digest_at(left.store, 2 * every, &kept), STATUS_NOT_FOUND);
    CHECK_OK(store_digest_at(left.store, 3 * every, &kept));
    CHECK_OK(store_digest_at(left.store, 18 * every, &kept));
    CHECK_CODE(store_digest_at(left.store, 0, &kept), STATUS_NOT_FOUND);
    CHECK_CODE(store_digest_at(left.store, 19 * every, &kept), STATUS_NOT_FOUND);
    fixture_close(&left);
    fixture_close(&right);
}

static void test_replay_is_skipped(void **state)
{
    struct fixture fixture;
    struct store_digest before;
    struct store_digest after;
    (void)state;
    fixture_open(&fixture);
    CHECK_U64(fixture_apply(&fixture, cluster_init_command()), REFUSAL_NONE);
    store_digest(fixture.store, &before);
    struct slice bytes = fixture_encode(&fixture, record_command(1));
    fixture.outcome = (struct apply_outcome){9, 9};
    CHECK_OK(store_apply(fixture.store, 1, &bytes, 1, &fixture.outcome));
    CHECK_U64(fixture.outcome.refusal, 0);
    CHECK_U64(fixture.outcome.value, 0);
    store_digest(fixture.store, &after);
    assert_memory_equal(before.bytes, after.bytes, sizeof before.bytes);
    fixture_close(&fixture);
}

/* ---- The model ---- */

enum where {
    NOWHERE,
    PENDING,
    DELIVERED,
    DEAD,
    DISCARDED,
};

#define MODEL_SEQUENCES_MAX 4096

struct model {
    enum where where[SCRIPT_RECORDS_MAX];
    uint64_t number_of[MODEL_SEQUENCES_MAX]; /* By sequence. */
    uint64_t sequence_of[SCRIPT_RECORDS_MAX];
    uint64_t mark;
    uint64_t last_sequence;
    uint64_t trimmed;
};

static void model_append(struct model *model, uint64_t number)
{
    model->where[number] = PENDING;
    model->sequence_of[number] = ++model->last_sequence;
    model->number_of[model->last_sequence] = number;
}

static void model_advance(struct model *model, const struct export_advance *advance)
{
    const struct export_reject *reject = advance->rejects.items;
    for (uint64_t sequence = advance->from + 1; sequence <= advance->to; sequence++) {
        bool refused = advance->rejects.count > 0 && reject->sequence == sequence;
        model->where[model->number_of[sequence]] = refused ? DEAD : DELIVERED;
    }
    model->mark = advance->to;
}

static void model_trim(struct model *model, uint64_t below)
{
    for (uint64_t number = 0; number < SCRIPT_RECORDS_MAX; number++) {
        if ((model->where[number] == DELIVERED || model->where[number] == DISCARDED) &&
            model->sequence_of[number] < below) {
            model->where[number] = NOWHERE;
        }
    }
    if (below > 0 && below - 1 > model->trimmed) {
        model->trimmed = below - 1 < model->mark ? below - 1 : model->mark;
    }
}

static void model_discard(struct model *model, uint64_t sequence)
{
    uint64_t number = model->number_of[sequence];
    model->where[number] = sequence <= model->trimmed ? NOWHERE : DISCARDED;
}

/* What was done, done to the model. What was refused must have changed nothing: check() sees. */
static void model_apply(struct model *model, const struct script *script,
                        const struct command *command)
{
    switch ((int)command->type) {
    case COMMAND_RECORDS_PUT:
        if (model->where[script->number] == NOWHERE) {
            model_append(model, script->number);
        }
        return;
    case COMMAND_EXPORT_ADVANCE: model_advance(model, &command->body.export_advance); return;
    case COMMAND_RECORDS_TRIM: model_trim(model, command->body.records_trim.sequence); return;
    case COMMAND_DEAD_LETTER_RETRY:
        model_append(model, model->number_of[command->body.dead_letter_retry.sequence]);
        return;
    case COMMAND_DEAD_LETTER_DISCARD:
        model_discard(model, command->body.dead_letter_discard.sequence);
        return;
    default: return;
    }
}

static void check_model(const struct model *model, struct fixture *fixture)
{
    uint64_t counts[DISCARDED + 1] = {0};
    struct arena arena = {0};
    struct export_view export;
    for (size_t i = 0; i < SCRIPT_RECORDS_MAX; i++) {
        counts[model->where[i]]++;
    }
    CHECK_OK(store_export(fixture->store, &arena, &export));
    CHECK_U64(export.mark, model->mark);
    CHECK_U64(export.last_sequence, model->last_sequence);
    CHECK_U64(export.pending, counts[PENDING]);
    CHECK_U64(export.dead_lettered, counts[DEAD]);
    CHECK_U64(export.retained,
              counts[PENDING] + counts[DELIVERED] + counts[DEAD] + counts[DISCARDED]);
    arena_release(&arena);
}

static void check_fates(const struct model *model, struct fixture *fixture)
{
    static const enum where of_fate[] = {
        [RECORD_PENDING] = PENDING,
        [RECORD_DELIVERED] = DELIVERED,
        [RECORD_DEAD] = DEAD,
        [RECORD_DISCARDED] = DISCARDED,
    };
    const struct record_search everything = {.count_max = 1000};
    struct arena arena = {0};
    struct codec_list list;
    bool more;
    CHECK_OK(store_search(fixture->store, &arena, &everything, &list, &more));
    const struct record_view *view = list.items;
    for (size_t i = 0; i < list.count; i++) {
        uint64_t number = model->number_of[view[i].sequence];
        CHECK_U64(view[i].sequence, model->sequence_of[number]);
        CHECK_U64(of_fate[view[i].fate], model->where[number]);
    }
    arena_release(&arena);
}

/* The drawing in apply_registration.c: what may follow each state. */
static void check_registration_move(struct fixture *fixture, struct registration_view *before)
{
    static const unsigned allowed[] = {
#define TO(state) (1U << (state))
        [REGISTRATION_DISABLED] = TO(REGISTRATION_ENABLED),
        [REGISTRATION_ENABLED] = TO(REGISTRATION_DISABLED) | TO(REGISTRATION_REGISTERING),
        [REGISTRATION_REGISTERING] = TO(REGISTRATION_REGISTERED) | TO(REGISTRATION_FAILED) |
                                     TO(REGISTRATION_ENABLED), /* Forgotten. */
        [REGISTRATION_REGISTERED] = TO(REGISTRATION_DEREGISTERING) | TO(REGISTRATION_ENABLED),
        [REGISTRATION_DEREGISTERING] = TO(REGISTRATION_ENABLED),
        [REGISTRATION_FAILED] =
            TO(REGISTRATION_ENABLED) | TO(REGISTRATION_DISABLED) | TO(REGISTRATION_REGISTERING),
    };
    struct arena arena = {0};
    struct registration_view now;
    CHECK_OK(store_registration(fixture->store, &arena, &now));
    arena_release(&arena);
    if (now.state != before->state) {
        CHECK((allowed[before->state] & TO(now.state)) != 0);
    }
    bool began = now.state == REGISTRATION_REGISTERING && before->state != REGISTRATION_REGISTERING;
    CHECK_U64(now.epoch, before->epoch + began);
    before->state = now.state;
    before->epoch = now.epoch;
}

static void test_random_commands(void **state)
{
    static struct model model;
    (void)state;
    for (uint64_t seed = 1; seed <= SEED_COUNT; seed++) {
        struct fixture fixture;
        struct script script = {.state = seed * 7919};
        struct registration_view registration = {.state = REGISTRATION_DISABLED};
        uint64_t done = 0;
        model = (struct model){0};
        fixture_open(&fixture);
        for (size_t i = 0; i < 1500; i++) {
            struct command command = script_next(&script, &fixture);
            if (fixture_apply(&fixture, command) == REFUSAL_NONE) {
                model_apply(&model, &script, &command);
                done++;
            }
            check_model(&model, &fixture);
            check_registration_move(&fixture, &registration);
        }
        check_fates(&model, &fixture);
        CHECK(done > 300); /* Or the script is no test. */
        uint64_t lines;
        CHECK_OK(store_audit_verify(fixture.store, &lines));
        fixture_close(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_log_same_store), cmocka_unit_test(test_other_log_other_digest),
        cmocka_unit_test(test_kept_digests),        cmocka_unit_test(test_replay_is_skipped),
        cmocka_unit_test(test_random_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
