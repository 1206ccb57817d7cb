/*
 * The doors' limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rpc_doors.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/stream.h"
#include "daemon.h"

#define LOCAL_RESERVE 16U
#define MEMBER_RESERVE 128U /* Each member forwards, asks and announces: a few connections. */
#define SHAKING_MAX 128U  /* Handshakes at once: when all come to their end together, some 50 ms. */
#define CLOSING_SLACK 64U /* Strangers that were dropped and are still being closed. */
#define FILES_RESERVE 512U /* Log, state, images, peers, the cloud, and what a library opens. */
#define CONNECTIONS_MIN 8U /* However few files may be open. */
#define BURST_S 2U         /* As many at once as this brings. */
#define MEMBERS_EVERY_MS 1000U
#define TELL_EVERY_MS 10000U
#define SOURCES_MAX 128U /* Two addresses a member, and some. */

struct rpc_doors {
    struct daemon *daemon;
    uint64_t connections_max;
    struct gate *connections;
    struct gate *requests;
    struct rpc_server_counts counts;
    uint64_t stranger_count;
    uint64_t shaking_count;
    uint64_t members[SOURCES_MAX];
    size_t member_count;
    uint64_t members_at_ms; /* Monotonic, as all here. */
    struct rpc_server_counts told;
    uint64_t told_at_ms;
    uint64_t last_source; /* Of those that were turned away. */
};

/* No more connections than files, or an accepted connection would take the log's place. */
static uint64_t connections_max(const struct config *config)
{
    struct rlimit files = {0};
    uint64_t wanted = config->connections_max;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY ||
        files.rlim_cur >= wanted + LOCAL_RESERVE + MEMBER_RESERVE + FILES_RESERVE) {
        return wanted;
    }
    uint64_t kept = LOCAL_RESERVE + MEMBER_RESERVE + FILES_RESERVE;
    uint64_t left = files.rlim_cur > kept ? files.rlim_cur - kept : 0;
    left = left < CONNECTIONS_MIN ? CONNECTIONS_MIN : left;
    log_event(LOG_LEVEL_WARNING, "fewer connections than configured: too few files may be open",
              log_u64("connections", left), log_u64("connections_max", wanted),
              log_u64("files", files.rlim_cur), log_text("remedy", "raise LimitNOFILE"));
    return left;
}

struct status rpc_doors_create(struct daemon *daemon, struct rpc_doors **out)
{
    const struct config *config = &daemon->config;
    struct rpc_doors *doors = alloc_zeroed(1, sizeof *doors);
    if (doors == NULL) {
        return fail(STATUS_NO_MEMORY, "open the admin RPC");
    }
    doors->daemon = daemon;
    doors->connections_max = connections_max(config);
    const struct gate_options connections = {
        .sources_max = 2 * doors->connections_max,
        .open_max = (unsigned)config->connections_per_address_max,
        .per_s = (unsigned)config->connections_per_s_max,
        .burst = BURST_S * (unsigned)config->connections_per_s_max + 1,
    };
    const struct gate_options requests = {
        .sources_max = connections.sources_max,
        .per_s = (unsigned)config->requests_per_s_max,
        .burst = BURST_S * (unsigned)config->requests_per_s_max + 1,
    };
    struct status status = gate_create(&connections, &doors->connections);
    if (!failed(status)) {
        status = gate_create(&requests, &doors->requests);
    }
    if (failed(status)) {
        rpc_doors_destroy(doors);
        return status;
    }
    *out = doors;
    return OK;
}

void rpc_doors_destroy(struct rpc_doors *doors)
{
    if (doors != NULL) {
        gate_destroy(doors->connections);
        gate_destroy(doors->requests);
        free(doors);
    }
}

static bool is_member(const struct rpc_doors *doors, uint64_t source)
{
    for (size_t i = 0; i < doors->member_count; i++) {
        if (doors->members[i] == source) {
            return true;
        }
    }
    return false;
}

static bool turn_away(struct rpc_doors *doors, uint64_t source)
{
    doors->counts.refused++;
    doors->last_source = source;
    return false;
}

bool rpc_doors_enter(struct rpc_doors *doors, struct door_pass *pass, uint64_t source)
{
    bool member = is_member(doors, source);
    uint64_t max = doors->connections_max + (member ? MEMBER_RESERVE : 0);
    bool full = doors->counts.open >= max ||
                (!member && doors->stranger_count >= (max + 1) / 2 + CLOSING_SLACK);
    if (full ||
        (!member && gate_enter(doors->connections, source, clock_monotonic_ms()) != GATE_OPEN)) {
        return turn_away(doors, source);
    }
    *pass = (struct door_pass){
        .entered = true,
        .gated = !member,
        .limited = !member,
        .stranger = true,
        .shaking = true,
        .source = source,
    };
    doors->counts.open++;
    doors->stranger_count++;
    doors->shaking_count++;
    return true;
}

bool rpc_doors_crowded(const struct rpc_doors *doors)
{
    return doors->stranger_count >= (doors->connections_max + 1) / 2;
}

bool rpc_doors_shaking(const struct rpc_doors *doors)
{
    return doors->shaking_count >= SHAKING_MAX;
}

bool rpc_doors_has_room(struct rpc_doors *doors)
{
    return doors->counts.open < doors->connections_max + MEMBER_RESERVE + LOCAL_RESERVE ||
           turn_away(doors, STREAM_SOURCE_USER);
}

void rpc_doors_enter_local(struct rpc_doors *doors, struct door_pass *pass)
{
    pass->entered = true;
    doors->counts.open++;
}

bool rpc_doors_user(struct rpc_doors *doors, struct door_pass *pass, enum rpc_role role, uid_t uid)
{
    if (role == RPC_ROLE_ADMIN) {
        return true;
    }
    pass->source = STREAM_SOURCE_USER | uid;
    if (gate_enter(doors->connections, pass->source, clock_monotonic_ms()) != GATE_OPEN) {
        return turn_away(doors, pass->source);
    }
    pass->gated = true;
    pass->limited = true;
    return true;
}

void rpc_doors_note(struct rpc_doors *doors, struct door_pass *pass, enum rpc_role role)
{
    bool stranger = role == RPC_ROLE_ANYONE;
    doors->stranger_count += stranger;
    doors->stranger_count -= pass->stranger;
    pass->stranger = stranger;
    doors->shaking_count -= pass->shaking;
    pass->shaking = false;
    pass->limited = pass->gated && role != RPC_ROLE_PEER;
}

bool rpc_doors_let_ask(struct rpc_doors *doors, const struct door_pass *pass)
{
    if (!pass->limited ||
        gate_pass(doors->requests, pass->source, clock_monotonic_ms()) == GATE_OPEN) {
        return true;
    }
    doors->counts.requests_refused++;
    doors->last_source = pass->source;
    return false;
}

void rpc_doors_leave(struct rpc_doors *doors, struct door_pass *pass)
{
    if (pass->gated) {
        gate_leave(doors->connections, pass->source);
    }
    doors->stranger_count -= pass->stranger;
    doors->shaking_count -= pass->shaking;
    doors->counts.open -= pass->entered;
    *pass = (struct door_pass){0};
}

void rpc_doors_count_cut(struct rpc_doors *doors)
{
    doors->counts.cut++;
}

struct rpc_server_counts rpc_doors_counts(const struct rpc_doors *doors)
{
    return doors->counts;
}

/* ---- By the clock ---- */

static void learn_address(struct rpc_doors *doors, struct slice address)
{
    char text[ADDRESS_SIZE];
    uint64_t source = 0;
    if (doors->member_count < SOURCES_MAX && slice_to_text(address, text, sizeof text) &&
        stream_source_of(text, &source) && !is_member(doors, source)) {
        doors->members[doors->member_count++] = source;
    }
}

/* Numeric addresses only: a name is resolved elsewhere, and would not be waited for here. */
static void learn_members(struct rpc_doors *doors)
{
    struct arena arena = {0};
    struct codec_list members = {0};
    if (doors->daemon->store != NULL &&
        !failed(store_members(doors->daemon->store, &arena, &members))) {
        const struct member *member = members.items;
        doors->member_count = 0;
        for (size_t i = 0; i < members.count; i++) {
            if (member[i].standing != STANDING_REMOVED) {
                learn_address(doors, member[i].rpc_address);
                learn_address(doors, member[i].peer_address);
            }
        }
    }
    arena_release(&arena);
}

static void tell(struct rpc_doors *doors, uint64_t now_ms)
{
    const struct rpc_server_counts *counts = &doors->counts;
    const struct rpc_server_counts *told = &doors->told;
    char source[STREAM_SOURCE_SIZE];
    uint64_t refused = counts->refused - told->refused;
    uint64_t requests = counts->requests_refused - told->requests_refused;
    if (refused + requests == 0 || now_ms < doors->told_at_ms + TELL_EVERY_MS) {
        return;
    }
    stream_source_print(doors->last_source, source);
    log_event(LOG_LEVEL_WARNING, "callers of the admin RPC were turned away",
              log_u64("connections", refused), log_u64("requests", requests),
              log_u64("open", counts->open), log_text("last_from", source));
    doors->told = *counts;
    doors->told_at_ms = now_ms;
}

void rpc_doors_sweep(struct rpc_doors *doors, uint64_t now_ms)
{
    if (now_ms >= doors->members_at_ms + MEMBERS_EVERY_MS || doors->members_at_ms == 0) {
        doors->members_at_ms = now_ms;
        learn_members(doors);
    }
    tell(doors, now_ms);
}
