/*
 * What a joining node says, and what it makes of the answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "join_request.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/x509.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "names.h"

struct status join_request(struct daemon *daemon, const struct join_token *token, bool check,
                           struct buffer *out)
{
    const struct config *config = &daemon->config;
    struct slice key = secret_slice(&daemon->identity.node_key);
    struct buffer request = {0};
    struct buffer statement = {0};
    struct buffer signature = {0};
    struct arena arena = {0};
    struct registration_view registration = {0};
    char token_id[2 * sizeof token->id + 1];
    hex_encode((struct slice){.data = token->id, .size = sizeof token->id}, token_id);

    struct status status = store_registration(daemon->store, &arena, &registration);
    if (!failed(status)) {
        status = x509_make_request(key, slice_of(config->name), &request);
    }
    struct rpc_admit admit = {
        .token_id = slice_of(token_id),
        .secret = {.data = token->secret, .size = sizeof token->secret},
        .check = check,
        .name = slice_of(config->name),
        .serial = slice_of(config->serial),
        .model = slice_of(config->model),
        .version = slice_of(MUSTER_VERSION),
        .level = STORE_LEVEL,
        .peer_address = slice_of(config->peer_address),
        .rpc_address = slice_of(config->rpc_address),
        .request = buffer_slice(&request),
        .registration = slice_of(registration_state_name(registration.state)),
        .stated_at_ms = clock_now_ms(),
    };
    if (!failed(status)) {
        status = rpc_admit_statement(&admit, &statement);
    }
    if (!failed(status)) {
        status = x509_sign(key, buffer_slice(&statement), &signature);
    }
    if (!failed(status)) {
        admit.signature = buffer_slice(&signature);
        status = rpc_frame_begin_request(out, 1, rpc_methods[RPC_CLUSTER_ADMIT].name)
                     ? codec_encode(&rpc_admit_codec, CODEC_NAMES, &admit, out)
                     : fail(STATUS_NO_MEMORY, "ask to join");
    }
    buffer_release(&request);
    buffer_release(&statement);
    buffer_release(&signature);
    arena_release(&arena);
    return status;
}

/* Whom to ask later; this node itself, which is listed as joining, has nothing to tell. */
static struct status take_contacts(const struct codec_list *members, const struct join_token *token,
                                   uint64_t own_id, struct ask_addresses *out)
{
    const struct rpc_member *all = members->items;
    for (size_t i = 0; i < members->count && out->count < ASK_ADDRESSES_MAX; i++) {
        if (all[i].node_id != own_id && all[i].rpc_address.size > 0 &&
            !slice_equal(all[i].standing, slice_of("removed")) &&
            slice_to_text(all[i].rpc_address, out->texts[out->count], ASK_ADDRESS_SIZE)) {
            out->count++;
        }
    }
    for (size_t i = 0; out->count == 0 && i < token->address_count; i++) {
        (void)snprintf(out->texts[i], ASK_ADDRESS_SIZE, "%s", token->addresses[i]);
    }
    out->count = out->count == 0 ? token->address_count : out->count;
    return out->count > 0 ? OK : fail(STATUS_INVALID, "the cluster named no address");
}

struct status join_identity(struct daemon *daemon, const struct join_token *token,
                            const struct rpc_admitted *admitted, struct identity *staged)
{
    const struct identity *present = &daemon->identity;
    uint64_t node_id = 0;
    char cluster_id[2 * sizeof token->cluster_id + 1];
    hex_encode((struct slice){.data = token->cluster_id, .size = sizeof token->cluster_id},
               cluster_id);
    if (!slice_equal(admitted->cluster_id, slice_of(cluster_id))) {
        return fail(STATUS_INVALID, "the token is of another cluster than the one that answered");
    }
    if (admitted->cluster_key.size != RPC_SECRET_SIZE ||
        !slice_to_text(admitted->cluster_id, staged->cluster_id, sizeof staged->cluster_id) ||
        !buffer_append(&staged->ca_certificate, admitted->ca_certificate.data,
                       admitted->ca_certificate.size) ||
        !buffer_append(&staged->certificate, admitted->certificate.data,
                       admitted->certificate.size)) {
        return fail(STATUS_INVALID, "the cluster's answer is not complete");
    }
    struct status status = secret_copy(&staged->keys.key, admitted->cluster_key);
    if (!failed(status)) {
        status = secret_copy(&staged->node_key, secret_slice(&present->node_key));
    }
    if (!failed(status)) {
        status =
            x509_check_key(buffer_slice(&staged->certificate), secret_slice(&staged->node_key));
    }
    if (!failed(status)) {
        status = node_id_of_certificate(buffer_slice(&staged->certificate), &node_id);
    }
    if (!failed(status)) {
        status = take_contacts(&admitted->members, token, node_id, &staged->contacts);
    }
    const struct rpc_member *members = admitted->members.items;
    for (size_t i = 0; i < admitted->members.count && staged->member_count < IDENTITY_MEMBERS_MAX;
         i++) {
        if (!slice_equal(members[i].standing, slice_of("removed"))) {
            staged->members[staged->member_count++] = members[i].node_id;
        }
    }
    staged->node_id = node_id;
    staged->keys.epoch = admitted->key_epoch;
    (void)snprintf(staged->previous, sizeof staged->previous, "%s", present->lineage);
    return status;
}
