/*
 * Rotating the cluster key (docs/adr/0027-rotating-the-cluster-key.md). Every member, on its tick:
 *
 *     the state gives it a key that it does not hold    unwrap it, compare its check, keep it durably;
 *                                                       the announcer then tells the leader
 *     the state is sealed by the key it holds as next   that is its key now; the old one is wiped
 *
 * and the leader, one proposal at a time:
 *
 *     a rotation is due: a member went        begin one
 *     a member was not given the key          give it to it
 *     all members hold it                     seal everything anew, in one command
 *
 * It keeps nothing between two looks but the state and the node's keyring, so a leader that dies at any
 * point leaves nothing that the next one would not see and finish. What it asks of the node it asks through
 * key_ops: the simulation runs the same lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_KEY_ROTATION_H
#define SERVER_KEY_ROTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "cloud.h"
#include "store/seal.h"
#include "store/store.h"

struct key_ops {
    struct status (*keep)(
        void *context);           /* The keyring, durably; after a failure it is as it was. */
    bool (*leads)(void *context); /* With its barrier applied. */
    /* As that of cloud_ops. */
    struct status (*propose)(void *context, const struct command *command, cloud_proposed done,
                             void *argument);
};

/* Everything is borrowed, and must outlive the worker. */
struct key_context {
    struct store *store;
    struct keyring *keys;   /* The node's; changed in place. */
    const char *cluster_id; /* 32 hex digits. */
    uint64_t node_id;
    struct slice node_key; /* PEM; what keys are wrapped to. */
    const struct key_ops *ops;
    void *context; /* For the ops. */
};

struct key_worker {
    struct key_context context; /* Set by whoever has the worker; the rest begins as zero. */
    bool proposing;
    bool unkept;                       /* The identity's file still has the key that was retired. */
    uint64_t next_at_ms;               /* Monotonic. */
    char problem[STATUS_MESSAGE_SIZE]; /* Why this node has no key, or cannot keep it; or empty. */
};

/* `now_ms` is monotonic. */
void key_step(struct key_worker *worker, uint64_t now_ms);

/* What this node has still to tell the leader: that it holds the key of the rotation under way, in
 * `out` and the arena; false if there is nothing to tell. */
bool key_news(const struct key_worker *worker, struct arena *arena, struct key_hold *out);

/* A new key wrapped to every member, in the arena; nobody keeps the key itself, this node unwraps it
 * as the others do. `reason` is borrowed. */
MUST_USE struct status key_rotate_make(const struct key_context *context, struct arena *arena,
                                       struct slice reason, struct key_rotate *out);

#endif
