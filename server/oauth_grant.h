/*
 * One question to the token endpoint: are these client credentials good, and for what?
 *
 *     POST /iroh/oauth2/token, Basic client_id:password, grant_type=client_credentials
 *
 * A 400 is final: an unknown client and a wrong password are both told so (and a client of another
 * region is an unknown one). Everything else may pass.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_OAUTH_GRANT_H
#define SERVER_OAUTH_GRANT_H

#include <jansson.h>

#include "base/secret.h"
#include "http_client.h"
#include "reason.h"
#include "region.h"

#define OAUTH_TOKEN_SIZE_MAX 8192 /* Bytes; 1 to 2 KB are seen. */
#define OAUTH_LIFETIME_S_MAX 3600

enum oauth_result {
    OAUTH_GRANTED,
    OAUTH_REFUSED, /* For good: these credentials, or this region, are wrong. */
    OAUTH_LIMITED, /* 429: the organisation's quota is used up. */
    OAUTH_FAILED,  /* Not reached, or not understood: ask again later. */
};

struct oauth_answer {
    enum oauth_result result;
    struct slice token;       /* Opaque; valid during the callback. */
    struct slice scopes;      /* As granted, separated by spaces; valid during the callback. */
    unsigned lifetime_s;      /* 1 to OAUTH_LIFETIME_S_MAX. */
    unsigned retry_after_s;   /* 0: not said. */
    uint64_t quota_remaining; /* UINT64_MAX: not said. */
    char reason[REASON_SIZE]; /* For an operator, unless granted. */
};

struct oauth_account {
    struct slice client_id;
    struct slice password;
    enum region region;
    const struct endpoints *endpoints; /* Of the region. Must outlive the grant. */
};

struct oauth_grant;
typedef void (*oauth_grant_done)(struct oauth_grant *grant, const struct oauth_answer *answer);

/* Allocated by the caller, zeroed, kept until `done` or oauth_grant_cancel(). */
struct oauth_grant {
    void *context; /* The caller's own. */

    /* Private. */
    struct http_call call;
    struct secret basic; /* The Authorization line. */
    enum region region;
    oauth_grant_done done;
    char url[REGION_URL_SIZE + 32];
};

/* Nothing of `account` but its endpoints is needed after the call. STATUS_INVALID (too long),
 * STATUS_NO_MEMORY: `done` never comes. */
MUST_USE struct status oauth_grant_start(struct oauth_grant *grant, struct http_client *http,
                                         const struct oauth_account *account,
                                         oauth_grant_done done);

/* `done` will not come. Nothing if none is under way. */
void oauth_grant_cancel(struct oauth_grant *grant);

/* What an answer of the token endpoint means; `value` is its body when it is JSON, and the texts in
 * `*out` are borrowed from it. For this file and its test. */
void oauth_answer_read(const struct http_response *response, const json_t *value,
                       enum region region, struct oauth_answer *out);

#endif
