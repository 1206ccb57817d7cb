/*
 * Making snapshots and giving them out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "snapshotter.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "call.h"
#include "client/recovery.h"
#include "daemon.h"
#include "file.h"
#include "sealed_snapshot.h"
#include "suspension.h"
#include "views.h"

#define SPOOL_NAME "snapshot.work"
#define IDLE_MS 60000U /* Nobody reads it any more: it goes. */
#define LEFT_MS 10000U /* After so long another may begin one instead. */
#define PATH_SIZE (IDENTITY_PATH_SIZE + 64)

enum snapshotter_state {
    SNAPSHOTTER_IDLE,
    SNAPSHOTTER_MAKING,
    SNAPSHOTTER_READY,
    SNAPSHOTTER_FAILED,
};

struct snapshotter {
    struct daemon *daemon;
    enum snapshotter_state state;
    uint64_t id;
    uint64_t used_at_ms; /* Monotonic. */
    int file;            /* The finished snapshot, without a name; -1. */
    uint64_t size;
    struct status failure;

    /* The worker's while MAKING. */
    uv_work_t work;
    struct store *store;
    struct keyring keys;
    char folder[PATH_SIZE];
    size_t map_size_max;
    uint64_t term;
    uint64_t taken_at_ms;
    char node[RPC_NAME_SIZE_MAX + 1];
    struct status result;
};

struct status snapshotter_create(struct daemon *daemon, struct snapshotter **out)
{
    struct snapshotter *snapshotter = alloc_zeroed(1, sizeof *snapshotter);
    if (snapshotter == NULL) {
        return fail(STATUS_NO_MEMORY, "start the snapshotter");
    }
    snapshotter->daemon = daemon;
    snapshotter->file = -1;
    (void)snprintf(snapshotter->folder, sizeof snapshotter->folder, "%.400s/" SPOOL_NAME,
                   daemon->config.data_directory);
    struct status status = file_remove_tree(snapshotter->folder); /* Of a crash. */
    if (failed(status) && status.code != STATUS_NOT_FOUND) {
        free(snapshotter);
        return status;
    }
    *out = snapshotter;
    return OK;
}

static void drop(struct snapshotter *snapshotter)
{
    if (snapshotter->file >= 0) {
        (void)close(snapshotter->file);
    }
    snapshotter->file = -1;
    snapshotter->size = 0;
    snapshotter->state = SNAPSHOTTER_IDLE;
}

void snapshotter_destroy(struct snapshotter *snapshotter)
{
    if (snapshotter != NULL) {
        assert(snapshotter->state != SNAPSHOTTER_MAKING);
        drop(snapshotter);
        free(snapshotter);
    }
}

/* ---- On the worker ---- */

static struct status copy_image(const struct snapshotter *snapshotter, int *out)
{
    char path[PATH_SIZE + 16];
    struct status status = file_make_folder(snapshotter->folder);
    if (failed(status)) {
        return status;
    }
    (void)snprintf(path, sizeof path, "%s/data.mdb", snapshotter->folder);
    *out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return *out < 0 ? fail_errno(errno, "make %s", path)
                    : store_image_write(snapshotter->store, *out);
}

static uint64_t count_members(struct store *image, struct arena *arena)
{
    struct codec_list list = {0};
    uint64_t count = 0;
    if (failed(store_members(image, arena, &list))) {
        return 0;
    }
    const struct member *all = list.items;
    for (size_t i = 0; i < list.count; i++) {
        count += all[i].standing != STANDING_REMOVED;
    }
    return count;
}

/* What the header says is read from the image itself, and all of it is read on the way. */
static struct status describe(const struct snapshotter *snapshotter, struct store *image,
                              struct arena *arena, struct snapshot_header *out)
{
    struct cluster_view cluster;
    struct export_view export;
    struct store_digest digest;
    struct status status = store_cluster(image, arena, &cluster);
    if (!failed(status)) {
        status = store_export(image, arena, &export);
    }
    if (!failed(status)) {
        status = store_digest_deep(image, &digest);
    }
    if (failed(status)) {
        return status;
    }
    *out = (struct snapshot_header){
        .cluster_id = cluster.cluster_id,
        .cluster = cluster.name,
        .lineage = cluster.lineage,
        .index = store_applied_index(image),
        .term = snapshotter->term,
        .taken_at_ms = snapshotter->taken_at_ms,
        .node = slice_of(snapshotter->node),
        .version = slice_of(MUSTER_VERSION),
        .digest = view_digest(&digest, arena),
        .members = count_members(image, arena),
        .produced = export.produced,
        .pending = export.pending,
        .key_epoch = cluster.key_epoch,
    };
    return OK;
}

/* Under the key of the image's own epoch: a rotation may have ended since it was asked for. */
static struct status pack(struct snapshotter *snapshotter, int image, struct arena *arena,
                          struct snapshot_header *header)
{
    struct slice key = keyring_find(&snapshotter->keys, header->key_epoch);
    return key.size == 0 ? fail(STATUS_BUSY, "the cluster key was rotated meanwhile; save it again")
                         : snapshot_pack(image, key, arena, header, snapshotter->file);
}

static struct status seal_image(struct snapshotter *snapshotter, int image)
{
    struct arena arena = {0};
    struct store *store = NULL;
    struct snapshot_header header;
    struct stat file;
    const struct store_options options = {
        .directory = snapshotter->folder,
        .map_size_max = snapshotter->map_size_max,
        .read_only = true,
    };
    snapshotter->file =
        open(snapshotter->daemon->config.data_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct status status = snapshotter->file < 0 ? fail_errno(errno, "make the snapshot's file")
                                                 : store_open(&options, &store);
    if (!failed(status)) {
        status = describe(snapshotter, store, &arena, &header);
    }
    if (!failed(status)) {
        status = pack(snapshotter, image, &arena, &header);
    }
    if (!failed(status) && fstat(snapshotter->file, &file) == 0) {
        snapshotter->size = (uint64_t)file.st_size;
    }
    store_close(store);
    arena_release(&arena);
    return status;
}

static void make(uv_work_t *work)
{
    struct snapshotter *snapshotter = work->data;
    int image = -1;
    struct status status = copy_image(snapshotter, &image);
    if (!failed(status)) {
        status = seal_image(snapshotter, image);
    }
    if (image >= 0) {
        (void)close(image);
    }
    struct status removed = file_remove_tree(snapshotter->folder);
    (void)removed; /* The next start tries again. */
    snapshotter->result = status;
}

/* ---- On the loop ---- */

static void on_made(uv_work_t *work, int code)
{
    struct snapshotter *snapshotter = work->data;
    struct status status = code != 0 ? fail(STATUS_UNKNOWN, "musterd stops") : snapshotter->result;
    keyring_release(&snapshotter->keys);
    snapshotter->used_at_ms = clock_monotonic_ms();
    snapshotter->failure = status;
    if (failed(status)) {
        drop(snapshotter);
        snapshotter->state = SNAPSHOTTER_FAILED;
        log_event(LOG_LEVEL_WARNING, "no snapshot was made", log_text("reason", status.message));
    } else {
        snapshotter->state = SNAPSHOTTER_READY;
        log_event(LOG_LEVEL_INFO, "a snapshot was made", log_u64("size", snapshotter->size));
    }
}

/* Two more copies of the state for a while: the image, and the sealed one. */
static struct status check_space(const struct daemon *daemon)
{
    struct disk_space space;
    struct store_size size;
    store_size(daemon->store, &size);
    struct status status = disk_space_of(daemon->config.data_directory, &space);
    if (!failed(status) && space.free < 2 * size.used) {
        return fail(STATUS_FULL, "the data folder's disk has %llu MiB free, %llu are needed",
                    (unsigned long long)(space.free >> 20U),
                    (unsigned long long)(2 * size.used >> 20U));
    }
    return status;
}

static struct status start(struct snapshotter *snapshotter)
{
    struct daemon *daemon = snapshotter->daemon;
    struct status status = check_space(daemon);
    if (!failed(status)) {
        status = store_flush(daemon->store); /* What was answered so far is in it. */
    }
    if (!failed(status)) {
        status = keyring_copy(&daemon->identity.keys, &snapshotter->keys);
    }
    if (failed(status)) {
        return status;
    }
    snapshotter->id = random_u64();
    snapshotter->store = daemon->store;
    snapshotter->map_size_max = daemon->config.store_size_max_mib << 20U;
    snapshotter->term = daemon->event.term;
    snapshotter->taken_at_ms = clock_now_ms();
    (void)snprintf(snapshotter->node, sizeof snapshotter->node, "%.64s", daemon->config.name);
    snapshotter->work.data = snapshotter;
    if (uv_queue_work(daemon->loop, &snapshotter->work, make, on_made) != 0) {
        keyring_release(&snapshotter->keys);
        return fail(STATUS_NO_MEMORY, "start a snapshot");
    }
    snapshotter->state = SNAPSHOTTER_MAKING;
    return OK;
}

void snapshotter_begin(struct snapshotter *snapshotter, struct call *call)
{
    struct daemon *daemon = snapshotter->daemon;
    struct consensus_status *raft = arena_alloc(&call->arena, 1, sizeof *raft);
    uint64_t now_ms = clock_monotonic_ms();
    bool in_use =
        snapshotter->state == SNAPSHOTTER_MAKING ||
        (snapshotter->state == SNAPSHOTTER_READY && now_ms < snapshotter->used_at_ms + LEFT_MS);
    struct status status = raft == NULL ? fail(STATUS_NO_MEMORY, "begin a snapshot") : OK;
    if (in_use) {
        status = fail(STATUS_BUSY, "a snapshot of this node is being saved; ask again later");
    }
    if (!failed(status)) {
        drop(snapshotter);
        status = start(snapshotter);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    consensus_status(daemon->consensus, raft);
    snapshotter->used_at_ms = now_ms;
    log_event(LOG_LEVEL_NOTICE, "a snapshot is asked for", log_text("actor", call->caller.actor),
              log_text("origin", call->caller.origin));
    const struct rpc_snapshot_begun begun = {.id = snapshotter->id, .quorum = raft->quorum};
    call_reply(call, &begun);
}

static struct status read_part(struct snapshotter *snapshotter, struct call *call, uint64_t offset,
                               struct rpc_snapshot_part *out)
{
    uint64_t left = offset < snapshotter->size ? snapshotter->size - offset : 0;
    size_t size = left < RPC_SNAPSHOT_PART_MAX ? (size_t)left : RPC_SNAPSHOT_PART_MAX;
    void *bytes = arena_alloc(&call->arena, size + 1, 1);
    if (bytes == NULL) {
        return fail(STATUS_NO_MEMORY, "read the snapshot");
    }
    ssize_t count = pread(snapshotter->file, bytes, size, (off_t)offset);
    if (count < 0 || (size_t)count != size) {
        return fail(STATUS_IO, "read the snapshot at %llu", (unsigned long long)offset);
    }
    *out = (struct rpc_snapshot_part){
        .ready = true,
        .size = snapshotter->size,
        .bytes = {.data = bytes, .size = size},
    };
    return OK;
}

void snapshotter_read(struct snapshotter *snapshotter, struct call *call)
{
    struct rpc_snapshot_read params;
    struct rpc_snapshot_part part = {.bytes = slice_of("")};
    struct status status = OK;
    if (!call_params(call, &params)) {
        return;
    }
    if (snapshotter->state == SNAPSHOTTER_IDLE || params.id != snapshotter->id) {
        status = fail(STATUS_NOT_FOUND, "there is no such snapshot any more; begin anew");
    } else if (snapshotter->state == SNAPSHOTTER_FAILED) {
        status = snapshotter->failure;
    } else if (snapshotter->state == SNAPSHOTTER_READY) {
        status = read_part(snapshotter, call, params.offset, &part);
    }
    snapshotter->used_at_ms = clock_monotonic_ms();
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    bool finished = part.ready && params.offset + part.bytes.size >= snapshotter->size;
    call_reply(call, &part);
    if (finished) {
        drop(snapshotter);
    }
}

void snapshotter_sweep(struct snapshotter *snapshotter, uint64_t now_ms)
{
    if (snapshotter != NULL && snapshotter->state == SNAPSHOTTER_READY &&
        now_ms > snapshotter->used_at_ms + IDLE_MS) {
        drop(snapshotter);
    }
}
