/*
 * The cloud half of the server: everything that this node does outside the cluster, behind one
 * door. It holds the exporter, the registrar and the verifier, introduces them to the HTTP client
 * and to the store, and gives the handlers what they ask of the cloud.
 *
 * Rules it keeps: nothing leaves unless this node leads and its barrier is applied (rule 4); what
 * must be done is read from the store, flushed before it is acted upon, and what came of it is
 * proposed (rule 3). So a new leader needs nothing but the store to go on.
 *
 * One thread, that of the loop. Callbacks come from the loop, once, never from within the call that
 * started it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_CLOUD_H
#define SERVER_CLOUD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/slice.h"
#include "base/status.h"
#include "region.h"
#include "store/store.h"

struct uv_loop_s;
struct cloud;

typedef void (*cloud_proposed)(void *argument, struct status status, struct apply_outcome outcome);

/* What the workers ask of the node. */
struct cloud_ops {
    /* Propose a command, whose slices are not needed after the call. `at_ms` is stamped, actor is
     * "muster", origin "local". As consensus_propose(): OK means `done` comes exactly once, later;
     * a failure means that it never comes. */
    struct status (*propose)(void *context, const struct command *command, cloud_proposed done,
                             void *argument);
    /* store_flush(), and what the node does when it fails. */
    struct status (*flush)(void *context);
    uint64_t (*now_ms)(void *context); /* Wall clock, ms since 1970 UTC. */
};

struct cloud_context {
    struct uv_loop_s *loop;
    struct store *store;
    const struct keyring *keys;               /* May be changed in place. */
    const char *node_name;                    /* For the User-Agent; copied. */
    const char *proxy_url;                    /* "http://host:port" for all calls; NULL: none. The
                                         environment's proxies are not used. Copied. */
    struct endpoints endpoints[REGION_COUNT]; /* By enum region; copied. */
    uint64_t device_heartbeat_ms;             /* 0: as the registrar does by itself. */
    const struct cloud_ops *ops;              /* Must outlive the cloud. */
    void *context;                            /* For the ops. */
};

/* Idle until cloud_on_leader(). STATUS_INVALID (an endpoint), STATUS_IO, STATUS_NO_MEMORY. */
MUST_USE struct status cloud_create(const struct cloud_context *context, struct cloud **out);

/* Calls in flight are abandoned (whoever leads next repeats them under the same keys), callbacks
 * of cloud_verify() and cloud_lookup() come at once, from within; then `closed` is called, from the
 * loop, and the cloud is gone. It waits for its proposals' answers: consensus_close() gives them. */
void cloud_destroy(struct cloud *cloud, void (*closed)(void *context), void *context);

/* From consensus_event: leading, and `ready` when the barrier is applied. Repeating is harmless. */
void cloud_on_leader(struct cloud *cloud, bool ready);
void cloud_on_follower(struct cloud *cloud);

/* Entries were applied: look at the store again, at the end of this turn of the loop. Cheap; call
 * it after each. */
void cloud_on_applied(struct cloud *cloud);

/* Start nothing new; `drained` is called when what was in flight is answered and settled, or after
 * CLOUD_DRAIN_MS. For a leader that hands over or stops in order. Once. */
#define CLOUD_DRAIN_MS 5000
void cloud_drain(struct cloud *cloud, void (*drained)(void *context), void *context);

/*
 * Ask the token endpoint about the named credentials (empty: the selected ones) now, and propose
 * what it said; `done` then has STATUS_OK and the store has the answer, good or bad
 * (credential_view). Otherwise: STATUS_NOT_LEADER, STATUS_NOT_FOUND, STATUS_UNREACHABLE,
 * STATUS_BUSY (the cloud's quota is used up), STATUS_UNKNOWN. New credentials are verified without
 * being asked for.
 */
typedef void (*cloud_verify_done)(void *argument, struct status status);
void cloud_verify(struct cloud *cloud, struct slice name, cloud_verify_done done, void *argument);

/*
 * Does the cloud list an appliance of this serial (rule 7)? Asked with the selected credentials, in
 * their region. CLOUD_CHECK_UNREACHABLE whenever it could not be asked; `reason` then says why, and
 * is a device id (or empty) for CLOUD_CHECK_REGISTERED.
 */
typedef void (*cloud_lookup_done)(void *argument, enum cloud_check answer, const char *reason);
void cloud_lookup(struct cloud *cloud, struct slice serial, cloud_lookup_done done, void *argument);

#define CLOUD_TEXT_SIZE 240

/* For `export status`, from the leader. */
struct cloud_export_state {
    const char *state;                /* "sending", "idle", "not registered", ...; never NULL. */
    char last_error[CLOUD_TEXT_SIZE]; /* Of the last call that failed, empty after a success. */
    uint64_t bundles_sent;            /* Since this node leads. */
    uint64_t quota_remaining;         /* UINT64_MAX: unknown. */
    uint64_t quota_limit;             /* Calls an hour; 0: unknown. */
    uint64_t calls_last_hour;         /* That count, by this cluster's leaders. */
};

void cloud_export_state(struct cloud *cloud, struct cloud_export_state *out);

#endif
