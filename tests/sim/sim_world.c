/*
 * Events in order of time, randomness from the seed, and the network.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft_view.h"
#include "whole.h"

uint64_t world_random(struct world *world)
{
    /* splitmix64: any seed is a good one. */
    uint64_t value = world->random += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ (value >> 30U)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27U)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31U);
}

unsigned world_between(struct world *world, unsigned low, unsigned high)
{
    return low + (unsigned)(world_random(world) % (high - low + 1));
}

bool world_chance(struct world *world, unsigned percent)
{
    return world_between(world, 1, 100) <= percent;
}

void world_say(struct world *world, const char *format, ...)
{
    if (!world->options.trace) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)printf("%8llu ", (unsigned long long)world->now_ms);
    (void)vprintf(format, arguments);
    (void)printf("\n");
    va_end(arguments);
}

static bool is_before(const struct event *left, const struct event *right)
{
    return left->at_ms < right->at_ms ||
           (left->at_ms == right->at_ms && left->sequence < right->sequence);
}

static void grow(struct event **events, size_t *capacity, size_t count)
{
    if (count < *capacity) {
        return;
    }
    *capacity = *capacity == 0 ? 1024 : *capacity * 2;
    *events = realloc(*events, *capacity * sizeof **events);
    if (*events == NULL) {
        abort();
    }
}

static void push(struct world *world, struct event event)
{
    grow(&world->heap, &world->heap_capacity, world->heap_count);
    size_t at = world->heap_count++;
    for (; at > 0 && is_before(&event, &world->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        world->heap[at] = world->heap[(at - 1) / 2];
    }
    world->heap[at] = event;
}

void world_push(struct world *world, uint64_t at_ms, enum event_kind kind, unsigned node,
                void *payload)
{
    push(world, (struct event){.at_ms = at_ms,
                               .sequence = world->sequence++,
                               .kind = kind,
                               .node = node,
                               .life = world->nodes[node].life,
                               .payload = payload});
}

static struct event pop(struct world *world)
{
    struct event first = world->heap[0];
    struct event last = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= world->heap_count) {
            break;
        }
        if (child + 1 < world->heap_count &&
            is_before(&world->heap[child + 1], &world->heap[child])) {
            child++;
        }
        if (!is_before(&world->heap[child], &last)) {
            break;
        }
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = last;
    return first;
}

static void run(struct world *world, const struct event *event)
{
    struct sim_node *node = &world->nodes[event->node];
    world->now_ms = event->at_ms > world->now_ms ? event->at_ms : world->now_ms;
    if (event->kind == EVENT_OUTSIDE) {
        whole_run_event(event->payload);
        return;
    }
    bool is_message = event->kind == EVENT_DELIVER;
    if (!node->alive || (!is_message && event->life != node->life)) {
        return; /* What it owned is lost with the memory of that life. */
    }
    if (node->paused) {
        grow(&world->stalled, &world->stalled_capacity, world->stalled_count);
        world->stalled[world->stalled_count++] = *event;
        return;
    }
    world->steps++;
    node_event(node, event);
}

void world_run_until(struct world *world, uint64_t until_ms)
{
    while (world->heap_count > 0 && world->heap[0].at_ms <= until_ms) {
        struct event event = pop(world);
        run(world, &event);
    }
    world->now_ms = until_ms;
}

void world_unpause(struct world *world, unsigned number)
{
    size_t kept = 0;
    world->nodes[number].paused = false;
    for (size_t i = 0; i < world->stalled_count; i++) {
        struct event event = world->stalled[i];
        if (event.node != number) {
            world->stalled[kept++] = event;
            continue;
        }
        event.at_ms = world->now_ms; /* Its sequence stays: a disk keeps its order. */
        push(world, event);
    }
    world->stalled_count = kept;
}

/* ---- The network ---- */

static void copy_entries(struct raft_append_entries *message)
{
    size_t size = 1;
    for (unsigned i = 0; i < message->n_entries; i++) {
        size += message->entries[i].buf.len;
    }
    char *batch = raft_malloc(size);
    struct raft_entry *entries = raft_calloc(message->n_entries, sizeof *entries);
    if (batch == NULL || entries == NULL) {
        abort();
    }
    size_t offset = 0;
    for (unsigned i = 0; i < message->n_entries; i++) {
        entries[i] = message->entries[i];
        entries[i].batch = batch;
        entries[i].buf.base = batch + offset;
        memcpy(batch + offset, message->entries[i].buf.base, entries[i].buf.len);
        offset += entries[i].buf.len;
    }
    message->entries = entries;
}

static struct flight *board(const struct raft_message *message, const struct sim_node *from)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (flight == NULL) {
        abort();
    }
    flight->message = *message;
    flight->from = from->number;
    flight->from_id = from->id;
    flight->to_id = message->server_id;
    if (message->type == RAFT_IO_APPEND_ENTRIES) {
        if (message->append_entries.n_entries > 0) {
            copy_entries(&flight->message.append_entries);
        } else {
            flight->message.append_entries.entries = NULL;
        }
    } else if (message->type == RAFT_IO_INSTALL_SNAPSHOT) {
        struct raft_install_snapshot *copy = &flight->message.install_snapshot;
        struct raft_buffer data = {.base = raft_malloc(copy->data.len), .len = copy->data.len};
        if (data.base == NULL ||
            raft_view_copy(&message->install_snapshot.conf, &copy->conf) != 0) {
            abort();
        }
        memcpy(data.base, copy->data.base, data.len);
        copy->data = data;
    }
    return flight;
}

size_t world_message_size(const struct world *world)
{
    return world->options.real_store ? SIM_MESSAGE_SIZE_STORE : SIM_MESSAGE_SIZE_DIGEST;
}

static bool is_too_large(const struct world *world, const struct raft_message *message)
{
    size_t size = 0;
    if (message->type != RAFT_IO_APPEND_ENTRIES) {
        return false;
    }
    for (unsigned i = 0; i < message->append_entries.n_entries; i++) {
        size += message->append_entries.entries[i].buf.len;
    }
    return message->append_entries.n_entries > 1 && size > world_message_size(world);
}

struct sent {
    struct raft_io_send *request;
    int status;
};

static void fly(struct sim_node *from, unsigned to, const struct raft_message *message)
{
    struct world *world = from->world;
    const struct temper *temper = &world->temper;
    if (world->cut[from->number][to]) {
        return;
    }
    if (world_chance(world, temper->loss_percent)) {
        world->troubles[TROUBLE_LOSS]++;
        return;
    }
    uint64_t at_ms = world->now_ms + world_between(world, 1, temper->latency_max_ms);
    uint64_t *last_ms = &world->delivered_ms[from->number][to];
    if (at_ms < *last_ms && world_chance(world, temper->reorder_percent)) {
        world->troubles[TROUBLE_REORDER]++;
    } else if (at_ms < *last_ms) {
        at_ms = *last_ms;
    }
    *last_ms = at_ms > *last_ms ? at_ms : *last_ms;
    struct flight *flight = board(message, from);
    flight->round = world->whole != NULL ? site_round(from, message) : 0;
    world_push(world, at_ms, EVENT_DELIVER, to, flight);
}

/* One that libraft does not know of. */
void world_post(struct sim_node *from, unsigned to, const struct raft_message *message)
{
    fly(from, to, message);
}

int world_send(struct sim_node *from, struct raft_io_send *request,
               const struct raft_message *message, raft_io_send_cb callback)
{
    struct world *world = from->world;
    if (message->server_id == 0 || message->server_address == NULL) {
        check_fail(world, VERDICT_CRASHED, "node %u sends to a null address", from->number);
        world_push(world, world->now_ms, EVENT_FATAL, from->number, NULL);
        return RAFT_NOCONNECTION;
    }
    unsigned to = (unsigned)((message->server_id - 1) % SIM_NODES_MAX);
    struct sent *sent = calloc(1, sizeof *sent);
    if (sent == NULL) {
        abort();
    }
    /* As raft_uv does, the callback is kept in the request. */
    request->cb = callback;
    sent->request = request;
    sent->status =
        world->cut[from->number][to] || is_too_large(world, message) ? RAFT_NOCONNECTION : 0;
    unsigned done_max_ms = sent->status == 0 ? world->temper.send_max_ms : 20;
    world_push(world, world->now_ms + world_between(world, 0, done_max_ms), EVENT_SENT,
               from->number, sent);
    if (sent->status == 0) {
        fly(from, to, message);
        if (world_chance(world, world->temper.duplicate_percent)) {
            world->troubles[TROUBLE_DUPLICATE]++;
            fly(from, to, message);
        }
    }
    return 0;
}

void world_sent(struct sim_node *from, void *payload)
{
    struct sent *sent = payload;
    (void)from;
    if (sent->request->cb != NULL) {
        sent->request->cb(sent->request, sent->status);
    }
    free(sent);
}

void world_deliver(struct sim_node *to, struct flight *flight)
{
    struct world *world = to->world;
    struct sim_node *from = &world->nodes[flight->from];
    bool is_lost = flight->to_id != to->id || world->cut[flight->from][to->number];
    if (!is_lost && flight->message.type == RAFT_IO_INSTALL_SNAPSHOT) {
        is_lost = !machine_fetch(to, from, &flight->message.install_snapshot);
    }
    if (is_lost) {
        raft_view_drop(&flight->message);
    } else {
        io_take(to, &flight->message);
        flight->message.server_id = flight->from_id;
        flight->message.server_address = from->address;
        if (world->whole != NULL) {
            site_heard(to, flight);
        }
        to->recv(&to->io, &flight->message);
    }
    free(flight);
}
