/*
 * Commands: everything that can change the store, each declared once, as a struct and a table of
 * fields (command.c). A log entry carries a batch of them.
 *
 * A command holds all that apply needs: the leader stamps time, ids, nonces and keys into it, and
 * seals secrets before it is proposed (seal.h). Apply reads no clock, random, environment or
 * network.
 *
 * On the wire: [format version, type, stamp, body] as codec CODEC_TAGS (strict). Types and tags are
 * never renumbered or reused.
 *
 * Versions: each program knows commands up to a level (STORE_LEVEL). A cluster has a level, too: the
 * highest that every member is known to know. A command above the cluster's level is refused, by the
 * leader before it is proposed and, should it be proposed, by the state; so members of two versions
 * apply the same things. What a row of the store gains with a level is written by commands of that
 * level only. The cluster's level is raised by the leader and never falls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_COMMAND_H
#define STORE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/codec.h"

/* Limits, in bytes unless a name says otherwise. */
#define STORE_NAME_SIZE_MAX 64     /* Node, operator, credential and cluster names. */
#define STORE_SERIAL_SIZE_MAX 64   /* Appliance serial numbers. */
#define STORE_ADDRESS_SIZE_MAX 127 /* host:port */
#define STORE_REGION_SIZE_MAX 16
#define STORE_MODE_SIZE_MAX 16
#define STORE_ID_SIZE_MAX 128       /* Cloud ids: device, registration, tenant, API client. */
#define STORE_TEXT_SIZE_MAX 512     /* Comments, error texts. */
#define STORE_SCOPES_SIZE_MAX 4096  /* A granted scope list. */
#define STORE_PEM_SIZE_MAX 16384    /* A certificate chain or a CSR. */
#define STORE_SEALED_SIZE_MAX 16640 /* A sealed secret: PEM_SIZE_MAX and its overhead. */
#define STORE_HASH_SIZE 32          /* SHA-256. */
#define STORE_WRAPPED_SIZE_MAX 256  /* A cluster key wrapped to a member's key. */
#define STORE_DIGEST_SIZE 16        /* Of the state: store_digest(). */
#define STORE_RECORD_ID_SIZE_MAX 128
#define STORE_RECORD_SIZE_MAX 65536 /* The body of one record. */
#define STORE_KEY_SIZE_MAX 2048     /* The value of one search key. */
#define STORE_KEY_KIND_MAX 255      /* Kinds of records and of search keys. */
#define STORE_RECORD_KEYS_MAX 256   /* Search keys of one record. */
#define STORE_RECORDS_MAX 1000      /* Records in one command. */
#define STORE_REJECTS_MAX 2000      /* Refused entities in one export_advance. */
#define STORE_AUDIT_TRIM_MAX 2000   /* Lines that one audit_trim lets go. */
#define STORE_TRIM_MAX 10000        /* Sequences that one records_trim passes. */
#define STORE_MEMBERS_MAX 50
#define STORE_CREDENTIALS_MAX 16
#define STORE_TOKENS_MAX 64 /* Join tokens that exist at once. */
#define STORE_OPERATORS_MAX 64
#define STORE_VOTERS_MAX 7 /* How many members may vote: 1, 3, 5 or 7. */

/* The highest level of commands that this program knows. Raised, by one, in a release that adds a
 * command or a field of one; what it adds is of the new level (command_level()). */
#ifdef MUSTER_NEXT /* A program that pretends to be the next one: tests/system/upgrade_test.py. */
#define STORE_LEVEL 2
#else
#define STORE_LEVEL 1
#endif
#define STORE_LEVEL_MAX 65535

/* Who asked, from where, when: written to the audit line of the same transaction. */
struct stamp {
    uint64_t at_ms;       /* The leader's clock, ms since 1970 UTC. */
    struct slice actor;   /* "uid 0", operator or node name; "muster" for the leader's workers. */
    struct slice origin;  /* Address, or "local on NODE"; "local": that worker's. */
    struct slice comment; /* The operator's own words; optional. */
};

enum command_type {
    COMMAND_CLUSTER_INIT = 1,
    COMMAND_CLUSTER_FORM = 2,
    COMMAND_STANDING_SET = 3,
    COMMAND_JOIN_TOKEN_CREATE = 4,
    COMMAND_JOIN_TOKEN_REVOKE = 5,
    COMMAND_MEMBER_ADMIT = 6,
    COMMAND_MEMBER_SET = 7,
    COMMAND_MEMBER_REMOVE = 8,
    COMMAND_REGISTRATION_ENABLE = 9,
    COMMAND_REGISTRATION_DISABLE = 10,
    COMMAND_REGISTRATION_BEGIN = 11,
    COMMAND_REGISTRATION_NOTE = 12,
    COMMAND_REGISTRATION_COMPLETE = 13,
    COMMAND_REGISTRATION_FAIL = 14,
    COMMAND_DEREGISTRATION_BEGIN = 15,
    COMMAND_DEREGISTRATION_COMPLETE = 16,
    COMMAND_CREDENTIAL_PUT = 17,
    COMMAND_CREDENTIAL_VERIFIED = 18,
    COMMAND_CREDENTIAL_SELECT = 19,
    COMMAND_CREDENTIAL_REMOVE = 20,
    COMMAND_RECORDS_PUT = 21,
    COMMAND_RECORDS_TRIM = 22,
    COMMAND_EXPORT_ADVANCE = 23,
    COMMAND_EXPORT_PAUSE = 24,
    COMMAND_DEAD_LETTER_RETRY = 25,
    COMMAND_DEAD_LETTER_DISCARD = 26,
    COMMAND_CLOUD_PAUSE = 27,
    COMMAND_OPERATOR_PUT = 28,
    COMMAND_OPERATOR_REMOVE = 29,
    COMMAND_REGISTRATION_HAND_OVER = 30,
    COMMAND_CHECKPOINT = 31,
    COMMAND_MEMBER_QUARANTINE = 32,
    COMMAND_SETTINGS_SET = 33,
    COMMAND_CLUSTER_RECOVER = 34,
    COMMAND_RECOVERY_KEY_TAKE = 35,
    COMMAND_LEVEL_RAISE = 36,
    COMMAND_KEY_ROTATE = 37,
    COMMAND_KEY_GIVE = 38,
    COMMAND_KEY_HOLD = 39,
    COMMAND_KEY_RESEAL = 40,
    COMMAND_AUDIT_TRIM = 41,
    COMMAND_SNAPSHOT_TAKE = 42,
    COMMAND_REGISTRATION_RENEW = 43,
    COMMAND_REGISTRATION_FORGET = 44,
    COMMAND_CLOUD_CALLS = 45,
#ifdef MUSTER_NEXT
    COMMAND_NEXT_PROBE = 46,
#endif
};

/* One above the highest type. */
#ifdef MUSTER_NEXT
#define COMMAND_TYPE_COUNT 47
#else
#define COMMAND_TYPE_COUNT 46
#endif

/* ---- The cluster and its members ---- */

enum standing {
    STANDING_STANDALONE = 1, /* A cluster of one that others cannot join. */
    STANDING_JOINING = 2,    /* Standalone and locked: asked another cluster to admit it; or, in a
                                cluster, admitted and not yet caught up. */
    STANDING_MEMBER = 3,
    STANDING_LEAVING = 4,
    STANDING_REMOVED = 5, /* Kept so that the node can be told. */
};

struct member {
    uint64_t node_id;
    struct slice name;         /* Unique among members, as is the serial. */
    struct slice serial;       /* Of the appliance. */
    struct slice model;        /* Optional, for the cloud. */
    struct slice version;      /* Of musterd. */
    struct slice peer_address; /* host:port of the peer network. */
    struct slice rpc_address;  /* host:port of the admin RPC; empty if it has none. */
    struct slice certificate;  /* PEM, issued by the cluster's CA. */
    uint64_t standing;         /* enum standing */
    uint64_t since_ms;
    uint64_t quarantine;            /* enum quarantine */
    uint64_t quarantine_life;       /* The rebuild it is about; 0 before the first. */
    struct slice quarantine_reason; /* What is damaged, in words; empty when nothing is. */
    uint64_t quarantine_since_ms;
    uint64_t level; /* STORE_LEVEL of its program, as it last said. */
};

/* Where a member whose data is damaged stands on its way back (docs/adr/0010-damaged-data.md). */
enum quarantine {
    QUARANTINE_NONE = 0,
    QUARANTINE_ASKED = 1, /* It takes no part: raft's configuration must let it go. */
    QUARANTINE_OUT = 2,  /* The configuration without it is committed: it may begin an empty log. */
    QUARANTINE_TOLD = 3, /* It has said what is damaged, and waits for its operator. */
};

/* The first command of every log: this node as a standalone cluster of one. Refused when the store
 * is not empty. */
struct cluster_init {
    struct slice cluster_id; /* 32 hex digits. */
    struct slice ca_certificate;
    struct slice sealed_ca_key; /* Purpose "ca_key", 0. */
    uint64_t key_epoch;         /* Of the cluster key that seals; from 1. */
    struct member member;
};

/* `cluster init NAME`: the standalone node becomes the first member of a named cluster. */
struct cluster_form {
    struct slice name;
    uint64_t voters; /* As settings_set; 0: each leader's own configuration says. */
};

/* What all members shall do alike. 0 stays as it is. */
struct settings_set {
    uint64_t voters; /* How many members shall vote: 1, 3, 5 or 7. */
};

/* A standalone node locks itself (JOINING) before it asks a cluster, or unlocks (STANDALONE).
 * Locking is refused while a registration exists or is in doubt, and in a cluster; a FAILED
 * registration, of which nothing exists in the cloud, becomes ENABLED by it. */
struct standing_set {
    uint64_t standing;
};

struct join_token_create {
    struct slice token_id;    /* 16 hex digits, public. */
    struct slice secret_hash; /* SHA-256 of the secret part. */
    uint64_t expires_at_ms;
    struct slice for_name; /* Optional: only a node of this name may use it. */
};

struct join_token_revoke {
    struct slice token_id;
};

enum cloud_check {
    CLOUD_CHECK_UNREGISTERED = 1,
    CLOUD_CHECK_REGISTERED = 2,  /* The cloud still lists the serial: refused. */
    CLOUD_CHECK_UNREACHABLE = 3, /* Could not ask; said so in the answer and the audit. */
};

/* Consumes the token and adds the member (standing JOINING) in one step. `registration_state` is
 * what the joiner signed about itself: anything but disabled or enabled is refused (rule 7). */
struct member_admit {
    struct slice token_id;
    struct member member;
    uint64_t registration_state; /* enum registration_state */
    struct slice statement;      /* The signed statement, kept for the audit. */
    uint64_t cloud_check;        /* enum cloud_check: what the cloud said of the serial. */
};

/* Change what is known of a member: standing, addresses, version, certificate. Empty fields stay. A
 * level below the cluster's is refused. */
struct member_set {
    uint64_t node_id;
    uint64_t standing; /* 0 stays. */
    struct slice version;
    struct slice peer_address;
    struct slice rpc_address;
    uint64_t level; /* 0 stays. */
    struct slice certificate;
};

/* From now on the cluster uses commands of this level. Refused unless it is above the present one
 * and every member knows it. */
struct level_raise {
    uint64_t level;
};

#ifdef MUSTER_NEXT
/* Does nothing but be audited: what a new command of the next version would be. */
struct next_probe {
    struct slice text;
};
#endif

struct member_remove {
    uint64_t node_id;
    bool force;    /* The node is dead: `cluster remove --force`. */
    bool rollback; /* An admission that was not finished: the member leaves no trace. */
};

/* One step of a rebuild: to TOLD from NONE; to ASKED from anywhere, unless it is the last member whose
 * data is good; to OUT from ASKED, by the leader, when raft has let it go; to NONE from OUT, when its
 * empty log is ready, or from TOLD, when nothing is damaged after all. OUT and NONE must name the life
 * that asked. A step taken already is done again as nothing. */
struct member_quarantine {
    uint64_t node_id;
    uint64_t step; /* enum quarantine */
    uint64_t life; /* Random, new with each rebuild. */
    struct slice reason;
};

/* The leader's digest at an earlier checkpoint, for every replica to compare with its own (rule 14).
 * Keeps the digest of this index in its turn. What the comparison finds changes nothing in the
 * state: store_divergence() tells it. */
struct checkpoint {
    uint64_t index;      /* Of the earlier one; 0: there is none yet. */
    struct slice digest; /* 16 bytes, or empty. */
};

/* The first command of a new lineage of the cluster, on the one node that goes on: it alone is a
 * member afterwards, open join tokens are revoked, and a registration whose machine is gone is its
 * own. It never comes through a log that others share: the node applies it to its copy of the state,
 * before that state begins a log (docs/adr/0018-lost-quorum.md). */
struct cluster_recover {
    uint64_t lineage; /* Present one + 1, or refused. */
    struct member member;
    struct slice source;    /* In words: "the log of a, up to 812" or "the snapshot of ...". */
    uint64_t from_index;    /* What the state was taken from. */
    uint64_t from_taken_ms; /* A snapshot: when it was taken. Otherwise 0. */
};

/* Somebody was given the key that opens snapshots made under the cluster key of this epoch. */
struct recovery_key_take {
    uint64_t key_epoch;
};

/* ---- The cluster key (docs/adr/0027-rotating-the-cluster-key.md) ---- */

/* The new key as one member is given it. */
struct key_holder {
    uint64_t node_id;
    struct slice wrapped; /* To the member's own key. */
    bool held;            /* It has said that it keeps it, durably. */
};

/* A new cluster key, wrapped to every member. Refused unless it is the next epoch, no other rotation
 * is under way, and the holders are the members there are. */
struct key_rotate {
    uint64_t epoch;
    struct slice check;        /* Derived from the key: what all must agree on. */
    struct slice reason;       /* In words; may be empty. */
    struct codec_list holders; /* struct key_holder */
};

/* To a member that was admitted since. One that was given it already keeps what it has. */
struct key_give {
    uint64_t epoch;
    struct slice check;
    uint64_t node_id;
    struct slice wrapped;
};

/* The member has unwrapped the key, found that it fits, and keeps it, durably. */
struct key_hold {
    uint64_t epoch;
    struct slice check;
    uint64_t node_id;
};

struct resealed {
    struct slice sealed; /* By the new key. */
};

/* The end of a rotation: every sealed secret of the state is replaced at once, and the old key is of
 * no use any more. Refused until every member holds the new one, and unless the secrets are those that
 * were opened: `before` is store_sealed()'s hash, `values` have its order. */
struct key_reseal {
    uint64_t epoch;
    struct slice check;
    struct slice before;
    struct codec_list values; /* struct resealed */
};

#define STORE_SEALED_MAX (STORE_CREDENTIALS_MAX + 4) /* Sealed secrets of a state. */

/* Somebody is given a sealed snapshot of a node's state: written down, changes nothing else. */
struct snapshot_take {
    struct slice node; /* Its name. */
};

/*
 * Let the oldest lines of the audit go, those up to `sequence` but never the newest, and at most
 * STORE_AUDIT_TRIM_MAX. The hash of the last one stays as the anchor that the chain goes on from, and
 * stands in the line that this command itself gets. The outcome's value is how many went.
 */
struct audit_trim {
    uint64_t sequence;
};

/* ---- Registration ---- */

enum registration_state {
    REGISTRATION_DISABLED = 1,
    REGISTRATION_ENABLED = 2,
    REGISTRATION_REGISTERING = 3,
    REGISTRATION_REGISTERED = 4,
    REGISTRATION_DEREGISTERING = 5,
    REGISTRATION_FAILED = 6, /* The cloud's answer is final, nothing exists there. */
};

struct registration_enable {
    struct slice region; /* A row of the server's region table; checked there. */
};

struct registration_disable {
    uint64_t reserved; /* Always 0. */
};

/* Intent: written before the cloud is asked. Refused unless the state is ENABLED or FAILED. */
struct registration_begin {
    struct slice mode;         /* "machine" or refused (rule 6). */
    uint64_t node_id;          /* The machine; must be a member. */
    struct slice serial;       /* Its serial, as a check. */
    struct slice sealed_token; /* Purpose "registration_token" and the epoch this begin will have:
                                  the present one + 1. */
    struct slice sealed_key;   /* Device key, PEM. Purpose "device_key" and that epoch. */
    struct slice csr;          /* PEM. */
    uint64_t epoch;            /* Present epoch + 1, or refused: someone else began. */
    uint64_t key_epoch;
};

/* Progress and attempts; changes no state. A code while REGISTERED says that the cloud does not take
 * the device as it is (deleted, suspended, its certificate dead): the export holds until a note
 * without one. */
struct registration_note {
    uint64_t epoch;
    struct slice registration_id; /* Given by the cloud when it accepted; empty stays. */
    uint64_t attempt;
    struct slice error;   /* Empty after success. */
    uint64_t next_try_ms; /* Wall clock; 0 if none is due. */
    struct slice code;    /* The cloud's; optional. */
};

/* An answer of an older epoch is refused and changes nothing. Once REGISTERED, the same device's
 * answer renews certificate and not_after_ms. */
struct registration_complete {
    uint64_t epoch;
    struct slice device_id;
    struct slice tenant;
    struct slice certificate; /* Device certificate, PEM. */
    uint64_t not_after_ms;
};

/* Intent, before the cloud is asked for a new device certificate: whoever leads asks with the same
 * request until it answers. Refused unless REGISTERED, or while one is under way. */
struct registration_renew {
    uint64_t epoch;
    struct slice sealed_key; /* The new device key; as that of registration_begin. */
    struct slice csr;
    uint64_t key_epoch;
};

struct registration_fail {
    uint64_t epoch;
    struct slice code;  /* The cloud's, e.g. "token_expired". */
    struct slice error; /* One sentence and the remedy. */
};

/* `cluster leave --hand-over NODE`: another member becomes the machine of a finished registration,
 * so that the present one may leave. The epoch, device and key
 * stay, and the serial that the cloud knows. */
struct registration_hand_over {
    uint64_t epoch;
    uint64_t node_id;    /* The new machine; must be a member. */
    struct slice serial; /* Its serial, as a check. */
};

struct deregistration_begin {
    uint64_t epoch; /* The present one. */
};

struct deregistration_complete {
    uint64_t epoch;
    bool forgotten; /* The cloud no longer knew the device. */
};

/* `registration deregister --forget`: a person says that nothing of it is left in the cloud, which is
 * not asked. From REGISTERING, REGISTERED and DEREGISTERING. Should the device be there after all,
 * its id is kept, and the next registration takes it over instead of making a second one. */
struct registration_forget {
    uint64_t epoch;
};

/* ---- Shared API credentials ---- */

struct credential_put {
    struct slice name;
    struct slice client_id;
    struct slice sealed_password; /* Purpose "credential/NAME" and the generation. */
    struct slice region;
    uint64_t generation; /* Present generation of this name + 1 (1 if new), or refused. */
    uint64_t key_epoch;
};

struct credential_verified {
    struct slice name;
    uint64_t generation; /* Another one than the stored: refused, it was replaced meanwhile. */
    bool valid;
    struct slice scopes; /* Granted, as the token endpoint gave them. */
    struct slice error;  /* Empty if valid. */
};

struct credential_select {
    struct slice name;
};

struct credential_remove {
    struct slice name; /* The selected one is refused while others exist. */
};

/* ---- Records and export ---- */

/* Kinds of record and of search key are numbers to the store; the protocol gives them meaning. */
struct index_key {
    uint64_t kind;
    struct slice value; /* Normalised; 1 to 2048 bytes. */
};

struct record_put {
    uint64_t kind;
    struct slice serial;
    struct slice id;   /* MID or transaction. */
    uint64_t revision; /* With kind, serial and id: the record's identity for ever. */
    uint64_t observed_at_ms;
    struct slice body;      /* Opaque to the store. */
    struct codec_list keys; /* Of struct index_key. */
};

/* Outcome value: how many of them were new; the rest were known already and changed nothing. */
struct records_put {
    struct slice feed;         /* Who produced them: "mail_logs C100V-1". */
    struct codec_list records; /* Of struct record_put; 1 to STORE_RECORDS_MAX. */
};

/* Delivered and discarded records below `sequence` are dropped from the store (retention), with
 * their identity: such a record, offered again, is new. Undelivered ones and dead letters stay,
 * whatever is asked. One command passes at most STORE_TRIM_MAX sequences; the outcome's value is
 * how many it passed: as long as that is STORE_TRIM_MAX, propose the same once more. */
struct records_trim {
    uint64_t sequence;
};

struct export_reject {
    uint64_t sequence;
    struct slice reason;
};

/* The records `from` + 1 to `to` were delivered, but for the rejects, which become dead letters.
 * Refused unless `from` is the mark: an answer that comes twice, or late, changes nothing. */
struct export_advance {
    uint64_t from;
    uint64_t to;
    struct codec_list rejects; /* Of struct export_reject, ascending. */
};

struct export_pause {
    bool paused;
    struct slice reason;
};

/* The record goes out again: it is appended to the outbox under a new sequence and keeps its
 * identity. */
struct dead_letter_retry {
    uint64_t sequence;
};

struct dead_letter_discard {
    uint64_t sequence;
};

/* The whole organisation must not call before this time (429); a new leader inherits it. */
struct cloud_pause {
    uint64_t until_ms;
    struct slice reason;
};

/* The leader made these calls of the organisation's quota since it said so last; counted at the minute
 * of the stamp. */
struct cloud_calls {
    uint64_t count; /* Not 0. */
    uint64_t limit; /* Calls an hour, as the cloud said last; 0: it did not. */
};

/* ---- Operators ---- */

enum role {
    ROLE_NONE = 0,
    ROLE_VIEWER = 1,
    ROLE_OPERATOR = 2,
    ROLE_ADMIN = 3,
};

struct operator_put {
    struct slice name;
    uint64_t role;            /* enum role, not NONE. */
    struct slice fingerprint; /* SHA-256 of the client certificate. */
    uint64_t not_after_ms;
};

struct operator_remove {
    struct slice name;
};

/* ---- Any of them ---- */

struct command {
    enum command_type type;
    struct stamp stamp;
    union {
        struct cluster_init cluster_init;
        struct cluster_form cluster_form;
        struct standing_set standing_set;
        struct join_token_create join_token_create;
        struct join_token_revoke join_token_revoke;
        struct member_admit member_admit;
        struct member_set member_set;
        struct member_remove member_remove;
        struct registration_enable registration_enable;
        struct registration_disable registration_disable;
        struct registration_begin registration_begin;
        struct registration_note registration_note;
        struct registration_complete registration_complete;
        struct registration_fail registration_fail;
        struct deregistration_begin deregistration_begin;
        struct deregistration_complete deregistration_complete;
        struct credential_put credential_put;
        struct credential_verified credential_verified;
        struct credential_select credential_select;
        struct credential_remove credential_remove;
        struct records_put records_put;
        struct records_trim records_trim;
        struct export_advance export_advance;
        struct export_pause export_pause;
        struct dead_letter_retry dead_letter_retry;
        struct dead_letter_discard dead_letter_discard;
        struct cloud_pause cloud_pause;
        struct cloud_calls cloud_calls;
        struct operator_put operator_put;
        struct operator_remove operator_remove;
        struct registration_hand_over registration_hand_over;
        struct checkpoint checkpoint;
        struct member_quarantine member_quarantine;
        struct settings_set settings_set;
        struct cluster_recover cluster_recover;
        struct recovery_key_take recovery_key_take;
        struct level_raise level_raise;
        struct key_rotate key_rotate;
        struct key_give key_give;
        struct key_hold key_hold;
        struct key_reseal key_reseal;
        struct audit_trim audit_trim;
        struct snapshot_take snapshot_take;
        struct registration_renew registration_renew;
        struct registration_forget registration_forget;
#ifdef MUSTER_NEXT
        struct next_probe next_probe;
#endif
    } body;
};

/* The command's stable name, "member_admit". Never NULL. */
const char *command_name(enum command_type type);

/* The level of clusters from which on it may be used. */
uint64_t command_level(enum command_type type);

/* Append the encoding. STATUS_INVALID names the field out of its limits; STATUS_NO_MEMORY. */
MUST_USE struct status command_encode(const struct command *command, struct buffer *out);

/* Decode strictly. Everything in `*out` borrows from `entry` and `arena`. STATUS_INVALID,
 * STATUS_NO_MEMORY. */
MUST_USE struct status command_decode(struct slice entry, struct arena *arena, struct command *out);

/*
 * Why the state said no; the same on every replica. Stands in the outcome's code; 0 is done.
 * Never renumbered: replicas of two versions must agree, and clients branch on them.
 */
enum refusal {
    REFUSAL_NONE = 0,
    REFUSAL_ALREADY_INITIALISED = 1,
    REFUSAL_ALREADY_MEMBER = 2, /* The node is in a cluster already. */
    REFUSAL_NOT_STANDALONE = 3,
    REFUSAL_NOT_IN_CLUSTER = 4,        /* Still standalone: `cluster init` first. */
    REFUSAL_REGISTERED = 5,            /* R7: registered on its own. */
    REFUSAL_REGISTRATION_IN_DOUBT = 6, /* R7: registering or deregistering. */
    REFUSAL_CLOUD_LISTS_SERIAL = 7,    /* R7: the cloud still lists the appliance. */
    REFUSAL_TOKEN_UNKNOWN = 8,
    REFUSAL_TOKEN_EXPIRED = 9,
    REFUSAL_TOKEN_USED = 10,
    REFUSAL_TOKEN_REVOKED = 11,
    REFUSAL_TOKEN_FOR_OTHER = 12, /* Bound to another node name. */
    REFUSAL_TOKENS_FULL = 13,
    REFUSAL_NODE_EXISTS = 14,
    REFUSAL_NAME_EXISTS = 15,
    REFUSAL_SERIAL_EXISTS = 16,
    REFUSAL_MEMBERS_FULL = 17,
    REFUSAL_MEMBER_UNKNOWN = 18,
    REFUSAL_LAST_MEMBER_REGISTERED = 19, /* Deregister before the last node leaves. */
    REFUSAL_REGISTERED_MACHINE = 20,     /* Hand the registration over, or deregister, first. */
    REFUSAL_NOT_MACHINE_MODE = 21,       /* R6 */
    REFUSAL_OTHER_MACHINE = 22,          /* R6: serial and node do not match. */
    REFUSAL_DISABLED = 23,               /* Enable the service first. */
    REFUSAL_ALREADY_ENABLED = 24,
    REFUSAL_REGION_FIXED = 25, /* The region cannot change while registered. */
    REFUSAL_REGISTRATION_EXISTS = 26,
    REFUSAL_NOT_REGISTERED = 27,
    REFUSAL_EPOCH = 28,            /* An older or newer registration than the present one. */
    REFUSAL_STANDING_JOINING = 29, /* Locked: a join is under way. */
    REFUSAL_CREDENTIAL_UNKNOWN = 30,
    REFUSAL_CREDENTIAL_SELECTED = 31,
    REFUSAL_CREDENTIAL_CHANGED = 32, /* Replaced meanwhile. */
    REFUSAL_CREDENTIALS_FULL = 33,
    REFUSAL_OUTBOX_FULL = 34,
    REFUSAL_MARK_MOVED = 35,
    REFUSAL_DEAD_LETTER_UNKNOWN = 36,
    REFUSAL_OPERATOR_UNKNOWN = 37,
    REFUSAL_OPERATORS_FULL = 38,
    REFUSAL_FIELD = 39,         /* A number names no value of its enumeration. */
    REFUSAL_LAST_REPLICA = 40,  /* No other member has the data. */
    REFUSAL_OTHER_REBUILD = 41, /* The step is of an earlier rebuild, or out of its turn. */
    REFUSAL_VOTERS = 42,
    REFUSAL_QUORUM_AT_RISK = 43, /* Too few of the other voters answer for this one to go. */
    REFUSAL_LEVEL = 44,          /* Not all members know this yet. */
    REFUSAL_OLD_VERSION = 45,    /* The node's program is older than what the cluster uses. */
    REFUSAL_STILL_MEMBER = 46,   /* For all that is known the cluster counts on this node. */
    REFUSAL_ROTATION_UNDER_WAY = 47,
    REFUSAL_KEY_CHANGED = 48,  /* The cluster key, its holders or what it seals, meanwhile. */
    REFUSAL_KEY_NOT_HELD = 49, /* Not by every member. */
    REFUSAL_SAVED_FULL = 50,   /* Too many earlier lives of the node hold records. */
    REFUSAL_COUNT,
};

/* "registered": stable, for clients to branch on. Never NULL. */
const char *refusal_name(enum refusal refusal);

/* One sentence that says why, and one that says what helps. Never NULL. */
const char *refusal_reason(enum refusal refusal);
const char *refusal_remedy(enum refusal refusal);

#endif
