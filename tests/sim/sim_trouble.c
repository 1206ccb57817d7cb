/*
 * What befalls disks and clocks, and the count of everything that happened.
 *
 * A disk fails in one call, fills up, or stalls; power fails at once or in a call to come. After a
 * failed call the node is down until it is started again, as a service manager does.
 *
 * Clocks: raft's is monotonic and never goes back; it runs up to twice too fast or half too slow, and
 * leaps forward, as after a suspend. The wall clock, which stamps commands, is set to anything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim.h"

#define SLOW_MS 5U
#define STALL_MS 150U
#define LONG_STALL_MS 1500U /* Longer than an election. */
#define CALLS_MAX 24U       /* Of the disk, until one fails: a few writes. */
#define LEAP_MS_MAX 2000U
#define WALL_BASE_MS UINT64_C(1700000000000)
#define WALL_LEAP_S_MAX 100000U

static const char *const names[TROUBLE_COUNT] = {
    [TROUBLE_PARTITION] = "partitions",
    [TROUBLE_ONE_WAY] = "one-way cuts",
    [TROUBLE_LOSS] = "messages lost",
    [TROUBLE_DUPLICATE] = "duplicated",
    [TROUBLE_REORDER] = "reordered",
    [TROUBLE_PAUSE] = "pauses",
    [TROUBLE_STOP] = "orderly stops",
    [TROUBLE_CRASH] = "kills",
    [TROUBLE_POWER] = "power failures",
    [TROUBLE_TORN] = "torn writes",
    [TROUBLE_UNSYNCED] = "unsynced writes lost",
    [TROUBLE_STORE_CUT] = "stores cut",
    [TROUBLE_DISK_ERROR] = "disk errors",
    [TROUBLE_DISK_FULL] = "disks full",
    [TROUBLE_STALL] = "disk stalls",
    [TROUBLE_ROT] = "bits rotten",
    [TROUBLE_CLOCK_RATE] = "clock rates",
    [TROUBLE_CLOCK_JUMP] = "clock jumps",
    [TROUBLE_CHANGE] = "membership changes",
    [TROUBLE_TRANSFER] = "transfers",
    [TROUBLE_INSTALL] = "snapshots installed",
};

const char *trouble_name(enum trouble trouble)
{
    return names[trouble];
}

void trouble_open(struct sim_node *node, uint64_t seed)
{
    sim_disk_init(&node->disk, seed * SIM_NODES_MAX + node->number);
    node->clock_percent = 100;
}

static struct sim_node *any(struct world *world)
{
    return &world->nodes[world_between(world, 0, world->options.node_count - 1)];
}

/* ---- Disks ---- */

static void slow_down(struct world *world, struct sim_node *node)
{
    unsigned drawn = world_between(world, 1, 100);
    node->slow_ms = drawn <= 8 ? LONG_STALL_MS : drawn <= 40 ? STALL_MS : SLOW_MS;
    world->troubles[TROUBLE_STALL] += node->slow_ms != SLOW_MS;
}

static void fill(struct world *world, struct sim_node *node)
{
    struct sim_disk *disk = &node->disk;
    if (disk->capacity == 0 && world_chance(world, 50)) {
        disk->capacity = sim_disk_used(disk) + world_between(world, 0, 2) * UINT64_C(65536);
        world->troubles[TROUBLE_DISK_FULL]++;
        world_say(world, "the disk of %u is full", node->number);
    } else {
        disk->capacity = 0;
    }
}

void trouble_disk(struct world *world)
{
    struct sim_node *node = any(world);
    slow_down(world, node);
    if (world->temper.disk_fails && world_chance(world, 50)) {
        node->disk.error_after = world_between(world, 0, CALLS_MAX);
    }
    if (world->temper.disk_fills) {
        fill(world, any(world));
    }
}

void trouble_crash(struct sim_node *node)
{
    struct world *world = node->world;
    unsigned drawn = world_between(world, 1, 100);
    if (drawn <= 25) {
        node_kill(node);
    } else if (drawn <= 40) {
        node_lose_power(node);
    } else if (drawn <= 85) {
        node->disk.operations_left = world_between(world, 0, CALLS_MAX);
    } else {
        node_stop(node);
    }
}

/* ---- Clocks ---- */

uint64_t trouble_clock_ms(const struct sim_node *node)
{
    return node->clock_ms + (node->world->now_ms - node->clock_from_ms) * node->clock_percent / 100;
}

uint64_t trouble_wall_ms(const struct sim_node *node)
{
    return WALL_BASE_MS + node->world->now_ms + (uint64_t)node->wall_offset_ms;
}

static void set_rate(struct sim_node *node, unsigned percent)
{
    node->clock_ms = trouble_clock_ms(node);
    node->clock_from_ms = node->world->now_ms;
    node->clock_percent = percent;
}

void trouble_clock(struct world *world)
{
    struct sim_node *node = any(world);
    if (!world->temper.clocks_stray) {
        return;
    }
    unsigned drawn = world_between(world, 1, 100);
    if (drawn <= 40) {
        set_rate(node, world_chance(world, 30) ? 100 : world_between(world, 50, 200));
        world->troubles[TROUBLE_CLOCK_RATE]++;
        world_say(world, "the clock of %u runs at %u %%", node->number, node->clock_percent);
        return;
    }
    if (drawn <= 70) {
        node->clock_ms += world_between(world, 1, LEAP_MS_MAX);
    } else {
        node->wall_offset_ms =
            ((int64_t)world_between(world, 0, 2 * WALL_LEAP_S_MAX) - WALL_LEAP_S_MAX) * 1000;
    }
    world->troubles[TROUBLE_CLOCK_JUMP]++;
    world_say(world, "a clock of %u leaps", node->number);
}

/* ---- All of it ---- */

void trouble_heal(struct sim_node *node)
{
    node->slow_ms = SLOW_MS;
    node->disk.capacity = 0;
    node->disk.error_after = -1;
    node->disk.operations_left = -1;
    set_rate(node, 100);
}

void trouble_sum(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct sim_disk *disk = &world->nodes[i].disk;
        world->troubles[TROUBLE_TORN] += disk->torn_count;
        world->troubles[TROUBLE_UNSYNCED] += disk->lost_count;
        world->troubles[TROUBLE_DISK_ERROR] += disk->errors;
    }
}
