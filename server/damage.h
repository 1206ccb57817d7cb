/*
 * The mark of damaged data: a file in the lineage's folder that says what was found, and how far its
 * repair has come. It outlives crashes, so that a damaged node never starts as if nothing had been.
 *
 *     DAMAGE_WAITING ──`cluster rebuild`──► LEAVING ──out of raft──► MOVING ──files aside──► RETURNING
 *        (or by itself, when it was found while running)                                        │
 *                       gone ◄──as far as the others── FILLING ◄──let in again, empty log───────┘
 *
 * Each state is on the disk before the step it allows is begun; what each step does may be done twice.
 *
 * And the contacts: who else was a member, and where, for a node that cannot read its state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DAMAGE_H
#define SERVER_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/status.h"

struct identity;

enum damage_state {
    DAMAGE_NONE = 0,
    DAMAGE_WAITING = 1,
    DAMAGE_LEAVING = 2,
    DAMAGE_MOVING = 3,
    DAMAGE_RETURNING = 4,
    DAMAGE_FILLING = 5,
};

#define DAMAGE_REASON_SIZE 120
#define DAMAGE_FOLDER_SIZE 48
#define DAMAGE_AGAIN_MS UINT64_C(3600000) /* Twice within it: not by itself any more. */

struct damage {
    enum damage_state state;
    uint64_t life; /* Random: tells this rebuild from others. */
    uint64_t since_ms;
    uint64_t
        index; /* Of the checkpoint at which this replica differed; 0: it was damage at rest. */
    char reason[DAMAGE_REASON_SIZE];
    char folder[DAMAGE_FOLDER_SIZE]; /* Where the damaged files go, in the lineage's folder. */
};

/* Begin a new mark, not written yet. `running`: found while the node took part, which then mends itself
 * unless it did so within DAMAGE_AGAIN_MS. `path` is the lineage's folder. */
void damage_begin(struct damage *damage, const char *path, const char *reason, uint64_t index,
                  bool running, uint64_t now_ms);

/* OK with state DAMAGE_NONE when there is none. A mark that does not verify is one that waits. */
MUST_USE struct status damage_load(const char *path, struct damage *out);
MUST_USE struct status damage_save(const char *path, const struct damage *damage);
MUST_USE struct status damage_remove(const char *path);

const char *damage_state_name(enum damage_state state);

/* Move log and store into damage->folder, of which one at most is kept, and make an empty store. Done
 * again after a crash it goes on where it was. */
MUST_USE struct status damage_move_aside(const char *path, const struct damage *damage);

/* Is a log there, or traces of a life: contacts? Tells a fresh lineage from one that lost a file. */
bool damage_has_log(const char *path);   /* Also true if that cannot be seen; */
bool damage_has_begun(const char *path); /* so is this. */

/* A life without any part of a log has acknowledged nothing, so a state that does not verify there is one whose
 * making the power's end cut short: its first sync comes before the log is begun. `filling`: it once had a log, which
 * was moved aside. */
bool damage_is_unborn(const char *path, bool filling);

/* Remove the state of such a life. */
MUST_USE struct status damage_begin_anew(const char *path);

/* Remember the members (a list of struct member of the store). Writes only what has changed since
 * the last call with this `*written`, a checksum. */
MUST_USE struct status damage_save_contacts(const char *path, const struct codec_list *members,
                                            uint64_t self_id, uint32_t *written);

/* Add what was remembered to the identity's contacts and members, before those it has. Absent or damaged
 * it adds nothing. */
void damage_load_contacts(const char *path, struct identity *identity);

#endif
