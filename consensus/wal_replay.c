/*
 * Replay: the chain of segments, record by record, into term, vote and entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wal_replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define BATCH_SIZE (1U << 20U) /* Bytes of entries that share one allocation. */

static struct status corrupt(uint64_t number, size_t offset, const char *what)
{
    return fail(STATUS_CORRUPT, "%016" PRIx64 ".wal at %zu: %s", number, offset, what);
}

/* ---- Entries ---- */

static void batch_free_last(struct replay_entries *entries)
{
    struct raft_entry *last = &entries->items[entries->count - 1];
    bool shared = entries->count > 1 && entries->items[entries->count - 2].batch == last->batch;
    if (!shared) {
        if (last->batch == entries->batch) {
            entries->batch = NULL;
            entries->batch_used = entries->batch_size = 0;
        }
        raft_free(last->batch);
    }
    entries->count--;
}

void replay_truncate(struct replay *replay, raft_index index)
{
    while (replay->entries.count > 0 && replay->start + replay->entries.count > index) {
        batch_free_last(&replay->entries);
    }
    if (index < replay->start) {
        replay->start = index;
    }
}

void replay_release(struct replay *replay)
{
    replay_truncate(replay, replay->start);
    raft_free(replay->entries.items);
    replay->entries = (struct replay_entries){0};
    free(replay->newest);
    replay->newest = NULL;
}

/* Room for `size` bytes in the batch being filled, or in a new one. */
static uint8_t *batch_reserve(struct replay_entries *entries, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if (entries->batch == NULL || entries->batch_size - entries->batch_used < size) {
        size_t fresh_size = size > BATCH_SIZE ? size : BATCH_SIZE;
        uint8_t *fresh = raft_malloc(fresh_size);
        if (fresh == NULL) {
            return NULL;
        }
        /* The old one belongs to its entries; there is at least one. */
        entries->batch = fresh;
        entries->batch_size = fresh_size;
        entries->batch_used = 0;
    }
    uint8_t *at = entries->batch + entries->batch_used;
    entries->batch_used += size;
    return at;
}

static bool entries_add(struct replay_entries *entries, const struct wal_record *record)
{
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity == 0 ? 1024 : entries->capacity * 2;
        struct raft_entry *grown = raft_realloc(entries->items, capacity * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        entries->items = grown;
        entries->capacity = capacity;
    }
    uint8_t *at = batch_reserve(entries, record->payload.size);
    if (at == NULL) {
        return false;
    }
    memcpy(at, record->payload.data, record->payload.size);
    entries->items[entries->count++] = (struct raft_entry){
        .term = record->term,
        .type = record->entry_type,
        .buf = {.base = at, .len = record->payload.size},
        .batch = entries->batch,
    };
    return true;
}

/* ---- Finding the chain ---- */

static struct status segment_read(struct wal *wal, uint64_t number, uint8_t *out, size_t size)
{
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SEGMENT, number, name);
    int file = -1;
    struct status status = wal->disk->open(wal->disk->context, name, false, &file);
    if (!failed(status)) {
        status = wal->disk->read(wal->disk->context, file, out, size, 0);
        wal->disk->close(wal->disk->context, file);
    }
    return failed(status) ? wrap(status, "read %s", name) : OK;
}

static struct status header_read(struct wal *wal, struct segment *segment)
{
    uint8_t block[WAL_HEADER_SIZE];
    struct status status = segment_read(wal, segment->number, block, sizeof block);
    if (!failed(status)) {
        status = wal_header_decode(block, &segment->header);
        status = failed(status) ? wrap(status, "%016" PRIx64 ".wal", segment->number) : OK;
    }
    if (failed(status)) {
        return status;
    }
    if (segment->header.sequence != segment->number ||
        segment->header.segment_size < WAL_SEGMENT_SIZE_MIN ||
        segment->header.segment_size > WAL_SEGMENT_SIZE_MAX) {
        return corrupt(segment->number, 0, "the header is another file's");
    }
    return OK;
}

/* Read a whole segment into fresh memory. */
static struct status segment_load(struct wal *wal, const struct segment *segment, uint8_t **out)
{
    uint8_t *bytes = alloc_bytes(segment->header.segment_size);
    if (bytes == NULL) {
        return fail(STATUS_NO_MEMORY, "read a segment");
    }
    struct status status = segment_read(wal, segment->number, bytes, segment->header.segment_size);
    if (failed(status)) {
        free(bytes);
        return status;
    }
    *out = bytes;
    return OK;
}

/* Look at what follows the end of the newest segment. STATUS_CORRUPT if a record there vouches for
 * the bytes at the end; `*dirty` if there is any record. */
static struct status tail_check(const struct segment *segment, struct slice bytes, size_t end,
                                bool *dirty)
{
    *dirty = false;
    for (size_t at = end; at < bytes.size; at += 8) {
        struct wal_record record;
        if (!wal_record_decode(&segment->header, bytes, at, &record)) {
            continue;
        }
        *dirty = true;
        if (record.synced > end) {
            return corrupt(segment->number, end, "bytes that were on the disk once do not verify");
        }
    }
    return OK;
}

/* Read the BEGIN of a segment. `*found` false: none, and nothing shows that there was one. */
static struct status begin_read(struct wal *wal, struct segment *segment, bool newest, bool *found)
{
    uint8_t head[WAL_RECORDS_AT];
    struct status status = segment_read(wal, segment->number, head, sizeof head);
    if (failed(status)) {
        return status;
    }
    struct slice bytes = {.data = head, .size = sizeof head};
    struct wal_record record;
    *found = wal_record_decode(&segment->header, bytes, WAL_HEADER_SIZE, &record) &&
             record.type == WAL_RECORD_BEGIN && wal_begin_decode(record.payload, &segment->begin);
    if (*found && segment->begin.previous_sequence != 0 && segment->begin.previous_end == 0) {
        return corrupt(segment->number, WAL_HEADER_SIZE, "the segment's begin has no sense");
    }
    if (*found) {
        segment->first_index = record.index;
        return OK;
    }
    if (!newest) {
        return corrupt(segment->number, WAL_HEADER_SIZE, "the segment's begin does not verify");
    }
    uint8_t *whole = NULL;
    status = segment_load(wal, segment, &whole);
    if (!failed(status)) {
        bool dirty = false;
        bytes = (struct slice){.data = whole, .size = segment->header.segment_size};
        status = tail_check(segment, bytes, WAL_HEADER_SIZE, &dirty);
    }
    free(whole);
    return status;
}

/* Follow the chain from the newest segment back. */
static struct status chain_follow(struct wal *wal, struct segments *segments)
{
    bool found = false;
    size_t at = 0;
    if (segments->count == 0) {
        return OK;
    }
    struct status status = begin_read(wal, &segments->items[0], true, &found);
    if (failed(status)) {
        return status;
    }
    if (!found) {
        /* It was about to be used; the one before it is the newest. */
        at = 1;
    }
    segments->used_from = at;
    for (uint64_t wanted = at < segments->count ? segments->items[at].number : 0;
         at < segments->count && segments->items[at].number == wanted; at++) {
        struct segment *segment = &segments->items[at];
        status = begin_read(wal, segment, false, &found);
        if (failed(status)) {
            return status;
        }
        segment->used = true;
        segments->used_count++;
        wanted = segment->begin.previous_sequence;
    }
    return OK;
}

struct status segments_open(struct wal *wal, const uint64_t *numbers, size_t count,
                            struct segments *out)
{
    if (count == 0) {
        return OK;
    }
    out->items = alloc_zeroed(count, sizeof *out->items);
    if (out->items == NULL) {
        return fail(STATUS_NO_MEMORY, "open the log");
    }
    out->count = count;
    for (size_t i = 0; i < count; i++) {
        out->items[i].number = numbers[i];
        struct status status = header_read(wal, &out->items[i]);
        if (failed(status)) {
            return status;
        }
    }
    return chain_follow(wal, out);
}

/* ---- Records ---- */

static const char *replay_begin(struct replay *replay, const struct wal_record *record)
{
    struct wal_begin begin;
    if (!wal_begin_decode(record->payload, &begin) || record->index == 0) {
        return "the segment's begin has no sense";
    }
    raft_index next = replay->start + replay->entries.count;
    if (replay->begun &&
        (record->index != next || record->term != replay->term || begin.vote != replay->vote)) {
        return "the segment does not continue the one before it";
    }
    if (!replay->begun) {
        replay->begun = true;
        replay->start = record->index;
    }
    replay->term = record->term;
    replay->vote = begin.vote;
    return NULL;
}

static const char *replay_entry(struct replay *replay, struct wal_file *file,
                                const struct wal_record *record, bool *no_memory)
{
    if (record->index != replay->start + replay->entries.count || record->term == 0) {
        return "the entry does not follow the one before it";
    }
    if (record->entry_type < RAFT_COMMAND || record->entry_type > RAFT_CHANGE) {
        return "the entry is of no known type"; /* libraft asserts on it. */
    }
    if (!entries_add(&replay->entries, record)) {
        *no_memory = true;
        return "no memory";
    }
    if (record->index > file->last_index) {
        file->last_index = record->index;
    }
    return NULL;
}

static const char *replay_truncation(struct replay *replay, const struct wal_record *record)
{
    if (record->index == 0 || record->index > replay->start + replay->entries.count) {
        return "the truncation is beyond the log";
    }
    replay_truncate(replay, record->index);
    return NULL;
}

/* Take one record; returns what is wrong with it, or NULL. */
static const char *replay_record(struct replay *replay, struct wal_file *file,
                                 const struct wal_record *record, bool *no_memory)
{
    switch (record->type) {
    case WAL_RECORD_BEGIN: return "a begin in the middle";
    case WAL_RECORD_ENTRY: return replay_entry(replay, file, record, no_memory);
    case WAL_RECORD_STATE:
        if (record->term < replay->term) {
            return "the term goes back";
        }
        replay->term = record->term;
        replay->vote = record->index;
        return NULL;
    case WAL_RECORD_TRUNCATE: return replay_truncation(replay, record);
    case WAL_RECORD_RESET:
        replay_truncate(replay, replay->start);
        replay->start = record->index + 1;
        file->first_index = replay->start;
        file->last_index = 0;
        return NULL;
    case WAL_RECORD_CLOSE: return NULL;
    }
    return "a record of no known type";
}

/* Replay one segment up to `known_end`, or as far as it goes if that is 0. */
static struct status replay_bytes(struct replay *replay, const struct segment *segment,
                                  struct wal_file *file, struct slice bytes, size_t known_end)
{
    size_t at = WAL_HEADER_SIZE;
    struct wal_record record;
    while ((known_end == 0 || at < known_end) &&
           wal_record_decode(&segment->header, bytes, at, &record)) {
        bool no_memory = false;
        const char *wrong = at == WAL_HEADER_SIZE
                                ? replay_begin(replay, &record)
                                : replay_record(replay, file, &record, &no_memory);
        if (no_memory) {
            return fail(STATUS_NO_MEMORY, "read the log's entries");
        }
        if (wrong != NULL) {
            return corrupt(segment->number, at, wrong);
        }
        replay->closed = record.type == WAL_RECORD_CLOSE;
        replay->synced = record.synced < at ? record.synced : at;
        at += wal_record_size(record.payload.size);
    }
    if (known_end != 0 && at != known_end) {
        return corrupt(segment->number, at, "bytes that were on the disk once do not verify");
    }
    replay->end = at;
    return known_end == 0 ? tail_check(segment, bytes, at, &replay->dirty) : OK;
}

static struct status replay_one(struct wal *wal, const struct segment *segment, size_t known_end,
                                struct replay *replay)
{
    struct wal_file *file = alloc_bytes(sizeof *file);
    if (file == NULL) {
        return fail(STATUS_NO_MEMORY, "open the log");
    }
    *file = (struct wal_file){.number = segment->number,
                              .size = segment->header.segment_size,
                              .first_index = segment->first_index};
    if (wal->current == NULL) {
        wal->oldest = file;
    } else {
        wal->current->next = file;
    }
    wal->current = file;

    uint8_t *bytes = NULL;
    struct status status = segment_load(wal, segment, &bytes);
    if (!failed(status)) {
        struct slice all = {.data = bytes, .size = segment->header.segment_size};
        status = replay_bytes(replay, segment, file, all, known_end);
    }
    if (!failed(status) && known_end == 0) {
        replay->newest = bytes; /* Freed by replay_release(). */
    } else {
        free(bytes);
    }
    return status;
}

struct status replay_segments(struct wal *wal, const struct segments *segments,
                              struct replay *replay)
{
    for (size_t i = segments->used_count; i > 0; i--) {
        const struct segment *segment = &segments->items[segments->used_from + i - 1];
        size_t known_end =
            i == 1 ? 0 : segments->items[segments->used_from + i - 2].begin.previous_end;
        struct status status = replay_one(wal, segment, known_end, replay);
        if (failed(status)) {
            return status;
        }
    }
    if (segments->used_count == 0) {
        return OK;
    }
    const struct segment *newest = &segments->items[segments->used_from];
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SEGMENT, newest->number, name);
    wal->header = newest->header;
    return wal->disk->open(wal->disk->context, name, false, &wal->file);
}
