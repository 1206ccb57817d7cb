/*
 * Messages of the admin RPC about the cluster key: which it is, how far a rotation is, and rotating it.
 * The key itself is never among them. The methods stand in the table of protocol.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_CLUSTER_KEY_H
#define CLIENT_CLUSTER_KEY_H

#include "client/protocol.h"

/* cluster.rotate_key. With `check` nothing is changed. */
struct rpc_rotate_key {
    bool check;
};
extern const struct codec rpc_rotate_key_codec;

/* A member on the way to the new key. */
struct rpc_key_holder {
    struct slice name;
    uint64_t node_id;
    bool given;  /* The new key is in the state, wrapped to the member's own. */
    bool held;   /* The member has said that it keeps it. */
    bool silent; /* The leader does not hear it: the rotation would wait for it, or does. */
};
extern const struct codec rpc_key_holder_codec;

/* cluster.key, and the answer to cluster.rotate_key. */
struct rpc_cluster_key {
    uint64_t key_epoch;  /* Of the key that seals now; 1 at first. */
    uint64_t next_epoch; /* Of the one that is being introduced; 0 when none is. */
    struct slice reason; /* Of the rotation under way, or of the one that is due; may be empty. */
    uint64_t began_at_ms;
    uint64_t sealed; /* Secrets that it seals. */
    uint64_t
        recovery_key_epoch;    /* The one that the recovery key, as last taken, is of; 0: never. */
    struct codec_list holders; /* rpc_key_holder */
    struct slice message;      /* How things stand, in words. */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_cluster_key_codec;

#endif
