/*
 * What raft_wire_encode.c and raft_wire_decode.c share: sizes, flags, and the checks that a message
 * passes before it goes out and after it came in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RAFT_WIRE_FORMAT_H
#define RAFT_WIRE_FORMAT_H

#include "raft_wire.h"

#define WIRE_ALIGNMENT 8U
#define WIRE_HEADER_SIZE 8U /* Type, version, flags, count. */
#define WIRE_APPEND_SIZE (WIRE_HEADER_SIZE + 5U * 8U)
#define WIRE_ENTRY_SIZE 16U
#define WIRE_INSTALL_SIZE (WIRE_HEADER_SIZE + 5U * 8U)
#define WIRE_SERVER_SIZE 16U

#define WIRE_VOTE_DISRUPT 1U /* Flags of RequestVote. */
#define WIRE_VOTE_PRE 2U
#define WIRE_RESULT_GRANTED 1U /* Flags of RequestVoteResult. */
#define WIRE_RESULT_PRE_KNOWN 2U
#define WIRE_RESULT_PRE 4U

static inline size_t wire_padded(size_t size)
{
    return (size + WIRE_ALIGNMENT - 1) / WIRE_ALIGNMENT * WIRE_ALIGNMENT;
}

/* Numbers no raft node sends, for its own reasons: see the .c file. Entries and configurations are
 * not looked at. */
MUST_USE struct status wire_check_numbers(const struct raft_wire_message *message);

/* One entry's own fields and, for RAFT_CHANGE, that its bytes are a configuration libraft can
 * decode: libraft itself does not check where it reads. */
MUST_USE struct status wire_check_entry(const struct raft_entry *entry, raft_term term_min,
                                        raft_term term_max);

#endif
