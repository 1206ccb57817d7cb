/*
 * Loading and saving of checkpoints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log_checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"

#define MAGIC "muster-feed checkpoint 1\n"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define CRC_SIZE 8 /* Hex digits. */
#define FILE_SIZE_MAX ((size_t)256 << 10)

static const struct codec_field identity_fields[] = {
    CODEC_FIELD(struct log_file_identity, 1, device, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct log_file_identity, 2, inode, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct log_file_identity, 3, head_size, CODEC_U64, UINT64_MAX),
    CODEC_FIELD(struct log_file_identity, 4, head_crc, CODEC_U64, UINT32_MAX),
};
static const struct codec identity_codec =
    CODEC(struct log_file_identity, "log_file_identity", identity_fields);

static const struct codec_field checkpoint_fields[] = {
    CODEC_NESTED(struct log_checkpoint, 1, files, CODEC_LIST, LOG_CHECKPOINT_FILES_MAX,
                 &identity_codec),
    CODEC_FIELD(struct log_checkpoint, 2, offset, CODEC_U64, INT64_MAX),
    CODEC_OPTIONAL(struct log_checkpoint, 3, context, CODEC_BYTES, LOG_CHECKPOINT_CONTEXT_SIZE_MAX),
};
static const struct codec checkpoint_codec =
    CODEC(struct log_checkpoint, "log_checkpoint", checkpoint_fields);

static struct status read_whole(const char *path, struct buffer *out)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return fail_errno(errno, "open checkpoint %s", path);
    }
    struct status status = OK;
    ssize_t got = 1;
    while (!failed(status) && got > 0 && out->size <= FILE_SIZE_MAX) {
        if (!buffer_reserve(out, 4096)) {
            status = fail(STATUS_NO_MEMORY, "read checkpoint %s", path);
            break;
        }
        got = read(file, out->data + out->size, 4096);
        if (got < 0) {
            status = fail_errno(errno, "read checkpoint %s", path);
        } else {
            out->size += (size_t)got;
        }
    }
    close(file);
    return status;
}

static struct status unseal(const char *path, struct slice whole, struct slice *out)
{
    char seal[CRC_SIZE + 1];
    const char *bytes = whole.data;
    if (whole.size > MAGIC_SIZE + CRC_SIZE && memcmp(bytes, MAGIC, MAGIC_SIZE) == 0) {
        *out = (struct slice){.data = bytes + MAGIC_SIZE + CRC_SIZE,
                              .size = whole.size - MAGIC_SIZE - CRC_SIZE};
        snprintf(seal, sizeof(seal), "%08x", crc32c(0, *out));
        if (memcmp(seal, bytes + MAGIC_SIZE, CRC_SIZE) == 0) {
            return OK;
        }
    }
    return fail(STATUS_CORRUPT,
                "checkpoint %s is damaged; remove it to read the log from its beginning "
                "(records that are known already do no harm)",
                path);
}

struct status log_checkpoint_load(const char *path, struct arena *arena, struct log_checkpoint *out)
{
    struct buffer whole = {0};
    struct slice body = {0};
    struct status status = read_whole(path, &whole);
    if (!failed(status)) {
        status = unseal(path, buffer_slice(&whole), &body);
    }
    if (!failed(status)) {
        body = arena_copy(arena, body);
        status = body.data == NULL ? fail(STATUS_NO_MEMORY, "read checkpoint %s", path)
                                   : codec_decode(&checkpoint_codec, CODEC_TAGS, body, arena, out);
    }
    if (status.code == STATUS_INVALID) { /* What was saved was valid. */
        status.code = STATUS_CORRUPT;
        status = wrap(status, "checkpoint %s", path);
    }
    buffer_release(&whole);
    return status;
}

static struct status write_whole(int file, struct slice bytes, const char *path)
{
    while (bytes.size > 0) {
        ssize_t put = write(file, bytes.data, bytes.size);
        if (put < 0) {
            return fail_errno(errno, "write checkpoint %s", path);
        }
        bytes.data = (const char *)bytes.data + put;
        bytes.size -= (size_t)put;
    }
    return fsync(file) == 0 ? OK : fail_errno(errno, "sync checkpoint %s", path);
}

/* The rename itself must survive a power cut too. */
static struct status sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int size = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, sizeof(folder), "%.*s", size, slash == NULL ? "." : path);
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) {
        return fail_errno(errno, "open folder %s", folder);
    }
    struct status status = fsync(file) == 0 ? OK : fail_errno(errno, "sync folder %s", folder);
    close(file);
    return status;
}

static struct status replace(const char *path, struct slice bytes)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary)) {
        return fail(STATUS_INVALID, "checkpoint path is too long");
    }
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        return fail_errno(errno, "create %s", temporary);
    }
    struct status status = write_whole(file, bytes, temporary);
    close(file);
    if (!failed(status) && rename(temporary, path) != 0) {
        status = fail_errno(errno, "rename %s", temporary);
    }
    return failed(status) ? status : sync_folder(path);
}

struct status log_checkpoint_save(const char *path, const struct log_checkpoint *checkpoint)
{
    struct buffer body = {0};
    struct buffer whole = {0};
    struct status status = codec_encode(&checkpoint_codec, CODEC_TAGS, checkpoint, &body);
    if (!failed(status)) {
        bool built = buffer_print(&whole, MAGIC "%08x", crc32c(0, buffer_slice(&body))) &&
                     buffer_append(&whole, body.data, body.size);
        status = built ? replace(path, buffer_slice(&whole))
                       : fail(STATUS_NO_MEMORY, "write checkpoint %s", path);
    }
    buffer_release(&body);
    buffer_release(&whole);
    return status;
}
