/*
 * The calls of the write-ahead log: check, accept into the queue, answer.
 *
 *     loop:    accept -> queue ........................ answer
 *     writer:            wal_run_queue -> done list -> uv_async
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wal.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wal_state.h"

#define BARRIERS_MAX 16U /* In one request that may use the reserve. */

/* ---- Answers ---- */

unsigned wal_answer(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_request *list = wal->done;
    wal->done = NULL;
    wal->done_end = &wal->done;
    (void)pthread_mutex_unlock(&wal->mutex);
    unsigned count = 0;
    while (list != NULL) {
        /* The request is the caller's again with the call. */
        struct wal_request *next = list->next;
        list->done(list, list->status);
        list = next;
        count++;
    }
    return count;
}

/* ---- Accepting ---- */

/* See that the files the plan begins are allocated, and `margin` more. Mutex held. */
static struct status plan_allocate(struct wal *wal, const struct wal_plan *plan, unsigned margin)
{
    if (failed(wal->failure)) {
        return wal->failure;
    }
    return wal_spares_fill(wal, plan->rolls + margin);
}

static struct status check_queue(const struct wal *wal, size_t size)
{
    if (wal->stats.queue_size > 0 && wal->stats.queue_size + size > wal->queue_size_max) {
        return fail(STATUS_BUSY, "the log is behind: %llu bytes are waiting for the disk",
                    (unsigned long long)wal->stats.queue_size);
    }
    return OK;
}

/* Mutex held. */
static void enqueue(struct wal *wal, struct wal_request *request)
{
    request->next = NULL;
    request->status = OK;
    *wal->queue_end = request;
    wal->queue_end = &request->next;
    wal->stats.queue_size += request->size;
    (void)pthread_cond_signal(&wal->work);
}

/* Accept a request of one record without payload, or of none, which may use the reserve. */
static struct status accept_small(struct wal *wal, struct wal_request *request)
{
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_plan plan = wal->plan;
    if (request->kind != WAL_SNAPSHOT || request->trailing == 0) {
        (void)wal_place(wal->segment_size, &plan, WAL_RECORD_SIZE);
    }
    struct status status = plan_allocate(wal, &plan, 0);
    if (!failed(status)) {
        wal->plan = plan;
        request->size = WAL_RECORD_SIZE;
        enqueue(wal, request);
    }
    (void)pthread_mutex_unlock(&wal->mutex);
    return status;
}

/* Wait until the writer has finished an internal request. */
static struct status wait_for(struct wal *wal, struct wal_request *request)
{
    if (!wal->threaded) {
        (void)wal_run_queue(wal);
        return request->status;
    }
    (void)pthread_mutex_lock(&wal->mutex);
    while (!request->finished) {
        (void)pthread_cond_wait(&wal->ready, &wal->mutex);
    }
    (void)pthread_mutex_unlock(&wal->mutex);
    return request->status;
}

size_t wal_entry_size_max(const struct wal *wal)
{
    return (wal->segment_size / 4 - WAL_RECORDS_AT / 4) & ~(size_t)7;
}

static struct status check_entries(const struct wal *wal, const struct raft_entry *entries,
                                   unsigned count, size_t *size)
{
    if (count == 0) {
        return fail(STATUS_INVALID, "append of no entries");
    }
    *size = 0;
    for (unsigned i = 0; i < count; i++) {
        if (entries[i].buf.len > wal_entry_size_max(wal) || entries[i].term == 0) {
            return fail(STATUS_INVALID, "entry of %zu bytes and term %llu: at most %zu, from 1",
                        entries[i].buf.len, entries[i].term, wal_entry_size_max(wal));
        }
        *size += wal_record_size(entries[i].buf.len);
    }
    return OK;
}

/* A leader that is elected on a full disk must be able to say so in the log. */
static bool is_barriers(const struct raft_entry *entries, unsigned count)
{
    unsigned barriers = 0;
    while (barriers < count && entries[barriers].type == RAFT_BARRIER) {
        barriers++;
    }
    return barriers == count && count <= BARRIERS_MAX;
}

/* Accept a request that has its entries. */
static struct status accept_entries(struct wal *wal, struct wal_request *request)
{
    struct status status =
        check_entries(wal, request->entries, request->entry_count, &request->size);
    if (failed(status)) {
        return status;
    }
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_plan plan = wal->plan;
    for (unsigned i = 0; i < request->entry_count; i++) {
        (void)wal_place(wal->segment_size, &plan, wal_record_size(request->entries[i].buf.len));
    }
    status = check_queue(wal, request->size);
    if (!failed(status)) {
        status =
            plan_allocate(wal, &plan, is_barriers(request->entries, request->entry_count) ? 0 : 1);
    }
    if (!failed(status)) {
        wal->plan = plan;
        request->index = wal->next_index;
        wal->next_index += request->entry_count;
        enqueue(wal, request);
    }
    (void)pthread_mutex_unlock(&wal->mutex);
    return failed(status) ? wrap(status, "append %u entries", request->entry_count) : OK;
}

struct status wal_append(struct wal *wal, struct wal_request *request,
                         const struct raft_entry *entries, unsigned count, wal_done done)
{
    *request = (struct wal_request){.context = request->context,
                                    .done = done,
                                    .kind = WAL_APPEND,
                                    .entries = entries,
                                    .entry_count = count};
    return accept_entries(wal, request);
}

struct status wal_can_append(struct wal *wal, size_t size, unsigned count)
{
    size_t need = size + (size_t)count * (WAL_RECORD_SIZE + 7);
    /* A file may be left with room for almost one largest entry. */
    size_t usable =
        wal->segment_size - WAL_RECORDS_AT - wal_entry_size_max(wal) - 2 * (size_t)WAL_RECORD_SIZE;
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_plan plan = wal->plan;
    if (plan.offset + need > wal->segment_size - WAL_RECORD_SIZE) {
        plan.rolls += (unsigned)(need / usable) + 1;
    }
    struct status status = check_queue(wal, need);
    if (!failed(status)) {
        status = plan_allocate(wal, &plan, 1);
    }
    (void)pthread_mutex_unlock(&wal->mutex);
    return status;
}

void wal_refill(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->mutex);
    if (wal->stats.low && !failed(wal->failure)) {
        struct status status = wal_spares_fill(wal, wal->reserve_count);
        (void)status; /* Still full: the one to whom it matters is told on asking. */
    }
    (void)pthread_mutex_unlock(&wal->mutex);
}

/* ---- Term, vote, truncation ---- */

static struct status set_state(struct wal *wal, raft_term term, raft_id vote)
{
    struct wal_request request = {.kind = WAL_STATE, .term = term, .vote = vote, .internal = true};
    struct status status = accept_small(wal, &request);
    if (!failed(status)) {
        status = wait_for(wal, &request);
    }
    if (failed(status)) {
        return status;
    }
    wal->term = term;
    wal->vote = vote;
    return OK;
}

struct status wal_set_term(struct wal *wal, raft_term term)
{
    if (term < wal->term) {
        return fail(STATUS_INVALID, "term %llu after %llu", term, wal->term);
    }
    struct status status = set_state(wal, term, 0);
    return failed(status) ? wrap(status, "store term %llu", term) : OK;
}

struct status wal_set_vote(struct wal *wal, raft_id voted_for)
{
    struct status status = set_state(wal, wal->term, voted_for);
    return failed(status) ? wrap(status, "store vote") : OK;
}

struct status wal_truncate(struct wal *wal, raft_index index)
{
    if (index == 0 || index > wal->next_index || index <= wal->put_index) {
        return fail(STATUS_INVALID, "truncate from entry %llu of %llu, snapshot at %llu", index,
                    wal->next_index - 1, wal->put_index);
    }
    struct wal_request *request = alloc_bytes(sizeof *request);
    if (request == NULL) {
        return fail(STATUS_NO_MEMORY, "truncate");
    }
    *request = (struct wal_request){.kind = WAL_TRUNCATE, .index = index, .detached = true};
    struct status status = accept_small(wal, request);
    if (failed(status)) {
        free(request);
        return wrap(status, "truncate from entry %llu", index);
    }
    /* The queue owns the request now, which the analyzer does not see. */
    wal->next_index = index; /* NOLINT(clang-analyzer-unix.Malloc) */
    return OK;
}

/* Term 1 and the entry, in one write. */
static struct status bootstrap_write(struct wal *wal, const struct raft_entry *entry)
{
    struct wal_request term = {.kind = WAL_STATE, .term = 1, .internal = true};
    struct wal_request first = {
        .kind = WAL_APPEND, .entries = entry, .entry_count = 1, .internal = true};
    struct status status = accept_small(wal, &term);
    if (failed(status)) {
        return status;
    }
    status = accept_entries(wal, &first);
    struct status written = wait_for(wal, &term);
    if (!failed(status)) {
        status = wait_for(wal, &first);
    }
    return failed(written) ? written : status;
}

struct status wal_bootstrap(struct wal *wal, const struct raft_configuration *configuration)
{
    /* Term 1 alone is what an interrupted beginning leaves. */
    if (wal->term > 1 || wal->vote != 0 || wal->next_index != 1 || wal->put_index != 0) {
        return fail(STATUS_REFUSED, "the log is not empty; begin a new one in an empty directory");
    }
    struct raft_buffer encoded = {0};
    if (raft_configuration_encode(configuration, &encoded) != 0) {
        return fail(STATUS_NO_MEMORY, "encode the configuration");
    }
    struct raft_entry *entry = raft_malloc(sizeof *entry);
    if (entry == NULL) {
        raft_free(encoded.base);
        return fail(STATUS_NO_MEMORY, "begin the log");
    }
    *entry =
        (struct raft_entry){.term = 1, .type = RAFT_CHANGE, .buf = encoded, .batch = encoded.base};
    struct status status = bootstrap_write(wal, entry);
    if (failed(status)) {
        raft_free(encoded.base);
        raft_free(entry);
        return wrap(status, "begin the log");
    }
    wal->term = 1;
    wal->loaded.term = 1;
    wal->loaded.entries = entry;
    wal->loaded.entry_count = 1;
    return OK;
}

/* ---- Loading ---- */

void wal_load(struct wal *wal, struct wal_loaded *out)
{
    *out = wal->loaded;
    wal->loaded = (struct wal_loaded){.start_index = wal->loaded.start_index};
}

void wal_loaded_release(struct wal_loaded *loaded)
{
    wal_snapshot_free(loaded->snapshot);
    for (size_t i = 0; i < loaded->entry_count; i++) {
        /* Neighbours share a batch. */
        if (i + 1 == loaded->entry_count ||
            loaded->entries[i + 1].batch != loaded->entries[i].batch) {
            raft_free(loaded->entries[i].batch);
        }
    }
    raft_free(loaded->entries);
    *loaded = (struct wal_loaded){0};
}

/* ---- Snapshots ---- */

struct status wal_snapshot_put(struct wal *wal, struct wal_request *request,
                               const struct raft_snapshot *snapshot, unsigned trailing,
                               wal_done done)
{
    if (snapshot->index == 0 || snapshot->term == 0 || snapshot->index < wal->put_index ||
        (trailing > 0 && snapshot->index >= wal->next_index)) {
        return fail(STATUS_INVALID,
                    "snapshot %llu of term %llu: the last one is %llu, the log's end %llu",
                    snapshot->index, snapshot->term, wal->put_index, wal->next_index - 1);
    }
    *request = (struct wal_request){
        .context = request->context, .done = done, .kind = WAL_SNAPSHOT, .trailing = trailing};
    struct status status = wal_manifest_encode(snapshot, &request->image);
    if (failed(status)) {
        return status;
    }
    status = accept_small(wal, request);
    if (failed(status)) {
        free(request->image);
        return wrap(status, "store snapshot %llu", snapshot->index);
    }
    wal->put_index = snapshot->index;
    if (trailing == 0) {
        wal->next_index = snapshot->index + 1;
    }
    return OK;
}

struct status wal_snapshot_get(struct wal *wal, struct raft_snapshot **out)
{
    (void)pthread_mutex_lock(&wal->mutex);
    struct status status = fail(STATUS_NOT_FOUND, "there is no snapshot yet");
    if (wal->manifest != NULL) {
        struct slice bytes = {.data = wal->manifest->bytes, .size = wal->manifest->size};
        status = wal_manifest_decode(bytes, out);
    }
    (void)pthread_mutex_unlock(&wal->mutex);
    return status;
}

/* ---- Running and looking ---- */

unsigned wal_pump(struct wal *wal)
{
    while (wal_run_queue(wal)) {
    }
    return wal_answer(wal);
}

struct status wal_failure(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->mutex);
    struct status failure = wal->failure;
    (void)pthread_mutex_unlock(&wal->mutex);
    return failure;
}

void wal_stats(struct wal *wal, struct wal_stats *out)
{
    (void)pthread_mutex_lock(&wal->mutex);
    *out = wal->stats;
    out->last_index = wal->next_index - 1;
    out->reserve_count = wal->spare_count;
    (void)pthread_mutex_unlock(&wal->mutex);
}
