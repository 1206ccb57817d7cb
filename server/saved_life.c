/*
 * Saved lives on disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "saved_life.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "machine.h"
#include "sealed_file.h"

#define NOTE_SIZE_MAX 4096
#define MIB ((size_t)1 << 20U)
#define PATH_SIZE (IDENTITY_PATH_SIZE + 16)

static const struct codec_field note_fields[] = {
    CODEC_FIELD(struct saved_note, 1, submit, CODEC_BOOL, 1),
    CODEC_FIELD(struct saved_note, 2, looked, CODEC_BOOL, 1),
    CODEC_FIELD(struct saved_note, 3, saved_at_ms, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct saved_note, 4, undelivered, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct saved_note, 5, phase, CODEC_U64, SAVED_DONE),
    CODEC_FIELD(struct saved_note, 6, sequence, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct saved_note, 7, given, CODEC_U64, UINT64_MAX),
};
static const struct codec note_codec = CODEC(struct saved_note, "saved_note", note_fields);

static void note_path(const char *path, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "%s/saved", path);
}

struct status saved_note_read(const char *path, struct saved_note *out)
{
    char file[PATH_SIZE];
    struct buffer bytes = {0};
    struct arena arena = {0};
    *out = (struct saved_note){0};
    note_path(path, file);
    struct status status = sealed_file_read(file, NOTE_SIZE_MAX, &bytes);
    if (!failed(status)) {
        status = codec_decode(&note_codec, CODEC_TAGS, buffer_slice(&bytes), &arena, out);
    }
    if (status.code == STATUS_INVALID) {
        status.code = STATUS_CORRUPT;
    }
    arena_release(&arena);
    buffer_release(&bytes);
    return status.code == STATUS_NOT_FOUND ? OK : status;
}

struct status saved_note_write(const char *path, const struct saved_note *note)
{
    char file[PATH_SIZE];
    struct buffer bytes = {0};
    note_path(path, file);
    struct status status = codec_encode(&note_codec, CODEC_TAGS, note, &bytes);
    if (!failed(status)) {
        status = sealed_file_write(file, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
    return status;
}

void saved_note_remove(const char *path)
{
    char file[PATH_SIZE];
    note_path(path, file);
    (void)unlink(file); /* One that stays is written anew before this life is saved again. */
}

static int compare_begun(const void *left, const void *right)
{
    const struct saved_life *a = left;
    const struct saved_life *b = right;
    return a->begun_ms < b->begun_ms ? -1 : a->begun_ms > b->begun_ms;
}

static void fill(const char *data_directory, const char *lineage, struct saved_life *out)
{
    char file[PATH_SIZE];
    struct stat info;
    *out = (struct saved_life){0};
    (void)snprintf(out->lineage, sizeof out->lineage, "%.31s", lineage);
    (void)snprintf(out->path, sizeof out->path, "%.400s/%.31s", data_directory, lineage);
    (void)snprintf(file, sizeof file, "%s/identity", out->path);
    if (stat(file, &info) == 0) {
        out->begun_ms =
            (uint64_t)info.st_mtim.tv_sec * 1000 + (uint64_t)info.st_mtim.tv_nsec / 1000000;
    }
    struct status status = saved_note_read(out->path, &out->note);
    if (failed(status)) { /* Counted and given anew: the cluster knows what it has. */
        out->note = (struct saved_note){0};
    }
}

struct status saved_life_list(const char *data_directory, const struct identity *current,
                              struct saved_life out[SAVED_LIVES_MAX], size_t *count)
{
    DIR *folder = opendir(data_directory);
    *count = 0;
    if (folder == NULL) {
        return fail_errno(errno, "read %s", data_directory);
    }
    for (struct dirent *entry = readdir(folder); entry != NULL && *count < SAVED_LIVES_MAX;
         entry = readdir(folder)) {
        if (identity_is_aside(data_directory, entry->d_name, current)) {
            fill(data_directory, entry->d_name, &out[(*count)++]);
        }
    }
    (void)closedir(folder);
    qsort(out, *count, sizeof *out, compare_begun);
    return OK;
}

struct status saved_life_open(const struct saved_life *life, const struct config *config,
                              struct store **out)
{
    char path[PATH_SIZE];
    struct consensus_log_end end;
    (void)snprintf(path, sizeof path, "%s/store", life->path);
    const struct store_options options = {
        .directory = path,
        .map_size_max = config->store_size_max_mib * MIB,
        .outbox_max = config->outbox_max,
    };
    struct status status = store_open(&options, out);
    if (failed(status)) {
        *out = NULL;
        return wrap(status, "open %s", path);
    }
    (void)snprintf(path, sizeof path, "%s/log", life->path);
    status = machine_salvage(*out, path, &end);
    if (!failed(status)) {
        status = store_sync(*out);
    }
    if (failed(status)) {
        store_close(*out);
        *out = NULL;
    }
    return status;
}

bool saved_life_has_records(const struct saved_life *life)
{
    const struct saved_note *note = &life->note;
    return !note->looked || (note->undelivered > 0 && note->phase != SAVED_DONE);
}
