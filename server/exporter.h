/*
 * The exporter: on the leader only, takes what waits in the outbox to the cloud, in bundles, several
 * at a time, and moves the replicated mark over what has arrived, in order.
 *
 * Delivery is at least once and the cloud dedupes: a leader that dies between the cloud's answer and
 * the mark is followed by one that sends again, under the same external ids.
 *
 * It needs a registration, verified credentials that may import, no pause of the operator's and none
 * of the cloud's; otherwise it holds, and says why.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_EXPORTER_H
#define SERVER_EXPORTER_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle.h"
#include "ctia.h"

#define EXPORTER_WINDOW 4           /* Bundles under way at once. */
#define EXPORTER_LINGER_MS 1000     /* Between bundles that are not full: the quota counts calls. */
#define EXPORTER_RETRY_MS_MIN 500   /* Doubled for each failure in a row, */
#define EXPORTER_RETRY_MS_MAX 60000 /* up to this. */
#define EXPORTER_LOAD_SIZE_MAX ((size_t)2 << 20) /* Bytes of record bodies; JSON is larger. */

/* What keeps the exporter from starting anything new. */
enum exporter_hold {
    EXPORTER_HOLD_NONE,
    EXPORTER_HOLD_NOT_REGISTERED,
    EXPORTER_HOLD_DEVICE, /* Deleted or suspended in the portal, or its certificate is dead. */
    EXPORTER_HOLD_NO_CREDENTIALS,
    EXPORTER_HOLD_UNVERIFIED,  /* Not asked about yet. */
    EXPORTER_HOLD_CREDENTIALS, /* Refused by the cloud. */
    EXPORTER_HOLD_SCOPE,       /* private-intel:write is missing. */
    EXPORTER_HOLD_PAUSED,      /* By an operator. */
    EXPORTER_HOLD_CLOUD,       /* Until the cloud lets the organisation call again. */
    EXPORTER_HOLD_COUNT,
};

/* What the store says, as far as the exporter cares. */
struct exporter_gate {
    enum exporter_hold hold;
    uint64_t until_ms;      /* EXPORTER_HOLD_CLOUD: wall clock. */
    uint64_t mark;          /* Everything up to here is settled. */
    uint64_t last_sequence; /* The highest that exists. */
    uint64_t account;       /* Changes when credentials, region or their verification change. */
};

/* Where a bundle stands: what is in flight for it. */
enum slot_state {
    SLOT_EMPTY,
    SLOT_READY,     /* Has a request to send. */
    SLOT_SENDING,   /* One HTTP request. */
    SLOT_SETTLED,   /* Nothing left to send; waits for those before it. */
    SLOT_ADVANCING, /* One proposal. */
    SLOT_STATE_COUNT,
};

struct exporter_slot {
    enum slot_state state;
    struct bundle bundle;
    struct buffer request;
};

/* The world. Calls that start something are answered by exactly one exporter_on_...(), later, if
 * their status is OK. */
struct exporter_ops {
    uint64_t (*now_ms)(void *context); /* Wall clock: what the cluster's pause is said in. */
    uint64_t (*monotonic_ms)(void *context);
    uint64_t (*random)(void *context);
    struct status (*gate)(void *context, struct exporter_gate *out);
    /* store_flush(), then store_outbox() into the slot's bundle; leaves it empty if nothing is
     * pending above `sequence`. */
    struct status (*load)(void *context, uint64_t sequence, struct bundle *bundle);
    struct status (*send)(void *context, unsigned slot, struct slice body); /* _on_sent() */
    void (*cancel)(void *context, unsigned slot);                           /* No answer comes. */
    struct status (*advance)(void *context, const struct bundle *bundle);   /* _on_advanced() */
    /* Tell the cluster, unanswered: what fails is found out again. */
    void (*cloud_paused)(void *context, uint64_t until_ms, const char *reason);
    void (*credentials_refused)(void *context, const char *reason);
    void (*start_timer)(void *context, uint64_t delay_ms); /* Replaces the one that runs. */
    void (*stop_timer)(void *context);
    void (*drained)(void *context);
};

struct exporter {
    struct exporter_slot slots[EXPORTER_WINDOW]; /* A ring: `count` from `head` are not empty. */
    unsigned head;
    unsigned count;
    uint64_t cursor; /* Highest sequence in a slot. */
    bool leading;
    bool draining;
    unsigned failures;      /* In a row; sets the delay before the next try. */
    uint64_t not_before_ms; /* Monotonic, as the next two: nothing is sent earlier. */
    uint64_t propose_at_ms; /* Nothing is proposed earlier. */
    uint64_t partial_at_ms; /* When the last bundle that was not full was begun. */
    uint64_t account;       /* Of the gate; another one ends the wait for not_before_ms. */
    enum exporter_hold hold;
    uint64_t bundles_sent;
    uint64_t quota_remaining;
    char last_error[REASON_SIZE];
    const struct exporter_ops *ops;
    void *context;
};

void exporter_init(struct exporter *exporter, const struct exporter_ops *ops, void *context);
void exporter_release(struct exporter *exporter); /* Not leading, no proposal outstanding. */

/* Events. Each may start things; none blocks. */
void exporter_on_leader(struct exporter *exporter); /* The barrier is applied. */
void exporter_on_follower(struct exporter *exporter);
void exporter_on_change(struct exporter *exporter); /* The store may say something else now. */
void exporter_on_sent(struct exporter *exporter, unsigned slot, const struct ctia_answer *answer);
/* `moved`: the mark is at the bundle's end. Otherwise it was not, whatever the reason. */
void exporter_on_advanced(struct exporter *exporter, bool moved);
void exporter_on_timer(struct exporter *exporter);

/* Begin nothing new; `drained` is called when nothing is under way, perhaps from within. */
void exporter_drain(struct exporter *exporter);

/* "idle", "sending", "waiting to try again", "not registered", ...: for people. Never NULL. */
const char *exporter_state(const struct exporter *exporter);

#endif
