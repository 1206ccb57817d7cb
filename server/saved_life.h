/*
 * A saved life: the standalone lineage that a node had before it joined, kept beside the one in use
 * with the records that were never delivered. A file in its folder, the note, says what was counted in
 * it and how far its records were given to the cluster.
 *
 * It may be read only when it will not be returned to: once the join is settled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_SAVED_LIFE_H
#define SERVER_SAVED_LIFE_H

#include "config.h"
#include "identity.h"
#include "store/store.h"

#define SAVED_LIVES_MAX 16 /* Looked at; there are fewer, for joining is refused beyond this: */
#define SAVED_KEPT_MAX 4   /* lives with records that nobody has decided about. */

/* What is given to the cluster next. */
enum saved_phase {
    SAVED_RECORDS = 0,
    SAVED_DEAD_LETTERS = 1,
    SAVED_DONE = 2,
};

struct saved_note {
    bool submit;          /* Its records are to be given to the cluster. */
    bool looked;          /* The counts are known. */
    uint64_t saved_at_ms; /* 0: before there were notes. */
    uint64_t undelivered; /* Records pending, and dead letters. */
    uint64_t phase;       /* enum saved_phase */
    uint64_t sequence;    /* Of the phase: up to here they are given. */
    uint64_t given;       /* Records that the cluster has taken, or had. */
};

struct saved_life {
    char lineage[IDENTITY_LINEAGE_SIZE];
    char path[IDENTITY_PATH_SIZE];
    uint64_t begun_ms; /* Tells the newest. */
    struct saved_note note;
    char error[STATUS_MESSAGE_SIZE]; /* Why it could not be read or given. */
};

/* A lineage's note; zero if there is none. STATUS_CORRUPT if it does not verify. */
MUST_USE struct status saved_note_read(const char *path, struct saved_note *out);
MUST_USE struct status saved_note_write(const char *path, const struct saved_note *note);

/* The life is lived in: it has none. */
void saved_note_remove(const char *path);

/* All saved lives, oldest first, at most SAVED_LIVES_MAX. */
MUST_USE struct status saved_life_list(const char *data_directory, const struct identity *current,
                                       struct saved_life out[SAVED_LIVES_MAX], size_t *count);

/* Open its state, with all that its log holds, synced. Reads the whole log: on a worker thread. */
MUST_USE struct status saved_life_open(const struct saved_life *life, const struct config *config,
                                       struct store **out);

/* Has records that are neither delivered nor given; unknown counts as yes. */
bool saved_life_has_records(const struct saved_life *life);

#endif
