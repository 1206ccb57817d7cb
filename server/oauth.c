/*
 * The access token, kept and renewed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "oauth.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define RENEW_AT_PERCENT 80U
#define RENEW_JITTER_PERCENT 5U /* Earlier by up to so much of the life. */

#define RENEW_RETRY_MS                                                                             \
    15000U /* After a renewal that failed; the present token serves on meanwhile. */

static const char bearer[] = "Authorization: Bearer ";

void oauth_init(struct oauth *oauth, const struct oauth_ops *ops, void *context)
{
    *oauth = (struct oauth){.ops = ops, .context = context};
}

void oauth_give_back(struct oauth_token *token)
{
    assert(token->users > 0);
    token->users--;
    if (token->users == 0) {
        secret_release(&token->line);
        free(token);
    }
}

static void forget(struct oauth *oauth)
{
    if (oauth->token != NULL) {
        oauth_give_back(oauth->token);
        oauth->token = NULL;
    }
}

static struct status ask(struct oauth *oauth)
{
    if (oauth->asking) {
        return OK;
    }
    struct status status = oauth->ops->ask(oauth->context);
    oauth->asking = !failed(status);
    return status;
}

struct oauth_token *oauth_take(struct oauth *oauth)
{
    uint64_t now_ms = oauth->ops->monotonic_ms(oauth->context);

    if (oauth->token != NULL && now_ms >= oauth->token->expires_at_ms) {
        forget(oauth);
    }
    if (oauth->token == NULL) {
        return NULL;
    }
    if (now_ms >= oauth->token->renew_at_ms) {
        /* A failure shows itself at the latest when the present one has ended. */
        struct status status = ask(oauth);
        (void)status;
    }
    oauth->token->users++;
    return oauth->token;
}

struct status oauth_wait(struct oauth *oauth, struct oauth_waiter *waiter, oauth_done done)
{
    struct status status = ask(oauth);

    if (failed(status)) {
        return status;
    }
    waiter->done = done;
    waiter->next = oauth->waiters;
    oauth->waiters = waiter;
    return OK;
}

static void unlink_waiter(struct oauth_waiter **head, const struct oauth_waiter *waiter)
{
    for (struct oauth_waiter **at = head; *at != NULL; at = &(*at)->next) {
        if (*at == waiter) {
            *at = waiter->next;
            return;
        }
    }
}

void oauth_leave(struct oauth *oauth, struct oauth_waiter *waiter)
{
    unlink_waiter(&oauth->waiters, waiter);
    unlink_waiter(&oauth->told, waiter);
}

void oauth_drop(struct oauth *oauth, const struct oauth_token *token)
{
    if (oauth->token == token) {
        forget(oauth);
    }
}

/* A waiter may, from within its answer, wait again or make another one leave: so those to be told
 * are a list of their own, taken from one by one. */
static void tell_waiters(struct oauth *oauth, const struct oauth_answer *answer)
{
    struct oauth_waiter **end = &oauth->told;

    while (*end != NULL) { /* A reset from within an answer comes here a second time. */
        end = &(*end)->next;
    }
    *end = oauth->waiters;
    oauth->waiters = NULL;
    while (oauth->told != NULL) {
        struct oauth_waiter *waiter = oauth->told;
        oauth->told = waiter->next;
        waiter->done(waiter, answer);
    }
}

void oauth_reset(struct oauth *oauth)
{
    static const struct oauth_answer answer = {
        .result = OAUTH_FAILED,
        .quota_remaining = UINT64_MAX,
        .reason = "the credentials were changed",
    };

    if (oauth->asking) {
        oauth->ops->cancel(oauth->context);
        oauth->asking = false;
    }
    forget(oauth);
    tell_waiters(oauth, &answer);
}

static struct status keep(struct oauth *oauth, const struct oauth_answer *answer)
{
    uint64_t lifetime_ms = (uint64_t)answer->lifetime_s * 1000;
    uint64_t now_ms = oauth->ops->monotonic_ms(oauth->context);
    uint64_t jitter_ms = lifetime_ms * RENEW_JITTER_PERCENT / 100;
    struct oauth_token *token = alloc_zeroed(1, sizeof *token);

    if (token == NULL) {
        return fail(STATUS_NO_MEMORY, "keep a token");
    }
    struct status status = secret_reserve(&token->line, sizeof bearer + answer->token.size);
    if (failed(status)) {
        free(token);
        return status;
    }
    char *line = token->line.pages;
    memcpy(line, bearer, sizeof bearer - 1);
    memcpy(line + sizeof bearer - 1, answer->token.data, answer->token.size);
    token->users = 1;
    token->expires_at_ms = now_ms + lifetime_ms;
    token->renew_at_ms = now_ms + lifetime_ms * RENEW_AT_PERCENT / 100 -
                         oauth->ops->random(oauth->context) % (jitter_ms + 1);
    forget(oauth);
    oauth->token = token;
    return OK;
}

/* Each use of the present token would ask again. What will not pass is not asked for with it any more. */
static void put_renewal_off(struct oauth *oauth, const struct oauth_answer *answer)
{
    struct oauth_token *token = oauth->token;
    uint64_t now_ms = oauth->ops->monotonic_ms(oauth->context);
    uint64_t delay_ms = (uint64_t)answer->retry_after_s * 1000;
    if (token == NULL) {
        return;
    }
    token->renew_at_ms = answer->result == OAUTH_FAILED
                             ? now_ms + (delay_ms > RENEW_RETRY_MS ? delay_ms : RENEW_RETRY_MS)
                             : token->expires_at_ms;
}

bool oauth_is_waited_for(const struct oauth *oauth)
{
    return oauth->waiters != NULL;
}

void oauth_on_answer(struct oauth *oauth, const struct oauth_answer *answer)
{
    struct oauth_answer told = *answer;

    oauth->asking = false;
    if (answer->result == OAUTH_GRANTED) {
        struct status status = keep(oauth, answer);
        if (failed(status)) {
            told.result = OAUTH_FAILED;
            reason_say(told.reason, "%s", status.message);
        }
    }
    if (told.result != OAUTH_GRANTED) {
        put_renewal_off(oauth, &told);
    }
    tell_waiters(oauth, &told);
}
