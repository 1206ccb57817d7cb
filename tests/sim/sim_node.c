/*
 * One simulated node: the raft_io below the guard, the state machine, start and crash.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "sim.h"
#include "whole.h"

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* ---- raft_io ---- */

static struct sim_node *node_of(struct raft_io *io)
{
    return io->impl;
}

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

static void io_close(struct raft_io *io, raft_io_close_cb callback)
{
    callback(io);
}

/* libraft's signature. NOLINTNEXTLINE(readability-function-size) */
static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry *entries[], size_t *count)
{
    return disk_load(node_of(io), term, voted_for, snapshot, start_index, entries, count);
}

static int io_start(struct raft_io *io, unsigned period_ms, raft_io_tick_cb tick,
                    raft_io_recv_cb recv)
{
    struct sim_node *node = node_of(io);
    node->tick = tick;
    node->recv = recv;
    node->tick_ms = period_ms;
    world_push(node->world, node->world->now_ms + period_ms, EVENT_TICK, node->number, NULL);
    return 0;
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *configuration)
{
    struct sim_disk *disk = &node_of(io)->disk;
    struct raft_buffer bytes;
    if (raft_configuration_encode(configuration, &bytes) != 0) {
        abort();
    }
    disk->term = 1;
    disk->entries = allocate(sizeof *disk->entries);
    disk->entries[0] =
        (struct sim_entry){.term = 1, .type = RAFT_CHANGE, .size = bytes.len, .data = bytes.base};
    disk->count = 1;
    disk->start = 1;
    return 0;
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
    (void)io;
    (void)configuration;
    return RAFT_INVALID;
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    struct sim_disk *disk = &node_of(io)->disk;
    if (disk->poisoned) {
        return RAFT_IOERR;
    }
    disk->term = term;
    disk->voted_for = 0;
    return 0;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    struct sim_disk *disk = &node_of(io)->disk;
    if (disk->poisoned) {
        return RAFT_IOERR;
    }
    disk->voted_for = id;
    return 0;
}

static int io_send(struct raft_io *io, struct raft_io_send *request,
                   const struct raft_message *message, raft_io_send_cb callback)
{
    return world_send(node_of(io), request, message, callback);
}

static int io_append(struct raft_io *io, struct raft_io_append *request,
                     const struct raft_entry entries[], unsigned count, raft_io_append_cb callback)
{
    struct disk_op *op = allocate(sizeof *op);
    op->kind = DISK_APPEND;
    op->append = request;
    op->append_done = callback;
    op->count = count;
    op->entries = allocate(count * sizeof *op->entries);
    for (unsigned i = 0; i < count; i++) {
        const struct raft_entry *entry = &entries[i];
        op->entries[i] = (struct sim_entry){.term = entry->term,
                                            .type = entry->type,
                                            .size = entry->buf.len,
                                            .data = allocate(entry->buf.len)};
        memcpy(op->entries[i].data, entry->buf.base, entry->buf.len);
    }
    disk_submit(node_of(io), op);
    return 0;
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    struct disk_op *op = allocate(sizeof *op);
    op->kind = DISK_TRUNCATE;
    op->index = index;
    disk_submit(node_of(io), op);
    return 0;
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing,
                           struct raft_io_snapshot_put *request,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback)
{
    struct disk_op *op = allocate(sizeof *op);
    uint64_t data[2];
    memcpy(data, snapshot->bufs[0].base, sizeof data);
    op->kind = DISK_PUT;
    op->put = request;
    op->put_done = callback;
    op->trailing = trailing;
    op->replaces = trailing == 0; /* libraft's convention for an installed one. */
    op->image = (struct sim_image){.index = snapshot->index,
                                   .term = snapshot->term,
                                   .configuration_index = snapshot->configuration_index,
                                   .applied = data[0],
                                   .digest = data[1]};
    if (raft_configuration_encode(&snapshot->configuration, &op->image.configuration) != 0) {
        abort();
    }
    node_of(io)->world->snapshots_installed += op->replaces;
    disk_submit(node_of(io), op);
    return 0;
}

struct get {
    struct raft_io_snapshot_get *request;
    raft_io_snapshot_get_cb callback;
};

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request,
                           raft_io_snapshot_get_cb callback)
{
    struct world *world = node_of(io)->world;
    struct get *get = allocate(sizeof *get);
    *get = (struct get){request, callback};
    world_push(world, world->now_ms + world_between(world, 1, 10), EVENT_SNAPSHOT_GET,
               node_of(io)->number, get);
    return 0;
}

static raft_time io_time(struct raft_io *io)
{
    return node_of(io)->world->now_ms;
}

static int io_random(struct raft_io *io, int min, int max)
{
    return min + (int)world_between(node_of(io)->world, 0, (unsigned)(max - min));
}

struct work {
    struct raft_io_async_work *request;
    raft_io_async_work_cb callback;
};

static int io_async_work(struct raft_io *io, struct raft_io_async_work *request,
                         raft_io_async_work_cb callback)
{
    struct world *world = node_of(io)->world;
    struct work *work = allocate(sizeof *work);
    *work = (struct work){request, callback};
    world_push(world, world->now_ms + world_between(world, 1, 20), EVENT_WORK, node_of(io)->number,
               work);
    return 0;
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
    if (code != RAFT_IOERR) {
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
    node->io = (struct raft_io){.version = 2,
                                .impl = node,
                                .init = io_init,
                                .close = io_close,
                                .load = io_load,
                                .start = io_start,
                                .bootstrap = io_bootstrap,
                                .recover = io_recover,
                                .set_term = io_set_term,
                                .set_vote = io_set_vote,
                                .send = io_send,
                                .append = io_append,
                                .truncate = io_truncate,
                                .snapshot_put = io_snapshot_put,
                                .snapshot_get = io_snapshot_get,
                                .time = io_time,
                                .random = io_random,
                                .async_work = io_async_work};
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

void node_start(struct sim_node *node)
{
    struct world *world = node->world;
    node->life++;
    node->alive = true;
    node->paused = false;
    node->applied = 0;
    node->digest = 0;
    node->disk.free_at_ms = world->now_ms;
    node->disk.poisoned = false;
    machine_open(node);
    if (world->whole != NULL) {
        site_open(node);
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
    if (node->disk.term == 0) {
        bootstrap(node);
    }
    world_say(world, "start %u", node->number);
    int code = raft_start(node->raft);
    if (code != 0) {
        check_fail(world, VERDICT_CRASHED, "node %u does not start: %s", node->number,
                   raft_strerror(code));
        machine_crash(node);
        node->alive = false;
        return;
    }
    if (node->guard != NULL) {
        guard_poll(node->guard);
    }
}

static int by_sequence(const void *left, const void *right)
{
    const struct event *a = left;
    const struct event *b = right;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

void node_crash(struct sim_node *node)
{
    struct world *world = node->world;
    size_t total = world->stalled_count + world->heap_count;
    struct event *events = allocate((total + 1) * sizeof *events);
    struct disk_op **ops = allocate((total + 1) * sizeof(struct disk_op *));
    size_t count = 0;
    world_say(world, "crash %u", node->number);
    /* What its disk had under way, in the order it was given. */
    for (size_t i = 0; i < total; i++) {
        const struct event *event =
            i < world->stalled_count ? &world->stalled[i] : &world->heap[i - world->stalled_count];
        if (event->kind == EVENT_DISK && event->node == node->number && event->life == node->life) {
            events[count++] = *event;
        }
    }
    qsort(events, count, sizeof *events, by_sequence);
    for (size_t i = 0; i < count; i++) {
        ops[i] = events[i].payload;
    }
    disk_crash(node, ops, count);
    if (world->whole != NULL) {
        site_crash(node);
    }
    machine_crash(node);
    free(events);
    free(ops);
    node->alive = false;
    node->paused = false;
    node->life++;
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
        proposal->proposed = true;
        if (raft_apply(node->raft, &proposal->request, &command, 1, apply_on_done) != 0) {
            proposal->proposed = false;
            raft_free(command.base);
        }
        if (node->guard != NULL) {
            guard_poll(node->guard);
        }
        if (!proposal->proposed) {
            return;
        }
    }
}

static void snapshot_get(struct sim_node *node, struct get *get)
{
    get->callback(get->request, disk_snapshot(node), 0);
    free(get);
}

static void work(struct work *work)
{
    int status = work->request->work(work->request);
    work->callback(work->request, status);
    free(work);
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
    char members[SIM_NODES_MAX * 4 + 1] = "";
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

void node_event(struct sim_node *node, const struct event *event)
{
    struct world *world = node->world;
    switch (event->kind) {
    case EVENT_TICK:
        node->tick(&node->io);
        world_push(world, world->now_ms + node->tick_ms, EVENT_TICK, node->number, NULL);
        break;
    case EVENT_DISK: disk_finish(node, event->payload); break;
    case EVENT_DELIVER: world_deliver(node, event->payload); break;
    case EVENT_SENT: world_sent(node, event->payload); break;
    case EVENT_WORK: work(event->payload); break;
    case EVENT_SNAPSHOT_GET: snapshot_get(node, event->payload); break;
    case EVENT_FATAL: node_crash(node); break;
    case EVENT_SITE: whole_run_event(event->payload); break;
    case EVENT_OUTSIDE: break; /* Of no node. */
    }
    if (world->whole != NULL && node->alive) {
        site_turn(node);
    }
    if (world->options.trace && node->alive) {
        say_changes(node);
    }
    if (!node->world->options.guarded && node->alive && event->kind != EVENT_FATAL &&
        raft_state(node->raft) == RAFT_UNAVAILABLE) {
        check_fail(world, VERDICT_CRASHED, "node %u: libraft stopped itself", node->number);
        node_crash(node);
    }
}
