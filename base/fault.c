/*
 * Fault points: one row a point, in this process or in a file that a test shares.
 *
 * A release's object of this file is empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fault.h"

#ifdef FAULTS
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_SIZE_MAX 1024 /* Of MUSTER_FAULT. */

static const struct {
    const char *name;
    bool step; /* Nothing can fail here. */
} points[FAULT_COUNT] = {
    [FAULT_ALLOC] = {"alloc", false},
    [FAULT_STORE_PUT] = {"store.put", false},
    [FAULT_STORE_COMMIT] = {"store.commit", false},
    [FAULT_STORE_COMMITTED] = {"store.committed", true},
    [FAULT_STORE_SYNC] = {"store.sync", false},
    [FAULT_STORE_DIVERGE] = {"store.diverge", false},
    [FAULT_STORE_IMAGE_WRITE] = {"store.image.write", false},
    [FAULT_STORE_IMAGE_LINK] = {"store.image.link", false},
    [FAULT_STORE_IMAGE_RENAME] = {"store.image.rename", false},
    [FAULT_STORE_IMAGE_OPEN] = {"store.image.open", false},
    [FAULT_STORE_IMAGE_DONE] = {"store.image.done", true},
    [FAULT_WAL_OPEN] = {"wal.open", false},
    [FAULT_WAL_ALLOCATE] = {"wal.allocate", false},
    [FAULT_WAL_WRITE] = {"wal.write", false},
    [FAULT_WAL_SYNC] = {"wal.sync", false},
    [FAULT_WAL_RENAME] = {"wal.rename", false},
    [FAULT_WAL_UNLINK] = {"wal.unlink", false},
    [FAULT_WAL_SNAPSHOT_STORED] = {"wal.snapshot.stored", true},
    [FAULT_WAL_RESET] = {"wal.reset", true},
    [FAULT_WAL_RELEASE] = {"wal.release", true},
    [FAULT_WAL_TRUNCATE] = {"wal.truncate", true},
    [FAULT_NODE_APPEND] = {"node.append", false},
    [FAULT_NODE_SNAPSHOT_PUT] = {"node.snapshot.put", false},
    [FAULT_NODE_SNAPSHOT_GET] = {"node.snapshot.get", false},
    [FAULT_NODE_SNAPSHOT_TAKE] = {"node.snapshot.take", false},
    [FAULT_NODE_PROPOSE] = {"node.propose", false},
    [FAULT_NODE_CHANGE] = {"node.change", false},
    [FAULT_NODE_CHANGED] = {"node.changed", true},
    [FAULT_PEER_SEND] = {"peer.send", false},
    [FAULT_IMAGE_SERVE] = {"image.serve", false},
    [FAULT_IMAGE_FETCH] = {"image.fetch", false},
    [FAULT_IMAGE_WRITE] = {"image.write", false},
    [FAULT_IMAGE_SYNC] = {"image.sync", false},
    [FAULT_IMAGE_FETCHED] = {"image.fetched", true},
    [FAULT_IMAGE_INSTALLED] = {"image.installed", true},
    [FAULT_FILE_WRITE] = {"file.write", false},
    [FAULT_FILE_SYNC] = {"file.sync", false},
    [FAULT_FILE_RENAME] = {"file.rename", false},
    [FAULT_FILE_SYNC_FOLDER] = {"file.sync_folder", false},
    [FAULT_FILE_MAKE_FOLDER] = {"file.make_folder", false},
    [FAULT_FILE_REMOVE] = {"file.remove", false},
    [FAULT_LINEAGE_STAGED] = {"lineage.staged", true},
    [FAULT_LINEAGE_SWITCHED] = {"lineage.switched", true},
    [FAULT_ASK_SENT] = {"ask.sent", true},
    [FAULT_JOIN_LOCKED] = {"join.locked", true},
    [FAULT_JOIN_ASK] = {"join.ask", false},
    [FAULT_JOIN_ADMITTED] = {"join.admitted", true},
    [FAULT_JOIN_ANSWERED] = {"join.answered", true},
    [FAULT_JOIN_UNLOCK] = {"join.unlock", false},
    [FAULT_ADMIT_LOOKED_UP] = {"admit.looked_up", true},
    [FAULT_ADMIT_ISSUED] = {"admit.issued", true},
    [FAULT_ADMIT_APPLIED] = {"admit.applied", true},
    [FAULT_LEAVE_HANDED_OVER] = {"leave.handed_over", true},
    [FAULT_LEAVE_ASK] = {"leave.ask", false},
    [FAULT_LEAVE_GONE] = {"leave.gone", true},
    [FAULT_LEAVE_LEFT] = {"leave.left", true},
    [FAULT_SAVED_TAKEN] = {"saved.taken", true},
    [FAULT_REMOVE_APPLIED] = {"remove.applied", true},
    [FAULT_MEMBERSHIP_START] = {"membership.start", false},
    [FAULT_MEMBERSHIP_DONE] = {"membership.done", true},
    [FAULT_KEY_UNWRAPPED] = {"key.unwrapped", true},
    [FAULT_KEY_KEPT] = {"key.kept", true},
    [FAULT_KEY_PROPOSING] = {"key.proposing", true},
    [FAULT_KEY_PROPOSED] = {"key.proposed", true},
    [FAULT_KEY_RETIRED] = {"key.retired", true},
    [FAULT_REBUILD_MARKED] = {"rebuild.marked", true},
    [FAULT_REBUILD_OUT] = {"rebuild.out", true},
    [FAULT_REBUILD_MOVED] = {"rebuild.moved", true},
    [FAULT_REBUILD_EMPTY] = {"rebuild.empty", true},
    [FAULT_REBUILD_BACK] = {"rebuild.back", true},
    [FAULT_REBUILD_FILLED] = {"rebuild.filled", true},
    [FAULT_SUCCESSION_STEP] = {"succession.step", true},
    [FAULT_SUCCESSION_SYNC] = {"succession.sync", false},
    [FAULT_SUCCESSION_PLACE] = {"succession.place", false},
    [FAULT_REGISTRAR_CALL] = {"registrar.call", false},
    [FAULT_REGISTRAR_ANSWERED] = {"registrar.answered", true},
    [FAULT_REGISTRAR_PROPOSE] = {"registrar.propose", false},
    [FAULT_REGISTRAR_PROPOSED] = {"registrar.proposed", true},
    [FAULT_EXPORT_LOAD] = {"export.load", false},
    [FAULT_EXPORT_SEND] = {"export.send", false},
    [FAULT_EXPORT_ANSWERED] = {"export.answered", true},
    [FAULT_EXPORT_ADVANCE] = {"export.advance", false},
    [FAULT_EXPORT_ADVANCED] = {"export.advanced", true},
    [FAULT_VERIFY_ASK] = {"verify.ask", false},
    [FAULT_VERIFY_PROPOSE] = {"verify.propose", false},
    [FAULT_HTTP_START] = {"http.start", false},
    [FAULT_CALL_PROPOSE] = {"call.propose", false},
    [FAULT_CALL_APPLIED] = {"call.applied", true},
    [FAULT_FORWARD_SEND] = {"forward.send", false},
    [FAULT_DAEMON_STOPPING] = {"daemon.stopping", true},
    [FAULT_DAEMON_CLOSED] = {"daemon.closed", true},
    [FAULT_DAEMON_RESTART] = {"daemon.restart", true},
};

static struct fault_row own_rows[FAULT_COUNT];
static struct fault_row *rows = own_rows;
static atomic_int fired;

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;) { /* It may take a moment to arrive. */
        (void)pause();
    }
}

bool fault_fires(enum fault_point point)
{
    struct fault_row *row = &rows[point];
    uint64_t visit = atomic_fetch_add(&row->visits, 1);
    uint64_t times = row->times;
    uint64_t from = row->from;
    if (times == 0 || visit < from || visit - from >= times) {
        return false;
    }
    atomic_fetch_add(&fired, 1);
    if (row->action == FAULT_KILLS) {
        die();
    }
    return !points[point].step;
}

void fault_step(enum fault_point point)
{
    (void)fault_fires(point);
}

static void arm(enum fault_point point, uint64_t after, uint64_t times, enum fault_action action)
{
    struct fault_row *row = &rows[point];
    row->times = 0;
    row->action = action;
    row->from = row->visits + after;
    row->times = times;
}

void fault_arm(enum fault_point point, int after, int times)
{
    arm(point, (uint64_t)after, times < 0 ? UINT64_MAX : (uint64_t)times, FAULT_FAILS);
}

int fault_reset(void)
{
    for (int i = 0; i < FAULT_COUNT; i++) {
        rows[i].times = 0;
    }
    return atomic_exchange(&fired, 0);
}

void fault_leave(void)
{
    rows = own_rows;
    (void)fault_reset();
}

const char *fault_name(enum fault_point point)
{
    return points[point].name;
}

/* ---- From the environment ---- */

static struct status share(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(errno, "MUSTER_FAULT_TABLE: open %s", path);
    }
    void *shared = MAP_FAILED;
    if (ftruncate(fd, sizeof own_rows) == 0) {
        shared = mmap(NULL, sizeof own_rows, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    struct status status =
        shared == MAP_FAILED ? fail_errno(errno, "MUSTER_FAULT_TABLE: map %s", path) : OK;
    (void)close(fd);
    if (!failed(status)) {
        rows = shared;
        for (int i = 0; i < FAULT_COUNT; i++) {
            (void)snprintf(rows[i].name, sizeof rows[i].name, "%s", points[i].name);
        }
    }
    return status;
}

static struct status parse_action(const char *text, enum fault_point point,
                                  enum fault_action *action, uint64_t *times)
{
    *times = 1;
    *action = FAULT_FAILS;
    if (strcmp(text, "kill") == 0) {
        *action = FAULT_KILLS;
        return OK;
    }
    if (strcmp(text, "fail-forever") == 0) {
        *times = UINT64_MAX;
    } else if (strcmp(text, "fail") != 0) {
        return fail(STATUS_INVALID, "MUSTER_FAULT: %s: kill, fail or fail-forever, not %.40s",
                    points[point].name, text);
    }
    if (points[point].step) {
        return fail(STATUS_INVALID, "MUSTER_FAULT: nothing fails at %s: kill there",
                    points[point].name);
    }
    return OK;
}

/* One "name:visit:action", which is cut into pieces. */
static struct status arm_one(char *text)
{
    char *visit = strchr(text, ':');
    char *action = visit == NULL ? NULL : strchr(visit + 1, ':');
    if (action == NULL) {
        return fail(STATUS_INVALID, "MUSTER_FAULT: not name:visit:action: %.40s", text);
    }
    *visit++ = '\0';
    *action++ = '\0';
    int point = 0;
    while (point < FAULT_COUNT && strcmp(points[point].name, text) != 0) {
        point++;
    }
    if (point == FAULT_COUNT) {
        return fail(STATUS_INVALID, "MUSTER_FAULT: there is no fault point %.40s", text);
    }
    char *end;
    errno = 0;
    uint64_t after = strtoull(visit, &end, 10);
    if (visit[strspn(visit, "0123456789")] != '\0' || *visit == '\0' || errno != 0) {
        return fail(STATUS_INVALID, "MUSTER_FAULT: %s: not the number of a visit: %.40s", text,
                    visit);
    }
    enum fault_action what;
    uint64_t times;
    struct status status = parse_action(action, (enum fault_point)point, &what, &times);
    if (!failed(status)) {
        arm((enum fault_point)point, after, times, what);
    }
    return status;
}

struct status fault_open(void)
{
    const char *table = getenv("MUSTER_FAULT_TABLE");
    const char *given = getenv("MUSTER_FAULT");
    struct status status = table == NULL ? OK : share(table);
    if (failed(status) || given == NULL) {
        return status;
    }
    char text[TEXT_SIZE_MAX];
    if (strlen(given) >= sizeof text) {
        return fail(STATUS_INVALID, "MUSTER_FAULT: at most %d bytes", TEXT_SIZE_MAX - 1);
    }
    (void)snprintf(text, sizeof text, "%s", given);
    char *rest = text;
    while (!failed(status) && rest != NULL) {
        status = arm_one(strsep(&rest, ","));
    }
    return status;
}
#endif
