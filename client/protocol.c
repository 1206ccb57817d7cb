/*
 * The admin RPC's method table: what can be asked, who may ask it, and who answers. The messages'
 * own tables stand by subject in protocol_common.c, protocol_cluster.c, protocol_service.c and
 * protocol_records.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/protocol.h"

#include "client/cluster_key.h"
#include "client/recovery.h"

#define READ(name_, params_, result_, summary_)                                                    \
    {                                                                                              \
        .name = (name_), .params = &(params_), .result = &(result_), .role = RPC_ROLE_VIEWER,      \
        .routing = RPC_READ, .summary = (summary_)                                                 \
    }

#define CHANGE(role_, name_, params_, result_, summary_)                                           \
    {                                                                                              \
        .name = (name_), .params = &(params_), .result = &(result_), .role = (role_),              \
        .routing = RPC_LEADER, .summary = (summary_)                                               \
    }

#define HERE(role_, name_, params_, result_, summary_)                                             \
    {                                                                                              \
        .name = (name_), .params = &(params_), .result = &(result_), .role = (role_),              \
        .routing = RPC_HERE, .summary = (summary_)                                                 \
    }

const struct rpc_method_row rpc_methods[RPC_METHOD_COUNT] = {
    [RPC_CLUSTER_STATUS] = READ("cluster.status", rpc_empty_codec, rpc_cluster_status_codec,
                                "Everything an operator asks first: leader, quorum, members, "
                                "registration, export, and what is wrong."),
    [RPC_CLUSTER_MEMBERS] = READ("cluster.members", rpc_empty_codec, rpc_members_codec,
                                 "The members, with their roles, versions and addresses."),
    [RPC_CLUSTER_INIT] =
        HERE(RPC_ROLE_ADMIN, "cluster.init", rpc_cluster_init_codec, rpc_done_codec,
             "Make this standalone node a cluster of one that others can join."),
    [RPC_CLUSTER_TOKEN_CREATE] =
        {
            .name = "cluster.token.create",
            .params = &rpc_token_create_codec,
            .result = &rpc_token_created_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_LEADER,
            .secret_result = true,
            .summary = "Make a token with which one node may join, once, until it expires.",
        },
    [RPC_CLUSTER_TOKEN_LIST] = READ("cluster.token.list", rpc_empty_codec, rpc_tokens_codec,
                                    "The join tokens, without their secrets."),
    [RPC_CLUSTER_TOKEN_REVOKE] =
        CHANGE(RPC_ROLE_ADMIN, "cluster.token.revoke", rpc_token_id_codec, rpc_done_codec,
               "Make a join token that was not used worthless."),
    [RPC_CLUSTER_JOIN] =
        {
            .name = "cluster.join",
            .params = &rpc_join_codec,
            .result = &rpc_joined_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_HERE,
            .secret_params = true,
            .summary = "Make this standalone node, which must not be registered, a member of the "
                       "cluster that the token names; or only check what would happen.",
        },
    [RPC_CLUSTER_ADMIT] =
        {
            .name = "cluster.admit",
            .params = &rpc_admit_codec,
            .result = &rpc_admitted_codec,
            .role = RPC_ROLE_ANYONE,
            .routing = RPC_LEADER,
            .secret_params = true,
            .secret_result = true,
            .summary = "Asked by a joining node, which proves itself by its token: become a "
                       "member, with a certificate and the cluster key.",
        },
    [RPC_CLUSTER_STANDING] =
        {
            .name = "cluster.standing",
            .params = &rpc_node_id_codec,
            .result = &rpc_standing_codec,
            .role = RPC_ROLE_ANYONE,
            .routing = RPC_READ,
            .summary = "Asked by an admitted node that hears nothing: whether it is still a "
                       "member.",
        },
    [RPC_CLUSTER_LEAVE] = HERE(RPC_ROLE_ADMIN, "cluster.leave", rpc_empty_codec, rpc_done_codec,
                               "Take this node out of the cluster and leave it standalone, without "
                               "registration and secrets."),
    [RPC_CLUSTER_RESET] = HERE(
        RPC_ROLE_ADMIN, "cluster.reset", rpc_reset_codec, rpc_discarded_codec,
        "Make this node, which its cluster removed or left behind, standalone; or only say what "
        "would be thrown away."),
    [RPC_CLUSTER_REMOVE] =
        CHANGE(RPC_ROLE_ADMIN, "cluster.remove", rpc_remove_codec, rpc_done_codec,
               "Take another node out of the cluster; by force if it is dead."),
    [RPC_CLUSTER_TRANSFER] =
        CHANGE(RPC_ROLE_ADMIN, "cluster.transfer", rpc_name_codec, rpc_done_codec,
               "Hand leadership to the named voter, or to the best one if none is named."),
    [RPC_CLUSTER_SETTINGS] = READ("cluster.settings", rpc_empty_codec, rpc_settings_codec,
                                  "What is set for all members: how many vote."),
    [RPC_CLUSTER_SET] =
        CHANGE(RPC_ROLE_ADMIN, "cluster.set", rpc_settings_set_codec, rpc_done_codec,
               "Change a setting of the cluster; the members follow step by step."),
    [RPC_CLUSTER_POSITION] =
        HERE(RPC_ROLE_VIEWER, "cluster.position", rpc_empty_codec, rpc_position_codec,
             "How far this node's log goes and whom it follows; members ask each other."),
    [RPC_CLUSTER_CERTIFICATES] =
        READ("cluster.certificates", rpc_empty_codec, rpc_certificates_codec,
             "The CA's certificate, the nodes' and the operators': how long they are good."),
    [RPC_CLUSTER_RECOVER] =
        HERE(RPC_ROLE_ADMIN, "cluster.recover", rpc_recover_codec, rpc_recovery_codec,
             "Most voters are lost for good: make this node the cluster's only member, "
             "as a new lineage; or only say what would happen."),
    [RPC_CLUSTER_RECOVERY_KEY] =
        {
            .name = "cluster.recovery_key",
            .params = &rpc_empty_codec,
            .result = &rpc_recovery_key_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_LEADER,
            .secret_result = true,
            .summary = "Give out the key that opens this cluster's snapshots when all its members "
                       "are lost; that it was taken is written to the audit.",
        },
    [RPC_CLUSTER_KEY] = READ("cluster.key", rpc_empty_codec, rpc_cluster_key_codec,
                             "Which cluster key seals, and how far a rotation of it is."),
    [RPC_CLUSTER_ROTATE_KEY] =
        CHANGE(RPC_ROLE_ADMIN, "cluster.rotate_key", rpc_rotate_key_codec, rpc_cluster_key_codec,
               "Begin to replace the cluster key, or only say what that would wait for."),
    [RPC_SNAPSHOT_BEGIN] =
        HERE(RPC_ROLE_ADMIN, "snapshot.begin", rpc_empty_codec, rpc_snapshot_begun_codec,
             "Begin to make a sealed snapshot of this node's whole state; snapshot.read "
             "gives it."),
    [RPC_SNAPSHOT_NOTE] =
        CHANGE(RPC_ROLE_ADMIN, "snapshot.note", rpc_name_codec, rpc_done_codec,
               "Write down who takes a snapshot of the named node; snapshot.begin asks for it."),
    [RPC_SNAPSHOT_READ] =
        HERE(RPC_ROLE_ADMIN, "snapshot.read", rpc_snapshot_read_codec, rpc_snapshot_part_codec,
             "A part of the snapshot that was begun, as soon as it is ready."),
    [RPC_SNAPSHOT_UPLOAD] = HERE(RPC_ROLE_ADMIN, "snapshot.upload", rpc_snapshot_upload_codec,
                                 rpc_snapshot_stored_codec,
                                 "Give this node a part of a snapshot that it shall go on with."),
    [RPC_SNAPSHOT_RESTORE] =
        {
            .name = "snapshot.restore",
            .params = &rpc_restore_codec,
            .result = &rpc_recovery_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_HERE,
            .secret_params = true,
            .summary = "Make this fresh node the only member of a snapshot's cluster, as a new "
                       "lineage; or only say what would happen.",
        },

    [RPC_CLUSTER_REBUILD] =
        HERE(RPC_ROLE_ADMIN, "cluster.rebuild", rpc_rebuild_codec, rpc_done_codec,
             "Move this node's damaged log and state aside and fetch them anew from the "
             "other members; or only say what would be done."),
    [RPC_REGISTRATION_STATUS] =
        READ("registration.status", rpc_empty_codec, rpc_registration_codec,
             "The state of the cluster's registration, and what is tried next."),
    [RPC_REGISTRATION_ENABLE] =
        CHANGE(RPC_ROLE_ADMIN, "registration.enable", rpc_enable_codec, rpc_done_codec,
               "Enable the cloud service and choose its region, or change the region."),
    [RPC_REGISTRATION_DISABLE] =
        CHANGE(RPC_ROLE_ADMIN, "registration.disable", rpc_disable_codec, rpc_done_codec,
               "Disable the cloud service; refused while registered."),
    [RPC_REGISTRATION_REGISTER] =
        {
            .name = "registration.register",
            .params = &rpc_register_codec,
            .result = &rpc_registration_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_LEADER,
            .secret_params = true,
            .summary = "Begin to register the cluster, in machine mode, as the node that the "
                       "caller is connected to; registration.status tells how it goes.",
        },
    [RPC_REGISTRATION_DEREGISTER] = CHANGE(
        RPC_ROLE_ADMIN, "registration.deregister", rpc_deregister_codec, rpc_registration_codec,
        "Begin to deregister the cluster; registration.status tells how it goes. Or forget a "
        "registration whose device was deleted in the portal, without asking the cloud."),
    [RPC_REGISTRATION_HAND_OVER] =
        CHANGE(RPC_ROLE_ADMIN, "registration.hand_over", rpc_name_codec, rpc_done_codec,
               "Make another member the registered machine, so that the present one may leave."),

    [RPC_CREDENTIALS_LIST] = READ("credentials.list", rpc_empty_codec, rpc_credentials_codec,
                                  "The API clients by name, without their passwords."),
    [RPC_CREDENTIALS_ADD] =
        {
            .name = "credentials.add",
            .params = &rpc_credential_add_codec,
            .result = &rpc_credential_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_LEADER,
            .secret_params = true,
            .summary = "Store an API client, sealed, for all members; the first one is selected.",
        },
    [RPC_CREDENTIALS_VERIFY] =
        CHANGE(RPC_ROLE_ADMIN, "credentials.verify", rpc_name_codec, rpc_credential_codec,
               "Try the named API client, or the selected one, and list what it may do."),
    [RPC_CREDENTIALS_SELECT] = CHANGE(RPC_ROLE_ADMIN, "credentials.select", rpc_name_codec,
                                      rpc_done_codec, "Use the named API client from now on."),
    [RPC_CREDENTIALS_REMOVE] = CHANGE(RPC_ROLE_ADMIN, "credentials.remove", rpc_name_codec,
                                      rpc_done_codec, "Forget an API client that is not selected."),

    [RPC_RECORDS_SUBMIT] =
        CHANGE(RPC_ROLE_OPERATOR, "records.submit", rpc_submit_codec, rpc_submitted_codec,
               "Store records of appliances for export; one that is known already is harmless."),
    [RPC_RECORDS_SEARCH] = READ("records.search", rpc_search_codec, rpc_records_codec,
                                "Records by observable, address or message, newest first."),
    [RPC_EXPORT_STATUS] = READ("export.status", rpc_empty_codec, rpc_export_codec,
                               "The balance of the export and what the exporter does."),
    [RPC_EXPORT_PAUSE] = CHANGE(RPC_ROLE_OPERATOR, "export.pause", rpc_pause_codec, rpc_done_codec,
                                "Stop exporting; records are kept."),
    [RPC_EXPORT_RESUME] = CHANGE(RPC_ROLE_OPERATOR, "export.resume", rpc_empty_codec,
                                 rpc_done_codec, "Export again after a pause."),
    [RPC_EXPORT_DEAD_LETTERS] = READ("export.dead_letters", rpc_page_codec, rpc_dead_letters_codec,
                                     "Records that the cloud refused for good, and why."),
    [RPC_EXPORT_RETRY] = CHANGE(RPC_ROLE_OPERATOR, "export.retry", rpc_sequence_codec,
                                rpc_done_codec, "Export a dead letter, or all of them, once more."),
    [RPC_EXPORT_DISCARD] =
        CHANGE(RPC_ROLE_OPERATOR, "export.discard", rpc_sequence_codec, rpc_done_codec,
               "Give up a dead letter, or all of them; the balance counts it as discarded."),

    [RPC_OPERATOR_ADD] =
        {
            .name = "operator.add",
            .params = &rpc_operator_add_codec,
            .result = &rpc_operator_added_codec,
            .role = RPC_ROLE_ADMIN,
            .routing = RPC_LEADER,
            .secret_result = true,
            .summary = "Make an operator with a role, and the certificate and key to call with.",
        },
    [RPC_OPERATOR_LIST] = READ("operator.list", rpc_empty_codec, rpc_operators_codec,
                               "The operators, their roles and when their certificates end."),
    [RPC_OPERATOR_REMOVE] =
        CHANGE(RPC_ROLE_ADMIN, "operator.remove", rpc_name_codec, rpc_done_codec,
               "Refuse the operator's certificate from now on."),
    [RPC_AUDIT_LIST] = READ("audit.list", rpc_audit_query_codec, rpc_audit_codec,
                            "Who changed what, from where, when, and with what outcome."),
    [RPC_AUDIT_VERIFY] = READ("audit.verify", rpc_empty_codec, rpc_audit_verified_codec,
                              "Check the chain of hashes over the whole audit, from its anchor on."),

    [RPC_NODE_VERSION] = HERE(RPC_ROLE_VIEWER, "node.version", rpc_empty_codec, rpc_version_codec,
                              "What this node runs, and since when."),
    [RPC_NODE_STATUS] =
        HERE(RPC_ROLE_VIEWER, "node.status", rpc_empty_codec, rpc_node_status_codec,
             "Whether this node takes part; if not, why, what helps and when it tries "
             "again; and the room on its disk."),
    [RPC_NODE_RETRY] =
        HERE(RPC_ROLE_ADMIN, "node.retry", rpc_empty_codec, rpc_done_codec,
             "Let this node, which was suspended, look at its disk now and take part "
             "again."),
    [RPC_NODE_SAVED_LIST] =
        HERE(RPC_ROLE_VIEWER, "node.saved.list", rpc_empty_codec, rpc_saved_codec,
             "The lives that this node had before it joined, kept aside with the records that were "
             "never delivered."),
    [RPC_NODE_SAVED_SUBMIT] =
        HERE(RPC_ROLE_ADMIN, "node.saved.submit", rpc_lineage_codec, rpc_done_codec,
             "Submit the undelivered records of a saved life to the cluster; it goes on by itself "
             "until all are."),
    [RPC_NODE_SAVED_DISCARD] = HERE(RPC_ROLE_ADMIN, "node.saved.discard", rpc_lineage_codec,
                                    rpc_done_codec, "Remove a saved life with what is in it."),
    [RPC_NODE_DIGEST] =
        HERE(RPC_ROLE_VIEWER, "node.digest", rpc_digest_codec, rpc_digest_view_codec,
             "The digest of this node's state at an index, to compare with another's."),
    [RPC_NODE_CHECK] =
        HERE(RPC_ROLE_OPERATOR, "node.check", rpc_check_codec, rpc_findings_codec,
             "Look at this node and its way to the cloud: hosts, clock, disk, files, "
             "certificates, libraries; each with a verdict and what helps."),
    [RPC_DESCRIBE] = HERE(RPC_ROLE_VIEWER, "rpc.describe", rpc_empty_codec, rpc_description_codec,
                          "This table: every method with its fields and limits."),
#ifdef MUSTER_NEXT
    [RPC_NEXT_PROBE] = CHANGE(RPC_ROLE_ADMIN, "next.probe", rpc_name_codec, rpc_done_codec,
                              "Propose a command that the version before does not know."),
#endif
    [RPC_PEER_QUARANTINE] =
        HERE(RPC_ROLE_PEER, "peer.quarantine", rpc_quarantine_codec, rpc_quarantined_codec,
             "Asked of the leader by a member whose data is damaged, about itself: tell "
             "the cluster, take it out of raft's configuration, let it in again."),
    [RPC_PEER_FORWARD] =
        {
            .name = "peer.forward",
            .params = &rpc_forward_codec,
            .result = NULL, /* The forwarded method's own. */
            .role = RPC_ROLE_PEER,
            .routing = RPC_HERE,
            .secret_params = true,
            .secret_result = true,
            .summary = "A member passes on a call, with who really asked; the answer is the "
                       "called method's own.",
        },
    [RPC_PEER_ANNOUNCE] =
        HERE(RPC_ROLE_PEER, "peer.announce", rpc_announce_codec, rpc_announce_codec,
             "A member says where it is now, and is told where the others are; the "
             "leader writes it down."),
};

int rpc_exit_code(enum rpc_error error)
{
    switch (error) {
    case RPC_OK: return 0;
    case RPC_INVALID: return 2;
    case RPC_NOT_FOUND:
    case RPC_REFUSED: return 3;
    case RPC_NO_QUORUM:
    case RPC_UNREACHABLE:
    case RPC_SUSPENDED:
    case RPC_TIMEOUT: return 4;
    case RPC_UNAUTHORIZED: return 5;
    case RPC_OUTCOME_UNKNOWN: return 6;
    case RPC_UNKNOWN_METHOD:
    case RPC_BUSY:
    case RPC_FULL:
    case RPC_INTERNAL: return 1;
    }
    return (uint64_t)error > RPC_REFUSED ? 3 : 1; /* Refusals are numbers above RPC_REFUSED. */
}

enum rpc_error rpc_error_of_status(enum status_code code)
{
    switch (code) {
    case STATUS_OK: return RPC_OK;
    case STATUS_INVALID: return RPC_INVALID;
    case STATUS_NOT_FOUND: return RPC_NOT_FOUND;
    case STATUS_REFUSED: return RPC_REFUSED;
    case STATUS_UNAUTHORIZED: return RPC_UNAUTHORIZED;
    case STATUS_NO_QUORUM: return RPC_NO_QUORUM;
    case STATUS_NOT_LEADER:
    case STATUS_UNREACHABLE: return RPC_UNREACHABLE;
    case STATUS_UNKNOWN: return RPC_OUTCOME_UNKNOWN;
    case STATUS_BUSY: return RPC_BUSY;
    case STATUS_TIMEOUT: return RPC_TIMEOUT;
    case STATUS_FULL: return RPC_FULL;
    case STATUS_IO:
    case STATUS_CORRUPT:
    case STATUS_NO_MEMORY:
    case STATUS_CODE_COUNT: return RPC_INTERNAL;
    }
    return RPC_INTERNAL;
}

enum status_code rpc_status_of_error(uint64_t error)
{
    static const enum status_code codes[] = {
        [RPC_OK] = STATUS_OK,
        [RPC_INVALID] = STATUS_INVALID,
        [RPC_UNKNOWN_METHOD] = STATUS_INVALID,
        [RPC_NOT_FOUND] = STATUS_NOT_FOUND,
        [RPC_UNAUTHORIZED] = STATUS_UNAUTHORIZED,
        [RPC_NO_QUORUM] = STATUS_NO_QUORUM,
        [RPC_UNREACHABLE] = STATUS_UNREACHABLE,
        [RPC_OUTCOME_UNKNOWN] = STATUS_UNKNOWN,
        [RPC_BUSY] = STATUS_BUSY,
        [RPC_TIMEOUT] = STATUS_TIMEOUT,
        [RPC_FULL] = STATUS_FULL,
        [RPC_INTERNAL] = STATUS_IO,
        [RPC_SUSPENDED] = STATUS_UNREACHABLE,
    };
    if (error >= RPC_REFUSED) {
        return STATUS_REFUSED;
    }
    return error < sizeof(codes) / sizeof(codes[0]) ? codes[error] : STATUS_IO;
}

const char *rpc_role_name(enum rpc_role role)
{
    switch (role) {
    case RPC_ROLE_ANYONE: return "anyone";
    case RPC_ROLE_VIEWER: return "viewer";
    case RPC_ROLE_OPERATOR: return "operator";
    case RPC_ROLE_ADMIN: return "admin";
    case RPC_ROLE_PEER: return "peer";
    }
    return "unknown";
}

const char *rpc_routing_name(enum rpc_routing routing)
{
    switch (routing) {
    case RPC_HERE: return "here";
    case RPC_READ: return "read";
    case RPC_LEADER: return "leader";
    }
    return "unknown";
}

bool rpc_role_allows(enum rpc_role caller, enum rpc_method method)
{
    enum rpc_role needed = rpc_methods[method].role;
    if (needed == RPC_ROLE_ANYONE) {
        return true;
    }
    if (caller == RPC_ROLE_PEER) {
        return needed == RPC_ROLE_PEER || method == RPC_NODE_DIGEST || method == RPC_NODE_STATUS ||
               method == RPC_CLUSTER_POSITION;
    }
    return needed != RPC_ROLE_PEER && caller >= needed;
}

enum rpc_method rpc_method_find(struct slice name)
{
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        if (slice_equal(name, slice_of(rpc_methods[i].name))) {
            return (enum rpc_method)i;
        }
    }
    return RPC_METHOD_COUNT;
}
