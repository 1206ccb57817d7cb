/*
 * Handlers of cluster.key and cluster.rotate_key. The work is the worker's (key_rotation.h): rotating
 * begins it, and the answer says how far it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "call.h"
#include "client/cluster_key.h"
#include "daemon.h"
#include "handlers.h"
#include "key_rotation.h"
#include "views.h"

static bool is_silent(struct daemon *daemon, const struct consensus_status *raft, uint64_t node_id)
{
    for (size_t i = 0; i < raft->member_count; i++) {
        if (raft->members[i].node_id == node_id) {
            return node_id != daemon->identity.node_id && daemon_leads(daemon) &&
                   raft->members[i].heard_ms_ago > 3 * daemon->config.election_timeout_ms;
        }
    }
    return node_id != daemon->identity.node_id && daemon_leads(daemon); /* It has just joined. */
}

static struct status list_holders(struct call *call, const struct key_rotation_view *rotation,
                                  struct codec_list *out)
{
    struct daemon *daemon = call->daemon;
    struct codec_list members;
    struct consensus_status *raft = arena_alloc(&call->arena, 1, sizeof *raft);
    struct status status = store_members(daemon->store, &call->arena, &members);
    const struct member *all = members.items;
    struct rpc_key_holder *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, members.count, sizeof *rows);
    if (failed(status) || raft == NULL || rows == NULL) {
        return failed(status) ? status : fail(STATUS_NO_MEMORY, "look at the cluster key");
    }
    consensus_status(daemon->consensus, raft);
    size_t count = 0;
    for (size_t i = 0; i < members.count; i++) {
        struct key_holder holder = {0};
        if (all[i].standing == STANDING_REMOVED) {
            continue;
        }
        bool given = key_holder_find(&rotation->holders, all[i].node_id, &holder);
        rows[count++] = (struct rpc_key_holder){
            .name = all[i].name,
            .node_id = all[i].node_id,
            .given = given,
            .held = given && holder.held,
            .silent = is_silent(daemon, raft, all[i].node_id),
        };
    }
    *out = (struct codec_list){.items = rows, .count = count};
    return OK;
}

/* Names of the members that a rotation waits for, or would wait for. */
static struct slice waits_for(struct call *call, const struct rpc_cluster_key *view)
{
    const struct rpc_key_holder *rows = view->holders.items;
    struct slice names = {0};
    for (size_t i = 0; i < view->holders.count; i++) {
        if (view->next_epoch != 0 ? !rows[i].held : rows[i].silent) {
            names = view_text(&call->arena, "%.*s%s%.*s", SLICE_ARG(names),
                              names.size == 0 ? "" : ", ", SLICE_ARG(rows[i].name));
        }
    }
    return names;
}

static struct slice words_of(struct call *call, const struct rpc_cluster_key *view)
{
    struct slice names = waits_for(call, view);
    if (view->next_epoch != 0 && names.size > 0) {
        return view_text(&call->arena, "key %llu is being introduced, waiting for %.*s",
                         (unsigned long long)view->next_epoch, SLICE_ARG(names));
    }
    if (view->next_epoch != 0) {
        return view_text(&call->arena, "all members hold key %llu; the secrets are sealed anew",
                         (unsigned long long)view->next_epoch);
    }
    if (view->reason.size > 0) {
        return view_text(&call->arena, "a rotation begins in a moment");
    }
    if (names.size > 0) {
        return view_text(&call->arena, "a rotation would wait for %.*s", SLICE_ARG(names));
    }
    return view_text(&call->arena, "key %llu seals %llu secrets; no rotation is under way",
                     (unsigned long long)view->key_epoch, (unsigned long long)view->sealed);
}

static struct status look(struct call *call, struct rpc_cluster_key *out)
{
    struct store *store = call->daemon->store;
    struct cluster_view cluster;
    struct key_rotation_view rotation = {0};
    struct codec_list sealed = {0};
    uint8_t hash[STORE_HASH_SIZE];
    struct status status = store_cluster(store, &call->arena, &cluster);
    if (!failed(status)) {
        status = store_sealed(store, &call->arena, &sealed, hash);
    }
    if (!failed(status)) {
        status = store_key_rotation(store, &call->arena, &rotation);
        status = status.code == STATUS_NOT_FOUND ? OK : status;
    }
    if (!failed(status)) {
        status = list_holders(call, &rotation, &out->holders);
    }
    if (failed(status)) {
        return status;
    }
    out->key_epoch = cluster.key_epoch;
    out->next_epoch = rotation.epoch;
    out->reason = rotation.reason;
    if (rotation.epoch == 0 && cluster.key_due.size > 0) {
        out->reason =
            view_text(&call->arena, "%.*s is no member any more", SLICE_ARG(cluster.key_due));
    }
    out->began_at_ms = rotation.began_at_ms;
    out->sealed = sealed.count;
    out->recovery_key_epoch = cluster.recovery_key_epoch;
    out->message = words_of(call, out);
    out->freshness = daemon_freshness(call->daemon, call->options.stale);
    return OK;
}

void handle_cluster_key(struct call *call)
{
    struct rpc_cluster_key view = {0};
    struct status status = look(call, &view);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_reply(call, &view);
    }
}

static void on_begun(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    handle_cluster_key(call);
}

void handle_rotate_key(struct call *call)
{
    struct rpc_rotate_key params;
    struct command command = {.type = COMMAND_KEY_ROTATE};
    if (!call_params(call, &params)) {
        return;
    }
    if (params.check) {
        handle_cluster_key(call);
        return;
    }
    struct status status = key_rotate_make(&call->daemon->key.context, &call->arena,
                                           slice_of("asked for"), &command.body.key_rotate);
    if (failed(status)) {
        call_fail(call, status);
    } else {
        call_propose(call, &command, on_begun);
    }
}
