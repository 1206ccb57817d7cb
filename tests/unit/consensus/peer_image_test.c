/*
 * Images over the peer network: whole ones verified, broken ones refused and removed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "image_file.h"
#include "peer_harness.h"

#define BLOCK_SIZE 100000U /* Not a power of two, so that frames and blocks do not align. */

/* What image_open() is to do, read by its thread. */
static struct {
    unsigned block_count;
    unsigned seed;      /* Another one: another image. */
    bool fails;         /* At the end. */
    atomic_bool stalls; /* At the beginning, until it is cleared. */
    atomic_int running;
} image;

static void fill(char *block, unsigned number)
{
    for (size_t i = 0; i < BLOCK_SIZE; i++) {
        block[i] = (char)((i * 7 + number + image.seed) * 2654435761U >> 16U);
    }
}

static struct status write_block(int fd, const char *block)
{
    for (size_t done = 0; done < BLOCK_SIZE;) {
        ssize_t written = write(fd, block + done, BLOCK_SIZE - done);
        if (written < 0) {
            return fail_errno(errno, "write a block");
        }
        done += (size_t)written;
    }
    return OK;
}

static uint64_t image_version(void *context)
{
    (void)context;
    return 1;
}

static struct status image_open(void *context, uint64_t version, const atomic_bool *cancelled,
                                int *fd)
{
    static _Thread_local char block[BLOCK_SIZE];
    struct status status = OK;
    char path[] = "/tmp/muster-image-XXXXXX";
    (void)context;
    CHECK_U64(version, 1);
    *fd = mkstemp(path);
    CHECK(*fd >= 0 && unlink(path) == 0);
    atomic_fetch_add(&image.running, 1);
    for (unsigned i = 0; i < image.block_count && !failed(status); i++) {
        fill(block, i);
        status = write_block(*fd, block);
    }
    while (atomic_load(&image.stalls) && !atomic_load(cancelled)) {
        (void)usleep(1000); /* A slow disk; the condition is cleared by the test. */
    }
    atomic_fetch_sub(&image.running, 1);
    status = !failed(status) && image.fails ? fail(STATUS_IO, "the disk is broken") : status;
    if (failed(status)) {
        (void)close(*fd);
    } else {
        CHECK(lseek(*fd, 0, SEEK_SET) == 0);
    }
    return status;
}

struct fetched {
    struct peer_image image;
    unsigned answered;
    struct status status;
};

static void on_fetched(struct peer_image *request, struct status status)
{
    struct fetched *fetched = request->context;
    fetched->answered++;
    fetched->status = status;
}

struct scene {
    struct world world;
    struct node *a;
    struct node *b;
    char folder[SCRATCH_PATH_SIZE];
    char path[SCRATCH_PATH_SIZE + 8];
};

static void scene_open(struct scene *scene, unsigned block_count)
{
    image.block_count = block_count;
    image.fails = false;
    image.seed = 0;
    atomic_store(&image.stalls, false);
    scratch_make(scene->folder);
    (void)snprintf(scene->path, sizeof scene->path, "%s/image", scene->folder);
    world_open(&scene->world, 2);
    scene->a = &scene->world.nodes[0];
    scene->b = &scene->world.nodes[1];
    scene->world.options.image_version = image_version;
    scene->world.options.image_open = image_open;
}

static void scene_close(struct scene *scene)
{
    world_close(&scene->world);
    CHECK_U64((uint64_t)atomic_load(&image.running), 0);
    scratch_remove(scene->folder);
}

static void fetch(struct scene *scene, const char *path, struct fetched *out)
{
    *out = (struct fetched){.image = {.context = out}};
    CHECK_OK(peer_image_fetch(scene->a->peers, &out->image, scene->b->node_id, path, on_fetched));
    CHECK_U64(out->answered, 0);
}

static void check_file(const char *path, unsigned block_count)
{
    static char expected[BLOCK_SIZE];
    static char found[BLOCK_SIZE];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    for (unsigned i = 0; i < block_count; i++) {
        fill(expected, i);
        CHECK_U64(fread(found, 1, sizeof found, file), sizeof found);
        assert_memory_equal(found, expected, sizeof found);
    }
    CHECK(fgetc(file) == EOF);
    CHECK(fclose(file) == 0);
}

static void test_whole(void **state)
{
    static const unsigned rows[] = {0, 1, 500}; /* 500: 50 MB. */
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        struct fetched fetched;
        struct sent sent;
        scene_open(&scene, rows[i]);
        node_open(scene.a);
        node_open(scene.b);
        node_connect(scene.a, scene.b);
        fetch(&scene, scene.path, &fetched);
        node_send(scene.a, scene.b, heartbeat(), &sent); /* Messages go on meanwhile. */
        CHECK_OK(sent.status);
        WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1 && sent.answered == 1);
        CHECK_OK(fetched.status);
        check_file(scene.path, rows[i]);
        scene_close(&scene);
    }
}

static void test_rate(void **state)
{
    struct scene scene;
    struct fetched fetched;
    (void)state;
    scene_open(&scene, 20);
    scene.world.options.image_rate_max = 8000000;
    node_open(scene.a);
    node_open(scene.b);
    uint64_t began_ms = uv_now(&scene.world.loop);
    fetch(&scene, scene.path, &fetched);
    WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1);
    CHECK_OK(fetched.status);
    CHECK(uv_now(&scene.world.loop) - began_ms >= 200); /* 2 MB at 8 MB/s, less one pipe. */
    check_file(scene.path, 20);
    scene_close(&scene);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *name;
        bool fails;
        bool none;
        bool banned;
        enum status_code code;
    } rows[] = {
        {"the image cannot be written", true, false, false, STATUS_IO},
        {"no images here", false, true, false, STATUS_NOT_FOUND},
        {"not a member", false, false, true, STATUS_UNAUTHORIZED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        struct fetched fetched;
        check_row(rows[i].name);
        scene_open(&scene, 3);
        image.fails = rows[i].fails;
        scene.world.options.image_open = rows[i].none ? NULL : image_open;
        node_open(scene.a);
        node_open(scene.b);
        scene.a->banned = rows[i].banned;
        fetch(&scene, scene.path, &fetched);
        WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1);
        CHECK_CODE(fetched.status, rows[i].code);
        CHECK(access(scene.path, F_OK) != 0);
        scene_close(&scene);
    }
}

static void test_busy(void **state)
{
    struct scene scene;
    struct fetched fetched[PEER_IMAGES_MAX + 1];
    char paths[PEER_IMAGES_MAX + 1][sizeof scene.path + 2];
    (void)state;
    scene_open(&scene, 3);
    atomic_store(&image.stalls, true);
    node_open(scene.a);
    node_open(scene.b);
    for (int i = 0; i <= PEER_IMAGES_MAX; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s%d", scene.path, i);
        fetch(&scene, paths[i], &fetched[i]);
    }
    unsigned answered = 0;
    while (answered == 0) {
        CHECK(uv_run(&scene.world.loop, UV_RUN_ONCE) != 0);
        for (int i = 0; i <= PEER_IMAGES_MAX; i++) {
            answered += fetched[i].answered;
        }
    }
    CHECK_U64(answered, 1);
    atomic_store(&image.stalls, false);
    unsigned good = 0;
    unsigned busy = 0;
    for (int i = 0; i <= PEER_IMAGES_MAX; i++) {
        WORLD_RUN_UNTIL(&scene.world, fetched[i].answered == 1);
        good += fetched[i].status.code == STATUS_OK;
        busy += fetched[i].status.code == STATUS_BUSY;
    }
    CHECK(good == PEER_IMAGES_MAX && busy == 1);
    scene_close(&scene);
}

/* Run until this much of the image has been received. */
static void run_until_received(struct scene *scene, uint64_t size)
{
    struct peer_transfer transfers[PEER_TRANSFERS_MAX];
    do {
        CHECK(uv_run(&scene->world.loop, UV_RUN_ONCE) != 0);
    } while (peers_transfers(scene->a->peers, transfers) != 1 || transfers[0].done_size < size);
    CHECK(!transfers[0].sending && transfers[0].node_id == scene->b->node_id);
    CHECK(transfers[0].total_size == (uint64_t)image.block_count * BLOCK_SIZE);
    CHECK_U64(peers_transfers(scene->b->peers, transfers), 1);
    CHECK(transfers[0].sending && transfers[0].node_id == scene->a->node_id);
}

static uint64_t size_of(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
}

/* Ended half way by each of those who can; then tried again, and gone on with unless what is there is
 * of another image or damaged. */
static void test_interrupted(void **state)
{
    static const struct {
        const char *name;
        enum status_code code;
        bool resumes;
    } rows[] = {
        {"cancelled", STATUS_UNKNOWN, true},
        {"the server restarts", STATUS_IO, true},
        {"the fetcher restarts", STATUS_UNKNOWN, true},
        {"the server stalls", STATUS_TIMEOUT, true},
        {"the server bans the fetcher", STATUS_UNAUTHORIZED, true},
        {"another image is served", STATUS_UNKNOWN, false},
        {"the part is damaged", STATUS_UNKNOWN, false},
        {"the part is longer than the image", STATUS_UNKNOWN, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        struct fetched fetched;
        struct peers_statistics statistics = {0};
        check_row(rows[i].name);
        scene_open(&scene, 50);
        scene.world.options.dead_ms = i == 3 ? 200 : 5000;
        scene.world.options.image_rate_max = 20000000;
        node_open(scene.a);
        node_open(scene.b);
        fetch(&scene, scene.path, &fetched);
        run_until_received(&scene, 1000000);
        if (i == 1) {
            node_close(scene.b);
        } else if (i == 2) {
            node_close(scene.a);
            CHECK_U64(fetched.answered, 1);
        } else if (i == 3) {
            peers_set_image_rate(scene.b->peers, 1);
        } else if (i == 4) {
            scene.a->banned = true;
            peers_review(scene.b->peers);
        } else {
            peer_image_cancel(&fetched.image);
            CHECK_U64(fetched.answered, 0);
        }
        WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1);
        CHECK_CODE(fetched.status, rows[i].code);
        uint64_t part_size = size_of(scene.path);
        CHECK(part_size > 0 && part_size < 50U * BLOCK_SIZE);

        scene.a->banned = false;
        if (i == 1) {
            node_open(scene.b);
        } else if (i == 2) {
            node_open(scene.a);
        } else if (i == 3) {
            peers_set_image_rate(scene.b->peers, 0);
        } else if (i == 5) {
            image.seed = 1;
        } else if (i == 6) {
            int fd = open(scene.path, O_WRONLY);
            CHECK(fd >= 0 && pwrite(fd, "x", 1, 12345) == 1 && close(fd) == 0);
        } else if (i == 7) {
            image.block_count = 2;
        }
        fetch(&scene, scene.path, &fetched);
        WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1);
        CHECK_OK(fetched.status);
        check_file(scene.path, image.block_count);
        peers_statistics(scene.a->peers, &statistics);
        CHECK_U64(statistics.images_resumed, rows[i].resumes);
        scene_close(&scene);
    }
}

/* While the image is being written to a file, which may take long, the connection lives. */
static void test_slow_disk(void **state)
{
    struct scene scene;
    struct fetched fetched;
    (void)state;
    scene_open(&scene, 3);
    atomic_store(&image.stalls, true);
    scene.world.options.dead_ms = 100;
    node_open(scene.a);
    node_open(scene.b);
    fetch(&scene, scene.path, &fetched);
    uint64_t began_ms = uv_now(&scene.world.loop);
    WORLD_RUN_UNTIL(&scene.world, uv_now(&scene.world.loop) - began_ms > 500);
    CHECK_U64(fetched.answered, 0);
    atomic_store(&image.stalls, false);
    WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1);
    CHECK_OK(fetched.status);
    scene_close(&scene);
}

static void test_disk_full(void **state)
{
    static const int visits[] = {0, 1, 3};
    (void)state;
    for (size_t i = 0; i < sizeof visits / sizeof visits[0]; i++) {
        struct scene scene;
        struct fetched fetched;
        scene_open(&scene, 50);
        node_open(scene.a);
        node_open(scene.b);
        fault_arm(FAULT_IMAGE_WRITE, visits[i], 1);
        fetch(&scene, scene.path, &fetched);
        WORLD_RUN_UNTIL(&scene.world, fetched.answered == 1);
        CHECK_U64((uint64_t)fault_reset(), 1);
        CHECK_CODE(fetched.status, STATUS_FULL);
        CHECK(access(scene.path, F_OK) != 0);
        scene_close(&scene);
    }
    struct scene scene;
    struct fetched fetched = {0};
    scene_open(&scene, 1);
    node_open(scene.a);
    node_open(scene.b);
    CHECK_CODE(peer_image_fetch(scene.a->peers, &fetched.image, scene.b->node_id,
                                "/no/such/folder/image", on_fetched),
               STATUS_NOT_FOUND);
    scene_close(&scene);
}

/* An image that is not what its checksum says, through the file's own door. */
struct finished {
    unsigned looked;
    unsigned count;
    unsigned closed;
    struct status status;
};

static void on_looked(void *context, uint64_t size, const uint8_t digest[IMAGE_DIGEST_SIZE])
{
    struct finished *finished = context;
    (void)digest;
    CHECK_U64(size, 0);
    finished->looked++;
}

static void on_progress(void *context, struct status status)
{
    (void)context;
    CHECK_OK(status);
}

static void on_finished(void *context, struct status status)
{
    struct finished *finished = context;
    finished->count++;
    finished->status = status;
}

static void on_file_closed(void *context)
{
    struct finished *finished = context;
    finished->closed++;
}

static const struct image_file_handlers file_handlers = {
    .on_looked = on_looked,
    .on_progress = on_progress,
    .on_finished = on_finished,
};

static void test_corrupt(void **state)
{
    /* SHA-256 of "abc" (FIPS 180-4). */
    static const uint8_t digest[32] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                       0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                       0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                       0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    static const struct {
        const char *name;
        const char *bytes;
        uint64_t size;
        enum status_code code;
    } rows[] = {
        {"good", "abc", 3, STATUS_OK},
        {"other bytes", "abd", 3, STATUS_CORRUPT},
        {"other size", "abc", 4, STATUS_CORRUPT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scene scene;
        struct image_file *file = NULL;
        struct finished finished = {0};
        bool full = false;
        check_row(rows[i].name);
        scene_open(&scene, 0);
        CHECK_OK(image_file_open(&scene.world.loop, scene.path, &file_handlers, &finished, &file));
        WORLD_RUN_UNTIL(&scene.world, finished.looked == 1);
        image_file_begin(file, false);
        CHECK_OK(image_file_add(file, slice_of(rows[i].bytes), &full));
        CHECK(!full);
        image_file_finish(file, rows[i].size, digest);
        WORLD_RUN_UNTIL(&scene.world, finished.count == 1);
        CHECK_CODE(finished.status, rows[i].code);
        image_file_close(file, false, on_file_closed);
        WORLD_RUN_UNTIL(&scene.world, finished.closed == 1);
        CHECK((access(scene.path, F_OK) == 0) == (rows[i].code == STATUS_OK));
        scene_close(&scene);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* As every program here must. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),       cmocka_unit_test(test_rate),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_busy),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_slow_disk),
        cmocka_unit_test(test_disk_full),   cmocka_unit_test(test_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
