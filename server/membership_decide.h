/*
 * What the leader does next about the members: pure, so that it is tested by rows and by seed.
 *
 * The state names the members and how many of them shall vote; raft's configuration is to follow.
 * Each call looks at both and names one step, or none when they agree:
 *
 *     who left goes from raft ─► whose data is damaged goes, until it is empty ─► who was admitted is added, gets the data, is confirmed or
 *     rolled back ─► the voters are made as many as are wanted
 *
 * Rule 10: voters are odd and few. A voter that is silent for long is replaced by a standby that
 * has caught up: first the dead one becomes a standby, then the other votes, so that there are never
 * more voters than wanted. When it comes back it stands by. No step is taken after which the voters
 * that are heard of would be no quorum, and none that takes the leader's own vote.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_MEMBERSHIP_DECIDE_H
#define SERVER_MEMBERSHIP_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consensus/consensus.h"
#include "store/store.h"

struct membership_view {
    const struct member *members; /* Of the state, removed ones included. */
    size_t member_count;
    const struct consensus_status *raft;
    uint64_t self_id;
    uint64_t voters_wanted; /* Of the state; odd. */
    uint64_t now_ms;
    uint64_t join_timeout_ms;
    uint64_t quiet_ms;        /* Since this leader last changed anything, or began to lead. */
    uint64_t silent_after_ms; /* A node not heard for so long counts for no quorum. */
    uint64_t dead_after_ms;   /* A voter not heard for so long is replaced. */
    bool giving_way; /* This node is about to hand over: another voter must be able to lead. */
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
    MEMBERSHIP_OUT,       /* Its data is damaged, and raft has let it go: say so in the state. */
};

struct membership_action {
    enum membership_step step;
    uint64_t node_id;
};

struct membership_action membership_decide(const struct membership_view *view);

/* How many should vote among so many members: the largest odd number up to `wanted`. */
uint64_t membership_voters(uint64_t member_count, uint64_t wanted);

/* May this node, if it is a voter, go at once, before raft drops it: are those that are heard of
 * among the other voters a quorum of them? */
bool membership_may_go(const struct membership_view *view, uint64_t node_id);

#endif
