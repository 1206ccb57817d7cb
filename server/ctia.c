/*
 * Bundle import: the request, its token, the meaning of the answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctia.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "json_read.h"
#include "sighting.h"

#define IMPORT_PATH "/ctia/bundle/import?external-key-prefixes=" SIGHTING_PREFIX
#define IMPORT_TIMEOUT_MS 60000
#define IMPORT_RESPONSE_SIZE_MAX ((size_t)8 << 20) /* 2,000 results of some 300 bytes, and room. */

#define TO(state) (1U << (state))

static const unsigned ctia_moves[CTIA_STATE_COUNT] = {
    [CTIA_IDLE] = TO(CTIA_WAITING) | TO(CTIA_SENDING),
    [CTIA_WAITING] = TO(CTIA_SENDING) | TO(CTIA_IDLE),
    [CTIA_SENDING] = TO(CTIA_WAITING) | TO(CTIA_IDLE),
};

#undef TO

static void become(struct ctia_import *import, enum ctia_state next)
{
    assert((ctia_moves[import->state] & 1U << next) != 0);
    import->state = next;
}

/* ---- What an answer means ---- */

static void explain(struct ctia_answer *out, enum ctia_result result, const char *words,
                    const char *detail)
{
    out->result = result;
    reason_say(out->reason, "%s%s%s", words, detail[0] != '\0' ? ": " : "", detail);
}

static void read_code(const struct http_response *response, const char *url,
                      struct ctia_answer *out)
{
    char detail[JSON_ERROR_SIZE];
    char words[64];

    json_error_text(response->body, detail);
    switch (response->code) {
    case 200:
    case 201:
        out->result = CTIA_TAKEN;
        out->body = response->body;
        break;
    case 400:
    case 413:
    case 422:
        (void)snprintf(words, sizeof words, "the cloud refused it (%u)", response->code);
        explain(out, CTIA_REFUSED, words, detail);
        break;
    case 401: explain(out, CTIA_UNAUTHORIZED, "the cloud does not take the token", detail); break;
    case 403:
        explain(out, CTIA_FORBIDDEN,
                "the API client may not import: give it the scope private-intel", detail);
        break;
    case 404:
        explain(out, CTIA_MISROUTED, "no bundle import at this URL: check the endpoints", url);
        break;
    case 429:
        explain(out, CTIA_LIMITED, "the organisation's quota of API calls is used up", "");
        break;
    default:
        (void)snprintf(words, sizeof words, "private intelligence: HTTP status %u", response->code);
        explain(out, CTIA_FAILED, words, detail);
        break;
    }
}

void ctia_answer_read(const struct http_response *response, const char *url,
                      struct ctia_answer *out)
{
    *out = (struct ctia_answer){
        .result = CTIA_FAILED,
        .retry_after_s = response->retry_after_s,
        .quota_remaining = response->quota_remaining,
        .quota_limit = response->quota_limit == UINT64_MAX ? 0 : response->quota_limit,
    };
    if (failed(response->status)) {
        explain(out, CTIA_FAILED, "private intelligence", response->status.message);
        return;
    }
    read_code(response, url, out);
}

static void answer_of_token(const struct oauth_answer *token, struct ctia_answer *out)
{
    *out = (struct ctia_answer){
        .result = CTIA_FAILED,
        .retry_after_s = token->retry_after_s,
        .quota_remaining = token->quota_remaining,
    };
    if (token->result == OAUTH_REFUSED) {
        out->result = CTIA_CREDENTIALS;
    } else if (token->result == OAUTH_LIMITED) {
        out->result = CTIA_LIMITED;
    }
    reason_say(out->reason, "%s", token->reason);
}

/* ---- The request ---- */

static struct status send_with_token(struct ctia_import *import);
static struct status wait_for_token(struct ctia_import *import);

static void release_token(struct ctia_import *import)
{
    if (import->token != NULL) {
        oauth_give_back(import->token);
        import->token = NULL;
    }
}

static void end(struct ctia_import *import, const struct ctia_answer *answer)
{
    become(import, CTIA_IDLE);
    release_token(import);
    import->done(import, answer); /* May start the import again. */
}

/* From within an event: what could not be started is an answer that may pass. */
static void end_unless_started(struct ctia_import *import, struct status status)
{
    struct ctia_answer answer = {.result = CTIA_FAILED, .quota_remaining = UINT64_MAX};

    if (failed(status)) {
        reason_say(answer.reason, "%s", status.message);
        end(import, &answer);
    }
}

static void on_token(struct oauth_waiter *waiter, const struct oauth_answer *token)
{
    struct ctia_import *import = waiter->context;
    struct ctia_answer answer;

    assert(import->state == CTIA_WAITING);
    if (token->result != OAUTH_GRANTED) {
        answer_of_token(token, &answer);
        end(import, &answer);
        return;
    }
    end_unless_started(import, send_with_token(import));
}

static void on_response(struct http_call *call, const struct http_response *response)
{
    struct ctia_import *import = call->context;
    struct ctia_answer answer;

    assert(import->state == CTIA_SENDING);
    ctia_answer_read(response, import->url, &answer);
    if (answer.result == CTIA_UNAUTHORIZED && !import->again) {
        import->again = true;
        oauth_drop(import->oauth, import->token);
        release_token(import);
        end_unless_started(import, wait_for_token(import));
        return;
    }
    end(import, &answer);
}

static struct status wait_for_token(struct ctia_import *import)
{
    import->waiter.context = import;
    become(import, CTIA_WAITING);
    return oauth_wait(import->oauth, &import->waiter, on_token);
}

/* Moves to SENDING, or fails with nothing under way. */
static struct status send_with_token(struct ctia_import *import)
{
    import->token = oauth_take(import->oauth);
    if (import->token == NULL) {
        return fail(STATUS_BUSY, "the token ended before it could be used");
    }
    import->call = (struct http_call){
        .method = "POST",
        .url = import->url,
        .headers = {import->token->line.pages, "Content-Type: application/json",
                    "Accept: application/json"},
        .body = import->body,
        .timeout_ms = IMPORT_TIMEOUT_MS,
        .response_size_max = IMPORT_RESPONSE_SIZE_MAX,
        .ca_pem = import->ca_pem,
        .context = import,
    };
    become(import, CTIA_SENDING);
    return http_start(import->http, &import->call, on_response);
}

struct status ctia_start(struct ctia_import *import, const struct ctia_target *target,
                         struct slice body, ctia_done done)
{
    assert(import->state == CTIA_IDLE);
    import->http = target->http;
    import->oauth = target->oauth;
    import->ca_pem = target->endpoints != NULL ? target->endpoints->ca_pem : (struct slice){0};
    import->body = body;
    import->done = done;
    import->again = false;
    (void)snprintf(import->url, sizeof import->url, "%s" IMPORT_PATH,
                   region_url(target->region, FAMILY_PRIVATE_INTEL, target->endpoints));

    struct oauth_token *token = oauth_take(import->oauth);
    struct status status;
    if (token != NULL) {
        oauth_give_back(token); /* Taken for good in a moment. */
        status = send_with_token(import);
    } else {
        status = wait_for_token(import);
    }
    if (failed(status)) {
        release_token(import);
        if (import->state != CTIA_IDLE) {
            become(import, CTIA_IDLE);
        }
    }
    return status;
}

void ctia_cancel(struct ctia_import *import)
{
    if (import->state == CTIA_IDLE) {
        return;
    }
    if (import->state == CTIA_WAITING) {
        oauth_leave(import->oauth, &import->waiter);
    } else {
        http_cancel(&import->call);
    }
    release_token(import);
    become(import, CTIA_IDLE);
}
