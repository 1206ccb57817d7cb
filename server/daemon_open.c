/*
 * Opening the daemon's parts, each from the configuration and the node's identity.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "daemon_parts.h"

#include <signal.h>
#include <stdio.h>

#include "announce.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tls.h"
#include "base/x509.h"
#include "comparer.h"
#include "doubt.h"
#include "file.h"
#include "forward.h"
#include "join.h"
#include "leave.h"
#include "machine.h"
#include "membership_worker.h"
#include "neighbours.h"
#include "rebuild.h"
#include "recoverer.h"
#include "resetter.h"
#include "restorer.h"
#include "rpc_server.h"
#include "saved.h"
#include "snapshotter.h"

#define CA_FILE_SIZE_MAX 1048576
#define MIB ((size_t)1 << 20U)

/*
 * Both contexts of the admin RPC. Times are ignored: a member is who its key is, and an operator's time
 * is looked up in the state (docs/adr/0025-certificates.md).
 */
static struct status make_tls(const struct identity *identity, struct slice certificate,
                              struct tls_context **server, struct tls_context **client)
{
    struct buffer chain = {0};
    /* The CA stands last in the chain, for joining nodes that know only its fingerprint. */
    if (!buffer_append(&chain, certificate.data, certificate.size) ||
        !buffer_append(&chain, identity->ca_certificate.data, identity->ca_certificate.size)) {
        buffer_release(&chain);
        return fail(STATUS_NO_MEMORY, "open TLS");
    }
    struct tls_options options = {
        .verify = TLS_VERIFY_REQUESTED,
        .times_ignored = true,
        .ca_pem = buffer_slice(&identity->ca_certificate),
        .certificate_pem = buffer_slice(&chain),
        .key_pem = secret_slice(&identity->node_key),
    };
    struct status status = tls_context_create(&options, server);
    if (!failed(status)) {
        options.verify = TLS_VERIFY_REQUIRED;
        status = tls_context_create(&options, client);
    }
    buffer_release(&chain);
    return status;
}

static struct status open_tls(struct daemon *daemon)
{
    return make_tls(&daemon->identity, buffer_slice(&daemon->identity.certificate),
                    &daemon->tls_server, &daemon->tls_client);
}

struct status daemon_renew_tls(struct daemon *daemon, struct slice certificate)
{
    struct identity *identity = &daemon->identity;
    struct tls_context *server = NULL;
    struct tls_context *client = NULL;
    struct slice ca = buffer_slice(&identity->ca_certificate);
    struct status status = x509_check_issuer(certificate, ca);
    if (!failed(status)) {
        status = make_tls(identity, certificate, &server, &client);
    }
    if (!failed(status)) {
        status =
            consensus_renew(daemon->consensus, ca, certificate, secret_slice(&identity->node_key));
    }
    if (failed(status)) {
        tls_context_destroy(server);
        tls_context_destroy(client);
        return status;
    }
    tls_context_destroy(daemon->tls_server); /* Connections that are open keep what they use. */
    tls_context_destroy(daemon->tls_client);
    daemon->tls_server = server;
    daemon->tls_client = client;
    return identity_renew(daemon->config.data_directory, daemon->config.root_secret_file, identity,
                          certificate);
}

static struct status open_store(struct daemon *daemon, bool read_only)
{
    char path[IDENTITY_PATH_SIZE + 16];
    (void)snprintf(path, sizeof path, "%s/store", daemon->identity.path);
    const struct store_options options = {
        .directory = path,
        .map_size_max = daemon->config.store_size_max_mib * MIB,
        .outbox_max = daemon->config.outbox_max,
        .read_only = read_only,
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
        .on_event = daemon_on_event,
        .on_fatal = daemon_on_fatal,
        .on_notice = daemon_on_notice,
        .context = daemon,
        .election_timeout_ms = (unsigned)daemon->config.election_timeout_ms,
        .heartbeat_ms = (unsigned)daemon->config.heartbeat_ms,
        .snapshot_after_size = daemon->config.snapshot_after_mib * MIB,
        .catch_up_rate_max = daemon->config.catchup_rate_max_mib * MIB,
        .catch_up_log_max = daemon->config.catchup_log_max_mib * MIB,
    };
    return consensus_open(&options, &daemon->consensus);
}

/* An option left empty: the region's own host. */
static const char *set_or_null(const char *option)
{
    return option[0] == '\0' ? NULL : option;
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
        .keys = &daemon->identity.keys,
        .node_name = config->name,
        .proxy_url = set_or_null(config->cloud_proxy),
        .device_heartbeat_ms = config->device_heartbeat_s * 1000,
        .ops = &daemon_cloud_ops,
        .context = daemon,
    };
    for (int region = 0; region < REGION_COUNT; region++) {
        context.endpoints[region] = (struct endpoints){
            .visibility_url = set_or_null(config->visibility_url),
            .ctia_url = set_or_null(config->ctia_url),
            .sse_url = set_or_null(config->sse_url),
            .ca_pem = buffer_slice(&ca),
        };
    }
    status = cloud_create(&context, &daemon->cloud);
    buffer_release(&ca);
    return status;
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
        status = rebuild_look(daemon);
    }
    if (!failed(status)) {
        status = open_store(daemon, false);
    }
    return status;
}

static void open_key_worker(struct daemon *daemon)
{
    struct identity *identity = &daemon->identity;
    daemon->key.context = (struct key_context){
        .store = daemon->store,
        .keys = &identity->keys,
        .cluster_id = identity->cluster_id,
        .node_id = identity->node_id,
        .node_key = secret_slice(&identity->node_key),
        .ops = &daemon_key_ops,
        .context = daemon,
    };
}

static struct status open_workers(struct daemon *daemon)
{
    open_key_worker(daemon);
    struct status status = membership_create(daemon, &daemon->membership);
    if (!failed(status)) {
        status = joiner_create(daemon, &daemon->joiner);
    }
    if (!failed(status)) {
        status = doubt_create(daemon, &daemon->doubt);
    }
    if (!failed(status)) {
        status = announcer_create(daemon, &daemon->announcer);
    }
    if (!failed(status)) {
        status = neighbours_create(daemon, &daemon->neighbours);
    }
    if (!failed(status)) {
        status = leaver_create(daemon, &daemon->leaver);
    }
    if (!failed(status)) {
        status = saved_create(daemon, &daemon->saved);
    }
    if (!failed(status)) {
        status = recoverer_create(daemon, &daemon->recoverer);
    }
    if (!failed(status)) {
        status = snapshotter_create(daemon, &daemon->snapshotter);
    }
    if (!failed(status)) {
        status = restorer_create(daemon, &daemon->restorer);
    }
    if (!failed(status)) {
        status = rebuild_create(daemon, &daemon->rebuild);
    }
    if (!failed(status)) {
        status = comparer_create(daemon, &daemon->comparer);
    }
    if (!failed(status)) {
        status = forwarder_create(daemon, &daemon->forwarder);
    }
    if (!failed(status)) {
        status = open_cloud(daemon);
    }
    return status;
}

struct status daemon_open(struct daemon *daemon)
{
    struct status status = open_node(daemon);
    if (failed(status)) {
        daemon->unusable = suspension_suits(status);
        return status;
    }
    status = open_workers(daemon);
    if (!failed(status)) {
        status = open_consensus(daemon);
        daemon->unusable = suspension_suits(status);
    }
    if (!failed(status)) {
        status = rpc_server_open(daemon, &daemon->rpc_server);
    }
    return status;
}

/* ---- Suspended ---- */

static void note_closed(const char *what, struct status status)
{
    log_event(LOG_LEVEL_WARNING, "not open while suspended", log_text("what", what),
              log_text("reason", status.message));
}

/* Without its identity the node cannot speak TLS: then only the socket is there. */
static bool open_identity(struct daemon *daemon)
{
    struct status status =
        identity_open(daemon->config.data_directory, daemon->config.root_secret_file,
                      daemon->config.name, clock_now_ms(), &daemon->identity);
    if (!failed(status)) {
        status = open_tls(daemon);
    }
    if (failed(status)) {
        note_closed("identity", status);
        identity_release(&daemon->identity);
        daemon->identity = (struct identity){0};
        return false;
    }
    return true;
}

static struct status open_quarantine(struct daemon *daemon)
{
    struct status status = damage_load(daemon->identity.path, &daemon->damage);
    damage_load_contacts(daemon->identity.path, &daemon->identity);
    if (!failed(status)) {
        status = rebuild_create(daemon, &daemon->rebuild);
    }
    return failed(status) ? status : resetter_create(daemon, &daemon->resetter);
}

struct status daemon_open_suspended(struct daemon *daemon)
{
    daemon->event.role = CONSENSUS_STOPPED;
    if (!open_identity(daemon)) {
        return rpc_server_open(daemon, &daemon->rpc_server);
    }
    struct status status = open_quarantine(daemon);
    if (failed(status)) {
        note_closed("quarantine", status);
    }
    /* Damaged data is not even read: LMDB trusts its pages. */
    if (daemon->suspension->kind != SUSPENSION_DAMAGED) {
        status = open_store(daemon, true);
        if (failed(status)) {
            daemon->store = NULL;
            note_closed("store", status);
        }
    }
    return rpc_server_open(daemon, &daemon->rpc_server);
}
