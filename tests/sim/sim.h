/*
 * A cluster in one process, by seed: guarded rafts over a simulated network, clock and disk.
 *
 * Everything random comes from the seed, everything timed from the event queue, so a run repeats
 * exactly. A crash forgets a node's memory; a power failure also what its disk had not synced.
 *
 *     muster_sim.c   options, one child process a seed, the balance
 *     sim_run.c     the schedule of faults, healing, and the last checks
 *     sim_trouble.c what befalls disks and clocks, and the count of all that happened
 *     sim_node.c    one node: state machine, start and crash
 *     sim_io.c      its raft_io: the real write-ahead log over a simulated disk
 *     sim_machine.c its state machine: the real store, or a digest
 *     sim_power.c   what a power cut leaves of the store's file
 *     sim_rot.c     a bit of a stopped node's files is wrong; the node is replaced
 *     sim_mutant.c  the product without one of its invariants
 *     sim_world.c   events, randomness, the network
 *     sim_check.c   what must hold
 *     whole.h       the rest of a node, and the cloud: with --whole
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_H
#define SIM_H

#include <raft.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guard.h"
#include "sim_disk.h"
#include "store/command.h"

#define SIM_NODES_MAX 50U
#define SIM_VOTERS_MAX 7U /* At the start. */
#define SIM_INDEX_MAX 20000U
#define SIM_PROPOSALS_MAX 20000U
#define SIM_COMMANDS_MAX 4U /* Of the store, in one entry. */
#define SIM_PATH_SIZE 128U

#define SIM_SEGMENT_SIZE_STORE (128U << 10U)

/* Bytes of entries the network takes in one message: some dozens of either machine's. */
#define SIM_MESSAGE_SIZE_DIGEST 1024U
#define SIM_MESSAGE_SIZE_STORE 8192U

/* The worst thing a run has seen; also the child's exit code. */
enum verdict {
    VERDICT_GOOD = 0,
    VERDICT_UNSETTLED, /* Healed, and yet no agreement in time. */
    VERDICT_CRASHED,   /* A node did what would crash or stop a real one. */
    VERDICT_ANSWER,    /* A proposal answered twice, wrongly or never. */
    VERDICT_LOST,      /* An acknowledged proposal is gone. */
    VERDICT_RULE,      /* A rule of the design is broken. */
    VERDICT_DIVERGED,  /* Two state machines differ at one index. */
    VERDICT_COUNT,
};

/* What the soak itself does wrong, so that its checks are seen to fail. */
enum sabotage {
    SABOTAGE_NONE,
    SABOTAGE_SNAPSHOT,  /* A snapshot does not sync the store. */
    SABOTAGE_REPLICA,   /* One node applies another command now and then. */
    SABOTAGE_RECORD,    /* All nodes forget an entry, and say that it is done. */
    SABOTAGE_BARRIER,   /* The workers act before the barrier is applied. */
    SABOTAGE_EXPORTERS, /* A deposed leader's workers go on. */
    SABOTAGE_READ,      /* Reads are answered without a round. */
    SABOTAGE_ADMIT,     /* A joiner lies about its registration, and nobody asks the cloud. */
    SABOTAGE_SECRET,    /* A password is not sealed. */
    SABOTAGE_ANSWER,    /* What failed is answered as done. */
    SABOTAGE_BODY,      /* One node writes other sightings than the rest. */
    SABOTAGE_REGISTER,  /* A registration is asked for with a new token each time. */
    SABOTAGE_KEEP,      /* Nodes say that they keep a key, and do not. */
    SABOTAGE_VOTERS,    /* Leaders want two voters more than the state. */
    SABOTAGE_LEAVERS,   /* Who left stays in raft's configuration. */
    SABOTAGE_COUNT,
};

/* Invariants of the product that a run is without; sim_mutant.c. */
enum mutant {
    MUTANT_NONE,
    MUTANT_SYNC,        /* Nothing is synced. */
    MUTANT_LATE_SYNC,   /* Answered before it is synced. */
    MUTANT_DIRECTORY,   /* No directory is synced. */
    MUTANT_REWRITE,     /* After a failed sync, what is read back is believed. */
    MUTANT_CHECKSUM,    /* Nothing is checked. */
    MUTANT_TAIL,        /* What stands behind a torn write is not looked at. */
    MUTANT_TERM,        /* The term is not stored. */
    MUTANT_VOTE,        /* The vote is not stored. */
    MUTANT_POISON,      /* Nobody looks whether the log still takes anything. */
    MUTANT_ROOM,        /* A follower does not ask the log for room. */
    MUTANT_INDEX,       /* What the store has already is applied again. */
    MUTANT_COMMIT,      /* A proposal is acknowledged before it is committed. */
    MUTANT_CLOSE,       /* An orderly stop does not mark the log's end. */
    MUTANT_STORE_SYNC,  /* Nothing of the store is synced. */
    MUTANT_IMAGE_SYNC,  /* An image is installed that was not synced. */
    MUTANT_STALE_KEY,   /* A secret sealed by another key than the present one is taken. */
    MUTANT_EXPOSED_KEY, /* Whoever is removed goes on knowing the key. */
    MUTANT_VERIFY,      /* A store is not verified before it is opened. */
    MUTANT_COUNT,
};

struct sim_options {
    unsigned node_count;
    unsigned guard_disabled; /* Bits of enum guard_rule. */
    bool guarded;            /* False: libraft on the bare io, no guard at all. */
    bool members;            /* Change roles and remove and add nodes, too. */
    bool roles;              /* The membership worker decides which. */
    bool quiet;              /* Few proposals. */
    bool rot;                /* Bits rot in every seed, with changes of the members, too. */
    bool whole;              /* The workers, too, and a cloud. */
    bool trace;
    enum sabotage sabotage;
    enum mutant mutant;
    bool real_store;     /* False: a digest is the state machine. */
    const char *scratch; /* An empty folder for the stores. */
    unsigned steps;
};

/* What is next for a node whose files are damaged; sim_rot.c. */
enum replacing { REPLACING_NOTHING, REPLACING_REMOVAL, REPLACING_ADDITION };

/* What a run did to its nodes; counted. */
enum trouble {
    TROUBLE_PARTITION, /* Both ways; a node cut off from all others is one. */
    TROUBLE_ONE_WAY,
    TROUBLE_LOSS,
    TROUBLE_DUPLICATE,
    TROUBLE_REORDER,
    TROUBLE_PAUSE,
    TROUBLE_STOP,  /* Orderly. */
    TROUBLE_CRASH, /* kill -9: what the system has of the files stays. */
    TROUBLE_POWER, /* What was not synced may be lost. */
    TROUBLE_TORN,
    TROUBLE_UNSYNCED,
    TROUBLE_STORE_CUT, /* Of the store's file something that was not synced was lost. */
    TROUBLE_DISK_ERROR,
    TROUBLE_DISK_FULL,
    TROUBLE_STALL,
    TROUBLE_ROT,
    TROUBLE_CLOCK_RATE,
    TROUBLE_CLOCK_JUMP,
    TROUBLE_CHANGE,
    TROUBLE_TRANSFER,
    TROUBLE_INSTALL,
    TROUBLE_COUNT,
};

struct command;
struct store;
struct whole;
struct wal;
struct world;

struct sim_look { /* What a trace has told of a node; compared whole, so no padding. */
    unsigned long long state;
    raft_term term;
    raft_index configuration;
    raft_index uncommitted;
};

struct sim_node {
    struct world *world;
    unsigned number;
    raft_id id;
    char address[16];
    bool alive;
    bool paused;
    enum replacing replacing;
    bool removed_once; /* Was taken out of the configuration at some time. */
    unsigned life;     /* Counts starts and crashes: events of another life are void. */
    struct raft *raft;
    struct raft_io io; /* Below the guard. */
    struct raft_fsm fsm;
    struct guard *guard;
    raft_io_tick_cb tick;
    raft_io_recv_cb recv;
    unsigned tick_ms;
    struct sim_disk disk; /* Survives a crash. */
    struct wal *wal;      /* Over it; NULL while it is down. */
    unsigned slow_ms;     /* The longest that a write takes. */
    bool begun;           /* Its log has its first entry. */
    bool write_due;
    bool answer_due;
    uint64_t clock_ms;      /* What its clock said ... */
    uint64_t clock_from_ms; /* ... at this time; it goes on from there ... */
    unsigned clock_percent; /* ... at this rate. */
    int64_t wall_offset_ms; /* Of the clock that stamps commands. */
    struct store *store;    /* NULL while it is down, or a digest is the machine. */
    raft_index applied;     /* The last command that libraft, in this life, told us of. */
    uint64_t digest;        /* After it; of a store, after the last command that was not skipped. */
    struct sim_look look;
};

enum event_kind {
    EVENT_TICK,
    EVENT_DISK,
    EVENT_ANSWER,
    EVENT_DELIVER,
    EVENT_SENT,
    EVENT_SNAPSHOT_GET,
    EVENT_FATAL,
    EVENT_SITE,    /* Of a node's workers; struct whole_event. */
    EVENT_OUTSIDE, /* Of the cloud and those who use the cluster; the same. */
};

struct event {
    uint64_t at_ms;
    uint64_t sequence;
    enum event_kind kind;
    unsigned node;
    unsigned life;
    void *payload;
};

struct flight { /* A message on the way. */
    struct raft_message message;
    unsigned from;
    raft_id to_id; /* It may be another node by now. */
    raft_id from_id;
    uint64_t round; /* Of reads, with --whole. */
};

struct asked;

struct sim_proposal {
    struct raft_apply request;
    struct asked *asked; /* Who waits for the answer, with --whole. */
    struct world *world;
    uint64_t value;
    unsigned node;
    unsigned life;
    unsigned answers;
    bool proposed;
    bool acknowledged;
    bool applied;     /* Somewhere; then the refusals are known. */
    unsigned records; /* Bit i: command i puts a record that no other puts. */
    uint32_t refusals[SIM_COMMANDS_MAX];
};

struct temper { /* What kind of weather this seed has. */
    unsigned latency_max_ms;
    unsigned loss_percent;
    unsigned duplicate_percent;
    unsigned reorder_percent;
    unsigned crash_weight;
    unsigned snapshot_threshold;
    unsigned snapshot_trailing;
    unsigned voters;        /* At the start; the others are standby. */
    unsigned send_max_ms;   /* Until a send is done with, which holds entries so long. */
    unsigned answer_max_ms; /* Between a write and libraft's hearing of it. */
    bool disk_fails;
    bool disk_fills;
    bool clocks_stray;
    bool rots;
    bool hunts_leader; /* Faults prefer the leader. */
};

/* What the state would say of the members; sim_roles.c. */
struct roles {
    struct member members[SIM_NODES_MAX]; /* By number of the node. */
    uint64_t voters;                      /* Wanted. */
};

struct world {
    struct sim_options options;
    struct temper temper;
    uint64_t seed;
    bool healed;
    uint64_t random;
    uint64_t machine_random; /* Of its own, so that both machines see the same weather. */
    bool trims;              /* Records may be dropped from the store. */
    uint64_t now_ms;
    uint64_t sequence;
    struct event *heap;
    size_t heap_count;
    size_t heap_capacity;
    struct event *stalled; /* Of paused nodes. */
    size_t stalled_count;
    size_t stalled_capacity;
    struct sim_node nodes[SIM_NODES_MAX];
    struct whole *whole; /* NULL without --whole. */
    struct roles roles;
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t delivered_ms[SIM_NODES_MAX][SIM_NODES_MAX];

    uint64_t values[SIM_INDEX_MAX];  /* The first one applied at each index, 0 if none. */
    uint64_t digests[SIM_INDEX_MAX]; /* After it. */
    raft_index acknowledged;         /* The highest index answered with success. */
    struct sim_proposal proposals[SIM_PROPOSALS_MAX];
    size_t proposal_count;
    size_t acknowledged_count;
    uint64_t troubles[TROUBLE_COUNT];
    uint64_t steps; /* Events that a node was told of. */
    size_t images_installed;
    size_t skipped_count;   /* Entries that a store had already. */
    size_t records_checked; /* Found at the end, once each. */
    enum verdict verdict;
    char reason[200];
};

/* sim_world.c */
uint64_t world_random(struct world *world);
unsigned world_between(struct world *world, unsigned low, unsigned high); /* Both included. */
bool world_chance(struct world *world, unsigned percent);
void world_push(struct world *world, uint64_t at_ms, enum event_kind kind, unsigned node,
                void *payload);
void world_run_until(struct world *world, uint64_t until_ms);
void world_unpause(struct world *world, unsigned number);
void world_say(struct world *world, const char *format, ...) PRINTF_LIKE(2, 3);
size_t world_message_size(const struct world *world);
int world_send(struct sim_node *from, struct raft_io_send *request,
               const struct raft_message *message, raft_io_send_cb callback);
void world_post(struct sim_node *from, unsigned to, const struct raft_message *message);
void world_deliver(struct sim_node *to, struct flight *flight);
void world_sent(struct sim_node *from, void *payload);

/* sim_io.c */
void io_assemble(struct sim_node *node);
struct status io_open(struct sim_node *node); /* The log; it is read whole. */
struct status io_open_disk(const struct sim_node *node, struct sim_disk *disk, struct wal **out);
void io_write(struct sim_node *node);
void io_answer(struct sim_node *node);
void io_snapshot_give(struct sim_node *node, void *payload);
void io_take(struct sim_node *node, struct raft_message *message); /* As the disk has room. */

/* sim_trouble.c */
const char *trouble_name(enum trouble trouble);
void trouble_open(struct sim_node *node, uint64_t seed); /* Its disk and clock. */
void trouble_disk(struct world *world);
void trouble_clock(struct world *world);
void trouble_crash(struct sim_node *node); /* Now, or in the middle of a later write. */
void trouble_heal(struct sim_node *node);
void trouble_sum(struct world *world); /* Add up what the disks counted. */
uint64_t trouble_clock_ms(const struct sim_node *node);
uint64_t trouble_wall_ms(const struct sim_node *node); /* Milliseconds, never 0. */

/* sim_power.c */
/* The node's store is about to be opened; true if the power failed while it was open before. */
bool power_open(struct sim_node *node, const char *path);
void power_installed(struct sim_node *node); /* An image, in place of its file. */
void power_cut(struct sim_node *node);       /* It is closed: what was not synced may be lost. */

/* sim_rot.c */
void rot_strike(struct sim_node *node); /* That is stopped; if this seed's weather has it. */
bool rot_is_pending(const struct world *world); /* Is a node being replaced? */
bool rot_mend(struct world *world); /* The next step of a replacement; true if none is due. */

/* sim_roles.c */
void roles_open(struct world *world);
void roles_act(struct world *world);
bool roles_step(struct world *world); /* What a leader decides; true if that is nothing. */
void roles_check_end(struct world *world);

/* sim_mutant.c */
const char *mutant_name(enum mutant mutant);
void mutant_open(struct world *world);

/* sim_node.c */
void node_start(struct sim_node *node);
void node_kill(struct sim_node *node);       /* As kill -9 does. */
void node_lose_power(struct sim_node *node); /* And the disk what it had not synced. */
void node_stop(struct sim_node *node);       /* In good order. */
void node_event(struct sim_node *node, const struct event *event);
void node_check_power(struct sim_node *node); /* It ends if its disk has gone. */
void node_propose(struct sim_node *node, unsigned count);
bool node_leads(const struct sim_node *node);

/* sim_machine.c */
void machine_open(struct sim_node *node);
void machine_crash(struct sim_node *node);
bool machine_rot(struct sim_node *node); /* A bit of its closed store; true if that is noticed. */
void machine_command(struct sim_node *node, struct sim_proposal *proposal, struct raft_buffer *out);
/* An entry of one command. STATUS_INVALID, as command_encode(). */
MUST_USE struct status machine_entry(struct sim_proposal *proposal, const struct command *command,
                                     struct raft_buffer *out);
void machine_apply(struct sim_node *node, raft_index index, const struct raft_buffer *entry);
void machine_snapshot(struct sim_node *node, uint64_t manifest[2]);
void machine_restore(struct sim_node *node, const uint64_t manifest[2]);
/* The image that goes with the offer; false if it cannot be had now. */
bool machine_fetch(struct sim_node *to, struct sim_node *from,
                   const struct raft_install_snapshot *offer);
void machine_check_end(struct world *world);

/* sim_check.c */
void check_fail(struct world *world, enum verdict verdict, const char *format, ...)
    PRINTF_LIKE(3, 4);
bool check_applied(struct sim_node *node, raft_index index, uint64_t value);
void check_digest(const struct sim_node *node, raft_index index);
void check_restored(struct sim_node *node);
void check_answer(struct sim_proposal *proposal, int status);
size_t check_unanswered(const struct world *world);
void check_end(struct world *world);
const char *verdict_name(enum verdict verdict);

/* sim_run.c */
enum verdict sim_run(struct world *world, const struct sim_options *options, uint64_t seed);

#endif
