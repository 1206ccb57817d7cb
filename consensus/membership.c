/*
 * Who takes part: one change at a time, by a leader whose barrier is applied and with no change
 * that is not committed. libraft's own rule is weaker (it forgets an uncommitted change at a
 * restart), and overlapping changes are how majorities stop overlapping.
 *
 * A leader never takes its own vote away. In libraft a node that is no voter by an uncommitted
 * change does not stand, though only it may have the longest log, so a crash at that moment could
 * leave a cluster that elects nobody. It hands over first; there is always a voter that way, too.
 *
 * libraft asks the heir once to take over, as soon as everything was sent to it, and gives up after an
 * election time-out. An heir that has just restarted, or is catching up, is never reached that way: it is
 * asked when it answers and has almost everything, and asked again, as long as the caller is patient.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "node.h"
#include "raft_view.h"

/* Entries that an heir may lack: it gets them while it is asked, and writes wait that long. */
#define HEIR_LAG_MAX 64U

struct change {
    struct consensus *node;
    struct membership_change *owner; /* NULL once it was answered. */
    struct raft_change request;
    struct raft_transfer transfer;
    bool is_transfer;
    bool done; /* libraft will not touch it any more. */
    int code;
    raft_id heir;           /* Of a transfer, as all that follows. */
    bool fixed;             /* The caller has named the heir. */
    unsigned asked;         /* How often it was. */
    uint64_t not_before_ms; /* The next time. */
    uint64_t until_ms;      /* The last time. */
    struct change *next;
};

static bool is_changing(const struct consensus *node)
{
    const struct raft *raft = &node->raft;
    for (const struct change *change = node->changes; change != NULL; change = change->next) {
        if (change->owner != NULL) {
            return true;
        }
    }
    return raft->configuration_uncommitted_index != 0 || raft->transfer != NULL ||
           raft->leader_state.promotee_id != 0 || raft->leader_state.change != NULL;
}

static struct status may_change(const struct consensus *node)
{
    if (!node_is_leader(node)) {
        return fail(STATUS_NOT_LEADER, "this node is not the leader");
    }
    if (!node_is_ready(node)) {
        return fail(STATUS_BUSY, "this leader has only just been elected");
    }
    if (is_changing(node)) {
        return fail(STATUS_BUSY, "another change of the members is under way");
    }
    return OK;
}

/* The same for a change that is an entry of the log: libraft takes a refused append for a broken
 * disk. */
static struct status may_append(const struct consensus *node)
{
    struct status status = may_change(node);
    if (!failed(status)) {
        status = node_room(node, false);
    }
    return failed(status) ? status : wal_can_append(node->wal, WAL_CONFIGURATION_SIZE_MAX, 1);
}

static struct change *begin(struct consensus *node, struct membership_change *owner,
                            membership_done done)
{
    struct change *change = fault_fires(FAULT_NODE_CHANGE) ? NULL : alloc_zeroed(1, sizeof *change);
    if (change == NULL) {
        return NULL;
    }
    owner->done = done;
    owner->request = change;
    change->node = node;
    change->owner = owner;
    change->request.data = change;
    change->transfer.data = change;
    change->next = node->changes;
    node->changes = change;
    return change;
}

/* libraft refused `change`, which is the first of the list. */
static void forget(struct consensus *node, struct change *change)
{
    if (node->raft.state == RAFT_LEADER && node->raft.leader_state.change == &change->request) {
        node->raft.leader_state.change = NULL; /* libraft keeps it when memory ran out. */
    }
    node->changes = change->next;
    free(change);
}

static void change_on_done(struct raft_change *request, int code)
{
    struct change *change = request->data;
    change->done = true;
    change->code = code;
}

static void transfer_on_done(struct raft_transfer *request)
{
    struct change *change = request->data;
    change->done = true;
}

static bool is_taken(const struct raft *raft, const char *address)
{
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        if (strcmp(raft->configuration.servers[i].address, address) == 0) {
            return true;
        }
    }
    return false;
}

struct status consensus_add(struct consensus *consensus, uint64_t node_id, const char *address,
                            struct membership_change *owner, membership_done done)
{
    struct status status = may_append(consensus);
    if (failed(status)) {
        return status;
    }
    if (node_id == 0 || address == NULL || strlen(address) >= CONSENSUS_ADDRESS_SIZE) {
        return fail(STATUS_INVALID, "not a node id and an address");
    }
    if (raft_view_server(&consensus->raft, node_id) < consensus->raft.configuration.n) {
        return fail(STATUS_INVALID, "a node with this id is a member already");
    }
    if (consensus->raft.configuration.n == CONSENSUS_NODES_MAX) {
        return fail(STATUS_INVALID, "a cluster has at most %u nodes", CONSENSUS_NODES_MAX);
    }
    struct change *change = begin(consensus, owner, done);
    if (change == NULL) {
        return fail(STATUS_NO_MEMORY, "add a node");
    }
    /* libraft wants them to differ. One that moved left its old address here, for another to take:
     * the machine knows where both are now (machine.address_of). */
    char name[sizeof "node 0123456789abcdef"];
    if (is_taken(&consensus->raft, address)) {
        (void)snprintf(name, sizeof name, "node %016llx", (unsigned long long)node_id);
        address = name;
    }
    int code = raft_add(&consensus->raft, &change->request, node_id, address, change_on_done);
    if (code != 0) {
        forget(consensus, change);
    }
    guard_poll(consensus->guard);
    return node_status_of(code, "add a node");
}

static int raft_role_of(enum member_role role)
{
    switch (role) {
    case MEMBER_SPARE: return RAFT_SPARE;
    case MEMBER_STANDBY: return RAFT_STANDBY;
    case MEMBER_VOTER: return RAFT_VOTER;
    }
    abort();
}

struct status consensus_assign(struct consensus *consensus, uint64_t node_id, enum member_role role,
                               struct membership_change *owner, membership_done done)
{
    const struct raft_configuration *members = &consensus->raft.configuration;
    struct status status = may_append(consensus);
    if (failed(status)) {
        return status;
    }
    unsigned server = raft_view_server(&consensus->raft, node_id);
    if (server == members->n) {
        return fail(STATUS_NOT_FOUND, "no member has this id");
    }
    if (members->servers[server].role == raft_role_of(role)) {
        return fail(STATUS_INVALID, "the node has this role already");
    }
    if (node_id == consensus->raft.id) {
        return fail(STATUS_INVALID, "a leader keeps its own role: hand over first");
    }
    struct change *change = begin(consensus, owner, done);
    if (change == NULL) {
        return fail(STATUS_NO_MEMORY, "assign a role");
    }
    int code = raft_assign(&consensus->raft, &change->request, node_id, raft_role_of(role),
                           change_on_done);
    if (code != 0) {
        forget(consensus, change);
    }
    guard_poll(consensus->guard);
    return node_status_of(code, "assign a role");
}

struct status consensus_remove(struct consensus *consensus, uint64_t node_id,
                               struct membership_change *owner, membership_done done)
{
    struct status status = may_append(consensus);
    if (failed(status)) {
        return status;
    }
    unsigned server = raft_view_server(&consensus->raft, node_id);
    if (server == consensus->raft.configuration.n) {
        return fail(STATUS_NOT_FOUND, "no member has this id");
    }
    if (node_id == consensus->raft.id) {
        return fail(STATUS_INVALID, "a leader does not remove itself: hand over first");
    }
    struct change *change = begin(consensus, owner, done);
    if (change == NULL) {
        return fail(STATUS_NO_MEMORY, "remove a node");
    }
    int code = raft_remove(&consensus->raft, &change->request, node_id, change_on_done);
    if (code != 0) {
        forget(consensus, change);
    }
    guard_poll(consensus->guard);
    return node_status_of(code, "remove a node");
}

/* ---- Handing over ---- */

/* Since it answered this leader last, or UINT64_MAX. */
static uint64_t silent_for_ms(const struct consensus *node, raft_id id)
{
    const struct node_peer *peer = node_peer_find(node, id);
    return peer != NULL && peer->heard ? node_now_ms(node) - peer->heard_ms : UINT64_MAX;
}

static bool is_heard(const struct consensus *node, raft_id id)
{
    return silent_for_ms(node, id) < node->options.election_timeout_ms;
}

/* The voter that has most of the log, of those that were heard of late; 0 if there is none. */
static raft_id choose_heir(const struct consensus *node)
{
    const struct raft *raft = &node->raft;
    raft_index best = 0;
    raft_id heir = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        if (server->id != raft->id && server->role == RAFT_VOTER && is_heard(node, server->id) &&
            raft->leader_state.progress[i].match_index > best) {
            best = raft->leader_state.progress[i].match_index;
            heir = server->id;
        }
    }
    return heir;
}

/* Entries of this leader's log that it has not acknowledged; UINT64_MAX if it is no member. */
static uint64_t lag_of(const struct raft *raft, raft_id id)
{
    unsigned server = raft_view_server(raft, id);
    return server < raft->configuration.n
               ? raft_view_last(raft) - raft->leader_state.progress[server].match_index
               : UINT64_MAX;
}

static struct status ask_heir(struct consensus *node, struct change *change)
{
    change->done = false;
    change->asked++;
    int code = raft_transfer(&node->raft, &change->transfer, change->heir, transfer_on_done);
    change->done = code != 0;
    guard_poll(node->guard);
    return node_status_of(code, "hand over");
}

/* Could the heir take over now? */
static bool is_fit(const struct consensus *node, raft_id heir)
{
    return is_heard(node, heir) && lag_of(&node->raft, heir) <= HEIR_LAG_MAX;
}

/* True while there is still hope, though nothing may be on the way. */
static bool pursue(struct consensus *node, struct change *change)
{
    uint64_t now_ms = node_now_ms(node);
    if (node->raft.state != RAFT_LEADER || change->owner == NULL || now_ms >= change->until_ms) {
        return false;
    }
    if (!change->fixed) {
        raft_id heir = choose_heir(node);
        change->heir = heir == 0 ? change->heir : heir;
    }
    if (now_ms >= change->not_before_ms && is_fit(node, change->heir)) {
        change->not_before_ms = now_ms + 2 * (uint64_t)node->options.election_timeout_ms;
        (void)failed(ask_heir(node, change)); /* Then again. */
    }
    return true;
}

static struct status may_lead(const struct consensus *node, raft_id heir)
{
    unsigned server = raft_view_server(&node->raft, heir);
    if (heir == node->raft.id || server == node->raft.configuration.n) {
        return fail(STATUS_NOT_FOUND, "hand over: no other member has this id");
    }
    if (node->raft.configuration.servers[server].role != RAFT_VOTER) {
        return fail(STATUS_INVALID, "hand over: the node has no vote, and only voters lead");
    }
    return OK;
}

struct status consensus_transfer(struct consensus *consensus, uint64_t node_id,
                                 uint64_t patience_ms, struct membership_change *owner,
                                 membership_done done)
{
    struct status status = may_change(consensus);
    raft_id heir = 0;
    if (!failed(status)) {
        heir = node_id == 0 ? choose_heir(consensus) : node_id;
        status = heir == 0 ? fail(STATUS_NOT_FOUND, "hand over: no other voter answers")
                           : may_lead(consensus, heir);
    }
    if (failed(status)) {
        return status;
    }
    struct change *change = begin(consensus, owner, done);
    if (change == NULL) {
        return fail(STATUS_NO_MEMORY, "hand over");
    }
    change->is_transfer = true;
    change->done = true;
    change->heir = heir;
    change->fixed = node_id != 0;
    change->until_ms = node_now_ms(consensus) + patience_ms;
    if (patience_ms == 0) { /* Now or never. */
        status = ask_heir(consensus, change);
        if (failed(status)) {
            forget(consensus, change);
        }
    }
    return status;
}

static struct status why_still_here(const struct change *change)
{
    const struct consensus *node = change->node;
    uint64_t silent_ms = silent_for_ms(node, change->heir);
    uint64_t lag = lag_of(&node->raft, change->heir);
    if (silent_ms == UINT64_MAX) {
        return fail(STATUS_TIMEOUT, "the node that is to take over has not answered this leader");
    }
    if (silent_ms >= node->options.election_timeout_ms) {
        return fail(STATUS_TIMEOUT, "the node that is to take over has not answered for %llu ms",
                    (unsigned long long)silent_ms);
    }
    if (lag > HEIR_LAG_MAX && lag != UINT64_MAX) {
        return fail(STATUS_TIMEOUT,
                    "the node that is to take over is catching up, it lacks %llu entries",
                    (unsigned long long)lag);
    }
    return fail(STATUS_TIMEOUT, "nobody took over, though asked %u times", change->asked);
}

/* ---- Answering ---- */

static struct status outcome_of(const struct change *change)
{
    if (!change->is_transfer) {
        if (change->code == RAFT_NOCONNECTION) {
            return fail(STATUS_TIMEOUT, "the node does not catch up; nothing was changed");
        }
        return node_status_of(change->code, "change the members");
    }
    if (change->node->raft.state == RAFT_LEADER) {
        return why_still_here(change);
    }
    return OK;
}

void membership_turn(struct consensus *node)
{
    struct change **at = &node->changes;
    while (*at != NULL) {
        struct change *change = *at;
        bool handed_over = change->is_transfer && node->raft.state != RAFT_LEADER;
        bool pending = change->is_transfer && change->done && pursue(node, change);
        if (pending || (!change->done && !(handed_over && change->owner != NULL))) {
            at = &change->next;
            continue;
        }
        struct membership_change *owner = change->owner;
        struct status status = outcome_of(change);
        fault_step(FAULT_NODE_CHANGED);
        change->owner = NULL;
        if (change->done) {
            *at = change->next;
            free(change);
        }
        if (owner != NULL) {
            owner->done(owner, status);
            at = &node->changes; /* The list may be another one now. */
        }
    }
}

/* ---- Who may talk, and with what ---- */

struct status consensus_renew(struct consensus *consensus, struct slice ca_pem,
                              struct slice certificate_pem, struct slice key_pem)
{
    return peers_reload(consensus->peers, ca_pem, certificate_pem, key_pem);
}

void consensus_review(struct consensus *consensus)
{
    if (!consensus->closing && consensus->peers_open) {
        peers_review(consensus->peers);
    }
}
