/*
 * One simulated node: its state machine for libraft, start, stop and crash.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "sim.h"
#include "wal.h"
#include "whole.h"

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* ---- The state machine ---- */

static int fsm_apply(struct raft_fsm *fsm, const struct raft_buffer *command, void **result)
{
    struct sim_node *node = fsm->data;
    *result = NULL;
    machine_apply(node, raft_last_applied(node->raft) + 1, command);
    return 0;
}

static int fsm_snapshot(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count)
{
    struct sim_node *node = fsm->data;
    uint64_t *data = raft_malloc(2 * sizeof *data);
    *buffers = raft_malloc(sizeof **buffers);
    if (data == NULL || *buffers == NULL) {
        abort();
    }
    machine_snapshot(node, data);
    (*buffers)[0] = (struct raft_buffer){.base = data, .len = 2 * sizeof *data};
    *count = 1;
    return 0;
}

static int fsm_restore(struct raft_fsm *fsm, struct raft_buffer *buffer)
{
    struct sim_node *node = fsm->data;
    uint64_t data[2];
    memcpy(data, buffer->base, sizeof data);
    raft_free(buffer->base);
    machine_restore(node, data);
    return 0;
}

/* ---- Life ---- */

static void on_fatal(void *context, const char *action, int code)
{
    struct sim_node *node = context;
    world_say(node->world, "node %u cannot %s: %s", node->number, action, raft_strerror(code));
    /* libraft may stop itself in the very turn in which the log is poisoned, with its own word for it:
     * when it cannot store a snapshot, for one. The log's is the reason then (node_io_reason()). */
    bool is_poisoned = failed(wal_failure(node->wal)) && node->disk.errors > 0;
    /* A follower asks for room before; a leader's barrier comes as it must. */
    bool asked = strcmp(action, "write entries") == 0 && node->raft->state == RAFT_FOLLOWER;
    bool may = code == RAFT_IOERR || node->disk.dead || is_poisoned ||
               (code == RAFT_NOSPACE && node->disk.full_count > 0 && !asked);
    if (!may) {
        check_fail(node->world, VERDICT_CRASHED, "node %u cannot %s", node->number, action);
    }
    world_push(node->world, node->world->now_ms, EVENT_FATAL, node->number, NULL);
}

static void bootstrap(struct sim_node *node)
{
    struct world *world = node->world;
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    for (unsigned i = 0; i < world->options.node_count; i++) {
        const struct sim_node *other = &world->nodes[i];
        if (raft_configuration_add(&configuration, other->id, other->address,
                                   i < world->temper.voters ? RAFT_VOTER : RAFT_STANDBY) != 0) {
            abort();
        }
    }
    if (raft_bootstrap(node->raft, &configuration) != 0) {
        abort();
    }
    raft_configuration_close(&configuration);
}

static struct raft_io *assemble(struct sim_node *node)
{
    const struct sim_options *options = &node->world->options;
    io_assemble(node);
    node->fsm = (struct raft_fsm){.version = 1,
                                  .data = node,
                                  .apply = fsm_apply,
                                  .snapshot = fsm_snapshot,
                                  .restore = fsm_restore};
    node->guard = NULL;
    if (!options->guarded) {
        return &node->io;
    }
    struct guard_options guard_options = {.raft = node->raft,
                                          .below = &node->io,
                                          .disabled = options->guard_disabled,
                                          .message_size_max = world_message_size(node->world),
                                          .on_fatal = on_fatal,
                                          .context = node};
    if (failed(guard_create(&guard_options, &node->guard))) {
        abort();
    }
    return guard_io(node->guard);
}

/* It cannot start now; what stands in the way must be of our making. */
static void stay_down(struct sim_node *node, struct status reason)
{
    struct world *world = node->world;
    const struct sim_disk *disk = &node->disk;
    bool may = disk->dead || (reason.code == STATUS_IO && disk->errors > 0) ||
               (reason.code == STATUS_FULL && disk->full_count > 0);
    world_say(world, "node %u stays down: %s", node->number, reason.message);
    if (!may) {
        check_fail(world, reason.code == STATUS_CORRUPT ? VERDICT_LOST : VERDICT_CRASHED,
                   "node %u does not start: %s", node->number, reason.message);
    }
    if (disk->dead) {
        node_lose_power(node);
    } else {
        node_kill(node);
    }
}

static struct status start_raft(struct sim_node *node)
{
    struct world *world = node->world;
    struct status status = io_open(node);
    if (failed(status)) {
        return status;
    }
    node->raft = allocate(sizeof *node->raft);
    if (raft_init(node->raft, assemble(node), &node->fsm, node->id, node->address) != 0) {
        abort();
    }
    raft_set_election_timeout(node->raft, world->whole != NULL ? 1000 : 300);
    raft_set_heartbeat_timeout(node->raft, world->whole != NULL ? 100 : 30);
    raft_set_install_snapshot_timeout(node->raft, 500);
    raft_set_pre_vote(node->raft, true);
    raft_set_snapshot_threshold(node->raft, world->temper.snapshot_threshold);
    raft_set_snapshot_trailing(node->raft, world->temper.snapshot_trailing);
    if (!node->begun) {
        bootstrap(node);
        node->begun = true;
    }
    int code = raft_start(node->raft);
    if (code != 0) {
        return fail(code == RAFT_IOERR ? STATUS_IO : STATUS_INVALID, "%s", raft_strerror(code));
    }
    if (node->guard != NULL) {
        guard_poll(node->guard);
    }
    return OK;
}

void node_start(struct sim_node *node)
{
    if (node->replacing == REPLACING_REMOVAL) {
        return; /* Its log would refuse. */
    }
    node->life++;
    node->alive = true;
    node->paused = false;
    node->applied = 0;
    node->digest = 0;
    node->guard = NULL;
    world_say(node->world, "start %u", node->number);
    machine_open(node);
    if (node->world->whole != NULL) {
        site_open(node);
    }
    struct status status = start_raft(node);
    if (failed(status)) {
        stay_down(node, status);
    }
    node_check_power(node);
}

/* What it has in memory is lost with the process. */
static void end_life(struct sim_node *node)
{
    if (node->world->whole != NULL) {
        site_crash(node);
    }
    machine_crash(node);
    node->wal = NULL;
    node->alive = false;
    node->paused = false;
    node->life++;
}

void node_kill(struct sim_node *node)
{
    world_say(node->world, "kill %u", node->number);
    node->world->troubles[TROUBLE_CRASH]++;
    end_life(node);
}

void node_lose_power(struct sim_node *node)
{
    world_say(node->world, "node %u is without power", node->number);
    node->world->troubles[TROUBLE_POWER]++;
    end_life(node);
    power_cut(node);
    sim_disk_crash(&node->disk);
}

void node_check_power(struct sim_node *node)
{
    if (node->alive && node->disk.dead) {
        node_lose_power(node);
    }
}

static void raft_on_closed(struct raft *raft)
{
    (void)raft;
}

void node_stop(struct sim_node *node)
{
    world_say(node->world, "stop %u", node->number);
    node->world->troubles[TROUBLE_STOP]++;
    /* The last thing that a stop writes is the mark by which the log knows all that stands before;
     * a log that takes no more, and one whose mark meets an error of the disk, ends without. */
    bool takes_mark = !failed(wal_failure(node->wal));
    unsigned errors = node->disk.errors;
    raft_close(node->raft, raft_on_closed); /* The rest of it waits for sends, and is let go. */
    end_life(node);
    bool is_marked = takes_mark && node->disk.errors == errors;
    if (is_marked && node->disk.error_after < 0 && !node->disk.dead) {
        rot_strike(node);
    }
}

bool node_leads(const struct sim_node *node)
{
    return node->alive && !node->paused && raft_state(node->raft) == RAFT_LEADER;
}

static void apply_on_done(struct raft_apply *request, int status, void *result)
{
    (void)result;
    check_answer(request->data, status);
}

void node_propose(struct sim_node *node, unsigned count)
{
    struct world *world = node->world;
    for (unsigned i = 0; i < count && world->proposal_count < SIM_PROPOSALS_MAX; i++) {
        struct sim_proposal *proposal = &world->proposals[world->proposal_count++];
        proposal->world = world;
        proposal->value = world->proposal_count;
        proposal->node = node->number;
        proposal->life = node->life;
        proposal->request.data = proposal;
        struct raft_buffer command;
        machine_command(node, proposal, &command);
        struct status room = wal_can_append(node->wal, command.len, 1);
        if (failed(room)) {
            world_say(world, "node %u refuses: %s", node->number, room.message);
            raft_free(command.base);
            return;
        }
        proposal->proposed = true;
        int code = raft_apply(node->raft, &proposal->request, &command, 1, apply_on_done);
        if (code != 0) {
            world_say(world, "node %u refuses: %s", node->number, raft_strerror(code));
            proposal->proposed = false;
            raft_free(command.base);
        }
        if (world->options.mutant == MUTANT_COMMIT && proposal->proposed) {
            check_answer(proposal, 0);
            proposal->answers = 0;
        }
        if (node->guard != NULL) {
            guard_poll(node->guard);
        }
        if (!proposal->proposed) {
            return;
        }
    }
}

/* Tell what has changed since the last look. */
static void say_changes(struct sim_node *node)
{
    const struct raft *raft = node->raft;
    struct sim_look now = {.state = raft->state,
                           .term = raft->current_term,
                           .configuration = raft->configuration_index,
                           .uncommitted = raft->configuration_uncommitted_index};
    if (memcmp(&now, &node->look, sizeof now) == 0) {
        return;
    }
    node->look = now;
    char members[SIM_NODES_MAX * 8 + 1] = "";
    for (unsigned i = 0; i < raft->configuration.n && i < SIM_NODES_MAX; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        (void)snprintf(members + strlen(members), sizeof members - strlen(members), " %llu%c",
                       server->id - 1, "sv-"[server->role % 3]);
    }
    world_say(node->world,
              "  node %u is %c in term %llu, log %llu stored %llu commit %llu, members "
              "at %llu/%llu:%s",
              node->number, "-FCL"[now.state % 4], now.term, raft_view_last(raft),
              raft->last_stored, raft->commit_index, now.configuration, now.uncommitted, members);
}

/* As consensus/node.c does in each turn: with a poisoned log it stops. */
static void node_check_log(struct sim_node *node)
{
    struct status failure = node->alive ? wal_failure(node->wal) : OK;
    if (failed(failure) && !node->disk.dead && node->guard != NULL) {
        world_say(node->world, "the log of node %u takes no more: %s", node->number,
                  failure.message);
        node_kill(node);
    }
}

void node_event(struct sim_node *node, const struct event *event)
{
    struct world *world = node->world;
    switch (event->kind) {
    case EVENT_TICK:
        node->tick(&node->io);
        world_push(world, world->now_ms + (uint64_t)node->tick_ms * 100 / node->clock_percent,
                   EVENT_TICK, node->number, NULL);
        break;
    case EVENT_DISK: io_write(node); break;
    case EVENT_ANSWER: io_answer(node); break;
    case EVENT_DELIVER: world_deliver(node, event->payload); break;
    case EVENT_SENT: world_sent(node, event->payload); break;
    case EVENT_SNAPSHOT_GET: io_snapshot_give(node, event->payload); break;
    case EVENT_FATAL: node_kill(node); break;
    case EVENT_SITE: whole_run_event(event->payload); break;
    case EVENT_OUTSIDE: break; /* Of no node. */
    }
    node_check_log(node);
    node_check_power(node);
    if (world->whole != NULL && node->alive) {
        site_turn(node);
        node_check_power(node);
    }
    if (world->options.trace && node->alive) {
        say_changes(node);
    }
    if (!node->world->options.guarded && node->alive && event->kind != EVENT_FATAL &&
        raft_state(node->raft) == RAFT_UNAVAILABLE) {
        check_fail(world, VERDICT_CRASHED, "node %u: libraft stopped itself", node->number);
        node_kill(node);
    }
}
