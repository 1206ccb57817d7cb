/*
 * The room on the data folder's disk: an alarm while it runs low, and no new entries while less is left
 * than what was accepted already may still need.
 *
 *     free space   ───────────────── alarm_size ─────────── reserve ──────── reserve / 2 ──── 0
 *     a leader     takes              takes, warns           refuses, hands over
 *     a follower   takes              takes, warns           takes           lags behind       suspended
 *
 * A follower goes on a little longer, for some of what the leader sends is committed. Inodes count
 * likewise. To begin again a quarter more must be free than it takes to stop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DISK_WATCH_H
#define SERVER_DISK_WATCH_H

#include "base/status.h"
#include "suspension.h"

#define DISK_WATCH_INODES_MIN 16U /* The log and the store make a file now and then. */

/* What may be written to a disk between two looks that are this far apart, by whoever. */
#define DISK_WATCH_FAR_MS 2000U
#define DISK_WATCH_FAR_SIZE (UINT64_C(4) << 30U)

struct disk_watch {
    uint64_t reserve;    /* Bytes. */
    uint64_t alarm_size; /* Bytes; 0: not known yet. */
    uint64_t alarm_percent;
    struct disk_space space;
    bool refuses;       /* As a leader. */
    bool follower_lags; /* As a follower. */
    bool warns;
    uint64_t not_before_ms; /* Monotonic: the next handing over. */
    uint64_t next_look_ms;  /* Monotonic. */
};

enum disk_state {
    DISK_OK,
    DISK_LOW,
    DISK_FULL,
};

void disk_watch_init(struct disk_watch *watch, uint64_t reserve, uint64_t alarm_percent);

/* Take in what the disk looks like now. */
void disk_watch_see(struct disk_watch *watch, const struct disk_space *space);

enum disk_state disk_watch_state(const struct disk_watch *watch);

/* Is every threshold so far that looking again in DISK_WATCH_FAR_MS is soon enough? */
bool disk_watch_is_far(const struct disk_watch *watch);

/* "ok", "low", "full" */
const char *disk_state_name(enum disk_state state);

/* As struct machine asks it: OK, or STATUS_FULL saying how much is missing. */
MUST_USE struct status disk_watch_room(const struct disk_watch *watch, bool follower);

#endif
