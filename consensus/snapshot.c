/*
 * When the log is cut, and how a node that is too far behind catches up.
 *
 * libraft's snapshot is only a manifest: the machine's description of a state that is on its disk.
 * The state itself travels as an image over the peer network:
 *
 *     leader: InstallSnapshot(manifest) ----> follower: held
 *                                             fetch the image to a file     (crash: fetched again)
 *                                             machine.image_install         (crash: the store is
 *                                                 ahead of the log, which is harmless: what it
 *                                                 applies again is skipped)
 *                                             now libraft gets the message, the log is replaced
 *                                             (crash: old log or new one, the store fits both)
 *
 * So the store is never behind the log's snapshot, and a start that finds it so says that the store
 * was lost instead of going on with a hole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "node.h"
#include "raft_view.h"

/* libraft tests a number of entries; we set it so that it says what the size says. */
#define THRESHOLD_NEVER 0x7FFFFFFFU
#define THRESHOLD_NOW 1U
#define RETRY_MS 5000U /* After a snapshot that failed, which is most likely a full disk. */

static uint64_t machine_index(const struct consensus *node)
{
    const struct machine *machine = &node->options.machine;
    return machine->applied_index(machine->context);
}

/* ---- Taking ---- */

void snapshot_turn(struct consensus *node)
{
    bool due = node->log_size >= node->options.snapshot_after_size &&
               node_now_ms(node) >= node->snapshot_not_before_ms;
    raft_set_snapshot_threshold(&node->raft, due ? THRESHOLD_NOW : THRESHOLD_NEVER);
}

/* How many entries to keep for slow followers: by count, and by a quarter of the size that made the
 * snapshot due. At least one, as none means to libraft's io that the whole log is replaced. */
static unsigned trailing_count(const struct consensus *node)
{
    const struct raft *raft = &node->raft;
    size_t size = 0;
    size_t count = 0;
    while (count < node->options.snapshot_trailing_count) {
        const struct raft_entry *entry = raft_view_entry(raft, raft->last_applied - count);
        if (entry == NULL || size + entry->buf.len > node->options.snapshot_after_size / 4) {
            break;
        }
        size += entry->buf.len;
        count++;
    }
    return count == 0 ? 1 : (unsigned)count;
}

static struct status describe(struct consensus *node, uint64_t index, struct buffer *manifest)
{
    const struct machine *machine = &node->options.machine;
    struct status status = OK;
    if (machine_index(node) < index) { /* The last entries were none of the machine's. */
        status = machine->apply(machine->context, index, NULL, 0, NULL);
    }
    if (!failed(status)) {
        status = machine->snapshot(machine->context, index, manifest);
    }
    if (!failed(status) && (manifest->size == 0 || manifest->size > CONSENSUS_MANIFEST_SIZE_MAX)) {
        status = fail(STATUS_INVALID, "a manifest of %zu bytes", manifest->size);
    }
    return status;
}

int snapshot_take(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count)
{
    struct consensus *node = fsm->data;
    struct buffer manifest = {0};
    struct status status = describe(node, raft_last_applied(&node->raft), &manifest);
    struct raft_buffer *list =
        fault_fires(FAULT_NODE_SNAPSHOT_TAKE) ? NULL : raft_malloc(sizeof *list);
    void *copy = raft_malloc(manifest.size + 1);
    if (failed(status) || list == NULL || copy == NULL) {
        raft_free(list);
        raft_free(copy);
        buffer_release(&manifest);
        node->snapshot_not_before_ms = node_now_ms(node) + RETRY_MS;
        snapshot_turn(node);
        return RAFT_BUSY; /* libraft tries again after a later entry. */
    }
    memcpy(copy, manifest.data, manifest.size);
    *list = (struct raft_buffer){.base = copy, .len = manifest.size};
    buffer_release(&manifest);
    raft_set_snapshot_trailing(&node->raft, trailing_count(node));
    node->log_size = 0;
    node->snapshots_taken++;
    snapshot_turn(node);
    *buffers = list;
    *count = 1;
    return 0;
}

/* ---- Restoring ---- */

struct status snapshot_check_store(const struct consensus *node)
{
    uint64_t index = machine_index(node);
    if (index >= node->restore_index) {
        return OK;
    }
    return fail(STATUS_CORRUPT,
                "the store ends at entry %llu, the log begins after %llu: the store was replaced "
                "by an older one; remove this node and join it again",
                (unsigned long long)index, node->restore_index);
}

int snapshot_restore(struct raft_fsm *fsm, struct raft_buffer *buffer)
{
    struct consensus *node = fsm->data;
    struct status status = snapshot_check_store(node);
    if (failed(status)) {
        node_fail(node, status);
        return node_code_of(status);
    }
    raft_free(buffer->base); /* Ours only on success. */
    node->log_size = 0;
    return 0;
}

/* ---- Catching up ---- */

static void drop(struct consensus *node)
{
    (void)unlink(node->images.path);
    raft_wire_release(&node->images.message);
}

static struct status install(struct consensus *node)
{
    const struct raft_install_snapshot *offer = &node->images.message.raft.install_snapshot;
    const struct machine *machine = &node->options.machine;
    struct slice manifest = {.data = offer->data.base, .size = offer->data.len};
    struct status status = machine->image_install(machine->context, node->images.path, manifest);
    if (failed(status)) {
        return status;
    }
    if (machine_index(node) < offer->last_index) {
        return fail(STATUS_CORRUPT, "the image ends at entry %llu, %llu was promised",
                    (unsigned long long)machine_index(node), offer->last_index);
    }
    return OK;
}

static void image_on_fetched(struct peer_image *image, struct status status)
{
    struct consensus *node = image->context;
    node->images.fetching = false;
    if (node->raft_closing || failed(node->failure) || failed(status)) {
        drop(node); /* The leader offers it again. */
        return;
    }
    fault_step(FAULT_IMAGE_FETCHED);
    status = install(node);
    if (failed(status)) {
        drop(node);
        return;
    }
    fault_step(FAULT_IMAGE_INSTALLED);
    (void)unlink(node->images.path);
    node->snapshots_installed++;
    node->images.message.raft.server_address = node->images.address;
    node_io_pass(node, &node->images.message);
}

/* Will libraft answer this offer without installing anything? */
static bool is_needless(const struct consensus *node, const struct raft_install_snapshot *offer)
{
    const struct raft *raft = &node->raft;
    raft_term term = raft_view_term(raft, offer->last_index);
    return offer->term < raft->current_term || raft->log.snapshot.last_index >= offer->last_index ||
           (term != 0 && term >= offer->last_term) || machine_index(node) >= offer->last_index;
}

void snapshot_offered(struct consensus *node, struct raft_wire_message *message)
{
    struct images *images = &node->images;
    if (images->fetching) {
        raft_wire_release(message);
        return;
    }
    if (is_needless(node, &message->raft.install_snapshot)) {
        node_io_pass(node, message);
        return;
    }
    images->message = *message;
    images->request.context = node;
    (void)snprintf(images->address, sizeof images->address, "%s", message->raft.server_address);
    (void)snprintf(images->path, sizeof images->path, "%s/image.part", node->directory);
    struct status status = peer_image_fetch(node->peers, &images->request, message->raft.server_id,
                                            images->path, image_on_fetched);
    images->fetching = !failed(status);
    if (!images->fetching) {
        raft_wire_release(message);
    }
}
