/*
 * The daemon's life:
 *
 *     open identity, store, consensus, cloud, doors
 *          │
 *     RUNNING ──signal, leave, join, fatal──► DRAINING ──► HANDING OVER ──► CLOSING ──► gone
 *                                             cloud and     a leader lets    everything
 *                                             calls         another lead     is closed
 *
 * A fatal failure goes to CLOSING at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/tls.h"
#include "call.h"
#include "file.h"
#include "forward.h"
#include "join.h"
#include "leave.h"
#include "machine.h"
#include "membership.h"
#include "retention.h"
#include "rpc_server.h"

#define DRAIN_MS 5000 /* For calls under way when the daemon stops. */
#define CA_FILE_SIZE_MAX 1048576
#define MIB ((size_t)1 << 20U)

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
    struct own_proposal *own = calloc(1, sizeof *own);
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

/* ---- What the cloud's workers ask ---- */

static struct status cloud_propose(void *context, const struct command *command,
                                   cloud_proposed done, void *argument)
{
    return daemon_propose(context, command, done, argument);
}

static struct status cloud_flush(void *context)
{
    struct daemon *daemon = context;
    return store_flush(daemon->store);
}

static uint64_t cloud_now_ms(void *context)
{
    (void)context;
    return clock_now_ms();
}

static const struct cloud_ops cloud_ops = {
    .propose = cloud_propose,
    .flush = cloud_flush,
    .now_ms = cloud_now_ms,
};

/* ---- Events of consensus ---- */

static void on_initialised(void *argument, struct status status, struct apply_outcome outcome)
{
    (void)argument;
    (void)outcome;
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "the first entry was not written",
                  log_text("error", status.message));
    }
}

/* The first leader of a standalone node's log writes who it is. */
static void initialise_if_empty(struct daemon *daemon)
{
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
                .key_epoch = identity->key_epoch,
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

static void on_event(void *context, const struct consensus_event *event)
{
    struct daemon *daemon = context;
    bool led = daemon_leads(daemon);
    struct arena arena = {0};
    daemon->event = *event;
    log_event(LOG_LEVEL_INFO, "consensus", log_text("role", role_name(event->role)),
              log_u64("term", event->term),
              log_slice("leader", daemon_name_of(daemon, &arena, event->leader_id)),
              log_text("ready", event->ready ? "yes" : "no"));
    arena_release(&arena);
    if (daemon_leads(daemon)) {
        cloud_on_leader(daemon->cloud, true);
        if (!led) {
            initialise_if_empty(daemon);
        }
        daemon->applied = true;
    } else if (led) {
        cloud_on_follower(daemon->cloud);
    }
}

static void on_fatal(void *context, struct status reason)
{
    struct daemon *daemon = context;
    log_event(LOG_LEVEL_ERROR, "this node can no longer take part and stops",
              log_text("reason", reason.message), log_text("code", status_name(reason.code)),
              log_text("remedy", reason.code == STATUS_FULL
                                     ? "free space on the data folder's disk, then start musterd"
                                     : "look at the disk and the system log, then start musterd"));
    daemon->exit_code = 1;
    daemon->fatal = true;
    daemon_stop(daemon, false, "fatal");
}

/* ---- The loop's regular work ---- */

void daemon_on_flush_timer(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    struct status status = store_flush(daemon->store);
    if (failed(status) && !daemon->fatal) {
        on_fatal(daemon, wrap(status, "commit"));
    }
}

/* Once per turn of the loop, after everything that arrived in it was handled. */
static void on_check(uv_check_t *check)
{
    struct daemon *daemon = check->data;
    if (!daemon->applied || daemon->phase != DAEMON_RUNNING) {
        return;
    }
    daemon->applied = false;
    cloud_on_applied(daemon->cloud);
    membership_step(daemon->membership);
    joiner_on_applied(daemon->joiner);
}

static void close_parts(struct daemon *daemon);

static void on_tick(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    call_sweep(daemon, now_ms);
    forwarder_sweep(daemon->forwarder, now_ms);
    rpc_server_sweep(daemon->rpc_server, now_ms);
    if (daemon->phase == DAEMON_RUNNING) {
        membership_step(daemon->membership);
        retention_step(&daemon->retention, daemon);
        joiner_on_tick(daemon->joiner);
        leaver_on_tick(daemon->leaver);
    } else if (daemon->phase == DAEMON_HANDED_OVER &&
               (daemon->call_count == 0 || now_ms > daemon->drain_until_ms)) {
        close_parts(daemon);
    }
}

static void on_signal(uv_signal_t *signal, int number)
{
    daemon_stop(signal->data, false, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* ---- Stopping ---- */

static void on_part_closed(void *context)
{
    struct daemon *daemon = context;
    daemon->parts_open--;
}

static void on_handle_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void close_handles(struct daemon *daemon)
{
    uv_handle_t *const handles[] = {
        (uv_handle_t *)&daemon->flush_timer,   (uv_handle_t *)&daemon->tick_timer,
        (uv_handle_t *)&daemon->applied_check, (uv_handle_t *)&daemon->signals[0],
        (uv_handle_t *)&daemon->signals[1],
    };
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++) {
        daemon->parts_open++;
        uv_close(handles[i], on_handle_closed);
    }
}

/* Consensus last: what the others wait for is answered by its closing. */
static void close_parts(struct daemon *daemon)
{
    daemon->phase = DAEMON_CLOSING;
    cloud_on_follower(daemon->cloud);
    daemon->parts_open += 4;
    rpc_server_close(daemon->rpc_server, on_part_closed, daemon);
    forwarder_close(daemon->forwarder, on_part_closed, daemon);
    cloud_destroy(daemon->cloud, on_part_closed, daemon);
    consensus_close(daemon->consensus, on_part_closed, daemon);
    leaver_close(daemon->leaver);
    joiner_close(daemon->joiner);
    close_handles(daemon);
}

static void on_handed_over(struct membership_change *change, struct status status)
{
    struct daemon *daemon = change->context;
    (void)status; /* It was an offer; the others elect one anyway. */
    daemon->phase = DAEMON_HANDED_OVER;
}

static void on_drained(void *context)
{
    struct daemon *daemon = context;
    if (daemon->phase != DAEMON_DRAINING) {
        return;
    }
    daemon->phase = DAEMON_HANDING_OVER;
    daemon->hand_over.context = daemon;
    if (daemon->event.role != CONSENSUS_LEADER ||
        failed(consensus_transfer(daemon->consensus, 0, &daemon->hand_over, on_handed_over))) {
        daemon->phase = DAEMON_HANDED_OVER;
    }
}

void daemon_stop(struct daemon *daemon, bool restart, const char *reason)
{
    daemon->restart = daemon->restart || restart;
    if (daemon->phase == DAEMON_STARTING) {
        daemon->stop_early = true;
        return;
    }
    if (daemon->phase != DAEMON_RUNNING) {
        return;
    }
    log_event(LOG_LEVEL_NOTICE, restart ? "restarting" : "stopping", log_text("reason", reason));
    daemon->stopping = true;
    daemon->drain_until_ms = clock_monotonic_ms() + DRAIN_MS;
    rpc_server_drain(daemon->rpc_server);
    if (daemon->fatal) {
        daemon->phase = DAEMON_HANDED_OVER;
        return;
    }
    daemon->phase = DAEMON_DRAINING;
    cloud_drain(daemon->cloud, on_drained, daemon);
}

/* ---- Starting ---- */

static struct status open_tls(struct daemon *daemon)
{
    struct identity *identity = &daemon->identity;
    struct buffer chain = {0};
    /* The CA stands last in the chain, for joining nodes that know only its fingerprint. */
    if (!buffer_append(&chain, identity->certificate.data, identity->certificate.size) ||
        !buffer_append(&chain, identity->ca_certificate.data, identity->ca_certificate.size)) {
        buffer_release(&chain);
        return fail(STATUS_NO_MEMORY, "open TLS");
    }
    struct tls_options options = {
        .verify = TLS_VERIFY_REQUESTED,
        .ca_pem = buffer_slice(&identity->ca_certificate),
        .certificate_pem = buffer_slice(&chain),
        .key_pem = secret_slice(&identity->node_key),
    };
    struct status status = tls_context_create(&options, &daemon->tls_server);
    if (!failed(status)) {
        options.verify = TLS_VERIFY_REQUIRED;
        status = tls_context_create(&options, &daemon->tls_client);
    }
    buffer_release(&chain);
    return status;
}

static struct status open_store(struct daemon *daemon)
{
    char path[IDENTITY_PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/store", daemon->identity.path);
    const struct store_options options = {
        .directory = path,
        .map_size_max = daemon->config.store_size_max_mib * MIB,
        .outbox_max = daemon->config.outbox_max,
    };
    return store_open(&options, &daemon->store);
}

static struct status open_consensus(struct daemon *daemon)
{
    char path[IDENTITY_PATH_SIZE + 16];
    const struct identity *identity = &daemon->identity;
    (void)snprintf(path, sizeof path, "%s/log", identity->path);
    const struct consensus_options options = {
        .loop = daemon->loop,
        .directory = path,
        .node_id = identity->node_id,
        .listen_address = daemon->config.peer_listen,
        .address = daemon->config.peer_address,
        .ca_pem = buffer_slice(&identity->ca_certificate),
        .certificate_pem = buffer_slice(&identity->certificate),
        .key_pem = secret_slice(&identity->node_key),
        .bootstrap = identity->bootstrap,
        .machine = machine_of(daemon),
        .on_event = on_event,
        .on_fatal = on_fatal,
        .context = daemon,
        .election_timeout_ms = (unsigned)daemon->config.election_timeout_ms,
        .heartbeat_ms = (unsigned)daemon->config.heartbeat_ms,
        .snapshot_after_size = daemon->config.snapshot_after_mib * MIB,
    };
    return consensus_open(&options, &daemon->consensus);
}

static struct status open_cloud(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    struct buffer ca = {0};
    struct status status = config->cloud_ca_file[0] == '\0'
                               ? OK
                               : file_read(config->cloud_ca_file, CA_FILE_SIZE_MAX, &ca);
    if (failed(status)) {
        return status;
    }
    struct cloud_context context = {
        .loop = daemon->loop,
        .store = daemon->store,
        .cluster_key = &daemon->identity.cluster_key,
        .node_name = config->name,
        .ops = &cloud_ops,
        .context = daemon,
    };
    for (int region = 0; region < REGION_COUNT; region++) {
        context.endpoints[region] = (struct endpoints){
            .visibility_url = config->visibility_url,
            .ctia_url = config->ctia_url,
            .sse_url = config->sse_url,
            .ca_pem = buffer_slice(&ca),
        };
    }
    status = cloud_create(&context, &daemon->cloud);
    buffer_release(&ca);
    return status;
}

static void open_handles(struct daemon *daemon)
{
    (void)uv_timer_init(daemon->loop, &daemon->flush_timer);
    (void)uv_timer_init(daemon->loop, &daemon->tick_timer);
    (void)uv_check_init(daemon->loop, &daemon->applied_check);
    (void)uv_signal_init(daemon->loop, &daemon->signals[0]);
    (void)uv_signal_init(daemon->loop, &daemon->signals[1]);
    daemon->flush_timer.data = daemon;
    daemon->tick_timer.data = daemon;
    daemon->applied_check.data = daemon;
    daemon->signals[0].data = daemon;
    daemon->signals[1].data = daemon;
    (void)uv_signal_start(&daemon->signals[0], on_signal, SIGTERM);
    (void)uv_signal_start(&daemon->signals[1], on_signal, SIGINT);
}

static struct status open_node(struct daemon *daemon)
{
    struct status status =
        identity_open(daemon->config.data_directory, daemon->config.root_secret_file,
                      daemon->config.name, clock_now_ms(), &daemon->identity);
    if (!failed(status)) {
        status = identity_sweep(daemon->config.data_directory, &daemon->identity);
    }
    if (!failed(status)) {
        status = open_tls(daemon);
    }
    if (!failed(status)) {
        status = open_store(daemon);
    }
    return status;
}

static struct status open_workers(struct daemon *daemon)
{
    struct status status = membership_create(daemon, &daemon->membership);
    if (!failed(status)) {
        status = joiner_create(daemon, &daemon->joiner);
    }
    if (!failed(status)) {
        status = leaver_create(daemon, &daemon->leaver);
    }
    if (!failed(status)) {
        status = forwarder_create(daemon, daemon->tls_client, &daemon->forwarder);
    }
    if (!failed(status)) {
        status = open_cloud(daemon);
    }
    return status;
}

/* Undo what a failed start has made, in the opposite order. */
static void abandon_start(struct daemon *daemon)
{
    if (daemon->consensus != NULL) {
        daemon->parts_open++;
        consensus_close(daemon->consensus, on_part_closed, daemon);
    }
    if (daemon->cloud != NULL) {
        daemon->parts_open++;
        cloud_destroy(daemon->cloud, on_part_closed, daemon);
    }
    if (daemon->forwarder != NULL) {
        daemon->parts_open++;
        forwarder_close(daemon->forwarder, on_part_closed, daemon);
    }
    leaver_close(daemon->leaver);
    joiner_close(daemon->joiner);
    close_handles(daemon);
}

static void release(struct daemon *daemon)
{
    if (daemon->store != NULL) {
        struct status status = store_sync(daemon->store);
        if (failed(status)) {
            log_event(LOG_LEVEL_WARNING, "the store was not synced; the log will be replayed",
                      log_text("error", status.message));
        }
    }
    membership_destroy(daemon->membership);
    store_close(daemon->store);
    tls_context_destroy(daemon->tls_server);
    tls_context_destroy(daemon->tls_client);
    identity_release(&daemon->identity);
    buffer_release(&daemon->scratch);
}

static struct status start(struct daemon *daemon)
{
    struct status status = open_node(daemon);
    if (!failed(status)) {
        status = open_workers(daemon);
    }
    if (!failed(status)) {
        status = open_consensus(daemon);
    }
    if (!failed(status)) {
        status = rpc_server_open(daemon, daemon->tls_server, &daemon->rpc_server);
    }
    return status;
}

int daemon_run(const struct config *config, bool *restart)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) {
        return 1;
    }
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL) {
        (void)uv_loop_close(&loop);
        return 1;
    }
    daemon->loop = &loop;
    daemon->config = *config;
    daemon->started_at_ms = clock_monotonic_ms();
    open_handles(daemon);
    struct status status = start(daemon);
    if (failed(status)) {
        log_event(LOG_LEVEL_ERROR, "cannot start", log_text("reason", status.message),
                  log_text("code", status_name(status.code)));
        daemon->exit_code = status.code == STATUS_INVALID ? 78 : 1;
        abandon_start(daemon);
    } else {
        daemon->phase = DAEMON_RUNNING;
        (void)uv_timer_start(&daemon->tick_timer, on_tick, DAEMON_TICK_MS, DAEMON_TICK_MS);
        (void)uv_check_start(&daemon->applied_check, on_check);
        log_event(LOG_LEVEL_NOTICE, "started", log_text("name", config->name),
                  log_text("version", MUSTER_VERSION),
                  log_text("lineage", daemon->identity.lineage),
                  log_text("cluster", daemon->identity.cluster_id));
        if (daemon->stop_early) {
            daemon_stop(daemon, daemon->restart, "asked while starting");
        }
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    release(daemon);
    (void)uv_loop_close(&loop);
    int exit_code = daemon->exit_code;
    *restart = daemon->restart && exit_code == 0;
    free(daemon);
    return exit_code;
}
