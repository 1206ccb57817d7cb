/*
 * Handlers of join tokens and of admission, on the leader.
 *
 * cluster.admit: token and statement are checked, the cloud is asked whether it lists the serial
 * (rule 7), a certificate is issued, and one command consumes the token and adds the member. Only
 * then is the cluster key given away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "admission.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/random.h"
#include "base/x509.h"
#include "call.h"
#include "daemon.h"
#include "handlers.h"
#include "issue.h"
#include "names.h"
#include "views.h"

#define TOKEN_TTL_DEFAULT_S 3600
#define TOKEN_TTL_MIN_S 60
#define STATEMENT_AGE_MAX_MS UINT64_C(600000) /* A statement is of now, give or take the clocks. */

/* ---- Tokens ---- */

struct token_state {
    struct slice token;
    struct slice token_id;
    uint64_t expires_at_ms;
};

static void on_token_created(struct call *call, struct apply_outcome outcome)
{
    const struct token_state *state = call->state;
    const struct rpc_token_created created = {
        .token = state->token,
        .token_id = state->token_id,
        .expires_at_ms = state->expires_at_ms,
    };
    (void)outcome;
    call_reply(call, &created);
}

/* Addresses that a joiner may try: the leader's own first. */
static struct status token_addresses(struct call *call, struct join_token *token)
{
    struct codec_list members;
    struct status status = store_members(call->daemon->store, &call->arena, &members);
    if (failed(status)) {
        return status;
    }
    const struct member *all = members.items;
    if (slice_to_text(slice_of(call->daemon->config.rpc_address), token->addresses[0],
                      sizeof token->addresses[0])) {
        token->address_count = 1;
    }
    for (size_t i = 0; i < members.count; i++) {
        if (all[i].standing == STANDING_MEMBER &&
            token->address_count < RPC_JOIN_TOKEN_ADDRESSES_MAX &&
            all[i].node_id != call->daemon->identity.node_id &&
            slice_to_text(all[i].rpc_address, token->addresses[token->address_count],
                          sizeof token->addresses[0])) {
            token->address_count++;
        }
    }
    return OK;
}

static struct status make_token(struct call *call, struct token_state *state, uint8_t hash[32])
{
    struct join_token token = {0};
    struct slice cluster_id = slice_of(call->daemon->identity.cluster_id);
    char id[2 * sizeof token.id + 1];
    random_bytes(token.id, sizeof token.id);
    random_bytes(token.secret, sizeof token.secret);
    hex_encode((struct slice){.data = token.id, .size = sizeof token.id}, id);
    state->token_id = arena_copy(&call->arena, slice_of(id));
    (void)SHA256(token.secret, sizeof token.secret, hash);
    struct status status = x509_fingerprint(buffer_slice(&call->daemon->identity.ca_certificate),
                                            token.ca_fingerprint);
    if (!failed(status) && !hex_decode(cluster_id, token.cluster_id, sizeof token.cluster_id)) {
        status = fail(STATUS_CORRUPT, "this node's identity does not name its cluster");
    }
    if (!failed(status)) {
        status = token_addresses(call, &token);
    }
    struct buffer text = {0};
    if (!failed(status)) {
        status = join_token_format(&token, &text);
    }
    if (!failed(status)) {
        state->token = arena_copy(&call->arena, buffer_slice(&text));
        status = state->token.data == NULL ? fail(STATUS_NO_MEMORY, "make a join token") : OK;
    }
    if (text.data != NULL) {
        secret_wipe(text.data, text.capacity);
    }
    buffer_release(&text);
    secret_wipe(&token, sizeof token);
    return status;
}

void handle_token_create(struct call *call)
{
    struct rpc_token_create params;
    uint8_t hash[STORE_HASH_SIZE];
    struct token_state *state = arena_alloc(&call->arena, 1, sizeof *state);
    if (!call_params(call, &params)) {
        return;
    }
    uint64_t ttl_s = params.ttl_s == 0 ? TOKEN_TTL_DEFAULT_S : params.ttl_s;
    if (ttl_s < TOKEN_TTL_MIN_S) {
        call_fail(call,
                  fail(STATUS_INVALID, "a join token lives for %d s at least", TOKEN_TTL_MIN_S));
        return;
    }
    struct status status =
        state == NULL ? fail(STATUS_NO_MEMORY, "make a join token") : make_token(call, state, hash);
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    state->expires_at_ms = clock_now_ms() + ttl_s * 1000;
    call->state = state;
    struct command command = {
        .type = COMMAND_JOIN_TOKEN_CREATE,
        .body.join_token_create =
            {
                .token_id = state->token_id,
                .secret_hash = {.data = hash, .size = sizeof hash},
                .expires_at_ms = state->expires_at_ms,
                .for_name = params.for_name,
            },
    };
    call_propose(call, &command, on_token_created);
}

static const char *token_state_name(const struct join_token_view *token, uint64_t now_ms)
{
    if (token->revoked_at_ms != 0) {
        return "revoked";
    }
    if (token->used_at_ms != 0) {
        return "used";
    }
    return now_ms >= token->expires_at_ms ? "expired" : "usable";
}

void handle_token_list(struct call *call)
{
    struct codec_list tokens;
    struct status status = store_join_tokens(call->daemon->store, &call->arena, &tokens);
    struct rpc_token *rows =
        failed(status) ? NULL : arena_alloc(&call->arena, tokens.count, sizeof *rows);
    if (failed(status) || rows == NULL) {
        call_fail(call, failed(status) ? status : fail(STATUS_NO_MEMORY, "list join tokens"));
        return;
    }
    const struct join_token_view *all = tokens.items;
    for (size_t i = 0; i < tokens.count; i++) {
        rows[i] = (struct rpc_token){
            .token_id = all[i].token_id,
            .state = slice_of(token_state_name(&all[i], clock_now_ms())),
            .created_at_ms = all[i].created_at_ms,
            .expires_at_ms = all[i].expires_at_ms,
            .used_at_ms = all[i].used_at_ms,
            .used_by = all[i].used_by,
            .for_name = all[i].for_name,
            .created_by = all[i].created_by,
        };
    }
    const struct rpc_tokens view = {
        .tokens = {.items = rows, .count = tokens.count},
        .freshness = daemon_freshness(call->daemon, call->options.stale),
    };
    call_reply(call, &view);
}

static void on_revoked(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    call_done(call, "revoked");
}

void handle_token_revoke(struct call *call)
{
    struct rpc_token_id params;
    if (!call_params(call, &params)) {
        return;
    }
    struct command command = {
        .type = COMMAND_JOIN_TOKEN_REVOKE,
        .body.join_token_revoke = {.token_id = params.token_id},
    };
    call_propose(call, &command, on_revoked);
}

/* ---- Admission ---- */

struct admit_state {
    struct rpc_admit admit;
    uint64_t node_id;
    struct slice statement;
    struct slice issued;
    enum cloud_check cloud;
    struct admission admission;
};

static struct status verify_statement(struct call *call, struct admit_state *state)
{
    uint8_t hash[X509_HASH_SIZE];
    struct buffer statement = {0};
    uint64_t now_ms = clock_now_ms();
    struct status status = rpc_admit_statement(&state->admit, &statement);
    if (!failed(status)) {
        status =
            x509_verify(state->admit.request, buffer_slice(&statement), state->admit.signature);
    }
    if (!failed(status)) {
        status = x509_key_hash(state->admit.request, hash);
    }
    if (!failed(status)) {
        state->node_id = 0;
        for (size_t i = 0; i < sizeof state->node_id; i++) {
            state->node_id = state->node_id << 8U | hash[i];
        }
        state->node_id &= INT64_MAX;
        state->statement = arena_copy(&call->arena, buffer_slice(&statement));
        status = state->statement.data == NULL ? fail(STATUS_NO_MEMORY, "admit") : OK;
    }
    buffer_release(&statement);
    if (!failed(status) && (state->admit.stated_at_ms > now_ms + STATEMENT_AGE_MAX_MS ||
                            now_ms > state->admit.stated_at_ms + STATEMENT_AGE_MAX_MS)) {
        status = fail(STATUS_INVALID, "the clocks of this node and the joining one differ by more "
                                      "than ten minutes: set them, then join again");
    }
    return status;
}

static const char *cloud_check_name(enum cloud_check check)
{
    switch (check) {
    case CLOUD_CHECK_UNREGISTERED: return "unregistered";
    case CLOUD_CHECK_REGISTERED: return "registered";
    case CLOUD_CHECK_UNREACHABLE: return "unreachable";
    }
    return "unreachable";
}

static void reply_admitted(struct call *call, bool with_secrets)
{
    struct daemon *daemon = call->daemon;
    const struct admit_state *state = call->state;
    const struct identity *identity = &daemon->identity;
    struct consensus_status *raft = arena_alloc(&call->arena, 1, sizeof *raft);
    struct cluster_view cluster = {0};
    struct rpc_admitted admitted = {0};
    struct status status = raft == NULL ? fail(STATUS_NO_MEMORY, "admit") : OK;
    if (!failed(status)) {
        status = store_cluster(daemon->store, &call->arena, &cluster);
    }
    if (!failed(status) &&
        !admission_problems(&state->admission, &call->arena, &admitted.problems)) {
        status = fail(STATUS_NO_MEMORY, "admit");
    }
    if (!failed(status) && with_secrets) {
        consensus_status(daemon->consensus, raft);
        status = view_members(daemon, &call->arena, raft, &admitted.members);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    admitted.cluster_name = cluster.name;
    admitted.cloud_check = slice_of(cloud_check_name(state->cloud));
    if (with_secrets && keyring_find(&identity->keys, cluster.key_epoch).size == 0) {
        call_fail(call, fail(STATUS_UNREACHABLE, "this node does not have the cluster key yet"));
        return;
    }
    if (with_secrets) {
        admitted.cluster_id = slice_of(identity->cluster_id);
        admitted.ca_certificate = buffer_slice(&identity->ca_certificate);
        admitted.certificate = state->issued;
        admitted.cluster_key = keyring_find(&identity->keys, cluster.key_epoch);
        admitted.key_epoch = cluster.key_epoch;
    }
    call_reply(call, &admitted);
}

static void on_admitted(struct call *call, struct apply_outcome outcome)
{
    const struct admit_state *state = call->state;
    (void)outcome;
    fault_step(FAULT_ADMIT_APPLIED);
    log_event(LOG_LEVEL_NOTICE, "admitted a node", log_slice("node", state->admit.name),
              log_slice("serial", state->admit.serial),
              log_text("cloud_check", cloud_check_name(state->cloud)));
    reply_admitted(call, true);
}

static void propose_admission(struct call *call, struct admit_state *state)
{
    enum registration_state registration = REGISTRATION_REGISTERED;
    fault_step(FAULT_ADMIT_ISSUED);
    (void)registration_state_parse(state->admit.registration, &registration);
    struct command command = {
        .type = COMMAND_MEMBER_ADMIT,
        .body.member_admit =
            {
                .token_id = state->admit.token_id,
                .registration_state = registration,
                .statement = state->statement,
                .cloud_check = state->cloud,
                .member =
                    {
                        .node_id = state->node_id,
                        .name = state->admit.name,
                        .serial = state->admit.serial,
                        .model = state->admit.model,
                        .version = state->admit.version,
                        .peer_address = state->admit.peer_address,
                        .rpc_address = state->admit.rpc_address,
                        .certificate = state->issued,
                        .standing = STANDING_JOINING,
                        .since_ms = clock_now_ms(),
                        .level = state->admit.level,
                    },
            },
    };
    call_propose(call, &command, on_admitted);
}

static void on_looked_up(void *argument, enum cloud_check answer, const char *reason)
{
    struct call *call = argument;
    struct admit_state *state = call->state;
    state->cloud = admission_of_cloud(call->daemon->store, answer, reason);
    fault_step(FAULT_ADMIT_LOOKED_UP);
    if (call->answered) {
        call_release(call);
        return;
    }
    /* The cloud is not unreachable then: it is for another leader to ask. */
    if (!daemon_leads(call->daemon) || call->daemon->stopping) {
        call_fail_unchanged(
            call, fail(STATUS_UNREACHABLE, "this node does not lead any more\nAsk again."));
        call_release(call);
        return;
    }
    if (state->cloud == CLOUD_CHECK_REGISTERED) {
        admission_add(&state->admission, REFUSAL_CLOUD_LISTS_SERIAL);
    } else if (state->cloud == CLOUD_CHECK_UNREACHABLE) {
        log_event(LOG_LEVEL_NOTICE, "the cloud could not be asked about a joining node",
                  log_slice("node", state->admit.name), log_text("reason", reason));
    }
    if (state->admit.check) {
        reply_admitted(call, false);
    } else if (state->admission.count > 0) {
        admission_refuse(&state->admission, call);
    } else {
        struct buffer certificate = {0};
        struct status status = issue_certificate(call->daemon, ISSUE_NODE, state->admit.request,
                                                 state->admit.name, ISSUE_NODE_DAYS, &certificate);
        if (!failed(status)) {
            state->issued = arena_copy(&call->arena, buffer_slice(&certificate));
            status = state->issued.data == NULL ? fail(STATUS_NO_MEMORY, "admit") : OK;
        }
        if (failed(status)) {
            call_fail(call, status);
        } else {
            propose_admission(call, state);
        }
        buffer_release(&certificate);
    }
    call_release(call);
}

void handle_cluster_admit(struct call *call)
{
    struct admit_state *state = arena_alloc(&call->arena, 1, sizeof *state);
    if (state == NULL) {
        call_fail(call, fail(STATUS_NO_MEMORY, "admit"));
        return;
    }
    call->state = state;
    if (!call_params(call, &state->admit)) {
        return;
    }
    struct status status = verify_statement(call, state);
    if (!failed(status)) {
        status = admission_of_joiner(call->daemon->store, &state->admit, state->node_id,
                                     clock_now_ms(), &state->admission);
    }
    if (failed(status)) {
        call_fail(call, status);
        return;
    }
    /* Who has no token learns nothing else, and costs no call to the cloud. */
    for (size_t i = 0; i < state->admission.count; i++) {
        if (state->admission.reasons[i] == REFUSAL_TOKEN_UNKNOWN) {
            call_refuse(call, REFUSAL_TOKEN_UNKNOWN);
            return;
        }
    }
    call_hold(call);
    cloud_lookup(call->daemon->cloud, state->admit.serial, on_looked_up, call);
}
