/*
 * Membership: on the leader, brings raft's configuration into line with the members that the state
 * names, one change at a time, and keeps the voters odd and few (rule 10). What is to be done next
 * membership_decide.h says.
 *
 * The state decides who is a member; this worker only follows it. So a leader that dies half way
 * leaves nothing that the next one would not see and finish.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_MEMBERSHIP_WORKER_H
#define SERVER_MEMBERSHIP_WORKER_H

#include "membership_decide.h"

struct daemon;
struct membership;

MUST_USE struct status membership_create(struct daemon *daemon, struct membership **out);
void membership_destroy(struct membership *membership); /* After consensus has closed. */

/* Why a member that asked to be let out still is in raft's configuration; may be empty. */
struct slice membership_why_not_out(struct membership *membership, uint64_t node_id);

/* Look again: called once a turn when something was applied, and by the tick. */
void membership_step(struct membership *membership);

/* Nobody else can lead: begin to make a standby a voter that can, and keep it one for a while. False
 * if no standby can. Called again until handing over succeeds. */
bool membership_make_heir(struct membership *membership);

/* On the leader: if this node, which is alive, went away now, would a quorum be left without it? */
bool membership_lets_go(struct membership *membership, uint64_t node_id);

#endif
