/*
 * A cluster of real nodes in one process and on one loop: real logs in scratch folders, real TLS on
 * loopback, and a state machine that remembers what it was told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLUSTER_H
#define CLUSTER_H

#include "scratch.h"

#include <pthread.h>
#include <uv.h>

#include "consensus/consensus.h"
#include "pki.h"

#define CLUSTER_NODES_MAX 5
#define CLUSTER_WAIT_MS 20000

/* What the machine of a node has; survives the node's closing, as a store does. */
struct cluster_state {
    uint64_t applied;
    uint64_t digest;
    uint64_t count;   /* Of commands. */
    uint64_t padding; /* Bytes that an image has besides. */
};

struct cluster_node {
    struct cluster *cluster;
    int number;
    uint64_t id;
    struct pki_identity identity;
    char directory[SCRATCH_PATH_SIZE];
    char address[CONSENSUS_ADDRESS_SIZE]; /* As bound. */
    struct consensus *consensus;          /* NULL while it is closed. */
    bool closed;
    struct consensus_event event;
    unsigned fatal_count;
    struct status fatal;
    bool may_talk[CLUSTER_NODES_MAX];
    bool apply_fails;
    bool is_new;        /* Until it has a state it knows nobody's address, as a node that joins. */
    bool full;          /* No room as a leader ... */
    bool follower_full; /* ... or as a follower. */

    pthread_mutex_t lock; /* An image is written on a thread. */
    struct cluster_state state;
    uint64_t replays;  /* Commands that were applied at an index once more: must stay 0. */
    unsigned installs; /* Images installed. */
};

struct cluster {
    uv_loop_t loop;
    struct pki_identity ca;
    int count;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    struct consensus_options options; /* Used for each node that is opened; zero: quick defaults. */
};

/* Make the identities and folders of `count` nodes; none is opened. */
void cluster_make(struct cluster *cluster, int count);

/* Close what is open, and remove everything. */
void cluster_remove(struct cluster *cluster);

struct status cluster_try_open(struct cluster *cluster, int number, bool bootstrap);
void cluster_open(struct cluster *cluster, int number, bool bootstrap);

/* From now on the node tells its peers where it really is; others must ask the machine. */
void cluster_tell_address(struct cluster *cluster, int number);
void cluster_close(struct cluster *cluster, int number);

/* A ready cluster: node 0 bootstraps, the others join as voters. */
void cluster_start(struct cluster *cluster, int count);

/* Cut or mend what goes between two nodes, in both directions. */
void cluster_link(struct cluster *cluster, int left, int right, bool up);
void cluster_isolate(struct cluster *cluster, int number, bool isolated);

/* Run the loop until the condition holds; false after CLUSTER_WAIT_MS. */
typedef bool (*cluster_condition)(struct cluster *cluster, void *context);
bool cluster_wait(struct cluster *cluster, cluster_condition condition, void *context);

/* The ready leader, -1 if there is none. */
int cluster_leader(const struct cluster *cluster);
int cluster_wait_leader(struct cluster *cluster, int other_than);

/* All open nodes have applied what the furthest one has, and agree. */
void cluster_wait_agreed(struct cluster *cluster);

/* Propose `count` commands of `size` bytes at a node and wait for all answers. Returns how many
 * were answered STATUS_OK; `answers` counts all. */
unsigned cluster_propose(struct cluster *cluster, int number, unsigned count, size_t size,
                         unsigned *answers);

/* Make a change and wait for its answer. */
struct status cluster_add(struct cluster *cluster, int leader, int number);
struct status cluster_assign(struct cluster *cluster, int leader, int number,
                             enum member_role role);
struct status cluster_take_out(struct cluster *cluster, int leader, int number);
struct status cluster_transfer(struct cluster *cluster, int leader, int number);

/* Read and wait for the answer. */
struct status cluster_read(struct cluster *cluster, int number);

#endif
