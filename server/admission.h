/*
 * Admission: what keeps a node out, all reasons at once. The same questions are asked by the joiner
 * of itself, by the cluster before it answers a check, and again by the state when the command is
 * applied; the state's word is the last.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_ADMISSION_H
#define SERVER_ADMISSION_H

#include "base/arena.h"
#include "client/protocol.h"
#include "store/store.h"

#define ADMISSION_REASONS_MAX 12

struct call;

struct admission {
    enum refusal reasons[ADMISSION_REASONS_MAX];
    size_t count;
};

void admission_add(struct admission *admission, enum refusal reason);

/* Why this standalone node may not ask to join: its standing and its own registration. */
MUST_USE struct status admission_of_self(struct store *store, struct admission *out);

/* Why the cluster would refuse what `admit` asks. `now_ms` as stamped. */
MUST_USE struct status admission_of_joiner(struct store *store, const struct rpc_admit *admit,
                                           uint64_t node_id, uint64_t now_ms,
                                           struct admission *out);

/* What the cloud's answer about the joiner's serial (cloud_lookup()) means: a device that is the
 * cluster's own does not count, for the joiner was its machine once, and the registration went over
 * to another member. */
enum cloud_check admission_of_cloud(struct store *store, enum cloud_check answer,
                                    const char *device_id);

/* As a list of struct rpc_problem, in the arena. False when memory runs out. */
bool admission_problems(const struct admission *admission, struct arena *arena,
                        struct codec_list *out);

/* The same, followed by the problems that another node found; each once. */
bool admission_merge(const struct admission *own, const struct codec_list *theirs,
                     struct arena *arena, struct codec_list *out);

/* Answer the call with all reasons, of which there is one at least: "[registered] ... [name_exists]
 * ...", a newline, and what helps against each. The error's number is the first one's. */
void admission_refuse(const struct admission *admission, struct call *call);

/* The same as text; every set of reasons fits RPC_ERROR_SIZE_MAX. */
void admission_message(const struct admission *admission, char *out, size_t out_size);

#endif
