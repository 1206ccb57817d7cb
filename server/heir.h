/*
 * The heir: one succession under way, shared by its steps (succession.c, heir_restore.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_HEIR_H
#define SERVER_HEIR_H

#include "consensus/consensus.h"
#include "identity.h"
#include "store/store.h"
#include "succession.h"

#define HEIR_PATH_SIZE (IDENTITY_PATH_SIZE + 32)

/* What a failure leaves is swept away at the next start, which knows best
 * whether CURRENT names it. */
struct heir {
    const struct config *config;
    const struct succession *order;
    struct identity before;
    struct identity staged;
    struct store *store; /* The copy. */
    struct consensus_log_end end;
    uint64_t taken_at_ms;
    char source[STATUS_MESSAGE_SIZE];
};

/* The store of one of its two lineages. */
MUST_USE struct status heir_open_store(const struct heir *heir, const struct identity *identity,
                                       struct store **out);

/* The steps from a snapshot, in this order. */
MUST_USE struct status heir_unpack(struct heir *heir);
MUST_USE struct status heir_stage_restored(struct heir *heir);
MUST_USE struct status heir_place(struct heir *heir);

#endif
