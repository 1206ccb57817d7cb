/*
 * Fuzzing the log on disk: a log that was written by the log itself, in one of five ways, is changed as
 * the input says and opened again.
 *
 * Changed with its checksums left alone, it is damage: it opens with a state that the log once had, or is
 * STATUS_CORRUPT; and if it was one byte of a log that was closed, with the last one. Changed with its
 * checksums put right, it is nobody's, but has to make sense: it opens the same a second time, takes an
 * entry, and has that, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <raft.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "fuzz_input.h"
#include "sim_disk.h"
#include "wal.h"
#include "wal_format.h"

#define SEGMENT_SIZE WAL_SEGMENT_SIZE_MIN
#define INDEX_MAX 64
#define MOMENTS_MAX 128
#define ORIGIN_COUNT 5
#define RECORDS_MAX 128
#define ENTRY_SIZE_MAX 4096
#define MANIFEST_CHECKSUM_AT 60
#define MANIFEST_CONTENT_AT 64

/* What the log held at some time. */
struct moment {
    raft_term term;
    raft_id vote;
    raft_index next;
    raft_term terms[INDEX_MAX]; /* Of the entries, by index. */
};

/* A log that was written, and all that it was on the way. */
struct origin {
    struct sim_disk disk;
    struct moment moments[MOMENTS_MAX];
    size_t moment_count;
    bool closed;
};

/* ---- Writing the logs ---- */

static void fill(uint8_t *out, size_t size, uint64_t index, uint64_t term)
{
    uint64_t state = index * UINT64_C(0x9E3779B97F4A7C15) ^ term;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56U);
    }
}

static void on_closed(void *context, struct status status)
{
    (void)context;
    fuzz_ok(status); /* The disk takes what it is given. */
}

static void on_done(struct wal_request *request, struct status status)
{
    *(struct status *)request->context = status;
}

static struct status log_open(struct sim_disk *disk, struct wal **out)
{
    const struct wal_options options = {
        .disk = &disk->disk, .segment_size = SEGMENT_SIZE, .salt = 7};
    return wal_open(&options, out);
}

static struct status append(struct wal *wal, uint64_t index, uint64_t term, size_t size)
{
    static uint8_t payload[ENTRY_SIZE_MAX];
    struct status answer = fail(STATUS_UNKNOWN, "no answer came");
    struct raft_entry entry = {
        .term = term, .type = RAFT_COMMAND, .buf = {.base = payload, .len = size}};
    struct wal_request request = {.context = &answer};
    fill(payload, size, index, term);
    struct status status = wal_append(wal, &request, &entry, 1, on_done);
    (void)wal_pump(wal);
    return failed(status) ? status : answer;
}

static struct moment *moment_next(struct origin *origin)
{
    struct moment *before = &origin->moments[origin->moment_count - 1];
    fuzz_must(origin->moment_count < MOMENTS_MAX, "the moments fit");
    origin->moments[origin->moment_count] = *before;
    return &origin->moments[origin->moment_count++];
}

static void write_entries(struct origin *origin, struct wal *wal, unsigned count, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        struct moment *moment = moment_next(origin);
        fuzz_must(moment->next < INDEX_MAX, "the entries fit");
        fuzz_ok(append(wal, moment->next, moment->term, size));
        moment->terms[moment->next++] = moment->term;
    }
}

static void write_term(struct origin *origin, struct wal *wal, raft_term term, raft_id vote)
{
    struct moment *moment = moment_next(origin);
    fuzz_ok(wal_set_term(wal, term));
    moment->term = term;
    moment->vote = 0;
    if (vote != 0) {
        fuzz_ok(wal_set_vote(wal, vote));
        moment_next(origin)->vote = vote;
    }
}

static void write_truncation(struct origin *origin, struct wal *wal, raft_index index)
{
    fuzz_ok(wal_truncate(wal, index));
    (void)wal_pump(wal);
    moment_next(origin)->next = index;
}

static void write_snapshot(struct origin *origin, struct wal *wal, raft_index index,
                           unsigned trailing)
{
    uint8_t content[120];
    fill(content, sizeof content, index, 0);
    struct raft_buffer buffer = {.base = content, .len = sizeof content};
    struct raft_snapshot snapshot = {
        .index = index, .term = 2, .configuration_index = 1, .bufs = &buffer, .n_bufs = 1};
    struct status answer = fail(STATUS_UNKNOWN, "no answer came");
    struct wal_request request = {.context = &answer};
    raft_configuration_init(&snapshot.configuration);
    fuzz_must(raft_configuration_add(&snapshot.configuration, 1, "127.0.0.1:1", RAFT_VOTER) == 0 &&
                  raft_configuration_add(&snapshot.configuration, 2, "a.example:2", RAFT_SPARE) ==
                      0,
              "a configuration of two");
    fuzz_ok(wal_snapshot_put(wal, &request, &snapshot, trailing, on_done));
    (void)wal_pump(wal);
    fuzz_ok(answer);
    raft_configuration_close(&snapshot.configuration);
    if (trailing == 0) {
        moment_next(origin)->next = index + 1;
    }
}

static void write_log(struct origin *origin, struct wal *wal, unsigned kind)
{
    write_term(origin, wal, 1, 2);
    write_entries(origin, wal, 5, 40);
    write_term(origin, wal, 2, kind == 1 ? 3 : 0);
    if (kind >= 2) { /* More than one segment. */
        write_entries(origin, wal, 12, 4000);
        write_truncation(origin, wal, 15);
        write_term(origin, wal, 5, 1);
        write_entries(origin, wal, 6, 3000);
    }
    if (kind == 3) {
        write_snapshot(origin, wal, 12, 3);
        write_entries(origin, wal, 3, 800);
        write_snapshot(origin, wal, 14, 3);
        write_entries(origin, wal, 2, 8);
    }
    if (kind == 4) { /* From a leader that is ahead. */
        write_snapshot(origin, wal, 40, 0);
        write_entries(origin, wal, 3, 64);
    }
}

static struct origin *origin_of(unsigned kind)
{
    static struct origin *origins[ORIGIN_COUNT];
    if (origins[kind] != NULL) {
        return origins[kind];
    }
    struct origin *origin = calloc(1, sizeof *origin);
    struct wal *wal = NULL;
    fuzz_must(origin != NULL, "there is memory");
    sim_disk_init(&origin->disk, kind);
    origin->moments[0].next = 1;
    origin->moment_count = 1;
    fuzz_ok(log_open(&origin->disk, &wal));
    write_log(origin, wal, kind);
    origin->closed = kind % 2 == 0;
    struct sim_disk *crashed = origin->closed ? NULL : malloc(sizeof *crashed);
    if (crashed != NULL) { /* As kill -9 leaves it. */
        sim_disk_copy(&origin->disk, crashed);
    }
    wal_close(wal, on_closed, NULL);
    if (crashed != NULL) {
        sim_disk_release(&origin->disk);
        sim_disk_copy(crashed, &origin->disk);
        origin->disk.open_count = 0;
        sim_disk_release(crashed);
        free(crashed);
    }
    origins[kind] = origin;
    return origin;
}

/* ---- Changing them ---- */

/* A file of the log, by number among those with this ending ("": any); NULL without one. */
static struct sim_name *pick(struct sim_disk *disk, const char *ending, unsigned number)
{
    struct sim_name *found[SIM_DISK_FILES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        struct sim_name *name = &disk->live[i];
        size_t size = strlen(name->name);
        if (name->file >= 0 && size >= strlen(ending) &&
            strcmp(name->name + size - strlen(ending), ending) == 0) {
            found[count++] = name;
        }
    }
    return count == 0 ? NULL : found[number % count];
}

static struct sim_file *pick_file(struct sim_disk *disk, const char *ending, unsigned number)
{
    struct sim_name *name = pick(disk, ending, number);
    return name == NULL ? NULL : &disk->files[name->file];
}

/* One byte, mostly where there are records. */
static void damage_byte(struct sim_disk *disk, struct fuzz_input *input)
{
    struct sim_file *file = pick_file(disk, fuzz_u8(input) % 8 == 0 ? "" : ".wal", fuzz_u8(input));
    if (file->live_size > 0) {
        size_t at = fuzz_u16(input) % file->live_size;
        file->live[at] ^= (uint8_t)(fuzz_u8(input) | 1U);
    }
}

/* As rename(2): what had the name is gone. */
static void damage_name(struct sim_disk *disk, struct sim_name *name, struct fuzz_input *input)
{
    static const char *const endings[] = {".wal", ".snapshot", ".spare"};
    char to[DISK_NAME_SIZE];
    uint64_t number = fuzz_u64(input);
    (void)snprintf(to, sizeof to, "%016" PRIx64 "%s", number, endings[fuzz_u8(input) % 3U]);
    for (size_t i = 0; i < SIM_DISK_FILES_MAX; i++) {
        if (disk->live[i].file >= 0 && strcmp(disk->live[i].name, to) == 0) {
            disk->live[i].file = &disk->live[i] == name ? name->file : -1;
        }
    }
    memcpy(name->name, to, sizeof to);
}

/* Anything else that may become of a folder. */
static void damage_more(struct sim_disk *disk, struct fuzz_input *input)
{
    static const char *const endings[] = {".wal", ".snapshot", ".spare", ""};
    unsigned how = fuzz_u8(input);
    struct sim_name *name = pick(disk, endings[how % 4U], fuzz_u8(input));
    if (name == NULL) {
        return;
    }
    struct sim_file *file = &disk->files[name->file];
    switch (how / 4U % 4U) {
    case 0: name->file = -1; break;
    case 1: file->live_size = file->live_size == 0 ? 0 : fuzz_u16(input) % file->live_size; break;
    case 2: damage_name(disk, name, input); break;
    default: fuzz_patches(input, file->live, &file->live_size, file->live_size); break;
    }
}

/* The records of a segment. */
struct forged {
    struct wal_header header;
    struct wal_record records[RECORDS_MAX];
    size_t count;
    uint8_t bytes[SEGMENT_SIZE]; /* What the payloads are of. */
    uint8_t begin[WAL_BEGIN_PAYLOAD_SIZE];
};

static bool forge_read(const struct sim_file *file, struct forged *out)
{
    if (file->live_size != SEGMENT_SIZE) {
        return false;
    }
    memcpy(out->bytes, file->live, SEGMENT_SIZE);
    struct slice all = {.data = out->bytes, .size = SEGMENT_SIZE};
    size_t at = WAL_HEADER_SIZE;
    out->count = 0;
    if (failed(wal_header_decode(out->bytes, &out->header))) {
        return false;
    }
    while (out->count < RECORDS_MAX / 2 &&
           wal_record_decode(&out->header, all, at, &out->records[out->count])) {
        at += wal_record_size(out->records[out->count++].payload.size);
    }
    return out->count > 0;
}

static void forge_write(const struct forged *forged, struct sim_file *file)
{
    size_t at = WAL_HEADER_SIZE;
    memset(file->live, 0, SEGMENT_SIZE);
    wal_header_encode(&forged->header, file->live);
    for (size_t i = 0; i < forged->count; i++) {
        const struct wal_record *record = &forged->records[i];
        size_t size = wal_record_size(record->payload.size);
        if (size > SEGMENT_SIZE - at) {
            return;
        }
        wal_record_encode(&forged->header, (uint32_t)at, record, file->live + at);
        if (record->payload.size > 0) {
            memcpy(file->live + at + WAL_RECORD_SIZE, record->payload.data, record->payload.size);
        }
        at += size;
    }
}

static void forge_begin(struct forged *forged, struct fuzz_input *input)
{
    struct wal_begin begin = {0};
    (void)wal_begin_decode(forged->records[0].payload, &begin);
    switch (fuzz_u8(input) % 3U) {
    case 0: begin.vote = fuzz_u64(input); break;
    case 1: begin.previous_sequence = fuzz_u64(input); break;
    default: begin.previous_end = (uint32_t)fuzz_u64(input); break;
    }
    wal_begin_encode(&begin, forged->begin);
    forged->records[0].payload =
        (struct slice){.data = forged->begin, .size = sizeof forged->begin};
}

static void forge_header(struct wal_header *header, struct fuzz_input *input)
{
    switch (fuzz_u8(input) % 3U) {
    case 0: header->segment_size = (uint32_t)fuzz_u64(input) % (4U * SEGMENT_SIZE); break;
    case 1: header->sequence = fuzz_u64(input); break;
    default: header->salt = fuzz_u64(input); break;
    }
}

static void forge_one(struct forged *forged, struct fuzz_input *input)
{
    unsigned how = fuzz_u8(input);
    size_t at = fuzz_u8(input) % forged->count;
    struct wal_record *record = &forged->records[at];
    switch (how % 10U) {
    case 0: record->index = fuzz_u64(input); break;
    case 1: record->term = fuzz_u64(input); break;
    case 2: record->type = (enum wal_record_type)(fuzz_u8(input) % 8U); break;
    case 3: record->entry_type = fuzz_u16(input); break;
    case 4: record->synced = (uint32_t)fuzz_u64(input); break;
    case 5: record->payload = fuzz_bytes(input, 512); break;
    case 6:
        if (forged->count > 1) {
            memmove(record, record + 1, (forged->count - at - 1) * sizeof *record);
            forged->count--;
        }
        break;
    case 7:
        if (forged->count < RECORDS_MAX) {
            forged->records[forged->count++] = *record;
        }
        break;
    case 8: forge_begin(forged, input); break;
    default: forge_header(&forged->header, input); break;
    }
}

static void forge_segment(struct sim_disk *disk, struct fuzz_input *input)
{
    static struct forged forged;
    struct sim_file *file = pick_file(disk, ".wal", fuzz_u8(input));
    if (file != NULL && forge_read(file, &forged)) {
        for (unsigned i = fuzz_u8(input) % 8U + 1; i > 0; i--) {
            forge_one(&forged, input);
        }
        forge_write(&forged, file);
    }
}

static void forge_manifest(struct sim_disk *disk, struct fuzz_input *input)
{
    struct sim_file *file = pick_file(disk, ".snapshot", fuzz_u8(input));
    if (file == NULL || file->live_size < 1024) {
        return;
    }
    size_t size = 256; /* All that counts is in it. */
    fuzz_patches(input, file->live, &size, size);
    uint8_t *bytes = file->live;
    size = MANIFEST_CONTENT_AT + (size_t)wal_get_u32(bytes + 40) + wal_get_u32(bytes + 44);
    if (size <= file->live_size) {
        uint32_t sum = crc32c(0, (struct slice){.data = bytes, .size = MANIFEST_CHECKSUM_AT});
        sum = crc32c(sum, (struct slice){.data = bytes + MANIFEST_CONTENT_AT,
                                         .size = size - MANIFEST_CONTENT_AT});
        wal_put_u32(bytes + MANIFEST_CHECKSUM_AT, sum);
    }
}

/* ---- Looking at what was opened ---- */

static bool entry_is(const struct raft_entry *entry, uint64_t index, raft_term term)
{
    static uint8_t expected[ENTRY_SIZE_MAX];
    if (entry->term != term || entry->buf.len > sizeof expected) {
        return false;
    }
    fill(expected, entry->buf.len, index, term);
    return memcmp(expected, entry->buf.base, entry->buf.len) == 0;
}

static bool is_moment(const struct moment *moment, const struct wal_loaded *loaded)
{
    raft_index next = loaded->start_index + loaded->entry_count;
    if (moment->term != loaded->term || moment->vote != loaded->voted_for || moment->next != next) {
        return false;
    }
    for (size_t i = 0; i < loaded->entry_count; i++) {
        raft_index index = loaded->start_index + i;
        if (!entry_is(&loaded->entries[i], index, moment->terms[index])) {
            return false;
        }
    }
    return true;
}

/* The log lost its end, and begins anew behind the snapshot. */
static bool is_replaced(const struct moment *moment, const struct wal_loaded *loaded)
{
    return loaded->entry_count == 0 && loaded->snapshot != NULL &&
           loaded->start_index == loaded->snapshot->index + 1 && moment->term == loaded->term &&
           moment->vote == loaded->voted_for;
}

static void check_sense(const struct wal_loaded *loaded)
{
    const struct raft_snapshot *snapshot = loaded->snapshot;
    fuzz_must(snapshot == NULL || (snapshot->index > 0 && snapshot->term > 0),
              "a snapshot has index and term");
    fuzz_must(loaded->start_index >= 1 &&
                  loaded->start_index <= (snapshot == NULL ? 0 : snapshot->index) + 1,
              "the log begins at 1, or goes back to the snapshot");
    for (size_t i = 0; i < loaded->entry_count; i++) {
        const struct raft_entry *entry = &loaded->entries[i];
        fuzz_must(entry->term > 0 && entry->batch != NULL, "an entry has term and owner");
        fuzz_must(entry->type >= RAFT_COMMAND && entry->type <= RAFT_CHANGE,
                  "an entry is of a known type");
    }
}

static void check_damage(const struct origin *origin, const struct wal_loaded *loaded, bool one)
{
    size_t first = one && origin->closed ? origin->moment_count - 1 : 0;
    bool known = false;
    for (size_t i = first; i < origin->moment_count && !known; i++) {
        const struct moment *moment = &origin->moments[i];
        known = is_moment(moment, loaded) || (!one && is_replaced(moment, loaded));
    }
    fuzz_must(known, one ? "a log that was closed loses nothing to one byte"
                         : "a damaged log is what it once was");
}

static uint32_t loaded_sum(const struct wal_loaded *loaded, size_t entry_count)
{
    const uint64_t numbers[] = {loaded->term, loaded->voted_for, loaded->start_index,
                                loaded->snapshot == NULL ? 0 : loaded->snapshot->index};
    uint32_t sum = crc32c(0, (struct slice){.data = numbers, .size = sizeof numbers});
    for (size_t i = 0; i < entry_count; i++) {
        const struct raft_entry *entry = &loaded->entries[i];
        sum = crc32c(sum, (struct slice){.data = &entry->term, .size = sizeof entry->term});
        sum = crc32c(sum, (struct slice){.data = entry->buf.base, .size = entry->buf.len});
    }
    return sum;
}

/* It opened, with this; it must go on. */
static void check_again(struct sim_disk *disk, struct wal *wal, const struct wal_loaded *loaded)
{
    struct wal *again = NULL;
    struct wal_loaded second;
    size_t count = loaded->entry_count;
    raft_index next = loaded->start_index + count;
    bool added = !failed(append(wal, next, loaded->term == 0 ? 1 : loaded->term, 16));
    fuzz_must(added, "it takes an entry");
    wal_close(wal, on_closed, NULL);
    fuzz_ok(log_open(disk, &again));
    wal_load(again, &second);
    fuzz_must(second.entry_count == count + 1 &&
                  loaded_sum(&second, count) == loaded_sum(loaded, count) &&
                  entry_is(&second.entries[count], next, loaded->term == 0 ? 1 : loaded->term),
              "what was opened opens the same, with what was added");
    wal_loaded_release(&second);
    wal_close(again, on_closed, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum status_code damage_codes[] = {STATUS_CORRUPT, STATUS_OK};
    static const enum status_code forged_codes[] = {STATUS_CORRUPT, STATUS_INVALID, STATUS_OK};
    static struct sim_disk disk;
    struct fuzz_input input = {.at = data, .left = size};
    struct wal *wal = NULL;
    const struct origin *origin = origin_of(fuzz_u8(&input) % ORIGIN_COUNT);
    unsigned how = fuzz_u8(&input) % 4U;

    sim_disk_copy(&origin->disk, &disk);
    for (unsigned i = 0; i == 0 || (how != 0 && i < 4 && input.left > 0); i++) {
        switch (how) {
        case 0: damage_byte(&disk, &input); break;
        case 1: damage_more(&disk, &input); break;
        case 2: forge_segment(&disk, &input); break;
        default: forge_manifest(&disk, &input); break;
        }
    }
    struct status status = log_open(&disk, &wal);
    if (failed(status)) {
        fuzz_fails_as(status, how < 2 ? damage_codes : forged_codes);
    } else {
        struct wal_loaded loaded;
        wal_load(wal, &loaded);
        check_sense(&loaded);
        if (how < 2) {
            check_damage(origin, &loaded, how == 0);
        }
        check_again(&disk, wal, &loaded);
        wal_loaded_release(&loaded);
    }
    fuzz_must(disk.open_count == 0, "no file stays open");
    sim_disk_release(&disk);
    return 0;
}
