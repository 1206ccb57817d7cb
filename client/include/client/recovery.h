/*
 * Messages of the admin RPC for the day when most members are lost: where a node stands, going on
 * without a quorum, and snapshots. The methods stand in the table of protocol.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_RECOVERY_H
#define CLIENT_RECOVERY_H

#include "client/protocol.h"

/* cluster.position: how far a node's log goes; asked by a member that wants to go on alone. */
struct rpc_position {
    uint64_t node_id;
    struct slice name;
    struct slice cluster_id;
    struct slice standing;
    uint64_t lineage; /* Of the cluster, as this node knows it. */
    uint64_t last_index;
    uint64_t last_term; /* Of that entry. */
    uint64_t commit_index;
    struct slice leader;          /* Name of the leader it hears, or itself; empty: none. */
    uint64_t leader_heard_ms_ago; /* UINT64_MAX: never, or it leads. */
};
extern const struct codec rpc_position_codec;

/* cluster.recover, to the node that shall go on. Without `proceed` nothing is changed. */
struct rpc_recover {
    bool proceed;
    struct slice cluster; /* With `proceed`: the cluster's name, so that no other is meant. */
};
extern const struct codec rpc_recover_codec;

/* A member as the node that would go on sees it. */
struct rpc_survivor {
    struct slice name;
    uint64_t node_id;
    struct slice role; /* voter, standby, spare, none */
    bool self;
    bool answered;
    uint64_t last_index;
    uint64_t last_term;
    struct slice says; /* What it answered, or why it did not, in words. */
};
extern const struct codec rpc_survivor_codec;

/* What would happen, or has begun: the node starts again and is then its cluster's only member. */
struct rpc_recovery {
    bool begun;
    struct slice cluster;
    struct slice cluster_id;
    struct slice node;
    uint64_t lineage; /* The one that begins. */
    struct slice source;
    uint64_t index;       /* Of the state's last entry. */
    uint64_t term;        /* Of that entry. */
    uint64_t taken_at_ms; /* Of a snapshot; otherwise 0. */
    uint64_t produced;
    uint64_t pending;
    struct codec_list members;  /* rpc_survivor */
    struct codec_list problems; /* rpc_problem: why it is refused, every reason. */
    struct codec_list losses;   /* texts: what may be lost, and what follows. */
    struct slice message;
};
extern const struct codec rpc_recovery_codec;

#endif
