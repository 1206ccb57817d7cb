/*
 * The keys of a cluster on one node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/seal.h"

struct slice keyring_find(const struct keyring *ring, uint64_t epoch)
{
    if (epoch == ring->epoch) {
        return secret_slice(&ring->key);
    }
    return epoch == ring->next_epoch ? secret_slice(&ring->next) : (struct slice){0};
}

struct status keyring_copy(const struct keyring *from, struct keyring *out)
{
    out->epoch = from->epoch;
    struct status status = secret_copy(&out->key, secret_slice(&from->key));
    if (!failed(status) && from->next.size > 0) {
        out->next_epoch = from->next_epoch;
        status = secret_copy(&out->next, secret_slice(&from->next));
    }
    if (failed(status)) {
        keyring_release(out);
    }
    return status;
}

void keyring_release(struct keyring *ring)
{
    secret_release(&ring->key);
    secret_release(&ring->next);
    *ring = (struct keyring){0};
}

struct status keyring_open(const struct keyring *ring, const struct seal_purpose *purpose,
                           struct slice sealed, struct secret *out)
{
    uint32_t epoch = seal_key_epoch(sealed);
    struct slice key = keyring_find(ring, epoch);
    if (epoch == 0 || key.size == 0) {
        return fail(STATUS_CORRUPT, "open sealed: this node does not have key %u of its cluster",
                    epoch);
    }
    return seal_open(key, purpose, sealed, out);
}
