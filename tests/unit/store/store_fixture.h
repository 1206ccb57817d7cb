/*
 * What the tests of the store share: a store in a scratch folder, commands with a stamp, and the
 * check of S4 after every command.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "scratch.h"
#include "store/store.h"

#define NODE_A UINT64_C(0xA)
#define NODE_B UINT64_C(0xB)
#define NODE_C UINT64_C(0xC)
#define CLUSTER_ID "0123456789abcdef0123456789abcdef"

struct fixture {
    char directory[SCRATCH_PATH_SIZE];
    struct store_options options;
    struct store *store;
    uint64_t at_ms; /* The leader's clock; rises with each command. */
    struct arena arena;
    struct apply_outcome outcome; /* Of the last command. */
};

void fixture_open(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture); /* Without a flush: what was not flushed is lost. */
void fixture_close(struct fixture *fixture);  /* And removes the folder. */

/* The encoded command, in the fixture's arena. */
struct slice fixture_encode(struct fixture *fixture, struct command command);

/* Apply as the next entry; fails the test unless it is applied and S4 holds. */
enum refusal fixture_apply(struct fixture *fixture, struct command command);

/* The same, as a status. */
struct status fixture_try(struct fixture *fixture, struct command command);

void check_balance(struct fixture *fixture);

/* Commands with what a test mostly wants in them. */
struct command cluster_init_command(void);
struct command cluster_form_command(void);
struct command token_command(const char *id);
struct command admit_command(const char *token_id, uint64_t node_id, const char *name);
struct command enable_command(void);
struct command begin_command(uint64_t node_id, const char *serial, uint64_t epoch);
struct command complete_command(uint64_t epoch);
struct command deregister_begin_command(uint64_t epoch);
struct command credential_command(const char *name, uint64_t generation);

/* One record; `keys` and the record are static and overwritten by the next call. */
struct command record_command(uint64_t number);
struct command advance_command(uint64_t from, uint64_t to);

/* Init, form, and the admission of B and C. */
void fixture_form(struct fixture *fixture);
/* Enable, begin and complete on A, at epoch 1. */
void fixture_register(struct fixture *fixture);

#endif
