/*
 * API clients and access tokens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_OAUTH_H
#define SIM_OAUTH_H

#include <openssl/evp.h>

#include "base/slice.h"
#include "sim_family.h"
#include "sim_map.h"
#include "sim_pki.h"
#include "sim_reply.h"

#define SIM_CLIENTS_MAX 1000
#define SIM_NAME_SIZE 128 /* Client ids and organisations, the zero included. */
#define SIM_SCOPES_SIZE 1024
#define SIM_TOKEN_LIFETIME_S 600 /* KNOWN. */

struct sim_client {
    char id[SIM_NAME_SIZE];
    char password_digest[SIM_DIGEST_TEXT_SIZE];
    char org[SIM_NAME_SIZE];
    char scopes[SIM_SCOPES_SIZE];
    enum sim_region region;
};

enum sim_token_state { SIM_TOKEN_GOOD, SIM_TOKEN_REVOKED, SIM_TOKEN_BAD_SIGNATURE };

struct sim_token {
    char digest[SIM_DIGEST_TEXT_SIZE];
    char jti[SIM_UUID_SIZE];
    char client_id[SIM_NAME_SIZE];
    char org[SIM_NAME_SIZE];
    char scopes[SIM_SCOPES_SIZE]; /* Granted. */
    enum sim_region region;
    uint64_t expires_ms;
    enum sim_token_state state;
};

struct sim_oauth {
    struct sim_client *clients;
    size_t client_count;
    struct sim_map tokens; /* By digest; owns the tokens. */
    EVP_PKEY *key;         /* RSA: the tokens are RS256, as the real ones. */
    uint64_t lifetime_s;
    bool omit_lifetime;
};

MUST_USE struct status sim_oauth_init(struct sim_oauth *oauth);
void sim_oauth_release(struct sim_oauth *oauth);

/* Add a client or replace the one of the same id. STATUS_FULL at SIM_CLIENTS_MAX. */
MUST_USE struct status sim_oauth_put(struct sim_oauth *oauth, const struct sim_client *client);

const struct sim_client *sim_oauth_client(const struct sim_oauth *oauth, const char *id);

/* Issue a token for a client: its text is appended to `out`. */
MUST_USE struct status sim_oauth_issue(struct sim_oauth *oauth, const struct sim_client *client,
                                       uint64_t now_ms, struct buffer *out);

/* The token of an Authorization header; NULL if there is no such bearer. */
struct sim_token *sim_oauth_find(const struct sim_oauth *oauth, struct slice authorization);

/* Spoil tokens: all, or those of one client. */
void sim_oauth_revoke(struct sim_oauth *oauth, const char *client_id, enum sim_token_state state);

/* The public key as a JWK set (RFC 7517). */
MUST_USE struct status sim_oauth_jwks(const struct sim_oauth *oauth, struct buffer *out);

#endif
