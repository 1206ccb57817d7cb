/*
 * A disk in memory that is honest about crashes: what was not synced may be lost, by sectors of 512
 * bytes and by single directory changes, as the seed says. It keeps the promises of disk.h and not
 * one more. After a sync that failed it is as Linux is: some of the sectors are on the disk, none is
 * written again by a later sync, and until the power fails all can be read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "disk.h"

#define SIM_DISK_FILES_MAX 128
#define SIM_DISK_CHANGES_MAX 256
#define SIM_DISK_FILE_SIZE_MAX (1U << 30U)

struct sim_file {
    bool used;
    uint8_t *live;    /* As reads see it. */
    uint8_t *durable; /* As a crash leaves it. */
    bool *dirty;      /* Per sector: written since the last sync. */
    size_t live_size;
    size_t durable_size;
};

struct sim_name {
    char name[DISK_NAME_SIZE];
    int file; /* -1: free. */
};

enum sim_change_kind {
    SIM_CREATE,
    SIM_RENAME,
    SIM_UNLINK,
};

struct sim_change {
    enum sim_change_kind kind;
    char from[DISK_NAME_SIZE];
    char to[DISK_NAME_SIZE];
    int file;
};

struct sim_disk {
    struct disk disk; /* What is given to the log. */

    uint64_t random;      /* State; the seed at first. */
    uint64_t capacity;    /* Bytes all files may have; 0: no limit. */
    long operations_left; /* Until the power fails, in calls that change something; < 0: never. */
    long error_after;     /* Calls until one fails, once, with STATUS_IO; < 0: never. */
    bool dead;            /* It failed: every call fails. */

    /* How it may be worse than it says, which a checker must notice. */
    bool ignores_sync;      /* Syncs do nothing. */
    bool ignores_directory; /* Those of the directory do nothing. */
    bool syncs_late;        /* A sync is done when the next call comes. */
    bool skips_same;        /* Bytes that are there already are not written again. */
    int late_file;          /* Not yet synced; -1: none. */

    unsigned syncs;
    unsigned open_count;
    unsigned errors;     /* Calls that failed because of `error_after`. */
    unsigned full_count; /* Calls that failed because of `capacity`. */
    unsigned lost_count; /* Crashes in which something that was not synced was lost ... */
    unsigned torn_count; /* ... and of a file some sectors were lost and some not. */

    struct sim_file files[SIM_DISK_FILES_MAX];
    struct sim_name live[SIM_DISK_FILES_MAX];
    struct sim_name durable[SIM_DISK_FILES_MAX];
    struct sim_change changes[SIM_DISK_CHANGES_MAX];
    size_t change_count;
};

void sim_disk_init(struct sim_disk *sim, uint64_t seed);
void sim_disk_release(struct sim_disk *sim);

/* Lose what the seed says of what was not synced, and have power again. */
void sim_disk_crash(struct sim_disk *sim);

/* Forget all files. */
void sim_disk_renew(struct sim_disk *sim);

/* Bytes of all files. */
uint64_t sim_disk_used(const struct sim_disk *sim);

/* Change one bit, of those that a power failure would leave, in a file whose name ends in `suffix`.
 * False if there is none. */
bool sim_disk_flip(struct sim_disk *sim, const char *suffix);

/* Make `out` a copy, with nothing to come of what was to fail. */
void sim_disk_copy(const struct sim_disk *sim, struct sim_disk *out);

/* A number below `limit`, from the seed. */
uint64_t sim_disk_random(struct sim_disk *sim, uint64_t limit);

#endif
