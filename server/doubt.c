/*
 * Doubt: asking the members for a standing, one question at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "doubt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "client/rpc_frame.h"
#include "daemon.h"
#include "saved_life.h"

#define DOUBT_EVERY_MS 5000
#define VOUCH_EVERY_MS 500
#define DOUBT_AFTER_TIMEOUTS 10 /* Election time-outs without a leader, for a member. */

enum doubt_about {
    DOUBT_SELF,    /* Leaderless: is this node still a member? */
    DOUBT_PEER,    /* Of one that this node's state does not name. */
    DOUBT_LINEAGE, /* All is well here: does another member live in a newer lineage? */
};

struct doubt {
    struct daemon *daemon;
    struct ask *ask; /* Under way, or NULL. */
    enum doubt_about about;
    uint64_t about_id;      /* Node id. */
    uint64_t next_ask_ms;   /* Monotonic. */
    uint64_t next_round_ms; /* The same. */
    bool hurried;           /* doubt_hurry() */
    size_t round;           /* Whose turn it is to be asked about a newer lineage. */
};

struct status doubt_create(struct daemon *daemon, struct doubt **out)
{
    struct doubt *doubt = alloc_zeroed(1, sizeof *doubt);
    if (doubt == NULL) {
        return fail(STATUS_NO_MEMORY, "start the doubt");
    }
    doubt->daemon = daemon;
    *out = doubt;
    return OK;
}

void doubt_destroy(struct doubt *doubt)
{
    if (doubt != NULL) {
        ask_cancel(doubt->ask);
        free(doubt);
    }
}

static uint64_t own_standing(struct daemon *daemon)
{
    struct arena arena = {0};
    struct member member;
    struct status status = store_member(daemon->store, &arena, daemon->identity.node_id, &member);
    uint64_t standing = failed(status) ? 0 : member.standing;
    arena_release(&arena);
    return standing;
}

/* To the life before, unless this node became a member since: then its records may be given away. */
static bool can_return(const struct daemon *daemon)
{
    const struct identity *identity = &daemon->identity;
    char path[IDENTITY_PATH_SIZE];
    struct saved_note note;
    (void)snprintf(path, sizeof path, "%.400s/%.31s", daemon->config.data_directory,
                   identity->previous);
    return identity->previous[0] != '\0' && !failed(saved_note_read(path, &note)) && !note.looked &&
           identity_is_aside(daemon->config.data_directory, identity->previous, identity);
}

static void on_forgotten(struct doubt *doubt, const struct rpc_standing *answer)
{
    struct daemon *daemon = doubt->daemon;
    if (own_standing(daemon) == STANDING_MEMBER || !can_return(daemon)) {
        daemon->removed = true;
        (void)slice_to_text(answer->reason, daemon->removed_reason, sizeof daemon->removed_reason);
        log_event(LOG_LEVEL_WARNING, "the cluster has removed this node",
                  log_text("reason", daemon->removed_reason),
                  log_text("remedy", "`muster cluster reset` makes it standalone"));
        return;
    }
    fault_step(FAULT_LINEAGE_STAGED);
    struct status status =
        identity_switch(daemon->config.data_directory, daemon->identity.previous);
    fault_step(FAULT_LINEAGE_SWITCHED);
    if (failed(status)) {
        log_event(LOG_LEVEL_WARNING, "could not return to the standalone lineage",
                  log_text("error", status.message));
        return;
    }
    daemon_stop(daemon, true, "the cluster did not keep this node; it is standalone again");
}

/* A recovery elsewhere has left this side behind, even if it has a quorum of its own: the two must
 * not act as one device. Of that it is told only by a member that this side knows. */
static bool is_superseded(struct daemon *daemon, const struct rpc_standing *answer)
{
    struct arena arena = {0};
    struct cluster_view cluster = {0};
    bool superseded = !failed(store_cluster(daemon->store, &arena, &cluster)) &&
                      answer->lineage > cluster.lineage && answer->reason.size > 0;
    arena_release(&arena);
    return superseded;
}

static void on_standing(void *context, struct status status, uint64_t error, struct slice result)
{
    struct doubt *doubt = context;
    struct daemon *daemon = doubt->daemon;
    struct rpc_standing answer = {0};
    struct arena arena = {0};
    enum doubt_about about = doubt->about;
    (void)error;
    doubt->ask = NULL;
    doubt->hurried = doubt->hurried && about != DOUBT_SELF;
    if (!failed(status)) {
        status = codec_decode(&rpc_standing_codec, CODEC_NAMES, result, &arena, &answer);
    }
    bool gone = slice_equal(answer.standing, slice_of("none")) ||
                slice_equal(answer.standing, slice_of("removed"));
    bool present = slice_equal(answer.standing, slice_of("member")) ||
                   slice_equal(answer.standing, slice_of("joining"));
    if (failed(status)) {
        arena_release(&arena);
        return;
    }
    if (about == DOUBT_PEER && present) {
        daemon->vouched[daemon->vouched_count++ % DAEMON_VOUCHED_MAX] = doubt->about_id;
    } else if (about != DOUBT_PEER && gone && is_superseded(daemon, &answer)) {
        daemon_supersede(daemon, answer.reason);
    } else if (about == DOUBT_SELF && gone && daemon->event.leader_id == 0) {
        on_forgotten(doubt, &answer);
    }
    arena_release(&arena);
}

static bool believe_member(void *context, uint64_t node_id)
{
    struct doubt *doubt = context;
    return daemon_knows(doubt->daemon, node_id);
}

/* Whom to ask: the members that the state names, then those who admitted this node. */
static void list_contacts(struct daemon *daemon, struct ask_addresses *out)
{
    struct arena arena = {0};
    struct codec_list members = {0};
    const struct ask_addresses *contacts = &daemon->identity.contacts;
    if (failed(store_members(daemon->store, &arena, &members))) {
        members.count = 0;
    }
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count && out->count < ASK_ADDRESSES_MAX; i++) {
        if (all[i].node_id != daemon->identity.node_id && all[i].standing != STANDING_REMOVED &&
            address_book_rpc(&daemon->addresses, &all[i], out->texts[out->count])) {
            out->count++;
        }
    }
    for (size_t i = 0; i < contacts->count && out->count < ASK_ADDRESSES_MAX; i++) {
        memcpy(out->texts[out->count++], contacts->texts[i], ASK_ADDRESS_SIZE);
    }
    arena_release(&arena);
}

/* The member whose turn it is; none if there is no other. */
static void list_next(struct doubt *doubt, struct ask_addresses *out)
{
    struct daemon *daemon = doubt->daemon;
    struct arena arena = {0};
    struct codec_list members = {0};
    if (failed(store_members(daemon->store, &arena, &members))) {
        members.count = 0;
    }
    const struct member *all = members.items;
    for (size_t i = 0; i < members.count && out->count == 0; i++) {
        const struct member *member = &all[doubt->round++ % members.count];
        if (member->node_id != daemon->identity.node_id && member->standing == STANDING_MEMBER &&
            slice_to_text(member->rpc_address, out->texts[0], ASK_ADDRESS_SIZE)) {
            out->count = 1;
        }
    }
    arena_release(&arena);
}

static void ask_standing(struct doubt *doubt, enum doubt_about kind, uint64_t node_id)
{
    struct daemon *daemon = doubt->daemon;
    const struct rpc_node_id about = {.node_id = node_id};
    struct ask_question question = {
        .believe = believe_member,
        .done = on_standing,
        .context = doubt,
    };
    struct buffer request = {0};
    if (kind == DOUBT_LINEAGE) {
        list_next(doubt, &question.addresses);
    } else {
        list_contacts(daemon, &question.addresses);
    }
    if (question.addresses.count == 0) {
        return;
    }
    struct status status =
        rpc_frame_begin_request(&request, 1, rpc_methods[RPC_CLUSTER_STANDING].name)
            ? codec_encode(&rpc_node_id_codec, CODEC_NAMES, &about, &request)
            : fail(STATUS_NO_MEMORY, "ask for a standing");
    doubt->about = kind;
    doubt->about_id = node_id;
    if (!failed(status)) {
        question.request = buffer_slice(&request);
        status = ask_start(daemon->loop, daemon->tls_client, &question, &doubt->ask);
    }
    if (failed(status)) {
        doubt->ask = NULL; /* Asked again in time. */
    }
    buffer_release(&request);
}

/* Has this node, which once was admitted, reason to ask whether it still is a member? */
static bool doubts_itself(const struct doubt *doubt, uint64_t now_ms)
{
    struct daemon *daemon = doubt->daemon;
    uint64_t standing = own_standing(daemon);
    if (daemon->event.leader_id != 0 || daemon->leaderless_since_ms == 0 || daemon->removed) {
        return false;
    }
    if (standing == STANDING_MEMBER) {
        return doubt->hurried ||
               now_ms > daemon->leaderless_since_ms +
                            DOUBT_AFTER_TIMEOUTS * daemon->config.election_timeout_ms;
    }
    return daemon->identity.previous[0] != '\0' &&
           now_ms > daemon->started_at_ms + daemon->config.join_timeout_s * 1000;
}

void doubt_hurry(struct doubt *doubt)
{
    doubt->hurried = true;
    doubt->next_ask_ms = 0;
}

bool doubt_is_hurried(const struct doubt *doubt)
{
    return doubt->hurried;
}

void doubt_on_tick(struct doubt *doubt)
{
    struct daemon *daemon = doubt->daemon;
    uint64_t now_ms = clock_monotonic_ms();
    if (doubt->ask != NULL || now_ms < doubt->next_ask_ms) {
        return;
    }
    uint64_t unknown = daemon->unknown_peer;
    daemon->unknown_peer = 0;
    if (unknown != 0) {
        doubt->next_ask_ms = now_ms + VOUCH_EVERY_MS;
        ask_standing(doubt, DOUBT_PEER, unknown);
    } else if (daemon->event.leader_id == 0 && own_standing(daemon) == STANDING_REMOVED) {
        daemon->removed = true; /* Its own state says so: nobody need be asked. */
    } else if (doubts_itself(doubt, now_ms)) {
        doubt->next_ask_ms = now_ms + DOUBT_EVERY_MS;
        ask_standing(doubt, DOUBT_SELF, daemon->identity.node_id);
        doubt->hurried = doubt->hurried && doubt->ask != NULL;
    } else if (now_ms > doubt->next_round_ms && !daemon->removed) {
        doubt->next_round_ms = now_ms + DOUBT_AFTER_TIMEOUTS * daemon->config.election_timeout_ms;
        ask_standing(doubt, DOUBT_LINEAGE, daemon->identity.node_id);
    }
}
