/*
 * Reading libraft's in-memory log and configuration, which its public functions do not show.
 *
 * The structs are public in <raft.h> but their layout is that of 0.15.0; the build refuses another
 * version (CMakeLists.txt). Nothing here changes anything, but for raft_view_decode().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RAFT_VIEW_H
#define RAFT_VIEW_H

#include <raft.h>
#include <stdbool.h>
#include <stddef.h>

size_t raft_view_count(const struct raft *raft); /* Entries in memory. */
raft_index raft_view_last(const struct raft *raft);

/* NULL if the entry is not in memory. */
const struct raft_entry *raft_view_entry(const struct raft *raft, raft_index index);

/* 0 if unknown; also knows the last entry of the snapshot. */
raft_term raft_view_term(const struct raft *raft, raft_index index);

/* The index of the first entry of the message that differs from the log, or 0. */
raft_index raft_view_conflict(const struct raft *raft, const struct raft_append_entries *message);

/* The server's position in the configuration, or configuration.n. */
unsigned raft_view_server(const struct raft *raft, raft_id id);
unsigned raft_view_voters(const struct raft *raft);

/* Is this node the only voter, as it sees it? Will it be, having read this? */
bool raft_view_is_alone(const struct raft *raft);
bool raft_view_starts_alone(raft_id id, const struct raft_snapshot *snapshot,
                            const struct raft_entry *entries, size_t count);

/* The highest index that a majority of voters has on disk, as far as acknowledged; `acknowledged`
 * is a newer word of `from` (0: none). */
raft_index raft_view_quorum(const struct raft *raft, raft_id from, raft_index acknowledged);

/* Decode a configuration in libraft's format into `*out`, which is initialised here and to be
 * closed by the caller on success. 0, RAFT_MALFORMED or RAFT_NOMEM. */
int raft_view_decode(const void *data, size_t size, struct raft_configuration *out);

/* Copy a configuration. As above. */
int raft_view_copy(const struct raft_configuration *from, struct raft_configuration *out);

/* Free what a received message owns, when it is not handed on. */
void raft_view_drop(struct raft_message *message);

#endif
