/*
 * The id of a node from the hash of its public key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NODE_ID_H
#define NODE_ID_H

#include <stdint.h>

/* The first 8 bytes, big-endian, of the SHA-256 of the key, the highest bit cleared. */
uint64_t node_id_of_key_hash(const uint8_t hash[32]);

#endif
