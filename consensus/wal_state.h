/*
 * The write-ahead log's inside: one struct, and what its parts ask of each other.
 *
 *   wal.c            the calls of wal.h: checks, accepts into the queue, answers
 *   wal_open.c       open, close, and the writer's thread
 *   wal_write.c      the writer: queue -> records -> pwritev, fdatasync
 *   wal_files.c      segments and reserve: allocate, begin, release, recycle
 *   wal_recover.c    reading it all back
 *   wal_manifest.c   the snapshot's file
 *   wal_format.c     bytes
 *
 * Who may touch what: `mutex` guards what is marked (m). The rest of the writer's part belongs to
 * the writer alone (the thread, or the caller of wal_pump()), the loop's part to the loop's thread.
 *
 * Space: a request is placed when it is accepted, by the same wal_place() that the writer uses when
 * it writes it, so it is known how many files it will begin, and they are allocated before.
 *
 *     spare_count >= plan.rolls      + 1 for appends: the reserve that term, vote and barriers may use
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WAL_STATE_H
#define WAL_STATE_H

#include <assert.h>
#include <pthread.h>
#include <sys/uio.h>
#include <uv.h>

#include "disk.h"
#include "wal.h"
#include "wal_format.h"

#define WAL_SPARES_EXTRA 4U /* Released files kept above reserve_count before they are removed. */
#define WAL_TMP_NAME "snapshot.tmp"
#define WAL_MANIFEST_FILE_SIZE (64U << 10U) /* Bytes; each manifest's file has this size. */

/* A file of the log: a segment in use, or a spare. */
struct wal_file {
    struct wal_file *next;
    uint64_t number; /* In its name; of a segment the sequence. */
    uint64_t size;
    raft_index first_index; /* Of a segment: the next entry when it was begun. */
    raft_index last_index;  /* Highest index of an entry in it; 0: none. */
};

struct wal_plan {
    size_t offset;  /* Where the next record goes, once everything accepted is written. */
    unsigned rolls; /* Files that everything accepted will still begin. */
};

enum wal_kind {
    WAL_APPEND,
    WAL_STATE,
    WAL_TRUNCATE,
    WAL_SNAPSHOT,
};

/* Records on their way into one write. */
struct wal_batch {
    struct iovec parts[DISK_PARTS_MAX];
    uint8_t records[DISK_PARTS_MAX / 2][WAL_RECORD_SIZE];
    int part_count;
    int record_count;
    uint8_t begin[WAL_BEGIN_PAYLOAD_SIZE];
};

/* An encoded manifest. */
struct wal_manifest {
    raft_index index;
    raft_term term;
    size_t size;
    uint8_t bytes[];
};

struct wal {
    struct disk *disk;
    struct disk own_disk; /* When none was given. */
    size_t segment_size;
    size_t queue_size_max;
    unsigned reserve_count;
    uint64_t salt;

    /* The loop's part: what was accepted. */
    uv_async_t *async; /* NULL without a loop. */
    raft_term term;
    raft_id vote;
    raft_index next_index;
    raft_index put_index; /* Of the last snapshot accepted. */
    struct wal_loaded loaded;
    wal_closed closed;
    void *closed_context;

    /* Between the two. */
    pthread_mutex_t mutex;
    pthread_cond_t work;  /* There is something in the queue, or `closing`. */
    pthread_cond_t ready; /* An internal request is finished. */
    pthread_t thread;
    bool threaded;
    bool closing;                   /* (m) */
    struct wal_request *queue;      /* (m) In the order of the calls. */
    struct wal_request **queue_end; /* (m) */
    struct wal_request *done;       /* (m) To be answered. */
    struct wal_request **done_end;  /* (m) */
    struct status failure;          /* (m) What poisoned the log. */
    struct wal_plan plan;           /* (m) */
    struct wal_file *spares;        /* (m) */
    unsigned spare_count;           /* (m) */
    uint64_t next_number;           /* (m) Of the next file. */
    struct wal_manifest *manifest;  /* (m) The last one on disk, or NULL. */
    struct wal_stats stats;         /* (m) */
    unsigned low_batches;           /* (m) Written since the reserve could not be filled. */

    /* The writer's part: what is written. */
    int file;                 /* Of the current segment, or -1. */
    struct wal_header header; /* Of the current segment. */
    size_t staged;            /* Offset after the last record in the batch. */
    size_t written;           /* Offset after the last record written. */
    size_t synced;            /* Offset up to which all is on the disk. */
    size_t closed_at;         /* Offset after a CLOSE that was found, or 0. */
    raft_term written_term;
    raft_id written_vote;
    raft_index written_next;
    struct wal_file *oldest;  /* Segments, chained to `current`. */
    struct wal_file *current; /* NULL before the first. */
    raft_index manifests[2];  /* Indexes of those on disk, newest first; 0: none. */
    struct wal_batch batch;
};

/* Advance the plan by one record; true if it begins a file. */
bool wal_place(size_t segment_size, struct wal_plan *plan, size_t record_size);

/* Call what is to be answered; returns how many. On the loop's thread. */
unsigned wal_answer(struct wal *wal);

/* ---- wal_files.c ---- */

enum wal_file_kind {
    WAL_FILE_SEGMENT,
    WAL_FILE_SPARE,
    WAL_FILE_SNAPSHOT,
};

void wal_file_name(enum wal_file_kind kind, uint64_t number, char out[DISK_NAME_SIZE]);
bool wal_file_parse(const char *name, enum wal_file_kind *kind, uint64_t *number);

/* Allocate spares until there are `count`. A failure that is not about room poisons the log. Mutex
 * held. */
MUST_USE struct status wal_spares_fill(struct wal *wal, unsigned count);

/* Close the current segment, which must be written and synced, and begin the next in a spare; its
 * BEGIN is staged. Writer, mutex not held. */
MUST_USE struct status wal_roll(struct wal *wal);

/* Let go the segments that hold only entries up to `index`. Writer, mutex not held. */
MUST_USE struct status wal_release(struct wal *wal, raft_index index);

void wal_files_free(struct wal_file *file);

/* ---- wal_write.c ---- */

/* Write, sync and finish everything that is queued. Returns false if there was nothing. */
bool wal_run_queue(struct wal *wal);

/* Put a record into the batch; the payload must stay until it is written. */
MUST_USE struct status wal_stage(struct wal *wal, struct wal_record *record);

/* Write the batch; then also sync it. */
MUST_USE struct status wal_flush(struct wal *wal);
MUST_USE struct status wal_sync(struct wal *wal);

/* ---- wal_recover.c ---- */

/* Read everything; leaves the log ready to be written, and `wal->loaded` filled. */
MUST_USE struct status wal_recover(struct wal *wal);

/* ---- wal_manifest.c ---- */

/* Encode. `*out` is the caller's to free(). STATUS_INVALID if it is too large. */
MUST_USE struct status wal_manifest_encode(const struct raft_snapshot *snapshot,
                                           struct wal_manifest **out);

/* Decode into raft's memory. `bytes` may be longer. STATUS_CORRUPT or STATUS_NO_MEMORY. */
MUST_USE struct status wal_manifest_decode(struct slice bytes, struct raft_snapshot **out);
void wal_snapshot_free(struct raft_snapshot *snapshot);

/* Write to snapshot.tmp, sync, rename, sync the directory. STATUS_FULL leaves everything as it was.
 * Writer. */
MUST_USE struct status wal_manifest_store(struct wal *wal, const struct wal_manifest *manifest);

/* See that snapshot.tmp is there and allocated. */
MUST_USE struct status wal_manifest_reserve(struct wal *wal);

#endif
