/*
 * What the daemon does for others: proposals of its own workers, what the cloud's workers ask, and
 * what follows from an event of consensus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "daemon_parts.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

/* A proposal of the daemon's own workers. */
struct own_proposal {
    struct proposal proposal;
    cloud_proposed done;
    void *argument;
};

static void on_own_proposed(struct proposal *proposal, struct status status, struct outcome outcome)
{
    struct own_proposal *own = proposal->context;
    const struct apply_outcome applied = {.refusal = outcome.code, .value = outcome.value};
    own->done(own->argument, status, applied);
    free(own);
}

struct status daemon_propose(struct daemon *daemon, const struct command *command,
                             cloud_proposed done, void *argument)
{
    if (!store_takes(daemon->store, command->type)) {
        return fail(STATUS_REFUSED, "%s: %s", command_name(command->type),
                    refusal_reason(REFUSAL_LEVEL));
    }
    struct own_proposal *own = alloc_zeroed(1, sizeof *own);
    if (own == NULL) {
        return fail(STATUS_NO_MEMORY, "propose %s", command_name(command->type));
    }
    struct command stamped = *command;
    stamped.stamp = (struct stamp){
        .at_ms = clock_now_ms(),
        .actor = slice_of("muster"),
        .origin = slice_of("local"),
    };
    own->proposal.context = own;
    own->done = done;
    own->argument = argument;
    struct buffer bytes = {0};
    struct status status = command_encode(&stamped, &bytes);
    if (!failed(status)) {
        status = consensus_propose(daemon->consensus, &own->proposal, buffer_slice(&bytes),
                                   on_own_proposed);
    }
    buffer_release(&bytes);
    if (failed(status)) {
        free(own);
    }
    return status;
}

/* ---- What the workers ask ---- */

static struct status worker_propose(void *context, const struct command *command,
                                    cloud_proposed done, void *argument)
{
    return daemon_propose(context, command, done, argument);
}

static struct status cloud_flush(void *context)
{
    struct daemon *daemon = context;
    struct status status = store_flush(daemon->store);
    if (failed(status)) {
        daemon_on_fatal(daemon, wrap(status, "commit"));
    }
    return status;
}

static uint64_t cloud_now_ms(void *context)
{
    (void)context;
    return clock_now_ms();
}

const struct cloud_ops daemon_cloud_ops = {
    .propose = worker_propose,
    .flush = cloud_flush,
    .now_ms = cloud_now_ms,
};

static struct status key_keep(void *context)
{
    const struct daemon *daemon = context;
    return identity_rewrite(daemon->config.data_directory, daemon->config.root_secret_file,
                            &daemon->identity);
}

static bool key_leads(void *context)
{
    return daemon_leads(context);
}

const struct key_ops daemon_key_ops = {
    .keep = key_keep,
    .leads = key_leads,
    .propose = worker_propose,
};

/* ---- Events of consensus ---- */

static void on_initialised(void *argument, struct status status, struct apply_outcome outcome)
{
    struct daemon *daemon = argument;
    (void)outcome;
    if (failed(status)) {
        daemon->initialise = true;
        log_event(LOG_LEVEL_WARNING, "the first entry was not written, will be tried again",
                  log_text("error", status.message));
    }
}

/* The first leader of a standalone node's log writes who it is. */
void daemon_initialise(struct daemon *daemon)
{
    daemon->initialise = false;
    struct arena arena = {0};
    struct cluster_view cluster;
    struct status status = store_cluster(daemon->store, &arena, &cluster);
    arena_release(&arena);
    if (status.code != STATUS_NOT_FOUND || !daemon->identity.bootstrap) {
        return;
    }
    const struct identity *identity = &daemon->identity;
    const struct config *config = &daemon->config;
    const struct command command = {
        .type = COMMAND_CLUSTER_INIT,
        .body.cluster_init =
            {
                .cluster_id = slice_of(identity->cluster_id),
                .ca_certificate = buffer_slice(&identity->ca_certificate),
                .sealed_ca_key = buffer_slice(&identity->sealed_ca_key),
                .key_epoch = identity->keys.epoch,
                .member =
                    {
                        .node_id = identity->node_id,
                        .name = slice_of(config->name),
                        .serial = slice_of(config->serial),
                        .model = slice_of(config->model),
                        .version = slice_of(MUSTER_VERSION),
                        .peer_address = slice_of(config->peer_address),
                        .rpc_address = slice_of(config->rpc_address),
                        .certificate = buffer_slice(&identity->certificate),
                        .standing = STANDING_STANDALONE,
                        .since_ms = clock_now_ms(),
                        .level = STORE_LEVEL,
                    },
            },
    };
    status = daemon_propose(daemon, &command, on_initialised, daemon);
    if (failed(status)) {
        on_initialised(daemon, status, (struct apply_outcome){0});
    }
}

static const char *role_name(enum consensus_role role)
{
    switch (role) {
    case CONSENSUS_FOLLOWER: return "follower";
    case CONSENSUS_CANDIDATE: return "candidate";
    case CONSENSUS_LEADER: return "leader";
    case CONSENSUS_STOPPED: return "stopped";
    }
    return "stopped";
}

/* The cloud's workers follow: what one term began, the next does not go on with. */
static void follow_leadership(struct daemon *daemon, const struct consensus_event *before)
{
    bool led = before->role == CONSENSUS_LEADER && before->ready;
    bool leads = daemon_leads(daemon) && daemon->phase <= DAEMON_RUNNING;
    if (led && (!daemon_leads(daemon) || before->term != daemon->event.term)) {
        cloud_on_follower(daemon->cloud);
        led = false;
    }
    if (leads) {
        cloud_on_leader(daemon->cloud, true);
        if (!led) {
            daemon_initialise(daemon);
        }
        daemon->applied = true;
    }
}

static void note_leader(struct daemon *daemon)
{
    if (daemon->event.leader_id != 0) {
        daemon->leaderless_since_ms = 0;
        daemon->removed = daemon->superseded;
    } else if (daemon->leaderless_since_ms == 0) {
        daemon->leaderless_since_ms = clock_monotonic_ms();
    }
}

void daemon_on_event(void *context, const struct consensus_event *event)
{
    struct daemon *daemon = context;
    const struct consensus_event before = daemon->event;
    struct arena arena = {0};
    daemon->event = *event;
    log_event(LOG_LEVEL_INFO, "consensus", log_text("role", role_name(event->role)),
              log_u64("term", event->term),
              log_slice("leader", daemon_name_of(daemon, &arena, event->leader_id)),
              log_text("ready", event->ready ? "yes" : "no"));
    arena_release(&arena);
    note_leader(daemon);
    if (daemon->phase != DAEMON_CLOSING) { /* Then the cloud's workers are gone. */
        follow_leadership(daemon, &before);
    }
}

void daemon_supersede(struct daemon *daemon, struct slice reason)
{
    if (daemon->superseded) {
        return;
    }
    daemon->superseded = true;
    daemon->removed = true;
    (void)slice_to_text(reason, daemon->removed_reason, sizeof daemon->removed_reason);
    log_event(LOG_LEVEL_WARNING, "this side of the cluster was left behind and acts no more",
              log_slice("reason", reason),
              log_text("remedy", "`muster cluster reset`, then join again"));
    if (daemon->phase == DAEMON_RUNNING) {
        cloud_on_follower(daemon->cloud);
    }
}

void daemon_on_notice(void *context, uint64_t node_id, const char *words)
{
    struct daemon *daemon = context;
    struct arena arena = {0};
    if (node_id == 0) {
        log_event(LOG_LEVEL_NOTICE, "log and snapshots", log_text("what", words));
    } else {
        log_event(LOG_LEVEL_NOTICE, "catching up", log_text("what", words),
                  log_slice("node", daemon_name_of(daemon, &arena, node_id)));
    }
    arena_release(&arena);
}

/* ---- Who is a member ---- */

static bool was_vouched_for(const struct daemon *daemon, uint64_t node_id)
{
    for (size_t i = 0; i < DAEMON_VOUCHED_MAX && i < daemon->vouched_count; i++) {
        if (daemon->vouched[i] == node_id) {
            return true;
        }
    }
    return false;
}

static bool admitted_us(const struct identity *identity, uint64_t node_id)
{
    for (size_t i = 0; i < identity->member_count; i++) {
        if (identity->members[i] == node_id) {
            return true;
        }
    }
    return false;
}

bool daemon_knows(struct daemon *daemon, uint64_t node_id)
{
    struct arena arena = {0};
    struct codec_list members = {0};
    struct member member;
    struct status status = store_member(daemon->store, &arena, node_id, &member);
    bool known = !failed(status) && member.standing != STANDING_REMOVED;
    if (status.code == STATUS_NOT_FOUND) {
        status = store_members(daemon->store, &arena, &members);
        known = was_vouched_for(daemon, node_id) ||
                (!failed(status) && members.count == 0 && admitted_us(&daemon->identity, node_id));
        daemon->unknown_peer = known ? daemon->unknown_peer : node_id;
    }
    arena_release(&arena);
    return known;
}
