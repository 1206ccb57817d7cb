/*
 * Fuzzing commands: any bytes are refused, or decode to a command that encodes and decodes again to the
 * same, and that a store applies or refuses without a failure. Some are bytes from anywhere; most are made
 * by their tables, and a few of them follow one another in a store that has something in every table.
 *
 * After them the records add up (S4), the audit's chain is whole, and a refusal changed no record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz_store.h"

#define COMMANDS_MAX 6
#define RAW_SHARE 32U /* Of 256 commands. */

static bool encode(struct fuzz_input *input, struct arena *arena, struct buffer *out)
{
    struct command command;
    if (fuzz_u8(input) < RAW_SHARE) {
        struct slice raw = fuzz_rest(input);
        return buffer_append(out, raw.data, raw.size);
    }
    fuzz_command(input, arena, &command);
    return !failed(command_encode(&command, out));
}

/* False if the bytes are no command. */
static bool check_form(struct slice bytes, struct arena *arena)
{
    struct buffer first = {0};
    struct buffer second = {0};
    struct command command;
    bool good = !failed(command_decode(bytes, arena, &command));
    if (good) {
        fuzz_ok(command_encode(&command, &first));
        fuzz_ok(command_decode(buffer_slice(&first), arena, &command));
        fuzz_ok(command_encode(&command, &second));
        fuzz_must(slice_equal(buffer_slice(&first), buffer_slice(&second)),
                  "what was decoded encodes to the same");
    }
    buffer_release(&first);
    buffer_release(&second);
    return good;
}

static void apply(struct store *store, struct slice bytes)
{
    struct apply_outcome outcome;
    struct export_counters before = store->head.export;
    fuzz_ok(store_apply(store, store_applied_index(store) + 1, &bytes, 1, &outcome));
    const struct export_counters *after = &store->head.export;
    fuzz_must(outcome.refusal < REFUSAL_COUNT, "a refusal is one of those that have a name");
    fuzz_must(outcome.refusal == REFUSAL_NONE ||
                  (before.produced == after->produced && before.mark == after->mark &&
                   before.last_sequence == after->last_sequence &&
                   before.retained == after->retained),
              "a refusal changes no record");
    fuzz_must(after->produced == after->delivered + (after->last_sequence - after->mark) +
                                     after->dead_lettered + after->discarded,
              "the records add up");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    struct store *store = fuzz_store_begin();
    struct arena arena = {0};
    bool applied = false;
    for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
        struct buffer bytes = {0};
        if (encode(&input, &arena, &bytes) && check_form(buffer_slice(&bytes), &arena)) {
            apply(store, buffer_slice(&bytes));
            applied = true;
        }
        buffer_release(&bytes);
    }
    uint64_t lines = 0;
    if (applied) {
        fuzz_ok(store_audit_verify(store, &lines));
    }
    fuzz_store_roll_back(store);
    arena_release(&arena);
    return 0;
}
