/*
 * The thresholds of the data folder's disk.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disk_watch.h"

#include <string.h>

#include "scratch.h"

#define MIB (UINT64_C(1) << 20U)
#define RESERVE (64 * MIB)

/* Each row follows on the one before it. */
static const struct {
    const char *name;
    uint64_t free_mib;
    uint64_t inodes;
    enum disk_state state;
    bool leader;
    bool follower;
} rows[] = {
    {"plenty", 1000, UINT64_MAX, DISK_OK, true, true},
    {"below 5 %", 399, UINT64_MAX, DISK_LOW, true, true},
    {"not a quarter above it yet", 450, UINT64_MAX, DISK_LOW, true, true},
    {"a quarter above it", 501, UINT64_MAX, DISK_OK, true, true},
    {"below what is kept back", 63, UINT64_MAX, DISK_FULL, false, true},
    {"below half of it", 31, UINT64_MAX, DISK_FULL, false, false},
    {"half of it, not a quarter more", 39, UINT64_MAX, DISK_FULL, false, false},
    {"a quarter more than half", 41, UINT64_MAX, DISK_FULL, false, true},
    {"not a quarter more than is kept back", 79, UINT64_MAX, DISK_FULL, false, true},
    {"a quarter more", 81, UINT64_MAX, DISK_LOW, true, true},
    {"nothing", 0, 0, DISK_FULL, false, false},
    {"bytes, but no inode", 1000, 3, DISK_FULL, false, false},
    {"some inodes", 1000, 100, DISK_LOW, true, true},
    {"all again", 1000, 100000, DISK_OK, true, true},
};

static void test_thresholds(void **state)
{
    (void)state;
    struct disk_watch watch;
    disk_watch_init(&watch, RESERVE, 5);
    CHECK_U64(disk_watch_state(&watch), DISK_OK); /* Nothing was seen yet. */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(rows[i].name);
        const struct disk_space space = {
            .free = rows[i].free_mib * MIB, .size = 8000 * MIB, .free_inodes = rows[i].inodes};
        disk_watch_see(&watch, &space);
        CHECK_U64(disk_watch_state(&watch), rows[i].state);
        CHECK_CODE(disk_watch_room(&watch, false), rows[i].leader ? STATUS_OK : STATUS_FULL);
        CHECK_CODE(disk_watch_room(&watch, true), rows[i].follower ? STATUS_OK : STATUS_FULL);
    }
}

/* Looked at more rarely only where the next look comes before anything can run out. */
static void test_far(void **state)
{
    static const struct {
        const char *name;
        struct disk_space space;
        bool far;
    } looks[] = {
        {"plenty", {.free = 90000 * MIB, .size = 100000 * MIB, .free_inodes = 1000}, true},
        {"just far", {.free = 9096 * MIB, .size = 100000 * MIB, .free_inodes = 1000}, true},
        {"near", {.free = 9095 * MIB, .size = 100000 * MIB, .free_inodes = 1000}, false},
        {"few inodes", {.free = 90000 * MIB, .size = 100000 * MIB, .free_inodes = 100}, false},
        {"full", {.free = 0, .size = 100000 * MIB, .free_inodes = 1000}, false},
        {"read only",
         {.free = 90000 * MIB, .size = 100000 * MIB, .free_inodes = 1000, .read_only = true},
         false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        struct disk_watch watch;
        check_row(looks[i].name);
        disk_watch_init(&watch, RESERVE, 5);
        CHECK(!disk_watch_is_far(&watch)); /* Nothing was seen yet. */
        disk_watch_see(&watch, &looks[i].space);
        CHECK(disk_watch_is_far(&watch) == looks[i].far);
    }
}

/* On a small disk the alarm comes at twice what is kept back, whatever part of it that is. */
static void test_small_disk(void **state)
{
    (void)state;
    struct disk_watch watch;
    struct disk_space space = {.free = 2 * RESERVE - 1, .size = 200 * MIB, .free_inodes = 9999};
    disk_watch_init(&watch, RESERVE, 5);
    disk_watch_see(&watch, &space);
    CHECK_U64(disk_watch_state(&watch), DISK_LOW);
}

static void test_words(void **state)
{
    (void)state;
    struct disk_watch watch;
    struct disk_space space = {.free = 10 * MIB, .size = 8000 * MIB, .free_inodes = 9999};
    disk_watch_init(&watch, RESERVE, 5);
    disk_watch_see(&watch, &space);
    struct status status = disk_watch_room(&watch, false);
    CHECK(strstr(status.message, "10 MiB free, 70 MiB less") != NULL);
    CHECK(strstr(status.message, "\nFree space") != NULL);
    space = (struct disk_space){.free = 4000 * MIB, .size = 8000 * MIB, .free_inodes = 2};
    disk_watch_see(&watch, &space);
    status = disk_watch_room(&watch, false);
    CHECK(strstr(status.message, "2 inodes free") != NULL);
    CHECK(strstr(status.message, "\nRemove files") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_far),
        cmocka_unit_test(test_small_disk),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
