/*
 * The guard's side of incoming messages: rules COMMITCLAMP, BARRIER, COMPACT, TRUNCATE, INSTALL,
 * FLOW, VOTE, VOTER, SILENCE and what ELECTION and CONF ask on receipt.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guard_parts.h"

#include <stdio.h>
#include <string.h>

#include "raft_view.h"

static bool log_ends_in_own_term(const struct raft *raft)
{
    return raft_view_term(raft, raft->last_stored) == raft->current_term;
}

static void hold(struct guard *guard, const struct raft_message *message)
{
    struct guard_held *slot = NULL;
    for (unsigned i = 0; i < CONSENSUS_NODES_MAX; i++) {
        struct guard_held *held = &guard->held[i];
        if (held->used && held->id == message->server_id) {
            slot = held;
            break;
        }
        slot = slot == NULL && !held->used ? held : slot;
    }
    if (slot == NULL) {
        return; /* More servers than there can be; libraft takes a lost message well. */
    }
    slot->used = true;
    slot->id = message->server_id;
    slot->result = message->append_entries_result;
    (void)snprintf(slot->address, sizeof slot->address, "%s", message->server_address);
    guard_note(guard, GUARD_BARRIER);
}

/* Rule FLOW: the quorum's index is what libraft should have tested. */
static void commit_by_quorum(struct guard *guard, const struct raft_message *message)
{
    struct raft *raft = guard->raft;
    const struct raft_append_entries_result *result = &message->append_entries_result;
    unsigned server = raft_view_server(raft, message->server_id);
    if (result->rejected != 0 || server == raft->configuration.n ||
        result->last_log_index <= raft->leader_state.progress[server].match_index) {
        return; /* libraft applies only if this server has moved. */
    }
    raft_index index = raft_view_quorum(raft, message->server_id, result->last_log_index);
    index = index > raft->last_stored ? raft->last_stored : index;
    if (index > raft->commit_index && raft_view_term(raft, index) == raft->current_term) {
        raft->commit_index = index;
        guard_note(guard, GUARD_FLOW);
    }
}

static void pass_result(struct guard *guard, struct raft_message *message)
{
    struct raft *raft = guard->raft;
    bool of_this_term =
        raft->state == RAFT_LEADER && message->append_entries_result.term == raft->current_term;
    if (of_this_term && !log_ends_in_own_term(raft) && guard_has(guard, GUARD_BARRIER)) {
        hold(guard, message);
        return;
    }
    if (of_this_term && guard_has(guard, GUARD_FLOW)) {
        commit_by_quorum(guard, message);
    }
    guard->recv(&guard->io, message);
}

void guard_held_release(struct guard *guard)
{
    struct raft *raft = guard->raft;
    for (unsigned i = 0; i < CONSENSUS_NODES_MAX; i++) {
        struct guard_held *held = &guard->held[i];
        if (!held->used) {
            continue;
        }
        bool is_current = raft->state == RAFT_LEADER && held->result.term == raft->current_term;
        if (is_current && !log_ends_in_own_term(raft)) {
            return;
        }
        held->used = false;
        if (is_current) {
            struct raft_message message = {.type = RAFT_IO_APPEND_ENTRIES_RESULT,
                                           .server_id = held->id,
                                           .server_address = held->address,
                                           .append_entries_result = held->result};
            pass_result(guard, &message);
        }
    }
}

/* Rule COMPACT: what is committed here is in every leader's log. Drop it from the message. */
static void trim(struct guard *guard, struct raft_append_entries *message)
{
    const struct raft *raft = guard->raft;
    raft_index commit = raft->commit_index;
    raft_term commit_term = raft_view_term(raft, commit);
    if (message->prev_log_index >= commit || commit_term == 0 ||
        raft_view_term(raft, message->prev_log_index) != 0) {
        return; /* Nothing to drop, or libraft can compare it. */
    }
    guard_note(guard, GUARD_COMPACT);
    unsigned count = 0;
    while (count < message->n_entries && message->prev_log_index + count < commit) {
        count++;
    }
    message->prev_log_index += count;
    if (count > 0) {
        message->prev_log_term = message->entries[count - 1].term;
    }
    if (count > 0 && count == message->n_entries) {
        raft_free(message->entries[0].batch);
        raft_free(message->entries);
        message->entries = NULL;
    } else if (count > 0) {
        memmove(message->entries, message->entries + count,
                (message->n_entries - count) * sizeof *message->entries);
    }
    message->n_entries -= count;
    if (message->prev_log_index < commit) {
        message->prev_log_index = commit;
        message->prev_log_term = commit_term;
    }
}

static void receive_entries(struct guard *guard, struct raft_message *message)
{
    struct raft *raft = guard->raft;
    struct raft_append_entries *entries = &message->append_entries;
    bool counts = entries->term >= raft->current_term;
    if (counts && guard_has(guard, GUARD_COMPACT)) {
        trim(guard, entries);
    }
    raft_index end = entries->prev_log_index + entries->n_entries;
    if (entries->leader_commit > end && guard_has(guard, GUARD_COMMITCLAMP)) {
        entries->leader_commit = end;
        guard_note(guard, GUARD_COMMITCLAMP);
    }
    raft_index conflict = counts ? raft_view_conflict(raft, entries) : 0;
    if (conflict != 0 && guard_has(guard, GUARD_TRUNCATE) &&
        (guard->putting || guard->truncating || guard->append_count > 0 ||
         guard->entry_sends > 0)) {
        guard_note(guard, GUARD_TRUNCATE);
        raft_view_drop(message);
        return;
    }
    if (conflict != 0 && guard_has(guard, GUARD_CONF) &&
        (entries->prev_log_index == 0 ||
         raft_view_term(raft, entries->prev_log_index) == entries->prev_log_term)) {
        guard_conf_before_truncate(guard, conflict);
    }
    guard->leader_heard_ms = counts ? guard->below->time(guard->below) : guard->leader_heard_ms;
    raft_term term = entries->term;
    raft_term end_term = entries->n_entries > 0 ? entries->entries[entries->n_entries - 1].term
                                                : entries->prev_log_term;
    /* libraft frees the entries on its way; what the clamp needs stands in a message without. */
    struct raft_append_entries covered = {
        .term = term, .prev_log_index = end, .prev_log_term = end_term};
    guard->receiving = &covered;
    guard->recv(&guard->io, message);
    guard->receiving = NULL;
    if (raft->current_term == term && raft->state == RAFT_FOLLOWER && end != 0 &&
        raft_view_term(raft, end) == end_term) {
        guard_match_note(guard, end);
    }
}

static void receive_snapshot(struct guard *guard, struct raft_message *message)
{
    if (guard_has(guard, GUARD_INSTALL) &&
        (guard->putting || guard->truncating || guard->append_count > 0)) {
        guard_note(guard, GUARD_INSTALL);
        raft_view_drop(message);
        return;
    }
    if (message->install_snapshot.term >= guard->raft->current_term) {
        guard->leader_heard_ms = guard->below->time(guard->below);
    }
    raft_index index = message->install_snapshot.last_index;
    raft_term index_term = message->install_snapshot.last_term;
    struct raft_append_entries covered = {.term = message->install_snapshot.term,
                                          .prev_log_index = index,
                                          .prev_log_term = index_term};
    guard->receiving = &covered;
    guard->recv(&guard->io, message);
    guard->receiving = NULL;
}

/* Rule VOTE: libraft lets its transferee have a second vote of a term. */
static bool is_second_vote(const struct raft *raft, const struct raft_request_vote *request)
{
    return !request->pre_vote && raft->transfer != NULL && raft->voted_for != 0 &&
           raft->voted_for != request->candidate_id && request->term == raft->current_term;
}

/* Rule VOTER: for the length of this message, be a voter in our own eyes too. */
static void receive_as_voter(struct guard *guard, struct raft_message *message, unsigned self)
{
    int *role = &guard->raft->configuration.servers[self].role;
    int own_role = *role;
    guard_note(guard, GUARD_VOTER);
    *role = RAFT_VOTER;
    guard->recv(&guard->io, message);
    *role = own_role;
}

static void forget_silent_leader(struct guard *guard)
{
    struct raft *raft = guard->raft;
    if (raft->state == RAFT_FOLLOWER && raft->follower_state.current_leader.id != 0 &&
        guard->below->time(guard->below) - guard->leader_heard_ms >= raft->election_timeout &&
        guard_has(guard, GUARD_SILENCE)) {
        guard_note(guard, GUARD_SILENCE);
        raft->follower_state.current_leader.id = 0;
    }
}

static void receive_vote_request(struct guard *guard, struct raft_message *message)
{
    const struct raft *raft = guard->raft;
    if (guard->installing && guard_has(guard, GUARD_ELECTION)) {
        guard_note(guard, GUARD_ELECTION);
        return;
    }
    if (is_second_vote(raft, &message->request_vote) && guard_has(guard, GUARD_VOTE)) {
        guard_note(guard, GUARD_VOTE);
        return;
    }
    forget_silent_leader(guard);
    unsigned self = raft_view_server(raft, raft->id);
    if (self < raft->configuration.n && raft->configuration.servers[self].role != RAFT_VOTER &&
        guard_has(guard, GUARD_VOTER)) {
        receive_as_voter(guard, message, self);
        return;
    }
    guard->recv(&guard->io, message);
}

/* The leader sends it once, often with the last entries still on their way to this disk: it waits
 * for them. libraft checks, then, that it still fits. */
static void receive_handover(struct guard *guard, struct raft_message *message)
{
    if (raft_view_is_alone(guard->raft) && guard_has(guard, GUARD_ALONE)) {
        guard_note(guard, GUARD_ALONE); /* Its election time-out will make it leader. */
    } else if (guard_is_writing(guard) && guard_has(guard, GUARD_ELECTION)) {
        guard_note(guard, GUARD_ELECTION);
        guard->handover = message->timeout_now;
        guard->handover_from = message->server_id;
    } else {
        guard->recv(&guard->io, message);
    }
}

void guard_handover_release(struct guard *guard)
{
    if (guard->handover.term == 0 || guard_is_writing(guard)) {
        return;
    }
    struct raft_message message = {.type = RAFT_IO_TIMEOUT_NOW,
                                   .server_id = guard->handover_from,
                                   .server_address = "",
                                   .timeout_now = guard->handover};
    guard->handover.term = 0;
    if (message.timeout_now.term == guard->raft->current_term) {
        guard->recv(&guard->io, &message);
    }
}

void guard_io_recv(struct raft_io *below, struct raft_message *message)
{
    struct guard *guard = below->data;
    if (guard->failed || guard->closing) {
        raft_view_drop(message);
        return;
    }
    switch (message->type) {
    case RAFT_IO_APPEND_ENTRIES: receive_entries(guard, message); break;
    case RAFT_IO_APPEND_ENTRIES_RESULT: pass_result(guard, message); break;
    case RAFT_IO_INSTALL_SNAPSHOT: receive_snapshot(guard, message); break;
    case RAFT_IO_REQUEST_VOTE: receive_vote_request(guard, message); break;
    case RAFT_IO_TIMEOUT_NOW: receive_handover(guard, message); break;
    default: guard->recv(&guard->io, message); break; /* Vote results; not an enum of ours. */
    }
    guard_poll(guard);
}
