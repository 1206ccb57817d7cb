/*
 * The verifier: on the leader, asks the token endpoint whether credentials are good and what they
 * may do, and proposes the answer. New credentials (never verified) are taken up by themselves; a
 * handler may ask for any at any time.
 *
 *              due or asked for           final answer
 *     IDLE ─────────────────────► ASKING ─────────────► PROPOSING
 *     ▲  ▲                          │                       │
 *     │  └── may pass: wait, tell ──┘                       │
 *     └───────────────────── applied, or not: tell ─────────┘
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_VERIFIER_H
#define SERVER_VERIFIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "oauth_grant.h"
#include "store/store.h"

#define VERIFIER_REQUESTS_MAX 16
#define VERIFIER_RETRY_MS_MIN 2000   /* For those nobody waits for; doubled for each failure, */
#define VERIFIER_RETRY_MS_MAX 300000 /* up to this. */

enum verifier_state {
    VERIFIER_IDLE,
    VERIFIER_ASKING,
    VERIFIER_PROPOSING,
    VERIFIER_STATE_COUNT,
};

/* The world. */
struct verifier_ops {
    uint64_t (*monotonic_ms)(void *context);
    uint64_t (*random)(void *context);
    struct status (*credentials)(void *context, struct arena *arena, struct codec_list *out);
    /* OK: one verifier_on_answer(), later. STATUS_INVALID and STATUS_REFUSED: these credentials
     * cannot be asked about, whenever (region, sealed otherwise). */
    struct status (*ask)(void *context, const struct credential_view *credential);
    void (*cancel)(void *context);
    struct status (*propose)(void *context, const struct command *command); /* _on_proposed() */
    /* The cloud's quota is used up: pause the organisation. Unanswered. */
    void (*cloud_paused)(void *context, unsigned delay_s, const char *reason);
    void (*start_timer)(void *context, uint64_t delay_ms);
    void (*stop_timer)(void *context);
};

typedef void (*verifier_done)(void *argument, struct status status);

struct verifier_request {
    bool taken;
    char name[STORE_NAME_SIZE_MAX + 1]; /* Empty: the selected ones. */
    verifier_done done;
    void *argument;
};

struct verifier {
    enum verifier_state state;
    bool leading;
    char name[STORE_NAME_SIZE_MAX + 1]; /* Of those that are asked about. */
    uint64_t generation;
    unsigned failures;
    uint64_t due_ms; /* Monotonic; for those nobody waits for. */
    struct verifier_request requests[VERIFIER_REQUESTS_MAX];
    const struct verifier_ops *ops;
    void *context;
};

void verifier_init(struct verifier *verifier, const struct verifier_ops *ops, void *context);

/* `done` comes once, later, with what cloud_verify() promises. A failure is a status, and then it
 * does not: STATUS_NOT_LEADER, STATUS_NOT_FOUND, STATUS_BUSY, STATUS_INVALID. */
MUST_USE struct status verifier_request(struct verifier *verifier, struct slice name,
                                        verifier_done done, void *argument);

/* Events. */
void verifier_on_leader(struct verifier *verifier);
void verifier_on_follower(struct verifier *verifier); /* Requests are answered STATUS_UNKNOWN. */
void verifier_on_change(struct verifier *verifier);
void verifier_on_answer(struct verifier *verifier, const struct oauth_answer *answer);
void verifier_on_proposed(struct verifier *verifier, bool applied);
void verifier_on_timer(struct verifier *verifier);

#endif
