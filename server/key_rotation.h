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
 * point leaves nothing that the next one would not see and finish.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_KEY_ROTATION_H
#define SERVER_KEY_ROTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "store/store.h"

struct daemon;
struct identity;

struct key_worker {
    bool proposing;
    bool unkept;                       /* The identity's file still has the key that was retired. */
    uint64_t next_at_ms;               /* Monotonic. */
    char problem[STATUS_MESSAGE_SIZE]; /* Why this node has no key, or cannot keep it; or empty. */
};

void key_step(struct key_worker *worker, struct daemon *daemon);

/* What this node has still to tell the leader: that it holds the key of the rotation under way, in
 * `out` and the arena; false if there is nothing to tell. */
bool key_news(struct daemon *daemon, struct arena *arena, struct key_hold *out);

/* A new key wrapped to every member, in the arena; nobody keeps the key itself, this node unwraps it
 * as the others do. `reason` is borrowed. */
MUST_USE struct status key_rotate_make(struct daemon *daemon, struct arena *arena,
                                       struct slice reason, struct key_rotate *out);

/* Everything that is sealed in the state, sealed by the next key instead; in the arena. The state must
 * be the one that the leader's barrier has brought up to date. Also for tests and the simulation. */
MUST_USE struct status key_reseal_make(struct store *store, const struct keyring *keys,
                                       const struct key_rotation_view *rotation,
                                       struct arena *arena, struct key_reseal *out);

#endif
