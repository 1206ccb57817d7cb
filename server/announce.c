/*
 * Announcing: asking several members at once, each in its turn.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "announce.h"

#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "call.h"
#include "client/rpc_frame.h"
#include "daemon.h"

#define AT_ONCE 4 /* Questions; one to an address where nobody is lasts long. */
#define ANNOUNCE_EVERY_MS 500
#define LOOK_EVERY_MS 2000    /* Without a leader, when there is nothing to announce. */
#define LOST_AFTER_TIMEOUTS 4 /* Election time-outs without a leader. */

struct question {
    struct announcer *announcer;
    struct ask *ask; /* NULL: none. */
    uint64_t about;  /* Whom it went to; 0: the contact of the configuration. */
};

struct announcer {
    struct daemon *daemon;
    struct question questions[AT_ONCE];
    size_t turn; /* Of the members. */
    uint64_t next_at_ms;
    bool proposing;
    bool stopped;
};

struct status announcer_create(struct daemon *daemon, struct announcer **out)
{
    struct announcer *announcer = alloc_zeroed(1, sizeof *announcer);
    if (announcer == NULL) {
        return fail(STATUS_NO_MEMORY, "start the announcer");
    }
    announcer->daemon = daemon;
    for (size_t i = 0; i < AT_ONCE; i++) {
        announcer->questions[i].announcer = announcer;
    }
    *out = announcer;
    return OK;
}

void announcer_stop(struct announcer *announcer)
{
    if (announcer == NULL) {
        return;
    }
    announcer->stopped = true;
    for (size_t i = 0; i < AT_ONCE; i++) {
        ask_cancel(announcer->questions[i].ask);
        announcer->questions[i].ask = NULL;
    }
}

void announcer_destroy(struct announcer *announcer)
{
    free(announcer);
}

/* ---- What others say ---- */

/* `index` is how far the other's state is: what it has of a third one counts if that is further. */
static void take_news(struct daemon *daemon, const struct rpc_announce *said)
{
    const struct rpc_address_news *news = said->news.items;
    bool further = said->index > store_applied_index(daemon->store);
    for (size_t i = 0; i < said->news.count; i++) {
        struct arena arena = {0};
        struct member member;
        if (news[i].node_id != daemon->identity.node_id && (news[i].said_at_ms != 0 || further) &&
            !failed(store_member(daemon->store, &arena, news[i].node_id, &member)) &&
            member.standing != STANDING_REMOVED) {
            address_book_note(&daemon->addresses, &member, &news[i]);
        }
        arena_release(&arena);
    }
}

/* All that this node knows, itself first; false without memory. */
static bool tell(struct daemon *daemon, struct arena *arena, struct rpc_announce *out)
{
    struct codec_list members;
    if (failed(store_members(daemon->store, arena, &members))) {
        return false;
    }
    const struct member *all = members.items;
    struct rpc_address_news *news = arena_alloc(arena, members.count + 1, sizeof *news);
    if (news == NULL) {
        return false;
    }
    size_t count = 0;
    news[count++] = (struct rpc_address_news){
        .node_id = daemon->identity.node_id,
        .peer_address = slice_of(daemon->config.peer_address),
        .rpc_address = slice_of(daemon->config.rpc_address),
        .said_at_ms = clock_now_ms(),
    };
    for (size_t i = 0; i < members.count && count < RPC_MEMBERS_MAX; i++) {
        if (all[i].standing != STANDING_REMOVED && all[i].node_id != daemon->identity.node_id) {
            news[count++] = address_book_tell(&daemon->addresses, &all[i]);
        }
    }
    struct key_hold hold = {0};
    (void)key_news(&daemon->key, arena, &hold);
    *out = (struct rpc_announce){
        .key_epoch = hold.epoch,
        .key_check = hold.check,
        .version = slice_of(MUSTER_VERSION),
        .level = STORE_LEVEL,
        .index = store_applied_index(daemon->store),
        .news = {.items = news, .count = count},
    };
    return true;
}

/* ---- What the state shall say ---- */

static bool differs(struct slice state, struct slice now)
{
    return now.size > 0 && !slice_equal(state, now);
}

static bool is_news(const struct member *member, const struct member_set *set)
{
    return differs(member->peer_address, set->peer_address) ||
           differs(member->rpc_address, set->rpc_address) ||
           differs(member->version, set->version) || member->level != set->level;
}

static void reply(struct call *call)
{
    struct rpc_announce answer;
    if (tell(call->daemon, &call->arena, &answer)) {
        call_reply(call, &answer);
    } else {
        call_fail(call, fail(STATUS_NO_MEMORY, "tell where the members are"));
    }
}

static void on_written(struct call *call, struct apply_outcome outcome)
{
    (void)outcome;
    reply(call);
}

/* Does the member hold the new cluster key, and the state does not say so yet? */
static bool is_key_news(struct call *call, const struct rpc_announce *said, uint64_t node_id)
{
    struct key_rotation_view rotation;
    struct key_holder holder;
    return said->key_epoch != 0 &&
           !failed(store_key_rotation(call->daemon->store, &call->arena, &rotation)) &&
           rotation.epoch == said->key_epoch && slice_equal(rotation.check, said->key_check) &&
           key_holder_find(&rotation.holders, node_id, &holder) && !holder.held;
}

void handle_announce(struct call *call)
{
    struct rpc_announce said;
    struct member member;
    if (!call_params(call, &said)) {
        return;
    }
    const struct rpc_address_news *own = said.news.items;
    if (said.news.count == 0 || own->node_id != call->caller.peer_id) {
        call_fail(call, fail(STATUS_INVALID, "a member announces itself first"));
        return;
    }
    take_news(call->daemon, &said);
    if (daemon_leads(call->daemon) && is_key_news(call, &said, own->node_id)) {
        struct command hold = {
            .type = COMMAND_KEY_HOLD,
            .body.key_hold = {said.key_epoch, said.key_check, own->node_id},
        };
        call_propose(call, &hold, on_written); /* Anything else comes with the next one. */
        return;
    }
    struct command command = {
        .type = COMMAND_MEMBER_SET,
        .body.member_set = {.node_id = own->node_id,
                            .version = said.version,
                            .level = said.level == 0 ? 1 : said.level, /* Before there were any. */
                            .peer_address = own->peer_address,
                            .rpc_address = own->rpc_address},
    };
    if (daemon_leads(call->daemon) &&
        !failed(store_member(call->daemon->store, &call->arena, own->node_id, &member)) &&
        is_news(&member, &command.body.member_set)) {
        call_propose(call, &command, on_written);
    } else {
        reply(call);
    }
}

/* ---- Telling ---- */

static struct member_set own_row(const struct daemon *daemon)
{
    return (struct member_set){
        .node_id = daemon->identity.node_id,
        .version = slice_of(MUSTER_VERSION),
        .level = STORE_LEVEL,
        .peer_address = slice_of(daemon->config.peer_address),
        .rpc_address = slice_of(daemon->config.rpc_address),
    };
}

static void on_proposed(void *argument, struct status status, struct apply_outcome outcome)
{
    struct announcer *announcer = argument;
    announcer->proposing = false;
    if (!announcer->stopped && (failed(status) || outcome.refusal != REFUSAL_NONE)) {
        log_event(LOG_LEVEL_NOTICE, "own row not written down yet, will be tried again",
                  log_text("error", failed(status)
                                        ? status.message
                                        : refusal_reason((enum refusal)outcome.refusal)));
    }
}

static void on_answer(void *context, struct status status, uint64_t error, struct slice result)
{
    struct question *question = context;
    struct arena arena = {0};
    struct rpc_announce answer = {0};
    (void)error;
    question->ask = NULL;
    if (!failed(status)) {
        status = codec_decode(&rpc_announce_codec, CODEC_NAMES, result, &arena, &answer);
    }
    if (!failed(status)) {
        take_news(question->announcer->daemon, &answer);
    }
    arena_release(&arena);
}

static bool believe_member(void *context, uint64_t node_id)
{
    const struct question *question = context;
    return daemon_knows(question->announcer->daemon, node_id);
}

static bool is_asked(const struct announcer *announcer, uint64_t node_id)
{
    for (size_t i = 0; i < AT_ONCE; i++) {
        if (announcer->questions[i].ask != NULL && announcer->questions[i].about == node_id) {
            return true;
        }
    }
    return false;
}

/* Where the member whose turn it is may be: by the news, then by the state. */
static bool list_addresses(struct announcer *announcer, const struct codec_list *members,
                           struct question *question, struct ask_addresses *out)
{
    struct daemon *daemon = announcer->daemon;
    const struct member *all = members->items;
    const struct member *member = &all[announcer->turn++ % members->count];
    question->about = member->node_id;
    if (member->node_id == daemon->identity.node_id || member->standing == STANDING_REMOVED ||
        is_asked(announcer, member->node_id)) {
        return false;
    }
    out->count += address_book_rpc(&daemon->addresses, member, out->texts[out->count]);
    out->count += slice_to_text(member->rpc_address, out->texts[out->count], ASK_ADDRESS_SIZE);
    return out->count > 0;
}

/* Each time, as long as there is no leader: nobody else may be where he was. */
static bool list_contact(const struct announcer *announcer, struct question *question,
                         struct ask_addresses *out)
{
    const struct daemon *daemon = announcer->daemon;
    question->about = 0;
    if (daemon->config.contact[0] == '\0' || daemon->event.leader_id != 0 ||
        is_asked(announcer, 0)) {
        return false;
    }
    out->count += slice_to_text(slice_of(daemon->config.contact), out->texts[0], ASK_ADDRESS_SIZE);
    return out->count > 0;
}

static void ask_next(struct announcer *announcer, struct question *question,
                     const struct codec_list *members, struct slice request)
{
    struct ask_question asked = {
        .request = request,
        .believe = believe_member,
        .done = on_answer,
        .context = question,
    };
    bool listed = list_contact(announcer, question, &asked.addresses);
    for (size_t tries = 0; !listed && tries < members->count; tries++) {
        asked.addresses.count = 0;
        listed = list_addresses(announcer, members, question, &asked.addresses);
    }
    if (listed && failed(ask_start(announcer->daemon->loop, announcer->daemon->tls_client, &asked,
                                   &question->ask))) {
        question->ask = NULL; /* Again at its next turn. */
    }
}

static void ask_round(struct announcer *announcer, struct arena *arena)
{
    struct codec_list members;
    struct rpc_announce announce;
    struct buffer request = {0};
    if (failed(store_members(announcer->daemon->store, arena, &members)) ||
        !tell(announcer->daemon, arena, &announce) ||
        !rpc_frame_begin_request(&request, 1, rpc_methods[RPC_PEER_ANNOUNCE].name) ||
        failed(codec_encode(&rpc_announce_codec, CODEC_NAMES, &announce, &request))) {
        buffer_release(&request);
        return;
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        if (announcer->questions[i].ask == NULL) {
            ask_next(announcer, &announcer->questions[i], &members, buffer_slice(&request));
        }
    }
    buffer_release(&request);
}

static void propose_own(struct announcer *announcer, const struct command *command)
{
    announcer->proposing = true;
    struct status status = daemon_propose(announcer->daemon, command, on_proposed, announcer);
    if (failed(status)) {
        on_proposed(announcer, status, (struct apply_outcome){0});
    }
}

static bool is_lost(const struct daemon *daemon, uint64_t now_ms)
{
    return daemon->leaderless_since_ms != 0 && !daemon->removed &&
           now_ms > daemon->leaderless_since_ms +
                        LOST_AFTER_TIMEOUTS * daemon->config.election_timeout_ms;
}

void announcer_on_tick(struct announcer *announcer)
{
    struct daemon *daemon = announcer->daemon;
    uint64_t now_ms = clock_monotonic_ms();
    struct arena arena = {0};
    struct member member;
    if (announcer->proposing || now_ms < announcer->next_at_ms) {
        return;
    }
    struct command own = {.type = COMMAND_MEMBER_SET, .body.member_set = own_row(daemon)};
    bool known = !failed(store_member(daemon->store, &arena, daemon->identity.node_id, &member)) &&
                 member.standing != STANDING_REMOVED;
    bool news = known && is_news(&member, &own.body.member_set);
    if (known && !news && key_news(&daemon->key, &arena, &own.body.key_hold)) {
        own.type = COMMAND_KEY_HOLD;
        news = true;
    }
    announcer->next_at_ms = now_ms + ANNOUNCE_EVERY_MS;
    if (news && daemon_leads(daemon)) {
        propose_own(announcer, &own);
    } else if (news && daemon->event.role != CONSENSUS_LEADER) {
        ask_round(announcer, &arena);
    } else if (known && is_lost(daemon, now_ms)) {
        announcer->next_at_ms = now_ms + LOOK_EVERY_MS;
        ask_round(announcer, &arena);
    }
    arena_release(&arena);
}
