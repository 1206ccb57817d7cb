/*
 * Succession: the lineage that goes on with a state when the members it was agreed with are lost.
 *
 * It is ordered by an operator while the daemon runs (recoverer.h), kept in memory only, and carried
 * out between the daemon's end and its next start, when store and log are closed. A crash before
 * CURRENT names the new lineage leaves the node as it was, and the order is forgotten: nobody goes
 * on alone without being asked anew.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SUCCESSION_H
#define SERVER_SUCCESSION_H

#include <stdint.h>

#include "base/status.h"
#include "call.h"
#include "client/protocol.h"
#include "config.h"
#include "identity.h"

enum succession_kind {
    SUCCESSION_NONE,
    SUCCESSION_RECOVER, /* This node's own state and log. */
    SUCCESSION_RESTORE, /* A snapshot's state. */
};

struct succession {
    enum succession_kind kind;
    uint64_t at_ms; /* When it was ordered. */
    struct caller by;
    char comment[RPC_TEXT_SIZE_MAX + 1];
    char file[IDENTITY_PATH_SIZE + 16]; /* RESTORE: the snapshot. */
    struct secret cluster_key;          /* RESTORE: the one that opens it. */
};

/* Make the new lineage and the one in use. On failure the present one stays, and the next start
 * removes what was begun. Nothing of the node may be open. */
MUST_USE struct status succession_carry_out(const struct config *config,
                                            const struct succession *succession);

#endif
