/*
 * Whole nodes: besides consensus and store, a simulated node runs the workers of server/ (exporter,
 * registrar, verifier, the lookups of admission), the very lines that musterd runs, over a simulated
 * loop and HTTPS client, against a simulated cloud, with operators and feeds that use the cluster.
 *
 *     whole_start.c    beginning, healing, randomness, events
 *     whole_node.c     the loop and the proposals of a node's workers (in place of cloud_loop.c)
 *     whole_reads.c    linearizable reads, by the algorithm of consensus
 *     whole_http.c     HTTPS: late, lost, twice (in place of http_client.c)
 *     whole_cloud.c    the cloud: tokens, imports, quota
 *     whole_device.c   the cloud's devices: registration tokens, registrations, the portal
 *     whole_operator.c who registers, pauses, adds credentials
 *     whole_feed.c     who submits records, and again until they are taken
 *     whole_register.c who reads and swaps one value, and writes down what was answered
 *     whole_lone.c     appliances that stand alone
 *     whole_join.c     ... and ask to be admitted
 *     whole_key.c      the cluster key and its rotation
 *     whole_check.c    the rules of the design, as far as they can be seen from outside; those
 *                      of the key in whole_key_check.c
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WHOLE_H
#define WHOLE_H

#include "cloud_state.h"
#include "history.h"
#include "key_rotation.h"
#include "read_rounds.h"
#include "sim.h"

#define WHOLE_ANSWERS_MAX 1024U
#define WHOLE_DEVICES_MAX 256U
#define WHOLE_TOKENS_MAX 256U
#define WHOLE_SIGHTINGS_MAX 16384U /* A power of two; a run has some hundreds. */
#define WHOLE_RECORDS_MAX 8192U
#define WHOLE_FEEDS 3U
#define WHOLE_REGISTERS 2U
#define WHOLE_CONTENDERS 4U
#define WHOLE_LONES 2U
#define WHOLE_TOKEN_SIZE 33U

/* What has happened, for the balance. */
enum whole_count {
    WHOLE_CALLS,        /* Requests that left a node. */
    WHOLE_UNREACHABLE,  /* ... and did not reach the cloud. */
    WHOLE_REPLIES_LOST, /* Taken by the cloud, and the reply dropped. */
    WHOLE_TWICE,        /* Taken twice. */
    WHOLE_LATE,         /* Replies that came when nobody waited any more. */
    WHOLE_ERRORS,       /* Answered with 5xx, 429 or garbage. */
    WHOLE_PORTAL,       /* What administrators did in the portal. */
    WHOLE_BUNDLES,
    WHOLE_SIGHTINGS,
    WHOLE_REGISTRATIONS,
    WHOLE_ACTIONS,    /* Of operators. */
    WHOLE_ADMISSIONS, /* Of appliances that stood alone. */
    WHOLE_ORPHANS,    /* ... that had given up waiting by then. */
    WHOLE_ROTATIONS,  /* Of the cluster key, ended. */
    WHOLE_RECORDS,    /* Acknowledged to feeds. */
    WHOLE_READS,      /* Linearizable ones, answered. */
    WHOLE_SWAPS,      /* Answered. */
    WHOLE_UNDECIDED,  /* Histories that took too long to check. */
    WHOLE_COUNT_COUNT,
};

/* An answer to a proposal that waits for the end of the turn, as propose_deliver() gives it. */
struct whole_answer {
    cloud_proposed done;
    void *argument;
    struct status status;
    struct apply_outcome outcome;
};

/* What a node has besides raft and store. */
struct site {
    struct sim_node *node;
    struct lone *lone;   /* NULL for a node of the cluster. */
    struct cloud *cloud; /* NULL while the node is down. */
    struct http_client *http;
    bool applied; /* Something was, since the last turn. */
    bool look;    /* cloud_look() at the end of this turn. */
    raft_term term;
    bool leads; /* As the workers were told: led, with its barrier applied, in `term`. */
    struct reads reads;
    struct read_echo echo;                 /* As a follower. */
    struct read_echo heard[SIM_NODES_MAX]; /* As a leader: what each echoed, and in which term. */
    struct keyring keys;                   /* In memory. */
    struct keyring kept;                   /* In its file. */
    struct key_worker key;                 /* As long as it lives. */
    char node_key[48];                     /* What keys are wrapped to. */
    uint64_t timer_serials[CLOUD_TIMER_COUNT];
    struct whole_answer answers[WHOLE_ANSWERS_MAX]; /* A ring. */
    size_t answer_first;
    size_t answer_count;
};

/* One HTTPS request on its way. */
struct errand {
    struct site *site;
    struct http_call *call; /* NULL: nobody waits for it any more. */
    struct errand *next;    /* In the site's list, while somebody waits. */
    unsigned references;    /* Events that have it. */
    bool lost;              /* Its reply will not come. */
    char *method;
    char *path; /* Without the host. */
    char *authorization;
    char *certificate;
    char *body;
    unsigned code; /* The reply. */
    char *reply;
    unsigned retry_after_s;
};

struct http_client {
    struct site *site;
    struct errand *errands;
};

/* ---- The cloud ---- */

enum device_state {
    DEVICE_IN_PROGRESS,
    DEVICE_REGISTERED,
    DEVICE_DELETING,
    DEVICE_GONE,
    DEVICE_FAILED,
};

struct device {
    enum device_state state;
    char serial[STORE_SERIAL_SIZE_MAX + 1];
    char token[WHOLE_TOKEN_SIZE];
    bool revoked;
    uint64_t due_ms; /* When IN_PROGRESS or DELETING ends. */
};

enum token_fate { TOKEN_GOOD, TOKEN_EXPIRED, TOKEN_WRONG_REGION, TOKEN_UNKNOWN, TOKEN_FATE_COUNT };

struct device_token {
    char text[WHOLE_TOKEN_SIZE];
    enum token_fate fate;
    unsigned devices; /* That were made with it. */
};

struct sighting {
    uint64_t key; /* Of the external id; 0: free. */
    uint64_t body;
    unsigned created;
};

struct vendor {
    struct device devices[WHOLE_DEVICES_MAX];
    size_t device_count;
    struct device_token tokens[WHOLE_TOKENS_MAX];
    size_t token_count;
    struct sighting sightings[WHOLE_SIGHTINGS_MAX];
    uint64_t bearer_count;
    uint64_t bearers_revoked; /* Those up to this number. */
    uint64_t limited_until_ms;
    uint64_t down_until_ms;
};

struct whole_temper { /* Of the cloud and the way to it. */
    unsigned latency_max_ms;
    unsigned unreachable_percent;
    unsigned reply_lost_percent;
    unsigned twice_percent;
    unsigned error_percent;
    unsigned portal_percent;
};

/* ---- Clients ---- */

struct whole_record {
    char external_id[SIGHTING_ID_SIZE];
    bool acknowledged;
};

struct feed {
    struct world *world;
    unsigned number;
    uint64_t first; /* Of the batch at hand; 0: none. */
    unsigned count;
    bool under_way;
    unsigned asked; /* Counts questions: an answer to another one is stale. */
};

/* One who reads and swaps. */
struct contender {
    struct world *world;
    unsigned number;
    unsigned asked;
    bool under_way;
    unsigned at;                    /* Which register, */
    size_t operation;               /* and which of its operations. */
    struct site *site;              /* That was asked, */
    unsigned life;                  /* in which life. */
    uint64_t seen[WHOLE_REGISTERS]; /* The versions that were read last. */
};

enum lone_state { LONE_ALONE, LONE_LOCKING, LONE_ASKING, LONE_UNLOCKING, LONE_JOINED };

/* An appliance that stands alone: a store and workers, no raft. */
struct lone {
    struct sim_node node; /* Its world, id and store; nothing else of it is used. */
    struct site site;
    uint64_t index;
    enum lone_state state;
    unsigned asked;
    char name[16];
    char serial[32];
    char token[17]; /* That it asks with. */
};

struct whole {
    struct lone lones[WHOLE_LONES];
    uint64_t join_token_count;
    raft_term term_leaders[SIM_INDEX_MAX]; /* By term: id of the node that led in it. */
    struct site sites[SIM_NODES_MAX];
    struct vendor vendor;
    struct whole_temper temper;
    struct keyring keys; /* Of appliances that stand alone. */
    uint64_t random;     /* Of its own. */
    bool healed;
    struct feed feeds[WHOLE_FEEDS];
    struct whole_record records[WHOLE_RECORDS_MAX];
    uint64_t record_count;
    struct contender contenders[WHOLE_CONTENDERS];
    struct history registers[WHOLE_REGISTERS];
    uint64_t moment;
    unsigned term_exporters[SIM_INDEX_MAX]; /* By term: number + 1 of the node that exports. */
    size_t counts[WHOLE_COUNT_COUNT];
};

/* What an event of ours is about. */
struct whole_event {
    struct lone *lone; /* Whose turn ends after it, or NULL. */
    void (*run)(void *context, uint64_t argument);
    void *context;
    uint64_t argument;
};

/* whole_node.c */
void whole_start(struct world *world);
void whole_heal(struct world *world);
void site_open(struct sim_node *node);
void site_crash(struct sim_node *node);
void site_applied(struct sim_node *node);
void site_turn(struct sim_node *node);
MUST_USE struct status site_propose(struct site *site, const struct command *command,
                                    cloud_proposed done, void *argument);
struct site *whole_leader(struct world *world);    /* Who thinks so, at random; NULL. */
struct store *whole_furthest(struct world *world); /* Of the node that has applied most. */
uint64_t site_now_ms(const struct site *site);     /* Wall clock. */
/* As consensus_read(). */
MUST_USE struct status site_read(struct site *site, struct read_barrier *barrier,
                                 read_barrier_done done);
void site_turn_reads(struct site *site);
/* The round that a message carries, and what one that arrived brought. */
uint64_t site_round(struct sim_node *from, const struct raft_message *message);
void site_heard(struct sim_node *to, const struct flight *flight);
unsigned whole_draw(struct world *world, unsigned low, unsigned high);
bool whole_chance(struct world *world, unsigned percent);
/* Run later: on a node, if it lives the same life then; or with `site` NULL in any case. */
void whole_later(struct world *world, struct site *site, uint64_t delay_ms,
                 void (*run)(void *context, uint64_t argument), void *context, uint64_t argument);
void whole_run_event(void *payload);

/* whole_http.c */
void http_forget(struct http_client *client); /* The node crashed. */

/* whole_vendor.c */
void vendor_serve(struct world *world, struct errand *errand);
void vendor_reply(struct errand *errand, unsigned code, json_t *body);
bool vendor_bearer(struct world *world, struct errand *errand, unsigned *client);
const struct sighting *vendor_sighting(const struct world *world, const char *external_id);

/* whole_device.c */
bool device_serve(struct world *world, struct errand *errand);
void device_tick(struct world *world);
void device_portal(struct world *world);
const char *device_make_token(struct world *world, enum token_fate fate);
extern const char device_key_pem[];
extern const char device_request_pem[];

/* whole_key.c */
extern const char whole_cluster_id[];
void key_open(struct site *site); /* The node starts. */
void key_crash(struct site *site);
void key_turn(struct site *site);
void key_open_lone(struct lone *lone);
/* The key that an admitted node is given; false: the leader does not have it yet. */
bool key_admit(struct site *leader, struct keyring *out);
void key_admitted(struct lone *lone, const struct keyring *ring);
/* Another certificate for the node's key. */
struct slice whole_certificate(struct world *world, struct arena *arena, uint64_t node_id);
/* As the handlers seal, by the keyring of the node. */
struct slice whole_seal(const struct site *site, struct arena *arena,
                        const struct seal_purpose *purpose, const char *plain);

/* whole_key_check.c */
void key_check_applied(struct sim_node *node, const struct command *command);
bool key_is_settled(struct world *world, struct store *store);
void key_check_end(struct world *world);

/* whole_lone.c, whole_join.c */
MUST_USE struct status lone_propose(struct lone *lone, const struct command *command,
                                    cloud_proposed done); /* With the lone. */
void lone_join(struct lone *lone);
void lone_unlock(struct lone *lone, const char *reason);
void lone_start(struct world *world);
void lone_turn(struct lone *lone);
struct lone *lone_of(struct world *world, uint64_t node_id); /* NULL: not one of them. */

/* whole_operator.c, whole_feed.c */
void operator_start(struct world *world);
void feed_start(struct world *world);
bool feed_idle(const struct world *world);
void feed_poke(struct world *world);

/* whole_register.c */
void register_start(struct world *world);
void register_check(struct world *world);

/* whole_check.c */
const char *whole_count_name(enum whole_count count);
void whole_check_departure(struct site *site, const struct errand *errand);
void whole_check_devices(struct world *world);
void whole_check_leader(const struct sim_node *node);
/* A command was applied, here first of all nodes. */
void whole_check_applied(struct sim_node *node, struct slice entry, uint32_t refusal);
bool device_is_present(const struct device *device);
bool whole_is_settled(struct world *world);
void whole_check_end(struct world *world);

#endif
