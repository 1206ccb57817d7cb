/*
 * Fault points: named places where a test may make the outside world fail, or this process die.
 *
 * Production code asks fault_fires() where it is about to do something that may fail, and says
 * fault_step() between two steps that a crash may part. A build without FAULTS answers false at
 * compile time, so a release carries nothing of this.
 *
 * A test in the same process arms a point with fault_arm(). A test of the real musterd does it by
 * the environment, which fault_open() reads:
 *
 *     MUSTER_FAULT="wal.sync:3:fail,join.staged:0:kill"   at the fourth visit, at the first
 *     MUSTER_FAULT_TABLE=FILE      the table of the points is kept in this file, one struct
 *                                  fault_row a point, in the order of the enum: who maps it sees
 *                                  the visits, also of a process that was killed, and may arm
 *
 * Any thread may ask; arming and asking at once may miss a visit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* What each stands for is said in docs/verification.md, by the name that fault.c gives it. */
enum fault_point {
    FAULT_ALLOC,

    FAULT_STORE_PUT,
    FAULT_STORE_COMMIT,
    FAULT_STORE_COMMITTED,
    FAULT_STORE_SYNC,
    FAULT_STORE_DIVERGE,
    FAULT_STORE_IMAGE_WRITE,
    FAULT_STORE_IMAGE_LINK,
    FAULT_STORE_IMAGE_RENAME,
    FAULT_STORE_IMAGE_OPEN,
    FAULT_STORE_IMAGE_DONE,

    FAULT_WAL_OPEN,
    FAULT_WAL_ALLOCATE,
    FAULT_WAL_WRITE,
    FAULT_WAL_SYNC,
    FAULT_WAL_RENAME,
    FAULT_WAL_UNLINK,
    FAULT_WAL_SNAPSHOT_STORED,
    FAULT_WAL_RESET,
    FAULT_WAL_RELEASE,
    FAULT_WAL_TRUNCATE,

    FAULT_NODE_APPEND,
    FAULT_NODE_SNAPSHOT_PUT,
    FAULT_NODE_SNAPSHOT_GET,
    FAULT_NODE_SNAPSHOT_TAKE,
    FAULT_NODE_PROPOSE,
    FAULT_NODE_CHANGE,
    FAULT_NODE_CHANGED,
    FAULT_PEER_SEND,
    FAULT_IMAGE_SERVE,
    FAULT_IMAGE_FETCH,
    FAULT_IMAGE_WRITE,
    FAULT_IMAGE_SYNC,
    FAULT_IMAGE_FETCHED,
    FAULT_IMAGE_INSTALLED,

    FAULT_FILE_WRITE,
    FAULT_FILE_SYNC,
    FAULT_FILE_RENAME,
    FAULT_FILE_SYNC_FOLDER,
    FAULT_FILE_MAKE_FOLDER,
    FAULT_FILE_REMOVE,
    FAULT_LINEAGE_STAGED,
    FAULT_LINEAGE_SWITCHED,

    FAULT_ASK_SENT,
    FAULT_JOIN_LOCKED,
    FAULT_JOIN_ASK,
    FAULT_JOIN_ADMITTED,
    FAULT_JOIN_ANSWERED,
    FAULT_JOIN_UNLOCK,
    FAULT_ADMIT_LOOKED_UP,
    FAULT_ADMIT_ISSUED,
    FAULT_ADMIT_APPLIED,
    FAULT_LEAVE_HANDED_OVER,
    FAULT_LEAVE_ASK,
    FAULT_LEAVE_GONE,
    FAULT_LEAVE_LEFT,
    FAULT_SAVED_TAKEN,
    FAULT_REMOVE_APPLIED,
    FAULT_MEMBERSHIP_START,
    FAULT_MEMBERSHIP_DONE,

    FAULT_KEY_UNWRAPPED,
    FAULT_KEY_KEPT,
    FAULT_KEY_PROPOSING,
    FAULT_KEY_PROPOSED,
    FAULT_KEY_RETIRED,

    FAULT_REBUILD_MARKED,
    FAULT_REBUILD_OUT,
    FAULT_REBUILD_MOVED,
    FAULT_REBUILD_EMPTY,
    FAULT_REBUILD_BACK,
    FAULT_REBUILD_FILLED,

    FAULT_SUCCESSION_STEP,
    FAULT_SUCCESSION_SYNC,
    FAULT_SUCCESSION_PLACE,

    FAULT_REGISTRAR_CALL,
    FAULT_REGISTRAR_ANSWERED,
    FAULT_REGISTRAR_PROPOSE,
    FAULT_REGISTRAR_PROPOSED,
    FAULT_EXPORT_LOAD,
    FAULT_EXPORT_SEND,
    FAULT_EXPORT_ANSWERED,
    FAULT_EXPORT_ADVANCE,
    FAULT_EXPORT_ADVANCED,
    FAULT_VERIFY_ASK,
    FAULT_VERIFY_PROPOSE,
    FAULT_HTTP_START,

    FAULT_CALL_PROPOSE,
    FAULT_CALL_APPLIED,
    FAULT_FORWARD_SEND,
    FAULT_DAEMON_STOPPING,
    FAULT_DAEMON_CLOSED,
    FAULT_DAEMON_RESTART,

    FAULT_COUNT,
};

#define FAULT_NAME_SIZE 32

enum fault_action {
    FAULT_FAILS,
    FAULT_KILLS, /* The process, with SIGKILL. */
};

#ifdef FAULTS
#include <stdatomic.h>

struct fault_row {
    char name[FAULT_NAME_SIZE];
    _Atomic uint64_t visits;
    _Atomic uint64_t from;   /* The first visit, of all, that it acts at. */
    _Atomic uint64_t times;  /* It acts at so many visits; 0: not armed. */
    _Atomic uint64_t action; /* enum fault_action */
};

/* One visit; true: fail here. */
bool fault_fires(enum fault_point point);

/* One visit of a place where nothing can fail, but the process may die. */
void fault_step(enum fault_point point);

/* From the (after + 1)th visit from now on, fail `times` times; times < 0 means for ever. */
void fault_arm(enum fault_point point, int after, int times);

/* Disarm every point. Returns how often any point has fired since the last call. */
int fault_reset(void);

const char *fault_name(enum fault_point point);

/* In a child process: from now on the points here are its own, none armed, none counted. */
void fault_leave(void);

/* Read the environment; once, before other threads start. INVALID: a name, a number or an action
 * that there is not, or `fail` for a step. */
MUST_USE struct status fault_open(void);

#else

#define fault_fires(point) ((void)(point), false)
#define fault_step(point) ((void)(point))
#define fault_open() (OK)
#define fault_leave() ((void)0)

static inline void fault_arm(enum fault_point point, int after, int times)
{
    (void)point;
    (void)after;
    (void)times;
}

static inline int fault_reset(void)
{
    return 0;
}

#endif

#endif
