/*
 * Finding the files of a log in its folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "log_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

/* Fewer bytes than this are no proof by themselves. */
#define HEAD_PROOF_SIZE_MIN 64

#define CURRENT_SUFFIX ".current"

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

struct status log_files_init(struct log_files *files, const char *path, const char *checkpoint_path)
{
    const char *slash = strrchr(path, '/');
    const char *name = name_of(path);
    const char *own = checkpoint_path == NULL ? "" : name_of(checkpoint_path);
    size_t folder_size = slash == NULL ? 0 : (size_t)(slash - path);
    *files = (struct log_files){0};
    if (strlen(path) >= sizeof(files->path) || strlen(name) >= sizeof(files->name) ||
        name[0] == '\0') {
        return fail(STATUS_INVALID, "log path is too long or names no file");
    }
    if (strlen(own) >= sizeof(files->own) ||
        (checkpoint_path != NULL && strcmp(path, checkpoint_path) == 0)) {
        return fail(STATUS_INVALID, "checkpoint path is too long or is the log itself");
    }
    snprintf(files->own, sizeof(files->own), "%s", own);
    snprintf(files->path, sizeof(files->path), "%s", path);
    snprintf(files->name, sizeof(files->name), "%s", name);
    snprintf(files->stem, sizeof(files->stem), "%s", name);
    if (slash == NULL) {
        snprintf(files->folder, sizeof(files->folder), ".");
    } else {
        snprintf(files->folder, sizeof(files->folder), "%.*s",
                 folder_size == 0 ? 1 : (int)folder_size, path);
    }
    size_t size = strlen(name);
    size_t suffix_size = strlen(CURRENT_SUFFIX);
    if (size > suffix_size && strcmp(name + size - suffix_size, CURRENT_SUFFIX) == 0) {
        files->stem[size - suffix_size] = '\0';
    }
    return OK;
}

/* ---------------------------------------------------------------------------------- identities */

static bool read_head(int file, char *head, uint64_t size, uint64_t *out_size)
{
    *out_size = 0;
    while (*out_size < size) {
        ssize_t got = pread(file, head + *out_size, size - *out_size, (off_t)*out_size);
        if (got < 0) {
            return false;
        }
        if (got == 0) {
            break;
        }
        *out_size += (uint64_t)got;
    }
    return true;
}

struct status log_identity_read(int file, uint64_t head_size_max, struct log_file_identity *out)
{
    char head[LOG_HEAD_SIZE_MAX];
    struct stat info;
    uint64_t size = 0;
    if (fstat(file, &info) != 0) {
        return fail_errno(errno, "look at the log");
    }
    if (!read_head(file, head, head_size_max < sizeof(head) ? head_size_max : sizeof(head),
                   &size)) {
        return fail_errno(errno, "read the log");
    }
    *out = (struct log_file_identity){
        .device = info.st_dev,
        .inode = info.st_ino,
        .head_size = size,
        .head_crc = crc32c(0, (struct slice){.data = head, .size = size}),
    };
    return OK;
}

bool log_identity_head_matches(int file, const struct log_file_identity *identity)
{
    char head[LOG_HEAD_SIZE_MAX];
    uint64_t size = 0;
    return identity->head_size <= sizeof(head) &&
           read_head(file, head, identity->head_size, &size) && size == identity->head_size &&
           crc32c(0, (struct slice){.data = head, .size = size}) == identity->head_crc;
}

/* --------------------------------------------------------------------------------------- names */

static bool is_compressed(const char *name)
{
    static const char *const suffixes[] = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip"};
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t suffix_size = strlen(suffixes[i]);
        if (size > suffix_size && strcmp(name + size - suffix_size, suffixes[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The checkpoint, its lock and its temporary file. */
static bool is_own(const struct log_files *files, const char *name)
{
    size_t size = strlen(files->own);
    if (size == 0 || strncmp(name, files->own, size) != 0) {
        return false;
    }
    const char *rest = name + size;
    return rest[0] == '\0' || strcmp(rest, ".lock") == 0 || strcmp(rest, ".new") == 0;
}

static bool is_of_log(const struct log_files *files, const char *name)
{
    size_t stem_size = strlen(files->stem);
    if (strcmp(name, files->name) == 0) {
        return true;
    }
    if (strncmp(name, files->stem, stem_size) != 0 || is_compressed(name) || is_own(files, name)) {
        return false;
    }
    const char *rest = name + stem_size;
    bool is_rotated = (rest[0] == '.' || rest[0] == '-') &&
                      ((rest[1] >= '0' && rest[1] <= '9') || rest[1] == '@');
    return is_rotated;
}

static int open_plain(int folder, const char *name, struct stat *info)
{
    /* O_NONBLOCK: a pipe of that name must not hold us up. */
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (file >= 0 && (fstat(file, info) != 0 || !S_ISREG(info->st_mode))) {
        close(file);
        return -1;
    }
    return file;
}

/* ------------------------------------------------------------------------------------- searching */

/* What is looked for, and the best found so far. */
struct search {
    const struct log_files *files;
    const struct log_file_identity *identity; /* Of log_files_find(). */
    uint64_t size_min;
    const struct log_file_identity *known; /* Of log_files_next(). */
    size_t known_count;
    struct timespec since;
    struct timespec best_time;
    int best; /* Open file, -1: none yet. */
    bool is_sure;
};

typedef void (*consider_fn)(struct search *search, const char *name, int file,
                            const struct stat *info);

static void keep(struct search *search, int file)
{
    if (search->best >= 0) {
        close(search->best);
    }
    search->best = fcntl(file, F_DUPFD_CLOEXEC, 0);
}

static void each_file(struct search *search, consider_fn consider)
{
    DIR *folder = opendir(search->files->folder);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        struct stat info;
        int file = open_plain(dirfd(folder), entry->d_name, &info);
        if (file >= 0) {
            consider(search, entry->d_name, file, &info);
            close(file);
        }
    }
    closedir(folder);
}

static void consider_identity(struct search *search, const char *name, int file,
                              const struct stat *info)
{
    const struct log_file_identity *identity = search->identity;
    if (search->is_sure || (uint64_t)info->st_size < search->size_min ||
        !log_identity_head_matches(file, identity)) {
        return;
    }
    bool same_inode = info->st_dev == identity->device && info->st_ino == identity->inode;
    bool is_copy = identity->head_size >= HEAD_PROOF_SIZE_MIN && is_of_log(search->files, name);
    if (same_inode || (is_copy && search->best < 0)) {
        keep(search, file);
        search->is_sure = same_inode;
    }
}

int log_files_find(const struct log_files *files, const struct log_file_identity *identity,
                   uint64_t size_min)
{
    struct search search = {.files = files, .identity = identity, .size_min = size_min, .best = -1};
    each_file(&search, consider_identity);
    return search.best;
}

static bool is_known(const struct search *search, const struct stat *info)
{
    for (size_t i = 0; i < search->known_count; i++) {
        if (search->known[i].device == info->st_dev && search->known[i].inode == info->st_ino) {
            return true;
        }
    }
    return false;
}

static bool is_before(struct timespec left, struct timespec right)
{
    return left.tv_sec != right.tv_sec ? left.tv_sec < right.tv_sec : left.tv_nsec < right.tv_nsec;
}

static void consider_next(struct search *search, const char *name, int file,
                          const struct stat *info)
{
    if (!is_of_log(search->files, name) || is_known(search, info) ||
        is_before(info->st_mtim, search->since)) {
        return;
    }
    /* The live file is the last of them, whatever its time says. */
    bool is_live = strcmp(name, search->files->name) == 0;
    if (!is_live && info->st_size == 0) {
        return; /* Nothing will come to it any more. */
    }
    struct timespec time = info->st_mtim;
    if (is_live) {
        time.tv_sec = LONG_MAX;
    }
    if (search->best < 0 || is_before(time, search->best_time)) {
        keep(search, file);
        search->best_time = time;
    }
}

int log_files_next(const struct log_files *files, int current,
                   const struct log_file_identity *known, size_t known_count)
{
    struct stat info;
    if (fstat(current, &info) != 0) {
        return -1;
    }
    struct search search = {
        .files = files,
        .known = known,
        .known_count = known_count,
        .since = info.st_mtim,
        .best = -1,
    };
    each_file(&search, consider_next);
    return search.best;
}
