/*
 * The registrar: on the leader, brings a registration or a deregistration that the store intends to
 * its end in the cloud, and keeps the device alive there.
 *
 * It remembers nothing that matters: what to do is read from the store each time, so a new leader
 * goes on with the same token, key and CSR. What came of it is proposed.
 *
 * The heartbeat finds out when the cloud does not take the device any more: its code in the store
 * holds the export, until a heartbeat is taken again. When two thirds of the certificate's life are
 * over the next one is asked for, by a request that is in the store first; renewals and heartbeats
 * take turns while it is not given.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_REGISTRAR_H
#define SERVER_REGISTRAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "exchange.h"
#include "store/store.h"

#define REGISTRAR_POLL_MS 500         /* While a registration goes on in the cloud, */
#define REGISTRAR_POLL_SLOW_MS 5000   /* and once it takes longer than it should: */
#define REGISTRAR_STUCK_MS 120000     /* two minutes are the most that was ever seen. */
#define REGISTRAR_RETRY_MS_MIN 1000   /* Doubled for each failure in a row, */
#define REGISTRAR_RETRY_MS_MAX 60000  /* up to this. */
#define REGISTRAR_HEARTBEAT_MS 300000 /* Unless the configuration says so; */
#define REGISTRAR_HELD_MS 30000       /* and while the cloud does not take the device. */

/* What is in flight. */
enum registrar_state {
    REGISTRAR_IDLE,      /* Nothing; perhaps a timer. */
    REGISTRAR_CALLING,   /* One call of the device contract. */
    REGISTRAR_PROPOSING, /* One proposal. */
    REGISTRAR_STATE_COUNT,
};

/* The world. */
struct registrar_ops {
    uint64_t (*now_ms)(void *context);
    uint64_t (*monotonic_ms)(void *context);
    uint64_t (*random)(void *context);
    struct status (*view)(void *context, struct arena *arena, struct registration_view *out);
    /* store_flush(), then the call, with what the view has. OK: one registrar_on_answer(), later. A
     * registration's certificate was checked against the key before it is answered. */
    struct status (*call)(void *context, enum exchange_kind kind,
                          const struct registration_view *view);
    /* Make a key and a request for the next certificate and propose them: registrar_on_proposed(). */
    struct status (*begin_renewal)(void *context, const struct registration_view *view);
    void (*cancel)(void *context);                                          /* No answer comes. */
    struct status (*propose)(void *context, const struct command *command); /* _on_proposed() */
    void (*start_timer)(void *context, uint64_t delay_ms); /* Replaces the one that runs. */
    void (*stop_timer)(void *context);
};

struct registrar {
    enum registrar_state state;
    bool leading;
    enum exchange_kind calling;
    uint64_t epoch;        /* Of the intent that the fields below are about, */
    uint64_t intent;       /* and its enum registration_state. */
    uint64_t due_ms;       /* Monotonic: nothing is asked earlier. */
    unsigned failures;     /* In a row. */
    bool asked_anew;       /* The cloud forgot the registration id: register again. */
    bool deletion_begun;   /* The cloud took a deregistration from us. */
    bool certificate_dead; /* The cloud does not take the certificate: look the serial up. */
    bool heartbeat_next;   /* A renewal was tried: a heartbeat's turn. */
    char renewal_error[REASON_SIZE]; /* Why the last one was not given. */
    uint64_t heartbeat_ms;
    const struct registrar_ops *ops;
    void *context;
};

void registrar_init(struct registrar *registrar, const struct registrar_ops *ops, void *context);

/* Events. */
void registrar_on_leader(struct registrar *registrar);
void registrar_on_follower(struct registrar *registrar);
void registrar_on_change(struct registrar *registrar);
void registrar_on_answer(struct registrar *registrar, const struct exchange_answer *answer);
void registrar_on_proposed(struct registrar *registrar, bool applied);
void registrar_on_timer(struct registrar *registrar);

#endif
