/*
 * Agreement: proposing commands to the cluster, and handing committed ones to a state machine.
 *
 * This room knows raft and not what a command means; the machine knows what it means and not raft.
 * The server introduces one to the other. Underneath are libraft's algorithm behind a guard
 * (guard.h), our write-ahead log (wal.h) and our peer network over mutual TLS (peer.h).
 *
 * Everything here is called on the loop's thread; every callback comes from the loop, never from
 * within the call that started it, unless a line below says otherwise.
 *
 * The program must ignore SIGPIPE: peers come and go.
 *
 * Promises, each held by a test that ARCHITECTURE.md names:
 *   - a proposal is answered exactly once;
 *   - a proposal answered STATUS_OK is on disk on a quorum and applied here;
 *   - entries reach the machine in log order, each index once per life of the store;
 *   - a node says it is `ready` only after an entry of its own term has been applied here;
 *   - a failed write of term, vote or log ends this node's leadership before anything is answered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONSENSUS_CONSENSUS_H
#define CONSENSUS_CONSENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

struct uv_loop_s;
struct consensus;

#define CONSENSUS_COMMAND_SIZE_MAX (3U << 20U) /* Bytes of one proposed command. */
#define CONSENSUS_MANIFEST_SIZE_MAX 4096U      /* Bytes. */
#define CONSENSUS_ADDRESS_SIZE 128             /* "host:port" or "[v6]:port", with its zero byte. */
#define CONSENSUS_NODES_MAX 50

/* What applying one command came to; the same on every replica. The machine gives it its meaning;
 * it reaches the proposer's callback and is dropped elsewhere. */
struct outcome {
    uint32_t code;
    uint32_t value;
};

/* The replicated state machine, as the server supplies it. */
struct machine {
    void *context;

    /*
     * Apply the `count` commands of the committed entry at `index`, in order, in one transaction
     * with the applied index, and write each one's outcome. `count` 0 moves the applied index only.
     * An index at or below the applied one is a replay after a restart: skip it. A failure stops
     * this replica for good.
     */
    struct status (*apply)(void *context, uint64_t index, const struct slice *commands,
                           size_t count, struct outcome *outcomes);

    /* The index of the last entry that is in the store, synced or not. */
    uint64_t (*applied_index)(void *context);

    /*
     * Sync everything applied to disk, and describe the state in at most
     * CONSENSUS_MANIFEST_SIZE_MAX bytes. When this returns OK the log up to `index` may be cut.
     */
    struct status (*snapshot)(void *context, uint64_t index, struct buffer *manifest);

    /* Write a consistent image of the state, at or above the last snapshot's index, to `fd`, which
     * may be a pipe, and a write to it fail with EPIPE. Called on a worker thread, while the loop
     * goes on. */
    struct status (*image_write)(void *context, int fd);

    /* Replace the state by the image in the file `path`, fully received and its checksum verified,
     * which satisfies `manifest`. The old state must survive a failure or a crash half way. */
    struct status (*image_install)(void *context, const char *path, struct slice manifest);

    /*
     * May be NULL: there is always room. OK if what the log and the machine need for more entries
     * finds room on the disk; else STATUS_FULL, saying how much is missing. A leader asks before it
     * takes a proposal; a follower (`follower`) before it takes a leader's entries, of whom some may
     * be committed already: it should still say yes for a while when a leader is told no. Asked
     * often: it must be cheap.
     */
    struct status (*room)(void *context, bool follower);

    /* Where a peer listens now; STATUS_NOT_FOUND if the state names no such node (the address in
     * raft's own configuration is then used). */
    struct status (*address_of)(void *context, uint64_t node_id, char out[CONSENSUS_ADDRESS_SIZE]);

    /* May this node, whose certificate was verified, talk to us? False for removed nodes. */
    bool (*peer_allowed)(void *context, uint64_t node_id);
};

enum consensus_role {
    CONSENSUS_FOLLOWER,
    CONSENSUS_CANDIDATE,
    CONSENSUS_LEADER,
    CONSENSUS_STOPPED, /* After a fatal failure, or before the start. */
};

enum member_role {
    MEMBER_SPARE,   /* Neither votes nor replicates. */
    MEMBER_STANDBY, /* Replicates only. */
    MEMBER_VOTER,
};

struct consensus_event {
    enum consensus_role role;
    uint64_t term;
    uint64_t leader_id; /* 0 when unknown. */
    bool ready;         /* Leader whose barrier of this term is applied: it may act outside. */
};

struct consensus_options {
    struct uv_loop_s *loop;
    const char *directory; /* For the log; made if absent. One process at a time. */
    uint64_t node_id;      /* Not 0; node_id_of_certificate() of the certificate below. */

    const char *listen_address; /* Where peers connect to. */
    const char *address;        /* What others are told; the configuration's if not resolved. */
    struct slice ca_pem;        /* The cluster's CA; peers must chain to it. */
    struct slice certificate_pem;
    struct slice key_pem;

    bool bootstrap; /* An empty log begins as a cluster of this one voter. */

    struct machine machine;

    /* Called whenever one of its values changed. */
    void (*on_event)(void *context, const struct consensus_event *event);
    /* The node can no longer take part (disk failure, apply failure). Called once; the node is
     * CONSENSUS_STOPPED and everything outstanding has been or will be answered. */
    void (*on_fatal)(void *context, struct status reason);
    /* Something about catching up that an operator may want to read; `node_id` is the other node, or
     * 0. NULL: ignored. */
    void (*on_notice)(void *context, uint64_t node_id, const char *words);
    void *context;

    /* 0 takes the default that stands here. */
    unsigned election_timeout_ms;   /* 1000 */
    unsigned heartbeat_ms;          /* 100 */
    size_t segment_size;            /* 16 MiB: bytes of one log file. */
    size_t snapshot_after_size;     /* 64 MiB of log since the last snapshot. */
    size_t snapshot_trailing_count; /* 4096 entries kept behind a snapshot for slow followers. */
    /* 256 MiB of log since the last snapshot that are kept, in memory and on disk, for a follower that
     * is catching up. */
    size_t catch_up_log_max;
    uint64_t catch_up_rate_max; /* Bytes per second of all images this node sends; 0: unlimited. */
    size_t pending_size_max;    /* 64 MiB of proposals and unreplicated log, then STATUS_BUSY. */
    unsigned guard_disabled;    /* Bits of enum guard_rule to switch off: tests only. */
};

/*
 * Open the log and start. `*out` is written on success only. The options are copied, slices
 * included; `machine` and `context` must outlive the node.
 * Fails with STATUS_CORRUPT, STATUS_IO, STATUS_FULL (the log), STATUS_UNREACHABLE or STATUS_BUSY (the
 * address cannot be listened on, or the log is another process's), STATUS_INVALID (certificate and
 * node_id do not match) or STATUS_NO_MEMORY.
 */
MUST_USE struct status consensus_open(const struct consensus_options *options,
                                      struct consensus **out);

/* Bytes of free disk that opening the log in this folder asks for, about; NULL: a log that has not
 * begun. Any thread. */
uint64_t consensus_space_needed(const char *directory);

/* Stop: outstanding requests are answered STATUS_UNKNOWN, then `closed` is called and the node is
 * gone. A leader should hand over first (consensus_transfer). */
void consensus_close(struct consensus *consensus, void (*closed)(void *context), void *context);

/* ---- Proposals ---- */

struct proposal;
typedef void (*proposal_done)(struct proposal *proposal, struct status status,
                              struct outcome outcome);

/* The caller allocates it, embedded in its operation, and keeps it until `done` was called. */
struct proposal {
    void *context; /* The caller's own. */

    /* Private to consensus. */
    proposal_done done;
    struct proposal *next;
    size_t offset;
    size_t size;
};

/*
 * Propose a command of 1 to CONSENSUS_COMMAND_SIZE_MAX bytes, which are copied. Everything
 * proposed in one turn of the loop becomes one entry of the log.
 *
 * On success `done` is called exactly once:
 *   STATUS_OK       on disk on a quorum and applied on this replica, with its outcome;
 *   STATUS_UNKNOWN  leadership or the process was lost on the way: it may or may not be applied;
 *   STATUS_NOT_LEADER, STATUS_FULL, STATUS_NO_MEMORY  in the same turn of the loop, before it became
 *                   an entry: it will never be applied.
 * On failure `done` is never called, and the command will never be applied:
 *   STATUS_NOT_LEADER, STATUS_NO_QUORUM (this leader has not heard from a quorum within an election
 *   time-out), STATUS_BUSY (pending_size_max, or leadership is being handed over), STATUS_FULL (no space
 *   left for the log or the machine; the node leads on, and the owner should hand over to one that has
 *   room), STATUS_INVALID (size), STATUS_NO_MEMORY.
 */
MUST_USE struct status consensus_propose(struct consensus *consensus, struct proposal *proposal,
                                         struct slice command, proposal_done done);

/* ---- Linearizable reads ---- */

struct read_barrier;
typedef void (*read_barrier_done)(struct read_barrier *barrier, struct status status);

struct read_barrier {
    void *context; /* The caller's own. */

    /* Private to consensus. */
    read_barrier_done done;
    struct read_barrier *next;
    uint64_t round;
    uint64_t index;
    uint64_t deadline_ms;
};

/*
 * On success `done` is called exactly once: STATUS_OK when this node was still the leader after the
 * call and everything committed before the call is applied here; STATUS_UNKNOWN or STATUS_NO_QUORUM
 * when that could not be established within an election time-out (nothing was changed: ask again).
 * All reads that wait share one round. On failure `done` is never called: STATUS_NOT_LEADER.
 */
MUST_USE struct status consensus_read(struct consensus *consensus, struct read_barrier *barrier,
                                      read_barrier_done done);

/* ---- Membership; on the leader, one change at a time ---- */

struct membership_change;
typedef void (*membership_done)(struct membership_change *change, struct status status);

struct membership_change {
    void *context; /* The caller's own. */

    /* Private to consensus. */
    membership_done done;
    void *request;
};

/*
 * Add a node as spare; give a node another role (a standby is made a voter once it has caught up);
 * remove a node. Each answers exactly once as proposals do. On failure `done` is never called:
 * STATUS_NOT_LEADER, STATUS_BUSY (another change is under way or the barrier is not applied yet),
 * STATUS_NOT_FOUND, STATUS_FULL (not when handing over), STATUS_INVALID (a node of that id exists
 * already; the role is the present one; the node is the leader itself, which must hand over first).
 */
MUST_USE struct status consensus_add(struct consensus *consensus, uint64_t node_id,
                                     const char *address, struct membership_change *change,
                                     membership_done done);
MUST_USE struct status consensus_assign(struct consensus *consensus, uint64_t node_id,
                                        enum member_role role, struct membership_change *change,
                                        membership_done done);
MUST_USE struct status consensus_remove(struct consensus *consensus, uint64_t node_id,
                                        struct membership_change *change, membership_done done);

/*
 * Hand leadership to a voter (0: the best caught up). Answers when it is no longer ours, or
 * STATUS_TIMEOUT, saying why, with everything as it was. Without patience the voter is asked once, at
 * once, and has an election time-out. Otherwise it is asked when it answers and has almost all of the
 * log, and asked again, but not after `patience_ms`; meanwhile no other change of the members can begin.
 * Writes are refused only while it is asked. STATUS_INVALID: the node has no vote.
 */
MUST_USE struct status consensus_transfer(struct consensus *consensus, uint64_t node_id,
                                          uint64_t patience_ms, struct membership_change *change,
                                          membership_done done);

/* ---- Going on without the other members ---- */

struct consensus_log_end {
    uint64_t index;        /* Of the last entry. */
    uint64_t term;         /* Of that entry. */
    uint64_t current_term; /* The highest that this node knew of. */
};

/*
 * Give `machine` every entry of a stopped node's log that it has not applied, committed or not: only
 * for a copy of the state that shall go on without the log's other members. Of the machine only
 * apply and applied_index are used. What was given is not taken back on failure.
 * As wal_open() fails, and STATUS_CORRUPT when the state is behind the log's beginning.
 */
MUST_USE struct status consensus_salvage(const char *directory, const struct machine *machine,
                                         struct consensus_log_end *out);

/* A log that begins after a state. All of it is borrowed. */
struct consensus_founding {
    const char *directory; /* Made if absent; must hold no log. */
    uint64_t index;        /* Of the state. */
    uint64_t term;         /* Above every term of the log that the state comes from. */
    uint64_t node_id;      /* The one voter. */
    const char *address;
    struct slice manifest; /* Describes the state, as machine.snapshot does. */
};

/* On disk when it returns. STATUS_IO, STATUS_FULL, STATUS_INVALID, STATUS_NO_MEMORY. */
MUST_USE struct status consensus_found(const struct consensus_founding *founding);

/* ---- Inspection ---- */

struct consensus_member {
    uint64_t node_id;
    enum member_role role;
    char address[CONSENSUS_ADDRESS_SIZE]; /* As raft's configuration has it. */
    uint64_t match_index;                 /* On the leader: acknowledged by it. 0 elsewhere. */
    uint64_t heard_ms_ago;                /* Since its last answer to this leader, or UINT64_MAX. */
    bool connected;
};

/* An image on its way, so that a node catches up. */
struct consensus_transfer {
    uint64_t node_id;    /* At the other end. */
    bool sending;        /* From here to there. */
    uint64_t done_size;  /* Bytes that are there. */
    uint64_t total_size; /* 0: not known yet, the image is being written to a file. */
    uint64_t rate;       /* Bytes per second. */
};

#define CONSENSUS_TRANSFERS_MAX 3

struct consensus_status {
    struct consensus_event event;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t last_index;
    uint64_t last_term;   /* Of that entry. */
    uint64_t first_index; /* Of the log on disk. */
    uint64_t snapshot_index;
    uint64_t log_size; /* Bytes on disk, recycled segments included. */
    bool log_low;      /* The log's reserve could not be filled up: its disk is full. */
    bool quorum;       /* Leader: a quorum answered within an election time-out. Follower: the
                          leader was heard within one. */
    uint64_t leader_heard_ms_ago; /* Follower: since the leader was heard, or UINT64_MAX. */
    size_t member_count;
    struct consensus_member members[CONSENSUS_NODES_MAX];
    size_t transfer_count;
    struct consensus_transfer transfers[CONSENSUS_TRANSFERS_MAX];
    const char *library; /* "raft library 0.15.0, guarded". */

    /* Since the start. */
    uint64_t proposals;
    uint64_t entries;
    uint64_t log_syncs;
    uint64_t log_sync_time_us;
    uint64_t snapshots_taken;
    uint64_t snapshots_installed;
    uint64_t snapshot_time_us_max; /* The longest that taking one has kept the loop. */
    uint64_t install_time_us_max;  /* The same of installing an image. */
    uint64_t images_resumed;       /* Fetches that began behind what was there already. */
    uint64_t peer_bytes_sent;
    uint64_t peer_bytes_received;
};

/* NULL: a node that takes no part, of which nothing is known. */
void consensus_status(const struct consensus *consensus, struct consensus_status *out);

/* New connections to and from other members use this certificate from now on; those that are open
 * keep theirs. STATUS_INVALID if it is not of this node. */
MUST_USE struct status consensus_renew(struct consensus *consensus, struct slice ca_pem,
                                       struct slice certificate_pem, struct slice key_pem);

/* The machine's answers about who may talk to us may have changed: ask again about every connection
 * that is open, and cut those that may not. */
void consensus_review(struct consensus *consensus);

/* The id of the node whose certificate this is: the first 8 bytes, big-endian and with the highest
 * bit cleared, of the SHA-256 of its public key (SubjectPublicKeyInfo, DER). Identity is the key.
 * STATUS_INVALID if it is not a certificate. Any thread. */
MUST_USE struct status node_id_of_certificate(struct slice pem, uint64_t *out);

#endif
