/*
 * Proposals: what is proposed in one turn of the loop becomes one entry.
 *
 *     consensus_propose -> collected -> (end of the turn) -> entry -> raft_apply
 *     committed -> propose_apply -> machine -> outcomes -> entry finished -> (next turn) -> done
 *
 * At most NODE_PIPELINE_MAX entries of ours are on the way; while they are, proposals collect, and
 * the next entry is larger. An idle node sends the first proposal at the end of its turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "node.h"

struct entry {
    struct raft_apply request;
    struct consensus *node;
    struct proposal *proposals; /* In order. */
    size_t count;
    struct outcome *outcomes; /* `count`; valid if status is OK. */
    struct status status;
    struct entry *next;
};

static struct status may_propose(struct consensus *node, size_t size)
{
    const struct proposals *proposals = &node->proposals;
    if (!node_is_leader(node)) {
        return fail(STATUS_NOT_LEADER, "this node is not the leader");
    }
    if (size == 0 || size > CONSENSUS_COMMAND_SIZE_MAX ||
        batch_size(1, size) > wal_entry_size_max(node->wal)) {
        return fail(STATUS_INVALID, "a command of %zu bytes", size);
    }
    if (node->raft.transfer != NULL) {
        return fail(STATUS_BUSY, "leadership is being handed over");
    }
    if (!node_has_quorum(node)) {
        return fail(STATUS_NO_QUORUM, "too few voters answer this leader");
    }
    if (proposals->pending_size + size > node->options.pending_size_max) {
        return fail(STATUS_BUSY, "%zu bytes of proposals wait for an answer",
                    proposals->pending_size);
    }
    struct status status = node_room(node, false);
    return failed(status) ? status : wal_can_append(node->wal, batch_size(1, size), 1);
}

struct status consensus_propose(struct consensus *consensus, struct proposal *proposal,
                                struct slice command, proposal_done done)
{
    struct proposals *proposals = &consensus->proposals;
    struct status status = may_propose(consensus, command.size);
    if (failed(status)) {
        return status;
    }
    size_t offset = proposals->bytes_start + proposals->bytes.size;
    if (fault_fires(FAULT_NODE_PROPOSE) ||
        !buffer_append(&proposals->bytes, command.data, command.size)) {
        return fail(STATUS_NO_MEMORY, "proposal of %zu bytes", command.size);
    }
    proposal->done = done;
    proposal->next = NULL;
    proposal->offset = offset;
    proposal->size = command.size;
    *proposals->last = proposal;
    proposals->last = &proposal->next;
    proposals->pending_size += command.size;
    consensus->proposal_count++;
    return OK;
}

static void finish(struct entry *entry, struct status status)
{
    struct proposals *proposals = &entry->node->proposals;
    entry->status = status;
    entry->next = NULL;
    *proposals->finished_last = entry;
    proposals->finished_last = &entry->next;
}

static void entry_on_applied(struct raft_apply *request, int code, void *result)
{
    struct entry *entry = request->data;
    struct proposals *proposals = &entry->node->proposals;
    (void)result;
    proposals->entry_count--;
    if (code != 0) {
        finish(entry, fail(STATUS_UNKNOWN, "leadership was lost before the answer"));
        return;
    }
    memcpy(entry->outcomes, proposals->outcomes, entry->count * sizeof *entry->outcomes);
    finish(entry, OK);
}

/* Take the first proposals that fit into one entry off the list; their commands are in the
 * scratch array. */
static struct entry *take(struct consensus *node, size_t *size)
{
    struct proposals *proposals = &node->proposals;
    struct entry *entry = alloc_zeroed(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    struct proposal **end = &proposals->first;
    entry->node = node;
    entry->proposals = proposals->first;
    for (*size = 0; *end != NULL && entry->count < BATCH_COUNT_MAX; end = &(*end)->next) {
        const struct proposal *proposal = *end;
        size_t grown = *size + proposal->size;
        if (entry->count > 0 &&
            (batch_size(entry->count + 1, grown) > BATCH_SIZE_MAX ||
             batch_size(entry->count + 1, grown) > wal_entry_size_max(node->wal))) {
            break;
        }
        proposals->commands[entry->count++] = (struct slice){
            .data = proposals->bytes.data + (proposal->offset - proposals->bytes_start),
            .size = proposal->size};
        *size = grown;
    }
    entry->outcomes = alloc_zeroed(entry->count, sizeof *entry->outcomes);
    if (entry->outcomes == NULL) {
        free(entry);
        return NULL;
    }
    struct proposal *rest = *end;
    *end = NULL;
    proposals->first = rest;
    proposals->last = rest == NULL ? &proposals->first : proposals->last;
    return entry;
}

/* Forget the bytes of proposals that became entries. */
static void forget_bytes(struct proposals *proposals)
{
    if (proposals->first == NULL) {
        proposals->bytes_start += proposals->bytes.size;
        buffer_clear(&proposals->bytes);
        return;
    }
    size_t gone = proposals->first->offset - proposals->bytes_start;
    if (gone > proposals->bytes.size / 2) { /* Each byte moves at most once on average. */
        buffer_consume(&proposals->bytes, gone);
        proposals->bytes_start += gone;
    }
}

static void submit(struct consensus *node, struct entry *entry, size_t size)
{
    struct proposals *proposals = &node->proposals;
    struct raft_buffer buffer = {.len = batch_size(entry->count, size)};
    struct status status = wal_can_append(node->wal, buffer.len, 1);
    if (failed(status)) {
        finish(entry, wrap(status, "propose"));
        return;
    }
    buffer.base = raft_malloc(buffer.len);
    if (buffer.base == NULL) {
        finish(entry, fail(STATUS_NO_MEMORY, "propose %zu bytes", buffer.len));
        return;
    }
    batch_encode(proposals->commands, entry->count, buffer.base);
    entry->request.data = entry;
    int code = raft_apply(&node->raft, &entry->request, &buffer, 1, entry_on_applied);
    if (code != 0) {
        raft_free(buffer.base);
        finish(entry, node_status_of(code, "propose"));
    } else {
        proposals->entry_count++;
        node->entry_count++;
    }
    guard_poll(node->guard);
}

void propose_turn(struct consensus *node)
{
    struct proposals *proposals = &node->proposals;
    while (proposals->first != NULL && proposals->entry_count < NODE_PIPELINE_MAX) {
        size_t size = 0;
        struct entry *entry = take(node, &size);
        if (entry == NULL) {
            return; /* Memory may be back at the next turn. */
        }
        submit(node, entry, size);
        forget_bytes(proposals);
    }
}

void propose_deliver(struct consensus *node)
{
    struct proposals *proposals = &node->proposals;
    while (proposals->finished != NULL) {
        struct entry *entry = proposals->finished;
        proposals->finished = entry->next;
        if (entry->next == NULL) {
            proposals->finished_last = &proposals->finished;
        }
        size_t i = 0;
        struct proposal *next = NULL;
        for (struct proposal *proposal = entry->proposals; proposal != NULL; proposal = next) {
            next = proposal->next; /* Its owner may free it in the call. */
            proposals->pending_size -= proposal->size;
            proposal->done(proposal, entry->status, entry->outcomes[i++]);
        }
        free(entry->outcomes);
        free(entry);
    }
}

void propose_abandon(struct consensus *node)
{
    struct proposals *proposals = &node->proposals;
    while (proposals->first != NULL) {
        struct proposal *proposal = proposals->first;
        proposals->first = proposal->next;
        proposals->pending_size -= proposal->size;
        proposal->done(proposal, fail(STATUS_UNKNOWN, "this node stopped"), (struct outcome){0});
    }
    proposals->last = &proposals->first;
}

/* ---- The way back ---- */

static struct status apply(struct consensus *node, uint64_t index, struct slice bytes)
{
    struct proposals *proposals = &node->proposals;
    const struct machine *machine = &node->options.machine;
    size_t count = 0;
    struct status status = batch_decode(bytes, proposals->commands, &count);
    if (failed(status)) {
        return status;
    }
    return machine->apply(machine->context, index, proposals->commands, count, proposals->outcomes);
}

int propose_apply(struct raft_fsm *fsm, const struct raft_buffer *buffer, void **result)
{
    struct consensus *node = fsm->data;
    const struct machine *machine = &node->options.machine;
    uint64_t index = raft_last_applied(&node->raft) + 1;
    *result = NULL;
    node->log_size += buffer->len;
    if (failed(node->failure)) {
        return RAFT_SHUTDOWN;
    }
    if (index <= machine->applied_index(machine->context)) {
        return 0; /* A replay: the store had it before the restart, or got it with an image. */
    }
    struct status status =
        apply(node, index, (struct slice){.data = buffer->base, .size = buffer->len});
    if (failed(status)) {
        node_fail(node, wrap(status, "apply entry %llu", (unsigned long long)index));
        return RAFT_SHUTDOWN;
    }
    return 0;
}

void propose_open(struct consensus *node)
{
    node->proposals.last = &node->proposals.first;
    node->proposals.finished_last = &node->proposals.finished;
}

void propose_release(struct consensus *node)
{
    assert(node->proposals.first == NULL && node->proposals.finished == NULL);
    buffer_release(&node->proposals.bytes);
}
