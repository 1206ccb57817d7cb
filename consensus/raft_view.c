/*
 * Reading libraft's log and configuration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raft_view.h"

#include <assert.h>
#include <string.h>

#include "consensus/consensus.h"

size_t raft_view_count(const struct raft *raft)
{
    const struct raft_log *log = &raft->log;
    return log->front <= log->back ? log->back - log->front : log->size - log->front + log->back;
}

raft_index raft_view_last(const struct raft *raft)
{
    return raft->log.offset + raft_view_count(raft);
}

const struct raft_entry *raft_view_entry(const struct raft *raft, raft_index index)
{
    const struct raft_log *log = &raft->log;
    if (index <= log->offset || index > raft_view_last(raft)) {
        return NULL;
    }
    return &log->entries[(log->front + (size_t)(index - log->offset - 1)) % log->size];
}

raft_term raft_view_term(const struct raft *raft, raft_index index)
{
    if (index != 0 && index == raft->log.snapshot.last_index) {
        return raft->log.snapshot.last_term;
    }
    const struct raft_entry *entry = raft_view_entry(raft, index);
    return entry == NULL ? 0 : entry->term;
}

raft_index raft_view_conflict(const struct raft *raft, const struct raft_append_entries *message)
{
    for (unsigned i = 0; i < message->n_entries; i++) {
        raft_index index = message->prev_log_index + 1 + i;
        raft_term term = raft_view_term(raft, index);
        if (term == 0) {
            return 0;
        }
        if (term != message->entries[i].term) {
            return index;
        }
    }
    return 0;
}

unsigned raft_view_server(const struct raft *raft, raft_id id)
{
    unsigned i = 0;
    while (i < raft->configuration.n && raft->configuration.servers[i].id != id) {
        i++;
    }
    return i;
}

unsigned raft_view_voters(const struct raft *raft)
{
    unsigned count = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        count += raft->configuration.servers[i].role == RAFT_VOTER;
    }
    return count;
}

static bool is_alone(const struct raft_configuration *configuration, raft_id id)
{
    unsigned voters = 0;
    bool is_voter = false;
    for (unsigned i = 0; i < configuration->n; i++) {
        const struct raft_server *server = &configuration->servers[i];
        voters += server->role == RAFT_VOTER;
        is_voter = is_voter || (server->role == RAFT_VOTER && server->id == id);
    }
    return is_voter && voters == 1;
}

bool raft_view_is_alone(const struct raft *raft)
{
    return is_alone(&raft->configuration, raft->id);
}

bool raft_view_starts_alone(raft_id id, const struct raft_snapshot *snapshot,
                            const struct raft_entry *entries, size_t count)
{
    struct raft_configuration configuration;
    for (size_t i = count; i > 0; i--) {
        const struct raft_entry *entry = &entries[i - 1];
        if (entry->type != RAFT_CHANGE) {
            continue;
        }
        if (raft_view_decode(entry->buf.base, entry->buf.len, &configuration) != 0) {
            return false;
        }
        bool alone = is_alone(&configuration, id);
        raft_configuration_close(&configuration);
        return alone;
    }
    return snapshot != NULL && is_alone(&snapshot->configuration, id);
}

raft_index raft_view_quorum(const struct raft *raft, raft_id from, raft_index acknowledged)
{
    raft_index sorted[CONSENSUS_NODES_MAX]; /* Falling. */
    unsigned count = 0;
    for (unsigned i = 0; i < raft->configuration.n && count < CONSENSUS_NODES_MAX; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        if (server->role != RAFT_VOTER) {
            continue;
        }
        raft_index match =
            server->id == raft->id ? raft->last_stored : raft->leader_state.progress[i].match_index;
        match = server->id == from && acknowledged > match ? acknowledged : match;
        unsigned at = count++;
        for (; at > 0 && sorted[at - 1] < match; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = match;
    }
    return count == 0 ? 0 : sorted[count / 2];
}

int raft_view_decode(const void *data, size_t size, struct raft_configuration *out)
{
    /* Format byte 1; count, 8 bytes; then each server: id, 8 bytes, address with its zero byte,
     * role, 1 byte. Integers are little-endian; padded with zeros to 8. */
    const char *at = data;
    const char *end = at + size;
    uint64_t count = 0;
    raft_configuration_init(out);
    if (size < 9 || at[0] != 1) {
        return RAFT_MALFORMED;
    }
    memcpy(&count, at + 1, sizeof count);
    at += 9;
    int code = count > CONSENSUS_NODES_MAX ? RAFT_MALFORMED : 0;
    for (uint64_t i = 0; i < count && code == 0; i++) {
        uint64_t id = 0;
        const char *zero = (size_t)(end - at) > sizeof id
                               ? memchr(at + sizeof id, '\0', (size_t)(end - at) - sizeof id)
                               : NULL;
        if (zero == NULL || end - zero < 2) {
            code = RAFT_MALFORMED;
            break;
        }
        memcpy(&id, at, sizeof id);
        code = raft_configuration_add(out, id, at + sizeof id, zero[1]);
        at = zero + 2;
    }
    if (code != 0) {
        raft_configuration_close(out);
    }
    return code;
}

int raft_view_copy(const struct raft_configuration *from, struct raft_configuration *out)
{
    raft_configuration_init(out);
    for (unsigned i = 0; i < from->n; i++) {
        const struct raft_server *server = &from->servers[i];
        int code = raft_configuration_add(out, server->id, server->address, server->role);
        if (code != 0) {
            raft_configuration_close(out);
            return code;
        }
    }
    return 0;
}

void raft_view_drop(struct raft_message *message)
{
    if (message->type == RAFT_IO_APPEND_ENTRIES && message->append_entries.n_entries > 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
    } else if (message->type == RAFT_IO_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
    }
}
