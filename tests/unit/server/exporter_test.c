/*
 * The exporter by letters.
 *
 *     in   L F  leader, follower         T   the timer is due       + .  2,000 or 1 more records
 *          k0   slot 0: all created      r0  400    e0  503    u0  401    f0  403    q0  429
 *          c0   credentials refused      h0  not readable
 *          m n  the mark moved, or not   D   drain                  H h  hold, hold no more
 *          X    another leader moved the mark over everything
 *     out  S0   sent   C0 cancelled   A  advance proposed   P  pause proposed
 *          K    credentials refused   Z  drained
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exporter.h"

#include <string.h>

#include "outbox_rows.h"

struct world {
    struct exporter exporter;
    struct exporter_gate gate;
    uint64_t now_ms;
    uint64_t timer_ms; /* When it is due; 0: not set. */
    struct buffer requests[EXPORTER_WINDOW];
    uint64_t advancing_to;
    unsigned rejects;
    struct buffer log;
};

static void note(struct world *world, const char *letter)
{
    CHECK(buffer_print(&world->log, "%s", letter));
}

static uint64_t now_ms(void *context)
{
    const struct world *world = context;
    return world->now_ms;
}

static uint64_t no_random(void *context)
{
    (void)context;
    return 0;
}

static struct status gate(void *context, struct exporter_gate *out)
{
    const struct world *world = context;
    *out = world->gate;
    return OK;
}

static struct status load(void *context, uint64_t sequence, struct bundle *bundle)
{
    const struct world *world = context;
    struct arena arena = {0};
    uint64_t left = world->gate.last_sequence - sequence;
    struct codec_list records =
        outbox_rows(&arena, sequence + 1, left < BUNDLE_ENTITIES_MAX ? left : BUNDLE_ENTITIES_MAX);
    struct status status = bundle_fill(bundle, slice_of(OUTBOX_CLUSTER), sequence, &records);

    arena_release(&arena);
    return status;
}

static struct status send_bundle(void *context, unsigned slot, struct slice body)
{
    struct world *world = context;

    CHECK(buffer_print(&world->log, "S%u", slot));
    buffer_clear(&world->requests[slot]);
    CHECK(buffer_append(&world->requests[slot], body.data, body.size));
    return OK;
}

static void cancel(void *context, unsigned slot)
{
    struct world *world = context;
    CHECK(buffer_print(&world->log, "C%u", slot));
}

static struct status advance(void *context, const struct bundle *bundle)
{
    struct world *world = context;
    struct arena arena = {0};
    struct codec_list rejects;

    CHECK_U64(bundle->from, world->gate.mark); /* In order, whatever was answered first. */
    CHECK_OK(bundle_rejects(bundle, &arena, &rejects));
    world->rejects += (unsigned)rejects.count;
    arena_release(&arena);
    world->advancing_to = bundle->to;
    note(world, "A");
    return OK;
}

static void cloud_paused(void *context, uint64_t until_ms, const char *reason)
{
    (void)until_ms;
    (void)reason;
    note(context, "P");
}

static void credentials_refused(void *context, const char *reason)
{
    (void)reason;
    note(context, "K");
}

static void start_timer(void *context, uint64_t delay_ms)
{
    struct world *world = context;
    world->timer_ms = world->now_ms + delay_ms;
}

static void stop_timer(void *context)
{
    struct world *world = context;
    world->timer_ms = 0;
}

static void drained(void *context)
{
    note(context, "Z");
}

static const struct exporter_ops ops = {
    .now_ms = now_ms,
    .monotonic_ms = now_ms,
    .random = no_random,
    .gate = gate,
    .load = load,
    .send = send_bundle,
    .cancel = cancel,
    .advance = advance,
    .cloud_paused = cloud_paused,
    .credentials_refused = credentials_refused,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
    .drained = drained,
};

static void answer(struct world *world, char letter, unsigned slot)
{
    static const struct {
        char letter;
        enum ctia_result result;
    } rows[] = {
        {'k', CTIA_TAKEN},        {'h', CTIA_TAKEN},       {'r', CTIA_REFUSED},
        {'e', CTIA_FAILED},       {'q', CTIA_LIMITED},     {'f', CTIA_FORBIDDEN},
        {'u', CTIA_UNAUTHORIZED}, {'c', CTIA_CREDENTIALS},
    };
    struct buffer body = {0};
    struct ctia_answer answer_of = {.quota_remaining = UINT64_MAX, .reason = "words"};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].letter == letter) {
            answer_of.result = rows[i].result;
        }
    }
    if (letter == 'k') {
        outbox_answer(buffer_slice(&world->requests[slot]), "created", &body);
    }
    answer_of.body = buffer_slice(&body);
    exporter_on_sent(&world->exporter, slot, &answer_of);
    buffer_release(&body);
}

static void more(struct world *world, uint64_t count)
{
    world->gate.last_sequence += count;
    exporter_on_change(&world->exporter);
}

static void due(struct world *world)
{
    CHECK(world->timer_ms > 0);
    world->now_ms = world->timer_ms;
    world->timer_ms = 0;
    exporter_on_timer(&world->exporter);
}

static void hold(struct world *world, enum exporter_hold why)
{
    world->gate.hold = why;
    exporter_on_change(&world->exporter);
}

static void moved(struct world *world, bool really)
{
    if (really) {
        world->gate.mark = world->advancing_to;
    }
    exporter_on_advanced(&world->exporter, really);
}

static const char *step(struct world *world, const char *script)
{
    switch (*script) {
    case 'L': exporter_on_leader(&world->exporter); return script + 1;
    case 'F': exporter_on_follower(&world->exporter); return script + 1;
    case 'T': due(world); return script + 1;
    case '+': more(world, 2000); return script + 1;
    case '.': more(world, 1); return script + 1;
    case 'm': moved(world, true); return script + 1;
    case 'n': moved(world, false); return script + 1;
    case 'D': exporter_drain(&world->exporter); return script + 1;
    case 'H': hold(world, EXPORTER_HOLD_PAUSED); return script + 1;
    case 'G': hold(world, EXPORTER_HOLD_NONE); return script + 1;
    case 'X':
        world->gate.mark = world->gate.last_sequence;
        exporter_on_change(&world->exporter);
        return script + 1;
    default: answer(world, script[0], (unsigned)(script[1] - '0')); return script + 2;
    }
}

static const struct {
    const char *name;
    const char *in;
    const char *out;
    unsigned rejects;
    const char *state;
} rows[] = {
    {"nothing to do", "L", "", 0, "idle"},
    {"not the leader", "+", "", 0, "not the leader"},
    {"one bundle", "L+k0m", "S0A", 0, "idle"},
    {"a window of four", "L++++++", "S0S1S2S3", 0, "sending"},
    {"answers out of order, mark in order", "L++k1k0mm", "S0S1AA", 0, "idle"},
    {"the window moves on", "L+++++k0m", "S0S1S2S3AS0", 0, "sending"},
    {"few records wait for more", "L.k0m.T", "S0AS1", 0, "sending"},
    {"failed, again after a while", "L+e0Tk0m", "S0S0A", 0, "idle"},
    {"failed: says so", "L+e0", "S0", 0, "waiting to try again"},
    {"failed at once, again together", "L++e0e1Tk0k1mm", "S0S1S0S1AA", 0, "idle"},
    {"not readable, again", "L+h0Tk0m", "S0S0A", 0, "idle"},
    {"refused: halved at once", "L+r0k0k0m", "S0S0S0A", 0, "idle"},
    {"refused alone: a dead letter", "L.r0m", "S0A", 1, "idle"},
    {"quota", "L+q0Tk0m", "S0PS0A", 0, "idle"},
    {"token not taken", "L+u0Tk0m", "S0S0A", 0, "idle"},
    {"scope missing", "L+f0Tk0m", "S0S0A", 0, "idle"},
    {"credentials refused", "L+c0Tk0m", "S0KS0A", 0, "idle"},
    {"mark not moved: proposed again", "L+k0nTm", "S0AA", 0, "idle"},
    {"deposed while sending", "L+F", "S0C0", 0, "not the leader"},
    {"deposed, and leader again: sent again", "L+FLk0m", "S0C0S0A", 0, "idle"},
    {"deposed while proposing", "L+k0Fn", "S0A", 0, "not the leader"},
    {"deposed and back while proposing, moved", "L+k0FLm", "S0A", 0, "idle"},
    {"deposed and back while proposing, not moved", "L+k0FLnTm", "S0AA", 0, "idle"},
    {"deposed while waiting", "L+e0FLk0m", "S0S0A", 0, "idle"},
    {"another moved the mark", "L++X", "S0S1C0C1", 0, "idle"},
    {"held: what is under way ends", "L+H+k0m", "S0A", 0, "paused"},
    {"held no more", "LH+Gk0m", "S0A", 0, "idle"},
    {"drained at once", "LD", "Z", 0, "not the leader"},
    {"drained when settled", "L++D+k0mk1m", "S0S1AAZ", 0, "not the leader"},
    {"drained as follower", "D", "Z", 0, "not the leader"},
    {"deposed while draining", "L+DF", "S0C0Z", 0, "not the leader"},
};

static void close_world(struct world *world)
{
    exporter_on_follower(&world->exporter);
    if (world->exporter.count > 0) {
        exporter_on_advanced(&world->exporter, false);
    }
    exporter_release(&world->exporter);
    for (unsigned i = 0; i < EXPORTER_WINDOW; i++) {
        buffer_release(&world->requests[i]);
    }
    buffer_release(&world->log);
}

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world = {.now_ms = 1000000, .gate = {.account = 1}};
        check_row(rows[i].name);
        exporter_init(&world.exporter, &ops, &world);
        for (const char *at = rows[i].in; *at != '\0';) {
            at = step(&world, at);
        }
        CHECK_SLICE(buffer_slice(&world.log), slice_of(rows[i].out));
        CHECK_U64(world.rejects, rows[i].rejects);
        CHECK_SLICE(slice_of(exporter_state(&world.exporter)), slice_of(rows[i].state));
        close_world(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
