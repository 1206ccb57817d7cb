/*
 * Suspension: its times and words, and the probe of the data folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "suspension.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"

#define PROBE_NAME ".probe"
#define PROBE_NEW_NAME ".probe.new"
#define PROBE_SIZE 65536U /* Bytes: some blocks of any file system. */
#define PATH_SIZE 512U
#define MIB (UINT64_C(1) << 20U)

/* ---- Words ---- */

const char *suspension_kind_name(enum suspension_kind kind)
{
    switch (kind) {
    case SUSPENSION_DISK_FULL: return "disk-full";
    case SUSPENSION_NO_INODES: return "no-inodes";
    case SUSPENSION_QUOTA: return "quota";
    case SUSPENSION_READ_ONLY: return "read-only";
    case SUSPENSION_STORE_FULL: return "store-full";
    case SUSPENSION_DISK_ERROR: return "disk-error";
    case SUSPENSION_DAMAGED: return "damaged";
    }
    return "disk-error";
}

const char *suspension_remedy(enum suspension_kind kind)
{
    switch (kind) {
    case SUSPENSION_DISK_FULL:
        return "Free space on the data folder's disk, or raise the quota; then it goes on by "
               "itself.";
    case SUSPENSION_NO_INODES:
        return "Remove files from the data folder's disk: it has no inode left; then it goes on by "
               "itself.";
    case SUSPENSION_QUOTA:
        return "Raise the disk quota of musterd's user; then it goes on by itself.";
    case SUSPENSION_READ_ONLY:
        return "See in the system log why the data folder's disk is read-only, and mount it "
               "read-write; then it goes on by itself.";
    case SUSPENSION_STORE_FULL:
        return "Raise store_size_max_mib on every node and restart musterd, one node after the "
               "other.";
    case SUSPENSION_DISK_ERROR:
        return "Look at the disk and the system log; when it works again the node goes on by "
               "itself. Replace a disk that fails again.";
    case SUSPENSION_DAMAGED:
        return "`muster cluster rebuild` on it fetches its data anew from the other members; look "
               "at the disk first. Where a file was put right by hand, `muster node retry`; where "
               "the cluster has removed it, `muster cluster reset`.";
    }
    return "";
}

void suspension_explain(const struct suspension *suspension, uint64_t monotonic_ms,
                        char out[SUSPENSION_WORDS_SIZE])
{
    char since[CLOCK_TEXT_SIZE];
    char next[64] = "it is not tried again by itself";
    if (suspension->next_try_ms != 0) {
        uint64_t wait_ms =
            suspension->next_try_ms > monotonic_ms ? suspension->next_try_ms - monotonic_ms : 0;
        (void)snprintf(next, sizeof next, "next try in %llu s",
                       (unsigned long long)(wait_ms + 999) / 1000);
    }
    (void)snprintf(out, SUSPENSION_WORDS_SIZE,
                   "[%s] this node takes no part since %s: %s; nothing was changed, %s\n%s",
                   suspension_kind_name(suspension->kind),
                   clock_format(suspension->since_ms, since), suspension->reason.message, next,
                   suspension_remedy(suspension->kind));
}

/* ---- Times ---- */

bool suspension_suits(struct status reason)
{
    switch (reason.code) {
    case STATUS_FULL:
    case STATUS_IO:
    case STATUS_CORRUPT:
    case STATUS_UNKNOWN: return true; /* The last: libraft stopped itself. */
    case STATUS_OK:
    case STATUS_INVALID:
    case STATUS_NOT_FOUND:
    case STATUS_REFUSED:
    case STATUS_UNAUTHORIZED:
    case STATUS_NOT_LEADER:
    case STATUS_NO_QUORUM:
    case STATUS_UNREACHABLE:
    case STATUS_BUSY:
    case STATUS_TIMEOUT:
    case STATUS_NO_MEMORY:
    case STATUS_CODE_COUNT: break;
    }
    return false;
}

static void wait_longer(struct suspension *suspension)
{
    suspension->wait_ms += suspension->wait_ms / 2;
    if (suspension->wait_ms > SUSPENSION_RETRY_MAX_MS) {
        suspension->wait_ms = SUSPENSION_RETRY_MAX_MS;
    }
}

void suspension_begin(struct suspension *suspension, enum suspension_kind kind,
                      struct status reason, uint64_t now_ms, uint64_t monotonic_ms)
{
    bool settled = suspension->resumed_at_ms == 0 ||
                   monotonic_ms - suspension->resumed_at_ms >= SUSPENSION_SETTLED_MS;
    if (suspension->active || !settled) {
        suspension->attempts++;
        wait_longer(suspension);
    } else {
        suspension->attempts = 0;
        suspension->wait_ms = SUSPENSION_RETRY_MIN_MS;
    }
    if (!suspension->active) {
        suspension->since_ms = now_ms;
    }
    suspension->active = true;
    suspension->trying = false;
    suspension->kind = kind;
    suspension->reason = reason;
    suspension->probed = OK;
    suspension->next_try_ms = kind == SUSPENSION_DAMAGED ? 0 : monotonic_ms + suspension->wait_ms;
}

void suspension_try(struct suspension *suspension)
{
    suspension->trying = true;
}

void suspension_end(struct suspension *suspension, uint64_t monotonic_ms)
{
    suspension->active = false;
    suspension->trying = false;
    suspension->resumed_at_ms = monotonic_ms;
}

void suspension_put_off(struct suspension *suspension, struct status probed,
                        enum suspension_kind kind, uint64_t monotonic_ms)
{
    suspension->attempts++;
    suspension->probed = probed;
    if (suspension->kind != SUSPENSION_DAMAGED) {
        suspension->kind = kind; /* A disk that was full may have become read-only meanwhile. */
        wait_longer(suspension);
        suspension->next_try_ms = monotonic_ms + suspension->wait_ms;
    }
}

/* ---- The probe ---- */

struct status disk_space_of(const char *folder, struct disk_space *out)
{
    struct statvfs info;
    if (statvfs(folder, &info) != 0) {
        return fail_errno(errno, "look at the disk of %s", folder);
    }
    *out = (struct disk_space){
        .free = (uint64_t)info.f_bavail * info.f_frsize,
        .size = (uint64_t)info.f_blocks * info.f_frsize,
        .free_inodes = info.f_files == 0 ? UINT64_MAX : info.f_favail,
        .read_only = (info.f_flag & ST_RDONLY) != 0,
    };
    return OK;
}

static enum suspension_kind kind_of_errno(int error)
{
    switch (error) {
    case ENOSPC: return SUSPENSION_DISK_FULL;
    case EDQUOT: return SUSPENSION_QUOTA;
    case EROFS: return SUSPENSION_READ_ONLY;
    default: return SUSPENSION_DISK_ERROR; /* An errno is no enum of ours. */
    }
}

static struct status probe_failed(int error, enum suspension_kind *kind, const char *action,
                                  const char *folder)
{
    *kind = kind_of_errno(error);
    return fail_errno(error, "%s in %s", action, folder);
}

/* Write and sync `file`. Returns the errno, or 0. */
static int write_probe(int file)
{
    static const char block[4096] = {0};
    int error = posix_fallocate(file, 0, PROBE_SIZE);
    for (off_t at = 0; error == 0 && at < (off_t)PROBE_SIZE; at += (off_t)sizeof block) {
        error = pwrite(file, block, sizeof block, at) < 0 ? errno : 0;
    }
    if (error == 0 && fdatasync(file) != 0) {
        error = errno;
    }
    return error;
}

static struct status probe_file(int directory, const char *folder, enum suspension_kind *kind)
{
    int file = openat(directory, PROBE_NEW_NAME,
                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) {
        return probe_failed(errno, kind, "make a file", folder);
    }
    int error = write_probe(file);
    (void)close(file);
    if (error != 0) {
        (void)unlinkat(directory, PROBE_NEW_NAME, 0);
        return probe_failed(error, kind, "write and sync a file", folder);
    }
    if (renameat(directory, PROBE_NEW_NAME, directory, PROBE_NAME) != 0) {
        error = errno;
        (void)unlinkat(directory, PROBE_NEW_NAME, 0);
        return probe_failed(error, kind, "rename a file", folder);
    }
    if (fsync(directory) != 0 || unlinkat(directory, PROBE_NAME, 0) != 0) {
        return probe_failed(errno, kind, "sync the folder", folder);
    }
    return OK;
}

static struct status probe_space(const char *folder, uint64_t needed, enum suspension_kind *kind)
{
    struct disk_space space;
    *kind = SUSPENSION_DISK_ERROR;
    struct status status = disk_space_of(folder, &space);
    if (failed(status)) {
        return status;
    }
    if (space.read_only) {
        *kind = SUSPENSION_READ_ONLY;
        return fail(STATUS_IO, "the disk of %s is read-only", folder);
    }
    if (space.free_inodes == 0) {
        *kind = SUSPENSION_NO_INODES;
        return fail(STATUS_FULL, "the disk of %s has no inode left", folder);
    }
    if (space.free < needed) {
        *kind = SUSPENSION_DISK_FULL;
        return fail(STATUS_FULL, "the disk of %s has %llu MiB free, %llu MiB are needed", folder,
                    (unsigned long long)(space.free / MIB),
                    (unsigned long long)((needed + MIB - 1) / MIB));
    }
    return OK;
}

struct status suspension_probe(const char *folder, uint64_t needed, enum suspension_kind *kind)
{
    struct status status = probe_space(folder, needed, kind);
    if (failed(status)) {
        return status;
    }
    int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return probe_failed(errno, kind, "open", folder);
    }
    status = probe_file(directory, folder, kind);
    (void)close(directory);
    return status;
}

enum suspension_kind suspension_kind_of(struct status reason, const char *folder)
{
    struct disk_space space;
    if (reason.code == STATUS_CORRUPT || reason.code == STATUS_UNKNOWN) {
        return SUSPENSION_DAMAGED;
    }
    if (failed(disk_space_of(folder, &space))) {
        return SUSPENSION_DISK_ERROR;
    }
    if (space.read_only) {
        return SUSPENSION_READ_ONLY;
    }
    if (reason.code != STATUS_FULL) {
        return SUSPENSION_DISK_ERROR;
    }
    return space.free_inodes == 0 ? SUSPENSION_NO_INODES : SUSPENSION_DISK_FULL;
}
