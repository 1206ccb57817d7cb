/*
 * Sealing: secrets as they lie in the log, in LMDB, in images and backups. AES-256-GCM under the
 * cluster key.
 *
 * A sealed secret is [version 1][key epoch, 4 bytes big-endian][nonce, 12][ciphertext][tag, 16].
 * The additional data bind it to its purpose and epoch, so that a sealed value moved elsewhere does
 * not open.
 *
 * The nonce comes from the caller (a random one): nothing in this room reads randomness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"

#define SEAL_KEY_SIZE 32
#define SEAL_NONCE_SIZE 12
#define SEAL_OVERHEAD 33 /* Bytes that sealing adds. */
#define SEAL_PURPOSE_SIZE 128

/* What the secret is for: "credential/prod" and its generation, "device_key" and the registration's
 * epoch. */
struct seal_purpose {
    char text[SEAL_PURPOSE_SIZE];
};

/* `what` has at most 96 bytes; more is our own bug. */
struct seal_purpose seal_purpose_of(struct slice what, uint64_t epoch);

/* Of the client password of these credentials. */
struct seal_purpose seal_purpose_of_credential(struct slice name, uint64_t generation);

/* Append the sealed form of `plain` to `out`. STATUS_INVALID (key size), STATUS_NO_MEMORY. */
MUST_USE struct status seal_close(struct slice key, uint32_t key_epoch,
                                  const struct seal_purpose *purpose,
                                  const uint8_t nonce[SEAL_NONCE_SIZE], struct slice plain,
                                  struct buffer *out);

/* Open into `out`, which must be empty. STATUS_CORRUPT when it was not sealed so, by this key and
 * for this purpose: which of them cannot be told. */
MUST_USE struct status seal_open(struct slice key, const struct seal_purpose *purpose,
                                 struct slice sealed, struct secret *out);

/* The cluster's keys on one node: the one that seals, and during a rotation the one that will. */
struct keyring {
    struct secret key;
    uint64_t epoch;
    struct secret next; /* Empty when there is none. */
    uint64_t next_epoch;
};

/* The key of this epoch; empty if it is not on the ring. */
struct slice keyring_find(const struct keyring *ring, uint64_t epoch);

/* `out` must be empty. */
MUST_USE struct status keyring_copy(const struct keyring *from, struct keyring *out);
void keyring_release(struct keyring *ring);

/* seal_open() with the key that the sealed value names. STATUS_CORRUPT if it is not on the ring. */
MUST_USE struct status keyring_open(const struct keyring *ring, const struct seal_purpose *purpose,
                                    struct slice sealed, struct secret *out);

/* A key of SEAL_KEY_SIZE bytes for one use, from another: HKDF with SHA-256 (RFC 5869). `salt` may be
 * empty. `out` must be empty. STATUS_INVALID (key size), STATUS_NO_MEMORY. */
MUST_USE struct status seal_derive(struct slice key, struct slice salt, const char *label,
                                   struct secret *out);

/* The key epoch a sealed value names; 0 if it is none. */
uint32_t seal_key_epoch(struct slice sealed);

#endif
