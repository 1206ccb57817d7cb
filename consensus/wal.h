/*
 * The write-ahead log: term, vote, entries and the last snapshot's manifest, on this node's disk.
 *
 * What a call promised is on the disk when it says so, survives kill -9 and power loss, and is
 * found again by the next wal_open(). Nothing else in this room writes what raft must not forget.
 *
 *     wal_open -> [wal_bootstrap] -> wal_load -> wal_append ... wal_close
 *
 * Requests are queued in the order of the calls; one writer takes everything that is queued, writes
 * it with as few pwritev() as fit and one fdatasync(), and then answers all of it: group commit.
 * Truncations, snapshots and changes of term and vote go through the same queue, so that they never
 * overtake an append.
 *
 * Threads: all functions here are called on the loop's thread, and answers come from the loop
 * (uv_async), never from within the call that was answered. With `loop` NULL there is no thread and
 * no loop: the caller runs the queue with wal_pump(), from which the answers come, and a simulation
 * is deterministic.
 *
 * Failures: a failed write or sync of the log poisons it. The failed request and every later one
 * answers with that first reason, and nothing is tried again (after a failed fsync(2) nobody knows
 * what is on the disk; a second one that succeeds proves nothing). The node must stop taking part.
 * A full disk is not such a failure: space is allocated before a request is accepted, so a request
 * that does not fit is refused with STATUS_FULL while everything accepted before can be written.
 *
 * What the files look like stands in wal_format.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WAL_H
#define WAL_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct disk;
struct uv_loop_s;
struct wal;
struct wal_manifest;

#define WAL_SEGMENT_SIZE_DEFAULT (16U << 20U)
#define WAL_SEGMENT_SIZE_MIN (32U << 10U)
#define WAL_SEGMENT_SIZE_MAX (1U << 30U)
#define WAL_QUEUE_SIZE_MAX_DEFAULT (64U << 20U)
#define WAL_RESERVE_COUNT_DEFAULT 2U
#define WAL_MANIFEST_SIZE_MAX 4096U             /* Bytes of all buffers of a snapshot. */
#define WAL_CONFIGURATION_SIZE_MAX (56U << 10U) /* Bytes of an encoded raft configuration. */

struct wal_options {
    const char *directory;  /* Made if absent (mode 0700); locked. Not used if `disk` is given. */
    struct disk *disk;      /* NULL: the real one. Else it must outlive the log. */
    struct uv_loop_s *loop; /* NULL: no thread, see wal_pump(). */

    /* 0 takes the default. */
    size_t segment_size;    /* Bytes of one file of the log, a multiple of 4096. */
    size_t queue_size_max;  /* Bytes accepted and not yet on disk, then STATUS_BUSY. */
    unsigned reserve_count; /* Allocated files kept in hand for the day the disk is full; 2..64. */
    uint64_t salt;          /* 0: random. Tests fix it, to get the same bytes each time. */
};

/*
 * Open the log of a directory, or begin one, and read it whole. `*out` is written on success only.
 *
 * Fails with STATUS_BUSY (in use by another process), STATUS_CORRUPT (names file and offset; bytes
 * that were once acknowledged do not verify or are missing), STATUS_FULL (the first files cannot be
 * allocated), STATUS_INVALID (options, or a format version that is not ours), STATUS_IO or
 * STATUS_NO_MEMORY. An unfinished write at the very end, as a crash leaves it, is cut and no
 * failure.
 */
MUST_USE struct status wal_open(const struct wal_options *options, struct wal **out);

/* Bytes of free disk that wal_open() and the next file ask for, with the default options: what is
 * missing of the reserve, and a manifest. NULL, or a folder that is not there: a new log. Any
 * thread; a guess, as others use the disk too. */
uint64_t wal_space_needed(const char *directory);

/*
 * Write everything queued, answer it, release the lock, and then call `closed`, after which the log
 * is gone. Nothing may be called on it in between. With `loop` NULL `closed` is called before this
 * returns. A NULL log is allowed, and calls `closed` at once; with one, `closed` NULL is, too.
 *
 * Not OK: the mark of an orderly end could not be written, or the log had failed before. What was answered is
 * safe all the same: the next opening takes the log for one of a crash, and only damage to its last records
 * would not be told from a torn write.
 */
typedef void (*wal_closed)(void *context, struct status status);
void wal_close(struct wal *wal, wal_closed closed, void *context);

/* ---- Start ---- */

/* What was found. The memory is raft's: raft_malloc()ed, as raft_io's load hands it over. */
struct wal_loaded {
    raft_term term;
    raft_id voted_for;
    struct raft_snapshot *snapshot; /* One buffer; NULL if there is none. */
    raft_index start_index;         /* Of entries[0]; 1 for an empty log, at most snapshot + 1. */
    struct raft_entry *entries;     /* Each with a batch; NULL if there are none. */
    size_t entry_count;
    bool snapshot_damaged; /* The newest manifest did not verify; the one before it is given. */
};

/* Hand over what wal_open() read; once. The caller owns it (wal_loaded_release() or raft). */
void wal_load(struct wal *wal, struct wal_loaded *out);
void wal_loaded_release(struct wal_loaded *loaded);

/* Begin an empty log with term 1 and this configuration as entry 1, on disk when it returns. Before
 * wal_load(), which then gives it. STATUS_REFUSED if the log is not empty, else as wal_set_term().
 */
MUST_USE struct status wal_bootstrap(struct wal *wal,
                                     const struct raft_configuration *configuration);

/* ---- Term and vote: on disk when they return ---- */

/* Both wait for the disk (one sync, shared with everything queued before). Answers to those earlier
 * requests still come from the loop. A new term forgets the vote. Fail with what poisoned the log,
 * or STATUS_FULL (even the reserve is used up; nothing changed). */
MUST_USE struct status wal_set_term(struct wal *wal, raft_term term);
MUST_USE struct status wal_set_vote(struct wal *wal, raft_id voted_for);

/* ---- Appending ---- */

struct wal_request;
typedef void (*wal_done)(struct wal_request *request, struct status status);

/* The caller allocates it, embedded in its operation, and keeps it until `done` was called. */
struct wal_request {
    void *context; /* The caller's own. */

    /* Private to the log. */
    wal_done done;
    struct wal_request *next;
    const struct raft_entry *entries;
    unsigned entry_count;
    unsigned trailing;
    int kind;
    raft_index index;
    raft_term term;
    raft_id vote;
    size_t size;
    struct wal_manifest *image;
    bool internal;
    bool detached;
    bool finished;
    struct status status;
};

/*
 * Append entries after the last one. Array and payloads stay as they are until the answer.
 *
 * On success `done` is called exactly once: STATUS_OK when all are on disk, else what poisoned the
 * log. On failure `done` is never called and nothing is queued: STATUS_FULL (refused with the
 * reserve still in hand: a snapshot that cuts the log gives space back; barriers alone may use the
 * reserve, so that a full node can be elected and hand over), STATUS_BUSY
 * (queue_size_max), STATUS_INVALID (an entry above wal_entry_size_max(), count 0, term 0), or what
 * poisoned the log.
 */
MUST_USE struct status wal_append(struct wal *wal, struct wal_request *request,
                                  const struct raft_entry *entries, unsigned count, wal_done done);

/* Bytes of the largest payload one entry may have; a little under a quarter of segment_size, so
 * that little of a file is wasted (4 MiB by default). */
size_t wal_entry_size_max(const struct wal *wal);

/* Would wal_append() of so many payload bytes be accepted now? STATUS_OK, or its refusal. Ask it
 * before a leader proposes and before a follower lets raft see an AppendEntries: raft itself takes a
 * refused append for a broken disk. Thrifty: one call may allocate a file. */
MUST_USE struct status wal_can_append(struct wal *wal, size_t size, unsigned count);

/* Try to fill up the reserve, if the last try failed; to be called now and then. */
void wal_refill(struct wal *wal);

/* Forget the entries from `index` (1 to last + 1) on, in order with the appends queued before. The
 * next append takes that index. There is nothing to wait for: every later answer includes it. Fails
 * as wal_set_term(), with STATUS_INVALID, or STATUS_NO_MEMORY. */
MUST_USE struct status wal_truncate(struct wal *wal, raft_index index);

/* ---- Snapshots ---- */

/*
 * Store a snapshot's manifest (copied: it may go at once), and then let the files go that hold only
 * entries up to index - trailing. `trailing` 0 is an installed snapshot: it replaces the whole log,
 * which goes on at index + 1, from this call on. A crash at any moment leaves the old snapshot and
 * log or the new ones. The last two manifests are kept.
 *
 * Answers as wal_append() does, but STATUS_FULL with `trailing` above 0 does not poison the log
 * (wal_failure() is OK): the manifest did not find room, and everything is as it was. Fails at the
 * call with STATUS_INVALID (sizes, index 0, term 0, older than the last one, or beyond the log with
 * `trailing` above 0), STATUS_FULL, STATUS_NO_MEMORY, or what poisoned the log.
 */
MUST_USE struct status wal_snapshot_put(struct wal *wal, struct wal_request *request,
                                        const struct raft_snapshot *snapshot, unsigned trailing,
                                        wal_done done);

/* A copy of the last snapshot that is on disk, raft_malloc()ed for raft to release. From memory and
 * at once; an answer to raft must still come from the loop. STATUS_NOT_FOUND, STATUS_NO_MEMORY. */
MUST_USE struct status wal_snapshot_get(struct wal *wal, struct raft_snapshot **out);

/* ---- Running and looking ---- */

/* Without a loop: write and sync everything queued, then call the answers. Returns how many were
 * called; 0 means there was nothing to do. */
unsigned wal_pump(struct wal *wal);

/* OK, or what poisoned the log. */
struct status wal_failure(struct wal *wal);

struct wal_stats {
    raft_index first_index;    /* Of the log on disk; last_index + 1 when it is empty. */
    raft_index last_index;     /* Accepted, maybe not yet on disk. */
    raft_index snapshot_index; /* 0 when there is none. */
    uint64_t disk_size;        /* Bytes of all files of the log, reserve included. */
    uint64_t queue_size;       /* Bytes accepted and not yet on disk. */
    unsigned reserve_count;    /* Allocated files in hand. */
    bool low;                  /* The last try to fill up the reserve failed: alarm. */

    /* Since the log was opened. */
    uint64_t syncs;
    uint64_t sync_time_us;
    uint64_t records;
    uint64_t bytes; /* Written, headers and padding included. */
};

void wal_stats(struct wal *wal, struct wal_stats *out);

#endif
