/*
 * The guard's side of outgoing messages: rules ACKCLAMP, NULLADDR, XFER, LOGBYTES and
 * PREVOTE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guard_parts.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "raft_view.h"

/* An AppendEntries that holds references to entries. */
struct guard_send {
    struct raft_io_send request; /* Given to the io below. */
    struct guard *guard;
    struct raft_io_send *original;
    raft_io_send_cb callback;
};

void guard_match_note(struct guard *guard, raft_index index)
{
    if (guard->match_term != guard->raft->current_term) {
        guard->match_term = guard->raft->current_term;
        guard->match = 0;
    }
    guard->match = index > guard->match ? index : guard->match;
}

/* The highest index known to equal the present leader's log. */
static raft_index match_limit(const struct guard *guard)
{
    raft_index match = guard->match_term == guard->raft->current_term ? guard->match : 0;
    return match > guard->raft->commit_index ? match : guard->raft->commit_index;
}

static void clamp(struct guard *guard, struct raft_append_entries_result *result)
{
    const struct raft_append_entries *received = guard->receiving;
    if (received != NULL && received->term == guard->raft->current_term) {
        raft_index end = received->prev_log_index + received->n_entries;
        raft_term term = received->n_entries > 0 ? received->entries[received->n_entries - 1].term
                                                 : received->prev_log_term;
        if (end != 0 && raft_view_term(guard->raft, end) == term) {
            guard_match_note(guard, end);
        }
    }
    raft_index limit = match_limit(guard);
    if (result->last_log_index > limit) {
        result->last_log_index = limit;
        guard_note(guard, GUARD_ACKCLAMP);
    }
}

static void tell_term(struct guard *guard, struct raft_request_vote_result *result)
{
    if (!result->vote_granted && result->term < guard->raft->current_term) {
        result->term = guard->raft->current_term;
        guard_note(guard, GUARD_PREVOTE);
    }
}

static struct guard_cut *cut_slot(struct guard *guard, raft_id id)
{
    struct guard_cut *free_slot = NULL;
    for (unsigned i = 0; i < CONSENSUS_NODES_MAX; i++) {
        struct guard_cut *cut = &guard->cuts[i];
        if (cut->id == id) {
            return cut;
        }
        free_slot = free_slot == NULL && cut->id == 0 ? cut : free_slot;
    }
    return free_slot;
}

/* How many of the entries may go out: those that the network takes in one message, at least one
 * (rule LOGBYTES), but none from a change on that is not on our own disk (rule CHANGE). */
static unsigned sendable(struct guard *guard, const struct raft_append_entries *message)
{
    const struct raft *raft = guard->raft;
    bool limited = guard_has(guard, GUARD_LOGBYTES);
    size_t size = 0;
    for (unsigned i = 0; i < message->n_entries; i++) {
        const struct raft_entry *entry = &message->entries[i];
        size += entry->buf.len;
        if (limited && i > 0 &&
            (size > guard->options.message_size_max || i == GUARD_MESSAGE_ENTRIES_MAX)) {
            guard_note(guard, GUARD_LOGBYTES);
            return i;
        }
        if (entry->type == RAFT_CHANGE && message->prev_log_index + 1 + i > raft->last_stored &&
            guard_has(guard, GUARD_CHANGE)) {
            guard_note(guard, GUARD_CHANGE);
            return i;
        }
    }
    return message->n_entries;
}

static void cut_entries(struct guard *guard, struct raft_message *message)
{
    struct raft_append_entries *entries = &message->append_entries;
    struct guard_cut *cut = cut_slot(guard, message->server_id);
    if (cut == NULL) {
        return; /* More servers than there can be; the peer's own limit holds. */
    }
    unsigned count = sendable(guard, entries);
    *cut = (struct guard_cut){0};
    if (count < entries->n_entries) {
        entries->n_entries = count;
        *cut = (struct guard_cut){.id = message->server_id,
                                  .term = entries->term,
                                  .end = entries->prev_log_index + count};
    }
}

void guard_cuts_mend(struct guard *guard)
{
    struct raft *raft = guard->raft;
    for (unsigned i = 0; i < CONSENSUS_NODES_MAX; i++) {
        struct guard_cut *cut = &guard->cuts[i];
        if (cut->id == 0) {
            continue;
        }
        unsigned server = raft_view_server(raft, cut->id);
        if (raft->state == RAFT_LEADER && raft->current_term == cut->term &&
            server < raft->configuration.n &&
            raft->leader_state.progress[server].next_index > cut->end + 1) {
            raft->leader_state.progress[server].next_index = cut->end + 1;
        }
        *cut = (struct guard_cut){0};
    }
}

static void entries_on_sent(struct raft_io_send *request, int status)
{
    struct guard_send *send = request->data;
    struct raft_io_send *original = send->original;
    raft_io_send_cb callback = send->callback;
    struct guard *guard = send->guard;
    guard->entry_sends--;
    free(send);
    callback(original, status);
    if (!guard->closing) {
        guard_poll(guard);
    }
}

static int send_entries(struct guard *guard, struct raft_io_send *request,
                        struct raft_message *message, raft_io_send_cb callback)
{
    struct guard_send *send = alloc_zeroed(1, sizeof *send);
    if (send == NULL) {
        return RAFT_NOMEM;
    }
    *send = (struct guard_send){.guard = guard, .original = request, .callback = callback};
    send->request.data = send;
    cut_entries(guard, message);
    guard->entry_sends++;
    int code = guard->below->send(guard->below, &send->request, message, entries_on_sent);
    if (code != 0) {
        guard->entry_sends--;
        free(send);
    }
    return code;
}

static void handover_on_sent(struct raft_io_send *request, int status)
{
    (void)status;
    free(request);
}

static int send_handover(struct guard *guard, const struct raft_message *message)
{
    struct raft_io_send *request = alloc_zeroed(1, sizeof *request);
    if (request == NULL) {
        return RAFT_NOMEM;
    }
    guard_note(guard, GUARD_XFER);
    int code = guard->below->send(guard->below, request, message, handover_on_sent);
    if (code != 0) {
        free(request);
    }
    return code;
}

/* After a failure nothing leaves. Results and vote requests must not be refused at once, though:
 * libraft would free the message they answer twice. They wait for the end. */
static int swallow(struct guard *guard, struct raft_io_send *request,
                   const struct raft_message *message, raft_io_send_cb callback)
{
    if (message->type == RAFT_IO_APPEND_ENTRIES || message->type == RAFT_IO_INSTALL_SNAPSHOT ||
        message->type == RAFT_IO_TIMEOUT_NOW) {
        return RAFT_NOCONNECTION;
    }
    request->cb = callback;
    request->data = guard->swallowed; /* No callback of these kinds reads it. */
    guard->swallowed = request;
    return 0;
}

void guard_send_closed(struct guard *guard)
{
    while (guard->swallowed != NULL) {
        struct raft_io_send *request = guard->swallowed;
        guard->swallowed = request->data;
        request->cb(request, RAFT_CANCELED);
    }
}

int guard_io_send(struct raft_io *io, struct raft_io_send *request,
                  const struct raft_message *message, raft_io_send_cb callback)
{
    struct guard *guard = guard_of(io);
    struct raft_message copy = *message;
    bool has_address = message->server_id != 0 && message->server_address != NULL;
    if (guard->failed) {
        return swallow(guard, request, message, callback);
    }
    if (!has_address && guard_has(guard, GUARD_NULLADDR)) {
        guard_note(guard, GUARD_NULLADDR);
        return RAFT_NOCONNECTION; /* libraft takes this well where it has no address. */
    }
    if (copy.type == RAFT_IO_APPEND_ENTRIES && copy.append_entries.n_entries > 0) {
        return send_entries(guard, request, &copy, callback);
    }
    if (copy.type == RAFT_IO_TIMEOUT_NOW && guard_has(guard, GUARD_XFER)) {
        return send_handover(guard, &copy);
    }
    if (copy.type == RAFT_IO_APPEND_ENTRIES_RESULT && copy.append_entries_result.rejected == 0 &&
        guard_has(guard, GUARD_ACKCLAMP)) {
        clamp(guard, &copy.append_entries_result);
    }
    if (copy.type == RAFT_IO_REQUEST_VOTE_RESULT && guard_has(guard, GUARD_PREVOTE)) {
        tell_term(guard, &copy.request_vote_result);
    }
    return guard->below->send(guard->below, request, &copy, callback);
}
