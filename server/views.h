/*
 * Views: what the store and consensus know, in the words of the RPC. Used by the handlers of reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_VIEWS_H
#define SERVER_VIEWS_H

#include "client/protocol.h"
#include "daemon.h"

MUST_USE struct status view_members(struct daemon *daemon, struct arena *arena,
                                    const struct consensus_status *raft, struct codec_list *out);
MUST_USE struct status view_registration(struct daemon *daemon, struct arena *arena,
                                         struct rpc_registration *out);
MUST_USE struct status view_export(struct daemon *daemon, struct arena *arena, bool stale,
                                   struct rpc_export *out);
MUST_USE struct status view_cluster(struct daemon *daemon, struct arena *arena, bool stale,
                                    struct rpc_cluster_status *out);

/* The member of that name that was not removed. STATUS_NOT_FOUND says where names are listed. */
MUST_USE struct status view_member_named(struct daemon *daemon, struct arena *arena,
                                         struct slice name, struct member *out);

/* What a node is told that a recovery left behind, in the arena. */
struct slice view_recovery(const struct cluster_view *cluster, struct arena *arena);

/* "INDEX:hex" in the arena. */
struct slice view_digest(const struct store_digest *digest, struct arena *arena);

/* Formatted text in the arena; empty when memory runs out. */
struct slice view_text(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
