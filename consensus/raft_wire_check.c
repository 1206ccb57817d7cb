/*
 * Raft messages: what must hold of every message, in either direction.
 *
 * These are not raft's own rules, which libraft and the guard keep, but what both take for granted:
 * terms and ids begin at 1, indexes do not overflow, entries are of a known type, of sizes that are
 * multiples of 8, and their terms never fall.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "raft_wire_format.h"

#include <string.h>

#define INDEX_MAX (UINT64_MAX / 4) /* Far from any overflow of sums. */
#define CONFIGURATION_FORMAT 1     /* First byte of libraft's encoding. */

static struct status check_index(const char *name, uint64_t value)
{
    return value <= INDEX_MAX ? OK : fail(STATUS_INVALID, "%s is out of range", name);
}

/* A position in the log: index and term are both zero, at its beginning, or neither. */
static struct status check_position(const char *name, uint64_t index, uint64_t term,
                                    uint64_t term_max)
{
    if ((index == 0) != (term == 0) || term > term_max) {
        return fail(STATUS_INVALID, "%s has index and term that do not fit", name);
    }
    return check_index(name, index);
}

static struct status check_append(const struct raft_append_entries *append)
{
    struct status status = check_position("previous entry", append->prev_log_index,
                                          append->prev_log_term, append->term);
    if (failed(status)) {
        return status;
    }
    return check_index("leader commit", append->leader_commit);
}

static struct status check_vote(const struct raft_request_vote *vote)
{
    if (vote->candidate_id == 0) {
        return fail(STATUS_INVALID, "candidate id is 0");
    }
    return check_position("last entry", vote->last_log_index, vote->last_log_term, vote->term);
}

static struct status check_install(const struct raft_install_snapshot *install)
{
    if (install->last_index == 0 || install->conf_index > install->last_index) {
        return fail(STATUS_INVALID, "snapshot index is out of range");
    }
    return check_position("snapshot", install->last_index, install->last_term, install->term);
}

static struct status check_result(const struct raft_append_entries_result *result)
{
    struct status status = check_index("rejected index", result->rejected);
    return failed(status) ? status : check_index("last index", result->last_log_index);
}

static struct status check_term(uint64_t term)
{
    return term > 0 && term <= INDEX_MAX ? OK : fail(STATUS_INVALID, "term is out of range");
}

struct status wire_check_numbers(const struct raft_wire_message *message)
{
    const struct raft_message *raft = &message->raft;
    struct status status = fail(STATUS_INVALID, "no raft message has the type %u", raft->type);
    switch (raft->type) {
    case RAFT_IO_APPEND_ENTRIES:
        status = check_term(raft->append_entries.term);
        return failed(status) ? status : check_append(&raft->append_entries);
    case RAFT_IO_APPEND_ENTRIES_RESULT:
        status = check_term(raft->append_entries_result.term);
        return failed(status) ? status : check_result(&raft->append_entries_result);
    case RAFT_IO_REQUEST_VOTE:
        status = check_term(raft->request_vote.term);
        return failed(status) ? status : check_vote(&raft->request_vote);
    case RAFT_IO_REQUEST_VOTE_RESULT: return check_term(raft->request_vote_result.term);
    case RAFT_IO_INSTALL_SNAPSHOT:
        status = check_term(raft->install_snapshot.term);
        return failed(status) ? status : check_install(&raft->install_snapshot);
    case RAFT_IO_TIMEOUT_NOW:
        status = check_term(raft->timeout_now.term);
        return failed(status)
                   ? status
                   : check_position("last entry", raft->timeout_now.last_log_index,
                                    raft->timeout_now.last_log_term, raft->timeout_now.term);
    default: return status; /* libraft's types are numbers of an unnamed enum. */
    }
}

/* One server of libraft's encoding of a configuration: u64 id, text, zero byte, u8 role. Moves
 * `*at`; false if it is not there in full or out of range. */
static bool skip_server(const uint8_t **at, const uint8_t *end)
{
    uint64_t id = 0;
    if ((size_t)(end - *at) < sizeof id) {
        return false;
    }
    memcpy(&id, *at, sizeof id);
    const uint8_t *address = *at + sizeof id;
    const uint8_t *zero = memchr(address, 0, (size_t)(end - address));
    if (id == 0 || zero == NULL || zero - address >= CONSENSUS_ADDRESS_SIZE || end - zero < 2) {
        return false;
    }
    *at = zero + 2;
    return zero[1] == RAFT_STANDBY || zero[1] == RAFT_VOTER || zero[1] == RAFT_SPARE;
}

static bool is_configuration(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = bytes + size;
    uint64_t count = 0;
    if (size < 1 + sizeof count || bytes[0] != CONFIGURATION_FORMAT) {
        return false;
    }
    memcpy(&count, bytes + 1, sizeof count);
    if (count == 0 || count > CONSENSUS_NODES_MAX) {
        return false;
    }
    const uint8_t *at = bytes + 1 + sizeof count;
    for (uint64_t i = 0; i < count; i++) {
        if (!skip_server(&at, end)) {
            return false;
        }
    }
    return (size_t)(end - at) < WIRE_ALIGNMENT; /* Padding. */
}

struct status wire_check_entry(const struct raft_entry *entry, raft_term term_min,
                               raft_term term_max)
{
    if (entry->type < RAFT_COMMAND || entry->type > RAFT_CHANGE) {
        return fail(STATUS_INVALID, "no entry has the type %u", entry->type);
    }
    if (entry->term == 0 || entry->term < term_min || entry->term > term_max) {
        return fail(STATUS_INVALID, "an entry's term is out of range");
    }
    if (entry->buf.len > PEER_ENTRY_SIZE_MAX || entry->buf.len % WIRE_ALIGNMENT != 0) {
        return fail(STATUS_INVALID, "an entry has %zu bytes: at most %u, a multiple of %u",
                    entry->buf.len, PEER_ENTRY_SIZE_MAX, WIRE_ALIGNMENT);
    }
    if (entry->type == RAFT_CHANGE && !is_configuration(entry->buf.base, entry->buf.len)) {
        return fail(STATUS_INVALID, "an entry is not the configuration it says it is");
    }
    return OK;
}
