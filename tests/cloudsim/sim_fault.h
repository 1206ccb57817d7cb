/*
 * Fault scripts: which request goes wrong, and how. The table in README.md is the manual.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "base/slice.h"
#include "sim_family.h"

#define SIM_FAULTS_MAX 256
#define SIM_FAULT_TEXT_SIZE 128

enum sim_fault_action {
    SIM_FAULT_DELAY,
    SIM_FAULT_STATUS,
    SIM_FAULT_RATE_LIMIT,
    SIM_FAULT_UNAUTHORIZED,
    SIM_FAULT_RESET,
    SIM_FAULT_CLOSE,
    SIM_FAULT_CLOSE_AFTER_APPLY,
    SIM_FAULT_RESET_AFTER_APPLY,
    SIM_FAULT_TLS_FAILURE,
    SIM_FAULT_WRONG_CERTIFICATE,
    SIM_FAULT_STALL,
    SIM_FAULT_CUT_BODY,
    SIM_FAULT_TRUNCATE_JSON,
    SIM_FAULT_HTML_200,
    SIM_FAULT_GZIP,
    SIM_FAULT_CHUNKED,
    SIM_FAULT_LARGE_BODY,
    SIM_FAULT_ENTITY_ERROR,
    SIM_FAULT_STUCK,
    SIM_FAULT_REGISTRATION_FAILED,
    SIM_FAULT_ACTION_COUNT,
};

struct sim_fault {
    uint64_t id;

    /* Which requests. Empty texts and -1 match all. */
    int family;
    int region;
    char method[16];
    char path[SIM_FAULT_TEXT_SIZE];
    uint64_t nth;
    uint64_t count; /* 0: without end. */
    double probability;
    uint64_t random; /* The generator's state. */

    enum sim_fault_action action;
    uint64_t delay_ms;
    uint64_t status;
    char body[SIM_FAULT_TEXT_SIZE];        /* status: "json", "html", "empty". */
    char retry_after[SIM_FAULT_TEXT_SIZE]; /* status: as is. */
    char variant[SIM_FAULT_TEXT_SIZE];     /* rate_limit. */
    char error[SIM_FAULT_TEXT_SIZE];       /* unauthorized; entity_error: the type. */
    char prefix[SIM_FAULT_TEXT_SIZE];      /* entity_error. */
    uint64_t seconds;
    uint64_t stall_ms;
    uint64_t size;

    uint64_t matched;
    uint64_t fired;
};

struct sim_faults {
    struct sim_fault *list; /* SIM_FAULTS_MAX of them. */
    size_t count;
    uint64_t last_id;
};

void sim_faults_init(struct sim_faults *faults);
void sim_faults_release(struct sim_faults *faults);

/* Add a script from its JSON. STATUS_INVALID says what is wrong with it. */
MUST_USE struct status sim_faults_add(struct sim_faults *faults, struct slice json, uint64_t *id);

/* Remove one, or all with id 0. False if there is no such script. */
bool sim_faults_remove(struct sim_faults *faults, uint64_t id);

/* The script that fires for a request, or NULL. Valid until one is removed. */
const struct sim_fault *sim_faults_on_request(struct sim_faults *faults, enum sim_family family,
                                              enum sim_region region, struct slice method,
                                              struct slice path);

/* The same for a new connection: tls_failure and wrong_certificate. */
const struct sim_fault *sim_faults_on_connection(struct sim_faults *faults, enum sim_family family,
                                                 enum sim_region region);

const char *sim_fault_name(enum sim_fault_action action);

void sim_faults_write(const struct sim_faults *faults, struct buffer *out);

#endif
