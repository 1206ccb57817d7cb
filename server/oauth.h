/*
 * The access token of the selected credentials: one at a time, asked for once however many wait
 * (single flight), renewed when 80 % of its life is over, dropped when the cloud does not take it.
 *
 *              ask                      granted
 *     EMPTY ─────────► ASKING ────────────────────────► HOLDING ──► (asked for anew at 80 %, while
 *       ▲                │ refused, limited, failed       │  ▲       the present one still serves)
 *       └────────────────┴──────── dropped, reset ────────┘  └── granted ── ASKING
 *
 * Whether a token is held and whether one is asked for are two facts; no third one is kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_OAUTH_H
#define SERVER_OAUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "oauth_grant.h"

/* A token as the header line that carries it, shared by those who use it at the moment. */
struct oauth_token {
    struct secret line; /* "Authorization: Bearer ...", with a zero byte after it. */
    unsigned users;
    uint64_t renew_at_ms; /* Monotonic. */
    uint64_t expires_at_ms;
};

/* The world. */
struct oauth_ops {
    /* Ask the token endpoint; answered by one oauth_on_answer(), later, if the status is OK. */
    struct status (*ask)(void *context);
    void (*cancel)(void *context); /* No answer comes any more. */
    uint64_t (*monotonic_ms)(void *context);
    uint64_t (*random)(void *context); /* For jitter. */
};

struct oauth_waiter;
typedef void (*oauth_done)(struct oauth_waiter *waiter, const struct oauth_answer *answer);

/* Allocated by the caller; kept until `done` or oauth_leave(). */
struct oauth_waiter {
    void *context; /* The caller's own. */

    /* Private. */
    oauth_done done;
    struct oauth_waiter *next;
};

struct oauth {
    struct oauth_token *token; /* NULL: none. */
    bool asking;
    struct oauth_waiter *waiters;
    struct oauth_waiter *told; /* Those that are being answered. */
    const struct oauth_ops *ops;
    void *context;
};

void oauth_init(struct oauth *oauth, const struct oauth_ops *ops, void *context);

/* The present token, which the caller must give back; NULL if there is none that is good. Near its
 * end a new one is asked for meanwhile. */
struct oauth_token *oauth_take(struct oauth *oauth);
void oauth_give_back(struct oauth_token *token);

/* Wait for a token to be had with oauth_take(), or for the reason why there is none. `done` comes
 * once, later. A failure to ask at all is a status; `done` then never comes. */
MUST_USE struct status oauth_wait(struct oauth *oauth, struct oauth_waiter *waiter,
                                  oauth_done done);
void oauth_leave(struct oauth *oauth, struct oauth_waiter *waiter); /* `done` will not come. */

/* The cloud did not take this one (401). If it is still the present one, it is dropped. */
void oauth_drop(struct oauth *oauth, const struct oauth_token *token);

/* Other credentials, or no leader any more: forget all. Waiters are answered OAUTH_FAILED, from
 * within this call. */
void oauth_reset(struct oauth *oauth);

/* Or is the answer to come of a renewal ahead of time, that nobody is told of? */
bool oauth_is_waited_for(const struct oauth *oauth);

/* The event. */
void oauth_on_answer(struct oauth *oauth, const struct oauth_answer *answer);

#endif
