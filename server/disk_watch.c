/*
 * The thresholds of the data folder's disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disk_watch.h"

#define MIB (UINT64_C(1) << 20U)

void disk_watch_init(struct disk_watch *watch, uint64_t reserve, uint64_t alarm_percent)
{
    *watch = (struct disk_watch){.reserve = reserve, .alarm_percent = alarm_percent};
}

/* Is less left than `least`? What was too little before must have grown by a quarter to be enough. */
static bool is_below(bool before, uint64_t left, uint64_t least)
{
    return left < least + (before ? least / 4 : 0);
}

static bool is_short(bool before, const struct disk_space *space, uint64_t least)
{
    return is_below(before, space->free, least) ||
           is_below(before, space->free_inodes, DISK_WATCH_INODES_MIN);
}

void disk_watch_see(struct disk_watch *watch, const struct disk_space *space)
{
    uint64_t part = space->size / 100 * watch->alarm_percent;
    watch->space = *space;
    watch->alarm_size = part > 2 * watch->reserve ? part : 2 * watch->reserve;
    watch->refuses = is_short(watch->refuses, space, watch->reserve);
    watch->follower_lags = is_short(watch->follower_lags, space, watch->reserve / 2);
    watch->warns = is_short(watch->warns, space, watch->alarm_size) ||
                   is_below(watch->warns, space->free_inodes, UINT64_C(8) * DISK_WATCH_INODES_MIN);
}

enum disk_state disk_watch_state(const struct disk_watch *watch)
{
    if (watch->refuses) {
        return DISK_FULL;
    }
    return watch->warns ? DISK_LOW : DISK_OK;
}

bool disk_watch_is_far(const struct disk_watch *watch)
{
    return watch->alarm_size != 0 && disk_watch_state(watch) == DISK_OK &&
           !watch->space.read_only && watch->space.free >= watch->alarm_size + DISK_WATCH_FAR_SIZE;
}

const char *disk_state_name(enum disk_state state)
{
    switch (state) {
    case DISK_OK: return "ok";
    case DISK_LOW: return "low";
    case DISK_FULL: return "full";
    }
    return "ok";
}

struct status disk_watch_room(const struct disk_watch *watch, bool follower)
{
    if (!(follower ? watch->follower_lags : watch->refuses)) {
        return OK;
    }
    uint64_t needed = watch->reserve + watch->reserve / 4;
    if (watch->space.free >= needed) {
        return fail(STATUS_FULL,
                    "the disk has %llu inodes free and %u are kept back\nRemove "
                    "files from the data folder's disk; it then goes on by itself",
                    (unsigned long long)watch->space.free_inodes, DISK_WATCH_INODES_MIN);
    }
    return fail(STATUS_FULL,
                "the disk has %llu MiB free, %llu MiB less than are kept back\n"
                "Free space on the data folder's disk; it then goes on by itself",
                (unsigned long long)(watch->space.free / MIB),
                (unsigned long long)((needed - watch->space.free + MIB - 1) / MIB));
}
