/*
 * What `cluster recover` and `snapshot restore` share: showing the plan, asking for the name, and
 * waiting for the node that starts again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CMD_RECOVERY_H
#define CMD_RECOVERY_H

#include "cli.h"
#include "client/recovery.h"

#define RECOVERY_PATIENCE_MS 600000U /* A large state is copied, and its log read. */
#define RECOVERY_LOOK_MS 500U

/* The plan, or with -o json all of it; the exit code says whether it is refused. */
int recovery_show(struct cli *cli, const struct rpc_recovery *plan);

/* A person at a terminal types the cluster's name; a program has said --yes. */
bool recovery_confirm(struct slice name, int *exit_code);

/* Until the node is back, and what became of it. The exit code. */
int recovery_wait(struct cli *cli, uint64_t lineage, uint64_t patience_ms);

#endif
