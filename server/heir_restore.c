/*
 * Succession, from a snapshot's state: unpacked beside everything, verified, and put in the place of
 * the lineage that succeeds. The new lineage is of the snapshot's cluster, with this node's key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/x509.h"
#include "file.h"
#include "heir.h"
#include "issue.h"
#include "sealed_snapshot.h"

#define UNPACK_NAME "restore.work" /* A folder in the data folder, with a data.mdb. */

static struct status unpack_into(struct heir *heir, int file, const char *path)
{
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0) {
        return fail_errno(errno, "make %s", path);
    }
    struct status status = snapshot_unpack(file, secret_slice(&heir->order->cluster_key), out);
    if (close(out) != 0 && !failed(status)) {
        status = fail_errno(errno, "close %s", path);
    }
    return status;
}

static void note_header(struct heir *heir, const struct snapshot_header *header)
{
    char at[CLOCK_TEXT_SIZE];
    heir->end = (struct consensus_log_end){
        .index = header->index,
        .term = header->term,
        .current_term = header->term,
    };
    heir->taken_at_ms = header->taken_at_ms;
    heir->staged.keys.epoch = header->key_epoch;
    (void)snprintf(heir->source, sizeof heir->source,
                   "the snapshot of %.*s at %s, up to entry %llu", SLICE_ARG(header->node),
                   clock_format(header->taken_at_ms, at), (unsigned long long)header->index);
}

static void unpack_folder(const struct heir *heir, const char *rest, char out[HEIR_PATH_SIZE])
{
    (void)snprintf(out, HEIR_PATH_SIZE, "%.400s/" UNPACK_NAME "%s", heir->config->data_directory,
                   rest);
}

struct status heir_unpack(struct heir *heir)
{
    char path[HEIR_PATH_SIZE];
    struct arena arena = {0};
    struct snapshot_header header;
    int file = open(heir->order->file, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return fail_errno(errno, "open %s", heir->order->file);
    }
    unpack_folder(heir, "", path);
    struct status status = file_remove_tree(path); /* Of a restoration that a crash cut short. */
    if (!failed(status)) {
        status = file_make_folder(path);
    }
    unpack_folder(heir, "/data.mdb", path);
    if (!failed(status)) {
        status = snapshot_check(file, &arena, &header);
    }
    if (!failed(status)) {
        note_header(heir, &header);
        status = unpack_into(heir, file, path);
    }
    arena_release(&arena);
    (void)close(file);
    return status;
}

/* A certificate of the snapshot's CA for this node's own key. */
static struct status certify(struct heir *heir, struct store *store)
{
    struct identity *staged = &heir->staged;
    struct buffer request = {0};
    struct slice name = slice_of(heir->config->name);
    struct status status = x509_make_request(secret_slice(&staged->node_key), name, &request);
    if (!failed(status)) {
        const struct issue_request asked = {buffer_slice(&request), name, ISSUE_NODE_DAYS};
        status = issue_with(store, &staged->keys, ISSUE_NODE, &asked, &staged->certificate);
    }
    buffer_release(&request);
    return status;
}

static struct status take_cluster(struct heir *heir, const struct cluster_view *cluster)
{
    struct identity *staged = &heir->staged;
    staged->node_id = heir->before.node_id;
    /* A cluster of one that others cannot join begins as every standalone node did. */
    staged->bootstrap = cluster->name.size == 0;
    if (!slice_to_text(cluster->cluster_id, staged->cluster_id, sizeof staged->cluster_id) ||
        !buffer_append(&staged->ca_certificate, cluster->ca_certificate.data,
                       cluster->ca_certificate.size) ||
        !buffer_append(&staged->sealed_ca_key, cluster->sealed_ca_key.data,
                       cluster->sealed_ca_key.size)) {
        return fail(STATUS_NO_MEMORY, "take the cluster's identity");
    }
    struct status status = secret_copy(&staged->node_key, secret_slice(&heir->before.node_key));
    if (!failed(status)) {
        status = secret_copy(&staged->keys.key, secret_slice(&heir->order->cluster_key));
    }
    return status;
}

struct status heir_stage_restored(struct heir *heir)
{
    char path[HEIR_PATH_SIZE];
    struct arena arena = {0};
    struct store *store = NULL;
    struct cluster_view cluster;
    unpack_folder(heir, "", path);
    const struct store_options options = {
        .directory = path,
        .map_size_max = heir->config->store_size_max_mib << 20U,
        .outbox_max = heir->config->outbox_max,
        .read_only = true,
    };
    struct store_report report;
    struct status status = store_verify(&options, &report);
    if (!failed(status)) {
        status = store_open(&options, &store);
    }
    if (!failed(status)) {
        status = store_cluster(store, &arena, &cluster);
    }
    if (!failed(status)) {
        status = take_cluster(heir, &cluster);
    }
    if (!failed(status)) {
        status = certify(heir, store);
    }
    if (!failed(status)) {
        status = identity_stage(heir->config->data_directory, heir->config->root_secret_file,
                                &heir->staged);
    }
    store_close(store);
    arena_release(&arena);
    return status;
}

struct status heir_place(struct heir *heir)
{
    char from[HEIR_PATH_SIZE];
    char to[HEIR_PATH_SIZE];
    unpack_folder(heir, "/data.mdb", from);
    (void)snprintf(to, sizeof to, "%s/store/data.mdb", heir->staged.path);
    if ((fault_fires(FAULT_SUCCESSION_PLACE) ? (errno = EIO, -1) : rename(from, to)) != 0) {
        return fail_errno(errno, "rename %s", from);
    }
    unpack_folder(heir, "", from);
    struct status status = file_remove_tree(from);
    if (!failed(status)) {
        status = heir_open_store(heir, &heir->staged, &heir->store);
    }
    if (!failed(status) && store_applied_index(heir->store) != heir->end.index) {
        status = fail(STATUS_CORRUPT, "the state ends at entry %llu, its header says %llu",
                      (unsigned long long)store_applied_index(heir->store),
                      (unsigned long long)heir->end.index);
    }
    return status;
}
