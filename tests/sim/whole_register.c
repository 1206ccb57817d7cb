/*
 * Contenders for registers: each reads, linearizably, and swaps against the version it knows. What
 * was asked and answered becomes a history that must be linearizable (history.h).
 *
 * A register is a set of credentials: its generation is the version, its client id the value. A swap
 * is credential_put, which the state refuses for another generation than the next one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/seal.h"
#include "whole.h"

#define PATIENCE_MS 4000U

static const char *const names[WHOLE_REGISTERS] = {"register-a", "register-b"};

static const char *const verdicts[] = {
    [HISTORY_UNKNOWN] = "unknown",
    [HISTORY_DONE] = "done",
    [HISTORY_REFUSED] = "refused",
    [HISTORY_VOID] = "nothing",
};

static struct history_operation *operation_of(const struct contender *contender)
{
    return &contender->world->whole->registers[contender->at].operations[contender->operation];
}

static void end(struct contender *contender, enum history_outcome outcome)
{
    struct history_operation *operation = operation_of(contender);
    struct world *world = contender->world;
    contender->under_way = false;
    contender->asked++;
    operation->outcome = outcome;
    operation->returned = ++world->whole->moment;
    world_say(world, "contender %u, at node %u: %s, version %llu, called at moment %llu: %s %s",
              contender->number, contender->site->node->number, names[contender->at],
              (unsigned long long)operation->version, (unsigned long long)operation->called,
              operation->kind == HISTORY_READ ? "read" : "swap", verdicts[outcome]);
}

/* One of its own for each, for a node that is slow may still hold an old one. */
struct question {
    struct contender *contender;
    unsigned asked;
    struct read_barrier barrier;
};

static struct question *new_question(struct contender *contender)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        abort();
    }
    *question = (struct question){.contender = contender, .asked = contender->asked};
    return question;
}

/* ---- Reading ---- */

static void look(struct contender *contender)
{
    struct history_operation *operation = operation_of(contender);
    struct arena arena = {0};
    struct credential_view view = {0};
    char text[32] = "";
    struct status status = store_credential(contender->site->node->store, &arena,
                                            slice_of(names[contender->at]), &view);
    if (!failed(status) && slice_to_text(view.client_id, text, sizeof text)) {
        operation->version = view.generation;
        operation->value = strtoull(text, NULL, 10);
    }
    arena_release(&arena);
    contender->seen[contender->at] = operation->version;
    contender->world->whole->counts[WHOLE_READS]++;
    end(contender, HISTORY_DONE);
}

static void on_barrier(struct read_barrier *barrier, struct status status)
{
    struct question *question = barrier->context;
    struct contender *contender = question->contender;
    bool is_stale = question->asked != contender->asked;
    free(question);
    if (is_stale) {
        return; /* It has given up. */
    }
    if (failed(status)) {
        end(contender, HISTORY_VOID);
    } else {
        look(contender);
    }
}

static void read_register(struct contender *contender)
{
    if (contender->world->options.sabotage == SABOTAGE_READ) {
        look(contender);
        return;
    }
    struct question *question = new_question(contender);
    question->barrier.context = question;
    struct status status = site_read(contender->site, &question->barrier, on_barrier);
    if (failed(status)) {
        free(question);
        end(contender, HISTORY_VOID);
    }
}

/* ---- Swapping ---- */

static void on_swapped(void *argument, struct status status, struct apply_outcome outcome)
{
    struct question *question = argument;
    struct contender *contender = question->contender;
    bool is_stale = question->asked != contender->asked;
    free(question);
    if (is_stale) {
        return; /* Its outcome stays unknown. */
    }
    contender->world->whole->counts[WHOLE_SWAPS] += !failed(status);
    if (failed(status)) {
        end(contender, HISTORY_UNKNOWN);
    } else if (outcome.refusal == REFUSAL_NONE) {
        contender->seen[contender->at]++;
        end(contender, HISTORY_DONE);
    } else if (outcome.refusal == REFUSAL_CREDENTIAL_CHANGED) {
        end(contender, HISTORY_REFUSED);
    } else {
        end(contender, HISTORY_VOID);
    }
}

static void swap_register(struct contender *contender)
{
    struct history_operation *operation = operation_of(contender);
    struct question *question = new_question(contender);
    struct arena arena = {0};
    char value[32];
    operation->version = contender->seen[contender->at];
    operation->value = operation->called; /* Nobody else's. */
    (void)snprintf(value, sizeof value, "%llu", (unsigned long long)operation->value);
    const struct seal_purpose purpose =
        seal_purpose_of_credential(slice_of(names[contender->at]), operation->version + 1);
    const struct command command = {
        .type = COMMAND_CREDENTIAL_PUT,
        .body.credential_put = {.name = slice_of(names[contender->at]),
                                .client_id = slice_of(value),
                                .sealed_password =
                                    whole_seal(contender->site, &arena, &purpose, "no use"),
                                .region = slice_of("AMERICAS"),
                                .generation = operation->version + 1,
                                .key_epoch = contender->site->keys.epoch},
    };
    struct status status = site_propose(contender->site, &command, on_swapped, question);
    arena_release(&arena);
    if (failed(status)) {
        free(question);
        end(contender, HISTORY_VOID);
    }
}

/* ---- Life ---- */

static void on_patience(void *context, uint64_t asked)
{
    struct contender *contender = context;
    if (contender->under_way && contender->asked == asked) {
        end(contender,
            operation_of(contender)->kind == HISTORY_READ ? HISTORY_VOID : HISTORY_UNKNOWN);
    }
}

static void ask(struct contender *contender)
{
    struct world *world = contender->world;
    struct whole *whole = world->whole;
    contender->at = whole_draw(world, 0, WHOLE_REGISTERS - 1);
    struct history *history = &whole->registers[contender->at];
    contender->site = whole_leader(world);
    if (contender->site == NULL || history->count == HISTORY_OPERATIONS_MAX) {
        return;
    }
    contender->operation = history->count++;
    contender->under_way = true;
    *operation_of(contender) = (struct history_operation){
        .kind = whole_chance(world, 60) ? HISTORY_READ : HISTORY_SWAP,
        .called = ++whole->moment,
    };
    whole_later(world, NULL, PATIENCE_MS, on_patience, contender, contender->asked);
    if (operation_of(contender)->kind == HISTORY_READ) {
        read_register(contender);
    } else {
        swap_register(contender);
    }
}

static void wake(void *context, uint64_t argument)
{
    struct contender *contender = context;
    (void)argument;
    if (!contender->under_way && !contender->world->whole->healed) {
        ask(contender);
    }
    whole_later(contender->world, NULL, whole_draw(contender->world, 50, 1500), wake, contender, 0);
}

void register_start(struct world *world)
{
    for (unsigned i = 0; i < WHOLE_CONTENDERS; i++) {
        struct contender *contender = &world->whole->contenders[i];
        contender->world = world;
        contender->number = i;
        whole_later(world, NULL, whole_draw(world, 3000, 9000), wake, contender, 0);
    }
}

void register_check(struct world *world)
{
    for (unsigned i = 0; i < WHOLE_REGISTERS; i++) {
        const struct history *history = &world->whole->registers[i];
        size_t stuck = 0;
        enum history_verdict verdict = history_check(history, &stuck);
        world->whole->counts[WHOLE_UNDECIDED] += verdict == HISTORY_UNDECIDED;
        if (verdict == HISTORY_NOT_LINEARIZABLE) {
            const struct history_operation *operation = &history->operations[stuck];
            check_fail(world, VERDICT_RULE,
                       "%s: the %s of version %llu called at moment %llu cannot be explained",
                       names[i], operation->kind == HISTORY_READ ? "read" : "swap",
                       (unsigned long long)operation->version,
                       (unsigned long long)operation->called);
        }
    }
}
