/*
 * The node: opening and closing, the turn of the loop, events, and failure.
 *
 * A failure (of the disk, of the machine, of libraft) is remembered where it happens and acted on in
 * the next turn: libraft is closed, with it the log and the peers, everything outstanding is
 * answered, the owner is told once. The node then waits, stopped, for consensus_close().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "raft_view.h"

#define ELECTION_TIMEOUT_MS 1000U
#define HEARTBEAT_MS 100U
#define SNAPSHOT_AFTER_SIZE ((size_t)64 << 20U)
#define SNAPSHOT_TRAILING_COUNT 4096U
#define PENDING_SIZE_MAX ((size_t)64 << 20U)
#define INSTALL_TIMEOUTS 10U /* Election time-outs until one that restarted is offered an image. */
/* Catching up before a promotion: rounds, and the longest of one. */
#define CATCH_UP_ROUNDS 10U
#define CATCH_UP_ROUND_MS 30000U

/* ---- What we are ---- */

uint64_t node_now_ms(const struct consensus *node)
{
    return uv_now(node->options.loop);
}

bool node_is_leader(const struct consensus *node)
{
    return !node->raft_closing && !failed(node->failure) && node->raft.state == RAFT_LEADER;
}

bool node_is_ready(const struct consensus *node)
{
    return node_is_leader(node) && guard_is_ready(node->guard);
}

const struct node_peer *node_peer_find(const struct consensus *node, uint64_t id)
{
    if (node->seen_term != node->raft.current_term) {
        return NULL;
    }
    for (unsigned i = 0; i < CONSENSUS_NODES_MAX; i++) {
        if (node->seen[i].id == id) {
            return &node->seen[i];
        }
    }
    return NULL;
}

/* A term of ours begins: what was heard before does not count. */
static void begin_term(struct consensus *node)
{
    if (node->seen_term != node->raft.current_term) {
        memset(node->seen, 0, sizeof node->seen);
        node->seen_term = node->raft.current_term;
        node->leading_since_ms = node_now_ms(node);
    }
}

struct node_peer *node_peer_of(struct consensus *node, uint64_t id)
{
    begin_term(node);
    struct node_peer *free_row = NULL;
    for (unsigned i = 0; i < CONSENSUS_NODES_MAX; i++) {
        struct node_peer *row = &node->seen[i];
        if (row->id == id) {
            return row;
        }
        free_row = free_row == NULL && row->id == 0 ? row : free_row;
    }
    if (free_row != NULL) {
        free_row->id = id;
    }
    return free_row;
}

bool node_has_quorum(const struct consensus *node)
{
    const struct raft *raft = &node->raft;
    uint64_t now_ms = node_now_ms(node);
    unsigned count = 0;
    /* Just elected: the votes were words enough. */
    bool is_fresh = node->seen_term != raft->current_term ||
                    now_ms - node->leading_since_ms < node->options.election_timeout_ms;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        const struct node_peer *peer = node_peer_find(node, server->id);
        bool heard = peer != NULL && peer->heard &&
                     now_ms - peer->heard_ms < node->options.election_timeout_ms;
        count += server->role == RAFT_VOTER && (server->id == raft->id || heard);
    }
    return is_fresh || count > raft_view_voters(raft) / 2;
}

static enum consensus_role role_of(const struct consensus *node)
{
    if (node->raft_closing || failed(node->failure)) {
        return CONSENSUS_STOPPED;
    }
    switch (node->raft.state) {
    case RAFT_FOLLOWER: return CONSENSUS_FOLLOWER;
    case RAFT_CANDIDATE: return CONSENSUS_CANDIDATE;
    case RAFT_LEADER: return CONSENSUS_LEADER;
    default: return CONSENSUS_STOPPED; /* libraft's numbers, not an enum of ours. */
    }
}

static struct consensus_event event_of(struct consensus *node)
{
    struct consensus_event event = {
        .role = role_of(node), .term = node->raft.current_term, .ready = node_is_ready(node)};
    raft_id leader = 0;
    const char *address = NULL;
    if (event.role == CONSENSUS_LEADER) {
        leader = node->raft.id; /* Also while leadership is being handed over. */
    } else if (event.role == CONSENSUS_FOLLOWER && !node_leader_is_silent(node)) {
        raft_leader(&node->raft, &leader, &address);
    }
    event.leader_id = leader;
    return event;
}

/* ---- The turn ---- */

void node_fail(struct consensus *node, struct status reason)
{
    if (!failed(node->failure)) {
        node->failure = reason;
    }
}

static void guard_on_fatal(void *context, const char *action, int code)
{
    struct consensus *node = context;
    node_fail(node, node_io_reason(node, action, code));
}

static void raft_on_closed(struct raft *raft);

static void stop_raft(struct consensus *node)
{
    if (!node->raft_closing) {
        node->raft_closing = true;
        raft_close(&node->raft, raft_on_closed);
    }
}

/* The leader that was heard last was this node itself, up to an election time-out ago: no quorum
 * answered it since. */
static void note_own_end(struct consensus *node)
{
    uint64_t now_ms = node_now_ms(node);
    uint64_t silence_ms = node->options.election_timeout_ms;
    uint64_t led_until_ms = now_ms > silence_ms ? now_ms - silence_ms : 0;
    if (!node->leader_heard || node->leader_heard_ms < led_until_ms) {
        node->leader_heard = true;
        node->leader_heard_ms = led_until_ms;
    }
}

static void tell_event(struct consensus *node)
{
    struct consensus_event event = event_of(node);
    const struct consensus_event *last = &node->event;
    if (last->role == CONSENSUS_LEADER && event.role != CONSENSUS_LEADER) {
        note_own_end(node);
    }
    if (event.role == last->role && event.term == last->term &&
        event.leader_id == last->leader_id && event.ready == last->ready) {
        return;
    }
    node->event = event;
    if (node->options.on_event != NULL) {
        node->options.on_event(node->options.context, &event);
    }
}

static void tell_fatal(struct consensus *node)
{
    if (!failed(node->failure) || node->told_fatal || node->closing) {
        return;
    }
    node->told_fatal = true;
    if (node->options.on_fatal != NULL) {
        node->options.on_fatal(node->options.context, node->failure);
    }
}

static void review_peers(struct consensus *node)
{
    if (node->raft.configuration_index != node->reviewed) {
        node->reviewed = node->raft.configuration_index;
        peers_review(node->peers);
    }
}

/* Before the loop waits and after it: give libraft what was collected, and its owner the answers. */
static void node_turn(struct consensus *node)
{
    if (!node->opened) {
        return;
    }
    node_io_answer_lost(node);
    if (!node->raft_closing && failed(wal_failure(node->wal))) {
        /* Also when nothing that libraft waits for has failed: the log takes no more. */
        node_fail(node, wal_failure(node->wal));
    }
    if (failed(node->failure)) {
        stop_raft(node);
    }
    if (!node->raft_closing) {
        if (node->raft.state == RAFT_LEADER) {
            begin_term(node);
        }
        node_io_turn(node);
        propose_turn(node);
        snapshot_turn(node);
        catch_up_turn(node);
        review_peers(node);
        read_turn(node);
    } else {
        read_abandon(node);
        propose_abandon(node);
    }
    propose_deliver(node);
    membership_turn(node);
    tell_event(node);
    tell_fatal(node);
}

static void on_before_wait(uv_prepare_t *handle)
{
    node_turn(handle->data);
}

static void on_after_wait(uv_check_t *handle)
{
    node_turn(handle->data);
}

/* ---- Closing ---- */

static void release(struct consensus *node)
{
    propose_release(node);
    catch_up_close(node);
    guard_destroy(node->guard);
    free(node->directory);
    free(node->address);
    free(node);
}

static void handle_on_closed(uv_handle_t *handle)
{
    struct consensus *node = handle->data;
    if (--node->open_handles > 0) {
        return;
    }
    void (*closed)(void *context) = node->closed;
    void *context = node->closed_context;
    release(node);
    if (closed != NULL) {
        closed(context);
    }
}

/* libraft, log and peers are gone: the last answers, then the handles. */
static void finish_close(struct consensus *node)
{
    node_turn(node);
    uv_close((uv_handle_t *)&node->ticker, handle_on_closed);
    uv_close((uv_handle_t *)&node->before_wait, handle_on_closed);
    uv_close((uv_handle_t *)&node->after_wait, handle_on_closed);
}

static void raft_on_closed(struct raft *raft)
{
    struct consensus *node = raft->data;
    node->raft_closed = true;
    if (node->closing) {
        finish_close(node);
    }
}

void consensus_close(struct consensus *consensus, void (*closed)(void *context), void *context)
{
    assert(!consensus->closing);
    consensus->closing = true;
    consensus->closed = closed;
    consensus->closed_context = context;
    if (consensus->raft_closed) {
        finish_close(consensus);
    } else {
        stop_raft(consensus);
    }
}

/* ---- Opening ---- */

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value != 0 ? value : fallback;
}

static size_t or_default_size(size_t value, size_t fallback)
{
    return value != 0 ? value : fallback;
}

static struct status check_options(const struct consensus_options *options)
{
    const struct machine *machine = &options->machine;
    bool complete = options->loop != NULL && options->directory != NULL && options->node_id != 0 &&
                    options->listen_address != NULL && options->address != NULL &&
                    strlen(options->address) < CONSENSUS_ADDRESS_SIZE &&
                    strlen(options->directory) < NODE_PATH_SIZE - 16 && machine->apply != NULL &&
                    machine->applied_index != NULL && machine->snapshot != NULL &&
                    machine->image_write != NULL && machine->image_install != NULL &&
                    machine->address_of != NULL && machine->peer_allowed != NULL;
    if (!complete) {
        return fail(STATUS_INVALID, "open consensus: an option is missing");
    }
    unsigned election_ms = or_default(options->election_timeout_ms, ELECTION_TIMEOUT_MS);
    if (or_default(options->heartbeat_ms, HEARTBEAT_MS) >= election_ms) {
        return fail(STATUS_INVALID, "open consensus: the heartbeat is slower than elections");
    }
    return OK;
}

static struct consensus *make(const struct consensus_options *options)
{
    struct consensus *node = alloc_zeroed(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->options = *options;
    node->directory = alloc_text(options->directory);
    node->address = alloc_text(options->address);
    if (node->directory == NULL || node->address == NULL) {
        free(node->directory);
        free(node->address);
        free(node);
        return NULL;
    }
    struct consensus_options *own = &node->options;
    own->directory = node->directory;
    own->address = node->address;
    own->listen_address = NULL;
    own->ca_pem = own->certificate_pem = own->key_pem = (struct slice){0};
    own->election_timeout_ms = or_default(own->election_timeout_ms, ELECTION_TIMEOUT_MS);
    own->heartbeat_ms = or_default(own->heartbeat_ms, HEARTBEAT_MS);
    own->segment_size = or_default_size(own->segment_size, WAL_SEGMENT_SIZE_DEFAULT);
    own->snapshot_after_size = or_default_size(own->snapshot_after_size, SNAPSHOT_AFTER_SIZE);
    own->snapshot_trailing_count =
        or_default_size(own->snapshot_trailing_count, SNAPSHOT_TRAILING_COUNT);
    own->pending_size_max = or_default_size(own->pending_size_max, PENDING_SIZE_MAX);
    propose_open(node);
    read_open(node);
    return node;
}

static void open_handles(struct consensus *node)
{
    uv_loop_t *loop = node->options.loop;
    (void)uv_timer_init(loop, &node->ticker); /* These never fail. */
    (void)uv_prepare_init(loop, &node->before_wait);
    (void)uv_check_init(loop, &node->after_wait);
    node->ticker.data = node;
    node->before_wait.data = node;
    node->after_wait.data = node;
    node->open_handles = 3;
    (void)uv_prepare_start(&node->before_wait, on_before_wait);
    (void)uv_check_start(&node->after_wait, on_after_wait);
}

static struct status bootstrap(struct consensus *node)
{
    struct raft_configuration configuration;
    raft_configuration_init(&configuration);
    int code =
        raft_configuration_add(&configuration, node->options.node_id, node->address, RAFT_VOTER);
    if (code == 0) {
        code = raft_bootstrap(&node->raft, &configuration);
    }
    raft_configuration_close(&configuration);
    if (code == RAFT_CANTBOOTSTRAP) {
        node->io.errmsg[0] = '\0';
        return OK; /* The log has begun long ago. */
    }
    return node_status_of(code, "bootstrap");
}

static struct status start_raft(struct consensus *node)
{
    struct guard_options guard = {.raft = &node->raft,
                                  .below = &node->io,
                                  .disabled = node->options.guard_disabled,
                                  .on_fatal = guard_on_fatal,
                                  .context = node};
    node_io_assemble(node);
    struct status status = guard_create(&guard, &node->guard);
    if (failed(status)) {
        return status;
    }
    node->fsm = (struct raft_fsm){.version = 1,
                                  .data = node,
                                  .apply = propose_apply,
                                  .snapshot = snapshot_take,
                                  .restore = snapshot_restore};
    struct raft *raft = &node->raft;
    int code =
        raft_init(raft, guard_io(node->guard), &node->fsm, node->options.node_id, node->address);
    if (code != 0) {
        return node_status_of(code, "start raft");
    }
    node->raft_started = true;
    raft->data = node;
    raft_set_election_timeout(raft, node->options.election_timeout_ms);
    raft_set_heartbeat_timeout(raft, node->options.heartbeat_ms);
    raft_set_install_snapshot_timeout(raft, INSTALL_TIMEOUTS * node->options.election_timeout_ms);
    raft_set_max_catch_up_rounds(raft, CATCH_UP_ROUNDS);
    raft_set_max_catch_up_round_duration(raft, CATCH_UP_ROUND_MS);
    raft_set_pre_vote(raft, true);
    snapshot_turn(node);
    if (node->options.bootstrap) {
        status = bootstrap(node);
    }
    if (!failed(status)) {
        code = raft_start(raft);
        status = failed(node->failure) ? node->failure : node_status_of(code, "start raft");
        guard_poll(node->guard);
    }
    return status;
}

static void ignore_closed(void *context)
{
    (void)context;
}

/* Undo a failed opening; what needs the loop to close goes on in it. */
static void abandon(struct consensus *node)
{
    if (node->raft_started) {
        consensus_close(node, NULL, NULL);
        return;
    }
    if (node->peers_open) {
        peers_close(node->peers, ignore_closed, NULL);
    }
    if (node->wal_open) {
        wal_close(node->wal, NULL, NULL);
    }
    finish_close(node);
}

struct status consensus_open(const struct consensus_options *options, struct consensus **out)
{
    struct status status = check_options(options);
    if (failed(status)) {
        return status;
    }
    struct consensus *node = make(options);
    if (node == NULL) {
        return fail(STATUS_NO_MEMORY, "open consensus");
    }
    open_handles(node);
    struct wal_options log = {.directory = node->directory,
                              .loop = options->loop,
                              .segment_size = node->options.segment_size};
    status = wal_open(&log, &node->wal);
    node->wal_open = !failed(status);
    if (!failed(status)) {
        status = node_io_open_peers(node, options);
        if (status.code == STATUS_IO) {
            status.code =
                STATUS_UNREACHABLE; /* The network's; the caller tells it from the log's. */
        }
    }
    if (!failed(status)) {
        status = start_raft(node);
    }
    if (failed(status)) {
        abandon(node);
        return wrap(status, "open consensus");
    }
    node->opened = true;
    node->opened_ms = node_now_ms(node);
    *out = node;
    return OK;
}
