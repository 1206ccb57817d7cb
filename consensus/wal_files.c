/*
 * The log's files: the reserve of allocated ones, beginning a segment, and releasing old ones.
 *
 *     (nothing) --allocate--> spare --header, sync, rename--> segment --rename--> spare --> ...
 *
 * A spare's content is never read. A segment's header is synced before the file has a segment's
 * name, and a released one is a spare again only after the directory was synced, so no crash leaves
 * a segment's name on another life's bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "wal_state.h"

static const char *const suffixes[] = {
    [WAL_FILE_SEGMENT] = ".wal",
    [WAL_FILE_SPARE] = ".spare",
    [WAL_FILE_SNAPSHOT] = ".snapshot",
};

#define NUMBER_DIGITS 16

void wal_file_name(enum wal_file_kind kind, uint64_t number, char out[DISK_NAME_SIZE])
{
    (void)snprintf(out, DISK_NAME_SIZE, "%016" PRIx64 "%s", number, suffixes[kind]);
}

bool wal_file_parse(const char *name, enum wal_file_kind *kind, uint64_t *number)
{
    if (strspn(name, "0123456789abcdef") != NUMBER_DIGITS) {
        return false;
    }
    for (int i = WAL_FILE_SEGMENT; i <= WAL_FILE_SNAPSHOT; i++) {
        if (strcmp(name + NUMBER_DIGITS, suffixes[i]) == 0) {
            *kind = (enum wal_file_kind)i;
            *number = strtoull(name, NULL, 16);
            return true;
        }
    }
    return false;
}

uint64_t wal_space_needed(const char *directory)
{
    unsigned segments = 0;
    unsigned spares = 0;
    DIR *folder = directory == NULL ? NULL : opendir(directory);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        enum wal_file_kind kind = WAL_FILE_SNAPSHOT;
        uint64_t number = 0;
        if (wal_file_parse(entry->d_name, &kind, &number)) {
            segments += kind == WAL_FILE_SEGMENT;
            spares += kind == WAL_FILE_SPARE;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    unsigned wanted = WAL_RESERVE_COUNT_DEFAULT + (segments == 0);
    unsigned missing = wanted > spares ? wanted - spares : 0;
    return (uint64_t)missing * WAL_SEGMENT_SIZE_DEFAULT + WAL_MANIFEST_FILE_SIZE;
}

void wal_files_free(struct wal_file *file)
{
    while (file != NULL) {
        struct wal_file *next = file->next;
        free(file);
        file = next;
    }
}

bool wal_place(size_t segment_size, struct wal_plan *plan, size_t record_size)
{
    /* A CLOSE always finds room. */
    bool rolls = plan->offset + record_size > segment_size - WAL_RECORD_SIZE;
    if (rolls) {
        plan->offset = WAL_RECORDS_AT;
        plan->rolls++;
    }
    plan->offset += record_size;
    return rolls;
}

static struct status spare_allocate(struct wal *wal, uint64_t number)
{
    char name[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SPARE, number, name);
    struct disk *disk = wal->disk;
    int file = -1;
    struct status status = disk->open(disk->context, name, true, &file);
    if (failed(status)) {
        return status;
    }
    status = disk->allocate(disk->context, file, wal->segment_size);
    disk->close(disk->context, file);
    if (failed(status)) {
        /* What it took of the disk is given back; the first failure is what matters. */
        (void)disk->unlink(disk->context, name);
    }
    return status;
}

static struct status spare_add(struct wal *wal)
{
    struct wal_file *spare = alloc_bytes(sizeof *spare);
    if (spare == NULL) {
        return fail(STATUS_NO_MEMORY, "allocate a segment");
    }
    *spare = (struct wal_file){.number = wal->next_number, .size = wal->segment_size};
    struct status status = spare_allocate(wal, spare->number);
    if (failed(status)) {
        free(spare);
        return status;
    }
    wal->next_number++;
    spare->next = wal->spares;
    wal->spares = spare;
    wal->spare_count++;
    wal->stats.disk_size += spare->size;
    return OK;
}

struct status wal_spares_fill(struct wal *wal, unsigned count)
{
    struct status status = OK;
    while (wal->spare_count < count && !failed(status)) {
        status = spare_add(wal);
    }
    if (failed(status)) {
        wal->stats.low = true;
        if (status.code != STATUS_FULL && status.code != STATUS_NO_MEMORY) {
            wal->failure = status;
        }
        return status;
    }
    if (wal->spare_count >= wal->reserve_count) {
        wal->stats.low = false;
    }
    return OK;
}

/* Make the spare the segment after the current one; leaves it open in `*out`. */
static struct status segment_begin(struct wal *wal, struct wal_file *spare,
                                   const struct wal_header *header, int *out)
{
    struct disk *disk = wal->disk;
    char from[DISK_NAME_SIZE];
    char to[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SPARE, spare->number, from);
    wal_file_name(WAL_FILE_SEGMENT, header->sequence, to);

    uint8_t block[WAL_HEADER_SIZE];
    wal_header_encode(header, block);
    struct iovec part = {.iov_base = block, .iov_len = sizeof block};

    int file = -1;
    struct status status = disk->open(disk->context, from, false, &file);
    if (failed(status)) {
        return status;
    }
    status = disk->write(disk->context, file, &part, 1, 0);
    if (!failed(status)) {
        status = disk->sync(disk->context, file);
    }
    if (!failed(status)) {
        status = disk->rename(disk->context, from, to);
    }
    if (!failed(status)) {
        status = disk->sync_directory(disk->context);
    }
    if (failed(status)) {
        disk->close(disk->context, file);
        return wrap(status, "begin %s", to);
    }
    *out = file;
    return OK;
}

static struct wal_file *spare_take(struct wal *wal)
{
    (void)pthread_mutex_lock(&wal->mutex);
    struct wal_file *spare = wal->spares;
    assert(spare != NULL); /* Accepting saw to it. */
    wal->spares = spare->next;
    wal->spare_count--;
    spare->next = NULL;
    (void)pthread_mutex_unlock(&wal->mutex);
    return spare;
}

struct status wal_roll(struct wal *wal)
{
    struct wal_file *spare = spare_take(wal);
    uint64_t previous = wal->current == NULL ? 0 : wal->current->number;
    /* Numbers only grow, so that a sequence is never used twice. */
    (void)pthread_mutex_lock(&wal->mutex);
    uint64_t sequence = wal->next_number++;
    (void)pthread_mutex_unlock(&wal->mutex);
    struct wal_header header = {.segment_size = (uint32_t)wal->segment_size,
                                .sequence = sequence,
                                .salt = wal->salt == 0 ? random_u64() : wal->salt ^ sequence};
    int file = -1;
    struct status status = segment_begin(wal, spare, &header, &file);
    if (failed(status)) {
        free(spare);
        return status;
    }
    struct wal_begin begin = {.vote = wal->written_vote,
                              .previous_sequence = previous,
                              .previous_end = (uint32_t)wal->written};
    if (wal->file >= 0) {
        wal->disk->close(wal->disk->context, wal->file);
    }
    wal->file = file;
    wal->header = header;
    *spare = (struct wal_file){
        .number = sequence, .size = wal->segment_size, .first_index = wal->written_next};
    if (wal->current == NULL) {
        wal->oldest = spare;
    } else {
        wal->current->next = spare;
    }
    wal->current = spare;
    wal->staged = wal->written = wal->synced = WAL_HEADER_SIZE;
    wal->closed_at = 0;
    wal_begin_encode(&begin, wal->batch.begin);
    return wal_stage(wal,
                     &(struct wal_record){
                         .type = WAL_RECORD_BEGIN,
                         .index = wal->written_next,
                         .term = wal->written_term,
                         .payload = {.data = wal->batch.begin, .size = sizeof wal->batch.begin},
                     });
}

/* Rename or remove one released segment's file. `*kept` tells whether it is a spare now. */
static struct status release_one(struct wal *wal, const struct wal_file *file, bool keep)
{
    char from[DISK_NAME_SIZE];
    char to[DISK_NAME_SIZE];
    wal_file_name(WAL_FILE_SEGMENT, file->number, from);
    if (!keep) {
        return wal->disk->unlink(wal->disk->context, from);
    }
    wal_file_name(WAL_FILE_SPARE, file->number, to);
    return wal->disk->rename(wal->disk->context, from, to);
}

/* The directory is synced: the released files may be written again. */
static void release_finish(struct wal *wal, struct wal_file *kept, uint64_t removed_size)
{
    (void)pthread_mutex_lock(&wal->mutex);
    while (kept != NULL) {
        struct wal_file *next = kept->next;
        kept->next = wal->spares;
        wal->spares = kept;
        wal->spare_count++;
        kept = next;
    }
    wal->stats.disk_size -= removed_size;
    if (wal->spare_count >= wal->reserve_count) {
        wal->stats.low = false;
    }
    (void)pthread_mutex_unlock(&wal->mutex);
}

struct status wal_release(struct wal *wal, raft_index index)
{
    (void)pthread_mutex_lock(&wal->mutex);
    unsigned count = wal->spare_count;
    (void)pthread_mutex_unlock(&wal->mutex);

    struct wal_file *kept = NULL;
    uint64_t removed_size = 0;
    bool any = false;
    struct status status = OK;
    while (!failed(status) && wal->oldest != wal->current && wal->oldest->last_index <= index) {
        struct wal_file *file = wal->oldest;
        bool keep =
            file->size == wal->segment_size && count < wal->reserve_count + WAL_SPARES_EXTRA;
        status = release_one(wal, file, keep);
        if (failed(status)) {
            break;
        }
        any = true;
        wal->oldest = file->next;
        if (keep) {
            file->next = kept;
            kept = file;
            count++;
        } else {
            removed_size += file->size;
            free(file);
        }
    }
    if (any && !failed(status)) {
        status = wal->disk->sync_directory(wal->disk->context);
    }
    if (failed(status)) {
        /* Their names are in doubt; they are not used again in this life. */
        wal_files_free(kept);
        return wrap(status, "release segments up to entry %llu", (unsigned long long)index);
    }
    release_finish(wal, kept, removed_size);
    return OK;
}
