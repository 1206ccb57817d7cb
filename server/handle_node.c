/*
 * Handlers of node.* and rpc.describe: what this process is, and what it understands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "call.h"
#include "checkup.h"
#include "comparer.h"
#include "daemon.h"
#include "deep_read.h"
#include "handlers.h"
#include "rpc_server.h"
#include "saved.h"
#include "views.h"

void handle_node_version(struct call *call)
{
    struct consensus_status *raft = arena_alloc(&call->arena, 1, sizeof *raft);
    if (raft == NULL) {
        call_fail(call, fail(STATUS_NO_MEMORY, "tell the version"));
        return;
    }
    consensus_status(call->daemon->consensus, raft);
    const struct rpc_version version = {
        .version = slice_of(MUSTER_VERSION),
        .library = slice_of(raft->library),
        .protocol = RPC_PROTOCOL_VERSION,
        .pid = (uint64_t)getpid(),
        .uptime_ms = clock_monotonic_ms() - call->daemon->started_at_ms,
    };
    call_reply(call, &version);
}

void handle_node_status(struct call *call)
{
    struct daemon *daemon = call->daemon;
    const struct suspension *suspension = daemon->suspension;
    struct disk_space space = {0};
    uint64_t now_ms = clock_monotonic_ms();
    struct rpc_node_status view = {
        .name = slice_of(daemon->config.name),
        .next_try_in_ms = UINT64_MAX,
        .readable = daemon->store != NULL,
    };
    struct status status = disk_space_of(daemon->config.data_directory, &space);
    if (failed(status)) {
        space = (struct disk_space){0}; /* A disk that does not tell has no room. */
    }
    view.disk =
        slice_of(disk_state_name(failed(status) ? DISK_FULL : disk_watch_state(&daemon->disk)));
    if (daemon->rpc_server != NULL) {
        const struct rpc_server_counts counts = rpc_server_counts(daemon->rpc_server);
        view.connections = counts.open;
        view.connections_refused = counts.refused;
        view.connections_cut = counts.cut;
        view.requests_refused = counts.requests_refused;
    }
    view.disk_free = space.free;
    view.disk_size = space.size;
    view.aside = saved_undelivered(daemon->saved);
    if (daemon_is_suspended(daemon)) {
        view.suspended = true;
        view.kind = slice_of(suspension_kind_name(suspension->kind));
        view.reason = slice_of(suspension->reason.message);
        view.remedy = slice_of(suspension_remedy(suspension->kind));
        view.since_ms = suspension->since_ms;
        view.attempts = suspension->attempts;
        view.last_try = slice_of(suspension->probed.message);
        if (suspension->next_try_ms != 0) {
            view.next_try_in_ms =
                suspension->next_try_ms > now_ms ? suspension->next_try_ms - now_ms : 0;
        }
    }
    call_reply(call, &view);
}

void handle_node_retry(struct call *call)
{
    if (!daemon_is_suspended(call->daemon)) {
        call_done(call, "this node takes part; there is nothing to try again");
        return;
    }
    call_done(call, "the disk is being looked at; `muster node status` says what comes of it");
    daemon_retry(call->daemon);
}

static void reply_digest(struct call *call, const struct store_digest *digest)
{
    char hex[2 * sizeof digest->bytes + 1];
    hex_encode((struct slice){.data = digest->bytes, .size = sizeof digest->bytes}, hex);
    const struct rpc_digest_view view = {
        .index = digest->index,
        .digest = slice_of(hex),
    };
    call_reply(call, &view);
}

static void on_deep_digest(struct call *call, const struct deep_read *read)
{
    if (failed(read->status)) {
        call_fail(call, read->status);
    } else {
        reply_digest(call, &read->digest);
    }
}

/* Another member compares: if it has another digest, this node must find out who is wrong, too. */
static void look_at_other(struct call *call, const struct rpc_digest *asked,
                          const struct store_digest *ours)
{
    uint8_t theirs[sizeof ours->bytes];
    if (call->caller.role == RPC_ROLE_PEER && call->daemon->comparer != NULL && asked->index != 0 &&
        hex_decode(asked->digest, theirs, sizeof theirs) &&
        memcmp(theirs, ours->bytes, sizeof theirs) != 0) {
        comparer_on_dispute(call->daemon->comparer, asked->index);
    }
}

void handle_node_digest(struct call *call)
{
    struct rpc_digest params;
    struct store_digest digest = {0};
    struct status status = OK;
    if (!call_params(call, &params)) {
        return;
    }
    if (params.deep) {
        deep_read_begin(call, DEEP_READ_DIGEST, on_deep_digest);
        return;
    }
    if (params.index != 0) {
        status = store_digest_at(call->daemon->store, params.index, &digest);
    } else {
        store_digest(call->daemon->store, &digest);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    look_at_other(call, &params, &digest);
    reply_digest(call, &digest);
}

void handle_node_check(struct call *call)
{
    checkup_begin(call);
}

static const char *kind_name(enum codec_kind kind)
{
    switch (kind) {
    case CODEC_U64: return "number";
    case CODEC_BOOL: return "boolean";
    case CODEC_TEXT: return "text";
    case CODEC_BYTES: return "bytes";
    case CODEC_MESSAGE: return "map";
    case CODEC_LIST: return "list of maps";
    case CODEC_TEXTS: return "list of texts";
    }
    return "text";
}

static struct codec_list describe_fields(struct call *call, const struct codec *codec)
{
    /* What a forwarded call answers is the other method's matter: it has no result of its own. */
    struct slice *rows =
        codec == NULL ? NULL : arena_alloc(&call->arena, codec->field_count, sizeof *rows);
    if (rows == NULL) {
        return (struct codec_list){0};
    }
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        rows[i] = view_text(&call->arena, "%s: %s%s%s (at most %llu)%s", field->name,
                            kind_name(field->kind), field->of == NULL ? "" : " ",
                            field->of == NULL ? "" : field->of->name,
                            (unsigned long long)field->limit, field->optional ? ", optional" : "");
    }
    return (struct codec_list){.items = rows, .count = codec->field_count};
}

void handle_describe(struct call *call)
{
    struct rpc_method_view *rows = arena_alloc(&call->arena, RPC_METHOD_COUNT, sizeof *rows);
    if (rows == NULL) {
        call_fail(call, fail(STATUS_NO_MEMORY, "describe the RPC"));
        return;
    }
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        const struct rpc_method_row *row = &rpc_methods[i];
        rows[i] = (struct rpc_method_view){
            .method = slice_of(row->name),
            .role = slice_of(rpc_role_name(row->role)),
            .routing = slice_of(rpc_routing_name(row->routing)),
            .summary = slice_of(row->summary),
            .params = describe_fields(call, row->params),
            .results = describe_fields(call, row->result),
        };
    }
    const struct rpc_description description = {
        .protocol = RPC_PROTOCOL_VERSION,
        .version = slice_of(MUSTER_VERSION),
        .methods = {.items = rows, .count = RPC_METHOD_COUNT},
    };
    call_reply(call, &description);
}
