/*
 * Why the state says no: names for programs, sentences for operators.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "store/command.h"

static const struct refusal_row {
    const char *name;
    const char *reason;
    const char *remedy;
} refusals[REFUSAL_COUNT] = {
    [REFUSAL_NONE] = {"done", "Nothing was refused.", "Nothing needs to be done."},
    [REFUSAL_ALREADY_INITIALISED] =
        {"already_initialised", "This node was set up before.",
         "To start afresh, take it out of its cluster first: muster cluster leave."},
    [REFUSAL_ALREADY_MEMBER] = {"already_member", "The node is in a cluster already.",
                                "See which one: muster cluster status."},
    [REFUSAL_NOT_STANDALONE] = {"not_standalone", "The node is not standalone: it is in a cluster.",
                                "Take it out of its cluster first: muster cluster leave."},
    [REFUSAL_NOT_IN_CLUSTER] = {"not_in_cluster", "This node is standalone, not in a cluster.",
                                "Form a cluster on it first: muster cluster init NAME."},
    [REFUSAL_REGISTERED] = {"registered", "The appliance is registered with the cloud on its own.",
                            "Deregister it first: muster registration deregister."},
    [REFUSAL_REGISTRATION_IN_DOUBT] =
        {"registration_in_doubt",
         "A registration or deregistration of the appliance is not settled.",
         "Wait until it is, and see how it ended: muster registration status."},
    [REFUSAL_CLOUD_LISTS_SERIAL] =
        {"cloud_lists_serial", "The cloud still lists the appliance's serial number as registered.",
         "Deregister it where it is registered (muster registration deregister), or delete the "
         "device in the cloud's portal."},
    [REFUSAL_TOKEN_UNKNOWN] = {"token_unknown", "This cluster has no such join token.",
                               "Create one on a member: muster cluster token create."},
    [REFUSAL_TOKEN_EXPIRED] = {"token_expired", "The join token has expired.",
                               "Create a new one on a member: muster cluster token create."},
    [REFUSAL_TOKEN_USED] = {"token_used", "The join token was used already; each works once.",
                            "Create a new one on a member: muster cluster token create."},
    [REFUSAL_TOKEN_REVOKED] = {"token_revoked", "The join token was revoked.",
                               "Create a new one on a member: muster cluster token create."},
    [REFUSAL_TOKEN_FOR_OTHER] =
        {"token_for_other", "The join token was made for a node of another name.",
         "Create one for this node on a member: muster cluster token create --for NAME."},
    [REFUSAL_TOKENS_FULL] = {"tokens_full", "There are as many open join tokens as there may be.",
                             "Revoke those that are not needed: muster cluster token revoke ID."},
    [REFUSAL_NODE_EXISTS] = {"node_exists", "The cluster lists a node with this key already.",
                             "See the members: muster cluster members. One that is joining and "
                             "does not come is forgotten by itself."},
    [REFUSAL_NAME_EXISTS] = {"name_exists", "Something else has this name or key already.",
                             "Choose another one; a node's is the option `name` in its "
                             "configuration."},
    [REFUSAL_SERIAL_EXISTS] =
        {"serial_exists", "A member with this serial number exists already.",
         "If that node is gone for good, remove it: muster cluster remove NODE --force."},
    [REFUSAL_MEMBERS_FULL] = {"members_full", "The cluster has as many members as it may have.",
                              "Remove one first: muster cluster remove NODE."},
    [REFUSAL_MEMBER_UNKNOWN] = {"member_unknown", "No full member of the cluster has this id.",
                                "See the members: muster cluster members."},
    [REFUSAL_LAST_MEMBER_REGISTERED] =
        {"last_member_registered",
         "It is the cluster's last node, and the cluster is registered with the cloud.",
         "Deregister the cluster first: muster registration deregister."},
    [REFUSAL_REGISTERED_MACHINE] =
        {"registered_machine", "The cluster is registered with the cloud through this node.",
         "Hand the registration over (muster cluster leave --hand-over NODE) or deregister first "
         "(muster registration deregister)."},
    [REFUSAL_NOT_MACHINE_MODE] =
        {"not_machine_mode",
         "In a cluster only a single appliance can be registered, never the cluster or a group.",
         "Register in machine mode: muster registration register --mode machine."},
    [REFUSAL_OTHER_MACHINE] =
        {"other_machine", "Node and serial number do not belong to the same appliance.",
         "Connect to the appliance that is to be registered and repeat the command there."},
    [REFUSAL_DISABLED] = {"disabled", "The cloud service is not enabled.",
                          "Enable it first: muster registration enable REGION."},
    [REFUSAL_ALREADY_ENABLED] = {"already_enabled",
                                 "The cloud service is enabled with this region already.",
                                 "Nothing needs to be done; see: muster registration status."},
    [REFUSAL_REGION_FIXED] = {"region_fixed",
                              "The region cannot be changed while a registration exists.",
                              "Deregister first: muster registration deregister."},
    [REFUSAL_REGISTRATION_EXISTS] =
        {"registration_exists", "A registration exists or is being made; there can be only one.",
         "To replace it, deregister first: muster registration deregister."},
    [REFUSAL_NOT_REGISTERED] = {"not_registered", "There is no registration in that state.",
                                "See what there is: muster registration status."},
    [REFUSAL_EPOCH] = {"epoch", "The registration changed meanwhile.",
                       "See what it is now, and repeat if it still applies: "
                       "muster registration status."},
    [REFUSAL_STANDING_JOINING] = {"standing_joining",
                                  "The node is locked: it is joining a cluster.",
                                  "Wait until the join has ended: muster cluster status."},
    [REFUSAL_CREDENTIAL_UNKNOWN] = {"credential_unknown", "There are no credentials of this name.",
                                    "See those that exist: muster credentials list."},
    [REFUSAL_CREDENTIAL_SELECTED] = {"credential_selected",
                                     "These credentials are in use, and others exist.",
                                     "Select others first: muster credentials select NAME."},
    [REFUSAL_CREDENTIAL_CHANGED] = {"credential_changed",
                                    "The credentials were replaced meanwhile.",
                                    "See what they are now, and repeat if it still applies: "
                                    "muster credentials list."},
    [REFUSAL_CREDENTIALS_FULL] = {"credentials_full",
                                  "There are as many credentials as there may be.",
                                  "Remove some first: muster credentials remove NAME."},
    [REFUSAL_OUTBOX_FULL] = {"outbox_full",
                             "As many records wait for export as may wait; none was taken.",
                             "Keep the records and retry; see what holds the export up: "
                             "muster export status."},
    [REFUSAL_MARK_MOVED] = {"mark_moved", "The export has gone on from another place meanwhile.",
                            "Nothing needs to be done; see: muster export status."},
    [REFUSAL_DEAD_LETTER_UNKNOWN] = {"dead_letter_unknown",
                                     "There is no dead letter of this sequence number.",
                                     "See those that exist: muster export dead-letters list."},
    [REFUSAL_OPERATOR_UNKNOWN] = {"operator_unknown", "There is no operator of this name.",
                                  "See those that exist: muster operator list."},
    [REFUSAL_OPERATORS_FULL] = {"operators_full", "There are as many operators as there may be.",
                                "Remove some first: muster operator remove NAME."},
    [REFUSAL_FIELD] = {"field", "A value of the request has no meaning here.",
                       "Correct the value and repeat the command."},
    [REFUSAL_LAST_REPLICA] = {"last_replica", "No other member has data that is known to be good.",
                              "Bring another member back first, or restore a snapshot."},
    [REFUSAL_OTHER_REBUILD] = {"other_rebuild", "The step is not of the rebuild under way.",
                               "See where it stands: muster cluster status; then begin it again: "
                               "muster cluster rebuild."},
    [REFUSAL_VOTERS] = {"voters", "The number of voters is 1, 3, 5 or 7.",
                        "Choose one of these: muster cluster set voters 3."},
    [REFUSAL_QUORUM_AT_RISK] =
        {"quorum_at_risk",
         "Too few of the other voters answer: without this node the cluster could not go on.",
         "See who is down (muster cluster status): wait until a standby votes in its place, bring "
         "it back, or remove it for good with muster cluster remove NODE --force."},
    [REFUSAL_LEVEL] = {"level", "Not every member runs a version that knows this.",
                       "Upgrade the members that run the older version (muster cluster members), "
                       "then repeat the command."},
    [REFUSAL_STILL_MEMBER] =
        {"still_member", "The cluster has not removed this node, or nobody who knows can be asked.",
         "Leave in good order: muster cluster leave. If the other members are lost for good, go on "
         "without them first: muster cluster recover."},
    [REFUSAL_SAVED_FULL] =
        {"saved_full",
         "Too many lives that the node had before hold records that were never delivered.",
         "See them: muster node saved list. Then muster node saved submit, or muster node saved "
         "discard LINEAGE."},
    [REFUSAL_OLD_VERSION] = {"old_version",
                             "The node runs a version older than what the cluster uses already.",
                             "Install the version of the other members on it "
                             "(muster cluster members)."},
    [REFUSAL_ROTATION_UNDER_WAY] = {"rotation_under_way",
                                    "The cluster key is being rotated already.",
                                    "See which members it waits for: muster cluster key."},
    [REFUSAL_KEY_CHANGED] = {"key_changed", "The cluster key, or what it seals, changed meanwhile.",
                             "Nothing was changed; repeat the command."},
    [REFUSAL_KEY_NOT_HELD] = {"key_not_held", "Not every member holds the new cluster key yet.",
                              "Bring the members back that are down, or remove them: "
                              "muster cluster key."},
};

static const struct refusal_row *row_of(enum refusal refusal)
{
    static const struct refusal_row unknown = {
        "unknown", "The state refused it for a reason that this version does not know.",
        "Upgrade this muster."};
    return (unsigned)refusal < REFUSAL_COUNT ? &refusals[refusal] : &unknown;
}

const char *refusal_name(enum refusal refusal)
{
    return row_of(refusal)->name;
}

const char *refusal_reason(enum refusal refusal)
{
    return row_of(refusal)->reason;
}

const char *refusal_remedy(enum refusal refusal)
{
    return row_of(refusal)->remedy;
}
