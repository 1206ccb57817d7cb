/*
 * Opening and closing the write-ahead log: options, the writer's thread, the last record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "wal_state.h"

#define RESERVE_COUNT_MIN 2U
#define RESERVE_COUNT_MAX 64U

static void on_async(uv_async_t *async)
{
    struct wal *wal = async->data;
    (void)wal_answer(wal);
}

static void *thread_main(void *context)
{
    struct wal *wal = context;
    for (;;) {
        (void)pthread_mutex_lock(&wal->mutex);
        while (wal->queue == NULL && !wal->closing) {
            (void)pthread_cond_wait(&wal->work, &wal->mutex);
        }
        bool finished = wal->queue == NULL;
        (void)pthread_mutex_unlock(&wal->mutex);
        if (finished) {
            return NULL;
        }
        (void)wal_run_queue(wal);
        (void)uv_async_send(wal->async);
    }
}

static void destroy(struct wal *wal)
{
    if (wal->file >= 0) {
        wal->disk->close(wal->disk->context, wal->file);
    }
    disk_close(&wal->own_disk);
    wal_loaded_release(&wal->loaded);
    wal_files_free(wal->oldest);
    wal_files_free(wal->spares);
    free(wal->manifest);
    (void)pthread_cond_destroy(&wal->work);
    (void)pthread_cond_destroy(&wal->ready);
    (void)pthread_mutex_destroy(&wal->mutex);
    free(wal);
}

static struct status check_options(const struct wal_options *options)
{
    size_t size = options->segment_size;
    unsigned reserve = options->reserve_count;
    if (size != 0 &&
        (size < WAL_SEGMENT_SIZE_MIN || size > WAL_SEGMENT_SIZE_MAX || size % 4096 != 0)) {
        return fail(STATUS_INVALID, "segment_size %zu: a multiple of 4096 from %u to %u", size,
                    WAL_SEGMENT_SIZE_MIN, WAL_SEGMENT_SIZE_MAX);
    }
    if (reserve != 0 && (reserve < RESERVE_COUNT_MIN || reserve > RESERVE_COUNT_MAX)) {
        return fail(STATUS_INVALID, "reserve_count %u: %u to %u", reserve, RESERVE_COUNT_MIN,
                    RESERVE_COUNT_MAX);
    }
    return OK;
}

static struct wal *create(const struct wal_options *options)
{
    struct wal *wal = alloc_zeroed(1, sizeof *wal);
    if (wal == NULL) {
        return NULL;
    }
    wal->disk = options->disk;
    wal->segment_size =
        options->segment_size == 0 ? WAL_SEGMENT_SIZE_DEFAULT : options->segment_size;
    wal->queue_size_max =
        options->queue_size_max == 0 ? WAL_QUEUE_SIZE_MAX_DEFAULT : options->queue_size_max;
    wal->reserve_count =
        options->reserve_count == 0 ? WAL_RESERVE_COUNT_DEFAULT : options->reserve_count;
    wal->salt = options->salt;
    wal->file = -1;
    wal->queue_end = &wal->queue;
    wal->done_end = &wal->done;
    wal->loaded.start_index = 1;
    (void)pthread_mutex_init(&wal->mutex, NULL);
    (void)pthread_cond_init(&wal->work, NULL);
    (void)pthread_cond_init(&wal->ready, NULL);
    return wal;
}

static void on_async_freed(uv_handle_t *handle)
{
    free(handle);
}

static struct status start_thread(struct wal *wal, struct uv_loop_s *loop)
{
    uv_async_t *async = alloc_bytes(sizeof *async);
    if (async == NULL) {
        return fail(STATUS_NO_MEMORY, "start the log's writer");
    }
    int error = uv_async_init(loop, async, on_async);
    if (error != 0) {
        free(async);
        return fail(STATUS_IO, "start the log's writer: %s", uv_strerror(error));
    }
    async->data = wal;
    wal->async = async;
    error = pthread_create(&wal->thread, NULL, thread_main, wal);
    if (error != 0) {
        wal->async = NULL;
        uv_close((uv_handle_t *)async, on_async_freed);
        return fail_errno(error, "start the log's writer");
    }
    wal->threaded = true;
    return OK;
}

struct status wal_open(const struct wal_options *options, struct wal **out)
{
    struct status status = check_options(options);
    if (failed(status)) {
        return status;
    }
    struct wal *wal = create(options);
    if (wal == NULL) {
        return fail(STATUS_NO_MEMORY, "open the log");
    }
    if (wal->disk == NULL) {
        status = disk_open(options->directory, &wal->own_disk);
        wal->disk = &wal->own_disk;
    }
    if (!failed(status)) {
        status = wal_recover(wal);
    }
    if (!failed(status) && options->loop != NULL) {
        status = start_thread(wal, options->loop);
    }
    if (failed(status)) {
        destroy(wal);
        return wrap(status, "open the log");
    }
    *out = wal;
    return OK;
}

/* The last record, so that damage to those before it is never taken for a torn write. wal_place()
 * leaves it room, and after one there is nothing to add. */
static struct status write_close(struct wal *wal)
{
    if (failed(wal->failure) || wal->staged == wal->closed_at) {
        return wal->failure;
    }
    struct status status = wal_stage(wal, &(struct wal_record){.type = WAL_RECORD_CLOSE});
    if (!failed(status)) {
        status = wal_sync(wal);
    }
    return failed(status) ? wrap(status, "mark the log's orderly end") : OK;
}

static void finish_close(struct wal *wal)
{
    (void)wal_answer(wal);
    wal_closed closed = wal->closed;
    void *context = wal->closed_context;
    struct status status = write_close(wal);
    destroy(wal);
    if (closed != NULL) {
        closed(context, status);
    }
}

static void on_async_closed(uv_handle_t *handle)
{
    struct wal *wal = handle->data;
    free(handle);
    finish_close(wal);
}

void wal_close(struct wal *wal, wal_closed closed, void *context)
{
    if (wal == NULL) {
        closed(context, OK);
        return;
    }
    wal->closed = closed;
    wal->closed_context = context;
    if (wal->async == NULL) {
        (void)wal_pump(wal);
        finish_close(wal);
        return;
    }
    (void)pthread_mutex_lock(&wal->mutex);
    wal->closing = true;
    (void)pthread_cond_signal(&wal->work);
    (void)pthread_mutex_unlock(&wal->mutex);
    (void)pthread_join(wal->thread, NULL);
    uv_close((uv_handle_t *)wal->async, on_async_closed);
}
