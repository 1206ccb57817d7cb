/*
 * The guard: assembly, ticks, and the look at libraft after it has run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guard.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "guard_parts.h"
#include "raft_view.h"

static const char *const rule_names[GUARD_RULE_COUNT] = {
    "ACKCLAMP", "COMMITCLAMP", "BARRIER", "ELECTION", "FAILSTOP", "FLOW",    "COMPACT",
    "TRUNCATE", "NULLADDR",    "XFER",    "INSTALL",  "LOGBYTES", "CONF",    "VOTE",
    "PREVOTE",  "VOTER",       "BATCH",   "ALONE",    "CHANGE",   "SILENCE",
};

const char *guard_rule_name(unsigned bit)
{
    return bit < GUARD_RULE_COUNT ? rule_names[bit] : NULL;
}

void guard_note(struct guard *guard, enum guard_rule rule)
{
    guard->counts[__builtin_ctz((unsigned)rule)]++;
}

unsigned long long guard_count(const struct guard *guard, unsigned bit)
{
    assert(bit < GUARD_RULE_COUNT);
    return guard->counts[bit];
}

unsigned guard_writes_in_flight(const struct guard *guard)
{
    return guard->append_count;
}

bool guard_is_writing(const struct guard *guard)
{
    return guard->append_count > 0 || guard->installing;
}

bool guard_is_ready(const struct guard *guard)
{
    return guard->started && !guard->failed && guard->raft->state == RAFT_LEADER &&
           guard->ready_term == guard->raft->current_term;
}

void guard_fail(struct guard *guard, const char *action, int code)
{
    if (guard->failed) {
        return;
    }
    guard->failed = true;
    guard_note(guard, GUARD_FAILSTOP);
    if (guard->options.on_fatal != NULL) {
        guard->options.on_fatal(guard->options.context, action, code);
    }
}

struct barrier {
    struct raft_barrier request;
    struct guard *guard;
    raft_term term;
};

static void barrier_on_done(struct raft_barrier *request, int status)
{
    struct barrier *barrier = request->data;
    if (status == 0) {
        barrier->guard->ready_term = barrier->term;
    }
    free(barrier);
}

static bool append_barrier(struct guard *guard)
{
    struct barrier *barrier = alloc_zeroed(1, sizeof *barrier);
    if (barrier == NULL) {
        return false;
    }
    *barrier = (struct barrier){.guard = guard, .term = guard->raft->current_term};
    barrier->request.data = barrier;
    if (raft_barrier(guard->raft, &barrier->request, barrier_on_done) != 0) {
        free(barrier);
        return false;
    }
    return true;
}

/* Rule FLOW: when a configuration with fewer voters took effect, what a quorum has may already lie
 * above the commit index, and no acknowledgement may come that moves it. A barrier brings one. */
static void nudge(struct guard *guard)
{
    struct raft *raft = guard->raft;
    raft_index last = raft_view_last(raft);
    if (raft->commit_index == last || last == guard->nudged || guard->append_count > 0 ||
        raft_view_quorum(raft, 0, 0) <= raft->commit_index ||
        raft_view_term(raft, last) != raft->current_term) {
        return;
    }
    if (append_barrier(guard)) {
        guard->nudged = raft_view_last(raft);
        guard_note(guard, GUARD_FLOW);
    }
}

static void poll_leader(struct guard *guard)
{
    struct raft *raft = guard->raft;
    if (guard_has(guard, GUARD_BARRIER)) {
        /* Tried again at the next poll if it is refused, as it is while a handover is pending. */
        if (guard->barrier_term != raft->current_term && append_barrier(guard)) {
            guard->barrier_term = raft->current_term;
        }
    } else {
        guard->ready_term = raft->current_term;
    }
    if (guard_has(guard, GUARD_FLOW) && raft->state == RAFT_LEADER) {
        nudge(guard);
    }
}

void guard_poll(struct guard *guard)
{
    struct raft *raft = guard->raft;
    if (guard->polling || guard->closing || guard->failed) {
        return;
    }
    guard->polling = true;
    if (raft->state == RAFT_UNAVAILABLE && guard->started) {
        guard_fail(guard, "go on: libraft stopped itself", RAFT_SHUTDOWN);
    }
    if (!guard->started && raft->state != RAFT_UNAVAILABLE) {
        guard->started = true;
        if (guard_has(guard, GUARD_CONF)) {
            guard_conf_started(guard);
        }
    }
    if (raft->state == RAFT_LEADER) {
        guard_cuts_mend(guard);
        poll_leader(guard);
    }
    if (guard_has(guard, GUARD_CONF) && guard->started && !guard->failed) {
        guard_conf_track(guard);
    }
    guard->polling = false;
    if (guard->options.on_turn != NULL && !guard->failed) {
        guard->options.on_turn(guard->options.context);
    }
}

static bool is_election_due(struct raft *raft)
{
    return raft->io->time(raft->io) - raft->election_timer_start >=
           raft->follower_state.randomized_election_timeout;
}

/* Rule ALONE, while running: a follower that is the only voter and is about to elect itself. */
static void begin_term_alone(struct guard *guard)
{
    struct raft *raft = guard->raft;
    guard_note(guard, GUARD_ALONE);
    if (guard_io_set_term(&guard->io, raft->current_term + 1) == 0 && !guard->failed) {
        raft->current_term++;
        raft->voted_for = 0;
    }
}

static void io_on_tick(struct raft_io *below)
{
    struct guard *guard = below->data;
    if (guard->failed || guard->closing) {
        return;
    }
    if (guard->raft->state == RAFT_FOLLOWER && guard_is_writing(guard) &&
        guard_has(guard, GUARD_ELECTION)) {
        guard_note(guard, GUARD_ELECTION);
        return;
    }
    if (guard->raft->state == RAFT_FOLLOWER && guard_has(guard, GUARD_ALONE) &&
        raft_view_is_alone(guard->raft) && is_election_due(guard->raft)) {
        begin_term_alone(guard);
    }
    if (!guard->failed) {
        guard->tick(&guard->io);
    }
    guard_poll(guard);
}

void guard_leader_gone(struct guard *guard, raft_id id)
{
    struct raft *raft = guard->raft;
    if (guard->failed || guard->closing || raft->state != RAFT_FOLLOWER || id == 0 ||
        raft->follower_state.current_leader.id != id || !guard_has(guard, GUARD_SILENCE)) {
        return;
    }
    unsigned voters_before = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        voters_before += server->role == RAFT_VOTER && server->id < raft->id && server->id != id;
    }
    unsigned delay_ms = raft->election_timeout / 10 + voters_before * (raft->election_timeout / 5);
    raft_time silence_ms = guard->below->time(guard->below) - raft->election_timer_start;
    raft_time due_ms = silence_ms + delay_ms;
    raft->follower_state.current_leader.id = 0; /* Who asks for a vote first may have it. */
    if (due_ms < raft->follower_state.randomized_election_timeout) {
        raft->follower_state.randomized_election_timeout = (unsigned)due_ms;
    }
    guard_note(guard, GUARD_SILENCE);
    guard_poll(guard);
}

/* Hand libraft the text of an error below. */
static int below_said(struct guard *guard, int code)
{
    if (code != 0) {
        memcpy(guard->io.errmsg, guard->below->errmsg, sizeof guard->io.errmsg);
    }
    return code;
}

static int io_init(struct raft_io *io, raft_id id, const char *address)
{
    struct guard *guard = guard_of(io);
    return below_said(guard, guard->below->init(guard->below, id, address));
}

/* Rule BATCH: memory of its own for each entry. */
static int split_batches(struct guard *guard, struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = entries[i].buf.len;
        void *copy = raft_malloc(size > 0 ? size : 1);
        if (copy == NULL) {
            return RAFT_NOMEM; /* The start fails for good; what it leaks goes with the process. */
        }
        memcpy(copy, entries[i].buf.base, size);
        entries[i].buf.base = copy;
    }
    void *batch = NULL;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].batch != batch) {
            batch = entries[i].batch;
            raft_free(batch);
        }
        entries[i].batch = NULL;
    }
    if (count > 0) {
        guard_note(guard, GUARD_BATCH);
    }
    return 0;
}

/* libraft's signature. NOLINTNEXTLINE(readability-function-size) */
static int io_load(struct raft_io *io, raft_term *term, raft_id *voted_for,
                   struct raft_snapshot **snapshot, raft_index *start_index,
                   struct raft_entry *entries[], size_t *count)
{
    struct guard *guard = guard_of(io);
    int code = below_said(guard, guard->below->load(guard->below, term, voted_for, snapshot,
                                                    start_index, entries, count));
    if (code == 0 && *snapshot != NULL && guard_has(guard, GUARD_CONF)) {
        code = guard_conf_load(guard, *snapshot);
    }
    if (code == 0 && guard_has(guard, GUARD_BATCH)) {
        code = split_batches(guard, *entries, *count);
    }
    if (code == 0 && guard_has(guard, GUARD_ALONE) &&
        raft_view_starts_alone(guard->raft->id, *snapshot, *entries, *count)) {
        code = below_said(guard, guard->below->set_term(guard->below, *term + 1));
        *term += code == 0;
        *voted_for = code == 0 ? 0 : *voted_for;
        guard_note(guard, GUARD_ALONE);
    }
    return code;
}

static int io_start(struct raft_io *io, unsigned period_ms, raft_io_tick_cb tick,
                    raft_io_recv_cb recv)
{
    struct guard *guard = guard_of(io);
    guard->tick = tick;
    guard->recv = recv;
    return below_said(guard,
                      guard->below->start(guard->below, period_ms, io_on_tick, guard_io_recv));
}

static int io_bootstrap(struct raft_io *io, const struct raft_configuration *configuration)
{
    struct guard *guard = guard_of(io);
    return below_said(guard, guard->below->bootstrap(guard->below, configuration));
}

static int io_recover(struct raft_io *io, const struct raft_configuration *configuration)
{
    struct guard *guard = guard_of(io);
    return below_said(guard, guard->below->recover(guard->below, configuration));
}

static int io_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *request,
                           raft_io_snapshot_get_cb callback)
{
    struct guard *guard = guard_of(io);
    return guard->below->snapshot_get(guard->below, request, callback);
}

static raft_time io_time(struct raft_io *io)
{
    struct guard *guard = guard_of(io);
    return guard->below->time(guard->below);
}

static int io_random(struct raft_io *io, int min, int max)
{
    struct guard *guard = guard_of(io);
    return guard->below->random(guard->below, min, max);
}

static int io_async_work(struct raft_io *io, struct raft_io_async_work *request,
                         raft_io_async_work_cb callback)
{
    struct guard *guard = guard_of(io);
    return guard->below->async_work(guard->below, request, callback);
}

static void io_on_closed(struct raft_io *below)
{
    struct guard *guard = below->data;
    guard_write_closed(guard);
    guard_send_closed(guard);
    guard->closed(&guard->io);
}

static void io_close(struct raft_io *io, raft_io_close_cb callback)
{
    struct guard *guard = guard_of(io);
    guard->closing = true;
    guard->closed = callback;
    guard->below->close(guard->below, io_on_closed);
}

struct status guard_create(const struct guard_options *options, struct guard **out)
{
    struct guard *guard = alloc_zeroed(1, sizeof *guard);
    if (guard == NULL) {
        return fail(STATUS_NO_MEMORY, "guard");
    }
    guard->options = *options;
    guard->options.message_size_max =
        options->message_size_max != 0 ? options->message_size_max : GUARD_MESSAGE_SIZE_MAX;
    guard->raft = options->raft;
    guard->below = options->below;
    guard->below->data = guard;
    guard->io = (struct raft_io){.version = 2,
                                 .impl = guard,
                                 .init = io_init,
                                 .close = io_close,
                                 .load = io_load,
                                 .start = io_start,
                                 .bootstrap = io_bootstrap,
                                 .recover = io_recover,
                                 .set_term = guard_io_set_term,
                                 .set_vote = guard_io_set_vote,
                                 .send = guard_io_send,
                                 .append = guard_io_append,
                                 .truncate = guard_io_truncate,
                                 .snapshot_put = guard_io_snapshot_put,
                                 .snapshot_get = io_snapshot_get,
                                 .time = io_time,
                                 .random = io_random,
                                 .async_work = io_async_work};
    *out = guard;
    return OK;
}

void guard_destroy(struct guard *guard)
{
    if (guard == NULL) {
        return;
    }
    guard_conf_release(guard);
    free(guard);
}

struct raft_io *guard_io(struct guard *guard)
{
    return &guard->io;
}
