/*
 * cluster.certificates: whose certificates there are, and until when.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "base/hex.h"
#include "base/x509.h"
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "renewal.h"

#define DAY_MS UINT64_C(86400000)

struct list {
    struct arena *arena;
    struct rpc_certificate *rows;
    size_t count;
};

static struct slice hex_text(struct arena *arena, struct slice bytes)
{
    char hex[2 * X509_HASH_SIZE + 1] = "";
    if (bytes.size == X509_HASH_SIZE) {
        hex_encode(bytes, hex);
    }
    return arena_copy(arena, slice_of(hex));
}

static const char *state_name(uint64_t not_after_ms, uint64_t now_ms)
{
    unsigned days = renewal_warning_days(not_after_ms, now_ms);
    if (days == 0) {
        return "ended";
    }
    return days == RENEWAL_FAR ? "good" : "ending";
}

static void add(struct list *list, struct rpc_certificate row, bool removed)
{
    uint64_t now_ms = clock_now_ms();
    row.days_left = row.not_after_ms > now_ms ? (row.not_after_ms - now_ms) / DAY_MS : 0;
    row.state = slice_of(removed ? "removed" : state_name(row.not_after_ms, now_ms));
    list->rows[list->count++] = row;
}

/* One whose PEM the state has. */
static void add_pem(struct list *list, const char *kind, struct slice name, struct slice pem,
                    bool removed)
{
    uint8_t hash[X509_HASH_SIZE];
    struct rpc_certificate row = {.kind = slice_of(kind), .name = name};
    if (failed(x509_not_before_ms(pem, &row.not_before_ms)) ||
        failed(x509_not_after_ms(pem, &row.not_after_ms)) || failed(x509_fingerprint(pem, hash))) {
        return;
    }
    row.fingerprint = hex_text(list->arena, (struct slice){.data = hash, .size = sizeof hash});
    add(list, row, removed);
}

static void list_all(struct list *list, const struct cluster_view *cluster,
                     const struct codec_list *members, const struct codec_list *operators)
{
    const struct member *member = members->items;
    const struct operator_view *row = operators->items;
    add_pem(list, "ca", cluster->name, cluster->ca_certificate, false);
    for (size_t i = 0; i < members->count; i++) {
        add_pem(list, "node", member[i].name, member[i].certificate,
                member[i].standing == STANDING_REMOVED);
    }
    for (size_t i = 0; i < operators->count; i++) {
        const struct rpc_certificate known = {
            .kind = slice_of("operator"),
            .name = row[i].name,
            .not_before_ms = row[i].put_at_ms,
            .not_after_ms = row[i].not_after_ms,
            .fingerprint = hex_text(list->arena, row[i].fingerprint),
        };
        add(list, known, false);
    }
}

void handle_cluster_certificates(struct call *call)
{
    struct store *store = call->daemon->store;
    struct cluster_view cluster;
    struct codec_list members = {0};
    struct codec_list operators = {0};
    struct list list = {.arena = &call->arena};
    struct status status = store_cluster(store, &call->arena, &cluster);
    if (!failed(status)) {
        status = store_members(store, &call->arena, &members);
    }
    if (!failed(status)) {
        status = store_operators(store, &call->arena, &operators);
    }
    if (!failed(status)) {
        list.rows =
            arena_alloc(&call->arena, 1 + members.count + operators.count, sizeof *list.rows);
        status = list.rows == NULL ? fail(STATUS_NO_MEMORY, "list certificates") : OK;
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    list_all(&list, &cluster, &members, &operators);
    const struct rpc_certificates view = {
        .certificates = {.items = list.rows, .count = list.count},
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}
