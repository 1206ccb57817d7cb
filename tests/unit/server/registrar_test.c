/*
 * The registrar by letters.
 *
 *     in   L F  leader, follower     T  the timer is due    y N  proposal applied, or not
 *          b d  the store: registering, deregistering       C  something was applied
 *          i    in progress     r  registered     x  refused    g  gone     e  failed    o  done
 *          v    refused: the certificate is dead  s  the serial is listed   S  two minutes pass
 *     out  R P H D L  register, poll, heartbeat, delete, list       c  cancelled
 *          n C F G    note, complete, fail, deregistration complete
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registrar.h"

#include <stdio.h>
#include <string.h>

#include "scratch.h"

struct world {
    struct registrar registrar;
    struct registration_view view;
    char error[REASON_SIZE]; /* Of the view. */
    uint64_t now_ms;
    uint64_t timer_ms;
    struct command proposed;
    char proposed_error[REASON_SIZE];
    bool forgotten;
    struct buffer log;
};

static void note(struct world *world, char letter)
{
    CHECK(buffer_append(&world->log, &letter, 1));
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

static struct status view(void *context, struct arena *arena, struct registration_view *out)
{
    const struct world *world = context;
    (void)arena;
    *out = world->view;
    return OK;
}

static struct status call(void *context, enum exchange_kind kind,
                          const struct registration_view *intent)
{
    static const char letters[] = {
        [EXCHANGE_REGISTER] = 'R', [EXCHANGE_POLL] = 'P', [EXCHANGE_HEARTBEAT] = 'H',
        [EXCHANGE_DELETE] = 'D',   [EXCHANGE_LIST] = 'L',
    };
    (void)intent;
    note(context, letters[kind]);
    return OK;
}

static void cancel(void *context)
{
    note(context, 'c');
}

static struct status propose(void *context, const struct command *command)
{
    struct world *world = context;

    world->proposed = *command;
    if (command->type == COMMAND_REGISTRATION_NOTE) {
        CHECK(slice_to_text(command->body.registration_note.error, world->proposed_error,
                            sizeof world->proposed_error));
        note(world, 'n');
    } else if (command->type == COMMAND_REGISTRATION_COMPLETE) {
        note(world, 'C');
    } else if (command->type == COMMAND_REGISTRATION_FAIL) {
        note(world, 'F');
    } else {
        world->forgotten = command->body.deregistration_complete.forgotten;
        note(world, 'G');
    }
    return OK;
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

static const struct registrar_ops ops = {
    .now_ms = now_ms,
    .monotonic_ms = now_ms,
    .random = no_random,
    .view = view,
    .call = call,
    .cancel = cancel,
    .propose = propose,
    .start_timer = start_timer,
    .stop_timer = stop_timer,
};

/* What the store does with it. */
static void apply(struct world *world)
{
    switch ((int)world->proposed.type) {
    case COMMAND_REGISTRATION_NOTE:
        if (world->proposed.body.registration_note.registration_id.size > 0) {
            world->view.registration_id = slice_of("reg-1");
        }
        (void)memcpy(world->error, world->proposed_error, sizeof world->error);
        world->view.error = slice_of(world->error);
        break;
    case COMMAND_REGISTRATION_COMPLETE:
        world->view.state = REGISTRATION_REGISTERED;
        world->view.error = (struct slice){0};
        break;
    case COMMAND_REGISTRATION_FAIL: world->view.state = REGISTRATION_FAILED; break;
    default: world->view.state = REGISTRATION_ENABLED; break;
    }
    registrar_on_proposed(&world->registrar, true);
}

static void answer(struct world *world, char letter)
{
    static const struct {
        char letter;
        enum exchange_result result;
        bool listed;
        const char *code;
    } rows[] = {
        {'i', EXCHANGE_IN_PROGRESS, false, ""},
        {'r', EXCHANGE_REGISTERED, false, ""},
        {'x', EXCHANGE_REFUSED, false, "token_expired"},
        {'v', EXCHANGE_REFUSED, false, "certificate_revoked"},
        {'g', EXCHANGE_GONE, false, "device_not_found"},
        {'e', EXCHANGE_FAILED, false, "http_503"},
        {'o', EXCHANGE_DONE, false, ""},
        {'s', EXCHANGE_DONE, true, ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].letter == letter) {
            struct exchange_answer answer_of = {
                .result = rows[i].result,
                .listed = rows[i].listed,
                .registration_id = slice_of(letter == 'i' ? "reg-1" : ""),
                .reason = "words",
            };
            (void)snprintf(answer_of.code, sizeof answer_of.code, "%s", rows[i].code);
            registrar_on_answer(&world->registrar, &answer_of);
            return;
        }
    }
    assert_true(false); /* Not a letter. */
}

static void step(struct world *world, char letter)
{
    switch (letter) {
    case 'L': registrar_on_leader(&world->registrar); return;
    case 'F': registrar_on_follower(&world->registrar); return;
    case 'C': registrar_on_change(&world->registrar); return;
    case 'S': world->now_ms += REGISTRAR_STUCK_MS + 1; return;
    case 'y': apply(world); return;
    case 'N': registrar_on_proposed(&world->registrar, false); return;
    case 'b':
        world->view = (struct registration_view){
            .state = REGISTRATION_REGISTERING, .epoch = 1, .since_ms = world->now_ms};
        registrar_on_change(&world->registrar);
        return;
    case 'd':
        world->view.state = REGISTRATION_DEREGISTERING;
        registrar_on_change(&world->registrar);
        return;
    case 'T':
        CHECK(world->timer_ms > 0);
        if (world->now_ms < world->timer_ms) {
            world->now_ms = world->timer_ms;
        }
        world->timer_ms = 0;
        registrar_on_timer(&world->registrar);
        return;
    default: answer(world, letter); return;
    }
}

static const struct {
    const char *name;
    const char *in;
    const char *out;
    bool forgotten;
} rows[] = {
    {"nothing to do", "L", "", false},
    {"registers, then lives", "LbiyTryoT", "RnPCHH", false},
    {"registered at once", "Lbry", "RCH", false},
    {"not the leader", "b", "", false},
    {"refused", "LbxyC", "RF", false},
    {"refused while polled", "LbiyTxy", "RnPF", false},
    {"not reached, again with the same token", "LbeyTry", "RnRCH", false},
    {"not reached twice: noted once", "LbeyTeTry", "RnRRCH", false},
    {"the reply was lost, the next leader resumes", "LbFLry", "RcRCH", false},
    {"deposed while polling", "LbiyTFLry", "RnPcPCH", false},
    {"the cloud forgot the registration id", "LbiyTgyTry", "RnPnRCH", false},
    {"in progress, in progress", "LbiyTiTiTry", "RnPPPCH", false},
    {"stuck: said once", "LbiySTiyTiTry", "RnPnPPCH", false},
    {"the completion was not applied", "LbrNTry", "RCRCH", false},
    {"deposed while proposing", "LbrFN", "RC", false},
    {"deposed while proposing, and applied", "LbrFyL", "RCH", false},
    {"heartbeat fails and recovers", "LbryeyToyT", "RCHnHnH", false},
    {"deleted in the portal: said once", "LbrygyTgT", "RCHnHH", false},
    {"deregisters", "LbryodoTgy", "RCHDDG", false},
    {"deregisters what was deleted in the portal", "Lbryodgy", "RCHDG", true},
    {"deregistration not reached, again", "LbryodeyTgy", "RCHDnDG", true},
    {"the intent changes under way", "Lbrydogy", "RCHDG", true},
    {"the certificate is dead: until it is not listed", "LbryodvyTsyToy", "RCHDnLnLG", true},
};

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world = {.now_ms = 1000000, .view = {.state = REGISTRATION_ENABLED}};
        check_row(rows[i].name);
        registrar_init(&world.registrar, &ops, &world);
        for (const char *at = rows[i].in; *at != '\0'; at++) {
            step(&world, *at);
        }
        CHECK_SLICE(buffer_slice(&world.log), slice_of(rows[i].out));
        CHECK_U64(world.forgotten, rows[i].forgotten);
        buffer_release(&world.log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
