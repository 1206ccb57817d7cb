/*
 * Raft messages to bytes. The layout stands in raft_wire.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "raft_wire_format.h"

/* The callers have reserved what they put, so these cannot fail. */
static void put_bytes(struct buffer *out, const void *data, size_t size)
{
    bool put = buffer_append(out, data, size);
    assert(put);
}

static void put_u64(struct buffer *out, uint64_t value)
{
    uint64_t little = htole64(value);
    put_bytes(out, &little, sizeof little);
}

static void put_u32(struct buffer *out, uint32_t value)
{
    uint32_t little = htole32(value);
    put_bytes(out, &little, sizeof little);
}

static void put_header(struct buffer *out, unsigned type, unsigned flags, uint32_t count)
{
    uint8_t front[4] = {(uint8_t)type, RAFT_WIRE_VERSION, (uint8_t)flags, (uint8_t)(flags >> 8U)};
    put_bytes(out, front, sizeof front);
    put_u32(out, count);
}

static void put_padding(struct buffer *out, size_t size)
{
    static const uint8_t zeros[WIRE_ALIGNMENT];
    put_bytes(out, zeros, wire_padded(size) - size);
}

static void put_vote(struct buffer *out, const struct raft_request_vote *vote)
{
    put_header(
        out, RAFT_IO_REQUEST_VOTE,
        (vote->disrupt_leader ? WIRE_VOTE_DISRUPT : 0U) | (vote->pre_vote ? WIRE_VOTE_PRE : 0U), 0);
    put_u64(out, vote->term);
    put_u64(out, vote->candidate_id);
    put_u64(out, vote->last_log_index);
    put_u64(out, vote->last_log_term);
}

static void put_vote_result(struct buffer *out, const struct raft_request_vote_result *result)
{
    unsigned flags = result->vote_granted ? WIRE_RESULT_GRANTED : 0U;
    switch (result->pre_vote) {
    case raft_tribool_unknown: break;
    case raft_tribool_true: flags |= WIRE_RESULT_PRE_KNOWN | WIRE_RESULT_PRE; break;
    case raft_tribool_false: flags |= WIRE_RESULT_PRE_KNOWN; break;
    }
    put_header(out, RAFT_IO_REQUEST_VOTE_RESULT, flags, 0);
    put_u64(out, result->term);
}

static void put_append_result(struct buffer *out, const struct raft_append_entries_result *result,
                              uint64_t round)
{
    put_header(out, RAFT_IO_APPEND_ENTRIES_RESULT, 0, 0);
    put_u64(out, result->term);
    put_u64(out, result->rejected);
    put_u64(out, result->last_log_index);
    put_u64(out, round);
}

static void put_timeout_now(struct buffer *out, const struct raft_timeout_now *timeout_now)
{
    put_header(out, RAFT_IO_TIMEOUT_NOW, 0, 0);
    put_u64(out, timeout_now->term);
    put_u64(out, timeout_now->last_log_index);
    put_u64(out, timeout_now->last_log_term);
}

/* How many of the entries fit into one message, and the size of their bytes. */
static struct status fit_entries(const struct raft_append_entries *append, unsigned *count,
                                 size_t *size)
{
    size_t left = PEER_MESSAGE_SIZE_MAX - WIRE_APPEND_SIZE;
    raft_term term = append->prev_log_term;
    *count = 0;
    *size = 0;
    for (unsigned i = 0; i < append->n_entries && i < PEER_ENTRIES_MAX; i++) {
        const struct raft_entry *entry = &append->entries[i];
        struct status status = wire_check_entry(entry, term, append->term);
        if (failed(status)) {
            return status;
        }
        if (WIRE_ENTRY_SIZE + entry->buf.len > left) {
            return OK;
        }
        term = entry->term;
        left -= WIRE_ENTRY_SIZE + entry->buf.len;
        *size += entry->buf.len;
        *count += 1;
    }
    return OK;
}

static struct status encode_append(const struct raft_append_entries *append, uint64_t round,
                                   struct raft_wire_encoded *out)
{
    unsigned count = 0;
    size_t size = 0;
    struct status status = fit_entries(append, &count, &size);
    if (failed(status)) {
        return status;
    }
    struct buffer *head = &out->head;
    if (!buffer_reserve(head, WIRE_APPEND_SIZE + count * WIRE_ENTRY_SIZE)) {
        return fail(STATUS_NO_MEMORY, "encode a message");
    }
    uint64_t last = append->prev_log_index + count;
    bool cut = count < append->n_entries && append->leader_commit > last;
    put_header(head, RAFT_IO_APPEND_ENTRIES, 0, count);
    put_u64(head, append->term);
    put_u64(head, append->prev_log_index);
    put_u64(head, append->prev_log_term);
    put_u64(head, cut ? last : append->leader_commit);
    put_u64(head, round);
    for (unsigned i = 0; i < count; i++) {
        put_u64(head, append->entries[i].term);
        put_u32(head, (uint32_t)append->entries[i].buf.len);
        put_u32(head, append->entries[i].type);
    }
    out->entry_count = count;
    out->size = head->size + size;
    return OK;
}

static struct status check_servers(const struct raft_install_snapshot *install, size_t *size)
{
    *size = 0;
    if (install->conf.n == 0 || install->conf.n > CONSENSUS_NODES_MAX ||
        install->data.len > CONSENSUS_MANIFEST_SIZE_MAX) {
        return fail(STATUS_INVALID, "a snapshot has 1 to %u servers and at most %u bytes",
                    CONSENSUS_NODES_MAX, CONSENSUS_MANIFEST_SIZE_MAX);
    }
    for (unsigned i = 0; i < install->conf.n; i++) {
        size_t address_size = strlen(install->conf.servers[i].address);
        if (address_size >= CONSENSUS_ADDRESS_SIZE) {
            return fail(STATUS_INVALID, "a server's address has more than %u bytes",
                        CONSENSUS_ADDRESS_SIZE - 1);
        }
        *size += WIRE_SERVER_SIZE + wire_padded(address_size);
    }
    return OK;
}

static struct status encode_install(const struct raft_install_snapshot *install,
                                    struct raft_wire_encoded *out)
{
    size_t servers_size = 0;
    struct status status = check_servers(install, &servers_size);
    if (failed(status)) {
        return status;
    }
    struct buffer *head = &out->head;
    if (!buffer_reserve(head, WIRE_INSTALL_SIZE + servers_size + wire_padded(install->data.len))) {
        return fail(STATUS_NO_MEMORY, "encode a message");
    }
    put_header(head, RAFT_IO_INSTALL_SNAPSHOT, 0, install->conf.n);
    put_u64(head, install->term);
    put_u64(head, install->last_index);
    put_u64(head, install->last_term);
    put_u64(head, install->conf_index);
    put_u32(head, (uint32_t)install->data.len);
    put_u32(head, 0);
    for (unsigned i = 0; i < install->conf.n; i++) {
        const struct raft_server *server = &install->conf.servers[i];
        size_t address_size = strlen(server->address);
        put_u64(head, server->id);
        put_u32(head, (uint32_t)server->role);
        put_u32(head, (uint32_t)address_size);
        put_bytes(head, server->address, address_size);
        put_padding(head, address_size);
    }
    put_bytes(head, install->data.base, install->data.len);
    put_padding(head, install->data.len);
    out->size = head->size;
    return OK;
}

static struct status encode_small(const struct raft_wire_message *message,
                                  struct raft_wire_encoded *out)
{
    if (!buffer_reserve(&out->head, WIRE_APPEND_SIZE)) { /* None of them is larger. */
        return fail(STATUS_NO_MEMORY, "encode a message");
    }
    const struct raft_message *raft = &message->raft;
    switch (raft->type) {
    case RAFT_IO_REQUEST_VOTE: put_vote(&out->head, &raft->request_vote); break;
    case RAFT_IO_REQUEST_VOTE_RESULT:
        put_vote_result(&out->head, &raft->request_vote_result);
        break;
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        put_append_result(&out->head, &raft->append_entries_result, message->round);
        break;
    case RAFT_IO_TIMEOUT_NOW: put_timeout_now(&out->head, &raft->timeout_now); break;
    default: return fail(STATUS_INVALID, "no raft message has the type %u", raft->type);
    }
    out->size = out->head.size;
    return OK;
}

struct status raft_wire_encode(const struct raft_wire_message *message,
                               struct raft_wire_encoded *out)
{
    assert(out->head.size == 0);
    out->entry_count = 0;
    out->size = 0;
    struct status status = wire_check_numbers(message);
    if (failed(status)) {
        return wrap(status, "encode a raft message");
    }
    if (message->raft.type == RAFT_IO_APPEND_ENTRIES) {
        status = encode_append(&message->raft.append_entries, message->round, out);
    } else if (message->raft.type == RAFT_IO_INSTALL_SNAPSHOT) {
        status = encode_install(&message->raft.install_snapshot, out);
    } else {
        status = encode_small(message, out);
    }
    return failed(status) ? wrap(status, "encode a raft message") : OK;
}
