/*
 * One run: some minutes of bad weather by seed, then healing, then the last checks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "sim.h"
#include "whole.h"

static unsigned any_node(struct world *world)
{
    return world_between(world, 0, world->options.node_count - 1);
}

/* The leader, in a seed that hunts it; otherwise anyone. */
static unsigned victim(struct world *world)
{
    bool hunts = world->temper.hunts_leader && world_chance(world, 70);
    for (unsigned i = 0; hunts && i < world->options.node_count; i++) {
        if (node_leads(&world->nodes[i])) {
            return i;
        }
    }
    return any_node(world);
}

static void act_propose(struct world *world)
{
    if (world->whole != NULL) {
        feed_poke(world);
        return;
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        if (node_leads(&world->nodes[i])) {
            node_propose(&world->nodes[i], world_between(world, 1, 5));
        }
    }
}

static void act_crash(struct world *world)
{
    struct sim_node *node = &world->nodes[victim(world)];
    if (node->alive) {
        trouble_crash(node);
    }
}

static void act_restart(struct world *world)
{
    struct sim_node *node = &world->nodes[any_node(world)];
    if (!node->alive) {
        node_start(node);
    }
}

static void act_cut(struct world *world)
{
    unsigned from = any_node(world);
    unsigned to = any_node(world);
    if (from == to) {
        return;
    }
    world->cut[from][to] = true;
    world->cut[to][from] = world->cut[to][from] || world_chance(world, 50);
    world->troubles[world->cut[to][from] ? TROUBLE_PARTITION : TROUBLE_ONE_WAY]++;
    world_say(world, "cut %u to %u%s", from, to, world->cut[to][from] ? ", both ways" : "");
}

static void act_mend(struct world *world)
{
    unsigned from = any_node(world);
    unsigned to = any_node(world);
    world->cut[from][to] = false;
    world->cut[to][from] = false;
}

static void act_isolate(struct world *world)
{
    unsigned number = victim(world);
    world->troubles[TROUBLE_PARTITION]++;
    world_say(world, "isolate %u", number);
    for (unsigned i = 0; i < world->options.node_count; i++) {
        world->cut[number][i] = i != number;
        world->cut[i][number] = i != number;
    }
}

static void act_mend_all(struct world *world)
{
    memset(world->cut, 0, sizeof world->cut);
}

static void act_pause(struct world *world)
{
    unsigned number = victim(world);
    if (world->nodes[number].paused) {
        world_unpause(world, number);
    } else if (world->nodes[number].alive) {
        world->troubles[TROUBLE_PAUSE]++;
        world_say(world, "pause %u", number);
        world->nodes[number].paused = true;
    }
}

static void act_unpause_all(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        world_unpause(world, i);
    }
}

static void transfer_on_done(struct raft_transfer *request)
{
    memset(request, 0xDB, sizeof *request); /* A late use of it must not go unseen. */
    free(request);
}

static void act_transfer(struct world *world)
{
    struct sim_node *node = &world->nodes[victim(world)];
    struct raft_transfer *request = calloc(1, sizeof *request);
    if (request == NULL) {
        abort();
    }
    if (!node_leads(node) || raft_transfer(node->raft, request, 0, transfer_on_done) != 0) {
        free(request);
        return;
    }
    world->troubles[TROUBLE_TRANSFER]++;
    world_say(world, "node %u hands over", node->number);
    if (node->guard != NULL) {
        guard_poll(node->guard);
    }
}

static void change_on_done(struct raft_change *request, int status)
{
    (void)status;
    free(request);
}

/* One random change, within what the room allows: by a leader whose barrier is applied. */
static int change(struct sim_node *node, struct raft_change *request)
{
    struct world *world = node->world;
    struct raft *raft = node->raft;
    struct sim_node *other = &world->nodes[any_node(world)];
    unsigned at = raft_view_server(raft, other->id);
    if (at == raft->configuration.n) {
        world_say(world, "node %u adds %u", node->number, other->number);
        return raft_add(raft, request, other->id, other->address, change_on_done);
    }
    bool is_voter = raft->configuration.servers[at].role == RAFT_VOTER;
    if (is_voter && (raft_view_voters(raft) == 1 || other == node)) {
        return RAFT_CANTCHANGE;
    }
    if (is_voter || world_chance(world, 20)) {
        if (!is_voter && world_chance(world, 50)) {
            world_say(world, "node %u removes %u", node->number, other->number);
            return raft_remove(raft, request, other->id, change_on_done);
        }
        int role = is_voter ? RAFT_STANDBY : RAFT_SPARE;
        world_say(world, "node %u makes %u role %d", node->number, other->number, role);
        return raft_assign(raft, request, other->id, role, change_on_done);
    }
    world_say(world, "node %u makes %u a voter", node->number, other->number);
    return raft_assign(raft, request, other->id, RAFT_VOTER, change_on_done);
}

static void act_change(struct world *world)
{
    if (rot_is_pending(world)) {
        return;
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        bool may = node_leads(node) && (node->guard == NULL || guard_is_ready(node->guard));
        if (!may) {
            continue;
        }
        struct raft_change *request = calloc(1, sizeof *request);
        if (request == NULL) {
            abort();
        }
        if (change(node, request) != 0) {
            free(request);
        } else {
            world->troubles[TROUBLE_CHANGE]++;
        }
        if (node->guard != NULL) {
            guard_poll(node->guard);
        }
    }
}

/* A node is told that its leader is gone, rightly or not. */
static void act_rumour(struct world *world)
{
    struct sim_node *node = &world->nodes[any_node(world)];
    raft_id leader = 0;
    const char *address = NULL;
    if (!node->alive || node->paused || node->guard == NULL) {
        return;
    }
    raft_leader(node->raft, &leader, &address);
    guard_leader_gone(node->guard, leader);
}

/* With few proposals, leaders come and go with nothing of their own term in their logs. */
static void act_propose_rarely(struct world *world)
{
    bool others_do = world->whole != NULL;
    if (!others_do && (!world->options.quiet || world_chance(world, 12))) {
        act_propose(world);
    }
}

static const struct act {
    unsigned weight;
    void (*run)(struct world *world);
} acts[] = {
    {50, act_propose_rarely}, {6, act_cut},      {9, act_mend},      {3, act_isolate},
    {4, act_mend_all},        {10, act_restart}, {3, act_pause},     {2, act_unpause_all},
    {4, trouble_disk},        {2, act_transfer}, {2, trouble_clock}, {2, act_rumour},
};

static void draw_act(struct world *world)
{
    unsigned total = world->temper.crash_weight + (world->options.members ? 6 : 0);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        total += acts[i].weight;
    }
    unsigned drawn = world_between(world, 1, total);
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (drawn <= acts[i].weight) {
            acts[i].run(world);
            return;
        }
        drawn -= acts[i].weight;
    }
    if (drawn <= world->temper.crash_weight) {
        act_crash(world);
    } else if (!world->options.roles) {
        act_change(world);
    }
}

static void act(struct world *world)
{
    draw_act(world);
    if (world->options.roles) {
        roles_act(world);
    }
    if (world_chance(world, 30)) {
        (void)rot_mend(world);
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        node_check_power(&world->nodes[i]);
    }
}

static void draw_temper(struct world *world)
{
    bool wild = world_chance(world, 40); /* A network that TCP would not be. */
    unsigned nodes = world->options.node_count;
    unsigned voters_max = nodes < SIM_VOTERS_MAX ? nodes : SIM_VOTERS_MAX;
    world->temper = (struct temper){
        .latency_max_ms = world_between(world, 2, 30),
        .loss_percent = wild ? world_between(world, 0, 10) : 0,
        .duplicate_percent = wild ? world_between(world, 0, 10) : 0,
        .reorder_percent = wild ? world_between(world, 0, 30) : 0,
        .crash_weight = world_between(world, 0, 8),
        .snapshot_threshold = world_between(world, 15, 120),
        .snapshot_trailing = world_between(world, 1, 30),
        .send_max_ms = world_chance(world, 25) ? 600 : 2,
        .answer_max_ms = world_chance(world, 25) ? 60 : 3,
        .disk_fails = world_chance(world, 20),
        .disk_fills = world_chance(world, 20),
        .rots = world->options.rot ||
                (!world->options.members && world->options.node_count >= 3 &&
                 world->options.guarded && !world->options.whole && world_chance(world, 30)),
        .clocks_stray = world_chance(world, 30),
        .voters = world->options.members ? world_between(world, 1, voters_max) : voters_max,
        .hunts_leader = world_chance(world, 40),
    };
}

static void heal(struct world *world)
{
    world_say(world, "heal");
    act_mend_all(world);
    act_unpause_all(world);
    world->temper.loss_percent = 0;
    world->temper.duplicate_percent = 0;
    world->temper.reorder_percent = 0;
    world->temper.send_max_ms = 2;
    world->temper.answer_max_ms = 3;
    world->healed = true;
    for (unsigned i = 0; i < world->options.node_count; i++) {
        trouble_heal(&world->nodes[i]);
    }
}

/* Let time pass, with whoever is down started again: a poisoned log may show after healing. */
static void run_healed(struct world *world, unsigned time_ms)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        if (!world->nodes[i].alive) {
            node_start(&world->nodes[i]);
        }
    }
    (void)rot_mend(world);
    world_run_until(world, world->now_ms + time_ms);
}

/* Is this node one that the present leader replicates to? */
static bool is_served(const struct world *world, const struct sim_node *node)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct sim_node *leader = &world->nodes[i];
        if (!node_leads(leader)) {
            continue;
        }
        unsigned at = raft_view_server(leader->raft, node->id);
        return at < leader->raft->configuration.n &&
               leader->raft->configuration.servers[at].role != RAFT_SPARE;
    }
    return true;
}

static bool is_settled(struct world *world)
{
    raft_index highest = 0;
    if (!rot_mend(world) || (world->options.roles && !roles_step(world))) {
        return false;
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        highest = world->nodes[i].applied > highest ? world->nodes[i].applied : highest;
    }
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct sim_node *node = &world->nodes[i];
        if (!node->alive || (node->applied != highest && is_served(world, node))) {
            return false;
        }
    }
    return true;
}

static void say_state(struct world *world)
{
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct raft *raft = world->nodes[i].raft;
        world_say(world,
                  "node %u state %u term %llu commit %llu applied %llu stored %llu voters %u", i,
                  raft->state, raft->current_term, raft->commit_index, raft->last_applied,
                  raft->last_stored, raft_view_voters(raft));
        for (unsigned k = 0; node_leads(&world->nodes[i]) && k < raft->configuration.n; k++) {
            const struct raft_progress *progress = &raft->leader_state.progress[k];
            world_say(world, "  to %llu: progress %u next %llu match %llu",
                      raft->configuration.servers[k].id - 1, progress->state, progress->next_index,
                      progress->match_index);
        }
        for (unsigned k = 0; world->nodes[i].guard != NULL && k < GUARD_RULE_COUNT; k++) {
            world_say(world, "  %s %llu", guard_rule_name(k),
                      guard_count(world->nodes[i].guard, k));
        }
    }
}

/* Run until all agree and every proposal is answered; false if that takes too long. */
static bool wait_settled(struct world *world)
{
    for (unsigned i = 0; i < 600 && world->verdict == VERDICT_GOOD; i++) {
        if (is_settled(world) && check_unanswered(world) == 0) {
            return true;
        }
        run_healed(world, 100);
    }
    return world->verdict != VERDICT_GOOD;
}

/* Run until nothing waits for the cloud; its longest pauses are of five minutes. */
static bool wait_exported(struct world *world)
{
    for (unsigned i = 0; i < 1800 && world->verdict == VERDICT_GOOD; i++) {
        if (whole_is_settled(world)) {
            return wait_settled(world);
        }
        run_healed(world, 1000);
    }
    return world->verdict != VERDICT_GOOD;
}

static void settle(struct world *world)
{
    for (unsigned i = 0; i < 40 && world->verdict == VERDICT_GOOD; i++) {
        run_healed(world, 100);
        act_propose(world);
    }
    bool agreed = wait_settled(world);
    agreed = agreed && (world->whole == NULL || wait_exported(world));
    size_t answered = world->acknowledged_count;
    for (unsigned i = 0; i < 50 && world->acknowledged_count == answered; i++) {
        act_propose(world);
        run_healed(world, 200);
    }
    bool lives = world->acknowledged_count > answered && wait_settled(world);
    say_state(world);
    if (!agreed) {
        check_fail(world, VERDICT_UNSETTLED, "no agreement a minute after healing");
    } else if (!lives) {
        check_fail(world, VERDICT_UNSETTLED, "a healed cluster answers no proposal");
    }
}

static void begin(struct world *world, const struct sim_options *options, uint64_t seed)
{
    world->options = *options;
    world->seed = seed;
    world->random = seed;
    world->machine_random = seed * UINT64_C(0x9E3779B97F4A7C15) | 1U; /* Not 0. */
    world->trims = seed % 2 == 0;
    draw_temper(world);
    world->whole = options->whole ? calloc(1, sizeof *world->whole) : NULL;
    for (unsigned i = 0; i < options->node_count; i++) {
        struct sim_node *node = &world->nodes[i];
        node->world = world;
        node->number = i;
        node->id = i + 1;
        (void)snprintf(node->address, sizeof node->address, "%u", i + 1);
        node->slow_ms = world_chance(world, 25) ? 80 : 8;
        trouble_open(node, seed);
    }
    mutant_open(world);
    roles_open(world);
    for (unsigned i = 0; i < options->node_count; i++) {
        node_start(&world->nodes[i]);
    }
    if (world->whole != NULL) {
        whole_start(world);
    }
}

static void check_all(struct world *world)
{
    if (world->verdict == VERDICT_GOOD && world->whole != NULL) {
        whole_check_end(world);
    }
    if (world->verdict == VERDICT_GOOD && !world->options.members) {
        check_end(world);
    }
    if (world->verdict == VERDICT_GOOD && world->options.roles) {
        roles_check_end(world);
    }
    if (world->verdict == VERDICT_GOOD) {
        machine_check_end(world);
    }
}

enum verdict sim_run(struct world *world, const struct sim_options *options, uint64_t seed)
{
    begin(world, options, seed);
    /* Bare libraft crashes often: what it does then is restart, and the run goes on. */
    enum verdict worst = options->guarded ? VERDICT_GOOD : VERDICT_CRASHED;
    for (unsigned i = 0; i < options->steps && world->verdict <= worst; i++) {
        unsigned pause_max_ms = world->whole != NULL ? 600 : 60;
        world_run_until(world, world->now_ms + world_between(world, 1, pause_max_ms));
        act(world);
    }
    if (world->verdict != VERDICT_GOOD) {
        return world->verdict;
    }
    heal(world);
    if (world->whole != NULL) {
        whole_heal(world);
    }
    settle(world);
    check_all(world);
    return world->verdict;
}
