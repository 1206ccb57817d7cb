/*
 * Checkpoints: every replica compares the leader's digest with its own (rule 14).
 *
 * A checkpoint command carries the leader's digest at the checkpoint before it, and keeps this
 * replica's own at its own index. That index is the same on every replica, so the digests are of the
 * same moment, whatever else the leader had under way.
 *
 * Nothing of the comparison enters the state: a replica that differs goes on as it was, no further
 * apart than before, until the server has found out who is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "apply.h"
#include "store_state.h"

static void compare(struct txn *txn, const struct checkpoint *checkpoint)
{
    const struct kept_digest *ours = head_find(txn->head, checkpoint->index);
    struct divergence *found = txn->divergence;
    uint8_t bytes[STORE_DIGEST_SIZE];
    if (ours == NULL || found == NULL || found->index != 0) {
        return; /* Too old to tell, or known already. */
    }
    mix_write(&ours->mix, bytes);
    if (memcmp(bytes, checkpoint->digest.data, sizeof bytes) != 0) {
        found->index = checkpoint->index;
        memcpy(found->ours, bytes, sizeof bytes);
        memcpy(found->theirs, checkpoint->digest.data, sizeof bytes);
    }
}

enum refusal apply_checkpoint(struct apply *apply, const struct checkpoint *checkpoint)
{
    if (checkpoint->digest.size != (checkpoint->index == 0 ? 0 : STORE_DIGEST_SIZE)) {
        return REFUSAL_FIELD;
    }
    if (checkpoint->index != 0) {
        compare(apply->txn, checkpoint);
    }
    head_checkpoint(apply->txn->head);
    return REFUSAL_NONE;
}

bool store_divergence(const struct store *store, struct divergence *out)
{
    *out = store->divergence;
    return out->index != 0;
}

void store_divergence_forget(struct store *store)
{
    store->divergence = (struct divergence){0};
}

bool store_checkpoint_last(const struct store *store, struct store_digest *out)
{
    const struct kept_digest *last = &store->head.checkpoints[0];
    out->index = last->index;
    mix_write(&last->mix, out->bytes);
    return last->index != 0;
}

bool store_checkpoint_due(const struct store *store)
{
    return store->uncompared > 0;
}
