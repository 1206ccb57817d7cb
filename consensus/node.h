/*
 * The node: what its files share.
 *
 *     node.c        open, close, the turn of the loop, events, failure
 *     node_io.c     libraft's raft_io below the guard: log, peers, clock
 *     log_io.c      its part of the disk, which the simulation runs too
 *     propose.c     proposals become entries; entries reach the machine
 *     read.c        linearizable reads: read_rounds.h on this node
 *     membership.c  who takes part, and handing over
 *     snapshot.c    when the log is cut
 *     catch_up.c    catching up by an image, both ends
 *     inspect.c     what an operator sees
 *
 * Everything runs on the loop's thread. libraft is entered from the loop only (a tick, a message, a
 * finished write) or by a call of the owner; the owner is called from node_turn() only, which runs
 * before and after the loop waits. So no callback comes from within a call, and nothing of the
 * owner's runs inside libraft.
 *
 *     opening -> running -> stopping (a failure) -> stopped -> closing -> gone
 *                   \__________________________________________^
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NODE_H
#define NODE_H

#include <raft.h>
#include <uv.h>

#include "batch.h"
#include "consensus/consensus.h"
#include "guard.h"
#include "image_spool.h"
#include "peer.h"
#include "read_rounds.h"
#include "wal.h"

/* Entries of ours that may be on the way at once. More would make entries smaller, fewer would
 * leave the disk idle while the network works. */
#define NODE_PIPELINE_MAX 4U

#define NODE_PATH_SIZE 512U

struct entry;  /* propose.c: one entry of ours on the way. */
struct change; /* membership.c: one change on the way. */
struct snapshot_get;

/* What this leader knows of another node, in its present term. */
struct node_peer {
    uint64_t id; /* 0: free. */
    uint64_t heard_ms;
    bool heard;
    uint64_t round; /* The highest that it echoed. */
};

struct proposals {
    struct proposal *first; /* Not yet an entry. */
    struct proposal **last;
    struct buffer bytes;  /* Their commands. */
    size_t bytes_start;   /* The running offset of bytes.data[0]. */
    size_t pending_size;  /* Bytes of all that is not answered. */
    unsigned entry_count; /* On the way. */
    struct entry *finished;
    struct entry **finished_last;
    struct slice commands[BATCH_COUNT_MAX];   /* Scratch, of one call. */
    struct outcome outcomes[BATCH_COUNT_MAX]; /* Of the entry applied last. */
};

struct images { /* Catching up by an image. */
    bool held;  /* `message` is. */
    bool fetching;
    bool superseded;        /* What is being fetched is not what `message` offers. */
    bool hurries;           /* Images are sent without a limit of their rate. */
    bool holds;             /* The log is not cut, for a follower's sake; looked at next ... */
    uint64_t held_until_ms; /* ... then. */
    bool cleaned;
    struct peer_image request;
    struct raft_wire_message message; /* InstallSnapshot, held until the image is installed. */
    char address[CONSENSUS_ADDRESS_SIZE];
    char path[NODE_PATH_SIZE];
    unsigned pause_ms;
    uint64_t retry_at_ms;
    uint64_t used_at_ms; /* The files, last. */
};

struct consensus {
    struct consensus_options options; /* Texts are ours; slices are empty. */
    char *directory;
    char *address;
    uv_timer_t ticker;
    uv_prepare_t before_wait;
    uv_check_t after_wait;
    unsigned open_handles;

    struct raft raft;
    struct raft_fsm fsm;
    struct raft_io io;
    struct guard *guard;
    struct wal *wal;
    struct peers *peers;
    struct image_spool *spool;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    raft_io_close_cb io_closed;

    bool opened;       /* consensus_open() has succeeded. */
    bool raft_started; /* raft_init() has succeeded. */
    bool raft_closing;
    bool raft_closed;
    bool wal_open;
    bool peers_open;
    bool closing; /* consensus_close() was called. */
    bool told_fatal;
    struct status failure; /* Why this node can no longer take part; OK if it can. */
    void (*closed)(void *context);
    void *closed_context;

    struct consensus_event event; /* As last told. */
    struct node_peer seen[CONSENSUS_NODES_MAX];
    raft_term seen_term;
    uint64_t leading_since_ms;
    uint64_t leader_heard_ms;
    bool leader_heard;
    struct read_echo echo; /* As a follower. */
    uint64_t opened_ms;
    uint64_t refill_at_ms; /* When the log's reserve is seen to again. */
    raft_index reviewed;   /* The configuration for which the peers were asked again. */

    struct proposals proposals;
    struct reads reads;
    struct change *changes; /* On the way and answered ones. */
    struct images images;
    struct snapshot_get *gets;
    struct raft_io_send *lost; /* For want of memory; answered next turn. */
    size_t log_size;           /* Bytes applied since the last snapshot. */
    raft_index restore_index;  /* The index of the snapshot that libraft is about to restore. */
    uint64_t snapshot_not_before_ms;

    uint64_t proposal_count;
    uint64_t entry_count;
    uint64_t snapshots_taken;
    uint64_t snapshots_installed;
    uint64_t snapshot_time_us_max;
    uint64_t install_time_us_max;
};

/* ---- node.c ---- */

/* Remember the first failure; the node stops at the next turn. */
void node_fail(struct consensus *node, struct status reason);

/* The only place where libraft's codes become statuses, and the other way round. */
MUST_USE struct status node_status_of(int code, const char *action);
int node_code_of(struct status status);

bool node_is_leader(const struct consensus *node);
bool node_is_ready(const struct consensus *node);

/* Leader: a quorum of voters was heard within an election time-out. */
bool node_has_quorum(const struct consensus *node);

/* The row of a node, made if need be; NULL if there are too many. */
struct node_peer *node_peer_of(struct consensus *node, uint64_t id);
const struct node_peer *node_peer_find(const struct consensus *node, uint64_t id);

uint64_t node_now_ms(const struct consensus *node);

/* A voter that hears nothing stands for election. Who has no vote waits for ever in libraft, in the
 * name of a leader that may be gone, or may have dropped it: this tells. */
bool node_leader_is_silent(const struct consensus *node);

/* ---- node_io.c ---- */

/* Why libraft failed, in the words of the disk or the network if they had any. */
MUST_USE struct status node_io_reason(struct consensus *node, const char *action, int code);

/* Is there room for entries, as a leader or as a follower? */
MUST_USE struct status node_room(const struct consensus *node, bool follower);
void node_io_assemble(struct consensus *node);
MUST_USE struct status node_io_open_peers(struct consensus *node,
                                          const struct consensus_options *options);
void node_io_turn(struct consensus *node);
void node_io_answer_lost(struct consensus *node);
void node_io_pass(struct consensus *node, struct raft_wire_message *message);

/* ---- propose.c ---- */
void propose_open(struct consensus *node);
void propose_turn(struct consensus *node);    /* Collected proposals become entries. */
void propose_deliver(struct consensus *node); /* Answer what is finished. */
void propose_abandon(struct consensus *node); /* Nothing more will become an entry. */
void propose_release(struct consensus *node);
int propose_apply(struct raft_fsm *fsm, const struct raft_buffer *buffer, void **result);

/* ---- read.c ---- */
void read_open(struct consensus *node);
void read_turn(struct consensus *node);
void read_abandon(struct consensus *node);

/* ---- membership.c ---- */
void membership_turn(struct consensus *node);

/* ---- snapshot.c ---- */

/* STATUS_CORRUPT if the machine is behind the snapshot that is to be restored. */
MUST_USE struct status snapshot_check_store(const struct consensus *node);
int snapshot_take(struct raft_fsm *fsm, struct raft_buffer *buffers[], unsigned *count);
int snapshot_restore(struct raft_fsm *fsm, struct raft_buffer *buffer);
void snapshot_turn(struct consensus *node);
/* How many entries a snapshot taken now would leave behind it. */
unsigned snapshot_trailing_count(const struct consensus *node);

/* ---- catch_up.c ---- */
MUST_USE struct status catch_up_open(struct consensus *node);
void catch_up_close(struct consensus *node); /* When the peers are gone. */
void catch_up_offered(struct consensus *node, struct raft_wire_message *message);
void catch_up_turn(struct consensus *node);
/* A follower that is catching up would need another image if the log were cut now, as it is due. */
bool catch_up_holds_log(struct consensus *node, bool is_due);
/* For struct peers_options. */
uint64_t catch_up_image_version(void *context);
struct status catch_up_image_open(void *context, uint64_t version, const atomic_bool *cancelled,
                                  int *fd);
void catch_up_on_image(void *context, uint64_t node_id, const char *words);

#endif
