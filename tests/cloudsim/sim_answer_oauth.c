/*
 * Handlers of the visibility family: tokens and who they are for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/secret.h"
#include "sim_json.h"
#include "sim_route.h"

#define CREDENTIALS_SIZE 1024

/* "Basic base64(id:password)"; splits in place. */
static bool read_basic(struct slice authorization, char out[CREDENTIALS_SIZE],
                       const char **password)
{
    const char *text = authorization.data;
    if (authorization.size < 7 || strncasecmp(text, "Basic ", 6) != 0) {
        return false;
    }
    size_t size = authorization.size - 6;
    if (size % 4 != 0 || size / 4 * 3 >= CREDENTIALS_SIZE) {
        return false;
    }
    int decoded = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text + 6, (int)size);
    if (decoded < 0) {
        return false;
    }
    out[decoded] = '\0'; /* Padding decodes to zero bytes. */
    char *colon = strchr(out, ':');
    if (colon == NULL) {
        return false;
    }
    *colon = '\0';
    *password = colon + 1;
    return true;
}

static bool is_form(const struct sim_http *http)
{
    static const char form[] = "application/x-www-form-urlencoded";
    struct slice type = sim_http_header(http, "content-type");
    return type.size >= sizeof form - 1 && strncasecmp(type.data, form, sizeof form - 1) == 0;
}

static void grant(struct sim *sim, const struct sim_client *client, struct sim_reply *reply)
{
    struct buffer token = {0};
    if (failed(sim_oauth_issue(&sim->oauth, client, sim_now_ms(sim), &token))) {
        buffer_release(&token);
        sim_reply_internal(reply, SIM_VISIBILITY, 500);
        return;
    }
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body, "{\"access_token\":");
    sim_json_slice(body, buffer_slice(&token));
    sim_print(body, ",\"token_type\":\"bearer\"");
    if (!sim->oauth.omit_lifetime) {
        sim_print(body, ",\"expires_in\":%" PRIu64, sim->oauth.lifetime_s);
    }
    sim_print(body, ",\"scope\":");
    sim_json_text(body, client->scopes);
    sim_print(body, "}");
    buffer_release(&token);
}

/* An unknown client and a client of another region look the same (INFERRED): each region has its
 * own clients. */
static void check_client(struct sim *sim, struct sim_request *request, const char *id,
                         const char *password, struct sim_reply *reply)
{
    const struct sim_client *client = sim_oauth_client(&sim->oauth, id);
    char digest[SIM_DIGEST_TEXT_SIZE];
    sim_digest(slice_of(password), digest);
    (void)snprintf(request->record.credential, sizeof request->record.credential, "%s", digest);
    (void)snprintf(request->record.client, sizeof request->record.client, "%.100s", id);
    if (client == NULL || client->region != request->region) {
        sim_reply_denied(reply, SIM_VISIBILITY, 400, "invalid_client",
                         "The client is unknown in this region");
        return;
    }
    uint64_t retry_after_s;
    if (!sim_quota_take(sim_quota_of(sim, client->org), sim_now_ms(sim), &retry_after_s)) {
        sim_reply_rate_limit(reply, SIM_VISIBILITY, "seconds", retry_after_s);
        return;
    }
    if (strcmp(client->password_digest, digest) != 0) {
        sim_reply_denied(reply, SIM_VISIBILITY, 400, "wrong_client_creds",
                         "The client's password is wrong");
        return;
    }
    grant(sim, client, reply);
}

void sim_answer_token(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    const struct sim_http *http = request->http;
    char credentials[CREDENTIALS_SIZE];
    char kind[64];
    const char *password;
    if (!is_form(http) || !sim_http_parameter(http->body, "grant_type", kind, sizeof kind)) {
        sim_reply_denied(reply, SIM_VISIBILITY, 400, "invalid_request",
                         "A form with grant_type is needed");
        return;
    }
    if (strcmp(kind, "client_credentials") != 0) {
        sim_reply_denied(reply, SIM_VISIBILITY, 400, "unsupported_grant_type",
                         "Only client_credentials is served");
        return;
    }
    if (!read_basic(sim_http_header(http, "authorization"), credentials, &password)) {
        sim_reply_denied(reply, SIM_VISIBILITY, 400, "invalid_request",
                         "Basic authentication is needed");
        return;
    }
    check_client(sim, request, credentials, password, reply);
    secret_wipe(credentials, sizeof credentials);
}

void sim_answer_whoami(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)sim;
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body, "{\"user-id\":\"user1\",\"org-id\":");
    sim_json_text(body, request->token->org);
    sim_print(body, ",\"client-id\":");
    sim_json_text(body, request->token->client_id);
    sim_print(body, ",\"scope\":");
    sim_json_text(body, request->token->scopes);
    sim_print(body, "}");
}

void sim_answer_jwks(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)request;
    struct buffer *body = sim_reply_begin(reply, 200);
    if (failed(sim_oauth_jwks(&sim->oauth, body))) {
        sim_reply_internal(reply, SIM_VISIBILITY, 500);
    }
}

/* "client_credential" in the singular is what the real metadata says, though the token endpoint
 * wants the plural (KNOWN). */
void sim_answer_metadata(struct sim *sim, struct sim_request *request, struct sim_reply *reply)
{
    (void)sim;
    const char *host = sim_family_host(SIM_VISIBILITY, request->region);
    struct buffer *body = sim_reply_begin(reply, 200);
    sim_print(body,
              "{\"issuer\":\"IROH Auth\",\"token_endpoint\":\"https://%s/iroh/oauth2/token\","
              "\"jwks_uri\":\"https://%s/.well-known/jwks\","
              "\"grant_types_supported\":[\"authorization_code\",\"client_credential\"],"
              "\"scopes_supported\":[\"casebook\",\"enrich\",\"global-intel\",\"inspect\","
              "\"integration\",\"private-intel\",\"response\",\"sse\"]}",
              host, host);
}
