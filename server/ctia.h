/*
 * Bundle import into the cloud's private intelligence store (CTIA): one request, its token
 * included, and what the answer means.
 *
 *              start, no token           token
 *     IDLE ───────────────────► WAITING ───────► SENDING ── answer ──► IDLE, `done`
 *       │      start, token        ▲                ▲ │
 *       └──────────────────────────┼────────────────┘ │ 401, the first
 *                                  └──────────────────┘
 *
 * Sending again what was taken is harmless: the cloud dedupes by external ids with our prefix and
 * answers `exists`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CTIA_H
#define SERVER_CTIA_H

#include "http_client.h"
#include "oauth.h"

enum ctia_result {
    CTIA_TAKEN,        /* 200: `body` says what became of each entity. */
    CTIA_REFUSED,      /* 400, 413, 422: this request, as a whole; the same one never succeeds. */
    CTIA_UNAUTHORIZED, /* 401, with a fresh token too. */
    CTIA_CREDENTIALS,  /* The token endpoint refuses the credentials for good. */
    CTIA_FORBIDDEN,    /* 403: a scope is missing. */
    CTIA_MISROUTED,    /* 404: no such service at this URL. */
    CTIA_LIMITED,      /* 429: the organisation's quota is used up. */
    CTIA_FAILED,       /* May pass: 5xx, not reached, no whole answer. */
};

struct ctia_answer {
    enum ctia_result result;
    struct slice body;        /* CTIA_TAKEN only; valid during the callback. */
    unsigned retry_after_s;   /* 0: not said. */
    uint64_t quota_remaining; /* UINT64_MAX: not said. */
    uint64_t quota_limit;     /* 0: not said. */
    char reason[REASON_SIZE]; /* For an operator, unless taken. */
};

enum ctia_state {
    CTIA_IDLE,
    CTIA_WAITING, /* For a token. */
    CTIA_SENDING,
    CTIA_STATE_COUNT,
};

struct ctia_import;
typedef void (*ctia_done)(struct ctia_import *import, const struct ctia_answer *answer);

/* Allocated by the caller, zeroed, kept until `done` or ctia_cancel(). */
struct ctia_import {
    void *context; /* The caller's own. */

    /* Private. */
    enum ctia_state state;
    bool again; /* A 401 was answered with a fresh token already. */
    struct oauth *oauth;
    struct oauth_waiter waiter;
    struct oauth_token *token;
    struct http_client *http;
    struct http_call call;
    struct slice body;
    struct slice ca_pem;
    ctia_done done;
    char url[REGION_URL_SIZE + 64];
};

struct ctia_target {
    struct http_client *http;
    struct oauth *oauth; /* Of credentials of the same region. */
    enum region region;
    const struct endpoints *endpoints;
};

/* `body` is borrowed until `done`. A failure to start is a status; `done` then never comes. */
MUST_USE struct status ctia_start(struct ctia_import *import, const struct ctia_target *target,
                                  struct slice body, ctia_done done);

/* `done` will not come. Nothing if none is under way. */
void ctia_cancel(struct ctia_import *import);

/* What a response means; for this file and its test. CTIA_UNAUTHORIZED for any 401. */
void ctia_answer_read(const struct http_response *response, const char *url,
                      struct ctia_answer *out);

#endif
