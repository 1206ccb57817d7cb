/*
 * What the parts of `muster doctor` share: the findings so far. The node's own come from node.check
 * (cmd_doctor.c), those of the cluster from what any node may read (doctor_cluster.c), and those of a
 * node that does not answer from outside (doctor_outside.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "cli.h"

enum doctor_verdict {
    DOCTOR_OK,
    DOCTOR_WARNING,
    DOCTOR_FAILURE,
};

struct doctor {
    struct cli *cli;
    const char *group; /* Of those that are added now. */
    struct rpc_findings view;
    struct rpc_finding items[RPC_FINDINGS_MAX];
};

/* One more; the slices live in the arena of the call of the tool, or for ever. */
void doctor_add(struct doctor *doctor, const char *subject, enum doctor_verdict verdict,
                const char *code, struct slice what, struct slice remedy);

/* Formatted text in that arena. */
struct slice doctor_text(struct doctor *doctor, const char *format, ...) PRINTF_LIKE(2, 3);

/* Quorum, members, registration, export, quota, records, store. */
void doctor_look_at_cluster(struct doctor *doctor);

/* The node does not answer on its UNIX socket: socket, rights, program, configuration. */
void doctor_look_from_outside(struct doctor *doctor);

#endif
