/*
 * Requests of rpc_load: encoded once, and made new in place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LOAD_REQUEST_H
#define LOAD_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#define LOAD_BODY_SIZE 256U /* Bytes of a record as stored. */

/* Numbers of records are from LOAD_NUMBER_MIN on, below 10^16: above what appliances count to, and
 * all of the same size on the wire. */
#define LOAD_NUMBER_MIN (UINT64_C(1) << 49U)

enum load_call {
    LOAD_SUBMIT,
    LOAD_STATUS,
    LOAD_SEARCH,
    LOAD_GET, /* The first record of a run, by its MID. */
};

struct load_request {
    struct buffer bytes;
    unsigned batch;
    size_t *numbers; /* Where each record's number stands; NULL if there are none. */
    size_t *digits;  /* The same as text. */
};

/* Encode a request; `batch` records for LOAD_SUBMIT, the record numbered `first` for LOAD_GET. */
void load_request_make(struct load_request *request, enum load_call call, unsigned batch,
                       uint64_t first);

/* Give it an id, and each of its records the next number. */
void load_request_renew(struct load_request *request, uint32_t id, uint64_t *next_number);

void load_request_release(struct load_request *request);

/* Say what went wrong and exit with 1. */
_Noreturn void load_die(const char *what, const char *why);
void load_must(struct status status, const char *what);

#endif
