/*
 * The follower.
 *
 *      stream   |<---- file 1 ---->|<- file 2 ->|<- file 3, being read ...
 *               base               base         base       base + offset
 *
 * A file leaves the list when a checkpoint lies behind it. A file that ends within a line is given
 * one more byte, a line end, which counts in the stream but in no file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log_follow.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "log_files.h"

struct segment {
    struct log_file_identity identity;
    uint64_t base; /* Stream position of the file's first byte; wraps for the first one. */
};

struct log_follow {
    struct log_files files;
    char checkpoint_path[PATH_MAX]; /* Empty: none. */
    int lock;
    int file;        /* The last segment's. */
    uint64_t offset; /* In it. */
    bool in_line;    /* The last byte given ended no line. */

    struct segment segments[LOG_CHECKPOINT_FILES_MAX];
    size_t segment_count;

    /* From the checkpoint: the files that came after its first one. */
    struct log_file_identity successors[LOG_CHECKPOINT_FILES_MAX];
    size_t successor_count;
    size_t successor_next;

    struct log_follow_counts counts;
    char chunk[LOG_FOLLOW_CHUNK_SIZE];
};

static struct segment *last_segment(struct log_follow *follow)
{
    return &follow->segments[follow->segment_count - 1];
}

uint64_t log_follow_position(const struct log_follow *follow)
{
    return follow->segments[follow->segment_count - 1].base + follow->offset;
}

const struct log_follow_counts *log_follow_counts(const struct log_follow *follow)
{
    return &follow->counts;
}

uint64_t log_follow_remaining(const struct log_follow *follow)
{
    struct stat info;
    if (fstat(follow->file, &info) != 0 || (uint64_t)info.st_size < follow->offset) {
        return 0;
    }
    return (uint64_t)info.st_size - follow->offset;
}

/* ------------------------------------------------------------------------------------- segments */

/* Begin to read `file`, which becomes ours, at the stream's position. */
static struct status begin_segment(struct log_follow *follow, int file)
{
    if (follow->segment_count == LOG_CHECKPOINT_FILES_MAX) {
        return fail(STATUS_FULL, "the oldest record not yet safe lies %d log files back",
                    LOG_CHECKPOINT_FILES_MAX);
    }
    struct segment next = {0};
    struct status status = log_identity_read(file, LOG_HEAD_SIZE_MAX, &next.identity);
    if (failed(status)) {
        return status;
    }
    next.base = log_follow_position(follow);
    if (follow->file != file) {
        close(follow->file);
    }
    follow->file = file;
    follow->offset = 0;
    follow->segments[follow->segment_count] = next;
    follow->segment_count++;
    return OK;
}

/* More of the first bytes may have been written since; those that were seen must be the same. */
static struct status complete_identity(struct log_follow *follow)
{
    struct log_file_identity *identity = &last_segment(follow)->identity;
    if (identity->head_size >= LOG_HEAD_SIZE_MAX || follow->offset <= identity->head_size) {
        return OK;
    }
    return log_identity_read(follow->file, follow->offset, identity);
}

static bool was_truncated(struct log_follow *follow)
{
    struct stat info;
    return fstat(follow->file, &info) == 0 &&
           ((uint64_t)info.st_size < follow->offset ||
            !log_identity_head_matches(follow->file, &last_segment(follow)->identity));
}

static bool is_live(const struct log_follow *follow)
{
    struct stat ours;
    struct stat live;
    return fstat(follow->file, &ours) == 0 && stat(follow->files.path, &live) == 0 &&
           ours.st_dev == live.st_dev && ours.st_ino == live.st_ino;
}

/* The file after the one that is read to its end, -1 if there is none yet. */
static int next_file(struct log_follow *follow)
{
    struct log_file_identity known[LOG_CHECKPOINT_FILES_MAX];
    while (follow->successor_next < follow->successor_count) {
        const struct log_file_identity *wanted = &follow->successors[follow->successor_next];
        int file = log_files_find(&follow->files, wanted, 0);
        follow->successor_next++;
        if (file >= 0) {
            return file;
        }
        follow->counts.gaps++;
    }
    if (is_live(follow)) {
        return -1;
    }
    for (size_t i = 0; i < follow->segment_count; i++) {
        known[i] = follow->segments[i].identity;
    }
    int file = log_files_next(&follow->files, follow->file, known, follow->segment_count);
    struct stat info;
    if (file >= 0 && fstat(file, &info) == 0 && info.st_size == 0) {
        close(file); /* Whoever writes the log may not have moved on to it yet. */
        return -1;
    }
    return file;
}

/* ------------------------------------------------------------------------------------- reading */

static struct status read_here(struct log_follow *follow, struct slice *out)
{
    ssize_t got = pread(follow->file, follow->chunk, sizeof(follow->chunk), (off_t)follow->offset);
    *out = (struct slice){.data = follow->chunk};
    if (got < 0) {
        return fail_errno(errno, "read %s", follow->files.path);
    }
    if (got > 0) {
        out->size = (size_t)got;
        follow->offset += (uint64_t)got;
        follow->in_line = follow->chunk[got - 1] != '\n';
    }
    return complete_identity(follow);
}

/* Go on with another file, or with the same from its beginning; a line the last one left open is
 * ended first. */
static struct status move_on(struct log_follow *follow, int file, struct slice *out)
{
    if (follow->in_line) {
        follow->in_line = false;
        follow->chunk[0] = '\n';
        out->size = 1;
        follow->offset++; /* Counted in the old segment. */
    }
    return begin_segment(follow, file);
}

struct status log_follow_read(struct log_follow *follow, struct slice *out)
{
    *out = (struct slice){.data = follow->chunk};
    if (was_truncated(follow)) {
        follow->counts.truncations++;
        return move_on(follow, follow->file, out);
    }
    struct status status = read_here(follow, out);
    if (failed(status) || out->size > 0) {
        return status;
    }
    int file = next_file(follow);
    if (file < 0) {
        return OK;
    }
    /* Once more: lines may have come to the old file before the new one was begun. */
    status = read_here(follow, out);
    if (failed(status) || out->size > 0) {
        close(file);
        return status;
    }
    follow->counts.rotations++;
    status = move_on(follow, file, out);
    if (failed(status) && file != follow->file) {
        close(file);
    }
    return !failed(status) && out->size == 0 ? read_here(follow, out) : status;
}

/* ----------------------------------------------------------------------------------- checkpoints */

struct status log_follow_save(struct log_follow *follow, uint64_t position, struct slice context)
{
    struct log_file_identity files[LOG_CHECKPOINT_FILES_MAX];
    size_t holds = 0;
    while (holds + 1 < follow->segment_count && follow->segments[holds + 1].base <= position) {
        holds++;
    }
    follow->segment_count -= holds;
    memmove(&follow->segments[0], &follow->segments[holds],
            follow->segment_count * sizeof(follow->segments[0]));
    if (follow->checkpoint_path[0] == '\0') {
        return OK;
    }
    for (size_t i = 0; i < follow->segment_count; i++) {
        files[i] = follow->segments[i].identity;
    }
    struct log_checkpoint checkpoint = {
        .files = {.items = files, .count = follow->segment_count},
        .offset = position - follow->segments[0].base,
        .context = context,
    };
    return log_checkpoint_save(follow->checkpoint_path, &checkpoint);
}

/* ------------------------------------------------------------------------------------- opening */

static struct status lock_checkpoint(struct log_follow *follow, const char *checkpoint_path)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s.lock", checkpoint_path);
    if (size >= (int)sizeof(path)) {
        return fail(STATUS_INVALID, "checkpoint path is too long");
    }
    snprintf(follow->checkpoint_path, sizeof(follow->checkpoint_path), "%s", checkpoint_path);
    follow->lock = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (follow->lock < 0) {
        return fail_errno(errno, "create %s", path);
    }
    if (flock(follow->lock, LOCK_EX | LOCK_NB) != 0) {
        return fail(STATUS_BUSY, "another process follows a log with checkpoint %s",
                    checkpoint_path);
    }
    return OK;
}

static struct status open_live(struct log_follow *follow)
{
    struct stat info;
    follow->file = open(follow->files.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (follow->file < 0 || fstat(follow->file, &info) != 0) {
        return fail_errno(errno, "open %s", follow->files.path);
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(STATUS_INVALID, "%s is not a file; to read a pipe, give - and redirect it",
                    follow->files.path);
    }
    return OK;
}

static struct status refuse_compressed(struct log_follow *follow)
{
    static const char *const marks[] = {"\x1f\x8b", "BZh", "\xfd\x37zXZ", "\x28\xb5\x2f\xfd"};
    char head[8] = {0};
    if (pread(follow->file, head, sizeof(head), 0) < 0) {
        return fail_errno(errno, "read %s", follow->files.path);
    }
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (memcmp(head, marks[i], strlen(marks[i])) == 0) {
            return fail(STATUS_INVALID, "%s is compressed; decompress it and give - to read a pipe",
                        follow->files.path);
        }
    }
    return OK;
}

/* Go to where the checkpoint says; if its file is gone, to the oldest one of those after it that is
 * there, or to the live one's beginning. */
static struct status resume(struct log_follow *follow, const struct log_checkpoint *checkpoint)
{
    const struct log_file_identity *files = checkpoint->files.items;
    follow->successor_count = checkpoint->files.count - 1;
    memcpy(follow->successors, files + 1, follow->successor_count * sizeof(*files));
    follow->file = log_files_find(&follow->files, &files[0], checkpoint->offset);
    if (follow->file >= 0) {
        follow->offset = checkpoint->offset;
        return OK;
    }
    follow->counts.gaps++;
    while (follow->file < 0 && follow->successor_next < follow->successor_count) {
        follow->file =
            log_files_find(&follow->files, &follow->successors[follow->successor_next], 0);
        follow->successor_next++;
    }
    return follow->file >= 0 ? OK : open_live(follow);
}

static struct status open_at(struct log_follow *follow, const char *checkpoint_path,
                             struct buffer *context)
{
    struct arena arena = {0};
    struct log_checkpoint checkpoint;
    struct status status = {.code = STATUS_NOT_FOUND};
    if (checkpoint_path != NULL) {
        status = lock_checkpoint(follow, checkpoint_path);
        if (failed(status)) {
            return status;
        }
        status = log_checkpoint_load(checkpoint_path, &arena, &checkpoint);
    }
    if (status.code == STATUS_NOT_FOUND) {
        status = open_live(follow);
    } else if (!failed(status)) {
        status = resume(follow, &checkpoint);
        if (!failed(status) && checkpoint.context.size > 0 &&
            !buffer_append(context, checkpoint.context.data, checkpoint.context.size)) {
            status = fail(STATUS_NO_MEMORY, "open %s", follow->files.path);
        }
    }
    arena_release(&arena);
    return status;
}

static struct status open_all(struct log_follow *follow, const char *path,
                              const char *checkpoint_path, struct buffer *context)
{
    struct status status = log_files_init(&follow->files, path, checkpoint_path);
    if (!failed(status)) {
        status = open_at(follow, checkpoint_path, context);
    }
    if (!failed(status)) {
        status = refuse_compressed(follow);
    }
    if (!failed(status)) {
        follow->segment_count = 1;
        status = log_identity_read(follow->file, LOG_HEAD_SIZE_MAX, &follow->segments[0].identity);
    }
    return status;
}

struct status log_follow_open(const char *path, const char *checkpoint_path, struct buffer *context,
                              struct log_follow **out)
{
    struct log_follow *follow = alloc_zeroed(1, sizeof(*follow));
    if (follow == NULL) {
        return fail(STATUS_NO_MEMORY, "open %s", path);
    }
    follow->lock = -1;
    follow->file = -1;
    struct status status = open_all(follow, path, checkpoint_path, context);
    if (failed(status)) {
        log_follow_close(follow);
        return status;
    }
    *out = follow;
    return OK;
}

void log_follow_close(struct log_follow *follow)
{
    if (follow == NULL) {
        return;
    }
    if (follow->file >= 0) {
        close(follow->file);
    }
    if (follow->lock >= 0) {
        close(follow->lock);
    }
    free(follow);
}
