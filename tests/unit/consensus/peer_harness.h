/*
 * Some nodes of a peer network in one loop, on ports the system chooses, for peer_test.c and
 * peer_image_test.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_HARNESS_H
#define PEER_HARNESS_H

#include <uv.h>

#include "peer.h"
#include "pki.h"
#include "scratch.h"

#define NODES_MAX 3

struct world;

struct node {
    struct world *world;
    struct pki_identity identity;
    uint64_t node_id;
    struct peers *peers; /* NULL when closed. */
    char address[CONSENSUS_ADDRESS_SIZE];
    bool banned;                                /* peer_allowed says no about it. */
    unsigned received[RAFT_IO_TIMEOUT_NOW + 1]; /* By type. */
    size_t received_size;                       /* Bytes of entries. */
    struct raft_wire_message last;              /* Without what it pointed to. */
    unsigned refused;
    unsigned gone;
    unsigned troubles;
    struct status trouble; /* The last. */
    unsigned closed;
    bool keeps_last; /* last owns what it points to. */
};

struct world {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct pki_identity ca;
    struct node nodes[NODES_MAX];
    size_t count;
    struct peers_options options; /* Time limits and the like for all. */
};

/* Run the loop until `condition` holds; fails the test after WORLD_DEADLINE_MS. */
#define WORLD_DEADLINE_MS 20000U
#define WORLD_RUN_UNTIL(world, condition)                                                          \
    while (!(condition)) {                                                                         \
        CHECK(uv_run(&(world)->loop, UV_RUN_ONCE) != 0);                                           \
    }

/* Loop, CA and identities; nodes are opened one by one. */
void world_open(struct world *world, size_t count);
void world_close(struct world *world);

void node_open(struct node *node);
void node_close(struct node *node);

/* A send, with what came of it. */
struct sent {
    struct peer_send send;
    unsigned answered;
    struct status status;
};

/* Send; an immediate failure is written to `sent` too, without counting as an answer. */
void node_send(struct node *from, const struct node *to, struct raft_wire_message message,
               struct sent *sent);

/* Send heartbeats until the connection is open. */
void node_connect(struct node *from, const struct node *to);

/* A heartbeat. */
struct raft_wire_message heartbeat(void);

#endif
