/*
 * Reading the log back: which files belong to it, what they say, and what a crash left unfinished.
 *
 *     scan names -> newest manifest that verifies -> chain of segments -> replay, oldest first
 *                -> tail cut -> log and snapshot brought together -> ready to be written
 *
 * Bytes that were acknowledged once and do not verify are STATUS_CORRUPT, with file and offset. Only
 * what no answer ever vouched for is dropped: see `synced` in wal_format.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "wal_replay.h"

/* What is in the directory. */
struct names {
    uint64_t *numbers[WAL_FILE_SNAPSHOT + 1];
    size_t counts[WAL_FILE_SNAPSHOT + 1];
    uint64_t highest;
    bool no_memory;
};

static void names_visit(void *visitor, const char *name)
{
    struct names *names = visitor;
    enum wal_file_kind kind = WAL_FILE_SPARE;
    uint64_t number = 0;
    if (!wal_file_parse(name, &kind, &number)) {
        return;
    }
    uint64_t *grown = alloc_resize(names->numbers[kind],
                                   (names->counts[kind] + 1) * sizeof *names->numbers[kind]);
    if (grown == NULL) {
        names->no_memory = true;
        return;
    }
    grown[names->counts[kind]++] = number;
    names->numbers[kind] = grown;
    if (kind != WAL_FILE_SNAPSHOT && number > names->highest) {
        names->highest = number;
    }
}

static int newest_first(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a < b) - (a > b);
}

static struct status names_read(struct wal *wal, struct names *names)
{
    struct status status = wal->disk->list(wal->disk->context, names_visit, names);
    if (failed(status)) {
        return status;
    }
    if (names->no_memory) {
        return fail(STATUS_NO_MEMORY, "list the log's files");
    }
    for (int kind = 0; kind <= WAL_FILE_SNAPSHOT; kind++) {
        if (names->counts[kind] > 0) {
            qsort(names->numbers[kind], names->counts[kind], sizeof(uint64_t), newest_first);
        }
    }
    /* A name that is seen may still be in memory only. */
    return wal->disk->sync_directory(wal->disk->context);
}

static void names_release(struct names *names)
{
    for (int kind = 0; kind <= WAL_FILE_SNAPSHOT; kind++) {
        free(names->numbers[kind]);
    }
}

/* ---- Manifests ---- */

static struct status manifest_read(struct wal *wal, raft_index index, struct raft_snapshot **out)
{
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SNAPSHOT, index, name);
    struct disk *disk = wal->disk;
    int file = -1;
    struct status status = disk->open(disk->context, name, false, &file);
    if (failed(status)) {
        return status;
    }
    uint8_t *bytes = NULL;
    uint64_t size = 0;
    status = disk->size(disk->context, file, &size);
    if (!failed(status) && size > WAL_MANIFEST_FILE_SIZE) {
        size = WAL_MANIFEST_FILE_SIZE;
    }
    if (!failed(status)) {
        bytes = alloc_bytes(size + 1);
        status = bytes == NULL ? fail(STATUS_NO_MEMORY, "%s", name)
                               : disk->read(disk->context, file, bytes, size, 0);
    }
    disk->close(disk->context, file);
    if (!failed(status)) {
        status = wal_manifest_decode((struct slice){.data = bytes, .size = size}, out);
    }
    free(bytes);
    if (!failed(status) && (*out)->index != index) {
        wal_snapshot_free(*out);
        *out = NULL;
        return fail(STATUS_CORRUPT, "%s is another snapshot's", name);
    }
    return failed(status) ? wrap(status, "read %s", name) : OK;
}

/* Remember the two newest, and remove those before, which a crash left; but for the one that verified,
 * if those two did not. */
static struct status manifests_keep_two(struct wal *wal, const uint64_t *indexes, size_t count)
{
    struct status status = OK;
    for (size_t i = 0; i < count && !failed(status); i++) {
        char name[DISK_NAME_SIZE];
        wal_file_name(WAL_FILE_SNAPSHOT, indexes[i], name);
        bool loaded = wal->loaded.snapshot != NULL && wal->loaded.snapshot->index == indexes[i];
        if (i < 2) {
            wal->manifests[i] = indexes[i];
        } else if (!loaded) {
            status = wal->disk->unlink(wal->disk->context, name);
        }
    }
    return status;
}

/* Find the newest manifest that verifies. `*damage` is what the newest one failed with. */
static struct status manifests_read(struct wal *wal, const struct names *names,
                                    struct status *damage)
{
    size_t count = names->counts[WAL_FILE_SNAPSHOT];
    const uint64_t *indexes = names->numbers[WAL_FILE_SNAPSHOT];
    *damage = OK;
    for (size_t i = 0; i < count && wal->loaded.snapshot == NULL; i++) {
        struct status read = manifest_read(wal, indexes[i], &wal->loaded.snapshot);
        if (failed(read) && read.code != STATUS_CORRUPT) {
            return read;
        }
        if (failed(read) && i == 0) {
            *damage = read;
            wal->loaded.snapshot_damaged = true;
        }
    }
    struct status status = manifests_keep_two(wal, indexes, count);
    if (failed(status)) {
        return status;
    }
    if (wal->loaded.snapshot == NULL) {
        return OK;
    }
    wal->put_index = wal->loaded.snapshot->index;
    wal->stats.snapshot_index = wal->loaded.snapshot->index;
    return wal_manifest_encode(wal->loaded.snapshot, &wal->manifest);
}

/* ---- Spares ---- */

static struct status spare_keep(struct wal *wal, uint64_t number)
{
    struct wal_file *spare = alloc_bytes(sizeof *spare);
    if (spare == NULL) {
        return fail(STATUS_NO_MEMORY, "open the log");
    }
    *spare = (struct wal_file){.next = wal->spares, .number = number, .size = wal->segment_size};
    wal->spares = spare;
    wal->spare_count++;
    return OK;
}

/* Take a spare into the reserve, or remove it if it is of another size or one too many. */
static struct status spare_adopt(struct wal *wal, uint64_t number)
{
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SPARE, number, name);
    struct disk *disk = wal->disk;
    int file = -1;
    struct status status = disk->open(disk->context, name, false, &file);
    if (failed(status)) {
        return status;
    }
    uint64_t size = 0;
    status = disk->size(disk->context, file, &size);
    if (!failed(status) && size == wal->segment_size) {
        /* A crash may have left the size without all of the space. */
        status = disk->allocate(disk->context, file, size);
    }
    disk->close(disk->context, file);
    bool unusable = failed(status) || size != wal->segment_size ||
                    wal->spare_count >= wal->reserve_count + WAL_SPARES_EXTRA;
    return unusable ? disk->unlink(disk->context, name) : spare_keep(wal, number);
}

/* Make segments that are not part of the log spares. */
static struct status segments_retire(struct wal *wal, const struct segments *segments)
{
    bool any = false;
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment *segment = &segments->items[i];
        if (segment->used) {
            continue;
        }
        char from[DISK_NAME_SIZE];
        char to[DISK_NAME_SIZE];
        wal_file_name(WAL_FILE_SEGMENT, segment->number, from);
        wal_file_name(WAL_FILE_SPARE, segment->number, to);
        struct status status = wal->disk->rename(wal->disk->context, from, to);
        if (failed(status)) {
            return status;
        }
        any = true;
    }
    /* What follows writes to them under their new names. */
    struct status status = any ? wal->disk->sync_directory(wal->disk->context) : OK;
    for (size_t i = 0; i < segments->count && !failed(status); i++) {
        if (!segments->items[i].used) {
            status = spare_adopt(wal, segments->items[i].number);
        }
    }
    return status;
}

/* ---- Bringing log and snapshot together ---- */

/* Does the log have to begin anew after the snapshot? */
static struct status reconcile(const struct wal *wal, const struct replay *replay,
                               struct status damage, bool *drop)
{
    const struct raft_snapshot *snapshot = wal->loaded.snapshot;
    raft_index next = replay->start + replay->entries.count;
    raft_index reach = snapshot == NULL ? 0 : snapshot->index;
    *drop = false;
    if (replay->start > reach + 1) {
        return failed(damage)
                   ? damage
                   : fail(STATUS_CORRUPT,
                          "the log begins at entry %" PRIu64
                          ", but the newest snapshot ends at %" PRIu64 ": files are missing",
                          (uint64_t)replay->start, (uint64_t)reach);
    }
    if (snapshot == NULL || replay->start == reach + 1) {
        return OK;
    }
    /* An installed snapshot that the log was not yet reset for. Entries that continue it may stay;
     * others are of a history that it replaces. */
    *drop = next <= reach || replay->entries.items[reach - replay->start].term != snapshot->term;
    return OK;
}

/*
 * Everything read is in the files, maybe not on the disk: after kill -9, or after a failed sync, it
 * may be in memory only. A sync alone proves nothing after one that failed, for the kernel then takes
 * the pages for clean: so what was read, and no record of it vouches for, is written once more.
 * Segments before the newest were synced before it was begun.
 */
static struct status tail_sync(struct wal *wal, const struct replay *replay)
{
    struct disk *disk = wal->disk;
    struct iovec part = {.iov_base = replay->newest + replay->synced,
                         .iov_len = replay->end - replay->synced};
    struct status status = disk->write(disk->context, wal->file, &part, 1, replay->synced);
    if (!failed(status)) {
        status = disk->sync(disk->context, wal->file);
    }
    return failed(status) ? wrap(status, "sync %016" PRIx64 ".wal", wal->header.sequence) : OK;
}

/* Go on in the last segment, or in a fresh one if bytes after its end look like records: a torn
 * write's, which must not be taken for new ones once the gap before them is filled. */
static struct status continue_writing(struct wal *wal, const struct replay *replay)
{
    wal->written_term = replay->term;
    wal->written_vote = replay->vote;
    wal->written_next = replay->start + replay->entries.count;
    struct status status = OK;
    if (wal->current != NULL) {
        status = tail_sync(wal, replay);
        wal->staged = wal->written = wal->synced = replay->end;
        wal->closed_at = replay->closed ? replay->end : 0;
    }
    if (failed(status) ||
        (wal->current != NULL && !replay->dirty && wal->header.segment_size == wal->segment_size)) {
        return status;
    }
    status = wal_spares_fill(wal, 1);
    if (!failed(status)) {
        status = wal_roll(wal);
    }
    return failed(status) ? status : wal_sync(wal);
}

static struct status drop_log(struct wal *wal, struct replay *replay)
{
    const struct raft_snapshot *snapshot = wal->loaded.snapshot;
    replay_truncate(replay, replay->start);
    replay->start = snapshot->index + 1;
    struct wal_plan plan = {.offset = wal->staged};
    struct status status = OK;
    if (wal_place(wal->segment_size, &plan, WAL_RECORD_SIZE)) {
        status = wal_spares_fill(wal, 1);
        wal->plan.rolls = 1; /* The writer takes it back. */
    }
    if (!failed(status)) {
        status = wal_stage(wal, &(struct wal_record){.type = WAL_RECORD_RESET,
                                                     .index = snapshot->index,
                                                     .term = snapshot->term});
    }
    if (!failed(status)) {
        status = wal_sync(wal);
    }
    wal->written_next = replay->start;
    for (struct wal_file *file = wal->oldest; file != NULL; file = file->next) {
        file->first_index = replay->start;
        file->last_index = 0;
    }
    return failed(status) ? status : wal_release(wal, snapshot->index);
}

static void hand_over(struct wal *wal, struct replay *replay)
{
    wal->term = replay->term;
    wal->vote = replay->vote;
    wal->next_index = replay->start + replay->entries.count;
    wal->plan = (struct wal_plan){.offset = wal->staged};
    wal->stats.first_index = replay->start;
    wal->stats.disk_size = (uint64_t)wal->spare_count * wal->segment_size;
    for (const struct wal_file *file = wal->oldest; file != NULL; file = file->next) {
        wal->stats.disk_size += file->size;
    }
    wal->loaded.term = replay->term;
    wal->loaded.voted_for = replay->vote;
    wal->loaded.start_index = replay->start;
    wal->loaded.entries = replay->entries.items;
    wal->loaded.entry_count = replay->entries.count;
    replay->entries = (struct replay_entries){0};
}

/* The files are read: write what is missing, and fill up the reserve. */
static struct status make_ready(struct wal *wal, struct replay *replay, struct status damage)
{
    bool drop = false;
    struct status status = reconcile(wal, replay, damage, &drop);
    if (!failed(status)) {
        status = continue_writing(wal, replay);
    }
    if (!failed(status) && drop) {
        status = drop_log(wal, replay);
    }
    if (failed(status)) {
        return status;
    }
    /* With a file to write to, a disk that is full now is no reason not to start: what the log
     * holds can be read, and a snapshot gives space back. */
    struct status reserved = wal_manifest_reserve(wal);
    if (!failed(reserved)) {
        reserved = wal_spares_fill(wal, wal->reserve_count);
    }
    if (failed(reserved) && reserved.code != STATUS_FULL) {
        return reserved;
    }
    hand_over(wal, replay);
    return OK;
}

static struct status spares_adopt(struct wal *wal, const struct names *names)
{
    struct status status = OK;
    for (size_t i = 0; i < names->counts[WAL_FILE_SPARE] && !failed(status); i++) {
        status = spare_adopt(wal, names->numbers[WAL_FILE_SPARE][i]);
    }
    return status;
}

static struct status recover_files(struct wal *wal, const struct names *names,
                                   struct segments *segments, struct replay *replay)
{
    struct status damage = OK;
    struct status status = manifests_read(wal, names, &damage);
    if (!failed(status)) {
        status = segments_open(wal, names->numbers[WAL_FILE_SEGMENT],
                               names->counts[WAL_FILE_SEGMENT], segments);
    }
    if (!failed(status) && segments->used_count == 0 && names->counts[WAL_FILE_SNAPSHOT] > 0) {
        status = fail(STATUS_CORRUPT, "there is a snapshot, but no segment of the log");
    }
    if (!failed(status)) {
        status = replay_segments(wal, segments, replay);
    }
    if (!failed(status)) {
        status = spares_adopt(wal, names);
    }
    if (!failed(status)) {
        status = segments_retire(wal, segments);
    }
    return failed(status) ? status : make_ready(wal, replay, damage);
}

struct status wal_recover(struct wal *wal)
{
    struct names names = {0};
    struct segments segments = {0};
    struct replay replay = {.start = 1};
    struct status status = names_read(wal, &names);
    if (!failed(status)) {
        wal->next_number = names.highest + 1;
        status = recover_files(wal, &names, &segments, &replay);
    }
    replay_release(&replay);
    free(segments.items);
    names_release(&names);
    return status;
}
