/*
 * Reading the root of trust.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "root_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/random.h"
#include "file.h"

/* Whoever else can read it has this node's keys; whoever can write it can take them away. */
static struct status check_mode(const char *path, const struct stat *file)
{
    if (!S_ISREG(file->st_mode)) {
        return fail(STATUS_INVALID, "%s is not a plain file", path);
    }
    if ((file->st_mode & ROOT_SECRET_MODE_REFUSED) != 0) {
        return fail(STATUS_INVALID, "%s has mode %03o, others may use it: chmod 0400 it", path,
                    (unsigned)(file->st_mode & 0777U));
    }
    return OK;
}

/* From the descriptor straight into locked memory: no copy is made on the way. */
static struct status read_bytes(int fd, const char *path, struct secret *out)
{
    struct status status = secret_reserve(out, ROOT_SECRET_SIZE);
    if (failed(status)) {
        return status;
    }
    ssize_t size = read(fd, out->pages, ROOT_SECRET_SIZE);
    if (size < 0) {
        status = fail_errno(errno, "read %s", path);
    } else if (size != ROOT_SECRET_SIZE) {
        status = fail(STATUS_INVALID, "%s has %zd bytes, not %d", path, size, ROOT_SECRET_SIZE);
    }
    if (failed(status)) {
        secret_release(out);
    }
    return status;
}

static struct status read_file(const char *path, struct secret *out)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail_errno(errno, "open %s", path);
    }
    struct status status =
        fstat(fd, &file) == 0 ? check_mode(path, &file) : fail_errno(errno, "look at %s", path);
    if (!failed(status) && file.st_size != ROOT_SECRET_SIZE) {
        status = fail(STATUS_INVALID, "%s has %lld bytes, not %d", path, (long long)file.st_size,
                      ROOT_SECRET_SIZE);
    }
    if (!failed(status)) {
        status = read_bytes(fd, path, out);
    }
    (void)close(fd);
    return status;
}

/* Made where no node has lived yet. */
static struct status make(const char *data_directory, const char *path, struct secret *out)
{
    if (file_is_there(data_directory, "CURRENT")) {
        return fail(STATUS_INVALID,
                    "%s is gone, and it seals this node's keys: give it back, or the credential "
                    "that was in use",
                    path);
    }
    struct status status = secret_reserve(out, ROOT_SECRET_SIZE);
    if (failed(status)) {
        return status;
    }
    random_bytes(out->pages, ROOT_SECRET_SIZE);
    status = file_write(path, secret_slice(out));
    if (failed(status)) {
        secret_release(out);
    }
    return status;
}

static const char *credentials_folder(void)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    return folder != NULL && file_is_there(folder, ROOT_SECRET_CREDENTIAL) ? folder : NULL;
}

void root_secret_path(const char *data_directory, const char *configured, char *out,
                      size_t out_size)
{
    const char *folder = credentials_folder();
    if (configured[0] != '\0') {
        (void)snprintf(out, out_size, "%.900s", configured);
    } else if (folder != NULL) {
        (void)snprintf(out, out_size, "%.900s/" ROOT_SECRET_CREDENTIAL, folder);
    } else {
        (void)snprintf(out, out_size, "%.900s/root.secret", data_directory);
    }
}

struct status root_secret_read(const char *data_directory, const char *configured,
                               struct secret *out)
{
    char path[ROOT_SECRET_PATH_SIZE];
    root_secret_path(data_directory, configured, path, sizeof path);
    struct status status = read_file(path, out);
    bool own = configured[0] == '\0' && credentials_folder() == NULL;
    return status.code == STATUS_NOT_FOUND && own ? make(data_directory, path, out) : status;
}
