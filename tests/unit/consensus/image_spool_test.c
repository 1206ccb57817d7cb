/*
 * The file that images are served from: made once for a version, and never half.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "image_spool.h"

#define BLOCK_SIZE 65536U

/* The machine, and what it is to do; read by its thread. */
static struct {
    unsigned block_count;
    bool fails;         /* At the end. */
    atomic_bool stalls; /* At the beginning. */
    atomic_uint begun;
} machine;

static struct status machine_write(void *context, int fd)
{
    static char block[BLOCK_SIZE];
    (void)context;
    atomic_fetch_add(&machine.begun, 1);
    while (atomic_load(&machine.stalls)) {
        (void)usleep(1000); /* A slow disk; the test ends it. */
    }
    for (unsigned i = 0; i < machine.block_count; i++) {
        if (write(fd, block, sizeof block) != (ssize_t)sizeof block) {
            return fail_errno(errno, "write a block");
        }
    }
    return machine.fails ? fail(STATUS_IO, "the store is broken") : OK;
}

struct scene {
    char folder[SCRATCH_PATH_SIZE];
    struct image_spool *spool;
    atomic_bool cancelled;
};

static void scene_reopen(struct scene *scene)
{
    const struct image_spool_options options = {.directory = scene->folder, .write = machine_write};
    image_spool_destroy(scene->spool);
    CHECK_OK(image_spool_create(&options, &scene->spool));
}

static void scene_open(struct scene *scene, unsigned block_count)
{
    machine.block_count = block_count;
    machine.fails = false;
    atomic_store(&machine.stalls, false);
    atomic_store(&machine.begun, 0);
    *scene = (struct scene){0};
    scratch_make(scene->folder);
    scene_reopen(scene);
}

static void scene_close(struct scene *scene)
{
    image_spool_destroy(scene->spool);
    scratch_remove(scene->folder);
}

static bool is_there(const struct scene *scene, const char *name)
{
    char path[SCRATCH_PATH_SIZE + 32];
    (void)snprintf(path, sizeof path, "%s/%s", scene->folder, name);
    return access(path, F_OK) == 0;
}

static void get(struct scene *scene, uint64_t version, uint64_t size)
{
    int fd = -1;
    struct stat file;
    CHECK_OK(image_spool_get(scene->spool, version, &scene->cancelled, &fd));
    CHECK(fstat(fd, &file) == 0);
    CHECK_U64((uint64_t)file.st_size, size);
    CHECK(close(fd) == 0);
}

/* Once for all who ask, also after a restart; a newer one replaces it. */
static void test_versions(void **state)
{
    struct scene scene;
    (void)state;
    scene_open(&scene, 300); /* Beyond one window of the writing behind. */
    get(&scene, 7, 300U * BLOCK_SIZE);
    get(&scene, 7, 300U * BLOCK_SIZE);
    scene_reopen(&scene);
    get(&scene, 7, 300U * BLOCK_SIZE);
    CHECK_U64(atomic_load(&machine.begun), 1);
    CHECK(is_there(&scene, "image-7.spool"));
    machine.block_count = 1;
    get(&scene, 9, BLOCK_SIZE);
    CHECK_U64(atomic_load(&machine.begun), 2);
    CHECK(!is_there(&scene, "image-7.spool") && is_there(&scene, "image-9.spool"));
    scene_close(&scene);
}

/* Whatever fails, no file is left that could be taken for an image. */
static void test_failures(void **state)
{
    static const struct {
        const char *name;
        bool fails;
        enum fault_point point; /* FAULT_COUNT: none. */
        int after;
        enum status_code code;
    } rows[] = {
        {"the machine", true, FAULT_COUNT, 0, STATUS_IO},
        {"the disk is full", false, FAULT_IMAGE_WRITE, 0, STATUS_FULL},
        {"the disk is full later", false, FAULT_IMAGE_WRITE, 2, STATUS_FULL},
        {"the sync", false, FAULT_IMAGE_SYNC, 0, STATUS_IO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        int fd = -1;
        check_row(rows[i].name);
        scene_open(&scene, 40);
        machine.fails = rows[i].fails;
        if (rows[i].point != FAULT_COUNT) {
            fault_arm(rows[i].point, rows[i].after, 1);
        }
        CHECK_CODE(image_spool_get(scene.spool, 7, &scene.cancelled, &fd), rows[i].code);
        CHECK_U64((uint64_t)fault_reset(), rows[i].point != FAULT_COUNT);
        CHECK(!is_there(&scene, "image-7.spool") && !is_there(&scene, "image.tmp"));
        machine.fails = false;
        get(&scene, 7, 40U * BLOCK_SIZE);
        scene_close(&scene);
    }
}

static void *cancel(void *argument)
{
    struct scene *scene = argument;
    while (atomic_load(&machine.begun) == 0) {
        (void)usleep(1000);
    }
    atomic_store(&scene->cancelled, true);
    while (is_there(scene, "image.tmp")) {
        atomic_store(&machine.stalls, false); /* It would be joined for ever otherwise. */
        (void)usleep(1000);
    }
    return NULL;
}

static void test_cancelled(void **state)
{
    struct scene scene;
    pthread_t thread;
    int fd = -1;
    (void)state;
    scene_open(&scene, 40);
    atomic_store(&machine.stalls, true);
    CHECK(pthread_create(&thread, NULL, cancel, &scene) == 0);
    CHECK_CODE(image_spool_get(scene.spool, 7, &scene.cancelled, &fd), STATUS_UNKNOWN);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!is_there(&scene, "image-7.spool") && !is_there(&scene, "image.tmp"));
    CHECK_CODE(image_spool_get(scene.spool, 7, &scene.cancelled, &fd), STATUS_UNKNOWN);
    CHECK_U64(atomic_load(&machine.begun), 1);
    scene_close(&scene);
}

/* What a crash leaves is no image, and goes. */
static void test_leftovers(void **state)
{
    static const char *const names[] = {"image.tmp", "image-3.spool.gone", "image-5.spool"};
    struct scene scene;
    char path[SCRATCH_PATH_SIZE + 32];
    (void)state;
    scene_open(&scene, 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", scene.folder, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    scene_reopen(&scene);
    CHECK(!is_there(&scene, "image.tmp"));
    get(&scene, 7, BLOCK_SIZE);
    CHECK(!is_there(&scene, "image-3.spool.gone") && !is_there(&scene, "image-5.spool"));
    scene_close(&scene);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* As every program here must. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_leftovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
