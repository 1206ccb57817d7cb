/*
 * Problems of a cluster, each with its remedy.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "problems.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/x509.h"
#include "comparer.h"
#include "neighbours.h"
#include "rebuild.h"
#include "renewal.h"
#include "saved.h"
#include "scopes.h"
#include "views.h"

#define FILLED_PERCENT 80 /* From here on a limit is spoken of. */
#define LAG_ENTRIES 10000
#define KEY_PATIENCE_MS 60000U /* For a rotation of the cluster key. */

struct problem_list {
    struct arena *arena;
    struct rpc_problem *items;
    size_t count;
    const char *about;        /* Of those that are added now. */
    struct rpc_problem *last; /* NULL if there was no room for it. */
};

static void add_told(struct problem_list *list, struct slice what, struct slice remedy)
{
    list->last = list->count < RPC_PROBLEMS_MAX ? &list->items[list->count++] : NULL;
    if (list->last != NULL) {
        *list->last =
            (struct rpc_problem){.what = what, .remedy = remedy, .about = slice_of(list->about)};
    }
}

static void add(struct problem_list *list, struct slice what, const char *remedy)
{
    add_told(list, what, slice_of(remedy));
}

/* The one that was added last is more than a warning. */
static void severe(struct problem_list *list)
{
    if (list->last != NULL) {
        list->last->severe = true;
    }
}

static bool is(struct slice text, const char *word)
{
    return slice_equal(text, slice_of(word));
}

static void look_at_suspension(struct daemon *daemon, struct problem_list *list)
{
    const struct suspension *suspension = daemon->suspension;
    char since[CLOCK_TEXT_SIZE];
    if (daemon_is_suspended(daemon)) {
        add(list,
            view_text(list->arena, "this node takes no part since %s (%s): %s",
                      clock_format(suspension->since_ms, since),
                      suspension_kind_name(suspension->kind), suspension->reason.message),
            suspension_remedy(suspension->kind));
        severe(list);
    }
}

static void look_at_data(struct daemon *daemon, struct problem_list *list)
{
    uint64_t open_index = comparer_open_index(daemon->comparer);
    const char *words = rebuild_words(daemon->rebuild);
    if (daemon->damage.state != DAMAGE_NONE) {
        add(list,
            view_text(list->arena, "the data of this node is damaged (%s): %s%s%s",
                      damage_state_name(daemon->damage.state), daemon->damage.reason,
                      words[0] == '\0' ? "" : "; ", words),
            daemon->damage.state == DAMAGE_WAITING
                ? "Look at the disk; then `muster cluster rebuild` on this node."
                : "It is being rebuilt from the other members.");
        severe(list);
    }
    if (open_index != 0) {
        add(list,
            view_text(list->arena,
                      "replicas differ at index %llu, and no majority says which is wrong",
                      (unsigned long long)open_index),
            "Bring all members up: the majority decides. With two members compare their data, then "
            "`muster cluster rebuild` on the one that is wrong.");
        severe(list);
    }
}

static void look_at_disk(struct daemon *daemon, const struct consensus_status *raft,
                         struct problem_list *list)
{
    const struct disk_watch *watch = &daemon->disk;
    unsigned long long free_mib = watch->space.free >> 20U;
    enum disk_state state = disk_watch_state(watch);
    if (state == DISK_FULL) {
        add(list,
            view_text(list->arena,
                      "the disk of %s has %llu MiB and %llu inodes free: it takes no new entries",
                      daemon->config.name, free_mib, (unsigned long long)watch->space.free_inodes),
            "Free space on the data folder's disk; it then goes on by itself.");
        severe(list);
    } else if (state == DISK_LOW) {
        add(list,
            view_text(list->arena, "the disk of %s has only %llu MiB free (and %llu inodes)",
                      daemon->config.name, free_mib, (unsigned long long)watch->space.free_inodes),
            "Free space on the data folder's disk before it is full.");
    }
    if (raft->log_low && state != DISK_FULL) {
        add(list, slice_of("the log's reserve could not be allocated"),
            "Free space on the data folder's disk; it is tried again every second.");
    }
}

static void look_at_quorum(struct daemon *daemon, struct problem_list *list,
                           const struct rpc_cluster_status *view)
{
    if (daemon->removed) {
        add(list,
            slice_of(daemon->removed_reason[0] == '\0' ? "the cluster has removed this node"
                                                       : daemon->removed_reason),
            "`muster cluster reset` makes it standalone; then it may join again.");
        severe(list);
    } else if (!daemon_is_suspended(daemon) && (view->leader.size == 0 || !view->quorum)) {
        struct status status = daemon_no_leader(daemon);
        int reason_size = (int)strcspn(status.message, "\n");
        add(list, view_text(list->arena, "%.*s", reason_size, status.message),
            "Bring the nodes that are down back, or their network; writes are refused until then.");
        severe(list);
    }
}

/* Voters that a recovered cluster is to have again before anything else of it is lost. */
#define MEMBERS_WANTED 3

static void look_at_recovery(struct daemon *daemon, struct problem_list *list,
                             const struct rpc_cluster_status *view)
{
    const struct rpc_member *members = view->members.items;
    size_t count = 0;
    for (size_t i = 0; i < view->members.count; i++) {
        count += is(members[i].standing, "member");
    }
    if (daemon->setback[0] != '\0') {
        add(list, view_text(list->arena, "what was ordered did not happen: %s", daemon->setback),
            "Nothing was changed. Mend the cause, and give the order again.");
    }
    if (view->lineage > 1 && view->name.size > 0 && count < MEMBERS_WANTED && !daemon->removed) {
        char at[CLOCK_TEXT_SIZE];
        add(list,
            view_text(list->arena, "lineage %llu, recovered at %s, has %zu of at least %d members",
                      (unsigned long long)view->lineage, clock_format(view->recovered_at_ms, at),
                      count, MEMBERS_WANTED),
            "Let others join: `muster cluster token create` here, `muster cluster join` there; old "
            "members first `muster cluster reset`.");
    }
}

/* What another node said of itself. */
static void look_at_neighbour(struct problem_list *list, const struct rpc_member *member,
                              const struct neighbour *told)
{
    unsigned long long free_mib = told == NULL ? 0 : told->disk_free >> 20U;
    if (told != NULL && told->suspended) {
        add_told(list,
                 view_text(list->arena, "%.*s takes no part (%s): %s", SLICE_ARG(member->name),
                           told->kind, told->reason),
                 view_text(list->arena, "On %.*s: %s", SLICE_ARG(member->name), told->remedy));
        severe(list);
    } else if (told != NULL && is(slice_of(told->disk), disk_state_name(DISK_FULL))) {
        add(list,
            view_text(list->arena, "the disk of %.*s has %llu MiB free: it takes no new entries",
                      SLICE_ARG(member->name), free_mib),
            "Free space on its data folder's disk; it then goes on by itself.");
        severe(list);
    } else if (told != NULL && is(slice_of(told->disk), disk_state_name(DISK_LOW))) {
        add(list,
            view_text(list->arena, "the disk of %.*s has only %llu MiB free",
                      SLICE_ARG(member->name), free_mib),
            "Free space on its data folder's disk before it is full.");
    }
}

static void look_at_certificate(struct problem_list *list, const char *kind, struct slice name,
                                uint64_t not_after_ms, const char *remedy)
{
    char until[CLOCK_TEXT_SIZE];
    unsigned days = renewal_warning_days(not_after_ms, clock_now_ms());
    if (not_after_ms != 0 && days != RENEWAL_FAR) {
        add(list,
            view_text(list->arena, "the certificate of %s %.*s %s: %s", kind, SLICE_ARG(name),
                      renewal_warning_words(days), clock_format(not_after_ms, until)),
            remedy);
    }
}

/* Those that nobody renews by himself. */
static void look_at_certificates(struct daemon *daemon, struct problem_list *list)
{
    struct cluster_view cluster;
    struct codec_list operators;
    uint64_t not_after_ms = 0;
    if (daemon->store == NULL) {
        return;
    }
    if (!failed(store_cluster(daemon->store, list->arena, &cluster)) &&
        !failed(x509_not_after_ms(cluster.ca_certificate, &not_after_ms))) {
        look_at_certificate(list, "the CA of", cluster.name, not_after_ms,
                            "Members go on after it, operators' tools do not: form the cluster "
                            "anew before.");
    }
    if (!failed(store_operators(daemon->store, list->arena, &operators))) {
        const struct operator_view *row = operators.items;
        for (size_t i = 0; i < operators.count; i++) {
            look_at_certificate(list, "operator", row[i].name, row[i].not_after_ms,
                                "`muster operator add` it again: it gets a new one, and the old "
                                "one is refused.");
        }
    }
}

/* What a node saw before it joined, and nobody has. */
static void look_at_saved(struct daemon *daemon, struct problem_list *list,
                          const struct rpc_member *member, const struct neighbour *told)
{
    uint64_t records = member->self   ? saved_undelivered(daemon->saved)
                       : told != NULL ? told->aside
                                      : 0;
    if (records > 0) {
        add(list,
            view_text(list->arena,
                      "%llu records from before %.*s joined are not in the cluster, but kept aside "
                      "on that node",
                      (unsigned long long)records, SLICE_ARG(member->name)),
            "On it: `muster node saved list` shows where and whether they are being submitted, "
            "`submit` gives them to the cluster, `discard` throws them away.");
    }
}

static void look_at_member(struct daemon *daemon, struct problem_list *list,
                           const struct rpc_member *member)
{
    if (!is(member->standing, "member") && !is(member->standing, "joining")) {
        return;
    }
    const struct neighbour *told =
        member->self ? NULL : neighbours_find(daemon->neighbours, member->node_id);
    look_at_neighbour(list, member, told);
    look_at_saved(daemon, list, member, told);
    if (member->damage.size > 0) {
        add(list,
            view_text(list->arena, "the data of %.*s is damaged: %.*s", SLICE_ARG(member->name),
                      SLICE_ARG(member->damage)),
            is(member->quarantine, "told")
                ? "Look at its disk; then `muster cluster rebuild` on that node."
                : "It is being rebuilt from the other members.");
    } else if (told != NULL && told->suspended) {
        /* It answers, and has said why it is silent otherwise. */
    } else if (daemon_leads(daemon) && !member->self &&
               member->heard_ms_ago > 3 * daemon->config.election_timeout_ms) {
        add(list, view_text(list->arena, "%.*s does not answer", SLICE_ARG(member->name)),
            "Look at that node and its network; if it will not come back, `muster cluster remove "
            "NODE --force`.");
        severe(list);
    } else if (member->lag > LAG_ENTRIES) {
        add(list,
            view_text(list->arena, "%.*s is %llu entries behind", SLICE_ARG(member->name),
                      (unsigned long long)member->lag),
            "It catches up by itself; if the lag grows, look at its disk and network.");
    }
    look_at_certificate(list, "node", member->name, member->certificate_not_after_ms,
                        "The leader renews it by itself when two thirds of its time are over: look "
                        "at the leader's log and clock.");
}

/* Until all members know it, what a newer version brings is refused. */
static void look_at_versions(struct problem_list *list, const struct rpc_cluster_status *view)
{
    const struct rpc_member *members = view->members.items;
    const struct rpc_member *newest = NULL;
    const struct rpc_member *oldest = NULL;
    for (size_t i = 0; i < view->members.count; i++) {
        const struct rpc_member *member = &members[i];
        if (is(member->standing, "removed")) {
            continue;
        }
        newest = newest == NULL || member->level > newest->level ? member : newest;
        oldest = oldest == NULL || member->level < oldest->level ? member : oldest;
    }
    if (newest != NULL && newest->level > oldest->level) {
        add(list,
            view_text(list->arena, "%.*s still runs %.*s, %.*s runs %.*s", SLICE_ARG(oldest->name),
                      SLICE_ARG(oldest->version), SLICE_ARG(newest->name),
                      SLICE_ARG(newest->version)),
            "Upgrade the others, too: what the newer version brings is used when all know it.");
    }
}

static void look_at_registration(struct problem_list *list, const struct rpc_registration *view)
{
    if (is(view->state, "failed")) {
        add(list, view_text(list->arena, "the registration failed: %.*s", SLICE_ARG(view->error)),
            "Fetch a new registration token from the portal, then `muster registration register`.");
        severe(list);
    } else if (is(view->state, "registered") && view->error_code.size > 0) {
        add(list,
            view_text(list->arena, "the export holds, for the cloud does not take the device: %.*s",
                      SLICE_ARG(view->error)),
            "Nothing is lost meanwhile; it goes on by itself when the cloud takes the device "
            "again.");
        severe(list);
    } else if (view->error.size > 0) {
        add(list,
            view_text(list->arena, "%.*s: %.*s", SLICE_ARG(view->state), SLICE_ARG(view->error)),
            "It is tried again by itself; `muster registration status` says when.");
    }
}

static void look_at_export(struct problem_list *list, const struct rpc_export *view)
{
    if (view->dead_lettered > 0) {
        add(list,
            view_text(list->arena, "the cloud refused %llu records for good",
                      (unsigned long long)view->dead_lettered),
            "`muster export dead-letters list` says why; retry or discard them.");
    }
    if (view->paused) {
        add(list,
            view_text(list->arena, "the export is paused: %.*s", SLICE_ARG(view->pause_reason)),
            "`muster export resume` lets it go on.");
    }
    if (view->last_error.size > 0) {
        add(list, view_text(list->arena, "export: %.*s", SLICE_ARG(view->last_error)),
            "`muster export status` shows whether it goes on; nothing is lost meanwhile.");
    }
    if (view->outbox_max > 0 && view->pending >= view->outbox_max / 100 * FILLED_PERCENT) {
        add(list,
            view_text(list->arena, "%llu of at most %llu records wait for export",
                      (unsigned long long)view->pending, (unsigned long long)view->outbox_max),
            "At the limit producers are told to wait; see why the export does not keep up.");
    }
}

/* A registered cluster is there to export; credentials that are refused help nobody. */
static void look_at_credentials(struct daemon *daemon, struct problem_list *list,
                                const struct rpc_cluster_status *view)
{
    struct credential_view credential = {0};
    char missing[FEATURE_MISSING_SIZE];
    bool registered = is(view->registration.state, "registered");
    if (daemon->store == NULL) {
        return;
    }
    struct status status =
        store_credential(daemon->store, list->arena, (struct slice){0}, &credential);
    if (status.code == STATUS_NOT_FOUND && registered) {
        add(list, slice_of("nothing is exported: there is no API client"),
            "`muster credentials add NAME --client-id ID`, with a client of the cloud's portal.");
    }
    if (failed(status) || credential.verified_at_ms == 0) {
        return;
    }
    if (!credential.verified) {
        add(list,
            view_text(list->arena, "the cloud refuses the API client %.*s: %.*s",
                      SLICE_ARG(credential.name), SLICE_ARG(credential.error)),
            "Correct it (`muster credentials add NAME --replace`), or `muster credentials select` "
            "another; `muster credentials verify` tries it again.");
        severe(list);
    } else if (registered && !feature_available(FEATURE_EXPORT, credential.scopes, missing)) {
        add(list,
            view_text(list->arena, "nothing is exported: the API client %.*s lacks the scope %s",
                      SLICE_ARG(credential.name), missing),
            "Give it that scope in the cloud's portal and `muster credentials verify`, or `muster "
            "credentials select` another.");
    }
}

static void look_at_store(struct problem_list *list, const struct rpc_cluster_status *view)
{
    if (view->store_max > 0 && view->store_used >= view->store_max / 100 * FILLED_PERCENT) {
        add(list,
            view_text(list->arena, "the store uses %llu of %llu MiB",
                      (unsigned long long)(view->store_used >> 20U),
                      (unsigned long long)(view->store_max >> 20U)),
            "Raise store_size_max_mib, or lower records_max, on every node.");
    }
}

/* Who left knows what the members knew: the rotation is the cluster's own, the rest is a person's. */
static void look_at_key(struct daemon *daemon, struct problem_list *list)
{
    struct cluster_view cluster = {0};
    struct key_rotation_view rotation = {0};
    struct codec_list all = {0};
    struct store *store = daemon->store;
    if (store == NULL || failed(store_cluster(store, list->arena, &cluster)) ||
        failed(store_credentials(store, list->arena, &all))) {
        return;
    }
    if (daemon->key.problem[0] != '\0') {
        add(list, view_text(list->arena, "the cluster key: %s", daemon->key.problem),
            "It is tried again every second; if it lasts, let this node leave and join again.");
    }
    if (!failed(store_key_rotation(store, list->arena, &rotation)) &&
        clock_now_ms() > rotation.began_at_ms + KEY_PATIENCE_MS) {
        add(list,
            slice_of("the cluster key is being rotated, and a member does not take the new one"),
            "`muster cluster key` says which: bring it back, or remove it.");
    }
    if (cluster.recovery_key_epoch != 0 && cluster.recovery_key_epoch < cluster.key_epoch) {
        add(list,
            view_text(list->arena,
                      "the recovery key that was taken is of cluster key %llu, the present one is "
                      "%llu: it does not open snapshots that are made now",
                      (unsigned long long)cluster.recovery_key_epoch,
                      (unsigned long long)cluster.key_epoch),
            "Take it anew: `muster cluster recovery-key FILE`; keep the old one with the old "
            "snapshots.");
    }
    const struct credential_view *credentials = all.items;
    for (size_t i = 0; i < all.count; i++) {
        if (credentials[i].exposed_to.size > 0) {
            add(list,
                view_text(list->arena,
                          "%.*s, which is no member any more, could read the password of %.*s",
                          SLICE_ARG(credentials[i].exposed_to), SLICE_ARG(credentials[i].name)),
                "Renew the API client in the cloud's portal, then `muster credentials add NAME "
                "--replace`.");
        }
    }
}

struct status problems_list(struct daemon *daemon, struct arena *arena,
                            const struct consensus_status *raft, struct rpc_cluster_status *out)
{
    struct problem_list list = {
        .arena = arena,
        .items = arena_alloc(arena, RPC_PROBLEMS_MAX, sizeof *list.items),
    };
    if (list.items == NULL) {
        return fail(STATUS_NO_MEMORY, "list problems");
    }
    list.about = "node";
    look_at_suspension(daemon, &list);
    look_at_disk(daemon, raft, &list);
    list.about = "cluster";
    look_at_data(daemon, &list);
    look_at_quorum(daemon, &list, out);
    look_at_recovery(daemon, &list, out);
    list.about = "members";
    const struct rpc_member *members = out->members.items;
    for (size_t i = 0; i < out->members.count; i++) {
        look_at_member(daemon, &list, &members[i]);
    }
    look_at_certificates(daemon, &list);
    look_at_versions(&list, out);
    list.about = "registration";
    look_at_registration(&list, &out->registration);
    list.about = "export";
    look_at_export(&list, &out->export);
    look_at_credentials(daemon, &list, out);
    list.about = "store";
    look_at_store(&list, out);
    list.about = "cluster";
    look_at_key(daemon, &list);
    out->problems = (struct codec_list){.items = list.items, .count = list.count};
    return OK;
}
