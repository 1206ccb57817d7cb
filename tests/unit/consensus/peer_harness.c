/*
 * Some nodes of a peer network in one loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer_harness.h"

#include <stdio.h>
#include <string.h>

static struct node *find(struct world *world, uint64_t node_id)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].node_id == node_id) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

static struct status address_of(void *context, uint64_t node_id, char out[CONSENSUS_ADDRESS_SIZE])
{
    const struct node *self = context;
    const struct node *node = find(self->world, node_id);
    if (node == NULL || node->address[0] == '\0') {
        return fail(STATUS_NOT_FOUND, "no such node");
    }
    (void)snprintf(out, CONSENSUS_ADDRESS_SIZE, "%s", node->address);
    return OK;
}

static bool peer_allowed(void *context, uint64_t node_id)
{
    const struct node *self = context;
    const struct node *node = find(self->world, node_id);
    return node != NULL && !node->banned;
}

static void on_message(void *context, struct raft_wire_message *message)
{
    struct node *node = context;
    CHECK(message->raft.type <= RAFT_IO_TIMEOUT_NOW && node->closed == 0);
    node->received[message->raft.type]++;
    CHECK(find(node->world, message->raft.server_id) != NULL);
    CHECK(message->raft.server_address != NULL);
    if (message->raft.type == RAFT_IO_APPEND_ENTRIES) {
        for (unsigned i = 0; i < message->raft.append_entries.n_entries; i++) {
            node->received_size += message->raft.append_entries.entries[i].buf.len;
        }
    }
    if (node->keeps_last) {
        raft_wire_release(&node->last);
        node->last = *message;
        node->last.raft.server_address = NULL;
        return;
    }
    struct raft_wire_message copy = *message;
    raft_wire_release(message);
    node->last = copy;
}

static void on_refused(void *context, uint64_t by_node_id)
{
    struct node *node = context;
    CHECK(find(node->world, by_node_id) != NULL);
    node->refused++;
}

static void on_gone(void *context, uint64_t node_id)
{
    struct node *node = context;
    CHECK(find(node->world, node_id) != NULL);
    node->gone++;
}

static void on_trouble(void *context, uint64_t node_id, struct status reason)
{
    struct node *node = context;
    (void)node_id;
    node->troubles++;
    node->trouble = reason;
}

static void on_closed(void *context)
{
    struct node *node = context;
    node->closed++;
}

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    bool in_time = false;
    CHECK(in_time); /* The condition that the loop runs for has not come. */
}

void world_open(struct world *world, size_t count)
{
    memset(world, 0, sizeof *world);
    world->count = count;
    CHECK(uv_loop_init(&world->loop) == 0);
    CHECK(uv_timer_init(&world->loop, &world->deadline) == 0);
    CHECK(uv_timer_start(&world->deadline, on_deadline, WORLD_DEADLINE_MS, 0) == 0);
    pki_make(&world->ca, "cluster");
    for (size_t i = 0; i < count; i++) {
        struct node *node = &world->nodes[i];
        char name[32];
        (void)snprintf(name, sizeof name, "node-%zu", i);
        node->world = world;
        pki_issue_valid(&world->ca, name, &node->identity);
        CHECK_OK(node_id_of_certificate(buffer_slice(&node->identity.certificate), &node->node_id));
    }
}

void node_open(struct node *node)
{
    struct peers_options options = node->world->options;
    options.loop = &node->world->loop;
    options.node_id = node->node_id;
    options.listen_address = node->address[0] == '\0' ? "127.0.0.1:0" : node->address;
    options.ca_pem = buffer_slice(&node->world->ca.certificate);
    options.certificate_pem = buffer_slice(&node->identity.certificate);
    options.key_pem = secret_slice(&node->identity.key);
    options.context = node;
    options.address_of = address_of;
    options.peer_allowed = peer_allowed;
    options.on_message = on_message;
    options.on_refused = on_refused;
    options.on_gone = on_gone;
    options.on_trouble = on_trouble;
    node->closed = 0;
    CHECK_OK(peers_open(&options, &node->peers));
    peers_address(node->peers, node->address);
}

void node_close(struct node *node)
{
    peers_close(node->peers, on_closed, node);
    node->peers = NULL;
    WORLD_RUN_UNTIL(node->world, node->closed == 1);
}

void world_close(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        if (world->nodes[i].peers != NULL) {
            node_close(&world->nodes[i]);
        }
        if (world->nodes[i].keeps_last) {
            raft_wire_release(&world->nodes[i].last);
        }
        pki_release(&world->nodes[i].identity);
    }
    pki_release(&world->ca);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    CHECK(uv_run(&world->loop, UV_RUN_DEFAULT) == 0);
    CHECK(uv_loop_close(&world->loop) == 0);
}

static void on_sent(struct peer_send *send, struct status status)
{
    struct sent *sent = send->context;
    sent->answered++;
    sent->status = status;
}

void node_send(struct node *from, const struct node *to, struct raft_wire_message message,
               struct sent *sent)
{
    *sent = (struct sent){.send = {.context = sent}};
    message.raft.server_id = to->node_id;
    message.raft.server_address = to->address;
    sent->status = peers_send(from->peers, &sent->send, &message, on_sent);
    CHECK_U64(sent->answered, 0);
}

struct raft_wire_message heartbeat(void)
{
    return (struct raft_wire_message){
        .raft = {.type = RAFT_IO_APPEND_ENTRIES, .append_entries = {.term = 1}}};
}

static void on_nothing(uv_timer_t *timer)
{
    (void)timer;
}

void node_connect(struct node *from, const struct node *to)
{
    uv_timer_t wake; /* Turns the loop while nothing else does, between two attempts. */
    CHECK(uv_timer_init(&from->world->loop, &wake) == 0);
    CHECK(uv_timer_start(&wake, on_nothing, 5, 5) == 0);
    while (!peers_connected(from->peers, to->node_id)) {
        struct sent sent;
        node_send(from, to, heartbeat(), &sent);
        bool accepted = !failed(sent.status);
        CHECK(uv_run(&from->world->loop, UV_RUN_ONCE) != 0);
        WORLD_RUN_UNTIL(from->world, !accepted || sent.answered == 1);
    }
    uv_close((uv_handle_t *)&wake, NULL);
    CHECK(uv_run(&from->world->loop, UV_RUN_NOWAIT) >= 0);
}
