/*
 * The admin RPC: every message and every method, declared once. The server includes this header
 * too, so that both sides are compiled from the same tables; docs/rpc.md is generated from them and
 * `rpc.describe` returns them.
 *
 * Protocol: MessagePack-RPC over a UNIX socket (the caller is who the kernel says) or mutual TLS
 * (the caller is who the certificate says). A request is [0, id, method, [params]] with id a 32-bit
 * number and exactly one params map (an absent or empty array is an empty map), the response
 * [1, id, error, result], error nil or [code, message]. Maps are keyed by field names (codec
 * dialect CODEC_NAMES): unknown fields are ignored, absent optional ones are zero. Times are ms
 * since 1970-01-01 UTC. Requests of one connection may be answered in any order.
 *
 * Every params map may also hold the fields of struct rpc_options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_PROTOCOL_H
#define CLIENT_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/status.h"
#include "client/record.h"

#define RPC_PROTOCOL_VERSION 1
#define RPC_FRAME_SIZE_MAX (1U << 20U) /* Bytes of one message; a longer one ends the connection. */
#define RPC_DEPTH_MAX 10               /* Containers within each other. */
#define RPC_VALUES_MAX 131072          /* Values in one message: some 1000 records of 100 each. */
#define RPC_METHOD_SIZE_MAX 48         /* Bytes of a method's name. */
#define RPC_DEADLINE_DEFAULT_MS 10000U
#define RPC_DEADLINE_MAX_MS 120000U
#define RPC_RECORDS_MAX 1000 /* In one records.submit. */
#define RPC_LIST_MAX 1000    /* Rows of one answer; page on with the field the method names. */

/* Sizes of texts and bytes, in bytes, and counts; those of the domain are the state's own. */
#define RPC_LEVEL_MAX 65535          /* Levels of commands. */
#define RPC_NAME_SIZE_MAX 64         /* Nodes, operators, credentials, clusters, feeds, versions. */
#define RPC_WORD_SIZE_MAX 32         /* One of a few words: a role, a state, a region. */
#define RPC_ID_SIZE_MAX 128          /* Cloud ids, and ids of records. */
#define RPC_EXTERNAL_ID_SIZE_MAX 256 /* What a record is called in the cloud. */
#define RPC_ADDRESS_SIZE_MAX 127     /* host:port */
#define RPC_ACTOR_SIZE_MAX 128       /* "uid 0 (root)", an operator, a node. */
#define RPC_TEXT_SIZE_MAX 512        /* A sentence: comments, reasons, errors. */
#define RPC_SCOPES_SIZE_MAX 4096     /* Scopes, separated by a space. */
#define RPC_PEM_SIZE_MAX 32768       /* A certificate with those that issued it. */
#define RPC_SIGNATURE_SIZE_MAX 128   /* ECDSA on P-256: at most 72. */
#define RPC_SECRET_SIZE 32           /* A join secret, the cluster key. */
#define RPC_PASSWORD_SIZE_MAX 512    /* Of an API client. */
#define RPC_REGISTRATION_TOKEN_SIZE_MAX                                                            \
    1024                            /* 32 in fact; the node says what is wrong with others. */
#define RPC_TOKEN_ID_SIZE 16        /* Hexadecimal digits. */
#define RPC_FINGERPRINT_SIZE_MAX 64 /* Hexadecimal digits of a SHA-256. */
#define RPC_DIGEST_SIZE_MAX 96      /* An index, a colon, hexadecimal digits. */
#define RPC_FORWARD_SIZE_MAX (RPC_FRAME_SIZE_MAX - 4096U) /* A forwarded call fits one frame. */
#define RPC_MEMBERS_MAX 100                               /* 50, and those that were removed. */
#define RPC_PROBLEMS_MAX 64
#define RPC_FINDINGS_MAX 128
#define RPC_CREDENTIALS_MAX 16
#define RPC_FEATURES_MAX 16         /* Of one credential. */
#define RPC_DISCARDED_MAX 8         /* Kinds of what a reset throws away. */
#define RPC_TOKEN_TTL_MAX_S 604800U /* A week. */
#define RPC_OPERATOR_DAYS_MAX 825U
#define RPC_ERROR_SIZE_MAX                                                                         \
    2048 /* Bytes of an error's message: every reason to refuse a join at once. */

/*
 * Errors on the wire. Numbers are stable; clients branch on them, people read the message, which
 * says why and what helps. RPC_REFUSED + n carries refusal n of the state (its stable name stands
 * in the message in brackets: "[registered] ..."). Where something helps, the message says so after a
 * newline: "[registered] node b is registered on its own\nRun `muster registration deregister` ...".
 */
enum rpc_error {
    RPC_OK = 0,
    RPC_INVALID = 1, /* The request; retrying unchanged cannot help. */
    RPC_UNKNOWN_METHOD = 2,
    RPC_NOT_FOUND = 3,
    RPC_UNAUTHORIZED = 4,
    RPC_NO_QUORUM = 5,       /* Nothing was changed. */
    RPC_UNREACHABLE = 6,     /* The leader, or the cluster to join, cannot be reached, or another
                                answers there; nothing was changed. */
    RPC_OUTCOME_UNKNOWN = 7, /* It may have taken effect: look before you repeat. */
    RPC_BUSY = 8,            /* A limit was reached; the same request may succeed later. */
    RPC_TIMEOUT = 9,         /* The deadline passed; nothing was changed. */
    RPC_FULL = 10,           /* No space left. */
    RPC_INTERNAL = 11,
    RPC_SUSPENDED = 12, /* The node takes no part for now, its disk failed: nothing was changed. The
                           message begins with the kind in brackets: "[disk-full] ...". */
    RPC_REFUSED = 1000,
};

/* The exit code of a program for an error: 0 ok, 1 error, 2 usage, 3 refused by the state, 4 not
 * reachable or no quorum, 5 not authorised, 6 outcome unknown, 78 bad configuration. */
int rpc_exit_code(enum rpc_error error);
enum rpc_error rpc_error_of_status(enum status_code code);
enum status_code rpc_status_of_error(uint64_t error);

/* Fields that any params map may hold besides the method's own. */
struct rpc_options {
    uint64_t
        deadline_ms; /* From arrival; 0: RPC_DEADLINE_DEFAULT_MS. At most RPC_DEADLINE_MAX_MS. */
    bool stale;      /* Reads: answer from this node's own state, whoever leads. */
    struct slice comment; /* The operator's words, for the audit. */
};
extern const struct codec rpc_options_codec;

/* No fields. */
struct rpc_empty {
    uint64_t reserved;
};
extern const struct codec rpc_empty_codec;

/* Answer of changes that have nothing else to say. */
struct rpc_done {
    struct slice message; /* One sentence. */
};
extern const struct codec rpc_done_codec;

/* Where an answer comes from: stands in the answers of reads. */
struct rpc_freshness {
    uint64_t index;  /* Log index applied. */
    bool stale;      /* Asked for, or given because there is no leader. */
    uint64_t age_ms; /* Stale: since the leader was last heard; 0 otherwise. */
};
extern const struct codec rpc_freshness_codec;

/* ---- cluster ---- */

struct rpc_member {
    uint64_t node_id;
    struct slice name;
    struct slice serial;
    struct slice standing; /* standalone, joining, member, leaving, removed */
    struct slice role;     /* voter, standby, spare, none */
    bool leader;
    bool self;
    bool connected; /* As the leader sees it. */
    struct slice version;
    struct slice peer_address;
    struct slice rpc_address;
    uint64_t lag;          /* Entries behind the leader's log. */
    uint64_t heard_ms_ago; /* By the leader. UINT64_MAX: never. */
    uint64_t certificate_not_after_ms;
    /* It is sent an image of the state, as its sender and the node itself know. */
    bool catching_up;
    uint64_t image_done;     /* Bytes. */
    uint64_t image_size;     /* 0: not known yet, the sender is writing it to a file. */
    uint64_t image_rate;     /* Bytes per second. */
    uint64_t level;          /* Of commands that its program knows. */
    struct slice quarantine; /* none, told, asked, out: see struct rpc_quarantine. */
    struct slice damage;     /* What is damaged of its data; empty when nothing is. */
};
extern const struct codec rpc_member_codec;

struct rpc_problem {
    struct slice what;   /* One sentence. */
    struct slice remedy; /* What to do. */
    struct slice about;  /* node (the one that answers), cluster, members, registration, export,
                            store; empty where it does not matter. */
    bool severe;         /* Something does not work; otherwise it is going to. */
};
extern const struct codec rpc_problem_codec;

struct rpc_registration {
    struct slice state; /* disabled, enabled, registering, registered, deregistering, failed */
    struct slice region;
    struct slice mode;
    struct slice machine; /* Name of the node that is registered. */
    struct slice serial;
    struct slice device_id;
    struct slice tenant;
    uint64_t epoch;
    uint64_t since_ms;
    uint64_t attempt;
    uint64_t next_try_ms;
    struct slice error_code; /* While registered: the cloud does not take the device, and the export
                                holds. */
    struct slice error;
    uint64_t not_after_ms;          /* Of the device certificate. */
    struct rpc_freshness freshness; /* In the answer of registration.status only. */
};
extern const struct codec rpc_registration_codec;

struct rpc_export {
    uint64_t produced; /* = delivered + pending + dead_lettered + discarded, always. */
    uint64_t delivered;
    uint64_t pending;
    uint64_t dead_lettered;
    uint64_t discarded;
    uint64_t duplicates;
    bool paused;
    struct slice pause_reason;
    uint64_t delivered_at_ms;
    uint64_t cloud_pause_until_ms;
    struct slice cloud_pause_reason;
    uint64_t outbox_max;
    struct slice exporter; /* Name of the leader, who alone exports. */
    struct slice state;    /* idle, sending, waiting, paused, not registered, no credentials ... */
    struct slice last_error;
    uint64_t bundles_sent; /* By this leader in this term. */
    uint64_t
        quota_remaining; /* Calls left in the window as the cloud said last; UINT64_MAX: unknown. */
    struct rpc_freshness freshness;
    uint64_t quota_limit;     /* The organisation's calls an hour, as the cloud said; 0: not yet. */
    uint64_t calls_last_hour; /* By this cluster: bundles, and tokens asked for. */
};
extern const struct codec rpc_export_codec;

struct rpc_cluster_status {
    struct slice cluster_id;
    struct slice name;
    struct slice standing;  /* Of the node that answers. */
    struct slice node_name; /* The node that answers. */
    uint64_t node_id;
    struct slice leader; /* Name; empty when there is none. */
    uint64_t term;
    bool quorum;
    uint64_t can_lose; /* Voters that may still fail without loss of quorum. */
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t last_index;
    struct slice library; /* "raft library 0.15.0, guarded" */
    struct slice version;
    struct slice digest;       /* "INDEX:hex" of this node. */
    struct codec_list members; /* rpc_member */
    struct rpc_registration registration;
    struct rpc_export export;
    struct codec_list problems; /* rpc_problem: what is wrong, and what to do. */
    uint64_t store_used;
    uint64_t store_max;
    uint64_t log_size;
    struct rpc_freshness freshness;
    uint64_t voters;  /* How many shall vote, of enough members: the cluster's setting. */
    uint64_t lineage; /* Of the cluster: 1 at first; every recovery adds one. */
    uint64_t recovered_at_ms;
    uint64_t level; /* Of commands that the cluster uses: what all members know. */
};
extern const struct codec rpc_cluster_status_codec;

struct rpc_members {
    struct codec_list members;
    struct rpc_freshness freshness;
};
extern const struct codec rpc_members_codec;

struct rpc_cluster_init {
    struct slice name;
};
extern const struct codec rpc_cluster_init_codec;

/* What all members do alike. */
struct rpc_settings {
    uint64_t voters;
    struct rpc_freshness freshness;
};
extern const struct codec rpc_settings_codec;

/* What is 0 stays as it is. */
struct rpc_settings_set {
    uint64_t voters; /* 1, 3, 5 or 7. */
};
extern const struct codec rpc_settings_set_codec;

struct rpc_token_create {
    uint64_t ttl_s;        /* 60 to 604800; 0: 3600. */
    struct slice for_name; /* Optional. */
};
extern const struct codec rpc_token_create_codec;

struct rpc_token_created {
    struct slice token; /* Shown once; the secret part is not stored. */
    struct slice token_id;
    uint64_t expires_at_ms;
};
extern const struct codec rpc_token_created_codec;

struct rpc_token_id {
    struct slice token_id;
};
extern const struct codec rpc_token_id_codec;

struct rpc_token {
    struct slice token_id;
    struct slice state; /* usable, used, expired, revoked */
    uint64_t created_at_ms;
    uint64_t expires_at_ms;
    uint64_t used_at_ms;
    uint64_t used_by;
    struct slice for_name;
    struct slice created_by;
};
extern const struct codec rpc_token_codec;

struct rpc_tokens {
    struct codec_list tokens; /* rpc_token */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_tokens_codec;

/* cluster.join, to the daemon of the node that wants to join. With `check` nothing is changed:
 * `problems` lists every reason that would refuse, `cluster` whom it would join. Otherwise the
 * answer comes when the node is a member (it restarts its consensus on the way; a client that loses
 * the connection asks cluster.status). */
struct rpc_join {
    struct slice token;
    bool check;
    bool
        keep_records; /* Submit the node's own undelivered records to the cluster. Otherwise they are
                          only kept aside: node.saved. */
};
extern const struct codec rpc_join_codec;

struct rpc_joined {
    bool check;
    struct slice cluster;
    struct codec_list problems; /* rpc_problem */
    struct slice message;
    struct slice cloud_check; /* unregistered; unreachable: the cloud could not be asked */
    struct slice saved;       /* Folder in which the node's present life is kept aside. */
    uint64_t undelivered;     /* Records in it. */
};
extern const struct codec rpc_joined_codec;

/* cluster.admit, from a joining node to the cluster, over TLS with the token's CA fingerprint
 * verified and no client certificate: the token's secret is the proof. */
struct rpc_admit {
    struct slice token_id;
    struct slice secret; /* 32 bytes. */
    bool check;          /* Only say what would be refused. */
    struct slice name;
    struct slice serial;
    struct slice model;
    struct slice version;
    struct slice peer_address;
    struct slice rpc_address;
    struct slice request;      /* Certificate request (PEM) of the node key. */
    struct slice registration; /* The joiner's own registration state, by name. */
    uint64_t stated_at_ms;
    struct slice signature; /* Of the statement (see rpc_admit_statement), by the node key. */
    uint64_t level;         /* Of commands that its program knows (store/command.h). */
};
extern const struct codec rpc_admit_codec;

struct rpc_admitted {
    struct codec_list problems; /* rpc_problem; empty when admitted. */
    struct slice cluster_id;
    struct slice cluster_name;
    struct slice ca_certificate;
    struct slice certificate;
    struct slice cluster_key; /* 32 bytes; a secret. */
    uint64_t key_epoch;
    struct slice cloud_check;  /* unregistered, unreachable */
    struct codec_list members; /* rpc_member: whom to reach. */
};
extern const struct codec rpc_admitted_codec;

/* Is this node a member? Asked by a node that was admitted and hears nothing: a node id is a hash
 * of a key, and tells nothing to anyone who does not know it already. */
struct rpc_node_id {
    uint64_t node_id;
};
extern const struct codec rpc_node_id_codec;

struct rpc_standing {
    struct slice standing; /* joining, member, leaving, removed; none */
    uint64_t lineage;      /* Of the cluster: 1 at first; every recovery adds one. */
    struct slice reason;   /* Removed by a recovery: when, by whom, and what to do; or empty. */
};
extern const struct codec rpc_standing_codec;

/* cluster.rebuild, to a node whose data is damaged. With `check` nothing is changed. */
struct rpc_rebuild {
    bool check;
};
extern const struct codec rpc_rebuild_codec;

/* cluster.reset, to a node that its cluster has removed or left behind. With `check` nothing is
 * changed. */
struct rpc_reset {
    bool check;
};
extern const struct codec rpc_reset_codec;

struct rpc_discarded {
    struct slice cluster;    /* Whose data it is. */
    struct slice reason;     /* Why this node is no member. */
    struct codec_list items; /* What is thrown away: texts. */
    struct slice message;
};
extern const struct codec rpc_discarded_codec;

/* What a member whose data is damaged asks of the leader, of itself: to know of it (told), to take it
 * out of raft's configuration (asked), to let it in again with an empty log (none). */
struct rpc_quarantine {
    struct slice step;
    uint64_t life; /* Of the rebuild: random. */
    struct slice reason;
};
extern const struct codec rpc_quarantine_codec;

struct rpc_quarantined {
    struct slice step; /* Where it stands; "out": the configuration without it is committed. */
    struct slice why;  /* Why it is not out yet; may be empty. */
};
extern const struct codec rpc_quarantined_codec;

/* The bytes that a joiner signs: what it says of itself, bound to the token. */
MUST_USE struct status rpc_admit_statement(const struct rpc_admit *admit, struct buffer *out);

/* A join token as text, "muster1." and base64url of: token id (8 bytes), secret (32), CA fingerprint
 * (32), cluster id (16), then up to 5 RPC addresses, each a size byte and text, and a CRC-32C of all
 * before it. */
#define RPC_JOIN_TOKEN_ADDRESSES_MAX 5
#define RPC_CLUSTER_ID_SIZE 16 /* As bytes; twice as many hexadecimal digits. */
#define RPC_JOIN_TOKEN_SIZE_MAX 1024
struct join_token {
    uint8_t id[8];
    uint8_t secret[32];
    uint8_t ca_fingerprint[32];
    uint8_t cluster_id[RPC_CLUSTER_ID_SIZE];
    size_t address_count; /* 1 to RPC_JOIN_TOKEN_ADDRESSES_MAX */
    char addresses[RPC_JOIN_TOKEN_ADDRESSES_MAX][128];
};
MUST_USE struct status join_token_format(const struct join_token *token, struct buffer *out);
/* STATUS_INVALID says what is wrong with it (cut, mistyped, another version), never its content. */
MUST_USE struct status join_token_parse(struct slice text, struct join_token *out);

struct rpc_remove {
    struct slice name;
    bool force;
};
extern const struct codec rpc_remove_codec;

struct rpc_name {
    struct slice name;
};
extern const struct codec rpc_name_codec;

/* ---- registration ---- */

/* In all requests that change the registration, R6: `mode` is empty or "machine", and `machine` is
 * empty or the name of the node that the caller is connected to; anything else is refused. */
struct rpc_enable {
    struct slice region;
    struct slice mode;
    struct slice machine;
};
extern const struct codec rpc_enable_codec;

struct rpc_disable {
    struct slice mode;
    struct slice machine;
};
extern const struct codec rpc_disable_codec;

struct rpc_register {
    struct slice token; /* 32 lower-case hexadecimal digits; a secret. */
    struct slice mode;
    struct slice machine;
};
extern const struct codec rpc_register_codec;

struct rpc_deregister {
    struct slice mode;
    struct slice machine; /* If given, it must be the one that is registered, too. */
    bool forget;          /* Do not ask the cloud: a person says that the device is gone there. */
};
extern const struct codec rpc_deregister_codec;

/* ---- credentials ---- */

struct rpc_credential_add {
    struct slice name;
    struct slice client_id;
    struct slice password; /* A secret. */
    struct slice region;   /* Empty: the registration's region. */
    bool replace;          /* Otherwise a name that exists is refused. */
};
extern const struct codec rpc_credential_add_codec;

struct rpc_feature {
    struct slice feature; /* casebook, pivot_menu, export */
    bool available;
    struct slice missing; /* The scopes that are missing, separated by a space. */
};
extern const struct codec rpc_feature_codec;

struct rpc_credential {
    struct slice name;
    struct slice client_id;
    struct slice region;
    bool selected;
    bool verified;
    uint64_t verified_at_ms;
    struct slice scopes;
    struct slice error;
    uint64_t put_at_ms;
    struct codec_list features; /* rpc_feature */
};
extern const struct codec rpc_credential_codec;

struct rpc_credentials {
    struct codec_list credentials; /* rpc_credential */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_credentials_codec;

/* ---- records ---- */

struct rpc_submit {
    struct slice feed;
    struct codec_list records; /* message_record (record.h); 1 to RPC_RECORDS_MAX. */
};
extern const struct codec rpc_submit_codec;

struct rpc_submitted {
    uint64_t accepted;
    uint64_t duplicates;
};
extern const struct codec rpc_submitted_codec;

struct rpc_search {
    struct slice
        key; /* Empty (any), or: ip, domain, url, sha256, sender, recipient, mid, message_id */
    struct slice value; /* Normalised by the server. */
    uint64_t since_ms;
    uint64_t until_ms;
    uint64_t before_sequence; /* Page on with the last row's. */
    uint64_t limit;           /* 0: 100; at most RPC_LIST_MAX. */
};
extern const struct codec rpc_search_codec;

struct rpc_record {
    uint64_t sequence;
    struct slice fate; /* pending, delivered, dead */
    struct slice external_id;
    uint64_t stored_at_ms;
    struct message_record record;
};
extern const struct codec rpc_record_codec;

struct rpc_records {
    struct codec_list records; /* rpc_record */
    bool more;
    struct rpc_freshness freshness;
};
extern const struct codec rpc_records_codec;

/* ---- export ---- */

struct rpc_pause {
    struct slice reason;
};
extern const struct codec rpc_pause_codec;

struct rpc_page {
    uint64_t after; /* The last row's sequence; 0 from the beginning. */
    uint64_t limit; /* 0: 100; at most RPC_LIST_MAX. */
};
extern const struct codec rpc_page_codec;

struct rpc_dead_letter {
    uint64_t sequence;
    struct slice serial;
    struct slice id;
    struct slice reason;
    uint64_t at_ms;
};
extern const struct codec rpc_dead_letter_codec;

struct rpc_dead_letters {
    struct codec_list dead_letters; /* rpc_dead_letter */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_dead_letters_codec;

struct rpc_sequence {
    uint64_t sequence; /* 0: all of them. */
};
extern const struct codec rpc_sequence_codec;

/* ---- saved lives: what a node was before it joined, kept aside in its data folder ---- */

struct rpc_saved_life {
    struct slice lineage;
    struct slice folder;
    struct slice state; /* looking, unread, empty, kept, submitting, submitted */
    uint64_t saved_at_ms;
    uint64_t undelivered; /* Records pending, and dead letters. */
    uint64_t given;       /* Of them, to the cluster. */
    struct slice error;
};
extern const struct codec rpc_saved_life_codec;

struct rpc_saved {
    struct codec_list lives; /* rpc_saved_life, oldest first */
};
extern const struct codec rpc_saved_codec;

struct rpc_lineage {
    struct slice lineage; /* Empty, to submit: all. */
};
extern const struct codec rpc_lineage_codec;

/* ---- operators and audit ---- */

struct rpc_operator_add {
    struct slice name;
    struct slice role; /* viewer, operator, admin */
    uint64_t days;     /* 1 to 825; 0: 365. */
};
extern const struct codec rpc_operator_add_codec;

struct rpc_operator_added {
    struct slice certificate; /* PEM, then the CA's. */
    struct slice key;         /* PEM; given once, not stored. A secret. */
    uint64_t not_after_ms;
};
extern const struct codec rpc_operator_added_codec;

struct rpc_operator {
    struct slice name;
    struct slice role;
    struct slice fingerprint; /* Hex. */
    uint64_t not_after_ms;
};
extern const struct codec rpc_operator_codec;

struct rpc_operators {
    struct codec_list operators; /* rpc_operator */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_operators_codec;

struct rpc_certificate {
    struct slice kind; /* ca, node, operator */
    struct slice name;
    struct slice state;     /* good; ending: in 30 days; ended; removed: refused at any time */
    uint64_t not_before_ms; /* 0: not known. */
    uint64_t not_after_ms;
    uint64_t days_left;
    struct slice fingerprint; /* Hex. */
};
extern const struct codec rpc_certificate_codec;

struct rpc_certificates {
    struct codec_list certificates; /* rpc_certificate */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_certificates_codec;

/* Which lines of the audit; what is 0 or empty leaves all. */
struct rpc_audit_query {
    uint64_t after; /* The last row's sequence, or `next` of the page before. */
    uint64_t limit; /* 0: 100; at most RPC_LIST_MAX. */
    uint64_t since_ms;
    uint64_t until_ms;   /* Before it. */
    struct slice actor;  /* A part of it: "anna", "uid 0". */
    struct slice method; /* The command's whole name: "member_admit". */
};
extern const struct codec rpc_audit_query_codec;

struct rpc_audit_line {
    uint64_t sequence;
    uint64_t at_ms;
    struct slice actor;
    struct slice origin;
    struct slice command;
    struct slice target;
    struct slice outcome;
    struct slice comment;
    struct slice hash; /* Hex. */
};
extern const struct codec rpc_audit_line_codec;

struct rpc_audit {
    struct codec_list lines; /* rpc_audit_line */
    uint64_t next;           /* Go on after this sequence; 0: there is no more. */
    struct rpc_freshness freshness;
};
extern const struct codec rpc_audit_codec;

struct rpc_audit_verified {
    uint64_t lines;
    bool good;
    struct slice error;
    struct rpc_freshness freshness;
    uint64_t trimmed;    /* Lines before the first one that were let go, by audit_trim. */
    struct slice anchor; /* Hex: the hash of the last of them, from which the chain goes on. */
};
extern const struct codec rpc_audit_verified_codec;

/* ---- inspection ---- */

struct rpc_method_view {
    struct slice method;
    struct slice role;
    struct slice routing;
    struct slice summary;
    struct codec_list params;  /* texts: "name: type (limit)" */
    struct codec_list results; /* texts */
};
extern const struct codec rpc_method_view_codec;

struct rpc_description {
    uint64_t protocol;
    struct slice version;
    struct codec_list methods; /* rpc_method_view */
};
extern const struct codec rpc_description_codec;

struct rpc_version {
    struct slice version;
    struct slice library;
    uint64_t protocol;
    uint64_t pid;
    uint64_t uptime_ms;
};
extern const struct codec rpc_version_codec;

/* How this node itself is, whatever the cluster does: answered while it is suspended, too. */
struct rpc_node_status {
    struct slice name;
    bool suspended;
    struct slice kind; /* disk-full, no-inodes, quota, read-only, store-full, disk-error, damaged */
    struct slice reason;
    struct slice remedy;
    uint64_t since_ms;
    uint64_t next_try_in_ms; /* UINT64_MAX: not by itself. */
    uint64_t attempts;       /* That came to nothing. */
    struct slice last_try;   /* What the last one said. */
    bool readable;           /* Stale reads are answered. */
    uint64_t disk_free;      /* Bytes of the data folder's disk. */
    uint64_t disk_size;
    struct slice disk;            /* ok; low: it should be seen to; full: it takes no new entries */
    uint64_t aside;               /* Undelivered records in saved lives: node.saved.list. */
    uint64_t connections;         /* Of the admin RPC, open now. */
    uint64_t connections_refused; /* Since its start: too many, or too fast. */
    uint64_t connections_cut;     /* Idle or stuck for too long. */
    uint64_t requests_refused;    /* Told to wait: too many a second. */
};
extern const struct codec rpc_node_status_codec;

/* A digest for comparison between nodes. index 0 asks for the present one. `deep` reads all. */
struct rpc_digest {
    uint64_t index;
    bool deep;
    struct slice digest; /* The asker's own, if it is a member: hex. */
};
extern const struct codec rpc_digest_codec;

/* What the node that is asked sees of itself and of its way to the cloud. */
struct rpc_check {
    struct slice region; /* Whose hosts; empty: the registration's, else that of the credentials. */
};
extern const struct codec rpc_check_codec;

struct rpc_finding {
    struct slice group;   /* cloud, disk, files, node */
    struct slice subject; /* "visibility.amp.cisco.com:443", "fsync" */
    struct slice verdict; /* ok, warning, failure */
    struct slice code;    /* For programs: "ok", "name", "certificate-issuer", "full" ... */
    struct slice what;    /* One sentence. */
    struct slice remedy;  /* What to do; empty if nothing. */
};
extern const struct codec rpc_finding_codec;

struct rpc_findings {
    struct slice name;          /* Of the node. */
    struct codec_list findings; /* rpc_finding */
    uint64_t took_ms;
};
extern const struct codec rpc_findings_codec;

struct rpc_digest_view {
    uint64_t index;
    struct slice digest; /* Hex. */
};
extern const struct codec rpc_digest_view_codec;

/* Where a member is now. */
struct rpc_address_news {
    uint64_t node_id;
    struct slice peer_address;
    struct slice rpc_address;
    uint64_t said_at_ms; /* By itself, of its own clock; 0: as the state has it. */
};
extern const struct codec rpc_address_news_codec;

/* From member to member, as question and as answer: where I am, and where I believe the others. */
struct rpc_announce {
    struct slice version;   /* Of musterd. */
    uint64_t index;         /* Applied: how new the state's addresses are. */
    struct codec_list news; /* rpc_address_news; of the sender first. */
    uint64_t level;         /* Of commands that its program knows (store/command.h). */
    uint64_t key_epoch;     /* It holds the new cluster key of this epoch; 0: nothing to say. */
    struct slice key_check; /* By which that key is known. */
};
extern const struct codec rpc_announce_codec;

/* A call that a follower passes on, with who really asked. Only members may. */
struct rpc_forward {
    struct slice method;
    struct slice params; /* The one params map, as it came; may be empty. */
    struct slice actor;
    struct slice origin;
    uint64_t role;    /* enum rpc_role of the caller. */
    uint64_t node_id; /* The node that the caller is connected to (R6). */
    uint64_t deadline_ms;
};
extern const struct codec rpc_forward_codec;

/* ---- The method table ---- */

enum rpc_method {
    RPC_CLUSTER_STATUS,
    RPC_CLUSTER_MEMBERS,
    RPC_CLUSTER_INIT,
    RPC_CLUSTER_TOKEN_CREATE,
    RPC_CLUSTER_TOKEN_LIST,
    RPC_CLUSTER_TOKEN_REVOKE,
    RPC_CLUSTER_JOIN,
    RPC_CLUSTER_ADMIT,
    RPC_CLUSTER_STANDING,
    RPC_CLUSTER_LEAVE,
    RPC_CLUSTER_RESET,
    RPC_CLUSTER_REMOVE,
    RPC_CLUSTER_TRANSFER,
    RPC_CLUSTER_SETTINGS,
    RPC_CLUSTER_SET,
    RPC_CLUSTER_POSITION,
    RPC_CLUSTER_CERTIFICATES,
    RPC_CLUSTER_RECOVER,
    RPC_CLUSTER_RECOVERY_KEY,
    RPC_CLUSTER_KEY,
    RPC_CLUSTER_ROTATE_KEY,
    RPC_SNAPSHOT_BEGIN,
    RPC_SNAPSHOT_NOTE,
    RPC_SNAPSHOT_READ,
    RPC_SNAPSHOT_UPLOAD,
    RPC_SNAPSHOT_RESTORE,
    RPC_CLUSTER_REBUILD,
    RPC_REGISTRATION_STATUS,
    RPC_REGISTRATION_ENABLE,
    RPC_REGISTRATION_DISABLE,
    RPC_REGISTRATION_REGISTER,
    RPC_REGISTRATION_DEREGISTER,
    RPC_REGISTRATION_HAND_OVER,
    RPC_CREDENTIALS_LIST,
    RPC_CREDENTIALS_ADD,
    RPC_CREDENTIALS_VERIFY,
    RPC_CREDENTIALS_SELECT,
    RPC_CREDENTIALS_REMOVE,
    RPC_RECORDS_SUBMIT,
    RPC_RECORDS_SEARCH,
    RPC_EXPORT_STATUS,
    RPC_EXPORT_PAUSE,
    RPC_EXPORT_RESUME,
    RPC_EXPORT_DEAD_LETTERS,
    RPC_EXPORT_RETRY,
    RPC_EXPORT_DISCARD,
    RPC_OPERATOR_ADD,
    RPC_OPERATOR_LIST,
    RPC_OPERATOR_REMOVE,
    RPC_AUDIT_LIST,
    RPC_AUDIT_VERIFY,
    RPC_NODE_VERSION,
    RPC_NODE_STATUS,
    RPC_NODE_RETRY,
    RPC_NODE_SAVED_LIST,
    RPC_NODE_SAVED_SUBMIT,
    RPC_NODE_SAVED_DISCARD,
    RPC_NODE_DIGEST,
    RPC_NODE_CHECK,
    RPC_DESCRIBE,
#ifdef MUSTER_NEXT
    RPC_NEXT_PROBE,
#endif
    RPC_PEER_QUARANTINE,
    RPC_PEER_FORWARD,
    RPC_PEER_ANNOUNCE,
    RPC_METHOD_COUNT,
};

enum rpc_role {
    RPC_ROLE_ANYONE = 0, /* No certificate: cluster.admit alone, which proves itself. */
    RPC_ROLE_VIEWER = 1,
    RPC_ROLE_OPERATOR = 2,
    RPC_ROLE_ADMIN = 3,
    RPC_ROLE_PEER = 4, /* Another member's node certificate: may forward and announce. */
};

enum rpc_routing {
    RPC_HERE,   /* Answered by the node that is asked. */
    RPC_READ,   /* By the leader, linearizable; here if stale. */
    RPC_LEADER, /* By the leader: it changes the state. */
};

struct rpc_method_row {
    const char *name; /* "cluster.status" */
    const struct codec *params;
    const struct codec *result;
    enum rpc_role role; /* Least one; deny by default. */
    enum rpc_routing routing;
    bool secret_params;  /* Never traced; wiped after use. */
    bool secret_result;  /* The same. */
    const char *summary; /* One sentence. */
};

extern const struct rpc_method_row rpc_methods[RPC_METHOD_COUNT];

const char *rpc_role_name(enum rpc_role role);
const char *rpc_routing_name(enum rpc_routing routing);

/*
 * Whether a caller of that role may call the method. Roles from viewer to admin are each worth the
 * ones below; a peer is none of them: it may forward a call, and compare digests and positions.
 */
bool rpc_role_allows(enum rpc_role caller, enum rpc_method method);

/* RPC_METHOD_COUNT if there is none of that name. */
enum rpc_method rpc_method_find(struct slice name);

#endif
