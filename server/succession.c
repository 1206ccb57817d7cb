/*
 * Making the lineage that succeeds:
 *
 *     stage identity -> copy the state -> the rest of the log -> cluster_recover -> sync
 *         -> begin its log -> CURRENT names it
 *
 * or, from a snapshot (heir_restore.c),
 *
 *     unpack it -> stage identity -> put the state in place -> cluster_recover -> ... as above
 *
 * Everything before the last arrow is in a folder that nobody uses: the next start sweeps it away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "succession.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "file.h"
#include "heir.h"
#include "identity.h"
#include "machine.h"

static void note_step(const struct heir *heir, const char *step)
{
    log_event(LOG_LEVEL_NOTICE, "succession", log_text("step", step),
              log_text("lineage", heir->staged.lineage));
}

/* ---- Identity ---- */

static bool copy_bytes(const struct buffer *from, struct buffer *to)
{
    return from->size == 0 || buffer_append(to, from->data, from->size);
}

/* The same node of the same cluster; who admitted it, long ago, does not matter any more. */
static struct status make_identity(struct heir *heir)
{
    const struct identity *before = &heir->before;
    struct identity *staged = &heir->staged;
    staged->node_id = before->node_id;
    (void)snprintf(staged->cluster_id, sizeof staged->cluster_id, "%s", before->cluster_id);
    (void)snprintf(staged->aside, sizeof staged->aside, "%s", before->lineage);
    if (!copy_bytes(&before->ca_certificate, &staged->ca_certificate) ||
        !copy_bytes(&before->certificate, &staged->certificate)) {
        return fail(STATUS_NO_MEMORY, "copy the identity");
    }
    struct status status = secret_copy(&staged->node_key, secret_slice(&before->node_key));
    if (!failed(status)) {
        status = keyring_copy(&before->keys, &staged->keys);
    }
    return status;
}

/* ---- State ---- */

struct status heir_open_store(const struct heir *heir, const struct identity *identity,
                              struct store **out)
{
    char path[HEIR_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/store", identity->path);
    const struct store_options options = {
        .directory = path,
        .map_size_max = heir->config->store_size_max_mib << 20U,
        .outbox_max = heir->config->outbox_max,
    };
    return store_open(&options, out);
}

static struct status write_image(struct store *store, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(errno, "make %s", path);
    }
    struct status status = store_image_write(store, fd);
    if (!failed(status)) {
        int error = fault_fires(FAULT_SUCCESSION_SYNC) ? (errno = EIO, -1) : fsync(fd);
        status = error == 0 ? OK : fail_errno(errno, "sync %s", path);
    }
    if (close(fd) != 0 && !failed(status)) {
        status = fail_errno(errno, "close %s", path);
    }
    return status;
}

/* The old store is only read: if this comes to nothing, it is what the node goes on with. */
static struct status copy_state(struct heir *heir)
{
    char path[HEIR_PATH_SIZE];
    struct store *old = NULL;
    (void)snprintf(path, sizeof path, "%s/store/data.mdb", heir->staged.path);
    struct status status = heir_open_store(heir, &heir->before, &old);
    if (!failed(status)) {
        status = write_image(old, path);
    }
    store_close(old);
    return failed(status) ? status : heir_open_store(heir, &heir->staged, &heir->store);
}

static struct status read_log(struct heir *heir)
{
    char path[HEIR_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/log", heir->before.path);
    struct status status = machine_salvage(heir->store, path, &heir->end);
    (void)snprintf(heir->source, sizeof heir->source, "its own log up to entry %llu of term %llu",
                   (unsigned long long)heir->end.index, (unsigned long long)heir->end.term);
    return status;
}

/* ---- The first command ---- */

static struct status fill_member(const struct heir *heir, struct arena *arena, struct member *out)
{
    const struct config *config = heir->config;
    struct status status = store_member(heir->store, arena, heir->staged.node_id, out);
    if (status.code == STATUS_NOT_FOUND) {
        *out = (struct member){.node_id = heir->staged.node_id, .name = slice_of(config->name)};
        status = OK;
    }
    out->serial = slice_of(config->serial);
    out->model = slice_of(config->model);
    out->version = slice_of(MUSTER_VERSION);
    out->level = STORE_LEVEL;
    out->peer_address = slice_of(config->peer_address);
    out->rpc_address = slice_of(config->rpc_address);
    out->certificate = buffer_slice(&heir->staged.certificate);
    return status;
}

static struct status apply_recovery(struct heir *heir, const struct member *member,
                                    uint64_t lineage)
{
    const struct succession *order = heir->order;
    const struct command command = {
        .type = COMMAND_CLUSTER_RECOVER,
        .stamp =
            {
                .at_ms = order->at_ms,
                .actor = slice_of(order->by.actor),
                .origin = slice_of(order->by.origin),
                .comment = slice_of(order->comment),
            },
        .body.cluster_recover =
            {
                .lineage = lineage,
                .member = *member,
                .source = slice_of(heir->source),
                .from_index = heir->end.index,
                .from_taken_ms = heir->taken_at_ms,
            },
    };
    struct buffer bytes = {0};
    struct apply_outcome outcome = {0};
    struct status status = command_encode(&command, &bytes);
    struct slice encoded = buffer_slice(&bytes);
    if (!failed(status)) {
        status = store_apply(heir->store, heir->end.index + 1, &encoded, 1, &outcome);
    }
    if (!failed(status) && outcome.refusal != REFUSAL_NONE) {
        status = fail(STATUS_REFUSED, "the state refused it: %s",
                      refusal_reason((enum refusal)outcome.refusal));
    }
    buffer_release(&bytes);
    return status;
}

static struct status take_over(struct heir *heir)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct member member;
    struct status status = store_cluster(heir->store, &arena, &cluster);
    if (!failed(status)) {
        status = fill_member(heir, &arena, &member);
    }
    if (!failed(status)) {
        status = apply_recovery(heir, &member, cluster.lineage + 1);
    }
    arena_release(&arena);
    return status;
}

/* ---- The new log ---- */

static struct status begin_log(struct heir *heir)
{
    char path[HEIR_PATH_SIZE];
    struct buffer manifest = {0};
    uint64_t index = heir->end.index + 1;
    uint64_t term =
        heir->end.current_term > heir->end.term ? heir->end.current_term : heir->end.term;
    (void)snprintf(path, sizeof path, "%s/log", heir->staged.path);
    struct status status = machine_manifest(heir->store, index, &manifest);
    if (!failed(status)) {
        const struct consensus_founding founding = {
            .directory = path,
            .index = index,
            .term = term + 1,
            .node_id = heir->staged.node_id,
            .address = heir->config->peer_address,
            .manifest = buffer_slice(&manifest),
        };
        status = consensus_found(&founding);
    }
    buffer_release(&manifest);
    return status;
}

static struct status sync_folders(const struct heir *heir)
{
    char path[HEIR_PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/store", heir->staged.path);
    struct status status = file_sync_folder(path);
    status = failed(status) ? status : file_sync_folder(heir->staged.path);
    return failed(status) ? status : file_sync_folder(heir->config->data_directory);
}

/* ---- The way ---- */

struct step {
    const char *name;
    struct status (*run)(struct heir *heir);
};

static struct status stage(struct heir *heir)
{
    struct status status = make_identity(heir);
    return failed(status) ? status
                          : identity_stage(heir->config->data_directory,
                                           heir->config->root_secret_file, &heir->staged);
}

static struct status finish(struct heir *heir)
{
    store_close(heir->store);
    heir->store = NULL;
    struct status status = sync_folders(heir);
    return failed(status) ? status
                          : identity_switch(heir->config->data_directory, heir->staged.lineage);
}

static const struct step recover_steps[] = {
    {"stage the identity", stage},         {"copy the state", copy_state},
    {"read the log to its end", read_log}, {"take the cluster over", take_over},
    {"begin its log", begin_log},          {"make it the one in use", finish},
};
static const struct step restore_steps[] = {
    {"unpack the snapshot", heir_unpack},   {"stage the identity", heir_stage_restored},
    {"put the state in place", heir_place}, {"take the cluster over", take_over},
    {"begin its log", begin_log},           {"make it the one in use", finish},
};
#define STEP_COUNT (sizeof recover_steps / sizeof recover_steps[0])
_Static_assert(sizeof recover_steps == sizeof restore_steps, "as many steps either way");

static struct status walk(struct heir *heir)
{
    const struct step *steps =
        heir->order->kind == SUCCESSION_RESTORE ? restore_steps : recover_steps;
    struct status status = OK;
    for (size_t i = 0; i < STEP_COUNT && !failed(status); i++) {
        note_step(heir, steps[i].name);
        fault_step(FAULT_SUCCESSION_STEP);
        status = steps[i].run(heir);
        if (failed(status)) {
            status = wrap(status, "%s", steps[i].name);
        }
    }
    return status;
}

struct status succession_carry_out(const struct config *config, const struct succession *succession)
{
    struct heir heir = {.config = config, .order = succession};
    struct status status = identity_open(config->data_directory, config->root_secret_file,
                                         config->name, clock_now_ms(), &heir.before);
    if (!failed(status)) {
        status = walk(&heir);
    }
    store_close(heir.store);
    identity_release(&heir.before);
    identity_release(&heir.staged);
    log_event(failed(status) ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTICE,
              failed(status) ? "the succession came to nothing; the node goes on as it was"
                             : "the succession is done",
              log_text("reason", failed(status) ? status.message : ""));
    return status;
}
