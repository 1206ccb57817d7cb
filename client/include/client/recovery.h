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

/* cluster.recovery_key: what opens this cluster's snapshots when all its members are lost. */
struct rpc_recovery_key {
    struct slice key; /* Text (snapshot.h); a secret. */
    uint64_t key_epoch;
};
extern const struct codec rpc_recovery_key_codec;

/* ---- Saving: begin, then read from 0 until `size` ---- */

#define RPC_SNAPSHOT_PART_MAX 524288U /* Bytes of one part. */

struct rpc_snapshot_begun {
    uint64_t id;
    bool quorum; /* The node hears a leader: its state is of now. */
};
extern const struct codec rpc_snapshot_begun_codec;

struct rpc_snapshot_read {
    uint64_t id;
    uint64_t offset;
};
extern const struct codec rpc_snapshot_read_codec;

/* While it is being made `ready` is false and there are no bytes: ask again. */
struct rpc_snapshot_part {
    bool ready;
    uint64_t size; /* Of the whole file, once it is ready. */
    struct slice bytes;
};
extern const struct codec rpc_snapshot_part_codec;

/* ---- Restoring: look, upload from 0, then proceed ---- */

struct rpc_snapshot_upload {
    uint64_t offset; /* 0 begins anew; otherwise what is there already. */
    struct slice bytes;
};
extern const struct codec rpc_snapshot_upload_codec;

struct rpc_snapshot_stored {
    uint64_t size; /* Bytes that are there. */
};
extern const struct codec rpc_snapshot_stored_codec;

/* snapshot.restore, to the fresh node that shall go on with it. Answers struct rpc_recovery. */
struct rpc_restore {
    struct slice header;       /* The file's beginning: magic, size, header; more is ignored. */
    struct slice recovery_key; /* Text; a secret. Empty: the key is not looked at yet. */
    bool proceed;              /* With what was uploaded. */
    struct slice cluster;      /* With `proceed`: the name of the snapshot's cluster. */
};
extern const struct codec rpc_restore_codec;

#endif
