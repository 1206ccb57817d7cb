/*
 * What the write-ahead log's tests share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wal_harness.h"

#include <stdlib.h>
#include <string.h>

void harness_fill(uint8_t *out, size_t size, uint64_t index, uint64_t term)
{
    uint64_t state = index * UINT64_C(0x9E3779B97F4A7C15) ^ term;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56U);
    }
}

bool harness_matches(const struct raft_entry *entry, uint64_t index, uint64_t term)
{
    uint8_t *expected = malloc(entry->buf.len + 1);
    harness_fill(expected, entry->buf.len, index, term);
    bool same = entry->term == term && memcmp(expected, entry->buf.base, entry->buf.len) == 0;
    free(expected);
    return same;
}

struct status harness_open(const char *directory, struct disk *disk, struct wal **out)
{
    struct wal_options options = {
        .directory = directory, .disk = disk, .segment_size = HARNESS_SEGMENT_SIZE, .salt = 7};
    return wal_open(&options, out);
}

struct closing {
    bool closed;
    struct status status;
};

static void on_closed(void *context, struct status status)
{
    *(struct closing *)context = (struct closing){.closed = true, .status = status};
}

struct status harness_try_close(struct wal *wal)
{
    struct closing closing = {0};
    wal_close(wal, on_closed, &closing);
    CHECK(closing.closed);
    return closing.status;
}

void harness_close(struct wal *wal)
{
    struct status status = harness_try_close(wal);
    (void)status; /* Many a test's log has failed by then. */
}

static void on_done(struct wal_request *request, struct status status)
{
    struct harness_append *append = request->context;
    append->answers++;
    append->status = status;
}

struct status harness_append_entry(struct wal *wal, struct harness_append *append,
                                   const struct raft_entry *entry)
{
    struct status status = wal_append(wal, &append->request, entry, 1, on_done);
    (void)wal_pump(wal);
    return failed(status) ? status : append->status;
}

struct status harness_append(struct wal *wal, struct harness_append *append, uint64_t first,
                             uint64_t term, unsigned count, size_t size)
{
    *append = (struct harness_append){.count = count, .request = {.context = append}};
    for (unsigned i = 0; i < count; i++) {
        append->entries[i] = (struct raft_entry){
            .term = term, .type = RAFT_COMMAND, .buf = {.base = malloc(size + 1), .len = size}};
        harness_fill(append->entries[i].buf.base, size, first + i, term);
    }
    return wal_append(wal, &append->request, append->entries, count, on_done);
}

void harness_release(struct harness_append *append)
{
    for (unsigned i = 0; i < append->count; i++) {
        free(append->entries[i].buf.base);
    }
    append->count = 0;
}

struct status harness_append_now(struct wal *wal, uint64_t first, uint64_t term, unsigned count,
                                 size_t size)
{
    struct harness_append append;
    struct status status = harness_append(wal, &append, first, term, count, size);
    if (!failed(status)) {
        (void)wal_pump(wal);
        CHECK_U64(append.answers, 1);
        status = append.status;
    }
    harness_release(&append);
    return status;
}

struct status harness_put(struct wal *wal, const struct raft_snapshot *snapshot, unsigned trailing)
{
    struct harness_append put = {.request = {.context = &put}};
    struct status status = wal_snapshot_put(wal, &put.request, snapshot, trailing, on_done);
    if (!failed(status)) {
        (void)wal_pump(wal);
        CHECK_U64(put.answers, 1);
        status = put.status;
    }
    return status;
}

struct status harness_snapshot(struct wal *wal, uint64_t index, uint64_t term, unsigned trailing)
{
    uint8_t content[120];
    harness_fill(content, sizeof content, index, term);
    struct raft_buffer buffer = {.base = content, .len = sizeof content};
    struct raft_snapshot snapshot = {
        .index = index, .term = term, .configuration_index = 1, .bufs = &buffer, .n_bufs = 1};
    raft_configuration_init(&snapshot.configuration);
    CHECK(raft_configuration_add(&snapshot.configuration, 1, "127.0.0.1:1", RAFT_VOTER) == 0);
    struct status status = harness_put(wal, &snapshot, trailing);
    raft_configuration_close(&snapshot.configuration);
    return status;
}

void harness_expect(struct wal *wal, uint64_t term, uint64_t vote, uint64_t start, uint64_t last)
{
    struct wal_loaded loaded;
    wal_load(wal, &loaded);
    CHECK_U64(loaded.term, term);
    CHECK_U64(loaded.voted_for, vote);
    CHECK_U64(loaded.start_index, start);
    CHECK_U64(loaded.entry_count, last + 1 - start);
    for (size_t i = 0; i < loaded.entry_count; i++) {
        CHECK(harness_matches(&loaded.entries[i], start + i, loaded.entries[i].term));
        CHECK(loaded.entries[i].batch != NULL);
    }
    wal_loaded_release(&loaded);
}
