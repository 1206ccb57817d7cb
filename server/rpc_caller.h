/*
 * Who calls: on TLS what the certificate says, and the state says of it; on the UNIX socket what the
 * kernel says. Whoever is not found is nobody: RPC_ROLE_ANYONE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_RPC_CALLER_H
#define SERVER_RPC_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "call.h"

struct stream;

/* Fills role, actor, peer_id and reason. Cheap enough to be asked again: the state may have changed. */
void rpc_caller_by_certificate(struct daemon *daemon, const struct stream *stream,
                               struct caller *out);

/* The same by the kernel's word, and origin; `*uid` is whose process it is. */
void rpc_caller_by_socket(const struct daemon *daemon, const struct stream *stream,
                          struct caller *out, uid_t *uid);

/* The id of a group by its name; -1 for "". STATUS_INVALID if there is none, unless it is
 * CONFIG_FEED_GROUP: -1. */
MUST_USE struct status rpc_caller_group(const char *name, gid_t *out);

/* Root and the daemon's own user are administrators, the daemon's group may read, and who is in
 * `operator_group` (-1: none) is an operator; `groups` are all that the process has. */
enum rpc_role rpc_caller_role(uid_t uid, const gid_t *groups, size_t count, gid_t operator_group);

#endif
