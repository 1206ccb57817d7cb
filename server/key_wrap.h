/*
 * Wrapping a cluster key to the key of one member, so that it can stand in the state for all to see.
 *
 * ECIES: an ephemeral P-256 key, ECDH with the member's, HKDF-SHA256 over the shared secret (salt: both
 * public keys), and the key sealed by the result (seal.h), bound to cluster, member and epoch. What is
 * wrapped is [ephemeral public key, 65 bytes][sealed key].
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_KEY_WRAP_H
#define SERVER_KEY_WRAP_H

#include <stdint.h>

#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"

#define KEY_CHECK_SIZE 32 /* Bytes. */

/* What a wrapped key is bound to. */
struct key_wrap_purpose {
    struct slice cluster_id;
    uint64_t node_id;
    uint64_t epoch;
};

/* Append `key` (SEAL_KEY_SIZE bytes) wrapped to the key of the member's certificate (PEM).
 * STATUS_INVALID: the certificate has no P-256 key. STATUS_NO_MEMORY. */
MUST_USE struct status key_wrap(struct slice certificate, const struct key_wrap_purpose *purpose,
                                struct slice key, struct buffer *out);

/* Unwrap with the member's private key (PEM) into `out`, which must be empty. STATUS_CORRUPT: it was
 * wrapped to another member, or for another purpose, or was changed. */
MUST_USE struct status key_unwrap(struct slice private_key, const struct key_wrap_purpose *purpose,
                                  struct slice wrapped, struct secret *out);

/* What members compare to know that they hold the same key; it tells nothing else of it. */
MUST_USE struct status key_check(struct slice key, uint8_t out[KEY_CHECK_SIZE]);

#endif
