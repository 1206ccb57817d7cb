/*
 * Suspension: why this node does not take part for now, what helps, and when it tries again.
 *
 *     taking part ──disk fails, fills up, is damaged──► SUSPENDED ──the folder takes it again──► taking part
 *                                                        │     ▲
 *                                                        └─────┘ every 5 s, by and by every minute; at
 *                                                                once on SIGHUP or node.retry
 *
 * A suspended node has closed its log and its state, so it neither leads nor votes and acknowledges
 * nothing; its process and the doors of its admin RPC stay, so that it can say why. The state is
 * read only (stale), if it can be read. Before the log is opened anew, a probe shows that the data
 * folder takes what will be asked of it: the space, an inode, and a file that is written, synced,
 * renamed and removed. The folder's disk may block whoever asks it, so the probe runs on a worker
 * thread.
 *
 * Damaged data is different: waiting does not mend it, so nothing is tried until somebody asks.
 *
 * The struct outlives a run of the daemon: one run ends suspended, the next one begins so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SUSPENSION_H
#define SERVER_SUSPENSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum suspension_kind {
    SUSPENSION_DISK_FULL,
    SUSPENSION_NO_INODES,
    SUSPENSION_QUOTA,
    SUSPENSION_READ_ONLY,
    SUSPENSION_STORE_FULL, /* The store's own limit (store_size_max_mib), not the disk. */
    SUSPENSION_DISK_ERROR,
    SUSPENSION_DAMAGED, /* Never tried again by itself. */
};

#define SUSPENSION_RETRY_MIN_MS 5000U
#define SUSPENSION_RETRY_MAX_MS 60000U
#define SUSPENSION_SETTLED_MS 60000U /* Having taken part for so long, the next one begins anew. */

struct suspension {
    bool active;
    bool trying; /* The next run opens everything; only if it succeeds is this over. */
    enum suspension_kind kind;
    struct status reason; /* What failed, as it was said. */
    struct status probed; /* What the last probe said; OK before the first. */
    uint64_t since_ms;    /* Wall clock. */
    uint64_t next_try_ms; /* Monotonic; 0: never by itself. */
    uint64_t attempts;    /* Probes that came to nothing, since `since_ms`. */
    uint64_t
        resumed_at_ms; /* Monotonic; when it last took part again. 0: it was never suspended. */
    uint64_t wait_ms;  /* Before the next try; each one that fails makes it longer. */
};

/* Is this a failure to suspend a node for, rather than one to end with? */
bool suspension_suits(struct status reason);

/* The kind of a failure, from its code and from what the folder looks like now. */
enum suspension_kind suspension_kind_of(struct status reason, const char *folder);

/* Begin, or go on after a try that came to nothing. */
void suspension_begin(struct suspension *suspension, enum suspension_kind kind,
                      struct status reason, uint64_t now_ms, uint64_t monotonic_ms);

/* The folder can be used: the next run is to open everything. */
void suspension_try(struct suspension *suspension);

/* The node takes part again. */
void suspension_end(struct suspension *suspension, uint64_t monotonic_ms);

/* A probe came to nothing: wait longer. */
void suspension_put_off(struct suspension *suspension, struct status probed,
                        enum suspension_kind kind, uint64_t monotonic_ms);

/* "disk-full" and so on: for programs. */
const char *suspension_kind_name(enum suspension_kind kind);

/* A sentence: what a person should do. */
const char *suspension_remedy(enum suspension_kind kind);

#define SUSPENSION_WORDS_SIZE 768

/* What a call is answered that a suspended node cannot do: the reason, since when, when it tries
 * again, and after a newline the remedy. */
void suspension_explain(const struct suspension *suspension, uint64_t monotonic_ms,
                        char out[SUSPENSION_WORDS_SIZE]);

/* ---- The probe; any thread ---- */

struct disk_space {
    uint64_t free; /* Bytes that this process may still write. */
    uint64_t size;
    uint64_t free_inodes; /* UINT64_MAX where there is no such limit. */
    bool read_only;
};

/* STATUS_IO. */
MUST_USE struct status disk_space_of(const char *folder, struct disk_space *out);

/* Does the folder take `needed` bytes and a file? `*kind` is written on failure. */
MUST_USE struct status suspension_probe(const char *folder, uint64_t needed,
                                        enum suspension_kind *kind);

#endif
