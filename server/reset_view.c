/*
 * What a reset throws away: this node's copy of the cluster's state, its log, its keys of the
 * cluster. All of it is the cluster's, but for what a side that was left behind took in by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "reset_view.h"

#include "daemon.h"
#include "views.h"

struct discarded {
    struct arena *arena;
    struct slice *items;
    size_t count;
};

static void add(struct discarded *list, struct slice text)
{
    if (list->count < RPC_DISCARDED_MAX && text.size > 0) {
        list->items[list->count++] = text;
    }
}

static void list_records(const struct export_view *export, uint64_t index, struct discarded *list)
{
    uint64_t undelivered = export->pending + export->dead_lettered;
    add(list,
        view_text(list->arena,
                  "its copy of %llu records, as of entry %llu; of them %llu were not delivered "
                  "as far as it knows, and are the cluster's to deliver",
                  (unsigned long long)export->retained, (unsigned long long)index,
                  (unsigned long long)undelivered));
}

static struct status list_shared(struct daemon *daemon, struct discarded *list)
{
    struct codec_list credentials;
    struct codec_list operators;
    struct registration_view registration;
    struct status status = store_credentials(daemon->store, list->arena, &credentials);
    if (!failed(status)) {
        status = store_operators(daemon->store, list->arena, &operators);
    }
    if (!failed(status)) {
        status = store_registration(daemon->store, list->arena, &registration);
    }
    if (failed(status)) {
        return status;
    }
    add(list, view_text(list->arena,
                        "its copy of %zu API clients, %zu operators and the audit; its certificate "
                        "and the cluster's key",
                        credentials.count, operators.count));
    if (registration.device_id.size > 0) {
        add(list, slice_of("what it knows of the cluster's registration, which stays with the "
                           "cluster"));
    }
    return OK;
}

struct status reset_view(struct daemon *daemon, struct arena *arena, bool check,
                         struct rpc_discarded *out)
{
    struct discarded list = {
        .arena = arena,
        .items = arena_alloc(arena, RPC_DISCARDED_MAX, sizeof *list.items),
    };
    struct cluster_view cluster = {0};
    struct export_view export = {0};
    struct status status = list.items == NULL ? fail(STATUS_NO_MEMORY, "list what a reset discards")
                                              : store_cluster(daemon->store, arena, &cluster);
    if (!failed(status)) {
        status = store_export(daemon->store, arena, &export);
    }
    if (!failed(status)) {
        list_records(&export, store_applied_index(daemon->store), &list);
        status = list_shared(daemon, &list);
    }
    if (failed(status)) {
        return status;
    }
    if (daemon->superseded) {
        add(&list,
            slice_of("whatever only this side took in since it was cut off: `muster snapshot "
                     "save FILE` first keeps that"));
    }
    add(&list, view_text(arena, "the folder %s", daemon->identity.path));
    *out = (struct rpc_discarded){
        .cluster = cluster.name,
        .reason = daemon->removed_reason[0] == '\0' ? slice_of("the cluster has removed this node")
                                                    : slice_of(daemon->removed_reason),
        .items = {.items = list.items, .count = list.count},
        .message = slice_of(check ? "nothing was changed"
                                  : "reset; this node starts again as a standalone one"),
    };
    return OK;
}
