/*
 * Raft messages as bytes: our own encoding of every message of libraft 0.15.0.
 *
 * Decoding is strict: every length, count, type and flag is checked against what is there and
 * against the limits below before memory is reserved; bytes left over, unknown types and unknown
 * flags are refused. Nothing is asserted about bytes from outside.
 *
 * Layout, all numbers little-endian, all parts multiples of 8 bytes, so that entries lie aligned in
 * memory as libraft reads them:
 *
 *     u8 type (RAFT_IO_...), u8 version, u16 flags, u32 count, then by type
 *     REQUEST_VOTE           term, candidate_id, last_log_index, last_log_term   flags: disrupt,
 *                            pre-vote
 *     REQUEST_VOTE_RESULT    term           flags: granted, pre-vote known, pre-vote
 *     APPEND_ENTRIES         term, prev_log_index, prev_log_term, leader_commit, round;
 *                            `count` times: term, u32 size, u8 type, 3 zero bytes; then their bytes
 *     APPEND_ENTRIES_RESULT  term, rejected, last_log_index, round
 *     INSTALL_SNAPSHOT       term, last_index, last_term, conf_index, u32 data size, u32 zero;
 *                            `count` servers: id, u32 role, u32 address size, address and zero
 *                            bytes up to a multiple of 8; then the data, padded likewise
 *     TIMEOUT_NOW            term, last_log_index, last_log_term
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RAFT_WIRE_H
#define RAFT_WIRE_H

#include <raft.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "consensus/consensus.h"

#define RAFT_WIRE_VERSION 1U
#define PEER_MESSAGE_SIZE_MAX (16U << 20U) /* Bytes of one encoded message. */
#define PEER_ENTRIES_MAX 4096U             /* Of one AppendEntries. */
/* The largest entry that fits into a message; a multiple of 8 as every entry's size is. */
#define PEER_ENTRY_SIZE_MAX (PEER_MESSAGE_SIZE_MAX - 4096U)

struct raft_wire_message {
    struct raft_message raft;

    /* AppendEntries: a number of the leader's own. AppendEntriesResult: the number of the message
     * it answers. With it the leader learns, without a write to disk, that it was the leader after
     * the moment at which it chose the number. 0: none. */
    uint64_t round;
};

/* An encoded message: `head` owns the front, the entries' bytes stay where they are. */
struct raft_wire_encoded {
    struct buffer head;   /* Everything but the entries' bytes. */
    unsigned entry_count; /* Entries that fit; their bytes follow the head in order. */
    size_t size;          /* Bytes in all. */
};

/*
 * Encode. `out->head` must be empty or cleared; it may be used again. AppendEntries over a limit
 * are cut to the entries that fit, and leader_commit to the last of them.
 * STATUS_INVALID for what no receiver would take (names the field), STATUS_NO_MEMORY.
 */
MUST_USE struct status raft_wire_encode(const struct raft_wire_message *message,
                                        struct raft_wire_encoded *out);

/*
 * Decode the `size` bytes at `bytes`, which must come from raft_malloc().
 *
 * On success the message owns `bytes`, or it was freed: entries lie in it (they share one `batch`,
 * which is `bytes`), for other messages everything needed was copied out. server_id and
 * server_address are left zero: the connection knows them.
 * On failure, STATUS_INVALID (what is wrong) or STATUS_NO_MEMORY, `bytes` is still the caller's.
 */
MUST_USE struct status raft_wire_decode(void *bytes, size_t size, struct raft_wire_message *out);

/* Free what a decoded message owns. For messages that nobody was given. */
void raft_wire_release(struct raft_wire_message *message);

#endif
