/*
 * A daemon in a process of its own, for tests that talk to it: started from a scratch folder, asked
 * over its doors, stopped, and checked to have ended in order and without leaks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DAEMON_HARNESS_H
#define DAEMON_HARNESS_H

#include <sys/types.h>

#include "client/connection.h"
#include "config.h"
#include "scratch.h"

struct daemon_harness {
    char folder[SCRATCH_PATH_SIZE];
    struct config config;
    pid_t pid; /* 0: not running. */
};

/* Choose ports and write the configuration; `name` is the node's and its serial. */
void daemon_harness_make(struct daemon_harness *harness, const char *name);

/* Start, or start again, and wait until the admin RPC answers. Aborts the test if it does not. */
void daemon_harness_start(struct daemon_harness *harness);

/* Start one that is expected to end by itself; the exit code as below. */
int daemon_harness_run(struct daemon_harness *harness);

/* SIGTERM; the exit code, or 1000 + the signal that ended it. Waits at most 20 s. */
int daemon_harness_stop(struct daemon_harness *harness);

/* The same without the signal: it was told to stop. */
int daemon_harness_await_end(struct daemon_harness *harness);

/* SIGKILL, and wait. */
void daemon_harness_kill(struct daemon_harness *harness);

/* Stop if it runs; remove the folder. */
void daemon_harness_release(struct daemon_harness *harness);

/* A connection to the UNIX socket: an administrator's. */
struct connection *daemon_harness_connect(const struct daemon_harness *harness);

/* Over TLS, with files that daemon_harness_write() has put into the folder; NULL if refused. */
struct connection *daemon_harness_connect_tls(const struct daemon_harness *harness,
                                              const char *certificate, const char *key);

/* Write a file into the folder. */
void daemon_harness_write(const struct daemon_harness *harness, const char *name,
                          struct slice bytes);

/* Ask once over the UNIX socket; the error's number, 0 for success. `result` may be NULL. */
uint64_t daemon_harness_ask(const struct daemon_harness *harness,
                            const struct connection_request *request, struct arena *arena,
                            void *result, struct connection_error *error);

/* Ms since some moment. */
uint64_t daemon_harness_now_ms(void);

#endif
