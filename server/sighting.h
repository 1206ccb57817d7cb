/*
 * Records as CTIM sightings, the words of the cloud's private intelligence store.
 *
 * The vocabulary (sensor, relations, observable types) is that of threatgrid/ctim; which relation
 * says what about an e-mail is our choice where a comment says INFERRED. The same record gives the
 * same bytes, whichever node writes them and whenever: nothing of the node or of the time of
 * sending is in it (X2: never one key with two bodies).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SIGHTING_H
#define SERVER_SIGHTING_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "client/record.h"

#define SIGHTING_PREFIX "muster-" /* Of every external id: what the cloud dedupes by. */
#define SIGHTING_CLUSTER_DIGITS 8 /* Of the cluster id, for people who read the id. */
#define SIGHTING_DIGEST_DIGITS 64
#define SIGHTING_ID_SIZE 112 /* "muster-0123abcd-sighting-" and 64 digits, with the zero byte. */

/* What makes a record itself; as struct record_view has it. */
struct sighting_key {
    struct slice cluster_id; /* 32 hex digits. */
    uint64_t kind;           /* enum record_kind */
    struct slice serial;
    struct slice id;
    uint64_t revision;
};

/* "muster-<cluster id, 8 digits>-sighting-<SHA-256 over all of the key>": the idempotency key. */
void sighting_external_id(const struct sighting_key *key, char out[SIGHTING_ID_SIZE]);

/*
 * Append the sighting of a stored record, one JSON object, to `out`. STATUS_INVALID if the body is
 * not a record of its kind, or the kind has no mapping (a record that can never be sent; the
 * message is the reason for its dead letter); STATUS_NO_MEMORY. Both leave `out` as it was.
 */
MUST_USE struct status sighting_write(const struct sighting_key *key, struct slice body,
                                      struct buffer *out);

#endif
