/*
 * The registrar by letters.
 *
 *     in   L F  leader, follower     T  the timer is due    y N  proposal applied, or not
 *          b d  the store: registering, deregistering       C  something was applied
 *          i    in progress     r  registered     x  refused    g  gone     e  failed    o  done
 *          v    refused: the certificate is dead  s  the serial is listed   S  two minutes pass
 *          u    refused: suspended                w  another device's certificate
 *          A    two thirds of the certificate's life are over
 *     out  R P H D L  register, poll, heartbeat, delete, list       c  cancelled
 *          K    renew the certificate
 *          n C F G    note, complete, fail, deregistration complete
 *          h    note with a code: the export holds       k  the request for a renewal
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registrar.h"

#include <stdio.h>
#include <string.h>

#include "scratch.h"

#define LIFE_MS (UINT64_C(365) * 86400000) /* Of a certificate. */

struct world {
    struct registrar registrar;
    struct registration_view view;
    char error[REASON_SIZE]; /* Of the view. */
    char code[EXCHANGE_CODE_SIZE];
    uint64_t now_ms;
    uint64_t timer_ms;
    struct command proposed;
    char proposed_error[REASON_SIZE];
    char proposed_code[EXCHANGE_CODE_SIZE];
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
        [EXCHANGE_DELETE] = 'D',   [EXCHANGE_LIST] = 'L', [EXCHANGE_RENEW] = 'K',
    };
    (void)intent;
    note(context, letters[kind]);
    return OK;
}

static void cancel(void *context)
{
    note(context, 'c');
}

static struct status begin_renewal(void *context, const struct registration_view *intent)
{
    struct world *world = context;
    (void)intent;
    world->proposed = (struct command){.type = COMMAND_REGISTRATION_RENEW};
    note(world, 'k');
    return OK;
}

static struct status propose(void *context, const struct command *command)
{
    struct world *world = context;

    world->proposed = *command;
    if (command->type == COMMAND_REGISTRATION_NOTE) {
        CHECK(slice_to_text(command->body.registration_note.error, world->proposed_error,
                            sizeof world->proposed_error));
        CHECK(slice_to_text(command->body.registration_note.code, world->proposed_code,
                            sizeof world->proposed_code));
        note(world, world->proposed_code[0] != '\0' ? 'h' : 'n');
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
    .begin_renewal = begin_renewal,
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
        (void)memcpy(world->code, world->proposed_code, sizeof world->code);
        world->view.error_code = slice_of(world->code);
        break;
    case COMMAND_REGISTRATION_RENEW: world->view.renewal_csr = slice_of("csr"); break;
    case COMMAND_REGISTRATION_COMPLETE:
        world->view.state = REGISTRATION_REGISTERED;
        world->view.error = (struct slice){0};
        world->view.error_code = (struct slice){0};
        world->view.renewal_csr = (struct slice){0};
        world->view.device_id = slice_of("dev-1");
        world->view.renewed_ms = world->now_ms;
        world->view.not_after_ms = world->now_ms + LIFE_MS;
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
        {'u', EXCHANGE_REFUSED, false, "device_suspended"},
        {'w', EXCHANGE_REGISTERED, false, ""},
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
                .device_id = slice_of(letter == 'r' ? "dev-1" : ""),
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
    case 'A': world->now_ms += LIFE_MS / 3 * 2 + 1; return;
    case 'y': apply(world); return;
    case 'N': registrar_on_proposed(&world->registrar, false); return;
    case 'b':
        world->view = (struct registration_view){
            .state = REGISTRATION_REGISTERING, .epoch = 1, .since_ms = world->now_ms};
        registrar_on_change(&world->registrar);
        return;
    case 'd':
        world->view.state = REGISTRATION_DEREGISTERING;
        world->view.error = (struct slice){0};
        world->view.error_code = (struct slice){0};
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
    {"not reached twice: each attempt is told", "LbeyTeyTry", "RnRnRCH", false},
    {"the reply was lost, the next leader resumes", "LbFLry", "RcRCH", false},
    {"deposed while polling", "LbiyTFLry", "RnPcPCH", false},
    {"the cloud forgot the registration id", "LbiyTgyTry", "RnPnRCH", false},
    {"in progress, in progress", "LbiyTiTiTry", "RnPPPCH", false},
    {"stuck: said once", "LbiySTiyTiTry", "RnPnPPCH", false},
    {"the completion was not applied", "LbrNTry", "RCRCH", false},
    {"deposed while proposing", "LbrFN", "RC", false},
    {"deposed while proposing, and applied", "LbrFyL", "RCH", false},
    {"heartbeat fails and recovers", "LbryeyToyT", "RCHnHnH", false},
    {"heartbeats fail: said once", "LbryeyTeTo", "RCHnHHn", false},
    {"deleted in the portal: said once, the export holds", "LbrygyTgT", "RCHhHH", false},
    {"suspended in the portal, and resumed", "LbryuyTuToyT", "RCHhHHnH", false},
    {"suspended, not reached: it holds on", "LbryuyTeTeToy", "RCHhHHHn", false},
    {"suspended, the next leader: it holds on", "LbryuyFLeToy", "RCHhHHn", false},
    {"the certificate is dead", "LbryvyTv", "RCHhH", false},
    {"deregisters what was suspended", "LbryuydoTgy", "RCHhDDG", false},
    {"renews when two thirds are over", "LbryoATyryoT", "RCHkKCHH", false},
    {"renews after having been powered off", "LbryoFALyryo", "RCHkKCH", false},
    {"too late: the export holds", "LbryoATyvyTvyTvT", "RCHkKnHhKH", false},
    {"a renewal is not reached: a heartbeat in between", "LbryoATyeyToTryo", "RCHkKnHKCH", false},
    {"a renewal whose reply was lost: the same request", "LbryoATyFLryo", "RCHkKcKCH", false},
    {"a renewal of another device's certificate", "LbryoATywyToTryo", "RCHkKnHKCH", false},
    {"the request is not applied: a heartbeat, again", "LbryoATNTyryo", "RCHkkKCH", false},
    {"the renewal is not applied: a heartbeat, again", "LbryoATyrNToTryo", "RCHkKCHKCH", false},
    {"killed before the renewal's request is applied", "LbryoATFNLyryo", "RCHkkKCH", false},
    {"deregisters", "LbryodoTgy", "RCHDDG", false},
    {"deregisters what was deleted in the portal", "Lbryodgy", "RCHDG", true},
    {"deregistration not reached, again", "LbryodeyTgy", "RCHDnDG", true},
    {"deregistration not reached, the next leader ends it", "LbryodeyFLoTgy", "RCHDnDDG", false},
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
