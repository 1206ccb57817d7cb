/*
 * Fuzzing commands: any bytes are refused, or decode to a command that encodes and decodes again to
 * the same, and that a store applies or refuses without a failure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(struct status status)
{
    if (failed(status)) {
        (void)fprintf(stderr, "command_fuzz: %s\n", status.message);
        abort();
    }
}

/* One store for the whole run, in memory if there is room: what it holds only makes more of apply
 * reachable. */
static struct store *the_store(void)
{
    static struct store *store;
    if (store != NULL) {
        return store;
    }
    const char *parent = getenv("TMPDIR");
    static char directory[PATH_MAX];
    int size = snprintf(directory, sizeof directory, "%s/command_fuzz-XXXXXX",
                        parent == NULL ? "/tmp" : parent);
    if (size < 0 || (size_t)size >= sizeof directory || mkdtemp(directory) == NULL) {
        abort();
    }
    const struct store_options options = {
        .directory = directory, .map_size_max = (size_t)1 << 30U, .outbox_max = 1000};
    must(store_open(&options, &store));
    return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = {.data = data, .size = size};
    struct arena arena = {0};
    struct buffer first = {0};
    struct buffer second = {0};
    struct command command;
    struct apply_outcome outcome;
    if (!failed(command_decode(bytes, &arena, &command))) {
        must(command_encode(&command, &first));
        must(command_decode(buffer_slice(&first), &arena, &command));
        must(command_encode(&command, &second));
        if (!slice_equal(buffer_slice(&first), buffer_slice(&second))) {
            abort();
        }
        struct store *store = the_store();
        must(store_apply(store, store_applied_index(store) + 1, &bytes, 1, &outcome));
    }
    buffer_release(&first);
    buffer_release(&second);
    arena_release(&arena);
    return 0;
}
