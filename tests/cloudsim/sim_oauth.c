/*
 * Clients and tokens. A token is a JWT (RFC 7519) with the claims that the public server source
 * names; it is recognised by its digest, so its text is kept nowhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_oauth.h"

#include <inttypes.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "sim_json.h"

#define RSA_BITS 2048
#define KEY_ID "cloudsim-1"

struct status sim_oauth_init(struct sim_oauth *oauth)
{
    *oauth = (struct sim_oauth){.lifetime_s = SIM_TOKEN_LIFETIME_S};
    oauth->clients = sim_alloc(SIM_CLIENTS_MAX * sizeof oauth->clients[0]);
    oauth->key = EVP_RSA_gen(RSA_BITS);
    return oauth->key == NULL ? fail(STATUS_IO, "make the token key: OpenSSL refused") : OK;
}

void sim_oauth_release(struct sim_oauth *oauth)
{
    for (size_t i = 0; i < oauth->tokens.capacity; i++) {
        free(oauth->tokens.slots[i].value);
    }
    sim_map_release(&oauth->tokens);
    free(oauth->clients);
    EVP_PKEY_free(oauth->key);
    *oauth = (struct sim_oauth){0};
}

static struct sim_client *client_find(const struct sim_oauth *oauth, const char *id)
{
    for (size_t i = 0; i < oauth->client_count; i++) {
        if (strcmp(oauth->clients[i].id, id) == 0) {
            return &oauth->clients[i];
        }
    }
    return NULL;
}

const struct sim_client *sim_oauth_client(const struct sim_oauth *oauth, const char *id)
{
    return client_find(oauth, id);
}

struct status sim_oauth_put(struct sim_oauth *oauth, const struct sim_client *client)
{
    struct sim_client *slot = client_find(oauth, client->id);
    if (slot == NULL) {
        if (oauth->client_count == SIM_CLIENTS_MAX) {
            return fail(STATUS_FULL, "more than %d clients", SIM_CLIENTS_MAX);
        }
        slot = &oauth->clients[oauth->client_count++];
    }
    *slot = *client;
    return OK;
}

static struct status sign(EVP_PKEY *key, struct buffer *text)
{
    unsigned char signature[RSA_BITS / 8];
    size_t size = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done =
        context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, signature, &size, (const unsigned char *)text->data, text->size) ==
            1;
    EVP_MD_CTX_free(context);
    if (!done) {
        return fail(STATUS_IO, "sign a token: OpenSSL refused");
    }
    sim_need(buffer_append(text, ".", 1));
    sim_need(base64url_encode((struct slice){.data = signature, .size = size}, text));
    return OK;
}

static void write_scopes(const char *scopes, struct buffer *out)
{
    const char *separator = "";
    while (*scopes != '\0') {
        size_t size = strcspn(scopes, " ");
        sim_print(out, "%s", separator);
        sim_json_slice(out, (struct slice){.data = scopes, .size = size});
        separator = ",";
        scopes += size + strspn(scopes + size, " ");
    }
}

#define CLAIM "https://schemas.cisco.com/iroh/identity/claims/"

static void write_claims(const struct sim_oauth *oauth, const struct sim_client *client,
                         const char *jti, uint64_t now_ms, struct buffer *out)
{
    uint64_t now_s = now_ms / 1000;
    sim_print(out, "{\"iss\":\"IROH Auth\",\"sub\":");
    sim_json_text(out, client->id);
    sim_print(out,
              ",\"jti\":\"%s\",\"iat\":%" PRIu64 ",\"nbf\":%" PRIu64 ",\"exp\":%" PRIu64
              ",\"email\":\"operator@example.com\",\"" CLAIM "version\":\"1\",\"" CLAIM
              "oauth/kind\":\"client-credentials\",\"" CLAIM "user/nick\":\"operator\",\"" CLAIM
              "user/idp/id\":\"idb-simulated\",\"" CLAIM "roles\":[\"admin\"],\"" CLAIM
              "user/id\":\"user1\",\"" CLAIM "oauth/client/id\":",
              jti, now_s, now_s - 60, now_s + oauth->lifetime_s);
    sim_json_text(out, client->id);
    sim_print(out, ",\"" CLAIM "org/id\":");
    sim_json_text(out, client->org);
    sim_print(out, ",\"" CLAIM "org/name\":");
    sim_json_text(out, client->org);
    sim_print(out, ",\"" CLAIM "scopes\":[");
    write_scopes(client->scopes, out);
    sim_print(out, "]}");
}

struct status sim_oauth_issue(struct sim_oauth *oauth, const struct sim_client *client,
                              uint64_t now_ms, struct buffer *out)
{
    struct sim_token *token = sim_alloc(sizeof *token);
    token->region = client->region;
    token->expires_ms = now_ms + oauth->lifetime_s * 1000;
    memcpy(token->client_id, client->id, sizeof token->client_id);
    memcpy(token->org, client->org, sizeof token->org);
    memcpy(token->scopes, client->scopes, sizeof token->scopes);
    struct buffer claims = {0};
    write_claims(oauth, client, sim_uuid(token->jti), now_ms, &claims);
    struct buffer text = {0};
    struct slice head = slice_of("{\"alg\":\"RS256\",\"kid\":\"" KEY_ID "\",\"typ\":\"JWT\"}");
    sim_need(base64url_encode(head, &text) && buffer_append(&text, ".", 1) &&
             base64url_encode(buffer_slice(&claims), &text));
    buffer_release(&claims);
    struct status status = sign(oauth->key, &text);
    if (failed(status)) {
        buffer_release(&text);
        free(token);
        return status;
    }
    sim_digest(buffer_slice(&text), token->digest);
    sim_map_add(&oauth->tokens, slice_of(token->digest), token);
    sim_need(buffer_append(out, text.data, text.size));
    buffer_release(&text);
    return OK;
}

struct sim_token *sim_oauth_find(const struct sim_oauth *oauth, struct slice authorization)
{
    const char *text = authorization.data;
    if (authorization.size < 8 || strncasecmp(text, "Bearer ", 7) != 0) {
        return NULL;
    }
    char digest[SIM_DIGEST_TEXT_SIZE];
    sim_digest((struct slice){.data = text + 7, .size = authorization.size - 7}, digest);
    return sim_map_find(&oauth->tokens, slice_of(digest));
}

void sim_oauth_revoke(struct sim_oauth *oauth, const char *client_id, enum sim_token_state state)
{
    for (size_t i = 0; i < oauth->tokens.capacity; i++) {
        struct sim_token *token = oauth->tokens.slots[i].value;
        if (token != NULL && (client_id == NULL || strcmp(token->client_id, client_id) == 0)) {
            token->state = state;
        }
    }
}

static bool write_number(EVP_PKEY *key, const char *which, struct buffer *out)
{
    unsigned char bytes[RSA_BITS / 8];
    BIGNUM *number = NULL;
    if (EVP_PKEY_get_bn_param(key, which, &number) != 1) {
        return false;
    }
    int size = BN_bn2bin(number, bytes);
    BN_free(number);
    return base64url_encode((struct slice){.data = bytes, .size = (size_t)size}, out);
}

struct status sim_oauth_jwks(const struct sim_oauth *oauth, struct buffer *out)
{
    sim_print(out, "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"sig\",\"alg\":\"RS256\",\"kid\":\"" KEY_ID
                   "\",\"n\":\"");
    bool done = write_number(oauth->key, OSSL_PKEY_PARAM_RSA_N, out);
    sim_print(out, "\",\"e\":\"");
    done = done && write_number(oauth->key, OSSL_PKEY_PARAM_RSA_E, out);
    sim_print(out, "\"}]}");
    return done ? OK : fail(STATUS_IO, "write the token key: OpenSSL refused");
}
