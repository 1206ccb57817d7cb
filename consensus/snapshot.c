/*
 * When the log is cut. libraft's snapshot is only a manifest: the machine's description of a state
 * that is on its disk. The state itself travels as an image (catch_up.c).
 *
 * The store is never behind the log's snapshot, and a start that finds it so says that the store was
 * lost instead of going on with a hole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "node.h"
#include "raft_view.h"

/* libraft tests a number of entries; we set it so that it says what the size says. */
#define THRESHOLD_NEVER 0x7FFFFFFFU
#define THRESHOLD_NOW 1U
#define SLOW_SHARE 4U  /* A snapshot is slow that takes this part of an election time-out. */
#define RETRY_MS 5000U /* After a snapshot that failed, which is most likely a full disk. */

static uint64_t machine_index(const struct consensus *node)
{
    const struct machine *machine = &node->options.machine;
    return machine->applied_index(machine->context);
}

/* ---- Taking ---- */

/* The machine syncs on the loop's thread, which is short as long as the disk keeps up with its flushes;
 * when it is not, heartbeats wait. */
static void note_time(struct consensus *node, uint64_t for_us)
{
    char words[80];
    node->snapshot_time_us_max =
        for_us > node->snapshot_time_us_max ? for_us : node->snapshot_time_us_max;
    if (for_us / 1000U * SLOW_SHARE >= node->options.election_timeout_ms &&
        node->options.on_notice != NULL) {
        (void)snprintf(words, sizeof words, "a snapshot took %llu ms: the disk is slow",
                       (unsigned long long)for_us / 1000U);
        node->options.on_notice(node->options.context, 0, words);
    }
}

void snapshot_turn(struct consensus *node)
{
    bool due = node->log_size >= node->options.snapshot_after_size &&
               node_now_ms(node) >= node->snapshot_not_before_ms;
    due = !catch_up_holds_log(node, due) && due;
    raft_set_snapshot_threshold(&node->raft, due ? THRESHOLD_NOW : THRESHOLD_NEVER);
}

/* How many entries to keep for slow followers: by count, and by a quarter of the size that made the
 * snapshot due. At least one, as none means to libraft's io that the whole log is replaced. */
unsigned snapshot_trailing_count(const struct consensus *node)
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
    uint64_t began_us = uv_hrtime() / 1000U;
    struct status status = describe(node, raft_last_applied(&node->raft), &manifest);
    uint64_t for_us = uv_hrtime() / 1000U - began_us;
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
    raft_set_snapshot_trailing(&node->raft, snapshot_trailing_count(node));
    node->log_size = 0;
    node->snapshots_taken++;
    note_time(node, for_us);
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
                "the store ends at entry %llu, the log begins after %llu: the store is lost, or an "
                "older one",
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
