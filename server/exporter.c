/*
 * The exporter. Each slot of its window goes through these states:
 *
 *             loaded             send                     all entities settled
 *     EMPTY ────────► READY ──────────────► SENDING ─────────────────────────► SETTLED
 *       ▲ ▲             ▲                      │                                │   ▲
 *       │ │             └── failed, refused, ──┘               it is the oldest │   │ not moved
 *       │ │                 not all answered                                    ▼   │
 *       │ └──────────────────────────── the mark moved ────────────────────── ADVANCING
 *       └── no leader any more, or the mark is not where we thought: from READY, SENDING, SETTLED
 *
 * What starts things is run(), called after every event: it reads the gate, proposes the oldest
 * bundle if it is settled, sends what is ready, loads what is pending. So no event needs to know
 * what may happen next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "exporter.h"

#include <assert.h>
#include <string.h>

/* How long to leave the cloud alone when only a person can help. */
#define UNAUTHORIZED_DELAY_MS 60000
#define MISROUTED_DELAY_MS 60000
#define FORBIDDEN_DELAY_MS 300000
#define SYSTEMATIC_DELAY_MS 300000

#define PROPOSE_DELAY_MS 500 /* After a mark that could not be moved. */

#define TO(state) (1U << (state))

static const unsigned slot_moves[SLOT_STATE_COUNT] = {
    [SLOT_EMPTY] = TO(SLOT_READY),
    [SLOT_READY] = TO(SLOT_SENDING) | TO(SLOT_SETTLED) | TO(SLOT_EMPTY),
    [SLOT_SENDING] = TO(SLOT_READY) | TO(SLOT_SETTLED) | TO(SLOT_EMPTY),
    [SLOT_SETTLED] = TO(SLOT_ADVANCING) | TO(SLOT_EMPTY),
    [SLOT_ADVANCING] = TO(SLOT_SETTLED) | TO(SLOT_EMPTY),
};

#undef TO

static void become(struct exporter_slot *slot, enum slot_state next)
{
    assert((slot_moves[slot->state] & 1U << next) != 0);
    slot->state = next;
}

static struct exporter_slot *slot_at(struct exporter *exporter, unsigned position)
{
    return &exporter->slots[(exporter->head + position) % EXPORTER_WINDOW];
}

static unsigned slot_number(const struct exporter *exporter, const struct exporter_slot *slot)
{
    return (unsigned)(slot - exporter->slots);
}

static uint64_t monotonic_ms(const struct exporter *exporter)
{
    return exporter->ops->monotonic_ms(exporter->context);
}

/* ---- Waiting ---- */

static void note_error(struct exporter *exporter, const char *reason)
{
    reason_say(exporter->last_error, "%s", reason);
}

/* Nothing is sent for so long. */
static void hold_off(struct exporter *exporter, uint64_t delay_ms, const char *reason)
{
    uint64_t until_ms = monotonic_ms(exporter) + delay_ms;

    note_error(exporter, reason);
    if (until_ms > exporter->not_before_ms) {
        exporter->not_before_ms = until_ms;
    }
}

static uint64_t retry_delay_ms(const struct exporter *exporter)
{
    uint64_t delay_ms = EXPORTER_RETRY_MS_MIN;

    for (unsigned i = 1; i < exporter->failures && delay_ms < EXPORTER_RETRY_MS_MAX; i++) {
        delay_ms *= 2;
    }
    if (delay_ms > EXPORTER_RETRY_MS_MAX) {
        delay_ms = EXPORTER_RETRY_MS_MAX;
    }
    /* From three quarters to five quarters: clusters that failed together do not return together. */
    return delay_ms * 3 / 4 + exporter->ops->random(exporter->context) % (delay_ms / 2 + 1);
}

/* A failure that may pass. Several bundles that fail of one cause count as one. */
static void back_off(struct exporter *exporter, unsigned retry_after_s, const char *reason)
{
    if (monotonic_ms(exporter) < exporter->not_before_ms) {
        note_error(exporter, reason);
        return;
    }
    exporter->failures++;
    uint64_t delay_ms = retry_delay_ms(exporter);
    uint64_t asked_ms = (uint64_t)retry_after_s * 1000;
    hold_off(exporter, asked_ms > delay_ms ? asked_ms : delay_ms, reason);
}

/* ---- Slots ---- */

static void empty(struct exporter *exporter, struct exporter_slot *slot)
{
    if (slot->state == SLOT_SENDING) {
        exporter->ops->cancel(exporter->context, slot_number(exporter, slot));
    }
    become(slot, SLOT_EMPTY);
    bundle_release(&slot->bundle);
    buffer_clear(&slot->request);
}

/* Give up what is under way, but for a proposal, which is answered anyway. */
static void abandon(struct exporter *exporter)
{
    unsigned kept = exporter->count > 0 && slot_at(exporter, 0)->state == SLOT_ADVANCING ? 1 : 0;

    for (unsigned i = kept; i < exporter->count; i++) {
        empty(exporter, slot_at(exporter, i));
    }
    exporter->count = kept;
}

static void drop_oldest(struct exporter *exporter)
{
    empty(exporter, slot_at(exporter, 0));
    exporter->head = (exporter->head + 1) % EXPORTER_WINDOW;
    exporter->count--;
}

static void move_on(struct exporter_slot *slot)
{
    become(slot, bundle_settled(&slot->bundle) ? SLOT_SETTLED : SLOT_READY);
}

/* ---- What run() does ---- */

static void advance_oldest(struct exporter *exporter)
{
    struct exporter_slot *slot = slot_at(exporter, 0);

    if (exporter->count == 0 || slot->state != SLOT_SETTLED ||
        monotonic_ms(exporter) < exporter->propose_at_ms) {
        return;
    }
    become(slot, SLOT_ADVANCING);
    struct status status = exporter->ops->advance(exporter->context, &slot->bundle);
    if (failed(status)) {
        become(slot, SLOT_SETTLED);
        exporter->propose_at_ms = monotonic_ms(exporter) + PROPOSE_DELAY_MS;
        note_error(exporter, status.message);
    }
}

/* False when it could not be sent: then the others cannot either. */
static bool send_slot(struct exporter *exporter, struct exporter_slot *slot)
{
    struct status status = bundle_request(&slot->bundle, &slot->request);

    if (!failed(status)) {
        become(slot, SLOT_SENDING);
        status = exporter->ops->send(exporter->context, slot_number(exporter, slot),
                                     buffer_slice(&slot->request));
    }
    if (failed(status)) {
        if (slot->state == SLOT_SENDING) {
            become(slot, SLOT_READY);
        }
        back_off(exporter, 0, status.message);
        return false;
    }
    exporter->bundles_sent++;
    return true;
}

static void send_ready(struct exporter *exporter)
{
    for (unsigned i = 0; i < exporter->count; i++) {
        struct exporter_slot *slot = slot_at(exporter, i);
        if (slot->state == SLOT_READY && !send_slot(exporter, slot)) {
            return;
        }
    }
}

/* False when there is nothing more to load now. */
static bool load(struct exporter *exporter)
{
    struct exporter_slot *slot = slot_at(exporter, exporter->count);

    assert(slot->state == SLOT_EMPTY);
    struct status status = exporter->ops->load(exporter->context, exporter->cursor, &slot->bundle);
    if (failed(status)) {
        back_off(exporter, 0, status.message);
        return false;
    }
    if (slot->bundle.entity_count == 0) {
        return false;
    }
    become(slot, SLOT_READY);
    exporter->cursor = slot->bundle.to;
    exporter->count++;
    if (bundle_settled(&slot->bundle)) {
        become(slot, SLOT_SETTLED);
        return true;
    }
    return send_slot(exporter, slot);
}

static void load_pending(struct exporter *exporter, const struct exporter_gate *gate)
{
    bool more = true;

    while (more && exporter->count < EXPORTER_WINDOW && gate->last_sequence > exporter->cursor) {
        bool full = gate->last_sequence - exporter->cursor >= BUNDLE_ENTITIES_MAX;
        uint64_t now_ms = monotonic_ms(exporter);
        if (!full && now_ms < exporter->partial_at_ms + EXPORTER_LINGER_MS) {
            return; /* More may come meanwhile: wake_later() sees to it. */
        }
        if (!full) {
            exporter->partial_at_ms = now_ms;
        }
        more = load(exporter);
    }
}

static void wake_later(struct exporter *exporter, const struct exporter_gate *gate)
{
    uint64_t now_ms = monotonic_ms(exporter);
    uint64_t delay_ms = 0;

    if (exporter->count > 0 && slot_at(exporter, 0)->state == SLOT_SETTLED) {
        delay_ms = PROPOSE_DELAY_MS;
    } else if (gate->hold == EXPORTER_HOLD_CLOUD) {
        uint64_t wall_ms = exporter->ops->now_ms(exporter->context);
        delay_ms = gate->until_ms > wall_ms ? gate->until_ms - wall_ms : 1;
    } else if (gate->hold == EXPORTER_HOLD_NONE && now_ms < exporter->not_before_ms) {
        delay_ms = exporter->not_before_ms - now_ms;
    } else if (gate->hold == EXPORTER_HOLD_NONE && gate->last_sequence > exporter->cursor &&
               exporter->count < EXPORTER_WINDOW && !exporter->draining) {
        delay_ms = EXPORTER_LINGER_MS;
    }
    if (delay_ms > 0) {
        exporter->ops->start_timer(exporter->context, delay_ms);
    } else {
        exporter->ops->stop_timer(exporter->context);
    }
}

/* What we hold must begin at the mark; if it does not, another leader moved it. */
static void follow_mark(struct exporter *exporter, const struct exporter_gate *gate)
{
    const struct exporter_slot *oldest = slot_at(exporter, 0);

    if (exporter->count > 0 && oldest->state != SLOT_ADVANCING &&
        oldest->bundle.from != gate->mark) {
        abandon(exporter);
    }
    if (exporter->count == 0) {
        exporter->cursor = gate->mark;
    }
}

static void tell_if_drained(struct exporter *exporter)
{
    if (!exporter->draining) {
        return;
    }
    for (unsigned i = 0; i < exporter->count; i++) {
        enum slot_state state = slot_at(exporter, i)->state;
        if (state == SLOT_SENDING || state == SLOT_ADVANCING || (i == 0 && state == SLOT_SETTLED)) {
            return;
        }
    }
    exporter->draining = false;
    exporter->leading = false; /* Nothing begins any more, whatever is applied. */
    abandon(exporter);
    exporter->ops->stop_timer(exporter->context);
    exporter->ops->drained(exporter->context);
}

static void run(struct exporter *exporter)
{
    struct exporter_gate gate;

    if (!exporter->leading) {
        return;
    }
    struct status status = exporter->ops->gate(exporter->context, &gate);
    if (failed(status)) {
        note_error(exporter, status.message);
        exporter->ops->start_timer(exporter->context, EXPORTER_RETRY_MS_MIN);
        return;
    }
    exporter->hold = gate.hold;
    if (gate.account != exporter->account) {
        exporter->account = gate.account;
        exporter->not_before_ms = 0;
        exporter->failures = 0;
    }
    follow_mark(exporter, &gate);
    if (gate.hold == EXPORTER_HOLD_NONE && !exporter->draining &&
        monotonic_ms(exporter) >= exporter->not_before_ms) {
        send_ready(exporter);
        load_pending(exporter, &gate);
    }
    advance_oldest(exporter);
    wake_later(exporter, &gate);
    tell_if_drained(exporter);
}

/* ---- Events ---- */

void exporter_init(struct exporter *exporter, const struct exporter_ops *ops, void *context)
{
    *exporter = (struct exporter){
        .ops = ops,
        .context = context,
        .quota_remaining = UINT64_MAX,
    };
}

void exporter_release(struct exporter *exporter)
{
    assert(!exporter->leading && exporter->count == 0);
    for (unsigned i = 0; i < EXPORTER_WINDOW; i++) {
        buffer_release(&exporter->slots[i].request);
    }
}

void exporter_on_leader(struct exporter *exporter)
{
    if (exporter->leading) {
        return;
    }
    exporter->leading = true;
    exporter->draining = false;
    exporter->failures = 0;
    exporter->not_before_ms = 0;
    exporter->propose_at_ms = 0;
    exporter->bundles_sent = 0;
    exporter->last_error[0] = '\0';
    run(exporter);
}

void exporter_on_follower(struct exporter *exporter)
{
    bool draining = exporter->draining;

    exporter->leading = false;
    exporter->draining = false;
    exporter->ops->stop_timer(exporter->context);
    abandon(exporter);
    if (draining) {
        exporter->ops->drained(exporter->context);
    }
}

void exporter_on_change(struct exporter *exporter)
{
    run(exporter);
}

void exporter_on_timer(struct exporter *exporter)
{
    run(exporter);
}

static void on_progress(struct exporter *exporter, struct exporter_slot *slot,
                        enum bundle_progress progress, const char *reason)
{
    move_on(slot);
    switch (progress) {
    case BUNDLE_GOES_ON: exporter->failures = 0; break;
    case BUNDLE_UNANSWERED:
        back_off(exporter, 0, "the cloud did not say what became of all records of a bundle");
        break;
    case BUNDLE_UNREADABLE:
        back_off(exporter, 0, "the cloud's answer to a bundle was not readable");
        break;
    case BUNDLE_EXHAUSTED:
    case BUNDLE_SYSTEMATIC: hold_off(exporter, SYSTEMATIC_DELAY_MS, reason); break;
    }
}

static void on_limited(struct exporter *exporter, const struct ctia_answer *answer)
{
    unsigned delay_s = answer->retry_after_s > 0 ? answer->retry_after_s : HTTP_LIMITED_S;
    uint64_t delay_ms = (uint64_t)delay_s * 1000;

    hold_off(exporter, delay_ms, answer->reason);
    exporter->ops->cloud_paused(
        exporter->context, exporter->ops->now_ms(exporter->context) + delay_ms, answer->reason);
}

static void on_answer(struct exporter *exporter, struct exporter_slot *slot,
                      const struct ctia_answer *answer)
{
    struct bundle *bundle = &slot->bundle;

    if (answer->result == CTIA_TAKEN) {
        exporter->last_error[0] = '\0';
        on_progress(exporter, slot, bundle_on_taken(bundle, answer->body),
                    "the cloud refuses every record of a bundle");
        return;
    }
    if (answer->result == CTIA_REFUSED) {
        note_error(exporter, answer->reason);
        on_progress(exporter, slot, bundle_on_refused(bundle, answer->reason), answer->reason);
        return;
    }
    become(slot, SLOT_READY);
    switch (answer->result) {
    case CTIA_UNAUTHORIZED: hold_off(exporter, UNAUTHORIZED_DELAY_MS, answer->reason); break;
    case CTIA_CREDENTIALS:
        hold_off(exporter, UNAUTHORIZED_DELAY_MS, answer->reason);
        exporter->ops->credentials_refused(exporter->context, answer->reason);
        break;
    case CTIA_FORBIDDEN: hold_off(exporter, FORBIDDEN_DELAY_MS, answer->reason); break;
    case CTIA_MISROUTED: hold_off(exporter, MISROUTED_DELAY_MS, answer->reason); break;
    case CTIA_LIMITED: on_limited(exporter, answer); break;
    case CTIA_FAILED: back_off(exporter, answer->retry_after_s, answer->reason); break;
    case CTIA_TAKEN:
    case CTIA_REFUSED: break;
    }
}

void exporter_on_sent(struct exporter *exporter, unsigned slot, const struct ctia_answer *answer)
{
    assert(exporter->slots[slot].state == SLOT_SENDING);
    if (answer->quota_remaining != UINT64_MAX) {
        exporter->quota_remaining = answer->quota_remaining;
    }
    on_answer(exporter, &exporter->slots[slot], answer);
    run(exporter);
}

void exporter_on_advanced(struct exporter *exporter, bool moved)
{
    struct exporter_slot *slot = slot_at(exporter, 0);

    assert(exporter->count > 0 && slot->state == SLOT_ADVANCING);
    if (moved || !exporter->leading) {
        drop_oldest(exporter);
    } else {
        become(slot, SLOT_SETTLED);
        exporter->propose_at_ms = monotonic_ms(exporter) + PROPOSE_DELAY_MS;
    }
    run(exporter);
}

void exporter_drain(struct exporter *exporter)
{
    exporter->draining = true;
    if (!exporter->leading) {
        exporter->draining = false;
        exporter->ops->drained(exporter->context);
        return;
    }
    run(exporter);
}

const char *exporter_state(const struct exporter *exporter)
{
    static const char *const holds[EXPORTER_HOLD_COUNT] = {
        [EXPORTER_HOLD_NOT_REGISTERED] = "not registered",
        [EXPORTER_HOLD_DEVICE] = "the cloud does not take the registered device",
        [EXPORTER_HOLD_NO_CREDENTIALS] = "no credentials",
        [EXPORTER_HOLD_UNVERIFIED] = "credentials not verified yet",
        [EXPORTER_HOLD_CREDENTIALS] = "credentials refused by the cloud",
        [EXPORTER_HOLD_SCOPE] = "the credentials lack the scope private-intel:write",
        [EXPORTER_HOLD_PAUSED] = "paused",
        [EXPORTER_HOLD_CLOUD] = "waiting for the cloud's quota",
    };

    if (!exporter->leading) {
        return "not the leader";
    }
    if (exporter->hold != EXPORTER_HOLD_NONE) {
        return holds[exporter->hold];
    }
    if (monotonic_ms(exporter) < exporter->not_before_ms) {
        return "waiting to try again";
    }
    return exporter->count > 0 ? "sending" : "idle";
}
