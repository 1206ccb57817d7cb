/*
 * One question to the token endpoint.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "oauth_grant.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "json_read.h"
#include "store/command.h"

#define TOKEN_PATH "/iroh/oauth2/token"
#define TOKEN_TIMEOUT_MS 15000
#define LIFETIME_DEFAULT_S 600   /* What the service gives; assumed when the answer does not say. */
#define CREDENTIAL_SIZE_MAX 4096 /* Bytes of id and password each. */

/* "Authorization: Basic base64(id:password)", written in memory that is locked and wiped. */
static struct status make_basic(const struct oauth_account *account, struct secret *out)
{
    static const char prefix[] = "Authorization: Basic ";
    size_t plain_size = account->client_id.size + 1 + account->password.size;
    struct secret plain = {0};

    if (account->client_id.size > CREDENTIAL_SIZE_MAX ||
        account->password.size > CREDENTIAL_SIZE_MAX) {
        return fail(STATUS_INVALID, "client id or password longer than %d bytes",
                    CREDENTIAL_SIZE_MAX);
    }
    struct status status = secret_reserve(&plain, plain_size);
    if (failed(status)) {
        return status;
    }
    status = secret_reserve(out, sizeof prefix + (plain_size + 2) / 3 * 4);
    if (failed(status)) {
        secret_release(&plain);
        return status;
    }
    uint8_t *bytes = plain.pages;
    memcpy(bytes, account->client_id.data, account->client_id.size);
    bytes[account->client_id.size] = ':';
    if (account->password.size > 0) {
        memcpy(bytes + account->client_id.size + 1, account->password.data, account->password.size);
    }
    uint8_t *line = out->pages;
    memcpy(line, prefix, sizeof prefix - 1);
    (void)EVP_EncodeBlock(line + sizeof prefix - 1, bytes, (int)plain_size);
    secret_release(&plain);
    return OK;
}

static void refuse(struct slice body, enum region region, struct oauth_answer *out)
{
    json_t *value = json_read(body);
    struct slice error = json_text(value, "error");

    out->result = OAUTH_REFUSED;
    if (slice_equal(error, slice_of("invalid_client"))) {
        reason_say(out->reason,
                   "the cloud does not know this client id in region %s: check the id, and "
                   "that the API client was created in that region",
                   region_name(region));
    } else if (slice_equal(error, slice_of("wrong_client_creds"))) {
        reason_say(out->reason,
                   "wrong client password (region %s): add the credentials again with the "
                   "password shown when the API client was created",
                   region_name(region));
    } else {
        char text[JSON_ERROR_SIZE];
        json_error_text(body, text);
        reason_say(out->reason,
                   "the token was refused in region %s: %s; check client id, password "
                   "and region",
                   region_name(region), text);
    }
    json_decref(value);
}

/* Visible characters only (RFC 6750, 2.1, allows less): it is put into a header line. */
static bool is_token(struct slice text)
{
    const unsigned char *bytes = text.data;

    for (size_t i = 0; i < text.size; i++) {
        if (bytes[i] <= ' ' || bytes[i] > '~') {
            return false;
        }
    }
    return text.size > 0 && text.size <= OAUTH_TOKEN_SIZE_MAX;
}

static void grant(const json_t *value, struct oauth_answer *out)
{
    out->token = json_text(value, "access_token");
    out->scopes = json_text(value, "scope");
    uint64_t lifetime_s = json_number(value, "expires_in", LIFETIME_DEFAULT_S);

    if (!is_token(out->token) || lifetime_s == 0) {
        out->result = OAUTH_FAILED;
        reason_say(out->reason, "the token endpoint gave an answer without a token");
        return;
    }
    if (out->scopes.size > STORE_SCOPES_SIZE_MAX) {
        out->result = OAUTH_FAILED;
        reason_say(out->reason, "the token endpoint gave more than %d bytes of scopes",
                   STORE_SCOPES_SIZE_MAX);
        return;
    }
    out->result = OAUTH_GRANTED;
    out->lifetime_s =
        lifetime_s < OAUTH_LIFETIME_S_MAX ? (unsigned)lifetime_s : OAUTH_LIFETIME_S_MAX;
}

void oauth_answer_read(const struct http_response *response, const json_t *value,
                       enum region region, struct oauth_answer *out)
{
    *out = (struct oauth_answer){
        .result = OAUTH_FAILED,
        .retry_after_s = response->retry_after_s,
        .quota_remaining = response->quota_remaining,
    };
    if (failed(response->status)) {
        reason_say(out->reason, "token endpoint: %s", response->status.message);
    } else if (response->code == 200) {
        grant(value, out);
    } else if (response->code == 400 || response->code == 401) {
        refuse(response->body, region, out);
    } else if (response->code == 429) {
        out->result = OAUTH_LIMITED;
        reason_say(out->reason, "the organisation's quota of API calls is used up");
    } else {
        reason_say(out->reason, "token endpoint: HTTP status %u", response->code);
    }
}

static void read_and_tell(struct oauth_grant *grant, const struct http_response *response)
{
    json_t *value = response->code == 200 ? json_read(response->body) : NULL;
    struct oauth_answer answer;

    oauth_answer_read(response, value, grant->region, &answer);
    grant->done(grant, &answer);

    /* The body is wiped by the HTTP client; this is the parsed copy. */
    struct slice token = json_text(value, "access_token");
    if (token.size > 0) {
        secret_wipe((void *)(uintptr_t)token.data, token.size);
    }
    json_decref(value);
}

static void on_answer(struct http_call *call, const struct http_response *response)
{
    struct oauth_grant *grant = call->context;

    secret_release(&grant->basic);
    read_and_tell(grant, response);
}

struct status oauth_grant_start(struct oauth_grant *grant, struct http_client *http,
                                const struct oauth_account *account, oauth_grant_done done)
{
    struct status status = make_basic(account, &grant->basic);
    if (failed(status)) {
        return status;
    }
    grant->done = done;
    grant->region = account->region;
    (void)snprintf(grant->url, sizeof grant->url, "%s" TOKEN_PATH,
                   region_url(account->region, FAMILY_VISIBILITY, account->endpoints));
    grant->call = (struct http_call){
        .method = "POST",
        .url = grant->url,
        .headers = {grant->basic.pages, "Content-Type: application/x-www-form-urlencoded",
                    "Accept: application/json"},
        .body = slice_of("grant_type=client_credentials"),
        .timeout_ms = TOKEN_TIMEOUT_MS,
        .response_size_max = 4UL * OAUTH_TOKEN_SIZE_MAX,
        .ca_pem = account->endpoints != NULL ? account->endpoints->ca_pem : (struct slice){0},
        .context = grant,
    };
    status = http_start(http, &grant->call, on_answer);
    if (failed(status)) {
        secret_release(&grant->basic);
    }
    return status;
}

void oauth_grant_cancel(struct oauth_grant *grant)
{
    http_cancel(&grant->call);
    secret_release(&grant->basic);
}
