/*
 * Comparing replicas (rule 14): the leader proposes checkpoints while there is something to compare;
 * any replica that finds that it and the leader differ asks all members for their digests, and the
 * majority says who is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_COMPARER_H
#define SERVER_COMPARER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "store/store.h"

struct comparer;
struct daemon;

/* What one round of questions came to; pure, so that it is tested by rows. */
enum verdict {
    VERDICT_OPEN,  /* Too few answered, or no majority agrees. */
    VERDICT_RIGHT, /* A majority of all members has our digest. */
    VERDICT_WRONG, /* A majority has one and the same other. */
};

struct opinion {
    bool known;
    uint8_t digest[STORE_DIGEST_SIZE];
};

/* Of `member_count` members, this one included, whose own digest is `ours`; `opinions` are the others'. */
enum verdict comparer_judge(const uint8_t ours[STORE_DIGEST_SIZE], const struct opinion *opinions,
                            size_t opinion_count, size_t member_count);

MUST_USE struct status comparer_create(struct daemon *daemon, struct comparer **out);
void comparer_destroy(struct comparer *comparer); /* NULL is ignored. */

void comparer_on_tick(struct comparer *comparer, uint64_t now_ms);

/* A member says that at this index it has another digest than ours. */
void comparer_on_dispute(struct comparer *comparer, uint64_t index);

/* The index at which replicas differ and nobody can say who is wrong; 0: there is none. */
uint64_t comparer_open_index(const struct comparer *comparer);

#endif
