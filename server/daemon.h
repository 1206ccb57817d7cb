/*
 * The daemon: what one musterd consists of, and how its parts meet. One loop, one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_DAEMON_H
#define SERVER_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "address_book.h"
#include "audit_journal.h"
#include "client/protocol.h"
#include "cloud.h"
#include "config.h"
#include "consensus/consensus.h"
#include "damage.h"
#include "disk_watch.h"
#include "identity.h"
#include "key_rotation.h"
#include "level.h"
#include "renewal.h"
#include "retention.h"
#include "scrubber.h"
#include "store/store.h"
#include "succession.h"
#include "suspension.h"

struct announcer;
struct call;
struct checkup;
struct comparer;
struct doubt;
struct forwarder;
struct joiner;
struct leaver;
struct membership;
struct recoverer;
struct restorer;
struct snapshotter;
struct rebuild;
struct neighbours;
struct rpc_server;
struct saved;
struct tls_context;

enum daemon_phase {
    DAEMON_STARTING,
    DAEMON_SUSPENDED, /* The doors are open, log and state closed: see suspension.h. */
    DAEMON_RUNNING,
    DAEMON_DRAINING,     /* The cloud's calls settle; no new requests. */
    DAEMON_HANDING_OVER, /* Another is asked to lead. */
    DAEMON_HANDED_OVER,  /* Calls under way get their answers. */
    DAEMON_CLOSING,
};

#define DAEMON_VOUCHED_MAX 8 /* Nodes that the state does not name and a member vouched for. */

struct daemon {
    uv_loop_t *loop;
    enum daemon_phase phase;
    struct config config;
    gid_t operator_group;          /* Of config.socket_operator_group; -1: none. */
    struct suspension *suspension; /* The caller's: it outlives this run. */
    struct probe *probe;           /* Of the data folder, under way; or NULL. */
    struct identity identity;
    struct tls_context *tls_server;
    struct tls_context *tls_client;
    struct store *store;         /* While suspended read only, or NULL. */
    struct consensus *consensus; /* While suspended NULL, and so are the workers below. */
    struct cloud *cloud;
    struct rpc_server *rpc_server;
    struct forwarder *forwarder;
    struct membership *membership;
    struct joiner *joiner;
    struct doubt *doubt;
    struct announcer *announcer;
    struct address_book addresses; /* Newer than the state's. */
    struct leaver *leaver;
    struct saved *saved;
    struct recoverer *recoverer;
    struct snapshotter *snapshotter;
    struct restorer *restorer;
    struct rebuild *rebuild;   /* While suspended, too. */
    struct resetter *resetter; /* While suspended only, if the identity can be read. */
    struct comparer *comparer;
    struct neighbours *neighbours;
    struct checkup *checkup; /* Under way, or NULL. */
    struct disk_watch disk;
    struct retention retention;
    struct audit_journal audit_journal;
    struct renewal renewal;
    struct level_worker level;
    struct key_worker key;
    struct scrubber scrubber;
    struct damage damage;      /* As its mark says. */
    uint32_t contacts_written; /* What damage_save_contacts() remembers. */

    struct call *calls; /* All that are not gone. */
    size_t call_count;
    size_t calls_size;            /* Bytes of their params. */
    struct consensus_event event; /* The last one. */
    uint64_t started_at_ms;       /* Monotonic. */
    struct buffer scratch;        /* For encoding; empty between uses. */

    uv_timer_t flush_timer;   /* Runs while applied entries wait for their commit. */
    uv_timer_t tick_timer;    /* Every DAEMON_TICK_MS. */
    uv_check_t applied_check; /* Tells the workers once per turn of the loop. */
    uv_signal_t signals[3];
    uint64_t denied;         /* Calls without the role for them since that was last logged. */
    uint64_t denied_next_ms; /* Monotonic: when it may be logged again. */
    bool applied;            /* Something was, since the last turn. */
    bool stopping;
    bool stop_early; /* Asked to stop before it ran. */
    bool fatal;      /* Consensus or store failed: nothing to hand over. */
    bool unusable;   /* Starting failed at the data folder. */
    bool restart;    /* Start again, in the lineage that CURRENT names. */
    bool removed;    /* The cluster said so: it goes on without this node. */
    bool superseded; /* Of an old side: it must not act, though it may have a quorum. */
    bool initialise; /* The first entry is still to be written. */
    struct succession succession; /* Carried out when everything is closed, if `restart`. */
    char removed_reason[RPC_TEXT_SIZE_MAX + 1]; /* With `removed`: in the cluster's words. */
    char setback[STATUS_MESSAGE_SIZE];          /* Why the last succession came to nothing. */
    int exit_code;
    unsigned parts_open;          /* Being closed. */
    unsigned workers_open;        /* The same; they are first. */
    uint64_t stopped_at_ms;       /* Monotonic: when it was asked to. */
    uint64_t leaderless_since_ms; /* Monotonic; 0 while there is a leader. */
    struct membership_change hand_over;
    struct membership_change yield; /* Of a leader without room. */
    bool yielding;
    uint64_t callers_version; /* Of the state, when the open connections were looked at. */
    uint64_t unknown_peer; /* Wants to talk to us, and nobody told us of it: to be asked about. */
    uint64_t vouched[DAEMON_VOUCHED_MAX];
    size_t vouched_count; /* Ever; the last ones are kept. */
};

#define DAEMON_TICK_MS 100

/* From one life of the daemon to the next in the same process. Begins as zero. */
struct daemon_next {
    bool restart;                      /* Begin anew. */
    struct suspension suspension;      /* If it is active the run is a suspended one. */
    char setback[STATUS_MESSAGE_SIZE]; /* For the operator, who asked for what did not come. */
};

/* Run until stopped. Returns the exit code. */
int daemon_run(const struct config *config, struct daemon_next *next);

/* Stop in order: hand over, drain, close. `restart` as above. Idempotent. */
void daemon_stop(struct daemon *daemon, bool restart, const char *reason);

/*
 * Take no part any more, until what failed works again: everything is closed, and the daemon begins
 * anew suspended, as `kind`. Nothing is handed over; a leader's silence says it. Idempotent.
 * A suspended daemon takes this too: its reason becomes another.
 */
void daemon_suspend(struct daemon *daemon, enum suspension_kind kind, struct status reason);

/* Of a suspended daemon: look at the disk now, and take part if it can be used; what is damaged is
 * opened as it is. */
void daemon_retry(struct daemon *daemon);

/* Nothing is open but the doors, and maybe the state to read. */
static inline bool daemon_is_suspended(const struct daemon *daemon)
{
    return daemon->consensus == NULL;
}

/* The callback of flush_timer: commits what was applied. */
void daemon_on_flush_timer(uv_timer_t *timer);

/* Propose a command of the node's own workers: actor "muster". OK: `done` is called exactly once,
 * later. A failure: never. */
MUST_USE struct status daemon_propose(struct daemon *daemon, const struct command *command,
                                      cloud_proposed done, void *argument);

/* Use this certificate for this node's key: for new connections at every door, and on disk. On failure it
 * may be in use already and is not on disk; to be tried again. */
MUST_USE struct status daemon_renew_tls(struct daemon *daemon, struct slice certificate);

/* The cluster was recovered elsewhere and goes on in a newer lineage: this node acts no more. */
void daemon_supersede(struct daemon *daemon, struct slice reason);

/* This node leads and its barrier is applied: it may answer for the cluster. */
static inline bool daemon_leads(const struct daemon *daemon)
{
    return daemon->event.role == CONSENSUS_LEADER && daemon->event.ready && !daemon->superseded;
}

/* Is this the id of a node that may speak as a member? The state says, and before its first entries
 * have arrived those who admitted this node. Of one that a lagging state does not name yet, another
 * member is asked; the answer is no until it has come. */
bool daemon_knows(struct daemon *daemon, uint64_t node_id);

/* Why there is no leader to ask, in words: "no quorum: 1 of 3 voters reachable (b, c down)". After a
 * newline, what helps, if there is more to say than of every lost quorum. */
MUST_USE struct status daemon_no_leader(struct daemon *daemon);

/* Name of a member, or its id in hex, in the arena. */
struct slice daemon_name_of(struct daemon *daemon, struct arena *arena, uint64_t node_id);

/* How many members shall vote: the cluster's setting, or until one was made this node's own. */
uint64_t daemon_voters(const struct daemon *daemon, const struct cluster_view *cluster);

/* Where that member's admin RPC is believed to be. STATUS_UNREACHABLE if nobody knows. */
MUST_USE struct status daemon_rpc_address(struct daemon *daemon, uint64_t node_id,
                                          char out[ADDRESS_SIZE]);

/* How fresh what this node tells is. */
struct rpc_freshness daemon_freshness(struct daemon *daemon, bool stale);

#endif
