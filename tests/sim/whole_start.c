/*
 * The beginning and the healing of a run with whole nodes; its randomness, its events, its weather.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "store/seal.h"
#include "whole.h"

#define MEND_PERCENT 8U /* Every half second: all cables are put back. */
#define GATHER_PERCENT 50U

/* ---- Randomness and events ---- */

unsigned whole_draw(struct world *world, unsigned low, unsigned high)
{
    struct whole *whole = world->whole;
    uint64_t value = whole->random += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30U)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27U)) * UINT64_C(0x94D049BB133111EB);
    return low + (unsigned)((value ^ (value >> 31U)) % (high - low + 1));
}

bool whole_chance(struct world *world, unsigned percent)
{
    return whole_draw(world, 1, 100) <= percent;
}

void whole_later(struct world *world, struct site *site, uint64_t delay_ms,
                 void (*run)(void *context, uint64_t argument), void *context, uint64_t argument)
{
    struct whole_event *event = calloc(1, sizeof *event);
    if (event == NULL) {
        abort();
    }
    *event = (struct whole_event){.run = run, .context = context, .argument = argument};
    bool outside = site == NULL || site->lone != NULL;
    event->lone = site != NULL ? site->lone : NULL;
    world_push(world, world->now_ms + delay_ms, outside ? EVENT_OUTSIDE : EVENT_SITE,
               outside ? 0 : site->node->number, event);
}

void whole_run_event(void *payload)
{
    struct whole_event *event = payload;
    event->run(event->context, event->argument);
    if (event->lone != NULL) {
        lone_turn(event->lone);
    }
    free(event);
}

/* ---- The whole ---- */

static void on_changed(struct raft_change *request, int status)
{
    (void)status;
    free(request);
}

/* As the membership worker: whoever is a member by the state has the state, if not a vote. */
static void gather(struct world *world)
{
    const struct site *leader = whole_leader(world);
    struct raft *raft = leader == NULL ? NULL : leader->node->raft;
    for (unsigned i = 0; raft != NULL && i < world->options.node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        unsigned at = raft_view_server(raft, node->id);
        bool is_there = at < raft->configuration.n;
        if (raft->configuration_uncommitted_index != 0 ||
            (is_there && raft->configuration.servers[at].role != RAFT_SPARE)) {
            continue;
        }
        struct raft_change *request = calloc(1, sizeof *request);
        int code = request == NULL ? RAFT_NOMEM
                   : is_there      ? raft_assign(raft, request, node->id, RAFT_STANDBY, on_changed)
                                   : raft_add(raft, request, node->id, node->address, on_changed);
        if (code != 0) {
            free(request);
        }
        guard_poll(leader->node->guard);
    }
}

static void draw_temper(struct world *world)
{
    struct whole *whole = world->whole;
    bool wild = whole_chance(world, 70);
    whole->temper = (struct whole_temper){
        .latency_max_ms = whole_draw(world, 20, 2000),
        .unreachable_percent = wild ? whole_draw(world, 0, 15) : 1,
        .reply_lost_percent = wild ? whole_draw(world, 0, 20) : 1,
        .twice_percent = wild ? whole_draw(world, 0, 10) : 0,
        .error_percent = wild ? whole_draw(world, 0, 20) : 1,
        .portal_percent = wild ? whole_draw(world, 0, 3) : 0,
    };
}

static void tick(void *context, uint64_t argument)
{
    struct world *world = context;
    (void)argument;
    device_tick(world);
    if (!world->whole->healed && whole_chance(world, world->whole->temper.portal_percent)) {
        device_portal(world);
    }
    if (!world->whole->healed && whole_chance(world, MEND_PERCENT)) {
        memset(world->cut, 0, sizeof world->cut); /* The workers need a leader now and then. */
    }
    if (!world->whole->healed && whole_chance(world, 1)) {
        world->whole->vendor.down_until_ms = world->now_ms + whole_draw(world, 500, 20000);
        world_say(world, "the cloud is unreachable until %llu",
                  (unsigned long long)world->whole->vendor.down_until_ms);
    }
    if (world->whole->healed && whole_chance(world, GATHER_PERCENT)) {
        gather(world);
    }
    whole_check_devices(world);
    whole_later(world, NULL, 500, tick, world, 0);
}

void whole_start(struct world *world)
{
    static const char key[SEAL_KEY_SIZE] = "the key of a simulated cluster";
    struct whole *whole = world->whole;
    whole->keys.epoch = 1;
    if (failed(secret_copy(&whole->keys.key, (struct slice){key, sizeof key}))) {
        abort();
    }
    whole->random = world->machine_random ^ UINT64_C(0x77686F6C65);
    draw_temper(world);
    tick(world, 0);
    operator_start(world);
    feed_start(world);
    register_start(world);
    lone_start(world);
}

void whole_heal(struct world *world)
{
    struct whole *whole = world->whole;
    whole->healed = true;
    whole->temper = (struct whole_temper){.latency_max_ms = 50};
    whole->vendor.down_until_ms = 0;
    whole->vendor.limited_until_ms = 0;
}
