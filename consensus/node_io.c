/*
 * libraft's raft_io below the guard: the write-ahead log (through log_io.h), the peers and the clock.
 *
 * What libraft must not learn at once is told from the loop: answers of the log and the peers come
 * from there by themselves, a stored snapshot is handed over in the next turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/random.h"
#include "log_io.h"
#include "node.h"
#include "raft_view.h"

#define REFILL_MS 1000U
#define PING_MS_MAX 1000U
#define DEFER_TIMEOUTS 4U /* Election time-outs of silence before a node without room stands. */

#define LEADER_SILENT_TIMEOUTS 3U /* Election time-outs until it is none any more. */

struct snapshot_get {
    struct raft_io_snapshot_get *request;
    raft_io_snapshot_get_cb callback;
    struct snapshot_get *next;
};

static struct consensus *node_of(struct raft_io *io)
{
    return io->impl;
}

/* ---- Start and stop ---- */

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    (void)io;
    (void)id;
    (void)address;
    return 0;
}

/* libraft's signature. NOLINTNEXTLINE(readability-function-size) */
static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry *entries[], size_t *count)
{
    struct consensus *node = node_of(io);
    struct wal_loaded loaded;
    wal_load(node->wal, &loaded);
    node->restore_index = loaded.snapshot == NULL ? 0 : loaded.snapshot->index;
    struct status status = snapshot_check_store(node);
    if (failed(status)) {
        wal_loaded_release(&loaded);
        node_fail(node, status);
        return log_io_code(io, status);
    }
    return log_io_load(&loaded, term, voted_for, snapshot, start_index, entries, count);
}

struct status node_io_reason(struct consensus *node, const char *action, int code)
{
    struct status poison = node->wal_open ? wal_failure(node->wal) : OK;
    struct status reason = node_status_of(code, action);
    if (failed(poison)) {
        return wrap(poison, "%s", action);
    }
    return node->io.errmsg[0] == '\0' ? reason
                                      : fail(reason.code, "%s: %s", action, node->io.errmsg);
}

struct status node_room(const struct consensus *node, bool follower)
{
    const struct machine *machine = &node->options.machine;
    return machine->room == NULL ? OK : machine->room(machine->context, follower);
}

/*
 * A node without room lets others stand first: it could lead, but take nothing. Not for ever, for it
 * may be the only one whose log is long enough, and not if it is alone. Skipping a tick of a follower
 * only delays its candidacy.
 */
static bool defers_election(const struct consensus *node)
{
    uint64_t silent_since_ms = node->leader_heard ? node->leader_heard_ms : node->opened_ms;
    return node->raft.state == RAFT_FOLLOWER && raft_view_voters(&node->raft) > 1 &&
           node_now_ms(node) - silent_since_ms <
               (uint64_t)DEFER_TIMEOUTS * node->options.election_timeout_ms &&
           failed(node_room(node, false));
}

static void on_tick(uv_timer_t *timer)
{
    struct consensus *node = timer->data;
    if (node->raft_closing) {
        return;
    }
    if (node_now_ms(node) >= node->refill_at_ms) {
        node->refill_at_ms = node_now_ms(node) + REFILL_MS;
        wal_refill(node->wal);
    }
    if (!defers_election(node)) {
        node->tick(&node->io);
    }
}

static int io_start(struct raft_io *io, unsigned period_ms, raft_io_tick_cb tick,
                    raft_io_recv_cb recv)
{
    struct consensus *node = node_of(io);
    node->tick = tick;
    node->recv = recv;
    (void)uv_timer_start(&node->ticker, on_tick, period_ms, period_ms);
    return 0;
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *configuration)
{
    return log_io_code(io, wal_bootstrap(node_of(io)->wal, configuration));
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
    (void)io;
    (void)configuration;
    return RAFT_INVALID; /* Recovery is a cluster's first boot with a restored state. */
}

static void io_may_be_closed(struct consensus *node)
{
    if (node->raft_closing && !node->wal_open && !node->peers_open && node->io_closed != NULL) {
        raft_io_close_cb callback = node->io_closed;
        node->io_closed = NULL;
        callback(&node->io);
    }
}

/* A failure of before was told when it came. */
static void log_on_closed(void *context, struct status status)
{
    struct consensus *node = context;
    if (failed(status) && !failed(node->failure) && node->options.on_notice != NULL) {
        node->options.on_notice(node->options.context, 0, status.message);
    }
    node->wal = NULL;
    node->wal_open = false;
    io_may_be_closed(node);
}

static void peers_on_closed(void *context)
{
    struct consensus *node = context;
    node->peers = NULL;
    node->peers_open = false;
    io_may_be_closed(node);
}

static void io_close(struct raft_io *io, raft_io_close_cb callback)
{
    struct consensus *node = node_of(io);
    node->io_closed = callback;
    (void)uv_timer_stop(&node->ticker);
    while (node->gets != NULL) {
        struct snapshot_get *get = node->gets;
        node->gets = get->next;
        get->callback(get->request, NULL, RAFT_CANCELED);
        free(get);
    }
    if (node->peers_open) {
        peers_close(node->peers, peers_on_closed, node);
    }
    wal_close(node->wal, log_on_closed, node);
}

/* ---- The log ---- */

static int io_set_term(struct raft_io *io, raft_term term)
{
    return log_io_set_term(node_of(io)->wal, io, term);
}

static int io_set_vote(struct raft_io *io, raft_id id)
{
    return log_io_set_vote(node_of(io)->wal, io, id);
}

static int io_append(struct raft_io *io, struct raft_io_append *request,
                     const struct raft_entry entries[], unsigned count, raft_io_append_cb callback)
{
    const struct log_io_append append = {
        .request = request, .entries = entries, .count = count, .callback = callback};
    return log_io_append(node_of(io)->wal, io, &append);
}

static int io_truncate(struct raft_io *io, raft_index index)
{
    return log_io_truncate(node_of(io)->wal, io, index);
}

static int io_snapshot_put(struct raft_io *io, unsigned trailing,
                           struct raft_io_snapshot_put *request,
                           const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb callback)
{
    struct consensus *node = node_of(io);
    const struct log_io_put put = {
        .request = request, .snapshot = snapshot, .trailing = trailing, .callback = callback};
    if (trailing == 0) {
        node->restore_index = snapshot->index;
    }
    return log_io_snapshot_put(node->wal, io, &put);
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request,
                           raft_io_snapshot_get_cb callback)
{
    struct consensus *node = node_of(io);
    struct snapshot_get *get =
        fault_fires(FAULT_NODE_SNAPSHOT_GET) ? NULL : alloc_zeroed(1, sizeof *get);
    if (get == NULL) {
        return RAFT_NOMEM;
    }
    *get = (struct snapshot_get){.request = request, .callback = callback, .next = node->gets};
    node->gets = get;
    return 0;
}

void node_io_turn(struct consensus *node)
{
    while (node->gets != NULL && !node->raft_closing) {
        struct snapshot_get *get = node->gets;
        node->gets = get->next;
        log_io_snapshot_get(node->wal, get->request, get->callback);
        free(get);
        guard_poll(node->guard);
    }
}

/* ---- The peers ---- */

struct send {
    struct peer_send send;
    struct raft_io_send *original;
    raft_io_send_cb callback;
};

static void send_on_done(struct peer_send *request, struct status status)
{
    struct send *send = request->context;
    struct raft_io_send *original = send->original;
    raft_io_send_cb callback = send->callback;
    free(send);
    if (callback != NULL) {
        callback(original, node_code_of(status));
    }
}

/* Libraft frees a result or a vote twice if it is refused at once: it counts as lost on the way. */
static int lose(struct consensus *node, struct raft_io_send *request,
                const struct raft_message *message, raft_io_send_cb callback)
{
    if (message->type == RAFT_IO_APPEND_ENTRIES || message->type == RAFT_IO_INSTALL_SNAPSHOT ||
        message->type == RAFT_IO_TIMEOUT_NOW) {
        return RAFT_NOMEM;
    }
    request->cb = callback;
    request->data = node->lost; /* No callback of these kinds reads it. */
    node->lost = request;
    return 0;
}

void node_io_answer_lost(struct consensus *node)
{
    while (node->lost != NULL) {
        struct raft_io_send *request = node->lost;
        node->lost = request->data;
        request->cb(request, RAFT_NOMEM);
    }
}

static int io_send(struct raft_io *io, struct raft_io_send *request,
                   const struct raft_message *message, raft_io_send_cb callback)
{
    struct consensus *node = node_of(io);
    struct raft_wire_message wire = {.raft = *message};
    struct send *send = alloc_zeroed(1, sizeof *send);
    if (send == NULL) {
        return lose(node, request, message, callback);
    }
    if (message->type == RAFT_IO_APPEND_ENTRIES) {
        wire.round = node->reads.round;
    } else if (message->type == RAFT_IO_APPEND_ENTRIES_RESULT) {
        wire.round = read_echo_round(&node->echo, message->append_entries_result.term);
    }
    send->send.context = send;
    send->original = request;
    send->callback = callback;
    struct status status = peers_send(node->peers, &send->send, &wire, send_on_done);
    if (failed(status)) {
        free(send);
        return RAFT_NOCONNECTION;
    }
    return 0;
}

/* A leader of this or a later term spoke: note its round before libraft answers it. */
static void note_leader(struct consensus *node, raft_term term, uint64_t round)
{
    if (term < node->raft.current_term) {
        return;
    }
    node->leader_heard = true;
    node->leader_heard_ms = node_now_ms(node);
    read_echo_note(&node->echo, term, round);
}

bool node_leader_is_silent(const struct consensus *node)
{
    uint64_t silence_ms = (uint64_t)LEADER_SILENT_TIMEOUTS * node->options.election_timeout_ms;
    return !node->leader_heard || node_now_ms(node) - node->leader_heard_ms > silence_ms;
}

static void note_result(struct consensus *node, const struct raft_wire_message *message)
{
    if (!node_is_leader(node) ||
        message->raft.append_entries_result.term != node->raft.current_term) {
        return;
    }
    struct node_peer *peer = node_peer_of(node, message->raft.server_id);
    if (peer != NULL) {
        peer->heard = true;
        peer->heard_ms = node_now_ms(node);
        peer->round = message->round > peer->round ? message->round : peer->round;
    }
}

/* Without room for a message's entries it is taken without them, like a heartbeat: the leader learns
 * that this node lives and lags, and sends them again. */
static void leave_out_entries(struct consensus *node, struct raft_append_entries *message)
{
    struct status status = OK;
    if (!log_io_is_small(message)) {
        status = node_room(node, true);
    }
    if (failed(status) || !log_io_has_room(node->wal, message)) {
        log_io_leave_out(message);
    }
}

void node_io_pass(struct consensus *node, struct raft_wire_message *message)
{
    node->recv(&node->io, &message->raft);
}

static void on_message(void *context, struct raft_wire_message *message)
{
    struct consensus *node = context;
    if (node->raft_closing || failed(node->failure) || node->recv == NULL) {
        raft_wire_release(message);
        return;
    }
    switch (message->raft.type) {
    case RAFT_IO_APPEND_ENTRIES:
        leave_out_entries(node, &message->raft.append_entries);
        note_leader(node, message->raft.append_entries.term, message->round);
        break;
    case RAFT_IO_INSTALL_SNAPSHOT:
        note_leader(node, message->raft.install_snapshot.term, 0);
        catch_up_offered(node, message);
        return;
    case RAFT_IO_APPEND_ENTRIES_RESULT: note_result(node, message); break;
    default: break; /* libraft's numbers, not an enum of ours. */
    }
    node_io_pass(node, message);
}

static struct status address_of(void *context, uint64_t node_id, char out[CONSENSUS_ADDRESS_SIZE])
{
    const struct consensus *node = context;
    const struct machine *machine = &node->options.machine;
    struct status status = machine->address_of(machine->context, node_id, out);
    /* A node that has only just joined knows no member yet; the leader that offers it the state to
     * fetch has said where it is. */
    if (status.code == STATUS_NOT_FOUND && node->images.address[0] != '\0' &&
        node_id == node->images.message.raft.server_id) {
        (void)snprintf(out, CONSENSUS_ADDRESS_SIZE, "%s", node->images.address);
        return OK;
    }
    return status;
}

static bool peer_allowed(void *context, uint64_t node_id)
{
    const struct machine *machine = &((struct consensus *)context)->options.machine;
    return machine->peer_allowed(machine->context, node_id);
}

static void on_gone(void *context, uint64_t node_id)
{
    struct consensus *node = context;
    if (!node->raft_closing && !failed(node->failure)) {
        guard_leader_gone(node->guard, node_id);
    }
}

/* Silence is known as soon as it counts. But a connection that carries nothing for seconds is taken
 * for dead, so long time-outs must not make the pings rare. */
static unsigned ping_ms(const struct consensus *node)
{
    unsigned half_ms = node->options.election_timeout_ms / 2;
    return half_ms < PING_MS_MAX ? half_ms : PING_MS_MAX;
}

struct status node_io_open_peers(struct consensus *node, const struct consensus_options *options)
{
    struct peers_options peers = {
        .loop = options->loop,
        .node_id = options->node_id,
        .listen_address = options->listen_address,
        .ca_pem = options->ca_pem,
        .certificate_pem = options->certificate_pem,
        .key_pem = options->key_pem,
        .context = node,
        .address_of = address_of,
        .peer_allowed = peer_allowed,
        .on_message = on_message,
        .on_gone = on_gone,
        .image_version = catch_up_image_version,
        .image_open = catch_up_image_open,
        .on_image = catch_up_on_image,
        .image_rate_max = options->catch_up_rate_max,
        .address = options->address,
        .ping_ms = ping_ms(node),
    };
    struct status status = catch_up_open(node);
    if (!failed(status)) {
        status = peers_open(&peers, &node->peers);
    }
    node->peers_open = !failed(status);
    return status;
}

/* ---- Clock and chance ---- */

static raft_time io_time(struct raft_io *io)
{
    return node_now_ms(node_of(io));
}

static int io_random(struct raft_io *io, int min, int max)
{
    (void)io;
    return min + (int)(random_u64() % (uint64_t)(max - min + 1));
}

static int io_async_work(struct raft_io *io, struct raft_io_async_work *request,
                         raft_io_async_work_cb callback)
{
    (void)io;
    (void)request;
    (void)callback;
    return RAFT_INVALID; /* Snapshots are manifests: there is no such work. */
}

void node_io_assemble(struct consensus *node)
{
    node->io = (struct raft_io){.version = 2,
                                .impl = node,
                                .init = io_init,
                                .close = io_close,
                                .load = io_load,
                                .start = io_start,
                                .bootstrap = io_bootstrap,
                                .recover = io_recover,
                                .set_term = io_set_term,
                                .set_vote = io_set_vote,
                                .send = io_send,
                                .append = io_append,
                                .truncate = io_truncate,
                                .snapshot_put = io_snapshot_put,
                                .snapshot_get = io_snapshot_get,
                                .time = io_time,
                                .random = io_random,
                                .async_work = io_async_work};
}
