/*
 * The outcome of an operation that can fail, as a value: a code the program branches on, and a
 * message an operator reads.
 *
 * It is a struct on purpose. libuv, libraft, LMDB and libcurl each return an int with a meaning of
 * its own; none of them converts to a status, so an untranslated error does not compile.
 *
 * Three worlds are never mixed: the caller's fault is a status, our own bug is an assert (on in
 * releases), and "the state says no" is a result that all replicas share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#define STATUS_MESSAGE_SIZE 240 /* Bytes, the terminating zero included. */

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

enum status_code {
    STATUS_OK = 0,
    STATUS_INVALID,      /* The caller's input; retrying unchanged cannot help. */
    STATUS_NOT_FOUND,    /* The thing named does not exist. */
    STATUS_REFUSED,      /* The state says no; the message says why and what helps. */
    STATUS_UNAUTHORIZED, /* The caller may not do this. */
    STATUS_NOT_LEADER,   /* Ask the leader; nothing was proposed. */
    STATUS_NO_QUORUM,    /* Too few voters reachable; nothing was changed. */
    STATUS_UNREACHABLE,  /* No connection to the one named. */
    STATUS_UNKNOWN,      /* Proposed or sent, outcome not known: it may still take effect. */
    STATUS_BUSY,         /* A limit was reached; retry later. */
    STATUS_TIMEOUT,      /* The deadline passed before anything was started. */
    STATUS_FULL,         /* No space left on the device or in the map. */
    STATUS_IO,           /* Disk or network. */
    STATUS_CORRUPT,      /* Stored or received bytes do not verify. */
    STATUS_NO_MEMORY,
    STATUS_CODE_COUNT,
};

struct status {
    enum status_code code;
    char message[STATUS_MESSAGE_SIZE]; /* Empty when code is STATUS_OK. */
};

#define OK ((struct status){.code = STATUS_OK})

static inline bool failed(struct status status)
{
    return status.code != STATUS_OK;
}

/* Make a failure. A message names what was tried and on what, without a trailing dot. Longer
 * messages are cut at a UTF-8 boundary. */
MUST_USE struct status fail(enum status_code code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Put the caller's words before a failure: "open store: map file: No space left on device". */
MUST_USE struct status wrap(struct status inner, const char *format, ...) PRINTF_LIKE(2, 3);

/* Translate an errno of `action`. ENOSPC and EDQUOT become STATUS_FULL, ENOENT STATUS_NOT_FOUND,
 * ENOMEM STATUS_NO_MEMORY, everything else STATUS_IO. */
MUST_USE struct status fail_errno(int error, const char *format, ...) PRINTF_LIKE(2, 3);

/* The stable, lower-case name of a code, for logs and for the wire. Never NULL. */
const char *status_name(enum status_code code);

#endif
