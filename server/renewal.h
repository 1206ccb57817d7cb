/*
 * Renewing certificates (docs/adr/0025-certificates.md).
 *
 * A node's certificate lives ISSUE_NODE_DAYS. The leader looks at those of all members in the state, and
 * when two thirds of a lifetime are over it issues another for the same key and writes it into the
 * state: no question goes over the network, and a member that is off is served, too. Each node takes what
 * the state says is its certificate: onto its disk, and into use for new connections.
 *
 * What nobody can renew by himself (an operator's, the CA's) is told of: in the log when 30, 7 and 1 days
 * are left and at the end, and by problems.h as long as it is so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RENEWAL_H
#define SERVER_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

/* Zero-initialised is ready. */
struct renewal {
    bool proposing;
    uint64_t next_at_ms;   /* Monotonic: of the look at this node's own, */
    uint64_t all_at_ms;    /* and at those of all. */
    uint64_t looked_at_ms; /* Wall clock of the last look at all; 0: none yet. */
};

/* Look: at what the state has for this node every few seconds, a leader at all every minute. */
void renewal_step(struct renewal *renewal, struct daemon *daemon);

/* Is it time for another? Also of one that is not valid yet: a leader's clock went wrong. */
bool renewal_is_due(uint64_t not_before_ms, uint64_t not_after_ms, uint64_t now_ms);

/* The first warning that holds: within 30, 7 or 1 days, 0 when it has ended; RENEWAL_FAR before. */
#define RENEWAL_FAR 1000U
unsigned renewal_warning_days(uint64_t not_after_ms, uint64_t now_ms);

/* "ends within 7 days", "has ended". */
const char *renewal_warning_words(unsigned days);

#endif
