/*
 * Replaying segments into entries, while the log is opened.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WAL_REPLAY_H
#define WAL_REPLAY_H

#include "wal_state.h"

/* A .wal file found. */
struct segment {
    uint64_t number;
    struct wal_header header;
    bool used; /* Part of the chain. */
    struct wal_begin begin;
    uint64_t first_index; /* Of its BEGIN. */
};

struct segments {
    struct segment *items; /* Newest first. */
    size_t count;
    size_t used_count; /* These follow each other: items[used_from] is the newest used one. */
    size_t used_from;
};

/* Entries in raft's memory. Neighbours share a batch: raft looks through its whole log for another
 * owner of a batch when it frees an entry, and finds it at once if it is the next. */
struct replay_entries {
    struct raft_entry *items;
    size_t count;
    size_t capacity;
    uint8_t *batch; /* That is being filled. */
    size_t batch_used;
    size_t batch_size;
};

struct replay {
    raft_term term;
    raft_id vote;
    raft_index start;
    struct replay_entries entries;
    size_t end;      /* Of the newest segment: offset after its last record. */
    size_t synced;   /* The offset up to which that record vouches for what is before it. */
    uint8_t *newest; /* Its bytes. */
    bool closed;     /* The last record is a CLOSE. */
    bool dirty;      /* Something after the end looks like a record. */
    bool begun;      /* A BEGIN was read. */
};

/* Open and check all headers, and find the chain. */
MUST_USE struct status segments_open(struct wal *wal, const uint64_t *numbers, size_t count,
                                     struct segments *out);

/* Replay the chain; makes `wal->oldest` to `wal->current`, and opens the current one. */
MUST_USE struct status replay_segments(struct wal *wal, const struct segments *segments,
                                       struct replay *replay);

/* Forget the entries from `index` on. */
void replay_truncate(struct replay *replay, raft_index index);
void replay_release(struct replay *replay);

#endif
