/*
 * A store with something in every table, for fuzzers that change it: each input finds it as it was, for
 * what was done is rolled back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_STORE_H
#define FUZZ_STORE_H

#include "fuzz_value.h"
#include "store_state.h"

/* The store, made at the first call, with its write transaction open. */
struct store *fuzz_store_begin(void);

/* Forget everything since then, failures and damage that were noted included. */
void fuzz_store_roll_back(struct store *store);

/* A row that is in it: its table and key. */
struct fuzz_row {
    enum table table;
    struct slice key;
};

/* All of the small tables, and of the large ones the first and the last. */
const struct fuzz_row *fuzz_store_rows(size_t *count);

/* A command of any type, by its table; everything lives in the arena. */
void fuzz_command(struct fuzz_input *input, struct arena *arena, struct command *out);

#endif
