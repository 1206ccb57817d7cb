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

#define PATH_MAX_SIZE 1024

/* Whoever else can read it has this node's keys; whoever can write it can take them away. */
static struct status check_mode(const char *path, const struct stat *file)
{
    if (!S_ISREG(file->st_mode)) {
        return fail(STATUS_INVALID, "%s is not a plain file", path);
    }
    if ((file->st_mode & (S_IWGRP | S_IRWXO)) != 0) {
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

/* The data folder's own: made where no node has lived yet. */
static struct status read_own(const char *data_directory, struct secret *out)
{
    char path[PATH_MAX_SIZE];
    (void)snprintf(path, sizeof path, "%.900s/root.secret", data_directory);
    struct status status = read_file(path, out);
    if (status.code != STATUS_NOT_FOUND) {
        return status;
    }
    if (file_is_there(data_directory, "CURRENT")) {
        return fail(STATUS_INVALID, "%s is gone, and it seals this node's keys: give it back",
                    path);
    }
    status = secret_reserve(out, ROOT_SECRET_SIZE);
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

struct status root_secret_read(const char *data_directory, const char *configured,
                               struct secret *out)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (configured[0] != '\0') {
        return read_file(configured, out);
    }
    if (credentials != NULL && file_is_there(credentials, ROOT_SECRET_CREDENTIAL)) {
        char path[PATH_MAX_SIZE];
        (void)snprintf(path, sizeof path, "%.900s/" ROOT_SECRET_CREDENTIAL, credentials);
        return read_file(path, out);
    }
    return read_own(data_directory, out);
}
