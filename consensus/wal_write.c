/*
 * The writer: takes everything that is queued, turns it into records, writes and syncs them, and
 * hands the answers over.
 *
 *     run_queue: take -> stage ... stage -> flush (pwritev) -> sync (fdatasync) -> finish
 *
 * One failure of a write or sync poisons the log: `failure` is set, nothing is written any more,
 * and everything queued now or later is answered with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/fault.h"
#include "wal_state.h"

#define LOW_BATCHES 256U /* Batches between two tries to fill up the reserve. */

struct status wal_flush(struct wal *wal)
{
    struct wal_batch *batch = &wal->batch;
    if (batch->part_count == 0) {
        return OK;
    }
    struct status status = wal->disk->write(wal->disk->context, wal->file, batch->parts,
                                            batch->part_count, wal->written);
    if (failed(status)) {
        return wrap(status, "write %016llx.wal", (unsigned long long)wal->header.sequence);
    }
    (void)pthread_mutex_lock(&wal->mutex);
    wal->stats.records += (uint64_t)batch->record_count;
    wal->stats.bytes += wal->staged - wal->written;
    (void)pthread_mutex_unlock(&wal->mutex);
    wal->written = wal->staged;
    batch->part_count = 0;
    batch->record_count = 0;
    return OK;
}

struct status wal_sync(struct wal *wal)
{
    struct status status = wal_flush(wal);
    if (failed(status) || wal->synced == wal->written) {
        return status;
    }
    uint64_t begin_ns = uv_hrtime();
    status = wal->disk->sync(wal->disk->context, wal->file);
    if (failed(status)) {
        return wrap(status, "sync %016llx.wal", (unsigned long long)wal->header.sequence);
    }
    wal->synced = wal->written;
    (void)pthread_mutex_lock(&wal->mutex);
    wal->stats.syncs++;
    wal->stats.sync_time_us += (uv_hrtime() - begin_ns) / 1000;
    (void)pthread_mutex_unlock(&wal->mutex);
    return OK;
}

/* The same step that wal_place() took when the request was accepted. */
static struct status make_room(struct wal *wal, size_t record_size)
{
    struct wal_plan plan = {.offset = wal->staged};
    if (!wal_place(wal->segment_size, &plan, record_size)) {
        return OK;
    }
    struct status status = wal_sync(wal);
    if (!failed(status)) {
        status = wal_roll(wal);
    }
    if (!failed(status)) {
        (void)pthread_mutex_lock(&wal->mutex);
        assert(wal->plan.rolls > 0);
        wal->plan.rolls--;
        (void)pthread_mutex_unlock(&wal->mutex);
    }
    return status;
}

struct status wal_stage(struct wal *wal, struct wal_record *record)
{
    static const uint8_t zeros[8];
    struct wal_batch *batch = &wal->batch;
    size_t size = wal_record_size(record->payload.size);
    size_t padding = size - WAL_RECORD_SIZE - record->payload.size;
    if (record->type != WAL_RECORD_BEGIN && record->type != WAL_RECORD_CLOSE) {
        struct status status = make_room(wal, size);
        if (failed(status)) {
            return status;
        }
    }
    if (batch->part_count + 3 > DISK_PARTS_MAX) {
        struct status status = wal_flush(wal);
        if (failed(status)) {
            return status;
        }
    }
    uint8_t *bytes = batch->records[batch->record_count++];
    record->synced = (uint32_t)wal->synced;
    wal_record_encode(&wal->header, (uint32_t)wal->staged, record, bytes);
    batch->parts[batch->part_count++] =
        (struct iovec){.iov_base = bytes, .iov_len = WAL_RECORD_SIZE};
    if (record->payload.size > 0) {
        /* Written from, never to; iovec has no const. */
        batch->parts[batch->part_count++] = (struct iovec){
            .iov_base = (void *)(uintptr_t)record->payload.data, .iov_len = record->payload.size};
    }
    if (padding > 0) {
        batch->parts[batch->part_count++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = padding};
    }
    wal->staged += size;
    return OK;
}

static struct status stage_entries(struct wal *wal, const struct wal_request *request)
{
    for (unsigned i = 0; i < request->entry_count; i++) {
        const struct raft_entry *entry = &request->entries[i];
        struct wal_record record = {
            .type = WAL_RECORD_ENTRY,
            .entry_type = entry->type,
            .index = request->index + i,
            .term = entry->term,
            .payload = {.data = entry->buf.base, .size = entry->buf.len},
        };
        struct status status = wal_stage(wal, &record);
        if (failed(status)) {
            return status;
        }
        wal->written_next = record.index + 1;
        if (record.index > wal->current->last_index) {
            wal->current->last_index = record.index;
        }
    }
    return OK;
}

/* What a BEGIN says is the state before the record that follows it, so that state moves only after
 * its record is staged. */
static struct status stage_state(struct wal *wal, const struct wal_request *request)
{
    struct wal_record record = {
        .type = WAL_RECORD_STATE, .index = request->vote, .term = request->term};
    struct status status = wal_stage(wal, &record);
    wal->written_term = request->term;
    wal->written_vote = request->vote;
    return status;
}

static struct status stage_truncate(struct wal *wal, const struct wal_request *request)
{
    struct wal_record record = {.type = WAL_RECORD_TRUNCATE, .index = request->index};
    fault_step(FAULT_WAL_TRUNCATE);
    struct status status = wal_stage(wal, &record);
    wal->written_next = request->index;
    for (struct wal_file *file = wal->oldest; file != NULL; file = file->next) {
        if (file->first_index > request->index) {
            file->first_index = request->index;
        }
    }
    return status;
}

/* The log goes on after an installed snapshot; no entry written so far is needed any more. */
static struct status reset(struct wal *wal, const struct wal_manifest *manifest)
{
    struct wal_record record = {
        .type = WAL_RECORD_RESET, .index = manifest->index, .term = manifest->term};
    struct status status = wal_stage(wal, &record);
    if (failed(status)) {
        return status;
    }
    wal->written_next = manifest->index + 1;
    status = wal_sync(wal);
    if (failed(status)) {
        return status;
    }
    for (struct wal_file *file = wal->oldest; file != NULL; file = file->next) {
        file->first_index = wal->written_next;
        file->last_index = 0;
    }
    return OK;
}

static void set_failure(struct wal *wal, struct status reason)
{
    (void)pthread_mutex_lock(&wal->mutex);
    wal->failure = reason;
    (void)pthread_mutex_unlock(&wal->mutex);
}

/* Store the manifest, then cut the log. A refusal that leaves the disk as it was is the request's
 * own; what is returned poisons. */
static struct status put_snapshot(struct wal *wal, struct wal_request *request)
{
    struct wal_manifest *manifest = request->image;
    struct status status = wal_sync(wal);
    if (failed(status)) {
        return status;
    }
    status = wal_manifest_store(wal, manifest);
    if (failed(status)) {
        request->status = status;
        /* An install has already moved the log's next index, and cannot be taken back. */
        bool harmless = status.code == STATUS_FULL && request->trailing > 0;
        return harmless ? OK : status;
    }
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_manifest *old = wal->manifest;
    wal->manifest = manifest;
    wal->stats.snapshot_index = manifest->index;
    (void)pthread_mutex_unlock(&wal->mutex);
    request->image = NULL;
    free(old);
    fault_step(FAULT_WAL_SNAPSHOT_STORED);

    raft_index keep = manifest->index;
    if (request->trailing == 0) {
        status = reset(wal, manifest);
        if (failed(status)) {
            return status;
        }
        fault_step(FAULT_WAL_RESET);
    } else {
        keep = keep > request->trailing ? keep - request->trailing : 0;
    }
    fault_step(FAULT_WAL_RELEASE);
    return wal_release(wal, keep);
}

static struct status run_request(struct wal *wal, struct wal_request *request)
{
    switch ((enum wal_kind)request->kind) {
    case WAL_APPEND: return stage_entries(wal, request);
    case WAL_STATE: return stage_state(wal, request);
    case WAL_TRUNCATE: return stage_truncate(wal, request);
    case WAL_SNAPSHOT: return put_snapshot(wal, request);
    }
    return OK;
}

/* Put one request where its answer is waited for. Mutex held. */
static void finish(struct wal *wal, struct wal_request *request, struct status status)
{
    wal->stats.queue_size -= request->size;
    if (!failed(request->status)) {
        request->status = status;
    }
    free(request->image);
    request->image = NULL;
    request->next = NULL;
    if (request->detached) {
        free(request);
    } else if (request->internal) {
        request->finished = true;
    } else {
        *wal->done_end = request;
        wal->done_end = &request->next;
    }
}

static void finish_all(struct wal *wal, struct wal_request *list, struct status status)
{
    (void)pthread_mutex_lock(&wal->mutex);
    while (list != NULL) {
        struct wal_request *next = list->next;
        finish(wal, list, status);
        list = next;
    }
    if (wal->oldest != NULL) {
        wal->stats.first_index = wal->oldest->first_index;
    }
    (void)pthread_cond_broadcast(&wal->ready);
    /* A full disk is asked again only now and then. */
    if (!failed(wal->failure) && (!wal->stats.low || ++wal->low_batches % LOW_BATCHES == 0)) {
        /* That it is full now is no failure; the one to whom it matters is told on asking. */
        struct status filled = wal_spares_fill(wal, wal->reserve_count);
        (void)filled;
    }
    (void)pthread_mutex_unlock(&wal->mutex);
}

bool wal_run_queue(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_request *list = wal->queue;
    wal->queue = NULL;
    wal->queue_end = &wal->queue;
    struct status status = wal->failure;
    (void)pthread_mutex_unlock(&wal->mutex);
    if (list == NULL) {
        return false;
    }
    bool poisoned = failed(status);
    for (struct wal_request *at = list; at != NULL && !failed(status); at = at->next) {
        status = run_request(wal, at);
    }
    if (!failed(status)) {
        status = wal_sync(wal);
    }
    if (failed(status) && !poisoned) {
        set_failure(wal, status);
    }
    finish_all(wal, list, status);
    return true;
}
