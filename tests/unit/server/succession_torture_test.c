/*
 * A succession under failures: from its own log, and from a snapshot, the first visit to each fault
 * point fails, then the second, ... until one comes to its end. After each failure the node opens in
 * the lineage that it had, with its key and its state; when it came to its end, in the new one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "succession.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "daemon_harness.h"
#include "sealed_snapshot.h"
#include "store/store.h"

#define ALLOCATION_STEP 29 /* Of some hundreds; MUSTER_TORTURE_STEP=1 comes to every one. */

static struct daemon_harness node;

struct state {
    char lineage[IDENTITY_LINEAGE_SIZE];
    uint64_t node_id;
    uint64_t cluster_lineage; /* As the state counts them. */
    uint64_t applied;
};

static struct store *open_store(const struct identity *identity)
{
    char path[IDENTITY_PATH_SIZE + 16];
    struct store *store = NULL;
    (void)snprintf(path, sizeof path, "%s/store", identity->path);
    const struct store_options options = {
        .directory = path, .map_size_max = (size_t)256 << 20U, .outbox_max = 1000};
    CHECK_OK(store_open(&options, &store));
    return store;
}

/* The node as its next start finds it. */
static struct state look(void)
{
    struct state state;
    struct identity identity = {0};
    struct arena arena = {0};
    struct cluster_view cluster;
    CHECK_OK(identity_open(node.config.data_directory, "", "a", clock_now_ms(), &identity));
    CHECK_OK(identity_sweep(node.config.data_directory, &identity));
    struct store *store = open_store(&identity);
    CHECK_OK(store_cluster(store, &arena, &cluster));
    CHECK_SLICE(cluster.name, slice_of("office"));
    state = (struct state){
        .node_id = identity.node_id,
        .cluster_lineage = cluster.lineage,
        .applied = store_applied_index(store),
    };
    (void)snprintf(state.lineage, sizeof state.lineage, "%s", identity.lineage);
    store_close(store);
    arena_release(&arena);
    identity_release(&identity);
    return state;
}

static size_t folder_count(void)
{
    size_t count = 0;
    DIR *folder = opendir(node.config.data_directory);
    if (folder == NULL) {
        abort();
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += strncmp(entry->d_name, "lineage-", 8) == 0;
    }
    (void)closedir(folder);
    return count;
}

/* Fail the (after + 1)th visit; false if there was none, and then the node has moved on. */
static bool torture_once(struct succession *order, enum fault_point point, int after)
{
    struct state before = look();
    fault_arm(point, after, 1);
    order->at_ms = clock_now_ms();
    struct status status = succession_carry_out(&node.config, order);
    int fired = fault_reset();
    struct state now = look();
    CHECK_U64(now.node_id, before.node_id);
    if (failed(status)) {
        CHECK(fired != 0);
        CHECK(strcmp(now.lineage, before.lineage) == 0);
        CHECK_U64(now.cluster_lineage, before.cluster_lineage);
        CHECK_U64(now.applied, before.applied);
    } else {
        CHECK(strcmp(now.lineage, before.lineage) != 0);
    }
    CHECK(folder_count() <= 3); /* The present one, the one aside, the standalone life before. */
    return fired != 0;
}

static void torture(struct succession *order)
{
    static const enum fault_point points[] = {
        FAULT_ALLOC,
        FAULT_STORE_PUT,
        FAULT_STORE_COMMIT,
        FAULT_STORE_SYNC,
        FAULT_WAL_OPEN,
        FAULT_WAL_ALLOCATE,
        FAULT_WAL_WRITE,
        FAULT_WAL_SYNC,
        FAULT_WAL_RENAME,
        FAULT_FILE_WRITE,
        FAULT_FILE_SYNC,
        FAULT_FILE_RENAME,
        FAULT_FILE_SYNC_FOLDER,
        FAULT_FILE_MAKE_FOLDER,
        FAULT_STORE_IMAGE_WRITE,
        FAULT_SUCCESSION_SYNC,
        FAULT_SUCCESSION_PLACE,
        FAULT_FILE_REMOVE,
    };
    const char *given = getenv("MUSTER_TORTURE_STEP");
    int given_step = given == NULL ? ALLOCATION_STEP : (int)strtol(given, NULL, 10);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        int step = points[i] == FAULT_ALLOC && given_step > 0 ? given_step : 1;
        int after = 0;
        check_row(fault_name(points[i]));
        while (torture_once(order, points[i], after)) {
            after += step;
        }
        (void)fprintf(stderr, "%s: %d visits\n", fault_name(points[i]), after);
    }
}

static void test_recover(void **state)
{
    struct succession order = {.kind = SUCCESSION_RECOVER, .by = {.actor = "test"}};
    struct state before = look();
    (void)state;
    torture(&order);
    CHECK(look().cluster_lineage > before.cluster_lineage);
}

static void write_snapshot(const struct identity *identity, const char *path)
{
    char image_path[2 * SCRATCH_PATH_SIZE];
    struct arena arena = {0};
    struct store *store = open_store(identity);
    struct snapshot_header header = {
        .cluster_id = slice_of(identity->cluster_id),
        .cluster = slice_of("office"),
        .lineage = 1,
        .index = store_applied_index(store),
        .term = 5,
        .taken_at_ms = clock_now_ms(),
        .node = slice_of("a"),
        .version = slice_of("0.1"),
        .digest = slice_of("7:ab"),
        .members = 1,
        .key_epoch = identity->keys.epoch,
    };
    (void)snprintf(image_path, sizeof image_path, "%s/image", node.folder);
    int image = open(image_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(image >= 0 && out >= 0);
    CHECK_OK(store_image_write(store, image));
    CHECK_OK(snapshot_pack(image, secret_slice(&identity->keys.key), &arena, &header, out));
    (void)close(image);
    (void)close(out);
    store_close(store);
    arena_release(&arena);
}

static void test_restore(void **state)
{
    struct succession order = {.kind = SUCCESSION_RESTORE, .by = {.actor = "test"}};
    struct identity identity = {0};
    (void)state;
    (void)snprintf(order.file, sizeof order.file, "%s/snapshot", node.folder);
    CHECK_OK(identity_open(node.config.data_directory, "", "a", clock_now_ms(), &identity));
    CHECK_OK(secret_copy(&order.cluster_key, secret_slice(&identity.keys.key)));
    write_snapshot(&identity, order.file);
    identity_release(&identity);
    torture(&order);
    secret_release(&order.cluster_key);
}

/* What came out of all that is a node: it starts, leads itself and takes commands. */
static void test_lives(void **state)
{
    struct rpc_done done = {0};
    struct arena arena = {0};
    const struct connection_request request = {.method = RPC_EXPORT_RESUME,
                                               .params = &(struct rpc_empty){0}};
    (void)state;
    daemon_harness_start(&node);
    CHECK_U64(daemon_harness_ask(&node, &request, &arena, &done, NULL), 0);
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    arena_release(&arena);
}

static int set_up(void **state)
{
    const struct rpc_cluster_init init = {.name = slice_of("office")};
    const struct connection_request request = {.method = RPC_CLUSTER_INIT, .params = &init};
    (void)state;
    daemon_harness_make(&node, "a");
    daemon_harness_start(&node);
    CHECK_U64(daemon_harness_ask(&node, &request, NULL, NULL, NULL), 0);
    CHECK_U64((uint64_t)daemon_harness_stop(&node), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)fault_reset();
    daemon_harness_release(&node);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recover),
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_lives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
