/*
 * Reasons that keep a node out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "admission.h"

#include <stdio.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/secret.h"
#include "call.h"
#include "names.h"

void admission_add(struct admission *admission, enum refusal reason)
{
    if (reason == REFUSAL_NONE || admission->count == ADMISSION_REASONS_MAX) {
        return;
    }
    for (size_t i = 0; i < admission->count; i++) {
        if (admission->reasons[i] == reason) {
            return;
        }
    }
    admission->reasons[admission->count++] = reason;
}

struct status admission_of_self(struct store *store, struct admission *out)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct registration_view registration;
    *out = (struct admission){0};
    struct status status = store_cluster(store, &arena, &cluster);
    if (!failed(status)) {
        status = store_registration(store, &arena, &registration);
    }
    if (!failed(status)) {
        if (cluster.name.size >
            0) { /* A registration is its cluster's, then, and nobody should end it. */
            admission_add(out, REFUSAL_ALREADY_MEMBER);
        } else {
            admission_add(out, cluster.standing == STANDING_JOINING ? REFUSAL_STANDING_JOINING
                                                                    : REFUSAL_NONE);
            admission_add(out, registration_bars_join(registration.state));
        }
    }
    arena_release(&arena);
    return status;
}

static void check_token(struct store *store, const struct rpc_admit *admit, uint64_t now_ms,
                        struct admission *out)
{
    struct arena arena = {0};
    struct join_token_view token;
    uint8_t hash[STORE_HASH_SIZE];
    (void)SHA256(admit->secret.data, admit->secret.size, hash);
    struct slice given = {.data = hash, .size = sizeof hash};
    struct status status = store_join_token(store, &arena, admit->token_id, &token);
    if (failed(status) || !secret_equal(given, token.secret_hash)) {
        admission_add(out, REFUSAL_TOKEN_UNKNOWN);
    } else if (token.revoked_at_ms != 0) {
        admission_add(out, REFUSAL_TOKEN_REVOKED);
    } else if (token.used_at_ms != 0) {
        admission_add(out, REFUSAL_TOKEN_USED);
    } else if (now_ms >= token.expires_at_ms) {
        admission_add(out, REFUSAL_TOKEN_EXPIRED);
    } else if (token.for_name.size > 0 && !slice_equal(token.for_name, admit->name)) {
        admission_add(out, REFUSAL_TOKEN_FOR_OTHER);
    }
    arena_release(&arena);
}

static void check_members(const struct codec_list *members, const struct rpc_admit *admit,
                          uint64_t node_id, struct admission *out)
{
    const struct member *all = members->items;
    size_t present = 0;
    for (size_t i = 0; i < members->count; i++) {
        if (all[i].standing == STANDING_REMOVED) {
            continue;
        }
        present++;
        admission_add(out, all[i].node_id == node_id ? REFUSAL_NODE_EXISTS : REFUSAL_NONE);
        admission_add(out,
                      slice_equal(all[i].name, admit->name) ? REFUSAL_NAME_EXISTS : REFUSAL_NONE);
        if (admit->serial.size > 0 && slice_equal(all[i].serial, admit->serial)) {
            admission_add(out, REFUSAL_SERIAL_EXISTS);
        }
    }
    admission_add(out, present >= STORE_MEMBERS_MAX ? REFUSAL_MEMBERS_FULL : REFUSAL_NONE);
}

struct status admission_of_joiner(struct store *store, const struct rpc_admit *admit,
                                  uint64_t node_id, uint64_t now_ms, struct admission *out)
{
    struct arena arena = {0};
    struct cluster_view cluster;
    struct codec_list members;
    enum registration_state state;
    *out = (struct admission){0};
    struct status status = store_cluster(store, &arena, &cluster);
    if (!failed(status)) {
        status = store_members(store, &arena, &members);
    }
    if (!failed(status)) {
        admission_add(out, cluster.name.size == 0 ? REFUSAL_NOT_IN_CLUSTER : REFUSAL_NONE);
        admission_add(out, cluster.level > 1 && admit->level < cluster.level ? REFUSAL_OLD_VERSION
                                                                             : REFUSAL_NONE);
        check_token(store, admit, now_ms, out);
        admission_add(out, registration_state_parse(admit->registration, &state)
                               ? registration_bars_join(state)
                               : REFUSAL_REGISTRATION_IN_DOUBT);
        check_members(&members, admit, node_id, out);
    }
    arena_release(&arena);
    return status;
}

enum cloud_check admission_of_cloud(struct store *store, enum cloud_check answer,
                                    const char *device_id)
{
    struct arena arena = {0};
    struct registration_view registration;
    if (answer != CLOUD_CHECK_REGISTERED) {
        return answer;
    }
    struct status status = store_registration(store, &arena, &registration);
    bool ours = !failed(status) && registration.state == REGISTRATION_REGISTERED &&
                registration.device_id.size > 0 &&
                slice_equal(registration.device_id, slice_of(device_id));
    arena_release(&arena);
    return ours ? CLOUD_CHECK_UNREGISTERED : answer;
}

bool admission_problems(const struct admission *admission, struct arena *arena,
                        struct codec_list *out)
{
    struct rpc_problem *problems = arena_alloc(arena, admission->count, sizeof *problems);
    if (problems == NULL) {
        return false;
    }
    for (size_t i = 0; i < admission->count; i++) {
        problems[i] = (struct rpc_problem){
            .what = slice_of(refusal_reason(admission->reasons[i])),
            .remedy = slice_of(refusal_remedy(admission->reasons[i])),
        };
    }
    *out = (struct codec_list){.items = problems, .count = admission->count};
    return true;
}

/* Append what `all` does not have yet; room was made. */
static size_t add_new(struct rpc_problem *all, size_t count, const struct codec_list *more)
{
    const struct rpc_problem *problems = more->items;
    for (size_t i = 0; i < more->count; i++) {
        size_t known = 0;
        while (known < count && !slice_equal(all[known].what, problems[i].what)) {
            known++;
        }
        if (known == count) {
            all[count++] = problems[i];
        }
    }
    return count;
}

bool admission_merge(const struct admission *own, const struct codec_list *theirs,
                     struct arena *arena, struct codec_list *out)
{
    struct codec_list first;
    struct rpc_problem *all = arena_alloc(arena, own->count + theirs->count, sizeof *all);
    if (all == NULL || !admission_problems(own, arena, &first)) {
        return false;
    }
    size_t count = add_new(all, 0, &first);
    *out = (struct codec_list){.items = all, .count = add_new(all, count, theirs)};
    return true;
}

void admission_message(const struct admission *admission, char *out, size_t out_size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < admission->count && used < out_size; i++) {
        int size =
            snprintf(out + used, out_size - used, "%s[%s] %s", i == 0 ? "" : " ",
                     refusal_name(admission->reasons[i]), refusal_reason(admission->reasons[i]));
        used += size < 0 ? 0 : (size_t)size;
    }
    for (size_t i = 0; i < admission->count && used < out_size; i++) {
        int size = snprintf(out + used, out_size - used, "%s%s", i == 0 ? "\n" : " ",
                            refusal_remedy(admission->reasons[i]));
        used += size < 0 ? 0 : (size_t)size;
    }
}

void admission_refuse(const struct admission *admission, struct call *call)
{
    char message[RPC_ERROR_SIZE_MAX];
    admission_message(admission, message, sizeof message);
    call_error(call, RPC_REFUSED + (uint64_t)admission->reasons[0], slice_of(message));
}
