/*
 * The store: one LMDB environment that holds everything a node knows, changed only by commands in
 * log order and read by queries.
 *
 * Invariants, each held by a test:
 *   S1  state, outbox, audit, digest and applied index move in one transaction;
 *   S2  what apply does depends on the store and the command alone;
 *   S3  a refusal changes nothing but the applied index, the digest and (for commands an operator
 *       can send) the audit;
 *   S4  produced = delivered + pending + dead-lettered + discarded, after every command;
 *   S5  a record of a known identity (kind, serial, id, revision) changes nothing.
 *
 * Transactions: commands are applied within an open write transaction; store_flush() commits it
 * (LMDB MDB_NOMETASYNC), store_sync() also reaches the disk. A crash loses what was not flushed,
 * and the log replays it: the log, not LMDB, is what makes an answer durable.
 *
 * Queries see everything applied, flushed or not. What acts outside (exports, cloud calls) must call
 * store_flush() first: effects follow committed state only.
 *
 * One thread, but for store_image_write(). Slices that queries give live in the arena passed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "store/command.h"
#include "store/seal.h"

struct store;

struct store_options {
    const char *directory; /* Must exist; 0700. */
    size_t map_size_max;   /* Bytes; the largest the data file may become. A multiple of 4096. */
    uint64_t outbox_max;   /* Undelivered records; above it records_put is refused whole. The same
                              on all nodes: it is part of what apply decides. */
    bool read_only; /* Queries only; nothing is made or written. STATUS_NOT_FOUND if there is no
                              store there yet. */
};

/* Outcome of one command: as struct outcome of consensus.h, which this room does not know. */
struct apply_outcome {
    uint32_t refusal; /* enum refusal */
    uint32_t value;   /* records_put: new records. records_trim: sequences passed. Otherwise 0. */
};

/* STATUS_IO, STATUS_CORRUPT (with the file), STATUS_FULL, STATUS_INVALID (newer format), NO_MEMORY. */
MUST_USE struct status store_open(const struct store_options *options, struct store **out);
void store_close(struct store *store); /* Flushes nothing: what was not flushed is lost. */

/*
 * Apply the commands of the entry at `index`, all in the open transaction, and write each one's
 * outcome. An index at or below the applied one is skipped (outcomes are then zeroed). `count` 0
 * moves the applied index only. Any failure is fatal to this replica: the transaction is dropped
 * and every later call fails with the same status.
 */
MUST_USE struct status store_apply(struct store *store, uint64_t index,
                                   const struct slice *commands, size_t count,
                                   struct apply_outcome *outcomes);

/* The version of LMDB that is loaded, in words. */
void store_library(char *out, size_t out_size);

uint64_t store_applied_index(const struct store *store); /* Flushed or not. */
uint64_t store_flushed_index(const struct store *store);
MUST_USE struct status store_flush(struct store *store);
MUST_USE struct status store_sync(struct store *store);

/* The rolling digest after the applied index: equal on replicas that applied as much (rule 14). */
struct store_digest {
    uint64_t index;
    uint8_t bytes[STORE_DIGEST_SIZE];
};

void store_digest(const struct store *store, struct store_digest *out);

#define STORE_DIGEST_EVERY 1024 /* Log indexes between digests that are kept for comparison. */

/* The digest as it stood when the applied index first reached `index`, a multiple of
 * STORE_DIGEST_EVERY among the last 16 kept; or before the checkpoint at `index`, of the last 16.
 * STATUS_NOT_FOUND otherwise. */
MUST_USE struct status store_digest_at(struct store *store, uint64_t index,
                                       struct store_digest *out);

/* A digest over every table's contents, read afresh: slow, for tests and for `doctor`. */
MUST_USE struct status store_digest_deep(struct store *store, struct store_digest *out);

/* The same of what was flushed last. Any thread, while others apply. */
MUST_USE struct status store_digest_flushed(struct store *store, struct store_digest *out);

/* A checkpoint (command.h) found that this replica and the leader of that time differ. */
struct divergence {
    uint64_t index; /* Of the checkpoint whose digests differ; 0: none. */
    uint8_t ours[STORE_DIGEST_SIZE];
    uint8_t theirs[STORE_DIGEST_SIZE];
};

/* The first that was found since the store was opened or it was forgotten; false if none was. */
bool store_divergence(const struct store *store, struct divergence *out);
void store_divergence_forget(struct store *store);

/* The newest checkpoint; false if there is none. And: was anything applied since it was? The first
 * checkpoint after other commands does not count as nothing, for its own digest is not compared yet. */
bool store_checkpoint_last(const struct store *store, struct store_digest *out);
bool store_checkpoint_due(const struct store *store);

/* ---- Damage ---- */

/* The first STATUS_CORRUPT that any call came to, whoever was answered with it; OK if there is none. */
struct status store_damage(const struct store *store);

struct store_report {
    uint64_t rows;
    uint64_t bytes; /* Of keys and values. */
    uint64_t applied_index;
};

/*
 * Read a store that is not open, whole: that it opens, every row's checksum, the order of the keys,
 * the number of rows that LMDB's own pages and the head say there are, the audit's chain.
 * STATUS_CORRUPT says what was found first. STATUS_NOT_FOUND if there is no data file.
 *
 * LMDB trusts its pages, and a damaged one may crash it: so this reads in a child process, and
 * a child that crashes or does not come to an end is STATUS_CORRUPT, too. One that was killed by
 * somebody else, such as the kernel for want of memory, says nothing: STATUS_NO_MEMORY.
 */
MUST_USE struct status store_verify(const struct store_options *options, struct store_report *out);

/* Reading an open store bit by bit, for ever round: any thread, while others apply. */
struct store_scrub {
    unsigned table;
    size_t key_size; /* 0: from the table's beginning. */
    uint8_t key[511];
    uint64_t rows; /* Of this round. */
    uint64_t rounds;
};

/* Go on for about `size` bytes. STATUS_CORRUPT as reads have it. `scrub` begins as zero. */
MUST_USE struct status store_scrub(struct store *store, struct store_scrub *scrub, size_t size);

/* ---- Images ---- */

/* Write a compact, consistent image of the last flushed state. Any thread, while others apply. */
MUST_USE struct status store_image_write(struct store *store, int fd);

/*
 * Put the image file in place of the store's and open it: checks that it is an image of this
 * format, of the cluster the store belongs to (or the store is empty) and at or above
 * `index_min`; syncs, renames, reopens. On failure the old store is open as it was.
 */
MUST_USE struct status store_image_install(struct store *store, const char *path,
                                           uint64_t index_min);

/* ---- Queries ---- */

#define STORE_PAGE_MAX 10000 /* Items of one answer; a higher count_max is taken as this. */

struct cluster_view {
    struct slice cluster_id;
    struct slice name; /* Empty while standalone. */
    struct slice ca_certificate;
    struct slice sealed_ca_key;
    uint64_t key_epoch;
    uint64_t formed_at_ms;     /* 0 while standalone. */
    uint64_t standing;         /* While standalone: STANDALONE or JOINING. In a cluster: MEMBER. */
    uint64_t voters;           /* How many members shall vote; 0 if it was never set. */
    uint64_t lineage;          /* 1 at first; every recovery adds one. */
    uint64_t recovered_at_ms;  /* The last time; 0 if never. The rest is of it. */
    struct slice recovered_by; /* Who asked for it. */
    struct slice recovered_on; /* Name of the node that went on. */
    struct slice recovered_from; /* In words. */
    uint64_t recovered_from_index;
    uint64_t level;              /* Of the commands it uses: command.h. */
    struct slice key_due;        /* Who left with the cluster key, so that it has to be rotated. */
    uint64_t recovery_key_epoch; /* Of the cluster key, when the recovery key was last taken; 0: it
                                    never was. */
};

/* STATUS_NOT_FOUND before cluster_init was applied. */
MUST_USE struct status store_cluster(struct store *store, struct arena *arena,
                                     struct cluster_view *out);

/* A rotation of the cluster key under way. */
struct key_rotation_view {
    uint64_t epoch; /* That the cluster will have. */
    struct slice check;
    struct slice reason;
    uint64_t began_at_ms;
    struct codec_list holders; /* struct key_holder: who was given the new key. */
};

/* STATUS_NOT_FOUND when none is under way. */
MUST_USE struct status store_key_rotation(struct store *store, struct arena *arena,
                                          struct key_rotation_view *out);

/* Whether the holder of this node id stands in the list, and holds the key. */
bool key_holder_find(const struct codec_list *holders, uint64_t node_id, struct key_holder *out);

/* One sealed secret of the state. All of them are under the cluster's key_epoch. */
struct sealed_view {
    struct seal_purpose purpose;
    struct slice sealed;
};

/* All sealed secrets, in an order of their own: a list of struct sealed_view, at most
 * STORE_SEALED_MAX, and a hash of them, by which key_reseal knows them. */
MUST_USE struct status store_sealed(struct store *store, struct arena *arena,
                                    struct codec_list *out, uint8_t hash[STORE_HASH_SIZE]);

/* Whether the cluster's level lets the command be used yet (command.h). */
bool store_takes(struct store *store, enum command_type type);

/* All members, removed ones included, by node id: a list of struct member. */
MUST_USE struct status store_members(struct store *store, struct arena *arena,
                                     struct codec_list *out);
MUST_USE struct status store_member(struct store *store, struct arena *arena, uint64_t node_id,
                                    struct member *out);

/* Rises whenever a member or an operator may have changed: whoever was identified before has to be
 * looked up again. Counts from the opening of the store. */
uint64_t store_callers_version(const struct store *store);

struct join_token_view {
    struct slice token_id;
    struct slice secret_hash;
    uint64_t created_at_ms;
    uint64_t expires_at_ms;
    uint64_t used_at_ms;    /* 0 if not. */
    uint64_t used_by;       /* Node id. */
    uint64_t revoked_at_ms; /* 0 if not. */
    struct slice for_name;
    struct slice created_by;
};

MUST_USE struct status store_join_tokens(struct store *store, struct arena *arena,
                                         struct codec_list *out);
MUST_USE struct status store_join_token(struct store *store, struct arena *arena,
                                        struct slice token_id, struct join_token_view *out);

struct registration_view {
    uint64_t state; /* enum registration_state */
    struct slice region;
    struct slice mode;
    uint64_t node_id;    /* The machine; 0 before the first begin. */
    struct slice serial; /* As the cloud knows the device: of the machine that registered it, even
                            once it was handed over to another. */
    uint64_t epoch;
    uint64_t since_ms; /* Of the present state. */
    uint64_t attempt;
    uint64_t next_try_ms;
    struct slice error_code;
    struct slice error;
    struct slice registration_id;
    struct slice device_id;
    struct slice tenant;
    struct slice certificate;
    uint64_t not_after_ms;
    struct slice csr;
    struct slice sealed_token; /* Empty once it was used or given up: wiped. */
    struct slice sealed_key;
    uint64_t key_epoch;
    uint64_t renewed_ms;      /* When the certificate came; 0: with the registration. */
    struct slice renewal_csr; /* Of the certificate that is to follow; empty: none is asked */
    struct slice sealed_renewal_key; /* for. With its key. */
    struct slice former_device_id;   /* Forgotten, perhaps still in the cloud. */
};

MUST_USE struct status store_registration(struct store *store, struct arena *arena,
                                          struct registration_view *out);

struct credential_view {
    struct slice name;
    struct slice client_id;
    struct slice sealed_password;
    struct slice region;
    uint64_t generation;
    uint64_t key_epoch;
    bool selected;
    bool verified;           /* The last verification succeeded. */
    uint64_t verified_at_ms; /* Of the last verification, 0 if never. */
    struct slice scopes;
    struct slice error;
    uint64_t put_at_ms;
    struct slice exposed_to; /* A node that could read the password and is no member any more. */
    uint64_t exposed_at_ms;
};

MUST_USE struct status store_credentials(struct store *store, struct arena *arena,
                                         struct codec_list *out);
/* By name; an empty name gives the selected one. STATUS_NOT_FOUND. */
MUST_USE struct status store_credential(struct store *store, struct arena *arena, struct slice name,
                                        struct credential_view *out);

struct export_view {
    uint64_t produced; /* Records accepted since the beginning. */
    uint64_t delivered;
    uint64_t pending;
    uint64_t dead_lettered;
    uint64_t discarded;
    uint64_t duplicates;      /* Records offered again and not counted in `produced`. */
    uint64_t mark;            /* Sequence up to which everything is settled. */
    uint64_t last_sequence;   /* Highest given out. */
    uint64_t retained;        /* Records in the store. */
    uint64_t oldest_sequence; /* Lowest retained. */
    bool paused;
    struct slice pause_reason;
    uint64_t delivered_at_ms; /* Stamp of the last advance. */
    uint64_t cloud_pause_until_ms;
    struct slice cloud_pause_reason;
    uint64_t outbox_max;
};

MUST_USE struct status store_export(struct store *store, struct arena *arena,
                                    struct export_view *out);

struct calls_view {
    uint64_t last_hour; /* Calls of the organisation's quota that this cluster's leaders made. */
    uint64_t limit;     /* Calls an hour, as the cloud said last; 0: not yet. */
};

/* In the hour before `now_ms`, by whole minutes. */
MUST_USE struct status store_calls(struct store *store, struct arena *arena, uint64_t now_ms,
                                   struct calls_view *out);

enum record_fate {
    RECORD_PENDING,
    RECORD_DELIVERED,
    RECORD_DEAD,
    RECORD_DISCARDED, /* A dead letter that an operator gave up; stays until it is trimmed. */
};

struct record_view {
    uint64_t sequence;
    uint64_t kind;
    struct slice serial;
    struct slice id;
    uint64_t revision;
    uint64_t observed_at_ms;
    uint64_t stored_at_ms;
    struct slice body;
    enum record_fate fate;
};

/* Pending records above `sequence`, oldest first, until `count_max` records or `size_max` bytes of
 * bodies (at least one): a list of struct record_view. */
MUST_USE struct status store_outbox(struct store *store, struct arena *arena, uint64_t sequence,
                                    size_t count_max, size_t size_max, struct codec_list *out);

struct record_search {
    struct index_key key;     /* kind 0: any record. */
    uint64_t since_ms;        /* On observed_at_ms; 0 from the beginning. */
    uint64_t until_ms;        /* 0 to the end. */
    uint64_t before_sequence; /* Newest first, below this; 0 from the newest. For paging. */
    size_t count_max;
};

/* Newest first: a list of struct record_view. `*more` tells whether there are further ones. */
MUST_USE struct status store_search(struct store *store, struct arena *arena,
                                    const struct record_search *search, struct codec_list *out,
                                    bool *more);

struct dead_letter_view {
    struct record_view record;
    struct slice reason;
    uint64_t at_ms;
};

MUST_USE struct status store_dead_letters(struct store *store, struct arena *arena,
                                          uint64_t after_sequence, size_t count_max,
                                          struct codec_list *out);

struct operator_view {
    struct slice name;
    uint64_t role;
    struct slice fingerprint;
    uint64_t not_after_ms;
    uint64_t put_at_ms;
};

MUST_USE struct status store_operators(struct store *store, struct arena *arena,
                                       struct codec_list *out);
MUST_USE struct status store_operator_by_fingerprint(struct store *store, struct arena *arena,
                                                     struct slice fingerprint,
                                                     struct operator_view *out);

struct audit_view {
    uint64_t sequence;
    uint64_t index; /* Of the log entry. */
    uint64_t at_ms;
    struct slice actor;
    struct slice origin;
    struct slice command; /* command_name() */
    struct slice target;  /* What it was done to: a name, an id; never a secret. */
    struct slice outcome; /* "done" or refusal_name(). */
    struct slice comment;
    struct slice evidence;         /* member_admit: the joiner's signed statement. */
    uint8_t hash[STORE_HASH_SIZE]; /* SHA-256 over the line before's hash and this line. */
};

MUST_USE struct status store_audit(struct store *store, struct arena *arena,
                                   uint64_t after_sequence, size_t count_max,
                                   struct codec_list *out);

#define STORE_AUDIT_LOOK_MAX 10000 /* Lines that one query looks at: a few ms. */

/* Which lines; zero is all of them. */
struct audit_filter {
    uint64_t after_sequence;
    uint64_t since_ms;    /* Not before. */
    uint64_t until_ms;    /* Before; 0: no end. */
    struct slice actor;   /* A part of it. */
    struct slice command; /* All of its name. */
};

/* Lines by rising sequence, at most `count_max`. `*next`: where to go on (as after_sequence) when the page
 * is full or enough was looked at; 0 when there are no more. */
MUST_USE struct status store_audit_find(struct store *store, struct arena *arena,
                                        const struct audit_filter *filter, size_t count_max,
                                        struct codec_list *out, uint64_t *next);

/* What there is of the audit. */
struct audit_extent {
    uint64_t line_count;
    uint64_t trimmed; /* Lines before them that were let go. */
    uint8_t
        anchor[STORE_HASH_SIZE]; /* The hash of the last of those, which the chain goes on from. */
};

void store_audit_extent(const struct store *store, struct audit_extent *out);

/* Walk the chain. STATUS_CORRUPT names the first line that is changed, missing or out of order. */
MUST_USE struct status store_audit_verify(struct store *store, uint64_t *line_count);

/* The same of what was flushed last. Any thread, while others apply. */
MUST_USE struct status store_audit_verify_flushed(struct store *store, struct audit_extent *out);

struct store_size {
    uint64_t used;    /* Bytes of pages in use. */
    uint64_t max;     /* map_size_max */
    bool full;        /* A change failed for want of more. */
    uint64_t on_disk; /* Bytes of the data file. */
    uint64_t record_count;
};

void store_size(struct store *store, struct store_size *out);

#endif
