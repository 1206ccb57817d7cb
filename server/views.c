/*
 * Views of members, registration, export and the whole cluster.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "views.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/x509.h"
#include "names.h"
#include "problems.h"

struct slice view_text(struct arena *arena, const char *format, ...)
{
    char text[RPC_TEXT_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return arena_copy(arena, slice_of(text));
}

struct slice view_digest(const struct store_digest *digest, struct arena *arena)
{
    char hex[2 * sizeof digest->bytes + 1];
    hex_encode((struct slice){.data = digest->bytes, .size = sizeof digest->bytes}, hex);
    return view_text(arena, "%llu:%s", (unsigned long long)digest->index, hex);
}

struct slice view_recovery(const struct cluster_view *cluster, struct arena *arena)
{
    char at[CLOCK_TEXT_SIZE];
    return view_text(
        arena,
        "the cluster was recovered at %s by %.*s on %.*s as lineage %llu, without this "
        "node",
        clock_format(cluster->recovered_at_ms, at), SLICE_ARG(cluster->recovered_by),
        SLICE_ARG(cluster->recovered_on), (unsigned long long)cluster->lineage);
}

struct slice daemon_name_of(struct daemon *daemon, struct arena *arena, uint64_t node_id)
{
    struct member member;
    if (node_id == 0) {
        return slice_of("");
    }
    if (node_id == daemon->identity.node_id) {
        return slice_of(daemon->config.name);
    }
    if (daemon->store != NULL && !failed(store_member(daemon->store, arena, node_id, &member))) {
        return member.name;
    }
    return view_text(arena, "%016llx", (unsigned long long)node_id);
}

uint64_t daemon_voters(const struct daemon *daemon, const struct cluster_view *cluster)
{
    return cluster->voters != 0 ? cluster->voters : daemon->config.voters;
}

struct status daemon_rpc_address(struct daemon *daemon, uint64_t node_id, char out[ADDRESS_SIZE])
{
    struct arena arena = {0};
    struct member member;
    struct status status = store_member(daemon->store, &arena, node_id, &member);
    if (failed(status) || !address_book_rpc(&daemon->addresses, &member, out)) {
        status = fail(STATUS_UNREACHABLE, "the leader's address is not known here yet\nAsk again.");
    }
    arena_release(&arena);
    return status;
}

struct rpc_freshness daemon_freshness(struct daemon *daemon, bool stale)
{
    struct rpc_freshness freshness = {
        .index = daemon->store == NULL ? 0 : store_applied_index(daemon->store),
        .stale = stale || daemon_is_suspended(daemon),
    };
    stale = freshness.stale;
    if (stale && !daemon_leads(daemon)) {
        struct consensus_status raft;
        consensus_status(daemon->consensus, &raft);
        freshness.age_ms = raft.leader_heard_ms_ago;
    }
    return freshness;
}

static void view_raft_member(struct daemon *daemon, const struct consensus_status *raft,
                             struct rpc_member *out)
{
    out->role = slice_of("none");
    out->heard_ms_ago = UINT64_MAX;
    for (size_t i = 0; i < raft->member_count; i++) {
        const struct consensus_member *node = &raft->members[i];
        if (node->node_id != out->node_id) {
            continue;
        }
        bool leads = daemon->event.role == CONSENSUS_LEADER;
        out->role = slice_of(member_role_name(node->role));
        out->connected = out->self || node->connected;
        out->heard_ms_ago = out->self ? 0 : node->heard_ms_ago;
        if (out->self) {
            out->lag = raft->last_index - raft->applied_index;
        } else if (leads && raft->last_index > node->match_index) {
            out->lag = raft->last_index - node->match_index;
        }
    }
}

/* What is sent goes to that member, what is fetched comes here. */
static void view_transfer(const struct consensus_status *raft, struct rpc_member *out)
{
    for (size_t i = 0; i < raft->transfer_count; i++) {
        const struct consensus_transfer *transfer = &raft->transfers[i];
        if (transfer->sending ? transfer->node_id == out->node_id : out->self) {
            out->catching_up = true;
            out->image_done = transfer->done_size;
            out->image_size = transfer->total_size;
            out->image_rate = transfer->rate;
        }
    }
}

struct status view_members(struct daemon *daemon, struct arena *arena,
                           const struct consensus_status *raft, struct codec_list *out)
{
    struct codec_list members;
    struct status status = store_members(daemon->store, arena, &members);
    if (failed(status)) {
        return status;
    }
    const struct member *all = members.items;
    struct rpc_member *rows = arena_alloc(arena, members.count, sizeof *rows);
    if (rows == NULL) {
        return fail(STATUS_NO_MEMORY, "list members");
    }
    for (size_t i = 0; i < members.count; i++) {
        rows[i] = (struct rpc_member){
            .node_id = all[i].node_id,
            .name = all[i].name,
            .serial = all[i].serial,
            .standing = slice_of(standing_name(all[i].standing)),
            .leader = all[i].node_id == daemon->event.leader_id,
            .self = all[i].node_id == daemon->identity.node_id,
            .version = all[i].version,
            .level = all[i].level,
            .peer_address = all[i].peer_address,
            .rpc_address = all[i].rpc_address,
            .quarantine = slice_of(quarantine_name(all[i].quarantine)),
            .damage = all[i].quarantine_reason,
        };
        view_raft_member(daemon, raft, &rows[i]);
        view_transfer(raft, &rows[i]);
        if (failed(x509_not_after_ms(all[i].certificate, &rows[i].certificate_not_after_ms))) {
            rows[i].certificate_not_after_ms = 0;
        }
    }
    *out = (struct codec_list){.items = rows, .count = members.count};
    return OK;
}

struct status view_member_named(struct daemon *daemon, struct arena *arena, struct slice name,
                                struct member *out)
{
    struct codec_list members;
    struct status status = store_members(daemon->store, arena, &members);
    if (failed(status)) {
        return status;
    }
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count; i++) {
        if (all[i].standing != STANDING_REMOVED && slice_equal(all[i].name, name)) {
            *out = all[i];
            return OK;
        }
    }
    return fail(STATUS_NOT_FOUND, "no member is called %.*s; `muster cluster members` lists them",
                (int)(name.size > RPC_NAME_SIZE_MAX ? RPC_NAME_SIZE_MAX : name.size),
                (const char *)name.data);
}

struct status view_registration(struct daemon *daemon, struct arena *arena,
                                struct rpc_registration *out)
{
    struct registration_view view;
    struct status status = store_registration(daemon->store, arena, &view);
    if (failed(status)) {
        return status;
    }
    *out = (struct rpc_registration){
        .state = slice_of(registration_state_name(view.state)),
        .region = view.region,
        .mode = view.mode,
        .machine = daemon_name_of(daemon, arena, view.node_id),
        .serial = view.serial,
        .device_id = view.device_id,
        .tenant = view.tenant,
        .epoch = view.epoch,
        .since_ms = view.since_ms,
        .attempt = view.attempt,
        .next_try_ms = view.next_try_ms,
        .error_code = view.error_code,
        .error = view.error,
        .not_after_ms = view.not_after_ms,
    };
    return OK;
}

struct status view_export(struct daemon *daemon, struct arena *arena, bool stale,
                          struct rpc_export *out)
{
    struct export_view view;
    struct cloud_export_state state;
    struct status status = store_export(daemon->store, arena, &view);
    if (failed(status)) {
        return status;
    }
    if (daemon->cloud == NULL) {
        state = (struct cloud_export_state){.state = "suspended", .quota_remaining = UINT64_MAX};
    } else {
        cloud_export_state(daemon->cloud, &state);
    }
    bool waits = view.cloud_pause_until_ms > clock_now_ms();
    *out = (struct rpc_export){
        .produced = view.produced,
        .delivered = view.delivered,
        .pending = view.pending,
        .dead_lettered = view.dead_lettered,
        .discarded = view.discarded,
        .duplicates = view.duplicates,
        .paused = view.paused,
        .pause_reason = view.pause_reason,
        .delivered_at_ms = view.delivered_at_ms,
        .cloud_pause_until_ms = waits ? view.cloud_pause_until_ms : 0,
        .cloud_pause_reason = waits ? view.cloud_pause_reason : (struct slice){0},
        .outbox_max = view.outbox_max,
        .exporter = daemon_name_of(daemon, arena, daemon->event.leader_id),
        .state = slice_of(state.state),
        .last_error = arena_copy(arena, slice_of(state.last_error)),
        .bundles_sent = state.bundles_sent,
        .quota_remaining = state.quota_remaining,
        .quota_limit = state.quota_limit,
        .calls_last_hour = state.calls_last_hour,
        .freshness = daemon_freshness(daemon, stale),
    };
    return OK;
}

/* Voters that may fail, from those that are heard now, until no quorum is left. */
static uint64_t can_lose(const struct consensus_status *raft, uint64_t self_id, uint64_t silence_ms)
{
    uint64_t voters = 0;
    uint64_t heard = 0;
    for (size_t i = 0; i < raft->member_count; i++) {
        const struct consensus_member *node = &raft->members[i];
        if (node->role == MEMBER_VOTER) {
            voters++;
            heard += node->node_id == self_id || node->heard_ms_ago <= silence_ms;
        }
    }
    uint64_t quorum = voters / 2 + 1;
    return heard > quorum ? heard - quorum : 0;
}

/* All that a suspended node knows that cannot read its state. */
static void view_closed(struct daemon *daemon, const struct consensus_status *raft,
                        struct rpc_cluster_status *out)
{
    *out = (struct rpc_cluster_status){
        .cluster_id = slice_of(daemon->identity.cluster_id),
        .node_name = slice_of(daemon->config.name),
        .node_id = daemon->identity.node_id,
        .library = slice_of(raft->library),
        .version = slice_of(MUSTER_VERSION),
        .freshness = daemon_freshness(daemon, true),
    };
}

struct status view_cluster(struct daemon *daemon, struct arena *arena, bool stale,
                           struct rpc_cluster_status *out)
{
    struct consensus_status *raft = arena_alloc(arena, 1, sizeof *raft);
    struct cluster_view cluster = {0};
    struct store_digest digest;
    struct store_size size;
    if (raft == NULL) {
        return fail(STATUS_NO_MEMORY, "describe the cluster");
    }
    consensus_status(daemon->consensus, raft);
    if (daemon->store == NULL) {
        view_closed(daemon, raft, out);
        return problems_list(daemon, arena, raft, out);
    }
    store_digest(daemon->store, &digest);
    store_size(daemon->store, &size);
    struct status status = store_cluster(daemon->store, arena, &cluster);
    if (failed(status) && status.code != STATUS_NOT_FOUND) {
        return status;
    }
    /* Before the first entry arrives, a node that joins knows nothing but that it joins. */
    uint64_t standing = failed(status) ? (uint64_t)STANDING_JOINING : cluster.standing;
    struct member own;
    if (!failed(store_member(daemon->store, arena, daemon->identity.node_id, &own)) &&
        cluster.name.size > 0) {
        standing = daemon->removed ? (uint64_t)STANDING_REMOVED : own.standing;
    }
    *out = (struct rpc_cluster_status){
        .cluster_id = slice_of(daemon->identity.cluster_id),
        .name = cluster.name,
        .standing = slice_of(standing_name(standing)),
        .node_name = slice_of(daemon->config.name),
        .node_id = daemon->identity.node_id,
        .leader = daemon_name_of(daemon, arena, daemon->event.leader_id),
        .term = raft->event.term,
        .quorum = raft->quorum,
        .can_lose = daemon_leads(daemon) ? can_lose(raft, daemon->identity.node_id,
                                                    2 * daemon->config.election_timeout_ms)
                                         : 0,
        .commit_index = raft->commit_index,
        .applied_index = raft->applied_index,
        .last_index = raft->last_index,
        .library = slice_of(raft->library),
        .version = slice_of(MUSTER_VERSION),
        .digest = view_digest(&digest, arena),
        .store_used = size.used,
        .store_max = size.max,
        .log_size = raft->log_size,
        .freshness = daemon_freshness(daemon, stale),
        .voters = daemon_voters(daemon, &cluster),
        .lineage = cluster.lineage,
        .recovered_at_ms = cluster.recovered_at_ms,
        .level = cluster.level,
    };
    status = view_members(daemon, arena, raft, &out->members);
    if (!failed(status)) {
        status = view_registration(daemon, arena, &out->registration);
    }
    if (!failed(status)) {
        status = view_export(daemon, arena, stale, &out->export);
    }
    return failed(status) ? status : problems_list(daemon, arena, raft, out);
}
