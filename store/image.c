/*
 * Images: a compact copy of the last flushed state, and putting one in place of the store's own
 * file.
 *
 * Installing keeps a second link to the old file until the new one is open:
 *
 *   check image -> sync it -> flush, close ours -> link data.mdb to data.mdb.old
 *               -> rename image to data.mdb -> sync the directory -> open -> unlink data.mdb.old
 *
 * A crash at any arrow leaves in data.mdb either the whole old state or the whole new one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "rows.h"
#include "store/store.h"
#include "store_state.h"

struct status store_image_write(struct store *store, int fd)
{
    int rv = pthread_rwlock_rdlock(&store->image_lock);
    if (rv != 0) {
        return fail_errno(rv, "write an image");
    }
    struct status status;
    if (store->env == NULL) {
        status = fail(STATUS_IO, "write an image: the store is not open");
    } else {
        rv = fault_fires(FAULT_STORE_IMAGE_WRITE) ? EIO
                                                  : mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT);
        status = status_of_lmdb(rv, "write an image");
    }
    (void)pthread_rwlock_unlock(&store->image_lock);
    return status;
}

static struct status sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno, "open %s", path);
    }
    int rv = fault_fires(FAULT_STORE_SYNC) ? (errno = EIO, -1) : fsync(fd);
    struct status status = rv == 0 ? OK : fail_errno(errno, "sync %s", path);
    (void)close(fd);
    return status;
}

/* ---- Checking ---- */

static struct status check_cluster(struct store *store, struct store *image, const char *path)
{
    struct arena arena = {0};
    struct cluster_view ours;
    struct cluster_view theirs;
    struct status status = store_cluster(store, &arena, &ours);
    if (status.code == STATUS_NOT_FOUND) { /* An empty store takes any cluster's image. */
        arena_release(&arena);
        return OK;
    }
    if (!failed(status)) {
        status = store_cluster(image, &arena, &theirs);
    }
    if (status.code == STATUS_NOT_FOUND ||
        (!failed(status) && !slice_equal(ours.cluster_id, theirs.cluster_id))) {
        status = fail(STATUS_INVALID, "the image %s is of another cluster", path);
    }
    arena_release(&arena);
    return status;
}

/* LMDB takes an empty file for a new one and would write to it. */
static struct status check_not_empty(const char *path)
{
    struct stat file;
    if (stat(path, &file) != 0) {
        return fail_errno(errno, "look at the image %s", path);
    }
    return file.st_size > 0 ? OK : fail(STATUS_CORRUPT, "the image %s is empty", path);
}

static struct status check_image(struct store *store, const char *path, uint64_t index_min)
{
    struct status nonempty = check_not_empty(path);
    if (failed(nonempty)) {
        return nonempty;
    }
    struct store image = {
        .env_flags = MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS,
        .map_size_max = store->map_size_max,
        .directory = alloc_text(path),
    };
    struct status status = image.directory == NULL
                               ? fail(STATUS_NO_MEMORY, "check the image %s", path)
                               : store_attach(&image);
    if (!failed(status) && image.head.applied_index < index_min) {
        status = fail(STATUS_INVALID, "the image %s stands at %llu, at least %llu is needed", path,
                      (unsigned long long)image.head.applied_index, (unsigned long long)index_min);
    }
    if (!failed(status)) {
        status = store_check_level(&image);
    }
    if (!failed(status)) {
        status = check_cluster(store, &image, path);
    }
    store_detach(&image);
    arena_release(&image.arena);
    free(image.directory);
    return status;
}

/* ---- Exchanging ---- */

struct exchange {
    struct store *store;
    char *data;
    char *old;
};

static bool exchange_init(struct exchange *exchange, struct store *store)
{
    *exchange = (struct exchange){
        .store = store,
        .data = store_path(store, "data.mdb"),
        .old = store_path(store, "data.mdb.old"),
    };
    return exchange->data != NULL && exchange->old != NULL;
}

static void exchange_release(struct exchange *exchange)
{
    free(exchange->data);
    free(exchange->old);
}

/* The old file gets its own name back, whatever stands there. */
static struct status put_back(struct exchange *exchange, struct status reason)
{
    struct store *store = exchange->store;
    store_detach(store);
    (void)rename(exchange->old, exchange->data);
    struct status status = store_attach(store);
    if (failed(status)) {
        store->broken = status;
    }
    return reason;
}

static struct status move_in(struct exchange *exchange, const char *path)
{
    struct store *store = exchange->store;
    store_detach(store);
    (void)unlink(exchange->old);
    if (fault_fires(FAULT_STORE_IMAGE_LINK) ? (errno = EIO, true)
                                            : link(exchange->data, exchange->old) != 0) {
        return fail_errno(errno, "link %s", exchange->old);
    }
    if (fault_fires(FAULT_STORE_IMAGE_RENAME) ? (errno = EIO, true)
                                              : rename(path, exchange->data) != 0) {
        return fail_errno(errno, "rename %s", path);
    }
    struct status status = sync_path(store->directory, O_DIRECTORY);
    if (!failed(status) && fault_fires(FAULT_STORE_IMAGE_OPEN)) {
        status = fail_errno(EIO, "open %s", exchange->data);
    }
    return failed(status) ? status : store_attach(store);
}

static struct status install(struct store *store, const char *path, uint64_t index_min)
{
    struct exchange exchange;
    struct status status = check_image(store, path, index_min);
    if (!failed(status)) {
        status = sync_path(path, 0);
    }
    if (!failed(status)) {
        status = store_flush(store);
    }
    if (failed(status)) {
        return status;
    }
    if (!exchange_init(&exchange, store)) {
        exchange_release(&exchange);
        return fail(STATUS_NO_MEMORY, "install an image");
    }
    status = move_in(&exchange, path);
    if (failed(status)) {
        status = put_back(&exchange, status);
    } else {
        fault_step(FAULT_STORE_IMAGE_DONE);
        (void)unlink(exchange.old);
    }
    exchange_release(&exchange);
    return status;
}

struct status store_image_install(struct store *store, const char *path, uint64_t index_min)
{
    if (failed(store->broken)) {
        return store->broken;
    }
    if (pthread_rwlock_trywrlock(&store->image_lock) != 0) {
        return fail(STATUS_BUSY, "install an image: one is being written");
    }
    struct status status = install(store, path, index_min);
    store->writer.callers_version++;
    (void)pthread_rwlock_unlock(&store->image_lock);
    return failed(status) ? wrap(status, "install an image") : OK;
}

struct status image_clean(const struct store *store)
{
    char *old = store_path(store, "data.mdb.old");
    if (old == NULL) {
        return fail(STATUS_NO_MEMORY, "open the store");
    }
    (void)unlink(old);
    free(old);
    return OK;
}
