/*
 * The verifier.
 *
 * Requests name credentials; when those are asked about, every request that names them is answered
 * by the same answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "verifier.h"

#include <assert.h>
#include <string.h>


#define TO(state) (1U << (state))

static const unsigned verifier_moves[VERIFIER_STATE_COUNT] = {
    [VERIFIER_IDLE] = TO(VERIFIER_ASKING) | TO(VERIFIER_PROPOSING),
    [VERIFIER_ASKING] = TO(VERIFIER_IDLE) | TO(VERIFIER_PROPOSING),
    [VERIFIER_PROPOSING] = TO(VERIFIER_IDLE),
};

#undef TO

static void become(struct verifier *verifier, enum verifier_state next)
{
    assert((verifier_moves[verifier->state] & 1U << next) != 0);
    verifier->state = next;
}

/* ---- Requests ---- */

/* Answer every request for these credentials (NULL: every request at all). Each is taken off before
 * it is told, so that it may ask again. */
static void tell(struct verifier *verifier, const char *name, struct status status)
{
    struct verifier_request told[VERIFIER_REQUESTS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < VERIFIER_REQUESTS_MAX; i++) {
        struct verifier_request *request = &verifier->requests[i];
        if (request->taken && (name == NULL || strcmp(request->name, name) == 0)) {
            told[count++] = *request;
            request->taken = false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        told[i].done(told[i].argument, status);
    }
}

static bool is_requested(const struct verifier *verifier, struct slice name)
{
    for (size_t i = 0; i < VERIFIER_REQUESTS_MAX; i++) {
        const struct verifier_request *request = &verifier->requests[i];
        if (request->taken && slice_equal(slice_of(request->name), name)) {
            return true;
        }
    }
    return false;
}

static const struct credential_view *find(const struct codec_list *credentials, struct slice name)
{
    const struct credential_view *items = credentials->items;

    for (size_t i = 0; i < credentials->count; i++) {
        if (name.size == 0 ? items[i].selected : slice_equal(items[i].name, name)) {
            return &items[i];
        }
    }
    return NULL;
}

/* ---- Asking ---- */

static void back_off(struct verifier *verifier, unsigned retry_after_s)
{
    uint64_t delay_ms = VERIFIER_RETRY_MS_MIN;

    verifier->failures++;
    for (unsigned i = 1; i < verifier->failures && delay_ms < VERIFIER_RETRY_MS_MAX; i++) {
        delay_ms *= 2;
    }
    if (delay_ms > VERIFIER_RETRY_MS_MAX) {
        delay_ms = VERIFIER_RETRY_MS_MAX;
    }
    delay_ms = delay_ms * 3 / 4 + verifier->ops->random(verifier->context) % (delay_ms / 2 + 1);
    if (delay_ms < (uint64_t)retry_after_s * 1000) {
        delay_ms = (uint64_t)retry_after_s * 1000;
    }
    verifier->due_ms = verifier->ops->monotonic_ms(verifier->context) + delay_ms;
}

/* It may pass: nothing is written down. */
static void fail_for_now(struct verifier *verifier, unsigned retry_after_s, struct status status)
{
    become(verifier, VERIFIER_IDLE);
    back_off(verifier, retry_after_s);
    tell(verifier, verifier->name, status);
}

static void propose(struct verifier *verifier, bool valid, struct slice scopes, struct slice error)
{
    struct command command = {
        .type = COMMAND_CREDENTIAL_VERIFIED,
        .body.credential_verified = {.name = slice_of(verifier->name),
                                     .generation = verifier->generation,
                                     .valid = valid,
                                     .scopes = scopes,
                                     .error = error},
    };

    become(verifier, VERIFIER_PROPOSING);
    struct status status = verifier->ops->propose(verifier->context, &command);
    if (failed(status)) {
        fail_for_now(verifier, 0, wrap(status, "write the verification down"));
    }
}

static void ask(struct verifier *verifier, const struct credential_view *credential)
{
    bool named = slice_to_text(credential->name, verifier->name, sizeof verifier->name);
    assert(named); /* The store holds names to this size. */

    verifier->generation = credential->generation;
    become(verifier, VERIFIER_ASKING);
    struct status status = verifier->ops->ask(verifier->context, credential);
    if (!failed(status)) {
        return;
    }
    if (status.code == STATUS_INVALID || status.code == STATUS_REFUSED ||
        status.code == STATUS_CORRUPT) {
        propose(verifier, false, (struct slice){0}, slice_of(status.message));
        return;
    }
    fail_for_now(verifier, 0, status);
}

static const struct credential_view *pick(struct verifier *verifier,
                                          const struct codec_list *credentials)
{
    const struct credential_view *items = credentials->items;
    bool due = verifier->ops->monotonic_ms(verifier->context) >= verifier->due_ms;

    for (size_t i = 0; i < credentials->count; i++) {
        if (is_requested(verifier, items[i].name)) {
            return &items[i];
        }
    }
    for (size_t i = 0; i < credentials->count && due; i++) {
        if (items[i].verified_at_ms == 0) {
            return &items[i];
        }
    }
    return NULL;
}

static bool any_unverified(const struct codec_list *credentials)
{
    const struct credential_view *items = credentials->items;

    for (size_t i = 0; i < credentials->count; i++) {
        if (items[i].verified_at_ms == 0) {
            return true;
        }
    }
    return false;
}

static void act(struct verifier *verifier, const struct codec_list *credentials)
{
    const struct credential_view *credential = pick(verifier, credentials);

    verifier->ops->stop_timer(verifier->context);
    if (credential != NULL) {
        ask(verifier, credential);
    }
    uint64_t now_ms = verifier->ops->monotonic_ms(verifier->context);
    if (verifier->state == VERIFIER_IDLE && any_unverified(credentials)) {
        verifier->ops->start_timer(verifier->context,
                                   verifier->due_ms > now_ms ? verifier->due_ms - now_ms : 1);
    }
}

static void run(struct verifier *verifier)
{
    struct arena arena = {0};
    struct codec_list credentials = {0};

    if (!verifier->leading || verifier->state != VERIFIER_IDLE) {
        return;
    }
    struct status status = verifier->ops->credentials(verifier->context, &arena, &credentials);
    if (failed(status)) {
        verifier->ops->start_timer(verifier->context, VERIFIER_RETRY_MS_MIN);
    } else {
        act(verifier, &credentials);
    }
    arena_release(&arena);
}

struct status verifier_request(struct verifier *verifier, struct slice name, verifier_done done,
                               void *argument)
{
    struct arena arena = {0};
    struct codec_list credentials = {0};
    struct verifier_request request = {.taken = true, .done = done, .argument = argument};
    size_t i = 0;

    if (!verifier->leading) {
        return fail(STATUS_NOT_LEADER, "only the leader verifies credentials");
    }
    struct status status = verifier->ops->credentials(verifier->context, &arena, &credentials);
    const struct credential_view *found = failed(status) ? NULL : find(&credentials, name);
    if (!failed(status) && found == NULL) {
        status =
            name.size == 0
                ? fail(STATUS_NOT_FOUND, "there is no API client\n`muster credentials add NAME "
                                         "--client-id ID` stores one.")
                : fail(STATUS_NOT_FOUND, "there is no API client of this name\n`muster "
                                         "credentials list` shows them.");
    }
    if (found != NULL && !slice_to_text(found->name, request.name, sizeof request.name)) {
        status = fail(STATUS_INVALID, "a name of credentials that is too long");
    }
    arena_release(&arena);
    while (i < VERIFIER_REQUESTS_MAX && verifier->requests[i].taken) {
        i++;
    }
    if (!failed(status) && i == VERIFIER_REQUESTS_MAX) {
        status = fail(STATUS_BUSY, "too many verifications are asked for at once");
    }
    if (!failed(status)) {
        verifier->requests[i] = request;
        verifier->ops->start_timer(verifier->context, 1); /* `done` never comes from within. */
    }
    return status;
}

/* ---- Events ---- */

void verifier_init(struct verifier *verifier, const struct verifier_ops *ops, void *context)
{
    *verifier = (struct verifier){.state = VERIFIER_IDLE, .ops = ops, .context = context};
}

void verifier_on_leader(struct verifier *verifier)
{
    if (verifier->leading) {
        return;
    }
    verifier->leading = true;
    verifier->failures = 0;
    verifier->due_ms = 0;
    run(verifier);
}

void verifier_on_follower(struct verifier *verifier)
{
    verifier->leading = false;
    verifier->ops->stop_timer(verifier->context);
    if (verifier->state == VERIFIER_ASKING) {
        verifier->ops->cancel(verifier->context);
        become(verifier, VERIFIER_IDLE);
    }
    tell(verifier, NULL, fail(STATUS_UNKNOWN, "this node is no longer the leader; ask again"));
}

void verifier_on_change(struct verifier *verifier)
{
    run(verifier);
}

void verifier_on_timer(struct verifier *verifier)
{
    run(verifier);
}

void verifier_on_answer(struct verifier *verifier, const struct oauth_answer *answer)
{
    unsigned delay_s = answer->retry_after_s > 0 ? answer->retry_after_s : HTTP_LIMITED_S;

    assert(verifier->state == VERIFIER_ASKING);
    switch (answer->result) {
    case OAUTH_GRANTED: propose(verifier, true, answer->scopes, (struct slice){0}); break;
    case OAUTH_REFUSED:
        propose(verifier, false, (struct slice){0}, slice_of(answer->reason));
        break;
    case OAUTH_LIMITED:
        verifier->ops->cloud_paused(verifier->context, delay_s, answer->reason);
        fail_for_now(verifier, delay_s, fail(STATUS_BUSY, "%s", answer->reason));
        break;
    case OAUTH_FAILED:
        fail_for_now(verifier, answer->retry_after_s,
                     fail(STATUS_UNREACHABLE, "%s", answer->reason));
        break;
    }
    run(verifier);
}

void verifier_on_proposed(struct verifier *verifier, bool applied)
{
    become(verifier, VERIFIER_IDLE);
    if (applied) {
        verifier->failures = 0;
        tell(verifier, verifier->name, OK);
    } else {
        back_off(verifier, 0);
        tell(verifier, verifier->name,
             fail(STATUS_UNKNOWN, "whether the verification was written down is not known; or the "
                                  "credentials were replaced meanwhile: ask again"));
    }
    run(verifier);
}
