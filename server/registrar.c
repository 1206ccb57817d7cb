/*
 * The registrar's states:
 *
 *               due                          worth writing down
 *     IDLE ───────────► CALLING ──────────────────────────────► PROPOSING
 *     ▲ ▲                  │                                        │
 *     │ └── nothing new ───┘                                        │
 *     └──────────────────────────── applied, or not ────────────────┘
 *
 * What the next call is depends on the store alone:
 *
 *     REGISTERING, no id yet        register (the same token and CSR each time)
 *     REGISTERING, an id            poll
 *     REGISTERED                    heartbeat; or renew, if a request for a certificate is there
 *     DEREGISTERING                 delete until the cloud says that it is gone
 *     anything else                 none
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registrar.h"

#include <assert.h>
#include <string.h>

#define PROPOSE_DELAY_MS 1000 /* After a proposal that was not applied. */

#define TO(state) (1U << (state))

static const unsigned registrar_moves[REGISTRAR_STATE_COUNT] = {
    [REGISTRAR_IDLE] = TO(REGISTRAR_CALLING) | TO(REGISTRAR_PROPOSING),
    [REGISTRAR_CALLING] = TO(REGISTRAR_IDLE) | TO(REGISTRAR_PROPOSING),
    [REGISTRAR_PROPOSING] = TO(REGISTRAR_IDLE),
};

#undef TO

static void become(struct registrar *registrar, enum registrar_state next)
{
    assert((registrar_moves[registrar->state] & 1U << next) != 0);
    registrar->state = next;
}

/* ---- Waiting ---- */

static void wait_for(struct registrar *registrar, uint64_t delay_ms)
{
    registrar->due_ms = registrar->ops->monotonic_ms(registrar->context) + delay_ms;
}

static uint64_t back_off(struct registrar *registrar, unsigned retry_after_s)
{
    uint64_t delay_ms = REGISTRAR_RETRY_MS_MIN;

    registrar->failures++;
    for (unsigned i = 1; i < registrar->failures && delay_ms < REGISTRAR_RETRY_MS_MAX; i++) {
        delay_ms *= 2;
    }
    if (delay_ms > REGISTRAR_RETRY_MS_MAX) {
        delay_ms = REGISTRAR_RETRY_MS_MAX;
    }
    delay_ms = delay_ms * 3 / 4 + registrar->ops->random(registrar->context) % (delay_ms / 2 + 1);
    if (delay_ms < (uint64_t)retry_after_s * 1000) {
        delay_ms = (uint64_t)retry_after_s * 1000;
    }
    wait_for(registrar, delay_ms);
    return delay_ms;
}

/* ---- Proposals ---- */

static void propose(struct registrar *registrar, const struct command *command)
{
    become(registrar, REGISTRAR_PROPOSING);
    struct status status = registrar->ops->propose(registrar->context, command);

    if (failed(status)) {
        /* No quorum, or no longer the leader: the store still has the intent, so nothing is lost
         * by asking the cloud the same again. */
        become(registrar, REGISTRAR_IDLE);
        wait_for(registrar, PROPOSE_DELAY_MS);
    }
}

/* A note that says what the store knows already is not worth an entry of the log; but whoever waits
 * for a registration to begin or to end is told of each attempt (`again`), which become rare soon. */
static void note(struct registrar *registrar, const struct registration_view *view,
                 struct slice registration_id, const struct exchange_answer *said,
                 uint64_t delay_ms, bool again)
{
    struct slice error = slice_of(said->reason);
    struct slice code = slice_of(said->code);
    bool new_id = registration_id.size > 0 && !slice_equal(view->registration_id, registration_id);

    if (!again && !new_id && slice_equal(view->error, error) &&
        slice_equal(view->error_code, code)) {
        become(registrar, REGISTRAR_IDLE);
        return;
    }
    uint64_t next_try_ms =
        error.size > 0 ? registrar->ops->now_ms(registrar->context) + delay_ms : 0;
    struct command command = {
        .type = COMMAND_REGISTRATION_NOTE,
        .body.registration_note = {.epoch = view->epoch,
                                   .registration_id = registration_id,
                                   .attempt = view->attempt + 1,
                                   .error = error,
                                   .next_try_ms = next_try_ms,
                                   .code = code},
    };
    propose(registrar, &command);
}

static void complete(struct registrar *registrar, const struct registration_view *view,
                     const struct exchange_answer *answer)
{
    struct command command = {
        .type = COMMAND_REGISTRATION_COMPLETE,
        .body.registration_complete = {.epoch = view->epoch,
                                       .device_id = answer->device_id,
                                       .tenant = answer->tenant,
                                       .certificate = answer->certificate,
                                       .not_after_ms = answer->not_after_ms},
    };
    wait_for(registrar, 0);
    propose(registrar, &command);
}

static void give_up(struct registrar *registrar, const struct registration_view *view,
                    const char *code, const char *reason)
{
    struct command command = {
        .type = COMMAND_REGISTRATION_FAIL,
        .body.registration_fail = {.epoch = view->epoch,
                                   .code = slice_of(code),
                                   .error = slice_of(reason)},
    };
    wait_for(registrar, 0);
    propose(registrar, &command);
}

static void complete_deregistration(struct registrar *registrar,
                                    const struct registration_view *view)
{
    struct command command = {
        .type = COMMAND_DEREGISTRATION_COMPLETE,
        .body.deregistration_complete = {.epoch = view->epoch,
                                         .forgotten = !registrar->deletion_begun},
    };
    wait_for(registrar, 0);
    propose(registrar, &command);
}

/* ---- Answers ---- */

static void on_in_progress(struct registrar *registrar, const struct registration_view *view,
                           struct slice registration_id)
{
    uint64_t now_ms = registrar->ops->now_ms(registrar->context);
    bool stuck = now_ms > view->since_ms && now_ms - view->since_ms > REGISTRAR_STUCK_MS;
    uint64_t delay_ms = stuck ? REGISTRAR_POLL_SLOW_MS : REGISTRAR_POLL_MS;
    struct exchange_answer said = {0};

    if (stuck) {
        reason_say(said.reason,
                   "the cloud has been working on the registration for more than two minutes; this "
                   "node goes on asking. Delete the device in the portal to end it");
    }
    registrar->failures = 0;
    registrar->asked_anew = false;
    wait_for(registrar, delay_ms);
    note(registrar, view, registration_id, &said, delay_ms, false);
}

/* The export holds since the cloud said so; only a heartbeat that it takes ends that. */
static bool is_held(const struct registration_view *view)
{
    return view->state == REGISTRATION_REGISTERED && view->error_code.size > 0;
}

/* What may pass is said in words only. */
static void on_failed(struct registrar *registrar, const struct registration_view *view,
                      const struct exchange_answer *answer)
{
    uint64_t delay_ms = back_off(registrar, answer->retry_after_s);
    struct exchange_answer said = *answer;

    if (is_held(view)) {
        become(registrar, REGISTRAR_IDLE);
        return;
    }
    said.code[0] = '\0';
    note(registrar, view, (struct slice){0}, &said, delay_ms,
         view->state != REGISTRATION_REGISTERED);
}

static void on_registration(struct registrar *registrar, const struct registration_view *view,
                            const struct exchange_answer *answer)
{
    switch (answer->result) {
    case EXCHANGE_IN_PROGRESS: on_in_progress(registrar, view, answer->registration_id); break;
    case EXCHANGE_REGISTERED: complete(registrar, view, answer); break;
    case EXCHANGE_REFUSED: give_up(registrar, view, answer->code, answer->reason); break;
    case EXCHANGE_GONE:
        /* An id that the cloud does not know: the token and the CSR still say which one is meant. */
        registrar->asked_anew = true;
        on_failed(registrar, view, answer);
        break;
    case EXCHANGE_DONE:
    case EXCHANGE_FAILED: on_failed(registrar, view, answer); break;
    }
}

/* ---- Registered ---- */

static void on_heartbeat(struct registrar *registrar, const struct registration_view *view,
                         const struct exchange_answer *answer)
{
    struct exchange_answer said = *answer;
    uint64_t delay_ms = registrar->heartbeat_ms;

    if (answer->result == EXCHANGE_FAILED) {
        on_failed(registrar, view, answer);
        return;
    }
    if (answer->result == EXCHANGE_DONE) {
        said = (struct exchange_answer){0};
        reason_say(said.reason, "%s", registrar->renewal_error);
    } else if (delay_ms > REGISTRAR_HELD_MS) {
        delay_ms = REGISTRAR_HELD_MS;
    }
    registrar->failures = 0;
    registrar->heartbeat_next = false;
    wait_for(registrar, delay_ms);
    note(registrar, view, (struct slice){0}, &said, delay_ms, false);
}

static void on_renewal(struct registrar *registrar, const struct registration_view *view,
                       const struct exchange_answer *answer)
{
    bool ours = slice_equal(answer->device_id, view->device_id);

    registrar->heartbeat_next = true; /* With the new certificate; or to hear what is wrong. */
    if (answer->result == EXCHANGE_REGISTERED && ours) {
        registrar->renewal_error[0] = '\0';
        complete(registrar, view, answer);
        return;
    }
    reason_say(registrar->renewal_error, "the device certificate was not renewed: %s",
               answer->result == EXCHANGE_REGISTERED ? "it is another device's" : answer->reason);
    struct exchange_answer said = {.retry_after_s = answer->retry_after_s};
    reason_say(said.reason, "%s", registrar->renewal_error);
    on_failed(registrar, view, &said);
}

static bool is_renewal_due(const struct registrar *registrar, const struct registration_view *view)
{
    uint64_t issued_ms = view->renewed_ms != 0 ? view->renewed_ms : view->since_ms;
    uint64_t life_ms = view->not_after_ms > issued_ms ? view->not_after_ms - issued_ms : 0;

    return view->state == REGISTRATION_REGISTERED && view->not_after_ms != 0 &&
           view->renewal_csr.size == 0 && !is_held(view) && !registrar->heartbeat_next &&
           registrar->ops->now_ms(registrar->context) >= issued_ms + life_ms / 3 * 2;
}

/* ---- Deregistering ---- */

static void on_pending(struct registrar *registrar, const struct registration_view *view,
                       const struct exchange_answer *answer)
{
    struct exchange_answer said = *answer;

    reason_say(said.reason, "deregistration pending: %s", answer->reason);
    on_failed(registrar, view, &said);
}

static bool is_about_certificate(const struct exchange_answer *answer)
{
    return strncmp(answer->code, "certificate_", strlen("certificate_")) == 0;
}

static void on_deletion(struct registrar *registrar, const struct registration_view *view,
                        const struct exchange_answer *answer)
{
    switch (answer->result) {
    case EXCHANGE_GONE: complete_deregistration(registrar, view); break;
    case EXCHANGE_DONE:
        registrar->deletion_begun = true;
        registrar->failures = 0;
        wait_for(registrar, REGISTRAR_POLL_MS);
        become(registrar, REGISTRAR_IDLE);
        break;
    case EXCHANGE_REFUSED:
        registrar->certificate_dead = is_about_certificate(answer);
        on_pending(registrar, view, answer);
        break;
    case EXCHANGE_IN_PROGRESS:
    case EXCHANGE_REGISTERED:
    case EXCHANGE_FAILED: on_pending(registrar, view, answer); break;
    }
}

/* The certificate is dead, so the device cannot delete itself: a person must, and we see it when
 * the cloud's list does not have the serial any more. */
static void on_list(struct registrar *registrar, const struct registration_view *view,
                    const struct exchange_answer *answer)
{
    struct exchange_answer listed = *answer;

    if (answer->result == EXCHANGE_DONE && !answer->listed) {
        complete_deregistration(registrar, view);
        return;
    }
    if (answer->result == EXCHANGE_DONE) {
        reason_say(listed.reason, "the cloud does not take the device certificate any more: delete "
                                  "the device in the portal, and this node will notice");
    }
    on_pending(registrar, view, &listed);
}

static void on_answer(struct registrar *registrar, const struct registration_view *view,
                      const struct exchange_answer *answer)
{
    switch (registrar->calling) {
    case EXCHANGE_REGISTER:
    case EXCHANGE_POLL: on_registration(registrar, view, answer); break;
    case EXCHANGE_HEARTBEAT: on_heartbeat(registrar, view, answer); break;
    case EXCHANGE_RENEW: on_renewal(registrar, view, answer); break;
    case EXCHANGE_DELETE: on_deletion(registrar, view, answer); break;
    case EXCHANGE_LIST: on_list(registrar, view, answer); break;
    }
}

/* ---- What to do next ---- */

static bool next_call(const struct registrar *registrar, const struct registration_view *view,
                      enum exchange_kind *out)
{
    if (view->state == REGISTRATION_REGISTERING) {
        bool known = view->registration_id.size > 0 && !registrar->asked_anew;
        *out = known ? EXCHANGE_POLL : EXCHANGE_REGISTER;
        return true;
    }
    if (view->state == REGISTRATION_REGISTERED) {
        bool renew = view->renewal_csr.size > 0 && !registrar->heartbeat_next;
        *out = renew ? EXCHANGE_RENEW : EXCHANGE_HEARTBEAT;
        return true;
    }
    if (view->state == REGISTRATION_DEREGISTERING) {
        *out = registrar->certificate_dead ? EXCHANGE_LIST : EXCHANGE_DELETE;
        return true;
    }
    return false;
}

static void follow_intent(struct registrar *registrar, const struct registration_view *view)
{
    if (registrar->epoch == view->epoch && registrar->intent == view->state) {
        return;
    }
    registrar->epoch = view->epoch;
    registrar->intent = view->state;
    registrar->due_ms = 0;
    registrar->failures = 0;
    registrar->asked_anew = false;
    registrar->deletion_begun = false;
    registrar->certificate_dead = false;
    registrar->heartbeat_next = false;
    registrar->renewal_error[0] = '\0';
}

static void call(struct registrar *registrar, enum exchange_kind kind,
                 const struct registration_view *view)
{
    registrar->calling = kind;
    become(registrar, REGISTRAR_CALLING);
    struct status status = registrar->ops->call(registrar->context, kind, view);

    if (!failed(status)) {
        return;
    }
    struct exchange_answer said = {0};
    reason_say(said.reason, "%s", status.message);
    on_failed(registrar, view, &said);
}

static void begin_renewal(struct registrar *registrar, const struct registration_view *view)
{
    become(registrar, REGISTRAR_PROPOSING);
    if (failed(registrar->ops->begin_renewal(registrar->context, view))) {
        become(registrar, REGISTRAR_IDLE);
        registrar->heartbeat_next = true;
        wait_for(registrar, PROPOSE_DELAY_MS);
    }
}

static void act(struct registrar *registrar, const struct registration_view *view)
{
    uint64_t now_ms = registrar->ops->monotonic_ms(registrar->context);
    enum exchange_kind kind;

    follow_intent(registrar, view);
    registrar->ops->stop_timer(registrar->context);
    if (!next_call(registrar, view, &kind)) {
        return;
    }
    if (now_ms >= registrar->due_ms && is_renewal_due(registrar, view)) {
        begin_renewal(registrar, view);
    } else if (now_ms >= registrar->due_ms) {
        call(registrar, kind, view);
    }
    if (registrar->state == REGISTRAR_IDLE && registrar->due_ms > now_ms) {
        registrar->ops->start_timer(registrar->context, registrar->due_ms - now_ms);
    }
}

static void run(struct registrar *registrar)
{
    struct arena arena = {0};
    struct registration_view view;

    if (!registrar->leading || registrar->state != REGISTRAR_IDLE) {
        return;
    }
    struct status status = registrar->ops->view(registrar->context, &arena, &view);
    if (failed(status)) {
        registrar->ops->start_timer(registrar->context, REGISTRAR_RETRY_MS_MIN);
    } else {
        act(registrar, &view);
    }
    arena_release(&arena);
}

/* ---- Events ---- */

void registrar_init(struct registrar *registrar, const struct registrar_ops *ops, void *context)
{
    *registrar = (struct registrar){
        .state = REGISTRAR_IDLE,
        .heartbeat_ms = REGISTRAR_HEARTBEAT_MS,
        .ops = ops,
        .context = context,
    };
}

void registrar_on_leader(struct registrar *registrar)
{
    if (registrar->leading) {
        return;
    }
    registrar->leading = true;
    registrar->intent = 0; /* Nothing is known of what another leader saw. */
    run(registrar);
}

void registrar_on_follower(struct registrar *registrar)
{
    registrar->leading = false;
    registrar->ops->stop_timer(registrar->context);
    if (registrar->state == REGISTRAR_CALLING) {
        registrar->ops->cancel(registrar->context);
        become(registrar, REGISTRAR_IDLE);
    }
}

void registrar_on_change(struct registrar *registrar)
{
    run(registrar);
}

void registrar_on_timer(struct registrar *registrar)
{
    run(registrar);
}

void registrar_on_answer(struct registrar *registrar, const struct exchange_answer *answer)
{
    struct arena arena = {0};
    struct registration_view view;

    assert(registrar->state == REGISTRAR_CALLING);
    struct status status = registrar->ops->view(registrar->context, &arena, &view);
    if (failed(status) || view.epoch != registrar->epoch || view.state != registrar->intent) {
        /* The intent is another one by now: what was asked for the old one counts no more. */
        become(registrar, REGISTRAR_IDLE);
    } else {
        on_answer(registrar, &view, answer);
    }
    arena_release(&arena);
    run(registrar);
}

void registrar_on_proposed(struct registrar *registrar, bool applied)
{
    become(registrar, REGISTRAR_IDLE);
    if (!applied) {
        wait_for(registrar, PROPOSE_DELAY_MS);
    }
    run(registrar);
}
