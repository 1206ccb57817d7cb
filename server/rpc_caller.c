/*
 * Who calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rpc_caller.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stream.h"
#include "base/x509.h"
#include "daemon.h"

#define GROUPS_MAX 256 /* Of a process; who has more is known by its own group alone. */

/* ---- By the kernel's word ---- */

struct status rpc_caller_group(const char *name, gid_t *out)
{
    *out = (gid_t)-1;
    if (name[0] == '\0') {
        return OK;
    }
    const struct group *found = getgrnam(name); /* At the start, before there are threads. */
    if (found == NULL && strcmp(name, CONFIG_FEED_GROUP) == 0) {
        return OK; /* Not installed as a package. */
    }
    if (found == NULL) {
        return fail(STATUS_INVALID, "socket_operator_group: there is no group %s", name);
    }
    *out = found->gr_gid;
    return OK;
}

enum rpc_role rpc_caller_role(uid_t uid, const gid_t *groups, size_t count, gid_t operator_group)
{
    enum rpc_role role = RPC_ROLE_ANYONE;
    if (uid == 0 || uid == geteuid()) {
        return RPC_ROLE_ADMIN;
    }
    for (size_t i = 0; i < count; i++) {
        if (operator_group != (gid_t)-1 && groups[i] == operator_group) {
            return RPC_ROLE_OPERATOR;
        }
        role = groups[i] == getegid() ? RPC_ROLE_VIEWER : role;
    }
    return role;
}

void rpc_caller_by_socket(const struct daemon *daemon, const struct stream *stream,
                          struct caller *out, uid_t *uid)
{
    gid_t groups[GROUPS_MAX + 1];
    size_t count = 0;
    *uid = (uid_t)-1;
    out->role = RPC_ROLE_ANYONE;
    if (failed(stream_peer_user(stream, uid, &groups[0], NULL))) {
        return;
    }
    if (failed(stream_peer_groups(stream, &groups[1], GROUPS_MAX, &count))) {
        count = 0;
    }
    out->role = rpc_caller_role(*uid, groups, count + 1, daemon->operator_group);
    (void)snprintf(out->actor, sizeof out->actor, "uid %u", (unsigned)*uid);
    /* Each appliance has a root of its own, and another node writes the audit's line. */
    (void)snprintf(out->origin, sizeof out->origin, "local on %.64s", daemon->config.name);
}

/* ---- By a certificate ---- */

static bool is_member(struct daemon *daemon, struct slice pem, struct caller *caller)
{
    struct arena arena = {0};
    struct member member;
    uint64_t node_id;
    bool found = daemon->store != NULL && !failed(node_id_of_certificate(pem, &node_id)) &&
                 !failed(store_member(daemon->store, &arena, node_id, &member)) &&
                 member.standing != STANDING_REMOVED;
    if (found) {
        caller->role = RPC_ROLE_PEER;
        caller->peer_id = node_id;
        (void)snprintf(caller->actor, sizeof caller->actor, "node %.*s", SLICE_ARG(member.name));
    }
    arena_release(&arena);
    return found;
}

/* Refused by an answer that says so: a TLS handshake can only break off. */
static void refuse_expired(const struct operator_view *found, struct caller *caller)
{
    char ended[CLOCK_TEXT_SIZE];
    caller->role = RPC_ROLE_ANYONE;
    (void)snprintf(caller->actor, sizeof caller->actor, "operator %.*s, expired",
                   SLICE_ARG(found->name));
    (void)snprintf(caller->reason, sizeof caller->reason,
                   "the certificate of operator %.*s ended %s\n"
                   "ask for another: `muster operator add %.*s %s`",
                   SLICE_ARG(found->name), clock_format(found->not_after_ms, ended),
                   SLICE_ARG(found->name), rpc_role_name((enum rpc_role)found->role));
}

static void identify_operator(struct daemon *daemon, struct slice pem, struct caller *caller)
{
    uint8_t hash[X509_HASH_SIZE];
    struct arena arena = {0};
    struct operator_view found;
    struct slice fingerprint = {.data = hash, .size = sizeof hash};
    struct status status = daemon->store == NULL ? fail(STATUS_NOT_FOUND, "the state is closed")
                                                 : x509_fingerprint(pem, hash);
    if (!failed(status)) {
        status = store_operator_by_fingerprint(daemon->store, &arena, fingerprint, &found);
    }
    /* TLS does not look at times: a node is who its key is. An operator is not. */
    if (failed(status)) {
        caller->role = RPC_ROLE_ANYONE;
        (void)snprintf(caller->actor, sizeof caller->actor, "unknown certificate");
    } else if (clock_now_ms() >= found.not_after_ms) {
        refuse_expired(&found, caller);
    } else {
        caller->role = (enum rpc_role)found.role;
        (void)snprintf(caller->actor, sizeof caller->actor, "operator %.*s", SLICE_ARG(found.name));
    }
    arena_release(&arena);
}

void rpc_caller_by_certificate(struct daemon *daemon, const struct stream *stream,
                               struct caller *out)
{
    struct buffer pem = {0};
    out->peer_id = 0;
    out->reason[0] = '\0';
    if (failed(stream_peer_certificate(stream, &pem))) {
        out->role = RPC_ROLE_ANYONE;
        (void)snprintf(out->actor, sizeof out->actor, "no certificate");
    } else if (!is_member(daemon, buffer_slice(&pem), out)) {
        identify_operator(daemon, buffer_slice(&pem), out);
    }
    buffer_release(&pem);
}
