/*
 * What the write-ahead log's tests share: opening without a thread, requests with their answers, and
 * entries whose content tells their index and term.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WAL_HARNESS_H
#define WAL_HARNESS_H

#include "disk.h"
#include "scratch.h"
#include "wal.h"

#define HARNESS_SEGMENT_SIZE WAL_SEGMENT_SIZE_MIN
#define HARNESS_COUNT_MAX 64

/* One append on its way. */
struct harness_append {
    struct wal_request request;
    struct raft_entry entries[HARNESS_COUNT_MAX];
    unsigned count;
    unsigned answers;
    struct status status;
};

/* Fill `size` bytes, a multiple of 8, with what follows from index and term. */
void harness_fill(uint8_t *out, size_t size, uint64_t index, uint64_t term);

/* Does the entry hold what harness_fill() writes? */
bool harness_matches(const struct raft_entry *entry, uint64_t index, uint64_t term);

/* Open a log without a thread; `disk` may be NULL. */
struct status harness_open(const char *directory, struct disk *disk, struct wal **out);
void harness_close(struct wal *wal);

/* What wal_close() said. */
struct status harness_try_close(struct wal *wal);

/* Make `count` entries from `first` on and append them; they go with harness_release(). */
/* Append one entry of the caller's, and wait for it. */
struct status harness_append_entry(struct wal *wal, struct harness_append *append,
                                   const struct raft_entry *entry);
struct status harness_append(struct wal *wal, struct harness_append *append, uint64_t first,
                             uint64_t term, unsigned count, size_t size);
void harness_release(struct harness_append *append);

/* Append, pump, and release: the status of whichever failed. */
struct status harness_append_now(struct wal *wal, uint64_t first, uint64_t term, unsigned count,
                                 size_t size);

/* Store a snapshot, and pump. */
struct status harness_put(struct wal *wal, const struct raft_snapshot *snapshot, unsigned trailing);

/* The same with one of one server whose manifest is harness_fill()ed. */
struct status harness_snapshot(struct wal *wal, uint64_t index, uint64_t term, unsigned trailing);

/* Load and check that exactly entries `start` to `last` of `term` are there; 0 for any term. */
void harness_expect(struct wal *wal, uint64_t term, uint64_t vote, uint64_t start, uint64_t last);

#endif
