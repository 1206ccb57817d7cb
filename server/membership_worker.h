/*
 * Membership: on the leader, brings raft's configuration into line with the members that the state
 * names, one change at a time, and keeps the voters odd and few (rule 10).
 *
 * The state decides who is a member; this worker only follows it. So a leader that dies half way
 * leaves nothing that the next one would not see and finish.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_MEMBERSHIP_WORKER_H
#define SERVER_MEMBERSHIP_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "consensus/consensus.h"
#include "store/store.h"

struct daemon;
struct membership;

/* What the two sides know, and what to do about it: pure, so that it is tested by rows. */
struct membership_view {
    const struct member *members; /* Of the state, removed ones included. */
    size_t member_count;
    const struct consensus_status *raft;
    uint64_t self_id;
    uint64_t voters_wanted; /* Of the configuration; odd. */
    uint64_t now_ms;
    uint64_t join_timeout_ms;
    uint64_t dead_after_ms; /* A voter not heard for so long is replaced. */
};

enum membership_step {
    MEMBERSHIP_NOTHING,
    MEMBERSHIP_ADD,     /* To raft, as spare. */
    MEMBERSHIP_STANDBY, /* Give this role. */
    MEMBERSHIP_VOTER,
    MEMBERSHIP_DROP,      /* From raft. */
    MEMBERSHIP_HAND_OVER, /* This node itself must go: let another lead. */
    MEMBERSHIP_CONFIRM,   /* JOINING to MEMBER: it has caught up. */
    MEMBERSHIP_ROLL_BACK, /* It never came. */
};

struct membership_action {
    enum membership_step step;
    uint64_t node_id;
};

struct membership_action membership_decide(const struct membership_view *view);

/* How many should vote among so many members: the largest odd number up to `wanted`. */
uint64_t membership_voters(uint64_t member_count, uint64_t wanted);

MUST_USE struct status membership_create(struct daemon *daemon, struct membership **out);
void membership_destroy(struct membership *membership); /* After consensus has closed. */

/* Look again: called once a turn when something was applied, and by the tick. */
void membership_step(struct membership *membership);

#endif
