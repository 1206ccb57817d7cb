/*
 * Checkpoints, and the judgement of a replica that differs:
 *
 *     IDLE ──a divergence, or a dispute──► ASKING ──next member──► ... ──all asked──► RIGHT: forgotten
 *                                                                                  WRONG: quarantined
 *                                                                                  OPEN: asked again
 *
 * Each judges itself alone: the one that is in the majority does nothing, the other stops taking part.
 * So the leader that differs stops, and nobody is stopped by a leader that is wrong. Who is asked learns
 * our digest by the question, and judges itself if it has another.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "comparer.h"

#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "client/protocol.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "rebuild.h"

#define CHECKPOINT_EVERY_MS 5000U
#define CHECKPOINT_ENTRIES STORE_DIGEST_EVERY /* Sooner after so many entries, */
#define CHECKPOINT_SOONEST_MS 500U            /* but not sooner than this. */
#define JUDGE_AGAIN_MS 5000U

struct comparer {
    struct daemon *daemon;
    struct ask *ask;
    bool proposing;
    uint64_t proposed_at_ms; /* Monotonic. */
    uint64_t next_ms;        /* Monotonic: of the next judgement. */
    uint64_t disputed;       /* Index that a member says we differ at; 0: none. */
    uint64_t open_index;

    uint64_t index; /* Judged at the moment; 0: none. */
    uint8_t ours[STORE_DIGEST_SIZE];
    uint64_t members[STORE_MEMBERS_MAX]; /* The others. */
    struct opinion opinions[STORE_MEMBERS_MAX];
    size_t member_count;
    size_t at;
};

enum verdict comparer_judge(const uint8_t ours[STORE_DIGEST_SIZE], const struct opinion *opinions,
                            size_t opinion_count, size_t member_count)
{
    size_t same = 1;
    size_t most = 0;
    for (size_t i = 0; i < opinion_count; i++) {
        size_t alike = 0;
        for (size_t j = 0; opinions[i].known && j < opinion_count; j++) {
            alike += opinions[j].known &&
                     memcmp(opinions[i].digest, opinions[j].digest, STORE_DIGEST_SIZE) == 0;
        }
        bool is_ours =
            opinions[i].known && memcmp(opinions[i].digest, ours, STORE_DIGEST_SIZE) == 0;
        same += is_ours;
        most = !is_ours && alike > most ? alike : most;
    }
    if (2 * most > member_count) {
        return VERDICT_WRONG;
    }
    return 2 * same > member_count ? VERDICT_RIGHT : VERDICT_OPEN;
}

struct status comparer_create(struct daemon *daemon, struct comparer **out)
{
    struct comparer *comparer = alloc_zeroed(1, sizeof *comparer);
    if (comparer == NULL) {
        return fail(STATUS_NO_MEMORY, "start the comparer");
    }
    comparer->daemon = daemon;
    *out = comparer;
    return OK;
}

void comparer_destroy(struct comparer *comparer)
{
    if (comparer != NULL) {
        ask_cancel(comparer->ask);
        free(comparer);
    }
}

/* ---- Checkpoints ---- */

static void on_proposed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct daemon *daemon = argument;
    (void)status; /* Tried again in time. */
    (void)outcome;
    if (daemon->comparer != NULL) {
        daemon->comparer->proposing = false;
    }
}

static void propose(struct comparer *comparer, uint64_t now_ms)
{
    struct store_digest last;
    struct command command = {.type = COMMAND_CHECKPOINT};
    if (store_checkpoint_last(comparer->daemon->store, &last)) {
        command.body.checkpoint = (struct checkpoint){
            .index = last.index, .digest = {.data = last.bytes, .size = sizeof last.bytes}};
    }
    comparer->proposed_at_ms = now_ms;
    comparer->proposing =
        !failed(daemon_propose(comparer->daemon, &command, on_proposed, comparer->daemon));
}

static bool is_due(const struct comparer *comparer, uint64_t now_ms)
{
    struct store *store = comparer->daemon->store;
    struct store_digest last;
    uint64_t since_ms = now_ms - comparer->proposed_at_ms;
    (void)store_checkpoint_last(store, &last);
    uint64_t entries = store_applied_index(store) - last.index;
    return store_checkpoint_due(store) &&
           since_ms >=
               (entries >= CHECKPOINT_ENTRIES ? CHECKPOINT_SOONEST_MS : CHECKPOINT_EVERY_MS);
}

/* Others are there to compare with. */
static bool is_in_company(struct daemon *daemon)
{
    struct arena arena = {0};
    struct codec_list members = {0};
    bool company = !failed(store_members(daemon->store, &arena, &members)) && members.count > 1;
    arena_release(&arena);
    return company;
}

/* ---- Judging ---- */

static void quarantine_self(struct comparer *comparer)
{
    struct daemon *daemon = comparer->daemon;
    struct status reason =
        fail(STATUS_CORRUPT, "this replica differs from the majority at index %llu",
             (unsigned long long)comparer->index);
    rebuild_mark(daemon, reason, comparer->index);
    daemon_suspend(daemon, SUSPENSION_DAMAGED, reason);
}

static void finish(struct comparer *comparer)
{
    struct daemon *daemon = comparer->daemon;
    enum verdict verdict = comparer_judge(comparer->ours, comparer->opinions,
                                          comparer->member_count, comparer->member_count + 1);
    bool told = comparer->open_index == comparer->index;
    comparer->next_ms = clock_monotonic_ms() + JUDGE_AGAIN_MS;
    comparer->open_index = 0;
    switch (verdict) {
    case VERDICT_WRONG: quarantine_self(comparer); break;
    case VERDICT_RIGHT:
        log_event(LOG_LEVEL_WARNING, "replicas differed, and this one is with the majority",
                  log_u64("index", comparer->index));
        store_divergence_forget(daemon->store);
        comparer->disputed = 0;
        break;
    case VERDICT_OPEN:
        comparer->open_index = comparer->index;
        if (!told) {
            log_event(LOG_LEVEL_ERROR, "replicas differ, and no majority says which is wrong",
                      log_u64("index", comparer->index));
        }
        break;
    }
    comparer->index = 0;
}

static void ask_next(struct comparer *comparer);

static void on_asked(void *context, struct status status, uint64_t error, struct slice result)
{
    struct comparer *comparer = context;
    struct rpc_digest_view answer = {0};
    struct arena arena = {0};
    struct opinion *opinion = &comparer->opinions[comparer->at++];
    (void)error;
    comparer->ask = NULL;
    if (!failed(status)) {
        status = codec_decode(&rpc_digest_view_codec, CODEC_NAMES, result, &arena, &answer);
    }
    opinion->known = !failed(status) && answer.index == comparer->index &&
                     hex_decode(answer.digest, opinion->digest, sizeof opinion->digest);
    arena_release(&arena);
    if (comparer->at == comparer->member_count) {
        finish(comparer);
    } else {
        ask_next(comparer);
    }
}

static bool believe_asked(void *context, uint64_t node_id)
{
    const struct comparer *comparer = context;
    return node_id == comparer->members[comparer->at];
}

static struct status start_asking(struct comparer *comparer, struct slice rpc_address)
{
    struct daemon *daemon = comparer->daemon;
    char hex[2 * STORE_DIGEST_SIZE + 1];
    hex_encode((struct slice){.data = comparer->ours, .size = sizeof comparer->ours}, hex);
    const struct rpc_digest params = {.index = comparer->index, .digest = slice_of(hex)};
    struct ask_question question = {
        .addresses = {.count = 1}, .believe = believe_asked, .done = on_asked, .context = comparer};
    struct buffer request = {0};
    struct status status = slice_to_text(rpc_address, question.addresses.texts[0], ASK_ADDRESS_SIZE)
                               ? OK
                               : fail(STATUS_UNREACHABLE, "the member's address is too long");
    if (!failed(status)) {
        status = rpc_frame_begin_request(&request, 1, rpc_methods[RPC_NODE_DIGEST].name)
                     ? codec_encode(&rpc_digest_codec, CODEC_NAMES, &params, &request)
                     : fail(STATUS_NO_MEMORY, "ask for a digest");
    }
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &comparer->ask);
    }
    buffer_release(&request);
    return status;
}

static void ask_next(struct comparer *comparer)
{
    struct daemon *daemon = comparer->daemon;
    while (comparer->at < comparer->member_count) {
        struct arena arena = {0};
        struct member member;
        struct status status =
            store_member(daemon->store, &arena, comparer->members[comparer->at], &member);
        if (!failed(status)) {
            status = start_asking(comparer, member.rpc_address);
        }
        arena_release(&arena);
        if (!failed(status)) {
            return;
        }
        comparer->opinions[comparer->at++].known = false;
    }
    finish(comparer);
}

static void begin(struct comparer *comparer, uint64_t index)
{
    struct daemon *daemon = comparer->daemon;
    struct arena arena = {0};
    struct codec_list members = {0};
    struct store_digest ours;
    struct status status = store_digest_at(daemon->store, index, &ours);
    if (!failed(status)) {
        status = store_members(daemon->store, &arena, &members);
    }
    if (failed(status)) { /* So long ago that nobody can tell: a later checkpoint will. */
        store_divergence_forget(daemon->store);
        comparer->disputed = 0;
        arena_release(&arena);
        return;
    }
    memcpy(comparer->ours, ours.bytes, sizeof comparer->ours);
    comparer->index = index;
    comparer->member_count = 0;
    comparer->at = 0;
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count && comparer->member_count < STORE_MEMBERS_MAX; i++) {
        if (all[i].node_id != daemon->identity.node_id && all[i].standing == STANDING_MEMBER &&
            all[i].quarantine == QUARANTINE_NONE) {
            comparer->members[comparer->member_count++] = all[i].node_id;
        }
    }
    arena_release(&arena);
    ask_next(comparer);
}

void comparer_on_dispute(struct comparer *comparer, uint64_t index)
{
    if (comparer->disputed == 0) {
        comparer->disputed = index;
    }
}

uint64_t comparer_open_index(const struct comparer *comparer)
{
    return comparer == NULL ? 0 : comparer->open_index;
}

void comparer_on_tick(struct comparer *comparer, uint64_t now_ms)
{
    struct daemon *daemon = comparer->daemon;
    struct divergence found;
    if (daemon_leads(daemon) && !daemon->stopping && !comparer->proposing &&
        is_due(comparer, now_ms) && is_in_company(daemon)) {
        propose(comparer, now_ms);
    }
    if (comparer->index != 0 || now_ms < comparer->next_ms || daemon->event.leader_id == 0) {
        return;
    }
    if (store_divergence(daemon->store, &found)) {
        begin(comparer, found.index);
    } else if (comparer->disputed != 0) {
        begin(comparer, comparer->disputed);
    }
}
