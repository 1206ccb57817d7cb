/*
 * One node's cloud half, without the node: a real store, the real workers and the simulated cloud,
 * on one loop. What the workers propose is applied to the store a turn later, as a cluster of one
 * would.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLOUD_WORLD_H
#define CLOUD_WORLD_H

#include "scratch.h"

#include <jansson.h>
#include <uv.h>

#include "base/secret.h"
#include "cloud.h"
#include "store/store.h"

#define WORLD_SERIAL "420D56F3-1E2A"
#define WORLD_CLIENT "client-11111111-2222-3333-4444-555555555555"
#define WORLD_PASSWORD "a-password-of-the-simulated-cloud"
#define WORLD_SCOPES "private-intel casebook inspect enrich response"
#define WORLD_DEADLINE_MS 20000
#define WORLD_HEARTBEAT_MS 200

struct world_proposal;

struct world {
    char directory[SCRATCH_PATH_SIZE];
    uv_loop_t loop;
    uv_timer_t applier; /* Applies what was proposed, on the next turn. */
    uv_timer_t deadline;
    bool late;
    struct store *store;
    struct keyring keys;
    struct cloud *cloud;
    struct world_proposal *proposals; /* Oldest first. */
    bool proposals_fail;              /* Refuse every proposal: no quorum. */
    bool flushes;                     /* After each entry; otherwise before what leaves only. */
    uint64_t index;
    uint64_t record_count; /* Records put so far; also the next MID. */
    uint64_t epoch;        /* Of the registration begun last. */
    uint64_t generation;   /* Of the credentials put last. */
    pid_t sim;
    json_t *endpoints; /* endpoints.json */
    struct buffer ca_pem;
};

/* A registered appliance's store without registration and credentials, and a fresh simulated
 * cloud that knows the API client. The node does not lead yet. */
void world_open(struct world *world);
void world_close(struct world *world);

/* Apply a command as the leader's handlers would; gives the refusal. */
enum refusal world_apply(struct world *world, struct command command);

/* The operator's side of things. */
void world_lead(struct world *world);
void world_register(struct world *world, const char *token); /* Begins it only. */
void world_put_credentials(struct world *world, const char *client_id, const char *password,
                           const char *region);
void world_put_records(struct world *world, size_t count);

/* All of the above with a good token and good credentials, and waits until it is exporting. */
void world_enrol(struct world *world);

/* Run the loop until it holds; the test fails, with `what`, after WORLD_DEADLINE_MS. */
typedef bool (*world_condition)(struct world *world);
void world_until(struct world *world, world_condition holds, const char *what);
void world_run_ms(struct world *world, unsigned ms);

/* The node leads in a process of its own, which dies at a fault point ("registrar.call:0:kill") or
 * ends when it holds; then it is opened here again, with what was flushed, and does not lead. True if
 * it died. */
bool world_dies_at(struct world *world, const char *fault, world_condition holds);

bool world_registered(struct world *world);
bool world_verified(struct world *world);
bool world_exported(struct world *world); /* Nothing is pending. */
struct export_view world_export(struct world *world);
uint64_t world_registration_state(struct world *world);

/* The simulator's admin listener: the answer, which the caller releases. NULL body: GET. */
json_t *world_admin(struct world *world, const char *method, const char *path, const char *body);
void world_fault(struct world *world, const char *script);
void world_token(struct world *world, const char *kind, char out[64]);
uint64_t world_summary(struct world *world, const char *key); /* Of the sightings. */

#endif
