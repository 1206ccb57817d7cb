/*
 * Rebuilding, step by step. The states are those of the mark, on disk before what they allow is done:
 *
 *     WAITING    the cluster is told what is damaged; an operator decides
 *     LEAVING    the leader is asked to let this node out of raft's configuration, until it is committed
 *     MOVING     log and store are moved aside, an empty store is made
 *     RETURNING  the leader is asked to let it in again
 *     FILLING    a normal run: raft adds it as it adds a node that joins, and it fetches an image
 *
 * A crash goes on from the mark. Every question may be asked twice: the state knows the life it is of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "client/protocol.h"
#include "client/rpc_frame.h"
#include "daemon_parts.h"
#include "names.h"

#define ASK_EVERY_MS 500U       /* While the cluster is at it. */
#define ASK_AGAIN_MS 3000U      /* After a failure. */
#define LOOK_EVERY_MS 1000U     /* At the own row, while running. */
#define DISOWNED_AFTER_MS 5000U /* The own row says so for as long, and it is no replay. */
#define MIB ((size_t)1 << 20U)

struct rebuild {
    struct daemon *daemon;
    struct ask *ask;
    enum quarantine asked; /* The step that is asked for. */
    uint64_t asked_life;
    uint64_t next_ms;        /* Monotonic. */
    uint64_t disowned_at_ms; /* Monotonic: since when the own row speaks of a rebuild; or 0. */
    size_t first;            /* Whom to ask first: another one each time. */
    bool told;
    char words[RPC_TEXT_SIZE_MAX];
};

struct status rebuild_create(struct daemon *daemon, struct rebuild **out)
{
    struct rebuild *rebuild = alloc_zeroed(1, sizeof *rebuild);
    if (rebuild == NULL) {
        return fail(STATUS_NO_MEMORY, "start the rebuild");
    }
    rebuild->daemon = daemon;
    *out = rebuild;
    return OK;
}

void rebuild_destroy(struct rebuild *rebuild)
{
    if (rebuild != NULL) {
        ask_cancel(rebuild->ask);
        free(rebuild);
    }
}

const char *rebuild_words(const struct rebuild *rebuild)
{
    return rebuild == NULL ? "" : rebuild->words;
}

static void say(struct rebuild *rebuild, const char *words)
{
    if (strcmp(rebuild->words, words) != 0) {
        (void)snprintf(rebuild->words, sizeof rebuild->words, "%s", words);
        log_event(LOG_LEVEL_NOTICE, "rebuild", log_text("state", words));
    }
}

/* On disk first; then it is so. */
static struct status become(struct daemon *daemon, enum damage_state state)
{
    struct damage next = daemon->damage;
    next.state = state;
    struct status status = damage_save(daemon->identity.path, &next);
    if (!failed(status)) {
        daemon->damage = next;
        log_event(LOG_LEVEL_NOTICE, "rebuild goes on", log_text("step", damage_state_name(state)));
    }
    return status;
}

/* ---- Asking the leader ---- */

static void on_answer(struct rebuild *rebuild, enum quarantine step, struct slice why)
{
    struct daemon *daemon = rebuild->daemon;
    struct status status = OK;
    char words[RPC_TEXT_SIZE_MAX] = "waiting until the cluster has let this node out";
    if (why.size > 0) {
        (void)snprintf(words, sizeof words, "%.*s", SLICE_ARG(why));
    }
    switch (daemon->damage.state) {
    case DAMAGE_WAITING: rebuild->told = true; break;
    case DAMAGE_LEAVING:
        if (step == QUARANTINE_OUT) {
            fault_step(FAULT_REBUILD_OUT);
            status = become(daemon, DAMAGE_MOVING);
        } else {
            say(rebuild, words);
        }
        break;
    case DAMAGE_RETURNING:
        if (step == QUARANTINE_NONE) {
            fault_step(FAULT_REBUILD_BACK);
            status = become(daemon, DAMAGE_FILLING);
        }
        break;
    case DAMAGE_NONE:
    case DAMAGE_MOVING:
    case DAMAGE_FILLING: break;
    }
    if (failed(status)) {
        say(rebuild, status.message);
        rebuild->next_ms = clock_monotonic_ms() + ASK_AGAIN_MS;
    }
}

static void on_asked(void *context, struct status status, uint64_t error, struct slice result)
{
    struct rebuild *rebuild = context;
    struct rpc_quarantined answer = {0};
    struct arena arena = {0};
    enum quarantine step = QUARANTINE_NONE;
    rebuild->ask = NULL;
    if (!failed(status)) {
        status = codec_decode(&rpc_quarantined_codec, CODEC_NAMES, result, &arena, &answer);
    }
    if (!failed(status) && !quarantine_parse(answer.step, &step)) {
        status = fail(STATUS_INVALID, "the leader speaks of an unknown step");
    }
    if (failed(status)) {
        char words[RPC_TEXT_SIZE_MAX];
        rebuild->next_ms = clock_monotonic_ms() + ASK_AGAIN_MS;
        (void)snprintf(words, sizeof words, "the cluster cannot be asked yet: %s%s", status.message,
                       error == RPC_UNAUTHORIZED
                           ? "; if it does not know this node any more, `muster cluster reset`"
                           : "");
        say(rebuild, words);
    } else {
        on_answer(rebuild, step, answer.why);
    }
    arena_release(&arena);
}

static bool believe_member(void *context, uint64_t node_id)
{
    const struct rebuild *rebuild = context;
    const struct identity *identity = &rebuild->daemon->identity;
    for (size_t i = 0; i < identity->member_count; i++) {
        if (identity->members[i] == node_id) {
            return true;
        }
    }
    return false;
}

/* Everybody, beginning with another one each time: who does not lead passes the question on to nobody,
 * and there may be more members than addresses in one question. */
static void list_addresses(struct rebuild *rebuild, struct ask_addresses *out)
{
    const struct ask_addresses *contacts = &rebuild->daemon->identity.contacts;
    for (size_t i = 0; i < contacts->count; i++) {
        memcpy(out->texts[out->count++], contacts->texts[(rebuild->first + i) % contacts->count],
               ASK_ADDRESS_SIZE);
    }
    rebuild->first++;
}

static void ask(struct rebuild *rebuild, enum quarantine step, uint64_t life)
{
    struct daemon *daemon = rebuild->daemon;
    const struct rpc_quarantine params = {
        .step = slice_of(quarantine_name(step)),
        .life = life,
        .reason = slice_of(daemon->damage.reason),
    };
    struct ask_question question = {
        .believe = believe_member, .done = on_asked, .context = rebuild};
    struct buffer request = {0};
    list_addresses(rebuild, &question.addresses);
    struct status status =
        rpc_frame_begin_request(&request, 1, rpc_methods[RPC_PEER_QUARANTINE].name)
            ? codec_encode(&rpc_quarantine_codec, CODEC_NAMES, &params, &request)
            : fail(STATUS_NO_MEMORY, "ask the leader");
    rebuild->asked = step;
    rebuild->next_ms = clock_monotonic_ms() + ASK_EVERY_MS;
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &rebuild->ask);
    }
    if (failed(status)) {
        rebuild->ask = NULL;
        say(rebuild, status.message);
    }
    buffer_release(&request);
}

/* ---- Suspended ---- */

static void move_aside(struct rebuild *rebuild)
{
    struct daemon *daemon = rebuild->daemon;
    struct status status = damage_move_aside(daemon->identity.path, &daemon->damage);
    if (!failed(status)) {
        log_event(LOG_LEVEL_NOTICE, "the damaged files were moved aside",
                  log_text("lineage", daemon->identity.path),
                  log_text("folder", daemon->damage.folder));
        fault_step(FAULT_REBUILD_EMPTY);
        status = become(daemon, DAMAGE_RETURNING);
    }
    if (failed(status)) {
        rebuild->next_ms = clock_monotonic_ms() + ASK_AGAIN_MS;
        say(rebuild, status.message);
    }
}

static void step_suspended(struct rebuild *rebuild)
{
    struct daemon *daemon = rebuild->daemon;
    switch (daemon->damage.state) {
    case DAMAGE_NONE: return;
    case DAMAGE_WAITING:
        if (!rebuild->told && daemon->identity.contacts.count > 0) {
            ask(rebuild, QUARANTINE_TOLD, daemon->damage.life);
        }
        return;
    case DAMAGE_LEAVING: ask(rebuild, QUARANTINE_ASKED, daemon->damage.life); return;
    case DAMAGE_MOVING: move_aside(rebuild); return;
    case DAMAGE_RETURNING: ask(rebuild, QUARANTINE_NONE, daemon->damage.life); return;
    case DAMAGE_FILLING:
        if (daemon->suspension->kind == SUSPENSION_DAMAGED) { /* Else its disk fails it, too. */
            suspension_try(daemon->suspension);
            daemon_stop(daemon, true, "the damaged data is gone; it is fetched from the others");
        }
    }
}

/* ---- Running ---- */

/* As far as the leader was when it was heard last, and in the configuration again. */
static bool is_filled(struct daemon *daemon, const struct member *self)
{
    struct consensus_status raft;
    consensus_status(daemon->consensus, &raft);
    bool has_role = false;
    for (size_t i = 0; i < raft.member_count; i++) {
        has_role = has_role || (raft.members[i].node_id == self->node_id &&
                                raft.members[i].role != MEMBER_SPARE);
    }
    return has_role && self->standing == STANDING_MEMBER && self->quarantine == QUARANTINE_NONE &&
           daemon->event.leader_id != 0 && raft.applied_index > 0 &&
           raft.applied_index == raft.last_index;
}

static void finish(struct daemon *daemon)
{
    struct status status = store_sync(daemon->store);
    if (!failed(status)) {
        fault_step(FAULT_REBUILD_FILLED);
        status = damage_remove(daemon->identity.path);
    }
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "the mark of damaged data stays for now",
                  log_text("error", status.message));
        return;
    }
    log_event(LOG_LEVEL_NOTICE, "rebuilt: this node has its data again",
              log_u64("index", store_applied_index(daemon->store)),
              log_text("damaged files", daemon->damage.folder));
    daemon->damage = (struct damage){0};
}

static void on_taken_back(void *argument, struct status status, struct apply_outcome outcome)
{
    (void)argument; /* Its row tells whether it must be said again. */
    (void)status;
    (void)outcome;
}

/* Nothing is damaged after all: take back what was told. */
static void take_back(struct rebuild *rebuild, const struct member *self)
{
    struct daemon *daemon = rebuild->daemon;
    const struct command command = {
        .type = COMMAND_MEMBER_QUARANTINE,
        .body.member_quarantine = {.node_id = self->node_id,
                                   .step = QUARANTINE_NONE,
                                   .life = self->quarantine_life},
    };
    if (!daemon_leads(daemon)) {
        damage_load_contacts(daemon->identity.path, &daemon->identity);
        ask(rebuild, QUARANTINE_NONE, self->quarantine_life);
    } else if (failed(daemon_propose(daemon, &command, on_taken_back, NULL))) {
        say(rebuild, "what was told of damage is not taken back yet");
    }
}

/* The state speaks of damage of this node, and the node knows of none: the mark was lost, or what it
 * was about was put right. */
static void reconcile(struct rebuild *rebuild, const struct member *self, uint64_t now_ms)
{
    struct daemon *daemon = rebuild->daemon;
    if (self->quarantine == QUARANTINE_NONE || daemon->event.leader_id == 0) {
        rebuild->disowned_at_ms = 0;
    } else if (rebuild->disowned_at_ms == 0) {
        rebuild->disowned_at_ms = now_ms;
    } else if (now_ms < rebuild->disowned_at_ms + DISOWNED_AFTER_MS) {
        return;
    } else if (self->quarantine == QUARANTINE_TOLD) {
        take_back(rebuild, self);
    } else {
        struct status reason =
            fail(STATUS_CORRUPT, "the cluster holds this node's data for damaged");
        rebuild_mark(daemon, reason, 0);
        daemon_suspend(daemon, SUSPENSION_DAMAGED, reason);
    }
}

static void step_running(struct rebuild *rebuild, uint64_t now_ms)
{
    struct daemon *daemon = rebuild->daemon;
    struct arena arena = {0};
    struct member self;
    rebuild->next_ms = now_ms + LOOK_EVERY_MS;
    struct status status = store_member(daemon->store, &arena, daemon->identity.node_id, &self);
    if (!failed(status) && daemon->damage.state == DAMAGE_NONE) {
        reconcile(rebuild, &self, now_ms);
    } else if (!failed(status) && daemon->damage.state == DAMAGE_FILLING &&
               is_filled(daemon, &self)) {
        finish(daemon);
    }
    arena_release(&arena);
}

static void save_contacts(struct daemon *daemon)
{
    struct arena arena = {0};
    struct codec_list members;
    struct status status = store_members(daemon->store, &arena, &members);
    if (!failed(status) && members.count > 0) {
        status = damage_save_contacts(daemon->identity.path, &members, daemon->identity.node_id,
                                      &daemon->contacts_written);
    }
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "the contacts were not written",
                  log_text("error", status.message));
    }
    arena_release(&arena);
}

void rebuild_on_tick(struct rebuild *rebuild, uint64_t now_ms)
{
    struct daemon *daemon = rebuild->daemon;
    if (rebuild->ask != NULL || now_ms < rebuild->next_ms) {
        return;
    }
    if (daemon_is_suspended(daemon)) {
        step_suspended(rebuild);
        return;
    }
    save_contacts(daemon);
    step_running(rebuild, now_ms);
}

/* ---- Finding ---- */

void rebuild_mark(struct daemon *daemon, struct status reason, uint64_t index)
{
    struct damage *damage = &daemon->damage;
    struct identity *identity = &daemon->identity;
    if (identity->path[0] == '\0' ||
        (damage->state != DAMAGE_NONE && damage->state != DAMAGE_FILLING)) {
        return; /* Not this file's, or marked already. */
    }
    damage_load_contacts(identity->path, identity);
    bool by_itself = daemon->phase == DAEMON_RUNNING && identity->contacts.count > 0;
    damage_begin(damage, identity->path, reason.message, index, by_itself, clock_now_ms());
    struct status status = damage_save(identity->path, damage);
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "the damage is not marked on disk",
                  log_text("error", status.message));
    }
    log_event(LOG_LEVEL_ERROR, "damaged data: this node is quarantined",
              log_text("reason", reason.message), log_u64("index", index),
              log_text("rebuild", damage->state == DAMAGE_LEAVING ? "begins by itself"
                                                                  : "muster cluster rebuild"));
    fault_step(FAULT_REBUILD_MARKED);
}

static struct status look_at_files(struct daemon *daemon)
{
    const char *path = daemon->identity.path;
    char store[IDENTITY_PATH_SIZE + 16];
    struct store_report report;
    uint64_t begun_ms = clock_monotonic_ms();
    (void)snprintf(store, sizeof store, "%s/store", path);
    const struct store_options options = {
        .directory = store,
        .map_size_max = daemon->config.store_size_max_mib * MIB,
    };
    struct status status = store_verify(&options, &report);
    bool filling = daemon->damage.state == DAMAGE_FILLING;
    if (status.code == STATUS_NOT_FOUND) {
        status = OK; /* A life begins, or the log makes up for it; consensus says if it cannot. */
    } else if (status.code == STATUS_CORRUPT && damage_is_unborn(path, filling)) {
        log_event(LOG_LEVEL_NOTICE, "the state was not made to its end, and is begun anew",
                  log_text("reason", status.message));
        status = damage_begin_anew(path);
    }
    if (!failed(status) && damage_has_begun(path) && !filling && !damage_has_log(path)) {
        return fail(STATUS_CORRUPT, "the log is gone, and this node had one");
    }
    if (!failed(status) && report.rows > 0) {
        log_event(LOG_LEVEL_INFO, "the store was verified", log_u64("rows", report.rows),
                  log_u64("bytes", report.bytes), log_u64("ms", clock_monotonic_ms() - begun_ms));
    }
    return status;
}

struct status rebuild_look(struct daemon *daemon)
{
    struct damage *damage = &daemon->damage;
    struct identity *identity = &daemon->identity;
    struct status status = damage_load(identity->path, damage);
    if (failed(status)) {
        return status;
    }
    if (damage->state == DAMAGE_WAITING && damage->index == 0 && daemon->suspension->trying) {
        status = damage_remove(identity->path); /* Somebody put it right, and says so. */
        damage->state = DAMAGE_NONE;
    } else if (damage->state == DAMAGE_FILLING) {
        identity->bootstrap = false; /* Its log begins empty, and not as a cluster of one. */
        damage_load_contacts(identity->path, identity);
    } else if (damage->state != DAMAGE_NONE) {
        return fail(STATUS_CORRUPT, "%s", damage->reason);
    }
    return failed(status) ? status : look_at_files(daemon);
}

/* ---- The operator's word ---- */

static struct status may_begin(struct daemon *daemon)
{
    struct identity *identity = &daemon->identity;
    if (identity->path[0] == '\0') {
        return fail(STATUS_REFUSED,
                    "its identity is damaged, and no peer has it: remove the node, empty its data "
                    "folder, join it again");
    }
    if (daemon_is_suspended(daemon) && daemon->damage.state == DAMAGE_NONE) {
        return fail(STATUS_REFUSED,
                    "its data is not known to be damaged; `muster node status` says "
                    "why it takes no part");
    }
    if (!daemon_is_suspended(daemon)) {
        save_contacts(daemon);
    }
    damage_load_contacts(identity->path, identity);
    if (identity->contacts.count == 0) {
        return fail(STATUS_REFUSED, "there is no other member to rebuild from: restore a snapshot");
    }
    return OK;
}

struct status rebuild_begin(struct daemon *daemon, bool check)
{
    struct damage *damage = &daemon->damage;
    struct status status = may_begin(daemon);
    if (failed(status) || check) {
        return status;
    }
    if (damage->state == DAMAGE_WAITING) {
        return become(daemon, DAMAGE_LEAVING);
    }
    if (damage->state != DAMAGE_NONE) {
        return OK; /* It is at it. */
    }
    damage_begin(damage, daemon->identity.path, "its operator wants it rebuilt", 0, true,
                 clock_now_ms());
    damage->state = DAMAGE_LEAVING;
    status = damage_save(daemon->identity.path, damage);
    if (failed(status)) {
        *damage = (struct damage){0};
        return status;
    }
    daemon_suspend(daemon, SUSPENSION_DAMAGED,
                   fail(STATUS_CORRUPT, "this node is being rebuilt, as its operator wants"));
    return OK;
}
