/*
 * Node ids: identity is the key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node_id.h"

#include "base/x509.h"
#include "consensus/consensus.h"

uint64_t node_id_of_key_hash(const uint8_t hash[32])
{
    uint64_t id = 0;
    for (int i = 0; i < 8; i++) {
        id = id << 8U | hash[i];
    }
    return id & INT64_MAX; /* LMDB keys, msgpack and JSON readers are happier without the sign. */
}

struct status node_id_of_certificate(struct slice pem, uint64_t *out)
{
    uint8_t hash[X509_HASH_SIZE];
    struct status status = x509_fingerprint(pem, hash); /* Only to know that it is a certificate. */
    if (!failed(status)) {
        status = x509_key_hash(pem, hash);
    }
    if (failed(status)) {
        return wrap(status, "node id");
    }
    uint64_t id = node_id_of_key_hash(hash);
    if (id == 0) {
        return fail(STATUS_INVALID, "node id: this key gives 0, which means none; make another");
    }
    *out = id;
    return OK;
}
