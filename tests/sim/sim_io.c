/*
 * A simulated node's raft_io below the guard: the real write-ahead log over a simulated disk, and
 * the network and the clock of the world.
 *
 * The log runs without its thread (wal.h). What is accepted is written some time later, all that has
 * come by then in one batch, and answered some time after that:
 *
 *     accepted --(slow_ms)--> EVENT_DISK: written and synced --> EVENT_ANSWER: libraft hears of it
 *
 * Power may fail in any call of the disk. The log hears an error then, and lives to the end of the
 * event at most, in which nothing leaves the node any more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "log_io.h"
#include "sim.h"
#include "wal_state.h"

static struct sim_node *node_of(struct raft_io *io)
{
    return io->impl;
}

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* ---- The log ---- */

struct status io_open_disk(const struct sim_node *node, struct sim_disk *disk, struct wal **out)
{
    const struct world *world = node->world;
    const struct wal_options options = {
        .disk = &disk->disk,
        .segment_size = world->options.real_store ? SIM_SEGMENT_SIZE_STORE : WAL_SEGMENT_SIZE_MIN,
        .salt = world->seed * SIM_NODES_MAX + node->number + 1};
    return wal_open(&options, out);
}

struct status io_open(struct sim_node *node)
{
    node->write_due = false;
    node->answer_due = false;
    node->wal = NULL; /* That of the life before is lost with its memory. */
    return io_open_disk(node, &node->disk, &node->wal);
}

/* The log has something to do. */
static void wake_disk(struct sim_node *node)
{
    struct world *world = node->world;
    if (!node->write_due) {
        node->write_due = true;
        world_push(world, world->now_ms + world_between(world, 1, node->slow_ms), EVENT_DISK,
                   node->number, NULL);
    }
}

void io_write(struct sim_node *node)
{
    struct world *world = node->world;
    node->write_due = false;
    (void)wal_run_queue(node->wal);
    if (!node->answer_due) {
        node->answer_due = true;
        world_push(world, world->now_ms + world_between(world, 0, world->temper.answer_max_ms),
                   EVENT_ANSWER, node->number, NULL);
    }
}

void io_answer(struct sim_node *node)
{
    node->answer_due = false;
    (void)wal_answer(node->wal);
}

void io_take(struct sim_node *node, struct raft_message *message)
{
    if (message->type == RAFT_IO_APPEND_ENTRIES &&
        !log_io_has_room(node->wal, &message->append_entries)) {
        log_io_leave_out(&message->append_entries);
    }
}

static int io_set_term(struct raft_io *io, raft_term term)
{
    int code = log_io_set_term(node_of(io)->wal, io, term);
    wake_disk(node_of(io)); /* What was written with it is answered. */
    return code;
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    int code = log_io_set_vote(node_of(io)->wal, io, id);
    wake_disk(node_of(io));
    return code;
}

static int io_append(struct raft_io *io, struct raft_io_append *request,
                     const struct raft_entry entries[], unsigned count, raft_io_append_cb callback)
{
    const struct log_io_append append = {
        .request = request, .entries = entries, .count = count, .callback = callback};
    wake_disk(node_of(io));
    return log_io_append(node_of(io)->wal, io, &append);
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    wake_disk(node_of(io));
    return log_io_truncate(node_of(io)->wal, io, index);
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing,
                           struct raft_io_snapshot_put *request,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback)
{
    const struct log_io_put put = {
        .request = request, .snapshot = snapshot, .trailing = trailing, .callback = callback};
    node_of(io)->world->troubles[TROUBLE_INSTALL] += trailing == 0; /* libraft's sign of one. */
    wake_disk(node_of(io));
    return log_io_snapshot_put(node_of(io)->wal, io, &put);
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

void io_snapshot_give(struct sim_node *node, void *payload)
{
    struct get *get = payload;
    log_io_snapshot_get(node->wal, get->request, get->callback);
    free(get);
}

/* ---- The rest of raft_io ---- */

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

struct closing {
    struct raft_io *io;
    raft_io_close_cb callback;
};

static void log_on_closed(void *context, struct status status)
{
    const struct closing *closing = context;
    (void)status; /* Its disk may fail then, too. */
    closing->callback(closing->io);
}

static void io_close(struct raft_io *io, raft_io_close_cb callback)
{
    struct closing closing = {io, callback};
    wal_close(node_of(io)->wal, log_on_closed, &closing);
    node_of(io)->wal = NULL;
}

/* libraft's signature. NOLINTNEXTLINE(readability-function-size) */
static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry *entries[], size_t *count)
{
    struct wal_loaded loaded;
    wal_load(node_of(io)->wal, &loaded);
    return log_io_load(&loaded, term, voted_for, snapshot, start_index, entries, count);
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
    return log_io_code(io, wal_bootstrap(node_of(io)->wal, configuration));
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
    (void)io;
    (void)configuration;
    return RAFT_INVALID;
}

static int io_send(struct raft_io *io, struct raft_io_send *request,
                   const struct raft_message *message, raft_io_send_cb callback)
{
    if (node_of(io)->disk.dead) {
        return 0; /* Without power: it is not answered either, the node ends with this event. */
    }
    return world_send(node_of(io), request, message, callback);
}

static raft_time io_time(struct raft_io *io)
{
    return trouble_clock_ms(node_of(io));
}

static int io_random(struct raft_io *io, int min, int max)
{
    return min + (int)world_between(node_of(io)->world, 0, (unsigned)(max - min));
}

static int io_async_work(struct raft_io *io, struct raft_io_async_work *request,
                         raft_io_async_work_cb callback)
{
    (void)io;
    (void)request;
    (void)callback;
    return RAFT_INVALID; /* Snapshots are manifests: there is no such work. */
}

void io_assemble(struct sim_node *node)
{
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
}
