/*
 * The daemon's look at its disk, ten times a second unless every threshold is far: alarms, and a leader
 * without room that lets another lead. Thresholds are disk_watch.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon_parts.h"
#include "neighbours.h"

#define MIB (UINT64_C(1) << 20U)
#define YIELD_EVERY_MS 2000U /* Between two tries to hand over. */

/* ---- Handing over ---- */

/* How good an heir a member is; 0: none. */
static unsigned merit(const struct daemon *daemon, const struct consensus_member *member)
{
    const struct neighbour *told = neighbours_find(daemon->neighbours, member->node_id);
    if (member->node_id == daemon->identity.node_id || member->role != MEMBER_VOTER ||
        member->heard_ms_ago > daemon->config.election_timeout_ms || told == NULL ||
        told->suspended) {
        return 0;
    }
    struct slice disk = slice_of(told->disk);
    if (slice_equal(disk, slice_of(disk_state_name(DISK_OK)))) {
        return 2;
    }
    return slice_equal(disk, slice_of(disk_state_name(DISK_LOW))) ? 1 : 0;
}

static uint64_t choose_heir(const struct daemon *daemon, const struct consensus_status *raft)
{
    uint64_t heir = 0;
    unsigned best = 0;
    for (size_t i = 0; i < raft->member_count; i++) {
        unsigned found = merit(daemon, &raft->members[i]);
        if (found > best) {
            best = found;
            heir = raft->members[i].node_id;
        }
    }
    return heir;
}

static void on_yielded(struct membership_change *change, struct status status)
{
    struct daemon *daemon = change->context;
    daemon->yielding = false;
    if (failed(status)) {
        log_event(LOG_LEVEL_NOTICE, "a full leader could not hand over, will try again",
                  log_text("error", status.message));
    }
}

/* Of the others one has room: it shall lead. */
static void yield_if_full(struct daemon *daemon, uint64_t now_ms)
{
    struct disk_watch *watch = &daemon->disk;
    if (!watch->refuses || daemon->yielding || !daemon_leads(daemon) ||
        now_ms < watch->not_before_ms) {
        return;
    }
    struct arena arena = {0};
    struct consensus_status *raft = arena_alloc(&arena, 1, sizeof *raft);
    watch->not_before_ms = now_ms + YIELD_EVERY_MS;
    if (raft != NULL) {
        consensus_status(daemon->consensus, raft);
        uint64_t heir = choose_heir(daemon, raft);
        daemon->yield.context = daemon;
        daemon->yielding = heir != 0 && !failed(consensus_transfer(daemon->consensus, heir, 0,
                                                                   &daemon->yield, on_yielded));
        if (daemon->yielding) {
            log_event(LOG_LEVEL_WARNING, "this leader's disk is full, another is to lead",
                      log_slice("heir", daemon_name_of(daemon, &arena, heir)));
        }
    }
    arena_release(&arena);
}

/* ---- Looking ---- */

static void tell(const struct disk_watch *watch, enum disk_state before)
{
    enum disk_state now = disk_watch_state(watch);
    if (now == before) {
        return;
    }
    log_event(now > before ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "disk",
              log_text("state", disk_state_name(now)), log_u64("free_mib", watch->space.free / MIB),
              log_u64("free_inodes", watch->space.free_inodes),
              log_u64("kept_back_mib", watch->reserve / MIB));
}

void daemon_look_at_disk(struct daemon *daemon)
{
    struct disk_watch *watch = &daemon->disk;
    enum disk_state before = disk_watch_state(watch);
    struct disk_space space;
    if (failed(disk_space_of(daemon->config.data_directory, &space))) {
        return; /* If that is more than a moment's, the next write shows it. */
    }
    disk_watch_see(watch, &space);
    tell(watch, before);
}

void daemon_disk_tick(struct daemon *daemon, uint64_t now_ms)
{
    if (now_ms >= daemon->disk.next_look_ms) {
        daemon_look_at_disk(daemon);
        daemon->disk.next_look_ms =
            disk_watch_is_far(&daemon->disk) ? now_ms + DISK_WATCH_FAR_MS : 0;
    }
    if (daemon->disk.space.read_only && !daemon->fatal) {
        daemon_fail(daemon, fail(STATUS_IO, "the disk of %s has become read-only",
                                 daemon->config.data_directory));
        return;
    }
    yield_if_full(daemon, now_ms);
}
