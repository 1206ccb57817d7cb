/*
 * The manifest of a snapshot, byte by byte: it is in logs and travels between members of two versions.
 * An image's own bytes are store_golden_test's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "machine.h"

#include "base/hex.h"
#include "scratch.h"
#include "store/store.h"

static void test_golden_manifest(void **state)
{
    static const char expected[] = "83010102cd012c03c41000000000000000000000000000000000";
    char folder[SCRATCH_PATH_SIZE];
    char hex[sizeof expected] = "";
    struct store *store = NULL;
    struct buffer manifest = {0};
    (void)state;
    scratch_make(folder);
    const struct store_options options = {
        .directory = folder, .map_size_max = (size_t)1 << 20U, .outbox_max = 1};
    CHECK_OK(store_open(&options, &store));
    CHECK_OK(machine_manifest(store, 300, &manifest));
    CHECK_U64(manifest.size, sizeof expected / 2);
    hex_encode(buffer_slice(&manifest), hex);
    CHECK_SLICE(slice_of(hex), slice_of(expected));
    buffer_release(&manifest);
    store_close(store);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_manifest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
